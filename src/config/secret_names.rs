//! Which build arguments hold a secret, by their names and by logins in their values.
//!
//! A build argument is no place for a secret: its value ends up in the image's history and provenance, and in the names of
//! steps. But it is a common one, so such values are masked in the log.

use percent_encoding::percent_decode_str;

/// Parts of names that stand for a secret wherever they are.
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
    "APITOKEN",
    "AUTHTOKEN",
    "SECRETKEY",
    "PRIVATEKEY",
    "ACCESSKEY",
];

/// Parts that do so at the end of a name; elsewhere they are of other words too, as in `AUTH_SERVER` or `PASS_THROUGH`.
const AT_THE_END: [&str; 7] = [
    "AUTH",
    "AUTHORIZATION",
    "PASS",
    "PWD",
    "PAT",
    "JWT",
    "BEARER",
];

/// Before `KEY`: kinds of keys that are secret. Public keys, cache keys and others are not.
const KEYS: [&str; 14] = [
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
    "SSH",
    "ACCOUNT",
    "STORAGE",
    "SERVICE",
];

/// Parts at the end of a name that make it one of something about a secret.
const ABOUT: [&str; 36] = [
    "ALGORITHM",
    "AUDIENCE",
    "COUNT",
    "DIR",
    "DOMAIN",
    "ENABLED",
    "ENDPOINT",
    "EXPIRATION",
    "EXPIRY",
    "FILE",
    "FORMAT",
    "HOST",
    "ID",
    "ISSUER",
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
    "SIZE",
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

/// Values that say whether or how, and are no secret.
const SETTINGS: [&str; 9] = [
    "disabled",
    "required",
    "optional",
    "anonymous",
    "undefined",
    "production",
    "development",
    "automatic",
    "external",
];

/// User names of logins that have their secret in the other half, or none.
const USERS: [&str; 6] = [
    "x-token-auth",
    "x-access-token",
    "x-oauth-basic",
    "gitlab-ci-token",
    "anonymous",
    "_json_key",
];

/// The secrets in an argument: all of its value, or the login of an address in it; as they are written, and decoded.
pub(super) fn secrets(name: &str, value: &str) -> Vec<String> {
    if is_secret(name) && is_value(value) {
        let mut secrets = vec![value.to_owned()];
        secrets.extend(logins(value));
        return secrets;
    }
    logins(value)
}

/// Whether the name is one of a secret.
fn is_secret(name: &str) -> bool {
    let parts = parts(name);
    let Some(last) = parts.last() else {
        return false;
    };
    if ABOUT.contains(&last.as_str()) || OF_SHELLS.contains(&name) {
        return false;
    }
    let is_key = |pair: &[String]| match pair {
        [kind, key] => key == "KEY" && KEYS.contains(&kind.as_str()),
        _ => false,
    };
    parts.iter().any(|part| ANYWHERE.contains(&part.as_str()))
        || AT_THE_END.contains(&last.as_str())
        || parts.windows(2).any(is_key)
}

/// The words of a name in upper case, each without a number at its end: `npmToken2` has NPM and TOKEN.
fn parts(name: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut was_lower = false;
    for character in name.chars() {
        if !character.is_ascii_alphanumeric() || (was_lower && character.is_ascii_uppercase()) {
            parts.push(std::mem::take(&mut part));
        }
        if character.is_ascii_alphanumeric() {
            part.push(character.to_ascii_uppercase());
        }
        was_lower = character.is_ascii_lowercase();
    }
    parts.push(part);
    let numbers: &[_] = &['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
    let parts = parts.iter().map(|part| part.trim_end_matches(numbers));
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether a value can be a secret. Short ones are not masked at all.
fn is_value(value: &str) -> bool {
    let value = value.trim();
    value.len() >= 8
        && !SETTINGS
            .iter()
            .any(|known| value.eq_ignore_ascii_case(known))
}

/// The passwords of all addresses in a text, as they are written and decoded.
fn logins(text: &str) -> Vec<String> {
    let words =
        text.split(|character: char| character.is_whitespace() || "\"'".contains(character));
    words.flat_map(logins_of_address).collect()
}

/// The password in an address, and the user name if that is the secret; as they are written, and decoded.
pub(super) fn logins_of_address(address: &str) -> Vec<String> {
    let mut secrets = Vec::new();
    let Some((_, rest)) = address.split_once("://") else {
        return secrets;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((login, _)) = authority.rsplit_once('@') else {
        return secrets;
    };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    // A token often stands for the user, before an empty or a fixed password.
    let is_user_secret = password.is_empty() || USERS.contains(&password);
    for written in [password, if is_user_secret { user } else { "" }] {
        if written.is_empty() || USERS.contains(&written) {
            continue;
        }
        let decoded = percent_decode_str(written).decode_utf8_lossy();
        let is_encoded = decoded != written;
        secrets.push(written.to_owned());
        secrets.extend(is_encoded.then(|| decoded.into_owned()));
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_by_their_parts() {
        for name in [
            "TOKEN",
            "NPM_TOKEN",
            "npm_token",
            "npmToken",
            "NpmToken2",
            "NPM_TOKEN_2",
            "TOKEN_GITHUB",
            "npm.token",
            "GH-TOKEN",
            "DB_PASSWORD",
            "PASSWD",
            "DB_PASS",
            "MYSQL_PWD",
            "CLIENT_SECRET",
            "SECRET_KEY_BASE",
            "AWS_SECRET_ACCESS_KEY",
            "API_KEY",
            "apiKey",
            "APIKEY",
            "SENTRY_API_KEY_PROD",
            "PRIVATE_KEY",
            "SSH_PRIVATE_KEY",
            "ssh_key",
            "GOOGLE_CREDENTIALS",
            "CREDENTIAL",
            "NPM_AUTH",
            "_auth",
            "AUTH",
            "COMPOSER_AUTH",
            "PROXY_AUTHORIZATION",
            "GITHUB_PAT",
            "KEY_PASSPHRASE",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "AUTHOR",
            "AUTHORS",
            "AUTHORITY",
            "TOKENIZER",
            "TOKENIZERS_PARALLELISM",
            "TOKENS",
            "KEYBOARD",
            "KEY",
            "CACHE_KEY",
            "PUBLIC_KEY",
            "SSH_PUBLIC_KEY",
            "SECRETARY",
            "PASSENGER_VERSION",
            "PASS_THROUGH",
            "COMPASS",
            "BYPASS",
            "PWD",
            "OLDPWD",
            "PATH",
            "AUTH_SERVER",
            "AUTH_URL",
            "OAUTH_CLIENT_ID",
            "AWS_ACCESS_KEY_ID",
            "TOKEN_URL",
            "TOKEN_FILE",
            "PASSWORD_MIN_LENGTH",
            "SECRET_NAME",
            "JWT_ISSUER",
            "VERSION",
            "",
            "_",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_setting_is_no_secret() {
        for value in ["", "true", "1", "required", "Disabled", "   x   "] {
            assert_eq!(secrets("AUTH", value), Vec::<String>::new(), "{value}");
        }
        assert_eq!(secrets("AUTH", "hunter2-hunter2"), ["hunter2-hunter2"]);
        assert_eq!(secrets("VERSION", "hunter2-hunter2"), Vec::<String>::new());
    }

    #[test]
    fn a_login_in_an_address_is_a_secret_whatever_the_name() {
        let index = "https://robot:p%40ss%3aword@pypi.example.com/simple";
        assert_eq!(
            secrets("PIP_INDEX_URL", index),
            ["p%40ss%3aword", "p@ss:word"]
        );
        let several =
            "--a=https://x-token-auth:one@a.example/x http://two@b.example https://c.example/@x";
        assert_eq!(logins(several), ["one", "two"]);
        let token_first = "https://ghp_token:x-oauth-basic@github.com/acme/app";
        assert_eq!(logins(token_first), ["ghp_token"]);
        assert_eq!(logins("git@github.com:acme/app a@b"), Vec::<String>::new());
        assert_eq!(logins_of_address("https://me:p,'é@a.example/"), ["p,'é"]);
    }
}
