//! The form of an entry: its type, its destination and its attributes.

use super::ExportKind;
use crate::config::findings::Findings;
use crate::config::images::contains_login;
use crate::config::{compression, csv};
use crate::registry::reference::Reference;

/// The forms of an entry.
pub(super) const FORMS: &str = "write `type=local,dest=DIR`, `type=tar,dest=FILE`, `type=oci,dest=FILE` or `type=docker,dest=FILE`";

/// A problem of an entry, and the correction.
pub(super) struct Problem {
    pub(super) problem: String,
    pub(super) advice: String,
}

/// A problem that follows the words "entry 1", or the destination.
pub(super) fn problem(problem: impl Into<String>, advice: impl Into<String>) -> Problem {
    Problem {
        problem: problem.into(),
        advice: advice.into(),
    }
}

/// An entry whose destination is not checked yet.
pub(super) struct Entry {
    pub(super) kind: ExportKind,
    pub(super) dest: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) has_platform_folder: bool,
}

/// Reads an entry.
pub(super) fn read(line: &str, findings: &Findings) -> Result<Entry, Problem> {
    let line = line.trim();
    let invalid = |fault: csv::CsvFault| problem(format!("is not valid: {fault}"), FORMS);
    let record = csv::record(line).map_err(invalid)?;
    if let [path] = &*record
        && !path.contains('=')
    {
        return Ok(Entry {
            kind: ExportKind::Local,
            dest: destination(path)?,
            attributes: Vec::new(),
            has_platform_folder: false,
        });
    }
    let fields = csv::fields(line).map_err(invalid)?;
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some([name, _]) = names.array_windows().find(|[one, other]| one == other) {
        let repeated = format!("sets {} more than once", findings.shown(name));
        return Err(problem(repeated, "write each attribute once"));
    }
    let value = |wanted: &str| {
        let mut fields = fields.iter();
        fields.find_map(|(name, value)| (name == wanted).then_some(value.as_str()))
    };
    let kind = kind(value("type"), value("dest").is_some(), findings)?;
    let Some(dest) = value("dest") else {
        let what = format!("has no `dest` for `type={}`", kind.name());
        return Err(problem(what, FORMS));
    };
    let mut entry = Entry {
        kind,
        dest: destination(dest)?,
        attributes: Vec::new(),
        has_platform_folder: false,
    };
    for (name, value) in &fields {
        if name != "type" && name != "dest" {
            attribute(&mut entry, name, value, findings)?;
        }
    }
    if let Some(level) = value("compression-level")
        && let Some((what, advice)) = compression::wrong_level(value("compression"), level)
    {
        return Err(problem(what, advice));
    }
    Ok(entry)
}

/// The form of the result.
fn kind(value: Option<&str>, has_dest: bool, findings: &Findings) -> Result<ExportKind, Problem> {
    let Some(value) = value else {
        return Err(problem("has no `type`", FORMS));
    };
    match value {
        "image" | "registry" => Err(problem(
            format!("has `type={value}`, which is not a file"),
            "remove it, and set IMAGE and `PUSH: 'true'`",
        )),
        "cacheonly" => Err(problem(
            "has `type=cacheonly`, which exports nothing",
            "remove it: without OUTPUTS, PUSH, LOAD and SAVE, the result stays in the builder's cache",
        )),
        "docker" if !has_dest => Err(problem(
            "has `type=docker` without `dest`",
            "set `LOAD: 'true'` to load the image into the step's Docker daemon, or write `type=docker,dest=FILE`",
        )),
        value => {
            let known = ExportKind::ALL.into_iter();
            let mut known = known.filter(|kind| kind.name() == value);
            known.next().ok_or_else(|| {
                problem(
                    format!("has an unknown type {}", findings.shown(value)),
                    FORMS,
                )
            })
        }
    }
}

/// A destination that is not empty, and not standard output.
fn destination(value: &str) -> Result<String, Problem> {
    match value.trim() {
        "" => Err(problem("has an empty `dest`", FORMS)),
        "-" => Err(problem(
            "writes to standard output, which a pipe does not have",
            "write the path of a file or a directory of the clone",
        )),
        value => Ok(value.to_owned()),
    }
}

/// Reads an attribute and adds it to the entry.
fn attribute(
    entry: &mut Entry,
    name: &str,
    value: &str,
    findings: &Findings,
) -> Result<(), Problem> {
    let kind = entry.kind;
    let wrong = |expected: &str| {
        let what = format!("has {} in `{name}`", findings.shown(value));
        problem(what, format!("write {expected}"))
    };
    let boolean = || go_boolean(value).ok_or_else(|| wrong("`true` or `false`"));
    let value = match (name, kind.is_image()) {
        ("platform-split", false) => {
            if boolean()? {
                entry.has_platform_folder = true;
            }
            return Ok(());
        }
        ("tar", true) => {
            if boolean()? {
                return Ok(());
            }
            return Err(problem(
                "has `tar=false`: a directory as the result is not supported",
                "remove it; the result is an archive",
            ));
        }
        ("attestation-prefix", false) => value.to_owned(),
        ("source-date-epoch", _) => {
            let seconds: i64 = value.parse().map_err(|_| wrong("seconds since 1970"))?;
            seconds.to_string()
        }
        ("name", true) => names(value, findings)?,
        ("compression", true) => {
            let known = ["uncompressed", "gzip", "estargz", "zstd"];
            if !known.contains(&value) {
                return Err(wrong("`uncompressed`, `gzip`, `estargz` or `zstd`"));
            }
            value.to_owned()
        }
        ("compression-level", true) => {
            let level: u8 = value.parse().map_err(|_| wrong("a number from 0 to 22"))?;
            if level > 22 {
                return Err(wrong("a number from 0 to 22"));
            }
            level.to_string()
        }
        ("force-compression" | "oci-mediatypes", true) => boolean()?.to_string(),
        _ if name.starts_with("annotation") && kind == ExportKind::Oci => {
            // The names of annotations are case-sensitive, and the names of attributes are not.
            let advice = "remove it, and set ANNOTATIONS";
            return Err(problem("sets an annotation", advice));
        }
        _ => {
            let shown = findings.shown(name);
            let what = format!(
                "has the attribute {shown}, which `type={}` does not have",
                kind.name()
            );
            let known = if kind.is_image() {
                "`name`, `compression`, `compression-level`, `force-compression`, `oci-mediatypes` or `source-date-epoch`"
            } else {
                "`platform-split`, `attestation-prefix` or `source-date-epoch`"
            };
            return Err(problem(what, format!("remove it, or write {known}")));
        }
    };
    entry.attributes.push((name.to_owned(), value));
    Ok(())
}

/// Valid names, in their complete form.
fn names(value: &str, findings: &Findings) -> Result<String, Problem> {
    let mut names = Vec::new();
    for name in value.split(',').map(str::trim) {
        let reference = Reference::parse(name).map_err(|error| {
            if contains_login(name) {
                // The error would show it.
                let text = format!(
                    "has the name {}, which contains a login",
                    findings.shown(name)
                );
                return problem(text, "write the name without it");
            }
            let text = format!("has the name {}: {error}", findings.shown(name));
            let advice = format!("write {}", findings.masked(&error.advice()));
            problem(findings.masked(&text), advice)
        })?;
        names.push(reference.to_string());
    }
    Ok(names.join(","))
}

/// The words for true and false in Go, as the builder reads them.
fn go_boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
