//! The directories from the root down to where a walk stands.
//!
//! Each stays open while the walk is below it, so that its entries are looked up in it and in no
//! other; but only the deepest [`MAX_OPEN`], the others are opened again on the way back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::announced::TimeTrust;
use super::filter::Marks;
use super::listing::Listing;
use super::tree::{Identity, Tree};
use super::version::FileVersion;

/// Directories held open at once; a step's limit is commonly 1024 for everything.
const MAX_OPEN: usize = 64;

/// A directory whose entries are being visited.
#[derive(Debug)]
struct Level {
    listing: Listing,
    /// How much of the walk's path is this directory's.
    path_length: usize,
    directory: Option<OwnedFd>,
    identity: Identity,
    /// `None` for the root, which no pattern is compared with.
    marks: Option<Marks>,
    was_sent: bool,
    /// It, or a directory above it, was moved or changed since its last entry was made.
    trust: TimeTrust,
}

/// Where a walk stands: a path, and the open directories above it.
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

    /// Goes on to the next entry, up as far as needed; `None` at the end.
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

    /// Where the current entry is found.
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

    /// The depth of the topmost directory above the current entry that is not sent yet.
    pub(super) fn first_unsent(&self) -> Option<usize> {
        self.open.iter().position(|level| !level.was_sent)
    }

    /// Where the directory at this depth is found.
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
        // A directory that is made and filled has one time for both: moving it changes only the change time.
        let was_moved = !FileVersion::of(&rustix::fs::fstat(&directory)?).has_natural_time();
        let trust = match self.open.last() {
            None => self.tree.trust(),
            Some(_) if was_moved => TimeTrust::None,
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

    /// The entry whose path ends there, in the directory at this depth, which is opened again if need be.
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

/// Where an entry is found.
#[derive(Debug)]
pub(super) struct Place<'levels> {
    /// The directory that holds it.
    pub(super) directory: BorrowedFd<'levels>,
    /// Its name in there.
    pub(super) name: &'levels [u8],
    /// Its path, relative to the root.
    pub(super) path: &'levels [u8],
    /// Whether files in the directory may be announced with their own times.
    pub(super) trust: TimeTrust,
}
