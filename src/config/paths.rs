//! The paths of the context, the Dockerfile and the output files.
//!
//! `CONTEXT` and `DOCKERFILE` are relative to the working directory, as in `depot build -f DOCKERFILE CONTEXT`. Many
//! users expect a Dockerfile to be relative to the context. So if the working directory has no such file, the one in the
//! context is used; if both have one, a warning reports which is used. Links are followed once, here, and the real paths
//! must be in the clone: the pipe's container has no other files of the step. Links that appear on these paths later are
//! rejected when the files are opened.
//!
//! The Dockerfile keeps the name in the variable, even if that is a link, because its ignore file is next to that name. An
//! ignore file that exists but cannot be used is a fault: without it the builder would get files that must be excluded.

mod file_system;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::file_system::{
    DOCKERFILE, IGNORE_FILE, Unusable, cleaned, exists, ignore_file_of, is_same, lower_case,
    readable_file, similar_name,
};
use super::findings::Findings;
use super::warning::Warning;
use crate::bitbucket::NO_CLONE;
use crate::bitbucket::variables::CLONE_DIR;
use crate::ssh::KEY_LIMIT_BYTES;

/// A directory that a builder may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FolderPlan {
    /// Absolute and without links.
    pub(crate) path: PathBuf,
    /// The target of its `.dockerignore`, if that is a link. Absolute and without links.
    pub(crate) ignore_file: Option<PathBuf>,
}

/// A Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DockerfilePlan {
    /// The last component of the path as written, which can be a link.
    pub(crate) name: String,
    /// Its content.
    pub(crate) source: DockerfileSource,
    /// The ignore file next to the path as written. Absolute and without links.
    pub(crate) ignore_file: Option<PathBuf>,
}

/// The place of the content of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DockerfileSource {
    /// A file, which is not empty. Absolute and without links.
    File(PathBuf),
    /// A text in a definition.
    Inline(Arc<str>),
}

impl DockerfilePlan {
    /// The file; `None` for a text in a definition.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.source {
            DockerfileSource::File(path) => Some(path),
            DockerfileSource::Inline(_) => None,
        }
    }
}

const NO_VARIABLE_HINT: &str =
    "BITBUCKET_CLONE_DIR is not set, so the working directory is used as the clone directory";

const CLONE_HINT: &str = "a pipe can read only the clone directory of its step: first copy the files of the build into it";

/// The directories for paths: relative paths start at the working directory, and all paths must be in the clone.
pub(super) struct Places<'a> {
    working_directory: &'a Path,
    /// Without links.
    clone: PathBuf,
    /// Whether `BITBUCKET_CLONE_DIR` is set. Otherwise the clone is the working directory.
    is_named: bool,
}

impl<'a> Places<'a> {
    /// `clone_dir` is the value of `BITBUCKET_CLONE_DIR`. An unusable directory is a fault, because paths could not be
    /// restricted to it.
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
            unusable.report(CLONE_DIR, advice, findings);
        }
        Self {
            working_directory,
            clone: real.unwrap_or_else(|_| working_directory.to_owned()),
            is_named: clone_dir.is_some(),
        }
    }

    /// The directory that relative paths start from.
    pub(super) fn working_directory(&self) -> &'a Path {
        self.working_directory
    }

    /// The directory that contains all paths, without links.
    pub(super) fn clone_directory(&self) -> &Path {
        &self.clone
    }

    /// The absolute path of the context as written. It may not exist.
    pub(super) fn context_as_written(&self, value: Option<&str>) -> PathBuf {
        match value {
            Some(value) => cleaned(&self.working_directory.join(value.trim())),
            None => self.working_directory.to_owned(),
        }
    }

    /// The absolute path of the Dockerfile as written. It may not exist.
    pub(super) fn dockerfile_as_written(
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

    /// Whether the path, relative to the working directory, is an existing directory.
    pub(super) fn has_directory(&self, value: &str) -> bool {
        self.context_as_written(Some(value)).is_dir()
    }

    /// The context. `dockerfile` is the path as written: if the Dockerfile has an ignore file of its own, that of the
    /// context is not used.
    pub(super) fn context(
        &self,
        path: &Path,
        dockerfile: &Path,
        findings: &mut Findings,
    ) -> Option<FolderPlan> {
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
        let written = path.join(IGNORE_FILE);
        let ignore_file = self.ignore_file(variable, &written, findings).ok()?;
        // An ignore file that is not a link is sent with the directory.
        let ignore_file = ignore_file.filter(|_| written.is_symlink());
        Some(FolderPlan { path, ignore_file })
    }

    /// The real path of an ignore file, if it exists; an error if it cannot be used.
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
            .map_err(|unusable| unusable.report(variable, advice, findings))
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
            .map_err(|unusable| unusable.report(variable, advice, findings))
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
                        problem: format!("{}, but `{name}` exists next to it", unusable.problem),
                        hint: None,
                        ..unusable
                    },
                    None => unusable,
                };
                unusable.report("DOCKERFILE", advice, findings);
            })
            .ok();
        let ignore_file = self.ignore_file("DOCKERFILE", &ignore_file_of(path), findings);
        Some(DockerfilePlan {
            name: path.file_name()?.to_str()?.to_owned(),
            source: DockerfileSource::File(file?),
            ignore_file: ignore_file.ok()?,
        })
    }

    /// A Dockerfile whose text is in a definition.
    pub(super) fn inline_dockerfile(content: &str) -> DockerfilePlan {
        DockerfilePlan {
            name: DOCKERFILE.to_owned(),
            source: DockerfileSource::Inline(content.into()),
            ignore_file: None,
        }
    }

    /// Whether this path, relative to the working directory, exists.
    pub(super) fn has_file(&self, value: &str) -> bool {
        let path = cleaned(&self.working_directory.join(value.trim()));
        path.symlink_metadata().is_ok()
    }

    /// The real path of a file that contains a secret. It can be in a directory that no builder gets otherwise.
    pub(super) fn secret_file(
        &self,
        variable: &str,
        value: &str,
        limit_bytes: u64,
        findings: &mut Findings,
    ) -> Option<PathBuf> {
        let path = cleaned(&self.working_directory.join(value.trim()));
        let checked = self.resolved(&path, |path, metadata| {
            readable_file(path, metadata)?;
            if metadata.len() > limit_bytes {
                let problem = format!("has more than {limit_bytes} bytes");
                return Err(Unusable::new(path, &problem));
            }
            Ok(())
        });
        let advice = "write the path of a file in the clone, relative to the working directory";
        checked
            .map_err(|unusable| unusable.report(variable, advice, findings))
            .ok()
    }

    /// The real path of a private key, or of the socket of an agent; and whether it is a socket. It must be in the clone or in
    /// `folder`.
    pub(super) fn key_or_socket(
        &self,
        variable: &str,
        value: &str,
        folder: &Path,
        findings: &mut Findings,
    ) -> Option<(PathBuf, bool)> {
        let path = cleaned(&self.working_directory.join(value));
        let is_socket = |metadata: &fs::Metadata| metadata.file_type().is_socket();
        let check = |path: &Path, metadata: &fs::Metadata| {
            if is_socket(metadata) {
                return Ok(());
            }
            readable_file(path, metadata)?;
            if metadata.len() > KEY_LIMIT_BYTES {
                let problem = format!("has more than {KEY_LIMIT_BYTES} bytes");
                return Err(Unusable::new(path, &problem));
            }
            Ok(())
        };
        // The folder itself can be a link.
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let checked = match fs::canonicalize(&path) {
            Ok(real) if real.starts_with(&folder) => fs::metadata(&real)
                .map_err(|error| Unusable::from_io(&path, &error))
                .and_then(|metadata| check(&real, &metadata))
                .map(|()| real),
            _ => self.resolved(&path, check),
        };
        let advice = "write the path of a private key or of the socket of an agent in the clone, relative to the working directory, or `true` for the key of the step";
        let real = checked
            .map_err(|unusable| unusable.report(variable, advice, findings))
            .ok()?;
        let is_socket = fs::metadata(&real).is_ok_and(|metadata| is_socket(&metadata));
        Some((real, is_socket))
    }

    /// The path of an output file. The file and its directories may not exist.
    pub(super) fn output(
        &self,
        variable: &str,
        value: &str,
        findings: &mut Findings,
    ) -> Option<PathBuf> {
        let path = cleaned(&self.working_directory.join(value.trim()));
        let advice = "write the path of a file in the clone, relative to the working directory";
        self.writable(&path)
            .map_err(|unusable| unusable.report(variable, advice, findings))
            .ok()
    }

    /// The path of a directory for output files. It and its parents may not exist.
    pub(super) fn output_folder(
        &self,
        variable: &str,
        value: &str,
        findings: &mut Findings,
    ) -> Option<PathBuf> {
        let path = cleaned(&self.working_directory.join(value.trim()));
        let advice =
            "write the path of a directory in the clone, relative to the working directory";
        let checked = match path.symlink_metadata() {
            Ok(_) if path.is_dir() => {
                // The path of a file in it: the directory itself may be a link.
                let file = self.below_clone(&path.join("file"));
                let folder = file.map(|file| file.parent().map_or(path.clone(), Path::to_owned));
                folder.map_err(|unusable| Unusable { path, ..unusable })
            }
            Ok(_) => Err(Unusable::new(&path, "is not a directory")),
            Err(_) => self.below_clone(&path),
        };
        checked
            .map_err(|unusable| unusable.report(variable, advice, findings))
            .ok()
    }

    /// The path of an exported directory or file. It and its parent directories may not exist.
    pub(super) fn export(
        &self,
        variable: &str,
        value: &str,
        is_directory: bool,
        findings: &mut Findings,
    ) -> Option<PathBuf> {
        let path = cleaned(&self.working_directory.join(value.trim()));
        let advice = if is_directory {
            "write the path of a directory in the clone, relative to the working directory"
        } else {
            "write the path of a file in the clone, relative to the working directory"
        };
        let checked = self.replaceable(&path, is_directory);
        checked
            .map_err(|unusable| unusable.report(variable, advice, findings))
            .ok()
    }

    fn replaceable(&self, path: &Path, is_directory: bool) -> Result<PathBuf, Unusable> {
        if fs::canonicalize(path).is_ok_and(|real| self.clone.starts_with(&real)) {
            let problem = "contains the whole clone, which the result must not change";
            return Err(Unusable::new(path, problem));
        }
        let problem = match path.symlink_metadata() {
            Ok(found) if found.is_symlink() => "is a link",
            Ok(found) if found.is_dir() && !is_directory => "is a directory",
            Ok(found) if !found.is_dir() && is_directory => "is a file, not a directory",
            Ok(found) if !found.is_dir() && !found.is_file() => "is not a regular file",
            _ => return self.below_clone(path),
        };
        Err(Unusable::new(path, problem))
    }

    fn writable(&self, path: &Path) -> Result<PathBuf, Unusable> {
        if path.is_dir() {
            return Err(Unusable::new(path, "is a directory"));
        }
        self.below_clone(path)
    }

    /// The real path of an entry in the clone, which may not exist.
    fn below_clone(&self, path: &Path) -> Result<PathBuf, Unusable> {
        // The existing part of the path determines the real path.
        let parents = path.ancestors().skip(1);
        let existing = parents
            .into_iter()
            .find(|parent| parent.symlink_metadata().is_ok())
            .unwrap_or(Path::new("/"));
        let real =
            fs::canonicalize(existing).map_err(|error| Unusable::from_io(existing, &error))?;
        if !real.starts_with(&self.clone) {
            let problem = self.outside();
            let hint = if self.is_named {
                "files outside of the clone directory are lost when the pipe ends"
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
            let problem = "has a parent that is a file, not a directory";
            return Err(Unusable::new(path, problem));
        }
        // Links that appear in this part are rejected when the file is written.
        let missing = path.strip_prefix(existing).unwrap_or(path);
        Ok(real.join(missing))
    }

    /// Whether the clone directory has no clone.
    fn lacks_clone(&self) -> bool {
        self.is_named && !self.clone.join(".git").exists()
    }

    fn outside(&self) -> String {
        let clone = self.clone.display();
        format!("is outside of the clone directory `{clone}`")
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

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
