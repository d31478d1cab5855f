//! The Depot project: `DEPOT_PROJECT_ID`, else the project file that `depot init` writes.
//!
//! Project files are searched like in the released CLI: from the context and from the Dockerfile upwards to the root, by
//! the paths as written; in each directory `depot.json`, `depot.yml`, `depot.yaml` in this order. If the two searches find
//! different projects, that of the Dockerfile is used. Two things differ from the CLI. A file that cannot be read is a fault,
//! because otherwise the build would go to the project that the other search finds. And without `DOCKERFILE`, the search
//! starts at the context, while the CLI searches from the working directory.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::fault::Fault;
use super::findings::Findings;
use super::warning::Warning;
use crate::io::bounded_file;

/// The source of the project's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProjectSource {
    /// `DEPOT_PROJECT_ID`.
    Variable,
    /// This `depot.json`, `depot.yml` or `depot.yaml`.
    File(PathBuf),
    /// The attribute `project_id` of a target.
    Definition,
}

const FILE_NAMES: [&str; 3] = ["depot.json", "depot.yml", "depot.yaml"];
/// The limit for a project file, which contains only one id.
const FILE_MAX_BYTES: u64 = 64 * 1024;
/// The limit for an id. Depot's ids have ten characters.
const ID_MAX_CHARACTERS: usize = 128;

const VARIABLE: &str = "DEPOT_PROJECT_ID";
const ADVICE: &str =
    "set it to the project's id, or commit the `depot.json` that `depot init` writes";

/// The project's id and its source. `context` and `dockerfile` are absolute and may not exist.
pub(super) fn read(
    value: Option<&str>,
    context: &Path,
    dockerfile: &Path,
    findings: &mut Findings,
) -> Option<(String, ProjectSource)> {
    if let Some(id) = value.map(str::trim) {
        if !is_id(id) {
            findings.fault(Fault::new(
                VARIABLE,
                format!("{} is not a project id", findings.shown(id)),
                ADVICE,
            ));
            return None;
        }
        return Some((id.to_owned(), ProjectSource::Variable));
    }
    let directories = [Some(context), dockerfile.parent()];
    let mut files: Vec<PathBuf> = directories
        .into_iter()
        .flatten()
        .filter_map(project_file)
        .collect();
    files.dedup();
    if files.is_empty() {
        let problem = format!(
            "not set, and no `depot.json`, `depot.yml` or `depot.yaml` exists in {} or above",
            findings.shown(&context.to_string_lossy())
        );
        findings.fault(Fault::new(VARIABLE, problem, ADVICE));
        return None;
    }
    let mut found: Option<(String, PathBuf)> = None;
    let mut faulty = false;
    for file in files {
        match id_in(&file) {
            Ok(id) => {
                if let Some((ignored_id, ignored)) =
                    found.take().filter(|(earlier, _)| *earlier != id)
                {
                    let (used, used_id) = (file.clone(), id.clone());
                    findings.warn(Warning::TwoProjects {
                        used,
                        used_id,
                        ignored,
                        ignored_id,
                    });
                }
                found = Some((id, file));
            }
            Err(problem) => {
                let problem = format!(
                    "not set, and {} {problem}",
                    findings.shown(&file.to_string_lossy())
                );
                findings.fault(Fault::new(VARIABLE, problem, ADVICE));
                faulty = true;
            }
        }
    }
    found
        .filter(|_| !faulty)
        .map(|(id, file)| (id, ProjectSource::File(file)))
}

/// The first project file in `directory` or above. Directories with such a name are skipped. Anything else that is not a
/// file is a fault, because the build would go to another project.
fn project_file(directory: &Path) -> Option<PathBuf> {
    let mut candidates = directory
        .ancestors()
        .flat_map(|directory| FILE_NAMES.map(|name| directory.join(name)));
    candidates.find(|candidate| {
        candidate
            .metadata()
            .is_ok_and(|metadata| !metadata.is_dir())
    })
}

#[derive(Deserialize)]
struct ProjectFile {
    id: Option<String>,
}

/// The id in a project file, or the problem with the file. JSON is parsed as YAML.
fn id_in(file: &Path) -> Result<String, String> {
    let text = bounded_file::read_text(file, FILE_MAX_BYTES)
        .map_err(|error| format!("cannot be read: {error}"))?;
    let project: ProjectFile = serde_yaml::from_str(&text)
        .map_err(|_| "is not a JSON or YAML object with an `id`".to_owned())?;
    let id = project.id.unwrap_or_default();
    if is_id(id.trim()) {
        Ok(id.trim().to_owned())
    } else {
        Err("has no valid `id`".to_owned())
    }
}

/// Whether a text can be the id of a project.
pub(super) fn is_id(text: &str) -> bool {
    (1..=ID_MAX_CHARACTERS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Found = Result<(String, ProjectSource, Vec<Warning>), String>;

    /// Searches a project with these files in a directory, from `app` and `app/deep/Dockerfile` in it.
    fn find(value: Option<&str>, files: &[(&str, &str)]) -> (PathBuf, Found) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("app/deep")).unwrap();
        for (path, text) in files {
            fs::write(root.join(path), text).unwrap();
        }
        let mut findings = Findings::default();
        let found = read(
            value,
            &root.join("app"),
            &root.join("app/deep/Dockerfile"),
            &mut findings,
        );
        let found = match found {
            Some((id, source)) if findings.is_faultless() => {
                Ok((id, source, findings.into_warnings()))
            }
            Some(_) => panic!("an id in spite of a fault"),
            None => Err(findings.into_error().to_string()),
        };
        (root.to_owned(), found)
    }

    #[test]
    fn the_variable_comes_before_every_file() {
        let files = [("app/depot.json", "broken")];
        assert_eq!(
            find(Some(" abc123 "), &files).1,
            Ok(("abc123".into(), ProjectSource::Variable, vec![]))
        );
    }

    #[test]
    fn a_file_is_found_upwards_in_the_clis_order() {
        for (files, id, found) in [
            (
                vec![("depot.json", r#"{"id": "abc"}"#)],
                "abc",
                "depot.json",
            ),
            (
                vec![("depot.yml", "id: abc\nother: [1]")],
                "abc",
                "depot.yml",
            ),
            (vec![("depot.yaml", "id: 'abc'")], "abc", "depot.yaml"),
            (
                vec![("depot.yaml", "id: 0123456789")],
                "0123456789",
                "depot.yaml",
            ),
            (
                vec![("depot.json", "id: upper"), ("app/depot.yaml", "id: near")],
                "near",
                "app/depot.yaml",
            ),
            (
                vec![
                    ("app/depot.yaml", "id: c"),
                    ("app/depot.yml", "id: b"),
                    ("app/depot.json", "id: a"),
                ],
                "a",
                "app/depot.json",
            ),
        ] {
            let (root, project) = find(None, &files);
            assert_eq!(
                project,
                Ok((id.into(), ProjectSource::File(root.join(found)), vec![])),
                "{files:?}"
            );
        }
    }

    #[test]
    fn of_two_projects_that_of_the_dockerfile_is_used_with_a_warning() {
        let (root, project) = find(
            None,
            &[
                ("depot.json", "id: first"),
                ("app/deep/depot.json", "id: second"),
            ],
        );
        let (used, ignored) = (root.join("app/deep/depot.json"), root.join("depot.json"));
        let warning = Warning::TwoProjects {
            used: used.clone(),
            used_id: "second".into(),
            ignored,
            ignored_id: "first".into(),
        };
        assert_eq!(
            project,
            Ok(("second".into(), ProjectSource::File(used), vec![warning]))
        );

        let (root, project) = find(
            None,
            &[
                ("depot.json", "id: same"),
                ("app/deep/depot.json", "id: same"),
            ],
        );
        assert_eq!(
            project,
            Ok((
                "same".into(),
                ProjectSource::File(root.join("app/deep/depot.json")),
                vec![]
            ))
        );
    }

    #[test]
    fn a_project_file_that_is_not_regular_is_a_fault_and_not_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::write(root.join("depot.yml"), "id: other").unwrap();
        bounded_file::make_fifo(&root.join("depot.json"));
        let mut findings = Findings::default();
        assert_eq!(
            read(None, root, &root.join("Dockerfile"), &mut findings),
            None
        );
        let error = findings.into_error().to_string();
        assert!(
            error.contains("depot.json` cannot be read: it is not a regular file"),
            "{error}"
        );
        // A directory with that name is skipped.
        fs::remove_file(root.join("depot.json")).unwrap();
        fs::create_dir(root.join("depot.json")).unwrap();
        let mut findings = Findings::default();
        let found = read(None, root, &root.join("Dockerfile"), &mut findings);
        assert_eq!(found.map(|(id, _)| id).as_deref(), Some("other"));
    }

    #[test]
    fn an_invalid_project_is_reported() {
        let large = " ".repeat(70_000);
        for (value, files, problem) in [
            (
                None,
                vec![],
                "not set, and no `depot.json`, `depot.yml` or `depot.yaml` exists in `",
            ),
            (
                Some("a b"),
                vec![],
                "DEPOT_PROJECT_ID: `a b` is not a project id; ",
            ),
            (
                None,
                vec![("depot.json", "{")],
                "depot.json` is not a JSON or YAML object with an `id`; ",
            ),
            (
                None,
                vec![("depot.json", "[]")],
                "depot.json` is not a JSON or YAML object with an `id`; ",
            ),
            (
                None,
                vec![("depot.json", "{\"id\": {}}")],
                "depot.json` is not a JSON or YAML object with an `id`; ",
            ),
            (
                None,
                vec![("depot.json", "{}")],
                "depot.json` has no valid `id`; ",
            ),
            (
                None,
                vec![("depot.json", "id: ' '")],
                "depot.json` has no valid `id`; ",
            ),
            (
                None,
                vec![("depot.yml", large.as_str())],
                "depot.yml` cannot be read: it is larger than 65536 bytes; ",
            ),
            (
                None,
                vec![("depot.yml", "id: good"), ("app/deep/depot.yml", "")],
                "app/deep/depot.yml` ",
            ),
        ] {
            let error = find(value, &files).1.expect_err(problem);
            assert!(
                error.starts_with("DEPOT_PROJECT_ID: ") && error.contains(problem),
                "{error}"
            );
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
