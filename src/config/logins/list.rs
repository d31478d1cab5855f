//! The list of logins in `REGISTRIES`: YAML, or a Bitbucket array whose entries are YAML.
//!
//! The whole value is secret, and so are the errors of the YAML parser, which can quote it. Messages contain only positions
//! and names of keys.

use serde_yaml::Value;

use super::{host, pair};
use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::near_miss::is_slip;
use crate::config::values::{ENTRY_MARK, entries, is_set};
use crate::config::yaml;
use crate::registry::credentials::Credential;

const VARIABLE: &str = "REGISTRIES";
const KEYS: [&str; 3] = ["registry", "username", "password"];
/// The limit for the value: some hundred logins.
const SIZE_LIMIT_BYTES: usize = 32 << 10;
const ADVICE: &str = "write a YAML list of `{registry: HOST, username: USER, password: PASSWORD}`";

/// Reads every login, and reports each fault.
pub(super) fn read(value: &str, findings: &mut Findings) -> Vec<Credential> {
    if value.len() > SIZE_LIMIT_BYTES {
        let problem = format!("has more than {SIZE_LIMIT_BYTES} bytes");
        findings.fault(Fault::new(
            VARIABLE,
            problem,
            "list only the registries that the build uses",
        ));
        return Vec::new();
    }
    keep_secrets(value, findings);
    let listed = if value.starts_with(ENTRY_MARK) {
        let entries: Vec<&str> = entries(value).collect();
        let parsed = entries.iter().enumerate();
        parsed
            .map(|(index, entry)| parse(entry, &format!("entry {}", index + 1), findings))
            .collect::<Option<Vec<Value>>>()
            // An entry can be a list itself: `- {registry: …}`, copied from the text form.
            .map(|values| values.into_iter().flat_map(unlisted).collect())
    } else {
        parse(value, "it", findings).map(unlisted)
    };
    let Some(listed) = listed else {
        return Vec::new();
    };
    let logins = listed.iter().enumerate();
    logins
        .filter_map(|(index, entry)| login(index + 1, entry, findings))
        .collect()
}

/// Masks every password in messages and in the log. Invalid content is reported by [`read`].
pub(super) fn keep_secrets(value: &str, findings: &mut Findings) {
    if value.len() > SIZE_LIMIT_BYTES {
        return;
    }
    let texts: Vec<&str> = if value.starts_with(ENTRY_MARK) {
        entries(value).collect()
    } else {
        vec![value]
    };
    let parsed = texts.into_iter().filter_map(|text| yaml::read(text).ok());
    for entry in parsed.flat_map(unlisted) {
        if let Some(password) = entry.get("password").and_then(Value::as_str) {
            findings.keep_secret(password);
        }
    }
}

/// The entries of a list; any other value is one entry.
fn unlisted(value: Value) -> Vec<Value> {
    match value {
        Value::Sequence(entries) => entries,
        other => vec![other],
    }
}

fn parse(text: &str, what: &str, findings: &mut Findings) -> Option<Value> {
    match yaml::read(text) {
        Ok(value) => Some(value),
        Err(error) => {
            let place = error
                .location()
                .map(|place| format!(", near line {}, column {}", place.line(), place.column()));
            let problem = format!("{what} is not valid YAML{}", place.unwrap_or_default());
            findings.fault(Fault::new(VARIABLE, problem, ADVICE));
            None
        }
    }
}

fn login(number: usize, entry: &Value, findings: &mut Findings) -> Option<Credential> {
    let name = format!("entry {number} of {VARIABLE}");
    let Some(mapping) = entry.as_mapping() else {
        findings.fault(Fault::new(
            name,
            "is not a mapping of names to values",
            ADVICE,
        ));
        return None;
    };
    let mut is_good = true;
    for key in mapping.keys() {
        let key = key.as_str().unwrap_or_default();
        if !KEYS.contains(&key) {
            // Only known mistakes are shown: the key can be a misplaced value.
            let known = KEYS.iter().find(|known| is_close(known, key));
            let problem = match known {
                Some(_) => format!("has an unknown key {}", findings.shown(key)),
                None => "has a key other than `registry`, `username` and `password`".into(),
            };
            let advice =
                known.map_or_else(|| ADVICE.to_owned(), |known| format!("write `{known}`"));
            findings.fault(Fault::new(name.as_str(), problem, advice));
            is_good = false;
        }
    }
    let mut text = |key: &'static str| match mapping.get(key) {
        // A reference to an unset variable is not a value.
        Some(Value::String(text)) if is_set(text) => Some(text.as_str()),
        found => {
            let (problem, advice) = match found {
                None | Some(Value::Null | Value::String(_)) => {
                    (format!("has no `{key}`"), ADVICE.to_owned())
                }
                Some(_) => (
                    format!("has a `{key}` that YAML does not read as text"),
                    format!("put quotes around the value of `{key}`"),
                ),
            };
            findings.fault(Fault::new(name.as_str(), problem, advice));
            None
        }
    };
    let (registry, username, password) = (text("registry"), text("username"), text("password"));
    let place = registry.and_then(|value| match host::with_prefix(value) {
        Some((host, prefix)) => Some((host, Some(prefix))),
        None => Some((host::read(&name, value, findings)?, None)),
    });
    let ((host, prefix), username, password) = (place?, username?, password?);
    let login = pair::credential(&host, username, password, (&name, &name), findings);
    login
        .map(|login| login.with_prefix(prefix))
        .filter(|_| is_good)
}

/// Whether `key` was probably meant to be `known`: a slip of it, or one of its other names.
fn is_close(known: &str, key: &str) -> bool {
    let synonyms = [
        ("registry", ["host", "server", "url", "registry_url"]),
        ("username", ["user", "login", "user_name", "name"]),
        ("password", ["token", "pass", "passwd", "secret"]),
    ];
    let lower = key.to_ascii_lowercase();
    let is_synonym = synonyms
        .iter()
        .any(|(name, others)| *name == known && others.contains(&lower.as_str()));
    is_synonym || is_slip(key, known)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn outcome(value: &str) -> (Vec<String>, Vec<String>) {
        let mut findings = Findings::default();
        let logins = read(value, &mut findings);
        let shown = |login: &Credential| {
            let password = login.password().expose_secret();
            format!("{} {} {password}", login.host(), login.username())
        };
        let faults = findings.into_error();
        (
            logins.iter().map(shown).collect(),
            faults.faults().iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn any_password_can_be_written() {
        let value = "- registry: a.example\n  username: me\n  password: '$a \"b\" #'\n\
                     - registry: b.example:5000\n  username: me\n  password: \"two\\nlines\"\n";
        let expected = ["a.example me $a \"b\" #", "b.example:5000 me two\nlines"];
        assert_eq!(outcome(value).0, expected);
        let array = "\0{registry: a.example, username: me, password: x}\0- {registry: c.example, username: u, password: y}";
        assert_eq!(outcome(array).0, ["a.example me x", "c.example u y"]);
        let parts = "- {registry: a.example/team, username: t, password: x}\n- {registry: a.example, username: me, password: y}";
        let mut findings = Findings::default();
        let logins = read(parts, &mut findings);
        let prefixes: Vec<_> = logins
            .iter()
            .map(|login| (login.host(), login.prefix()))
            .collect();
        assert_eq!(prefixes, [("a.example", Some("team")), ("a.example", None)]);
        assert!(findings.is_faultless());
        let one = "{registry: a.example, username: me, password: x}";
        assert_eq!(outcome(one).0, ["a.example me x"]);
    }

    #[test]
    fn each_invalid_entry_is_reported_without_its_values() {
        for (value, fault) in [
            ("- {registry: [hunter2", "REGISTRIES: it is not valid YAML"),
            (
                "hunter2",
                "entry 1 of REGISTRIES: is not a mapping of names to values; ",
            ),
            (
                "- {registry: a.example, username: me, password: 12345}",
                "entry 1 of REGISTRIES: has a `password` that YAML does not read as text; put quotes around the value of `password`",
            ),
            (
                "- {registry: a.example, username: me, password: hunter2, pasword: hunter2}",
                "entry 1 of REGISTRIES: has an unknown key `pasword`; write `password`",
            ),
            (
                "- {registry: a.example, user: me, password: hunter2}",
                "entry 1 of REGISTRIES: has an unknown key `user`; write `username`",
            ),
            (
                "- {registry: a.example, username: me, password: hunter2, hunter2: x}",
                "entry 1 of REGISTRIES: has a key other than `registry`, `username` and `password`; ",
            ),
            (
                "- {registry: a.example, username: me, password: $UNSET}",
                "entry 1 of REGISTRIES: has no `password`; ",
            ),
            (
                "- {registry: a.example, username: me}",
                "entry 1 of REGISTRIES: has no `password`; ",
            ),
            (
                "- {registry: 'https://a.example/x', username: me, password: hunter2}",
                "entry 1 of REGISTRIES: `https://a.example/x` is not a host; write just the host, `a.example`",
            ),
        ] {
            let (logins, faults) = outcome(value);
            assert_eq!(logins, Vec::<String>::new(), "{value}");
            assert!(faults[0].starts_with(fault), "{faults:?}");
            assert!(!faults.join("").contains("hunter2"), "{faults:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_none_of_it_is_shown(text in "([a-z]{1,3}(: |:|)|[{}\\[\\]&*\"'|>\n ,-]|s3cret){0,14}") {
            let (_, faults) = outcome(&text);
            prop_assert!(!faults.join("").contains("s3cret"));
        }
    }
}
