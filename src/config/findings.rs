//! Collects faults and warnings while the variables are read, and knows what may not be shown in them.

use super::{
    fault::{ConfigError, Fault},
    warning::Warning,
};

/// The longest value that is shown whole, in characters.
const SHOWN_CHARACTERS: usize = 300;
/// Shorter secrets are not searched for in other values: they would blot out half of every message.
const SECRET_MIN_BYTES: usize = 4;

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings {
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
    secrets: Vec<String>,
}

impl Findings {
    /// From here on this text is blotted out of every value that is shown.
    pub(super) fn keep_secret(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() >= SECRET_MIN_BYTES {
            // The longest first: one may be the beginning of another.
            let place = self
                .secrets
                .partition_point(|known| known.len() >= secret.len());
            self.secrets.insert(place, secret.to_owned());
        }
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    pub(super) fn is_faultless(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.warnings
    }

    pub(super) fn into_error(self) -> ConfigError {
        ConfigError::new(self.faults, self.warnings)
    }

    /// A value as a message may hold it: on one line, not too long, with no secret and no login of an address.
    pub(super) fn shown(&self, value: &str) -> String {
        // Secrets first: they may hold an `@` too, and half of one would not be known any more.
        let value = without_login(&self.without_secrets(value));
        format!("`{}`", fitting(&value))
    }

    /// The same for a text that only quotes a value, and holds no login.
    pub(super) fn masked(&self, text: &str) -> String {
        fitting(&self.without_secrets(text))
    }

    fn without_secrets(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret, "***");
        }
        text
    }
}

/// On one line, and not too long.
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

/// Control characters could end the line or speak to a terminal.
fn printable(character: char) -> char {
    if character.is_control() {
        '\u{fffd}'
    } else {
        character
    }
}

/// `https://user:password@host` and `user:password@host` without what stands before the `@`.
///
/// A digest's `@` stays as it is. In doubt more is taken out than needed.
fn without_login(value: &str) -> String {
    match value.rsplit_once('@') {
        Some((name, digest)) if digest.starts_with("sha") => {
            format!("{}@{digest}", without_login(name))
        }
        Some((_, rest)) => format!("***@{rest}"),
        None => value.to_owned(),
    }
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
