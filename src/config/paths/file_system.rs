//! Checks of single paths, and names that are similar to a missing one.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::io::bounded_file;

/// The number of entries of a directory that are searched for a similar name.
const MAX_ENTRIES: usize = 10_000;

/// The default name of a Dockerfile.
pub(super) const DOCKERFILE: &str = "Dockerfile";

/// The ignore file of a context. Also the suffix of the ignore file of a Dockerfile.
pub(super) const IGNORE_FILE: &str = ".dockerignore";

/// Why a path cannot be used.
pub(super) struct Unusable {
    pub(super) path: PathBuf,
    pub(super) problem: String,
    pub(super) hint: Option<&'static str>,
}

impl Unusable {
    pub(super) fn new(path: &Path, problem: &str) -> Self {
        Self {
            path: path.to_owned(),
            problem: problem.to_owned(),
            hint: None,
        }
    }

    pub(super) fn from_io(path: &Path, error: &io::Error) -> Self {
        let problem = match error.kind() {
            io::ErrorKind::NotFound if path.is_symlink() => "is a broken link",
            io::ErrorKind::NotFound => "does not exist",
            io::ErrorKind::PermissionDenied => "cannot be read: permission denied",
            io::ErrorKind::NotADirectory => "has a parent that is a file, not a directory",
            _ => return Self::new(path, &format!("cannot be read: {error}")),
        };
        Self::new(path, problem)
    }

    pub(super) fn report(self, variable: &str, advice: &str, findings: &mut Findings) {
        let problem = format!(
            "{} {}",
            findings.shown(&self.path.to_string_lossy()),
            findings.masked(&self.problem)
        );
        let fault = Fault::new(variable, problem, advice);
        findings.fault(match self.hint {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        });
    }
}

pub(super) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Checks that a file is regular and can be opened. Opening a fifo would wait for its writer.
pub(super) fn readable_file(path: &Path, metadata: &fs::Metadata) -> Result<(), Unusable> {
    if metadata.is_dir() {
        return Err(Unusable::new(path, "is a directory"));
    }
    if !metadata.is_file() {
        return Err(Unusable::new(path, "is not a regular file"));
    }
    // The file can be replaced after the check.
    bounded_file::open(path, File::options().read(true))
        .map(drop)
        .map_err(|error| Unusable::from_io(path, &error))
}

/// The ignore file that takes precedence over the one in the context.
pub(super) fn ignore_file_of(dockerfile: &Path) -> PathBuf {
    let mut name = dockerfile.as_os_str().to_owned();
    name.push(IGNORE_FILE);
    name.into()
}

/// `dockerfile` in place of a `Dockerfile` that does not exist, as in the released CLI and in frontends.
pub(super) fn lower_case(path: &Path) -> Option<PathBuf> {
    if path.file_name()? != DOCKERFILE || exists(path) {
        return None;
    }
    let path = path.with_file_name("dockerfile");
    exists(&path).then_some(path)
}

/// A similar name in the directory of a path that does not exist.
pub(super) fn similar_name(path: &Path) -> Option<String> {
    if exists(path) {
        return None;
    }
    let name = path.file_name()?.to_str()?;
    let entries = fs::read_dir(path.parent()?).ok()?;
    let mut names: Vec<String> = entries
        .take(MAX_ENTRIES)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|other| {
            other.eq_ignore_ascii_case(name)
                || (name == DOCKERFILE && other.eq_ignore_ascii_case("Containerfile"))
        })
        .collect();
    names.sort_unstable();
    names.into_iter().next()
}

/// Removes `.` and `..` without looking up links, like shells and the depot CLI.
pub(super) fn cleaned(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            _ => cleaned.push(component),
        }
    }
    cleaned
}

pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || fs::canonicalize(one)
            .is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}
