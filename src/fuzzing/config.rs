//! The variables of a step, with the files that they name; and what later steps are told.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::{SECRET, assert_harmless, lossy, parts};
use crate::bitbucket::outputs::{NAMES, Outputs};
use crate::config::read;

/// The files that an input may hold, and what they hold otherwise; an empty one is not there.
const FILES: [(&str, &str); 5] = [
    ("Dockerfile", "FROM scratch\n"),
    ("depot.json", r#"{"id":"abcdefghij"}"#),
    ("depot.yml", ""),
    ("config.json", ""),
    ("ca.pem", ""),
];

/// Variables, `NAME=value` each, and files, `/name=content`, in `folder`, which only this writes to.
///
/// A token that is not given is [`SECRET`].
pub fn config(bytes: &[u8], folder: &Path) {
    let mut variables = Vec::new();
    let mut files = FILES.map(|(name, content)| (name, content.as_bytes()));
    for part in parts(bytes) {
        let equals = part.iter().position(|&byte| byte == b'=');
        let (name, value) = part.split_at(equals.unwrap_or(part.len()));
        let value = value.get(1..).unwrap_or_default();
        match name.strip_prefix(b"/") {
            Some(name) => {
                let mut files = files.iter_mut();
                let file = files.find(|(known, _)| known.as_bytes() == name);
                if let Some((_, content)) = file {
                    *content = value;
                }
            }
            None => variables.push((os_string(name), os_string(value))),
        }
    }
    for (name, content) in files {
        put(&folder.join(name), content);
    }
    let is_token = |(name, _): &(OsString, OsString)| name == "DEPOT_TOKEN";
    let has_token = variables.iter().any(is_token);
    let in_input = occurrences(bytes);
    if !has_token {
        variables.push(("DEPOT_TOKEN".into(), SECRET.into()));
    }
    match read(variables, folder) {
        Ok((plan, warnings)) => {
            for warning in warnings {
                told(&warning.to_string(), !has_token);
            }
            // Where it stands in another variable too, that one is not masked before it is shown.
            if in_input == 0 {
                told(&format!("{plan:?}"), !has_token);
            }
            assert!(plan.secrets().count() <= bytes.len() + 1);
        }
        Err(error) => {
            assert!(!error.faults().is_empty());
            told(&error.to_string(), !has_token);
            for warning in error.warnings() {
                told(&warning.to_string(), !has_token);
            }
        }
    }
}

/// Sees that a file holds this; an empty one is not there.
fn put(path: &Path, content: &[u8]) {
    let found = fs::read(path).unwrap_or_default();
    let _outcome = match content {
        content if content == found => Ok(()),
        [] => fs::remove_file(path),
        content => fs::write(path, content),
    };
}

fn told(text: &str, has_secret: bool) {
    assert_harmless(text);
    assert!(!has_secret || !text.contains(SECRET), "{text}");
}

fn occurrences(bytes: &[u8]) -> usize {
    let places = bytes.windows(SECRET.len());
    places.filter(|place| *place == SECRET.as_bytes()).count()
}

fn os_string(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

/// Values, in the order of the names that they are told under.
pub fn outputs(bytes: &[u8]) {
    let mut outputs = Outputs::default();
    let values: Vec<_> = parts(bytes).map(lossy).collect();
    let names = NAMES.map(str::to_owned);
    for (name, value) in names.iter().zip(&values) {
        outputs.add(name, value);
    }
    let ends_line =
        |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    let told = |value: &str| value.replace(ends_line, " ");
    let (shell, bitbucket) = (outputs.for_shell(), outputs.for_bitbucket(&names));
    let count = names.len().min(values.len());
    assert_eq!(shell.matches('\n').count(), count);
    assert_eq!(bitbucket.matches('\n').count(), count);
    let lines = shell
        .split_terminator('\n')
        .zip(bitbucket.split_terminator('\n'));
    for ((name, value), (shell, bitbucket)) in names.iter().zip(&values).zip(lines) {
        assert_eq!(bitbucket, format!("{name}={}", told(value)));
        let quoted = shell.strip_prefix(&format!("{name}="));
        assert_eq!(quoted.and_then(unquoted), Some(told(value)), "{shell}");
    }
}

/// What a shell makes of a word in single quotes, with `\'` between them; `None` for any other.
fn unquoted(word: &str) -> Option<String> {
    let mut rest = word;
    let mut value = String::new();
    while !rest.is_empty() {
        if let Some(escaped) = rest.strip_prefix(r"\'") {
            value.push('\'');
            rest = escaped;
            continue;
        }
        let (text, after) = rest.strip_prefix('\'')?.split_once('\'')?;
        value.push_str(text);
        rest = after;
    }
    Some(value)
}
