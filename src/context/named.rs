//! Single files that are offered to a builder under other names.
//!
//! A builder reads the Dockerfile and its ignore file by the names that the user wrote. Either may be
//! a symbolic link to a file outside of the offered folder, which the builder could not follow. So each
//! is offered as a regular file with the content of the link's target.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::announced::TimeTrust;
use super::error::{OpenError, WalkError, shown};
use super::observer::Observer;
use super::stat::{Entry, mode};
use super::tree::Tree;
use crate::io::bounded_file;

/// A file of a tree, under another name.
#[derive(Debug, Clone)]
pub(crate) struct NamedFile {
    name: String,
    /// Without links, relative to the tree.
    path: PathBuf,
    tree: Arc<Tree>,
}

impl NamedFile {
    /// Offers the file at `path` in the tree as `name`.
    ///
    /// `path` is relative to the tree and contains no links: links that appear in it later are rejected.
    #[must_use]
    pub(crate) fn new(name: impl Into<String>, path: impl Into<PathBuf>, tree: Arc<Tree>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            tree,
        }
    }

    /// The name under which it is offered.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The file as an entry of a folder.
    ///
    /// # Errors
    /// The file was removed, or its metadata cannot be read.
    pub(super) fn entry(&self) -> Result<Entry, WalkError> {
        let failed = |source| WalkError::Entry {
            path: shown(self.path.as_os_str().as_bytes()),
            source,
        };
        let parent = self.path.parent().unwrap_or(Path::new(""));
        let parent = match parent.as_os_str().as_bytes() {
            b"" => b".",
            parent => parent,
        };
        let (directory, _) = self
            .tree
            .open_directory(parent, OFlags::PATH)
            .map_err(|error| failed(error.into()))?;
        let name = self.path.file_name().unwrap_or_default().as_bytes();
        let name_here = self.name.as_bytes();
        let found =
            Observer::default().describe(directory.as_fd(), name, name_here, TimeTrust::None)?;
        match found {
            // It was replaced by another type of entry, which the builder could not read.
            Some(found) if found.entry.stat.mode & mode::KIND != 0 => {
                Err(failed(io::Error::other("it is no longer a regular file")))
            }
            Some(found) => Ok(found.entry),
            None => Err(failed(io::ErrorKind::NotFound.into())),
        }
    }

    /// Reads the whole file. Blocks.
    ///
    /// # Errors
    /// It was removed or replaced by a link, is not a regular file, cannot be read, or is larger than `limit_bytes`.
    pub(crate) fn read(&self, limit_bytes: u64) -> io::Result<Vec<u8>> {
        let file = self.open().map_err(|error| match error {
            OpenError::Gone { source, .. } | OpenError::Unreadable { source, .. } => source,
            other => io::Error::new(io::ErrorKind::InvalidInput, other),
        })?;
        bounded_file::read_open(file, limit_bytes)
    }

    /// Opens it to read its content.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(super) fn open(&self) -> Result<File, OpenError> {
        self.tree.open(self.path.as_os_str().as_bytes())
    }
}
