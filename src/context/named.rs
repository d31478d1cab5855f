//! Single files that are offered to a builder under other names.
//!
//! A builder reads the Dockerfile and its ignore file by the names that the user wrote. Either may be
//! a symbolic link to a file outside of the offered folder, which the builder could not follow. So each
//! is offered as a regular file with the content of the link's target.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::announced::TimeTrust;
use super::error::{OpenError, WalkError, shown};
use super::observer::Observer;
use super::stat::{Entry, Stat, mode};
use super::tree::Tree;
use crate::io::bounded_file;
use crate::text::digest::sha256;

/// The hexadecimal digits of a time that is derived from a text. 60 bits of nanoseconds end in 2006.
const TIME_DIGITS: usize = 15;

/// A file of a tree under another name, or a text.
#[derive(Debug, Clone)]
pub(crate) struct NamedFile {
    name: String,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    /// A file of the tree. The path has no links and is relative to the tree.
    File(PathBuf, Arc<Tree>),
    Text(Arc<str>),
}

impl NamedFile {
    /// Offers the file at `path` in the tree as `name`.
    ///
    /// `path` is relative to the tree and contains no links: links that appear in it later are rejected.
    #[must_use]
    pub(crate) fn new(name: impl Into<String>, path: impl Into<PathBuf>, tree: Arc<Tree>) -> Self {
        Self {
            name: name.into(),
            content: Content::File(path.into(), tree),
        }
    }

    /// Offers a text as `name`.
    #[must_use]
    pub(crate) fn inline(name: impl Into<String>, text: Arc<str>) -> Self {
        Self {
            name: name.into(),
            content: Content::Text(text),
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
        let (path, tree) = match &self.content {
            Content::File(path, tree) => (path, tree),
            Content::Text(text) => return Ok(self.text_entry(text)),
        };
        let failed = |source| WalkError::Entry {
            path: shown(path.as_os_str().as_bytes()),
            source,
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        let parent = match parent.as_os_str().as_bytes() {
            b"" => b".",
            parent => parent,
        };
        let (directory, _) = tree
            .open_directory(parent, OFlags::PATH)
            .map_err(|error| failed(error.into()))?;
        let name = path.file_name().unwrap_or_default().as_bytes();
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

    /// A text as an entry. Its time is derived from its content, so that a builder requests a text that it does not have.
    fn text_entry(&self, text: &str) -> Entry {
        let digest = sha256(text.as_bytes());
        let digits: String = digest
            .chars()
            .skip("sha256:".len())
            .take(TIME_DIGITS)
            .collect();
        let modified_nanoseconds = i64::from_str_radix(&digits, 16).unwrap_or_default();
        Entry {
            path: self.name.as_bytes().to_vec(),
            stat: Stat {
                mode: 0o644,
                size: i64::try_from(text.len()).unwrap_or(i64::MAX),
                modified_nanoseconds,
                // `version` is that of a text.
                ..Stat::default()
            },
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
        match &self.content {
            Content::File(path, tree) => tree.open(path.as_os_str().as_bytes()),
            Content::Text(text) => in_memory(text).map_err(|source| OpenError::Unreadable {
                path: self.name.clone(),
                source,
            }),
        }
    }
}

/// A text as an open file without a path.
fn in_memory(text: &str) -> io::Result<File> {
    let file = rustix::fs::memfd_create("text", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(file);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}
