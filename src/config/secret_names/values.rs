//! Distinguishes values that can be secrets from words, paths and addresses.

use crate::report::mask::MIN_SECRET_BYTES;

/// The shortest value that is random enough to be a key or a token.
const RANDOM_BYTES: usize = 16;

/// The least number of characters of a random value that are not in ordinary words.
const RANDOM_CHARACTERS: usize = 10;

/// The longest word of ordinary text, in characters.
const WORD_CHARACTERS: usize = 20;

/// Values of settings, which are not secret.
const SETTINGS: [&str; 31] = [
    "0",
    "1",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "none",
    "null",
    "nil",
    "auto",
    "basic",
    "bearer",
    "default",
    "disabled",
    "enabled",
    "env",
    "file",
    "plain",
    "vault",
    "required",
    "optional",
    "anonymous",
    "undefined",
    "production",
    "development",
    "automatic",
    "external",
    "kubernetes",
    "localhost",
];

/// Common passwords. Masking them would hide half of a log.
const COMMON: [&str; 22] = [
    "admin",
    "administrator",
    "changeit",
    "changeme",
    "example",
    "guest",
    "mariadb",
    "minioadmin",
    "mongodb",
    "mysql",
    "passw0rd",
    "password",
    "postgres",
    "postgresql",
    "rabbitmq",
    "redis",
    "root",
    "secret",
    "test",
    "testtest",
    "user",
    "username",
];

/// User names that are not secret: the password is, or the login has no secret.
const USERS: [&str; 10] = [
    "x-token-auth",
    "x-access-token",
    "x-oauth-basic",
    "x-bitbucket-api-token-auth",
    "gitlab-ci-token",
    "anonymous",
    "_json_key",
    "git",
    "postgres",
    "root",
];

/// Top-level domains. Only common ones, because a password can contain dots too.
const DOMAINS: [&str; 18] = [
    "com", "org", "net", "io", "dev", "de", "eu", "co", "uk", "fr", "ch", "app", "cloud", "local",
    "internal", "svc", "example", "test",
];

/// Unique prefixes of tokens.
const PREFIXES: [&str; 24] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glrt-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxr-",
    "xoxs-",
    "xapp-",
    "sk_live_",
    "rk_live_",
    "ATATT3",
    "ATCTT3",
    "ATBB",
    "dop_v1_",
    "dckr_pat_",
    "dckr_oat_",
    "shpat_",
];

/// The least length after one of [`PREFIXES`].
const REST_BYTES: usize = 10;

/// Prefixes of tokens that other words have too: the rest must look random.
const COMMON_PREFIXES: [&str; 6] = ["npm_", "hf_", "pypi-", "sk-", "AIza", "SG."];

/// Whether a value can be a secret and can be masked.
pub(super) fn is_value(value: &str) -> bool {
    let value = value.trim();
    value.len() >= MIN_SECRET_BYTES
        && !is_setting(value)
        && !is_common(value)
        && !is_host(value)
        && !is_path(value)
        && !is_plain_address(value)
}

/// Whether a value is one of a setting.
pub(super) fn is_setting(value: &str) -> bool {
    is_one_of(&SETTINGS, value)
}

/// Whether a value is a common password.
pub(super) fn is_common(value: &str) -> bool {
    is_one_of(&COMMON, value)
}

/// Whether a user name is not secret.
pub(super) fn is_user(name: &str) -> bool {
    USERS.contains(&name)
}

fn is_one_of(words: &[&str], value: &str) -> bool {
    let value = value.trim();
    words.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Whether a value looks random: it is long, and much of it is not in ordinary words.
pub(super) fn is_random(value: &str) -> bool {
    let words = value.split(|character: char| !character.is_ascii_alphanumeric());
    let others = words.filter(|word| !is_word(word)).map(str::len);
    value.len() >= RANDOM_BYTES
        && value.bytes().all(|byte| byte.is_ascii_graphic())
        && others.sum::<usize>() >= RANDOM_CHARACTERS
}

/// Whether a value consists of ordinary words and short numbers, such as the key of a cache.
pub(super) fn is_of_words(value: &str) -> bool {
    let mut words = value.split(|character: char| !character.is_ascii_alphanumeric());
    words.all(|word| word.is_empty() || is_word(word))
}

/// A short number, or letters in the case of one or several joined words, followed by a few digits.
fn is_word(text: &str) -> bool {
    let letters = text.trim_end_matches(|character: char| character.is_ascii_digit());
    let digits = text.len() - letters.len();
    if letters.is_empty() {
        return digits <= 10;
    }
    let is_letters = letters.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_letters || digits > 4 || letters.len() > WORD_CHARACTERS {
        return false;
    }
    if letters
        .bytes()
        .skip(1)
        .all(|byte| byte.is_ascii_lowercase())
        || letters.bytes().all(|byte| byte.is_ascii_uppercase())
    {
        return true;
    }
    // Joined words: each has at least three letters.
    let words = letters.split_inclusive(|character: char| character.is_ascii_uppercase());
    words.skip(1).all(|word| word.len() >= 3)
}

/// The name of a host: lower-case labels, of which the last is a common domain.
fn is_host(value: &str) -> bool {
    let host = value.split_once(':').map_or(value, |(host, port)| {
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        if is_port { host } else { value }
    });
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let domain = host.rsplit_once('.').map(|(_, domain)| domain);
    host.bytes().all(is_plain)
        && domain.is_some_and(|domain| DOMAINS.contains(&domain))
        && !is_random(host)
}

/// The path of a file: it has an extension, or it is absolute and its names are words. Base64 can also start with a `/`.
fn is_path(value: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-@~ ".contains(&byte);
    let Some((folder, file)) = value.rsplit_once('/') else {
        return false;
    };
    let has_extension = file.rsplit_once('.').is_some_and(|(_, extension)| {
        (2..=5).contains(&extension.len())
            && extension.bytes().all(|byte| byte.is_ascii_lowercase())
    });
    let is_absolute = ["/", "./", "../", "~/"]
        .iter()
        .any(|root| value.starts_with(root));
    let classes = [
        u8::is_ascii_uppercase as fn(&u8) -> bool,
        u8::is_ascii_lowercase,
        u8::is_ascii_digit,
    ];
    let is_mixed = classes
        .iter()
        .all(|class| value.bytes().any(|byte| class(&byte)));
    let has_folder = folder.trim_start_matches(['.', '~']).len() > 1;
    value.bytes().all(is_plain)
        && !is_random(file)
        && (has_extension || (is_absolute && has_folder && !is_mixed && !is_random(value)))
}

/// An address without login and query whose path has no token.
fn is_plain_address(value: &str) -> bool {
    value.split_once("://").is_some_and(|(_, rest)| {
        !rest.contains(['@', '?', '#', '=']) && !rest.split('/').any(is_random)
    })
}

/// The well-known kinds of tokens in a text.
pub(super) fn known_tokens(text: &str) -> impl Iterator<Item = &str> {
    let is_separator =
        |character: char| !character.is_ascii_alphanumeric() && !"_-.".contains(character);
    let runs = text
        .split(is_separator)
        .map(|run| run.trim_end_matches('.'));
    runs.filter(|run| is_known_token(run))
}

/// Whether a text is a token, by its prefix or as a JSON Web Token.
pub(super) fn is_known_token(text: &str) -> bool {
    let rest = |prefix: &&str| text.strip_prefix(*prefix);
    let is_long = |rest: &str| rest.len() >= REST_BYTES;
    let is_random = |rest: &str| is_random(rest) && !rest.contains('_');
    let is_web_token = || {
        let parts: Vec<&str> = text.split('.').collect();
        text.starts_with("eyJ")
            && parts.len() >= 3
            && parts.iter().take(2).all(|part| is_long(part))
    };
    PREFIXES.iter().filter_map(rest).any(is_long)
        || COMMON_PREFIXES.iter().filter_map(rest).any(is_random)
        || is_web_token()
}
