//! The context and the Dockerfile: from what was typed to paths that exist.
//!
//! `CONTEXT` and `DOCKERFILE` are relative to the working directory, as in `depot build -f DOCKERFILE CONTEXT`. Many
//! expect a Dockerfile to be relative to the context, so where the working directory has no such file the context's
//! is taken; where both have one, a warning says which is used. Links are followed once, here, and the real paths
//! must lie in the clone: a pipe's container shows nothing else of the step, and what else it holds is not for builds.
//! Links that appear on these paths later are refused when the files are opened.
//!
//! The Dockerfile keeps the name that was typed, also if that is a link, because its ignore file is the one beside that
//! name. An ignore file that exists but cannot be used is an error: without it the builder would get files that are to be
//! excluded.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Component, Path, PathBuf},
};

use super::{
    fault::Fault,
    findings::Findings,
    plan::{DockerfilePlan, FolderPlan},
    ssh_address::SshAddress,
    warning::Warning,
};
use crate::bitbucket::NO_CLONE;
use crate::bitbucket::variables::CLONE_DIR;
use crate::io::bounded_file;

/// What a frontend looks for in a context, and behind the name of a Dockerfile.
const IGNORE_FILE: &str = ".dockerignore";

/// The name of a Dockerfile that is not named.
const DOCKERFILE: &str = "Dockerfile";

/// Entries of a directory that are looked through for a similar name.
const MAX_ENTRIES: usize = 10_000;

const NO_VARIABLE_HINT: &str =
    "BITBUCKET_CLONE_DIR is not set, so the working directory is taken as the clone directory";

const CLONE_HINT: &str = "a pipe sees the clone directory of its step and nothing else of it: copy what the build needs into \
                          the clone first";

/// The directories that paths are relative to and must lie in.
pub(super) struct Places<'a> {
    working_directory: &'a Path,
    /// Without links.
    clone: PathBuf,
    /// `BITBUCKET_CLONE_DIR` names it. It is the working directory otherwise.
    is_named: bool,
}

impl<'a> Places<'a> {
    /// `clone_dir` is the value of `BITBUCKET_CLONE_DIR`. A directory that cannot be used is a fault: without it nothing
    /// would bound the paths.
    pub(super) fn new(
        working_directory: &'a Path,
        clone_dir: Option<&OsStr>,
        findings: &mut Findings,
    ) -> Self {
        let clone = clone_dir.unwrap_or(working_directory.as_os_str());
        let real = fs::canonicalize(clone);
        if let (Err(error), true) = (&real, clone_dir.is_some()) {
            let unusable = Unusable::from_io(Path::new(clone), error);
            let advice =
                "set it to the directory of the clone, or unset it to use the working directory";
            unusable.tell(CLONE_DIR, advice, findings);
        }
        Self {
            working_directory,
            clone: real.unwrap_or_else(|_| working_directory.to_owned()),
            is_named: clone_dir.is_some(),
        }
    }

    /// The directory that all paths lie in, without links.
    pub(super) fn clone_directory(&self) -> &Path {
        &self.clone
    }

    /// The context as typed, made absolute. It may not exist.
    pub(super) fn context_as_typed(&self, value: Option<&str>) -> PathBuf {
        match value {
            Some(value) => cleaned(&self.working_directory.join(value.trim())),
            None => self.working_directory.to_owned(),
        }
    }

    /// The Dockerfile as typed, made absolute. It may not exist.
    pub(super) fn dockerfile_as_typed(
        &self,
        value: Option<&str>,
        context: &Path,
        findings: &mut Findings,
    ) -> PathBuf {
        let Some(value) = value.map(str::trim) else {
            let path = context.join(DOCKERFILE);
            return lower_case(&path).unwrap_or(path);
        };
        let in_working_directory = cleaned(&self.working_directory.join(value));
        let in_context = cleaned(&context.join(value));
        match (exists(&in_working_directory), exists(&in_context)) {
            (false, true) => in_context,
            (false, false) => lower_case(&in_working_directory)
                .or_else(|| lower_case(&in_context))
                .unwrap_or(in_working_directory),
            (true, true) if !is_same(&in_working_directory, &in_context) => {
                let (used, ignored) = (in_working_directory.clone(), in_context);
                findings.warn(Warning::TwoDockerfiles { used, ignored });
                in_working_directory
            }
            _ => in_working_directory,
        }
    }

    /// Whether a text, relative to the working directory, names a directory that exists.
    pub(super) fn has_directory(&self, value: &str) -> bool {
        self.context_as_typed(Some(value)).is_dir()
    }

    /// The context. `dockerfile` is the Dockerfile as typed: if that has an ignore file of its own, the context's is not
    /// used.
    pub(super) fn context(
        &self,
        value: Option<&str>,
        path: &Path,
        dockerfile: &Path,
        findings: &mut Findings,
    ) -> Option<FolderPlan> {
        let ssh = value.and_then(SshAddress::parse).filter(|_| !path.is_dir());
        if let Some(address) = &ssh {
            let shown = address.shown(findings);
            let problem =
                format!("{shown} is the address of a Git repository over SSH, not a directory");
            let advice = "write a directory of the clone; BUILD_CONTEXTS takes a Git repository's `https://` address";
            findings.fault(Fault::new("CONTEXT", problem, advice));
            return None;
        }
        if let Some(value) = value
            && value.contains("://")
        {
            let problem = format!("{} is an address, not a directory", findings.shown(value));
            findings.fault(Fault::new(
                "CONTEXT",
                problem,
                "write a directory of the clone",
            ));
            return None;
        }
        let path = self.directory("CONTEXT", path, findings)?;
        if exists(&ignore_file_of(dockerfile)) {
            let ignore_file = None;
            return Some(FolderPlan { path, ignore_file });
        }
        self.folder("CONTEXT", path, findings)
    }

    /// A directory for a build, with its ignore file.
    pub(super) fn named_folder(
        &self,
        variable: &str,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<FolderPlan> {
        let path = self.directory(variable, path, findings)?;
        self.folder(variable, path, findings)
    }

    fn folder(&self, variable: &str, path: PathBuf, findings: &mut Findings) -> Option<FolderPlan> {
        let typed = path.join(IGNORE_FILE);
        let ignore_file = self.ignore_file(variable, &typed, findings).ok()?;
        // One that is no link is sent with the directory.
        let ignore_file = ignore_file.filter(|_| typed.is_symlink());
        Some(FolderPlan { path, ignore_file })
    }

    /// The real path of an ignore file, if there is one; an error if it cannot be used.
    fn ignore_file(
        &self,
        variable: &str,
        path: &Path,
        findings: &mut Findings,
    ) -> Result<Option<PathBuf>, ()> {
        if !exists(path) {
            return Ok(None);
        }
        let checked = self.resolved(path, readable_file);
        let advice = "the ignore file excludes files from the build: correct it or remove it";
        checked
            .map(Some)
            .map_err(|unusable| unusable.tell(variable, advice, findings))
    }

    /// The real path of a directory that can be read.
    pub(super) fn directory(
        &self,
        variable: &str,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<PathBuf> {
        let checked = self.resolved(path, |path, metadata| {
            if !metadata.is_dir() {
                return Err(Unusable::new(path, "is not a directory"));
            }
            fs::read_dir(path)
                .map(drop)
                .map_err(|error| Unusable::from_io(path, &error))
        });
        let advice = "write a directory of the clone";
        checked
            .map_err(|unusable| unusable.tell(variable, advice, findings))
            .ok()
    }

    /// The Dockerfile and its ignore file.
    pub(super) fn dockerfile(
        &self,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<DockerfilePlan> {
        let checked = self.resolved(path, |path, metadata| {
            readable_file(path, metadata)?;
            if metadata.len() == 0 {
                return Err(Unusable::new(path, "is empty"));
            }
            Ok(())
        });
        let advice =
            "write the path of a Dockerfile, relative to the working directory or to the context";
        let file = checked
            .map_err(|unusable| {
                let unusable = match similar_name(path) {
                    Some(name) => Unusable {
                        problem: format!("{}, but `{name}` exists beside it", unusable.problem),
                        hint: None,
                        ..unusable
                    },
                    None => unusable,
                };
                unusable.tell("DOCKERFILE", advice, findings);
            })
            .ok();
        let ignore_file = self.ignore_file("DOCKERFILE", &ignore_file_of(path), findings);
        Some(DockerfilePlan {
            name: path.file_name()?.to_str()?.to_owned(),
            file: file?,
            ignore_file: ignore_file.ok()?,
        })
    }

    /// Where a file is to be written, that may not be there yet, nor its folders.
    pub(super) fn output(
        &self,
        variable: &str,
        value: &str,
        findings: &mut Findings,
    ) -> Option<PathBuf> {
        let path = cleaned(&self.working_directory.join(value.trim()));
        let advice = "write the path of a file in the clone, relative to the working directory";
        self.writable(&path)
            .map_err(|unusable| unusable.tell(variable, advice, findings))
            .ok()
    }

    fn writable(&self, path: &Path) -> Result<PathBuf, Unusable> {
        if path.is_dir() {
            return Err(Unusable::new(path, "is a directory"));
        }
        // What is there of the way to it decides where it would be.
        let parents = path.ancestors().skip(1);
        let there = parents
            .into_iter()
            .find(|parent| parent.symlink_metadata().is_ok())
            .unwrap_or(Path::new("/"));
        let real = fs::canonicalize(there).map_err(|error| Unusable::from_io(there, &error))?;
        if !real.starts_with(&self.clone) {
            let problem = self.outside();
            let hint = if self.is_named {
                "nothing but the clone directory is there after the pipe has ended"
            } else {
                NO_VARIABLE_HINT
            };
            let hint = Some(hint);
            return Err(Unusable {
                hint,
                ..Unusable::new(path, &problem)
            });
        }
        if !real.is_dir() {
            let problem = "leads through a file as if it were a directory";
            return Err(Unusable::new(path, problem));
        }
        // Without links, which are refused when the file is written.
        let missing = path.strip_prefix(there).unwrap_or(path);
        Ok(real.join(missing))
    }

    /// Whether Bitbucket has cloned nothing.
    fn lacks_clone(&self) -> bool {
        self.is_named && !self.clone.join(".git").exists()
    }

    fn outside(&self) -> String {
        let clone = self.clone.display();
        format!("lies outside of the clone directory `{clone}`")
    }

    fn resolved(
        &self,
        path: &Path,
        check: impl Fn(&Path, &fs::Metadata) -> Result<(), Unusable>,
    ) -> Result<PathBuf, Unusable> {
        let real = fs::canonicalize(path).map_err(|error| {
            let unusable = Unusable::from_io(path, &error);
            if error.kind() == io::ErrorKind::NotFound && self.lacks_clone() {
                let hint = Some(NO_CLONE);
                return Unusable { hint, ..unusable };
            }
            unusable
        })?;
        if !real.starts_with(&self.clone) {
            let hint = if self.is_named {
                CLONE_HINT
            } else {
                NO_VARIABLE_HINT
            };
            return Err(Unusable {
                hint: Some(hint),
                ..Unusable::new(&real, &self.outside())
            });
        }
        let metadata = fs::metadata(&real).map_err(|error| Unusable::from_io(path, &error))?;
        check(&real, &metadata).map(|()| real)
    }
}

/// Why a path is not what it should be.
struct Unusable {
    path: PathBuf,
    problem: String,
    hint: Option<&'static str>,
}

impl Unusable {
    fn new(path: &Path, problem: &str) -> Self {
        Self {
            path: path.to_owned(),
            problem: problem.to_owned(),
            hint: None,
        }
    }

    fn from_io(path: &Path, error: &io::Error) -> Self {
        let problem = match error.kind() {
            io::ErrorKind::NotFound if path.is_symlink() => "is a link that leads nowhere",
            io::ErrorKind::NotFound => "does not exist",
            io::ErrorKind::PermissionDenied => "may not be read",
            io::ErrorKind::NotADirectory => "leads through a file as if it were a directory",
            _ => return Self::new(path, &format!("cannot be read: {error}")),
        };
        Self::new(path, problem)
    }

    fn tell(self, variable: &str, advice: &str, findings: &mut Findings) {
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

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Checks that a file is regular and can be opened. Opening a fifo would wait for its writer.
fn readable_file(path: &Path, metadata: &fs::Metadata) -> Result<(), Unusable> {
    if metadata.is_dir() {
        return Err(Unusable::new(path, "is a directory"));
    }
    if !metadata.is_file() {
        return Err(Unusable::new(path, "is not a regular file"));
    }
    // It can be replaced in between.
    bounded_file::open(path, File::options().read(true))
        .map(drop)
        .map_err(|error| Unusable::from_io(path, &error))
}

/// The ignore file that goes before the context's.
fn ignore_file_of(dockerfile: &Path) -> PathBuf {
    let mut name = dockerfile.as_os_str().to_owned();
    name.push(IGNORE_FILE);
    name.into()
}

/// `dockerfile` beside a `Dockerfile` that does not exist, as in the released CLI and in frontends.
fn lower_case(path: &Path) -> Option<PathBuf> {
    if path.file_name()? != DOCKERFILE || exists(path) {
        return None;
    }
    let path = path.with_file_name("dockerfile");
    exists(&path).then_some(path)
}

/// The name of a file that may have been meant by a path that does not exist.
fn similar_name(path: &Path) -> Option<String> {
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

/// Without `.` and `..`, by the text alone, as shells and the depot CLI do it.
fn cleaned(path: &Path) -> PathBuf {
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

fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || fs::canonicalize(one)
            .is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
