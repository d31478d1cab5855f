//! Tags from the values of the pipeline: the entries of `TAGS` and `SAVE_TAGS`.
//!
//! An entry is text with placeholders, such as `{branch}-{build}`. Text must be valid in a tag; values are cleaned. An entry with a
//! placeholder that has no value in this pipeline is omitted.

mod clean;
mod placeholder;
mod semver;
mod template;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use self::values::Values;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::clean::clean;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::semver::Version;

use self::placeholder::{ALL, Placeholder};
use self::template::{ErrorKind, Template, TemplateError};
use super::branch::{may_be_branch, tags_hint};
use super::fault::Fault;
use super::findings::Findings;
use super::values::words;

/// The limit for one entry, which also limits the work for it.
const MAX_ENTRY_BYTES: usize = 512;

/// The limit for the requirements in a message.
const MAX_SHOWN_ENTRIES: usize = 8;

/// The tags of a variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tags {
    /// Valid tags, each once, in the order of the entries.
    pub(crate) names: Vec<String>,
    /// Why entries were omitted, one line for each entry.
    pub(crate) omitted: Vec<String>,
    /// Whether an entry has a placeholder.
    pub(crate) has_placeholder: bool,
}

/// Reads a list of entries, and reports each fault of `variable`; also if no entry remains.
pub(super) fn read(
    variable: &'static str,
    list: &str,
    values: &Values,
    findings: &mut Findings,
) -> Tags {
    let mut tags = Tags::default();
    let mut missing: Vec<(String, Placeholder)> = Vec::new();
    let mut is_faultless = true;
    for entry in words(list) {
        let template = if entry.len() > MAX_ENTRY_BYTES {
            let problem = format!(
                "{} is longer than {MAX_ENTRY_BYTES} bytes",
                findings.shown(entry)
            );
            Err(Fault::new(variable, problem, "write a shorter entry"))
        } else {
            Template::parse(entry).map_err(|error| fault(variable, entry, &error, values, findings))
        };
        let template = match template {
            Ok(template) => template,
            Err(fault) => {
                is_faultless = false;
                findings.fault(fault);
                continue;
            }
        };
        tags.has_placeholder |= template.placeholders().next().is_some();
        match values.tag_of(&template) {
            Ok(tag) if tags.names.contains(&tag) => {}
            Ok(tag) => tags.names.push(tag),
            Err(placeholder) => missing.push((findings.shown(entry), placeholder)),
        }
    }
    if tags.names.is_empty() && is_faultless && !missing.is_empty() {
        findings.fault(none_left(variable, &missing, values));
    }
    let omitted = missing.iter().map(|(entry, placeholder)| {
        format!(
            "{variable}: {entry} is omitted, because it needs {}",
            placeholder.requirement()
        )
    });
    tags.omitted = omitted.collect();
    tags
}

/// The fault of a list of which no entry has a value.
fn none_left(variable: &'static str, missing: &[(String, Placeholder)], values: &Values) -> Fault {
    let mut needs: Vec<String> = Vec::new();
    for (entry, placeholder) in missing.iter().take(MAX_SHOWN_ENTRIES) {
        let need = format!("{entry} needs {}", placeholder.requirement());
        if !needs.contains(&need) {
            needs.push(need);
        }
    }
    if missing.len() > MAX_SHOWN_ENTRIES {
        needs.push(format!("{} others", missing.len() - MAX_SHOWN_ENTRIES));
    }
    let problem = format!(
        "no entry has a value in this pipeline: {}",
        needs.join(", ")
    );
    let advice = format!(
        "add an entry for this pipeline, such as `{}`, or run the step only in those pipelines",
        values.example()
    );
    Fault::new(variable, problem, advice)
}

/// The fault of an entry.
fn fault(
    variable: &'static str,
    entry: &str,
    error: &TemplateError,
    values: &Values,
    findings: &Findings,
) -> Fault {
    const TEXT_ADVICE: &str = "write a tag of letters, digits, `_`, `.` and `-`, such as `1.0`";
    let shown = findings.shown(entry);
    let place = entry
        .get(..error.span.start)
        .map_or(0, |before| before.chars().count() + 1);
    // A part of a secret would not be masked.
    let part = match entry.get(error.span.clone()) {
        Some(part) if !findings.has_secret(entry) => findings.masked(part),
        _ => "***".to_owned(),
    };
    let (problem, advice) = match error.kind {
        ErrorKind::Unknown(meant) => (
            format!("{shown} has the unknown placeholder `{part}` at character {place}"),
            placeholder_advice(meant),
        ),
        ErrorKind::Doubled(meant) => (
            format!("{shown} has two braces on each side of `{part}` at character {place}"),
            placeholder_advice(meant),
        ),
        ErrorKind::Open => (
            format!("{shown} has a `{{` without a `}}` at character {place}"),
            "write a placeholder without spaces and commas, such as `{branch}`".to_owned(),
        ),
        ErrorKind::Close => (
            format!("{shown} has a `}}` without a `{{` at character {place}"),
            "write a placeholder such as `{branch}`".to_owned(),
        ),
        // A rule of docker/metadata-action.
        ErrorKind::Text if entry.starts_with("type=") => (
            format!("{shown} is not a valid tag"),
            "write placeholders, such as `{branch}`, `{pr}` or `{semver}`, and texts".to_owned(),
        ),
        ErrorKind::Text if entry.contains('{') => (
            format!("{shown} has `{part}` at character {place}, which is not allowed there in a tag"),
            "write letters, digits, `_`, `.` and `-` outside of placeholders, and a letter, a digit or `_` at the start"
                .to_owned(),
        ),
        ErrorKind::Text => (
            format!("{shown} is not a valid tag"),
            TEXT_ADVICE.to_owned(),
        ),
    };
    let fault = Fault::new(variable, problem, advice);
    let is_text = error.kind == ErrorKind::Text && !entry.contains('{');
    match values.template_of(entry) {
        Some(template) => fault.with_hint(tags_hint(None, variable, &template)),
        None if is_text && may_be_branch(entry) => {
            fault.with_hint(tags_hint(None, variable, "{branch}"))
        }
        None => fault,
    }
}

fn placeholder_advice(meant: Option<Placeholder>) -> String {
    match meant {
        Some(meant) => format!("write `{{{}}}`", meant.name()),
        None => {
            let names = ALL.map(|known| format!("`{{{}}}`", known.name()));
            format!("write one of {}", names.join(", "))
        }
    }
}

/// Reads a list for a pipeline with these values. Returns the tags and the faults, for tests.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_values(list: &str, values: &Values) -> (Tags, super::ConfigError) {
    let mut findings = Findings::default();
    let tags = read("TAGS", list, values, &mut findings);
    (tags, findings.into_error())
}
