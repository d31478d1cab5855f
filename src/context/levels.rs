//! The directories from the root down to the current position of a walk.
//!
//! The deepest [`MAX_OPEN`] directories stay open while the walk is below them, so that their entries
//! are always looked up in the same directory. The others are opened again on the way back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::announced::TimeTrust;
use super::filter::Marks;
use super::listing::Listing;
use super::tree::{Identity, Tree};
use super::version::FileVersion;

/// The limit for open directories. A step's limit for all open files is commonly 1024.
const MAX_OPEN: usize = 64;

/// A directory whose entries are being visited.
#[derive(Debug)]
struct Level {
    listing: Listing,
    /// The length of this directory's path within the walk's path.
    path_length: usize,
    directory: Option<OwnedFd>,
    identity: Identity,
    /// `None` for the root, which is not compared with patterns.
    marks: Option<Marks>,
    was_sent: bool,
    /// It or a parent directory was moved or changed after its last entry was created.
    trust: TimeTrust,
}

/// The position of a walk: a path, and the open directories above it.
#[derive(Debug)]
pub(super) struct Levels<'tree> {
    tree: &'tree Tree,
    open: Vec<Level>,
    path: Vec<u8>,
    buffer: Vec<u8>,
}

impl<'tree> Levels<'tree> {
    /// Starts at the root.
    pub(super) fn new(tree: &'tree Tree) -> Result<Self, Errno> {
        let mut levels = Self {
            tree,
            open: Vec::new(),
            path: Vec::new(),
            buffer: Vec::new(),
        };
        let root = tree.open_directory(b".", OFlags::RDONLY)?;
        levels.push(root, None, true)?;
        Ok(levels)
    }

    /// The path of the current entry, relative to the root.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Marks of the directory that holds the current entry.
    pub(super) fn parent_marks(&self) -> Option<&Marks> {
        self.open.last().and_then(|level| level.marks.as_ref())
    }

    /// Moves to the next entry, which may be in a parent directory; `None` at the end.
    pub(super) fn next(&mut self) -> Option<FileType> {
        loop {
            let level = self.open.last_mut()?;
            self.path.truncate(level.path_length);
            if let Some((name, kind)) = level.listing.next() {
                if !self.path.is_empty() {
                    self.path.push(b'/');
                }
                self.path.extend_from_slice(name);
                return Some(kind);
            }
            self.open.pop();
        }
    }

    /// The location of the current entry.
    pub(super) fn current(&mut self) -> Result<Place<'_>, Errno> {
        self.place(self.open.len().saturating_sub(1), self.path.len())
    }

    /// Enters the current entry, a directory.
    pub(super) fn enter(&mut self, marks: Marks, was_sent: bool) -> Result<(), Errno> {
        let tree = self.tree;
        let place = self.current()?;
        let child = tree.open_child(place.directory, place.name)?;
        self.push(child, Some(marks), was_sent)
    }

    /// The depth of the topmost parent directory of the current entry that was not sent yet.
    pub(super) fn first_unsent(&self) -> Option<usize> {
        self.open.iter().position(|level| !level.was_sent)
    }

    /// The location of the directory at this depth.
    pub(super) fn ancestor(&mut self, depth: usize) -> Result<Place<'_>, Errno> {
        let end = self.open.get(depth).ok_or(Errno::NOENT)?.path_length;
        self.place(depth.saturating_sub(1), end)
    }

    pub(super) fn set_sent(&mut self, depth: usize) {
        if let Some(level) = self.open.get_mut(depth) {
            level.was_sent = true;
        }
    }

    fn push(
        &mut self,
        opened: (OwnedFd, Identity),
        marks: Option<Marks>,
        was_sent: bool,
    ) -> Result<(), Errno> {
        let (directory, identity) = opened;
        let listing = Listing::read(directory.as_fd(), &mut self.buffer)?;
        let path_length = self.path.len();
        // A new directory has equal modification and change times; moving it changes only the change time.
        let was_moved = !FileVersion::of(&rustix::fs::fstat(&directory)?).has_natural_time();
        let trust = match self.open.last() {
            None => self.tree.trust(),
            Some(parent) if was_moved && parent.trust == TimeTrust::Natural => TimeTrust::None,
            Some(parent) => parent.trust,
        };
        self.open.push(Level {
            listing,
            path_length,
            directory: Some(directory),
            identity,
            marks,
            was_sent,
            trust,
        });
        self.close_distant();
        Ok(())
    }

    fn close_distant(&mut self) {
        let distant = self.open.len().saturating_sub(MAX_OPEN);
        for level in self.open.iter_mut().take(distant).rev() {
            level.directory = None;
        }
    }

    /// The entry whose path ends there, in the directory at this depth, which is opened again if necessary.
    fn place(&mut self, depth: usize, end: usize) -> Result<Place<'_>, Errno> {
        let level = self.open.get(depth).ok_or(Errno::NOENT)?;
        let (parent, _) = self
            .path
            .split_at_checked(level.path_length)
            .ok_or(Errno::NOENT)?;
        if level.directory.is_none() {
            let parent = if parent.is_empty() { b"." } else { parent };
            let (directory, identity) = self.tree.open_directory(parent, OFlags::PATH)?;
            if identity != level.identity {
                return Err(Errno::NOENT);
            }
            self.close_distant();
            self.open.get_mut(depth).ok_or(Errno::NOENT)?.directory = Some(directory);
        }
        let level = self.open.get(depth).ok_or(Errno::NOENT)?;
        let path = self.path.get(..end).ok_or(Errno::NOENT)?;
        let name = path
            .split_at_checked(level.path_length)
            .ok_or(Errno::NOENT)?
            .1;
        Ok(Place {
            directory: level.directory.as_ref().ok_or(Errno::NOENT)?.as_fd(),
            name: name.strip_prefix(b"/").unwrap_or(name),
            path,
            trust: level.trust,
        })
    }
}

/// The location of an entry.
#[derive(Debug)]
pub(super) struct Place<'levels> {
    /// The directory that contains it.
    pub(super) directory: BorrowedFd<'levels>,
    /// Its name in that directory.
    pub(super) name: &'levels [u8],
    /// Its path, relative to the root.
    pub(super) path: &'levels [u8],
    /// Whether files in the directory may be announced with their own times.
    pub(super) trust: TimeTrust,
}
