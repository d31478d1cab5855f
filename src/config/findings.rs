//! Collects faults and warnings while the variables are read, and masks secrets in them.

use secrecy::SecretString;

use super::fault::{ConfigError, Fault};
use super::warning::Warning;
use crate::report::mask::secret_lines;

/// The limit for a value in a message.
const SHOWN_CHARACTERS: usize = 300;
/// Shorter secrets are not masked in messages, because they occur in too many words.
const SECRET_MIN_BYTES: usize = 4;
/// The number of lines of a secret that are masked in messages. The log has no such limit.
const KEPT_LINES: usize = 1000;

/// The faults, warnings and secrets.
#[derive(Default)]
pub(super) struct Findings {
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
    secrets: Vec<String>,
}

impl Findings {
    /// Masks this text in every later message, and in the log.
    pub(super) fn keep_secret(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() >= SECRET_MIN_BYTES && !self.secrets.iter().any(|known| known == secret) {
            // The longest first: one secret can be the start of another.
            let place = self
                .secrets
                .partition_point(|known| known.len() >= secret.len());
            self.secrets.insert(place, secret.to_owned());
        }
    }

    /// Masks a secret that can have several lines: the whole text, and its lines, because a message can contain one alone.
    pub(super) fn keep_secret_text(&mut self, secret: &str) {
        self.keep_secret(secret);
        for line in secret_lines(secret).take(KEPT_LINES) {
            self.keep_secret(line);
        }
    }

    /// The secrets to mask in the log. Values of several lines, such as a YAML list of logins, are omitted, because most of
    /// their lines are not secret.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let secrets = self.secrets.iter().filter(|secret| !secret.contains('\n'));
        secrets
            .map(|secret| SecretString::from(secret.as_str()))
            .collect()
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// Removes warnings that do not apply because of a variable that is read later.
    pub(super) fn withdraw(&mut self, does_not_apply: impl Fn(&Warning) -> bool) -> bool {
        let before = self.warnings.len();
        self.warnings.retain(|warning| !does_not_apply(warning));
        self.warnings.len() < before
    }

    /// Runs `read`, and changes the place of every fault and warning that it adds.
    pub(super) fn placed<T>(
        &mut self,
        place: impl Fn(&str) -> String,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let (faults, warnings) = (self.faults.len(), self.warnings.len());
        let result = read(self);
        for fault in self.faults.iter_mut().skip(faults) {
            fault.place(&place);
        }
        let added = self.warnings.split_off(warnings);
        let placed = added.into_iter().map(|warning| Warning::Placed {
            place: place(""),
            warning: Box::new(warning),
        });
        self.warnings.extend(placed);
        result
    }

    pub(super) fn is_faultless(&self) -> bool {
        self.faults.is_empty()
    }

    /// Whether no fault of this variable was found.
    pub(super) fn has_no_fault_of(&self, variable: &str) -> bool {
        !self.faults.iter().any(|fault| fault.variable() == variable)
    }

    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.warnings
    }

    pub(super) fn into_error(self) -> ConfigError {
        ConfigError::new(self.faults, self.warnings)
    }

    /// A value for a message: on one line, limited in length, without secrets and without the login of an address.
    pub(super) fn shown(&self, value: &str) -> String {
        // Secrets first: a secret can contain an `@`, and a part of it would no longer be found.
        let value = without_login(&self.without_secrets(value));
        format!("`{}`", fitting(&value))
    }

    /// The same for a text that quotes a value and contains no login.
    pub(super) fn masked(&self, text: &str) -> String {
        fitting(&self.without_secrets(text))
    }

    /// Whether a text contains a secret, so that its parts cannot be shown.
    pub(super) fn has_secret(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| text.contains(secret))
    }

    fn without_secrets(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret, "***");
        }
        text
    }
}

/// Limits a text to one line and to [`SHOWN_CHARACTERS`].
fn fitting(text: &str) -> String {
    let mut characters = text.chars();
    let mut shown: String = characters
        .by_ref()
        .take(SHOWN_CHARACTERS)
        .map(printable)
        .collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Replaces control characters, which could end the line or control a terminal.
fn printable(character: char) -> char {
    if character.is_control() {
        '\u{fffd}'
    } else {
        character
    }
}

/// `https://user:password@host` and `user:password@host` without the part before the `@`.
///
/// The `@` of a digest, and one that cannot end a login, are kept. In doubt, too much is removed.
fn without_login(value: &str) -> String {
    match value.rsplit_once('@') {
        Some((name, digest)) if is_digest(digest) => {
            format!("{}@{digest}", without_login(name))
        }
        Some((_, rest)) if can_contain_login(value) => format!("***@{rest}"),
        Some(_) | None => value.to_owned(),
    }
}

/// Whether the part before the last `@` can be a login, as in `user:password@host/path`.
///
/// `packages/@scope/app`, `fix/login@v2` and `app:fix/login@v2` contain none: no host and no path follow, which would follow
/// a password with a `/`.
pub(super) fn can_contain_login(value: &str) -> bool {
    let Some((before, rest)) = value.rsplit_once('@') else {
        return false;
    };
    if is_digest(rest) {
        return can_contain_login(before);
    }
    let is_authority = !before.is_empty() && !before.contains('/');
    // After a `/`, the `@` starts the name of a package, as in `app:update/@types/node`.
    let has_path = rest.contains('/') && !before.ends_with('/');
    before.contains("://")
        || (before.contains(':') && has_path)
        || (before.contains(':') && (is_authority || rest.is_empty()))
        || ((before.contains(':') || is_authority) && begins_with_host(rest))
}

/// Whether a text starts with a digest. A prefix of `sha` alone could be a host.
pub(super) fn is_digest(text: &str) -> bool {
    ["sha256:", "sha384:", "sha512:"]
        .iter()
        .any(|algorithm| text.starts_with(algorithm))
}

/// Whether a text starts with something that is a host rather than a part of a name: `example.com`, `localhost`,
/// `10.0.0.1`, `host:5000`.
pub(super) fn begins_with_host(text: &str) -> bool {
    let end = text.find(['/', '?', '#']).unwrap_or(text.len());
    let authority = text.get(..end).unwrap_or(text);
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_domain = host.contains('.') && last.bytes().any(|byte| byte.is_ascii_alphabetic());
    host == "localhost" || is_port || is_domain || host.parse::<std::net::Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_value_is_one_short_line_without_secrets() {
        let mut findings = Findings::default();
        findings.keep_secret(" hunter2\n");
        findings.keep_secret("p@ss:w@rd");
        findings.keep_secret("abc");
        for (value, shown) in [
            ("plain", "`plain`"),
            ("", "``"),
            ("a\nb\u{1b}[31m", "`a\u{fffd}b\u{fffd}[31m`"),
            ("https://me:word@example.com/x", "`***@example.com/x`"),
            ("me:word@example.com", "`***@example.com`"),
            ("app@sha256:12", "`app@sha256:12`"),
            ("me:wo/rd@example.com/x", "`***@example.com/x`"),
            ("me:wo/rd@10.0.0.1", "`***@10.0.0.1`"),
            ("me:wo/rd@registry:5000/x", "`***@registry:5000/x`"),
            ("me:word@registry/x", "`***@registry/x`"),
            ("me:wo/rd@registry/x", "`***@registry/x`"),
            ("me:word22/x@registry/x:1", "`***@registry/x:1`"),
            (
                "me:wo/rd@registry/x@sha256:12",
                "`***@registry/x@sha256:12`",
            ),
            ("word@example.com", "`***@example.com`"),
            ("ssh://word@host/x", "`***@host/x`"),
            ("me:word@shop.example.com/x", "`***@shop.example.com/x`"),
            ("me:word@sha.example.com/x", "`***@sha.example.com/x`"),
            // Cut at a space in the password.
            ("me:wo/rd@", "`***@`"),
            ("packages/@scope/app", "`packages/@scope/app`"),
            ("@scope/app", "`@scope/app`"),
            ("fix/login@v2", "`fix/login@v2`"),
            ("app:fix/login@v2.1", "`app:fix/login@v2.1`"),
            ("/clone/apps/web@2/x", "`/clone/apps/web@2/x`"),
            (
                "me:word@example.com/app@sha256:12",
                "`***@example.com/app@sha256:12`",
            ),
            ("x-hunter2-x", "`x-***-x`"),
            ("p@ss:w@rd", "`***`"),
            ("abcabc", "`abcabc`"),
        ] {
            assert_eq!(findings.shown(value), shown);
        }
        let long = findings.shown(&"ä".repeat(500));
        assert_eq!(long.chars().count(), SHOWN_CHARACTERS + 3);
    }

    #[test]
    fn a_secret_that_begins_with_another_is_not_shown_in_part() {
        let mut findings = Findings::default();
        for secret in ["abcd", "abcdHUNTER", "abcdef"] {
            findings.keep_secret(secret);
        }
        assert_eq!(findings.shown("abcdHUNTER abcdef abcd"), "`*** *** ***`");
    }

    #[test]
    fn a_secret_at_the_cut_is_not_shown_in_part() {
        let mut findings = Findings::default();
        findings.keep_secret("hunter2hunter2");
        let value = format!("{}hunter2hunter2", "x".repeat(SHOWN_CHARACTERS - 5));
        assert!(!findings.shown(&value).contains("hunt"));
    }
}
