//! The context and the Dockerfile: from what was typed to paths that exist.
//!
//! `CONTEXT` and `DOCKERFILE` are relative to the working directory, as in `depot build -f DOCKERFILE CONTEXT`. Many
//! expect a Dockerfile to be relative to the context, so where the working directory has no such file the context's
//! is taken; where both have one, a warning says which is used. Links are followed once, here, and the real paths
//! must lie in the clone: a pipe's container shows nothing else of the step, and what else it holds is not for builds.

use std::{
    fs::{self, File},
    io,
    path::{Component, Path, PathBuf},
};

use super::{fault::Fault, findings::Findings, warning::Warning};

const CLONE_HINT: &str = "a pipe sees the clone directory of its step and nothing else of it: copy what the build needs into \
                          the clone first";

const NO_CLONE_HINT: &str = "the clone directory holds no clone of the repository: if the step has\n  clone:\n    enabled: false\nthen \
                             take that out, or get the files from the artifacts of an earlier step";

/// The directories that paths are relative to and must lie in.
pub(super) struct Places<'a> {
    working_directory: &'a Path,
    /// Without links; `None` where Bitbucket named none or it does not exist.
    clone: Option<PathBuf>,
}

impl<'a> Places<'a> {
    pub(super) fn new(working_directory: &'a Path, clone_dir: Option<&str>) -> Self {
        Self {
            working_directory,
            clone: clone_dir.and_then(|directory| fs::canonicalize(directory).ok()),
        }
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
            return context.join("Dockerfile");
        };
        let in_working_directory = cleaned(&self.working_directory.join(value));
        let in_context = cleaned(&context.join(value));
        let exists = |path: &Path| path.symlink_metadata().is_ok();
        match (exists(&in_working_directory), exists(&in_context)) {
            (false, true) => in_context,
            (true, true) if !is_same(&in_working_directory, &in_context) => {
                let (used, ignored) = (in_working_directory.clone(), in_context);
                findings.warn(Warning::TwoDockerfiles { used, ignored });
                in_working_directory
            }
            _ => in_working_directory,
        }
    }

    /// The real path of the context.
    pub(super) fn context(
        &self,
        value: Option<&str>,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<PathBuf> {
        if let Some(value) = value
            && (value.contains("://") || value.trim().starts_with("git@"))
        {
            let problem = format!("{} is an address, not a directory", findings.shown(value));
            findings.fault(Fault::new(
                "CONTEXT",
                problem,
                "write a directory of the clone",
            ));
            return None;
        }
        self.directory("CONTEXT", path, findings)
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
                return Err(Unusable::new(path, "is no directory"));
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

    /// The real path of the Dockerfile.
    pub(super) fn dockerfile(&self, path: &Path, findings: &mut Findings) -> Option<PathBuf> {
        let checked = self.resolved(path, |path, metadata| {
            if metadata.is_dir() {
                return Err(Unusable::new(path, "is a directory"));
            }
            // Opening a fifo would wait for its writer.
            if !metadata.is_file() {
                return Err(Unusable::new(path, "is no regular file"));
            }
            if metadata.len() == 0 {
                return Err(Unusable::new(path, "is empty"));
            }
            File::open(path)
                .map(drop)
                .map_err(|error| Unusable::from_io(path, &error))
        });
        let advice =
            "write the path of a Dockerfile, relative to the working directory or to the context";
        checked
            .map_err(|unusable| unusable.tell("DOCKERFILE", advice, findings))
            .ok()
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
        self.writable(path)
            .map_err(|unusable| unusable.tell(variable, advice, findings))
            .ok()
    }

    fn writable(&self, path: PathBuf) -> Result<PathBuf, Unusable> {
        if path.is_dir() {
            return Err(Unusable::new(&path, "is a directory"));
        }
        // What is there of the way to it decides where it would be.
        let parents = path.ancestors().skip(1);
        let there = parents
            .into_iter()
            .find(|parent| parent.symlink_metadata().is_ok())
            .unwrap_or(Path::new("/"));
        let real = fs::canonicalize(there).map_err(|error| Unusable::from_io(there, &error))?;
        if let Some(clone) = &self.clone
            && !real.starts_with(clone)
        {
            let problem = format!("lies outside of the clone directory `{}`", clone.display());
            let hint = Some("nothing but the clone directory is there after the pipe has ended");
            return Err(Unusable {
                hint,
                ..Unusable::new(&path, &problem)
            });
        }
        if !real.is_dir() {
            let problem = "leads through a file as if it were a directory";
            return Err(Unusable::new(&path, problem));
        }
        Ok(path)
    }

    /// Whether Bitbucket has cloned nothing.
    fn lacks_clone(&self) -> bool {
        let clone = self.clone.as_deref();
        clone.is_some_and(|clone| !clone.join(".git").exists())
    }

    fn resolved(
        &self,
        path: &Path,
        check: impl Fn(&Path, &fs::Metadata) -> Result<(), Unusable>,
    ) -> Result<PathBuf, Unusable> {
        let real = fs::canonicalize(path).map_err(|error| {
            let unusable = Unusable::from_io(path, &error);
            if error.kind() == io::ErrorKind::NotFound && self.lacks_clone() {
                let hint = Some(NO_CLONE_HINT);
                return Unusable { hint, ..unusable };
            }
            unusable
        })?;
        if let Some(clone) = &self.clone
            && !real.starts_with(clone)
        {
            let problem = format!("lies outside of the clone directory `{}`", clone.display());
            return Err(Unusable {
                hint: Some(CLONE_HINT),
                ..Unusable::new(&real, &problem)
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
