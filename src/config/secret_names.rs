//! Finds the secrets in build arguments and addresses, by names and by values.
//!
//! A secret should not be a build argument: its value is stored in the image's history and provenance, and in the names of
//! steps. But many are, so such values are masked in the log.
//!
//! Mostly the name decides. A value alone decides if it contains a login, a well-known kind of token or a private key.

mod search;
mod values;

pub(super) use self::search::Search;
use self::values::{is_common, is_of_words, is_random, is_setting, is_value};
use crate::report::mask::MIN_SECRET_BYTES;

/// Parts that make a name one of a secret, at any position.
///
/// A part can also end with one of these: `PGPASSWORD`, `clientsecret`.
const ANYWHERE: [&str; 17] = [
    "TOKEN",
    "PASSWORD",
    "PASSWORDS",
    "PASSWD",
    "PASSPHRASE",
    "PASSCODE",
    "SECRET",
    "SECRETS",
    "CREDENTIAL",
    "CREDENTIALS",
    "CREDS",
    "APIKEY",
    "SECRETKEY",
    "PRIVATEKEY",
    "ACCESSKEY",
    "ACCOUNTKEY",
    "CONNECTIONSTRING",
];

/// Words that make a part of a name one of a secret, also in its middle: `GITHUBTOKENPROD`.
const WITHIN: [&str; 3] = ["TOKEN", "PASSWORD", "SECRET"];

/// Parts that contain one of these are not secrets, although they contain one of [`ANYWHERE`] or [`WITHIN`].
const NO_SECRETS: [&str; 5] = ["TIKTOKEN", "TOKENIZ", "TOKENS", "PASSWORDLESS", "SECRETAR"];

/// Parts at the end of a name that mean a password, alone or after one of [`OWNERS`].
const SHORT: [&str; 3] = ["PASS", "PWD", "PW"];

/// Owners of passwords: `DBPASS`, `SSHPASS`. Other words have the same end, such as `COMPASS`.
const OWNERS: [&str; 24] = [
    "", "ADMIN", "APP", "AUTH", "DATABASE", "DB", "FTP", "GIT", "HTTP", "KEY", "LDAP", "MAIL",
    "MONGO", "MYSQL", "NPM", "PG", "POSTGRES", "PROXY", "REDIS", "ROOT", "SMTP", "SSH", "SUDO",
    "USER",
];

/// Parts that mean a secret only at the end of a name, unlike in `AUTH_SERVER` or `PASS_THROUGH`.
const AT_THE_END: [&str; 8] = [
    "AUTH",
    "AUTHORIZATION",
    "OAUTH",
    "PAT",
    "JWT",
    "BEARER",
    "SAS",
    "COOKIE",
];

/// Before `KEY`: kinds of keys that are always secret.
const KEYS: [&str; 15] = [
    "API",
    "PRIVATE",
    "ACCESS",
    "AUTH",
    "SECRET",
    "SIGNING",
    "ENCRYPTION",
    "MASTER",
    "DEPLOY",
    "LICENSE",
    "LICENCE",
    "SSH",
    "ACCOUNT",
    "STORAGE",
    "SERVICE",
];

/// Before `KEY`: kinds of keys that are not secret, although their values can look random.
const PUBLIC_KEYS: [&str; 14] = [
    "CACHE",
    "PUBLIC",
    "PUB",
    "SORT",
    "PARTITION",
    "PRIMARY",
    "FOREIGN",
    "OBJECT",
    "INDEX",
    "RESTORE",
    "HOST",
    "GROUP",
    "ROUTING",
    "SITE",
];

/// Parts at the end of a name that make it a property of a secret, not the secret.
const ABOUT: [&str; 45] = [
    "ADDR",
    "ADDRESS",
    "ALGORITHM",
    "AUDIENCE",
    "BACKEND",
    "CLASS",
    "COUNT",
    "DIR",
    "DOMAIN",
    "DRIVER",
    "ENABLED",
    "ENDPOINT",
    "ENGINE",
    "EXPIRATION",
    "EXPIRY",
    "FILE",
    "FORMAT",
    "HOST",
    "ID",
    "ISSUER",
    "KIND",
    "LENGTH",
    "LIFETIME",
    "LIMIT",
    "METHOD",
    "MODE",
    "NAME",
    "PATH",
    "POLICY",
    "PORT",
    "PREFIX",
    "PROVIDER",
    "REALM",
    "REGION",
    "SCOPE",
    "SERVER",
    "SIZE",
    "STRATEGY",
    "TTL",
    "TYPE",
    "URI",
    "URL",
    "USER",
    "USERNAME",
    "VERSION",
];

/// Names that shells set.
const OF_SHELLS: [&str; 2] = ["PWD", "OLDPWD"];

/// The secrets in an address, as written and decoded: the password, the user if that is the secret, and tokens in the query
/// and the fragment.
pub(super) fn logins_of_address(address: &str) -> Vec<String> {
    let mut search = Search::default();
    search.address(address);
    search.secrets
}

/// Searches an argument for secrets: the whole value, or parts of it, as written and decoded.
pub(super) fn search(name: &str, value: &str) -> Search {
    let mut search = Search::default();
    if is_secret(name) || is_key(name, value) {
        if is_value(value) {
            search.whole(value);
        } else if is_password(name) && is_common(value) && !is_setting(value) {
            search.is_readable = true;
        } else if is_password(name) && is_short(value) && !is_setting(value) {
            search.add(value.trim());
        }
    }
    search.named(name, value);
    search
}

fn is_short(value: &str) -> bool {
    let value = value.trim();
    !value.is_empty() && value.len() < MIN_SECRET_BYTES
}

/// Whether this is the name of a secret.
fn is_secret(name: &str) -> bool {
    let parts = parts(name);
    let Some(last) = parts.last() else {
        return false;
    };
    if ABOUT.contains(&last.as_str()) || OF_SHELLS.contains(&name) {
        return false;
    }
    let is_pair = |pair: &[String]| match pair {
        [kind, key] if key == "KEY" => KEYS.contains(&kind.as_str()),
        [kind, string] => kind == "CONNECTION" && string == "STRING",
        _ => false,
    };
    parts.iter().any(|part| is_anywhere(part))
        || AT_THE_END.contains(&last.as_str())
        || is_short_name(last)
        || parts.windows(2).any(is_pair)
}

/// Whether this is the name of a password or a token.
fn is_password(name: &str) -> bool {
    let parts = parts(name);
    let is_last = |part: &String| is_short_name(part) || part == "PAT";
    is_secret(name)
        && (parts.iter().any(|part| is_anywhere(part)) || parts.last().is_some_and(is_last))
}

fn is_anywhere(part: &str) -> bool {
    let is_secret = ANYWHERE.iter().any(|secret| part.ends_with(secret))
        || WITHIN.iter().any(|secret| part.contains(secret));
    is_secret && !NO_SECRETS.iter().any(|other| part.contains(other))
}

fn is_short_name(part: &str) -> bool {
    let mut owners = SHORT.iter().filter_map(|short| part.strip_suffix(short));
    owners.any(|owner| OWNERS.contains(&owner))
}

/// Whether this is the name of a key that can be public, and the value is not made of words. Without a kind before `KEY` it must look
/// random.
fn is_key(name: &str, value: &str) -> bool {
    let parts = parts(name);
    let Some((last, kinds)) = parts.split_last() else {
        return false;
    };
    let is_public = |kind: &String| PUBLIC_KEYS.contains(&kind.as_str());
    last == "KEY"
        && !kinds.iter().any(is_public)
        && (is_random(value.trim())
            || (!kinds.is_empty() && is_value(value) && !is_of_words(value.trim())))
}

/// Whether this is the name of a webhook, whose address is a secret if its path contains a token.
fn is_webhook(name: &str) -> bool {
    parts(name).iter().any(|part| part == "WEBHOOK")
}

/// Whether this is the name of a secret parameter in an address.
fn is_secret_parameter(name: &str) -> bool {
    let parts = parts(name);
    let is_signature = |part: &String| part == "SIG" || part == "SIGNATURE";
    is_secret(name) || parts.last().is_some_and(is_signature)
}

/// The words of a name in upper case, each without a number at its end: `npmToken2` has NPM and TOKEN, `JWTSecret` has
/// JWT and SECRET.
fn parts(name: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut characters = name.chars().peekable();
    let mut previous = ' ';
    while let Some(character) = characters.next() {
        let is_upper = character.is_ascii_uppercase();
        let is_before_lower = characters.peek().is_some_and(char::is_ascii_lowercase);
        let begins_word = is_upper
            && (previous.is_ascii_lowercase()
                || (previous.is_ascii_uppercase() && is_before_lower));
        if !character.is_ascii_alphanumeric() || begins_word {
            parts.push(std::mem::take(&mut part));
        }
        if character.is_ascii_alphanumeric() {
            part.push(character.to_ascii_uppercase());
        }
        previous = character;
    }
    parts.push(part);
    let numbers: &[_] = &['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
    let parts = parts.iter().map(|part| part.trim_end_matches(numbers));
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
