//! Reads the definition.

use std::io::{self, Read};
use std::path::Path;

use depot_bake::{Definition, Flags, Part, Request};

use super::BakeVariables;
use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::paths::Places;
use crate::config::values::{boolean, entries, words};
use crate::config::{Described, read_boolean};
use crate::platform::Architecture;

/// The limit for a file of a definition, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The limit for the targets of a run. Each needs its own solve and its own lines in the log.
const MAX_TARGETS: usize = 500;

/// A definition, and how it is used.
pub(in super::super) struct Bake {
    pub(super) definition: Definition,
    /// The name of the directory of the first file.
    pub(super) directory: String,
    /// Whether the definition is only printed.
    pub(in super::super) is_printed: bool,
}

impl Bake {
    /// The definition as JSON, in the form of `depot bake --print`.
    pub(in super::super) fn to_json(&self) -> String {
        let json = self.definition.to_json();
        serde_json::to_string_pretty(&json).unwrap_or_default()
    }
}

/// Reads the definition. Reports all faults, and returns `None` after one.
pub(in super::super) fn read(
    variables: &BakeVariables,
    described: &Described,
    environment: &Environment,
    places: &Places<'_>,
    findings: &mut Findings,
) -> Option<Bake> {
    super::refused::report(environment, findings);
    let values = super::values::read(variables.bake_vars.as_deref(), environment, findings);
    let is_printed = read_boolean("BAKE_PRINT", variables.bake_print.as_deref(), findings);
    let list = |value: &Option<String>| -> Vec<String> {
        let value = value.as_deref().unwrap_or_default();
        words(value).map(str::to_owned).collect()
    };
    let files = list(&variables.bake_files);
    if files.iter().any(|file| file == "-") {
        findings.fault(Fault::new(
            "BAKE_FILES",
            "`-` is the standard input, which a pipe does not have",
            "write the path of a file",
        ));
        return None;
    }
    let targets = list(&variables.targets);
    if let Some(address) = targets.iter().find(|target| target.contains("://")) {
        let problem = format!(
            "{} is an address; definitions of other repositories are not supported",
            findings.shown(address)
        );
        findings.fault(Fault::new(
            "TARGETS",
            problem,
            "write the names of targets; the definition must be in the clone",
        ));
        return None;
    }
    let first = files.first().map_or("", String::as_str);
    let first = places
        .working_directory()
        .join(first.trim_start_matches("cwd://"));
    let directory = if files.is_empty() {
        Some(&*first)
    } else {
        first.parent()
    };
    let directory = directory.and_then(Path::file_name).unwrap_or_default();
    let directory = directory.to_string_lossy().into_owned();
    let set = variables.bake_set.as_deref().unwrap_or_default();
    let mut overrides: Vec<String> = entries(set).map(str::to_owned).collect();
    let platforms = described.build.platforms.as_deref().unwrap_or_default();
    overrides.extend(words(platforms).map(|platform| format!("*.platform={platform}")));
    let variable = |name: &str| values.get(name).cloned();
    let read_file = |path: &Path| file(path, places);
    let architecture = Architecture::of_this_program().unwrap_or(Architecture::Amd64);
    let request = Request {
        files,
        targets,
        overrides,
        flags: flags(described),
        platform: format!("linux/{}", architecture.name()),
        ..Request::new(&variable, &read_file)
    };
    let definition = match depot_bake::read(&request) {
        Ok(definition) => definition,
        Err(error) => {
            findings.fault(fault(&error, findings));
            return None;
        }
    };
    let count = definition.targets.len();
    if count == 0 || count > MAX_TARGETS {
        let problem = format!("{count} targets are selected; 1 to {MAX_TARGETS} are possible");
        findings.fault(Fault::new("TARGETS", problem, "write the targets to build"));
        return None;
    }
    for warning in &definition.warnings {
        // Without the source line: a warning is one line.
        let text = warning.to_string();
        let text = findings.masked(text.lines().next().unwrap_or_default());
        findings.warn(crate::config::Warning::Definition { text });
    }
    Some(Bake {
        definition,
        directory,
        is_printed,
    })
}

/// The flags of `depot bake` for all targets.
fn flags(described: &Described) -> Flags {
    let is_true = |value: &Option<String>| value.as_deref().and_then(boolean);
    Flags {
        push: is_true(&described.image.push) == Some(true),
        no_cache: is_true(&described.build.no_cache).filter(|is_set| *is_set),
        pull: is_true(&described.freshness.pull).filter(|is_set| *is_set),
        sbom: described.metadata.sbom.clone(),
        provenance: described.metadata.provenance.clone(),
    }
}

/// Reads a file of the clone.
fn file(path: &Path, places: &Places<'_>) -> io::Result<Vec<u8>> {
    let path = places.working_directory().join(path).canonicalize()?;
    if !path.starts_with(places.clone_directory()) {
        let text = "it is outside of the clone directory";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    let file = std::fs::File::open(&path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut content = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        let text = format!("it has more than {MAX_FILE_BYTES} bytes");
        return Err(io::Error::other(text));
    }
    Ok(content)
}

/// The fault of a definition with its place, or of the variable that selects a part of it.
fn fault(error: &depot_bake::Error, findings: &Findings) -> Fault {
    let text = error.to_string();
    let lines: Vec<String> = text.lines().map(|line| findings.masked(line)).collect();
    let (first, source) = lines
        .split_first()
        .map_or(("", &[][..]), |(first, source)| (first.as_str(), source));
    let variable = match error.part() {
        Some(Part::Files) => "BAKE_FILES",
        Some(Part::Targets) => "TARGETS",
        Some(Part::Overrides) => "BAKE_SET",
        None => "bake definition",
    };
    Fault::new(variable, first, "").with_excerpt(source.join("\n"))
}
