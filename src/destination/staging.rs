//! The private directory that a result is received into.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Mode, OFlags, mkdirat, openat};

use super::error::WriteError;
use super::place::{Place, PlacedIn, remove_all};
use super::tree::{DirectoryEntry, Limits, Tree};
use crate::io::beneath::DIRECTORY;

/// The amount of a received result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Files and links.
    pub(crate) files: u64,
    /// The content of all files.
    pub(crate) bytes: u64,
    /// Devices, fifos and sockets, which were skipped.
    pub(crate) skipped: u64,
    /// The path of the first of them.
    pub(crate) first_skipped: Option<String>,
}

impl Totals {
    /// Adds those of another part of the result.
    pub(crate) fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.skipped += other.skipped;
        if self.first_skipped.is_none() {
            self.first_skipped.clone_from(&other.first_skipped);
        }
    }
}

/// A directory for incomplete results. It is removed with everything in it when it is dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    /// The directory that contains it, and its name there.
    parent: OwnedFd,
    name: Vec<u8>,
    folder: OwnedFd,
    /// The names of results are numbers.
    next: AtomicUsize,
}

/// A result that is complete, in its staging directory.
#[derive(Debug)]
pub(crate) struct Received {
    name: String,
    pub(crate) totals: Totals,
    /// Empty for a file.
    directories: Vec<DirectoryEntry>,
    is_directory: bool,
}

impl Received {
    /// Closes a directory, and returns its result. `name`: its name in the staging directory.
    ///
    /// # Errors
    /// The result is not complete.
    pub(crate) fn of_tree(name: String, tree: &Tree) -> Result<Self, WriteError> {
        tree.close();
        let (totals, directories) = tree.take()?;
        Ok(Self {
            name,
            totals,
            directories,
            is_directory: true,
        })
    }

    /// The result in a complete file of `bytes` bytes. `name`: its name in the staging directory.
    pub(crate) fn of_file(name: String, bytes: u64) -> Self {
        let totals = Totals {
            files: 1,
            bytes,
            ..Totals::default()
        };
        Self {
            name,
            totals,
            directories: Vec::new(),
            is_directory: false,
        }
    }
}

impl Staging {
    /// Creates the staging directory of `place`.
    ///
    /// # Errors
    /// It exists already, is not below the place's root without links, or cannot be created.
    pub(crate) fn create(place: &Place) -> io::Result<Self> {
        let (parent, name) = place.parent_of(&place.staging)?;
        mkdirat(&parent, name.as_slice(), Mode::RWXU)?;
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        let folder = openat(&parent, name.as_slice(), flags, Mode::empty())?;
        Ok(Self {
            parent,
            name,
            folder,
            next: AtomicUsize::new(0),
        })
    }

    /// An empty directory for a result. Its name is for [`Received::of_tree`].
    ///
    /// # Errors
    /// It cannot be created.
    pub(crate) fn tree(&self) -> io::Result<(String, Arc<Tree>)> {
        self.tree_within(Limits::default())
    }

    pub(super) fn tree_within(&self, limits: Limits) -> io::Result<(String, Arc<Tree>)> {
        let name = self.next_name();
        mkdirat(&self.folder, name.as_str(), Mode::RWXU)?;
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        let root = openat(&self.folder, name.as_str(), flags, Mode::empty())?;
        Ok((name, Arc::new(Tree::new(root, limits))))
    }

    /// An empty file for a result. Its name is for [`Received::of_file`].
    ///
    /// # Errors
    /// It cannot be created.
    pub(crate) fn file(&self) -> io::Result<(String, File)> {
        let name = self.next_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        // The permissions that any new file gets.
        let file = openat(
            &self.folder,
            name.as_str(),
            flags,
            Mode::from_raw_mode(0o666),
        )?;
        Ok((name, file.into()))
    }

    /// Closes a directory that did not receive a complete result, and removes it.
    pub(crate) fn discard(&self, name: &str, tree: &Tree) {
        tree.close();
        // Best effort: it is removed with the staging directory.
        let _best_effort = remove_all(self.folder.as_fd(), name.as_bytes());
    }

    /// Moves a result to its place. See the module's documentation for existing files.
    ///
    /// # Errors
    /// The place, or a directory below it, is a link, or an entry cannot be moved. Entries before it have been moved.
    pub(crate) fn place(&self, received: &Received, place: &Place) -> Result<(), WriteError> {
        let from = PlacedIn {
            folder: self.folder.as_fd(),
            name: received.name.as_bytes(),
        };
        if !received.is_directory {
            return place.move_file(&from);
        }
        place.merge_directory(&from, &received.directories)
    }

    fn next_name(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }

    fn remove(&self) {
        if let Err(error) = remove_all(self.parent.as_fd(), &self.name) {
            tracing::debug!("the staging directory remains: {error}");
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.remove();
    }
}
