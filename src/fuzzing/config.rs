//! The variables of a step with the files that they refer to, and the outputs for later steps.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use secrecy::ExposeSecret;

use super::{SECRET, assert_harmless, fixed_parts, lossy, parts};
use crate::bitbucket::outputs::{NAMES, Outputs};
use crate::buildkit::session::SECRET_LIMIT_BYTES;
use crate::config::metadata::read_values;
use crate::config::{ConfigError, caches, csv, git_context, read, secrets, steps, tags};
use crate::registry::reference::Reference;

/// The files that an input can set, with their default content. An empty file does not exist.
const FILES: [(&str, &str); 5] = [
    ("Dockerfile", "FROM scratch\n"),
    ("depot.json", r#"{"id":"abcdefghij"}"#),
    ("depot.yml", ""),
    ("config.json", ""),
    ("ca.pem", ""),
];

/// Reads a configuration. The input contains variables, `NAME=value`, and files, `/name=content`, which are written to
/// `folder`. Nothing else writes to it.
///
/// Without a `DEPOT_TOKEN` in the input, the token is [`SECRET`].
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
                assert_printable(&warning.to_string(), !has_token);
            }
            // If another variable contains it too, that variable is not masked in `Debug` output.
            if in_input == 0 {
                assert_printable(&format!("{plan:?}"), !has_token);
            }
            assert!(plan.secrets().count() <= bytes.len() + 1);
        }
        Err(error) => {
            assert!(!error.faults().is_empty());
            assert_printable(&error.to_string(), !has_token);
            for warning in error.warnings() {
                assert_printable(&warning.to_string(), !has_token);
            }
        }
    }
}

/// Writes a file if its content differs. An empty file is removed.
fn put(path: &Path, content: &[u8]) {
    let found = fs::read(path).unwrap_or_default();
    let _outcome = match content {
        content if content == found => Ok(()),
        [] => fs::remove_file(path),
        content => fs::write(path, content),
    };
}

fn assert_printable(text: &str, has_secret: bool) {
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

/// Reads `TAGS` in a pipeline. The input contains branch, Git tag, pull request, commit, build number and the list; a value that is
/// empty is not set.
pub fn tags(bytes: &[u8]) {
    let texts: [String; 6] = fixed_parts(bytes).map(lossy);
    let [branch, tag, pull_request, commit, build_number, list] = texts;
    let set = |text: String| (!text.is_empty()).then_some(text);
    let values = tags::Values {
        branch: set(branch),
        tag: set(tag),
        pull_request: set(pull_request),
        commit: set(commit),
        build_number: set(build_number),
        date: Some("20261127".to_owned()),
    };
    let (tags, error) = tags::read_values(&list, &values);
    assert_harmless(&error.to_string());
    for (index, tag) in tags.names.iter().enumerate() {
        let reference = Reference::parse(&format!("a:{tag}"));
        assert_eq!(reference.ok().as_ref().map(Reference::tag), Some(&**tag));
        assert!(!tags.names.iter().take(index).any(|earlier| earlier == tag));
        assert_eq!(&tags::clean(tag), tag);
    }
    for line in &tags.omitted {
        assert_harmless(line);
    }
    if let Some(version) = values.tag.as_deref().and_then(tags::Version::of_tag) {
        assert_eq!(tags::Version::parse(version.text), Some(version));
    }
}

/// Reads `CONTEXT` as the address of a repository, and the path of its Dockerfile. The input contains both.
pub fn git_addresses(bytes: &[u8]) {
    let [address, dockerfile] = fixed_parts(bytes).map(lossy);
    let dockerfile = (!dockerfile.is_empty()).then_some(&*dockerfile);
    if !git_context::is_address(&address) {
        // It is a directory.
        return;
    }
    let (context, faults) = git_context::outcome(&address, dockerfile);
    assert_harmless(&faults);
    assert_eq!(context.is_none(), !faults.is_empty());
    if let Some(context) = context {
        let inside = context.dockerfile.split('/').all(|name| name != "..");
        assert!(inside && !context.dockerfile.starts_with('/'));
        let address = context.address.expose_secret();
        assert!(!address.contains(char::is_whitespace) && git_context::is_address(address));
    }
}

/// Reads `SECRETS`. The password in the input's first text must not be in any message.
pub fn secrets(bytes: &[u8]) {
    let value = lossy(bytes);
    let (plan, faults) = secrets::outcome(&value);
    assert_harmless(&faults);
    let ids: BTreeSet<&str> = plan.values().iter().map(|(id, _)| &**id).collect();
    assert_eq!(ids.len(), plan.values().len());
    for (id, secret) in plan.values() {
        let secret = secret.expose_secret();
        assert!(plan.has(id) && secret.len() <= SECRET_LIMIT_BYTES);
        assert!(!id.contains(|character: char| character.is_whitespace() || character == ','));
    }
    if occurrences(bytes) == 0 {
        return;
    }
    // A name in front of an `=` is shown only if it looks like that of a variable.
    assert!(!faults.contains(SECRET), "{faults}");
}

/// Reads labels, annotations, provenance and SBOM. The input contains the four values.
///
/// No message contains a value of a label or of an annotation.
pub fn metadata(bytes: &[u8]) {
    let [labels, annotations, provenance, sbom] = fixed_parts(bytes).map(lossy);
    let hidden = |text: &str| text.replace(SECRET, "");
    let secret = format!("a={SECRET}\n{}", hidden(&labels));
    let annotated = format!("index:a={SECRET}\n{}", hidden(&annotations));
    let (provenance, sbom) = (hidden(&provenance), hidden(&sbom));
    let (plan, error) = read_values(&secret, &annotated, &provenance, &sbom);
    for text in [&error.to_string(), &warnings(&error)] {
        assert_printable(text, true);
    }
    for (name, _) in &plan.labels {
        assert!(
            !name.is_empty() && !name.contains(char::is_whitespace),
            "{name:?}"
        );
    }
    let is_name = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace);
    for annotation in plan.annotations.iter() {
        assert!(is_name(&annotation.name), "{annotation:?}");
    }
    // Accepted parameters are read again as the same ones.
    if let (Some(plan), true) = (&plan.provenance, error.faults().is_empty()) {
        let (again, _) = read_values("", "", &plan.parameters, "");
        let again = again.provenance.map(|again| again.parameters);
        assert!(
            again.is_none_or(|again| again == plan.parameters),
            "{plan:?}"
        );
    }
}

fn warnings(error: &ConfigError) -> String {
    let warnings = error.warnings().iter().map(ToString::to_string);
    warnings.collect::<Vec<_>>().join("\n")
}

/// Reads entries of comma-separated values. The input contains entries.
pub fn csv_entries(bytes: &[u8]) {
    for entry in parts(bytes).map(lossy) {
        match csv::fields(&entry) {
            Ok(pairs) => {
                let length: usize = pairs.iter().map(|(_, value)| value.len()).sum();
                assert!(length <= entry.len());
                assert!(pairs.iter().all(|(name, _)| !name.trim().is_empty()));
            }
            Err(fault) => assert_harmless(&fault.to_string()),
        }
        // A line end is normalized each time an entry is read.
        if let Ok(record) = csv::record(&entry)
            && !entry.contains('\r')
        {
            let quoted = record
                .iter()
                .map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
            let again = quoted.collect::<Vec<_>>().join(",");
            assert_eq!(csv::record(&again).as_ref(), Ok(&record));
        }
    }
}

/// Reads caches. The input contains `CACHE_FROM` and `CACHE_TO`.
pub fn cache_entries(bytes: &[u8]) {
    let [from, to] = fixed_parts(bytes).map(lossy);
    let (plan, faults) = caches::read_texts(Some(&from), Some(&to));
    assert_harmless(&faults);
    // A secret that also stands elsewhere is not known as one.
    let is_key = [&from, &to].into_iter().all(|text| {
        text.match_indices(SECRET).all(|(index, _)| {
            let before = text.get(..index).unwrap_or_default();
            before.ends_with("secret_access_key=") || before.ends_with("session_token=")
        })
    });
    if is_key {
        assert!(!faults.contains(SECRET), "{faults}");
        assert!(!format!("{plan:?}").contains(SECRET), "{plan:?}");
    }
    for cache in plan.imports.iter().chain(&plan.exports) {
        if let Some(suffixed) = cache.suffixed("linux-amd64") {
            assert_ne!(suffixed.to_string(), cache.to_string());
        }
    }
}

/// Reads a variable of the steps. The input contains its name and its value.
pub fn steps(bytes: &[u8]) {
    let [name, value] = fixed_parts(bytes).map(lossy);
    let (plan, faults) = steps::outcome(&name, &value);
    assert_harmless(&faults);
    let hosts = plan.hosts.iter().map(ToString::to_string);
    let ulimits = plan.ulimits.iter().map(ToString::to_string);
    // Each is one field of a line of CSV.
    for field in hosts.chain(ulimits) {
        assert!(!field.contains([',', '"']) && !field.contains(char::is_whitespace));
        assert_eq!(field.matches('=').count(), 1, "{field}");
    }
    let mut names: Vec<String> = plan.ulimits.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup_by_key(|ulimit| ulimit.split('=').next().map(str::to_owned));
    assert_eq!(names.len(), plan.ulimits.len());
    let is_signed = |size: u64| size > 0 && i64::try_from(size).is_ok();
    assert!(plan.shm_size.is_none_or(is_signed));
    assert!(plan.privileges.len() <= 2);
    let parent = plan.cgroup_parent.unwrap_or_default();
    assert!(!parent.contains(char::is_whitespace) && !parent.contains(char::is_control));
}

/// Writes outputs. The input contains their values, in the order of the names.
pub fn outputs(bytes: &[u8]) {
    let mut outputs = Outputs::default();
    let values: Vec<_> = parts(bytes).map(lossy).collect();
    let names = NAMES.map(str::to_owned);
    for (name, value) in names.iter().zip(&values) {
        outputs.add(name, value);
    }
    let ends_line =
        |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    let written = |value: &str| value.replace(ends_line, " ");
    let (shell, bitbucket) = (outputs.for_shell(), outputs.for_bitbucket(&names));
    let count = names.len().min(values.len());
    assert_eq!(shell.matches('\n').count(), count);
    assert_eq!(bitbucket.matches('\n').count(), count);
    let lines = shell
        .split_terminator('\n')
        .zip(bitbucket.split_terminator('\n'));
    for ((name, value), (shell, bitbucket)) in names.iter().zip(&values).zip(lines) {
        assert_eq!(bitbucket, format!("{name}={}", written(value)));
        let quoted = shell.strip_prefix(&format!("{name}="));
        assert_eq!(quoted.and_then(unquoted), Some(written(value)), "{shell}");
    }
}

/// The value of a shell word in single quotes, with `\'` between them; `None` for any other word.
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
