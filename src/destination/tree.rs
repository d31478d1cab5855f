//! A directory that is received: each entry is created as it is listed, and the content of files follows.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, fchmod, futimens, linkat, mkdirat,
    openat, statat, symlinkat, utimensat,
};

use super::entry::{Entry, Kind};
use super::error::{WriteError, shown};
use super::order::Order;
use super::staging::Totals;
use crate::io::beneath::{Beneath, DIRECTORY};

/// The limits of a directory, for all platforms of a builder together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) entries: usize,
    /// For the paths of all entries, in bytes. They are in memory until the result is in its place.
    pub(super) names_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            names_bytes: 128 << 20,
        }
    }
}

/// A directory that is being received. Several listings, one for each platform, can write to it at the same time.
#[derive(Debug)]
pub(crate) struct Tree {
    root: Beneath,
    limits: Limits,
    state: Mutex<State>,
    /// Set when nothing may be written any more. Locked for reading during each operation.
    closed: RwLock<bool>,
}

#[derive(Debug, Default)]
struct State {
    totals: Totals,
    entries: usize,
    names_bytes: usize,
    directories: Vec<DirectoryEntry>,
    /// Listings that have begun and not ended.
    open_listings: usize,
    complete_listings: usize,
    has_failed: bool,
}

/// A directory, whose permissions and time are set when the result is in its place: files are still created in it.
#[derive(Debug)]
pub(super) struct DirectoryEntry {
    pub(super) path: Vec<u8>,
    pub(super) permissions: u32,
    pub(super) modified_nanoseconds: i64,
}

/// One list of entries, in its order.
#[derive(Debug)]
pub(crate) struct Listing {
    tree: Arc<Tree>,
    order: Order,
    /// The hashes of the paths of files, which hard links may refer to.
    files: HashSet<u64>,
    hasher: RandomState,
    /// Hard links, which are created when the files are complete: path and target.
    hard_links: Vec<(Vec<u8>, Vec<u8>)>,
    is_complete: bool,
}

/// A listed file whose content has not been received.
#[derive(Debug)]
pub(crate) struct Waiting {
    path: Vec<u8>,
    size: u64,
    permissions: u32,
    modified_nanoseconds: i64,
}

/// A file that is being received.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    waiting: Waiting,
    received: u64,
}

impl Tree {
    pub(super) fn new(root: OwnedFd, limits: Limits) -> Self {
        Self {
            root: Beneath::new(root),
            limits,
            state: Mutex::default(),
            closed: RwLock::new(false),
        }
    }

    /// Begins a list of entries.
    pub(crate) fn begin(self: &Arc<Self>) -> Listing {
        self.state().open_listings += 1;
        Listing {
            tree: Arc::clone(self),
            order: Order::new(),
            files: HashSet::new(),
            hasher: RandomState::new(),
            hard_links: Vec::new(),
            is_complete: false,
        }
    }

    /// Rejects every further operation, and waits for those that are running.
    pub(super) fn close(&self) {
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// The totals and the directories of the complete result.
    ///
    /// # Errors
    /// There was no list, or one is not complete.
    pub(super) fn take(&self) -> Result<(Totals, Vec<DirectoryEntry>), WriteError> {
        let mut state = self.state();
        if state.has_failed || state.open_listings > 0 || state.complete_listings == 0 {
            return Err(WriteError::Incomplete);
        }
        let state = std::mem::take(&mut *state);
        Ok((state.totals, state.directories))
    }

    /// The permission for one operation, unless the tree is closed.
    fn permit(&self) -> Result<RwLockReadGuard<'_, bool>, WriteError> {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        if *closed {
            Err(WriteError::Closed)
        } else {
            Ok(closed)
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the directory that contains `path`, and returns it with the last name.
    fn parent<'path>(&self, path: &'path [u8]) -> Result<(OwnedFd, &'path [u8]), WriteError> {
        let (parent, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (path.get(..at), path.get(at + 1..)),
            None => (Some(&b"."[..]), Some(path)),
        };
        let parent = parent.unwrap_or(b".");
        let directory = self.root.open(parent, DIRECTORY, Mode::empty());
        let directory = directory.map_err(WriteError::system("open the directory", parent))?;
        Ok((directory, name.unwrap_or_default()))
    }
}

impl Listing {
    /// Creates the next entry. Returns a file whose content must follow.
    ///
    /// # Errors
    /// The entry is invalid or cannot be created. The list must not go on.
    pub(crate) fn entry(&mut self, entry: Entry) -> Result<Option<Waiting>, WriteError> {
        let tree = Arc::clone(&self.tree);
        let _permit = tree.permit()?;
        let Entry {
            path,
            kind,
            permissions,
            modified_nanoseconds,
        } = entry;
        self.order.check(&path, kind == Kind::Directory)?;
        self.note(&path, &kind)?;
        match kind {
            Kind::Directory => {
                let (parent, name) = tree.parent(&path)?;
                // Only for the time of the transfer. Other users do not see incomplete results.
                mkdirat(&parent, name, Mode::RWXU)
                    .map_err(WriteError::system("create the directory", &path))?;
                tree.state().directories.push(DirectoryEntry {
                    path,
                    permissions,
                    modified_nanoseconds,
                });
            }
            Kind::File { size } => {
                self.files.insert(self.hasher.hash_one(&path));
                let waiting = Waiting {
                    path,
                    size,
                    permissions,
                    modified_nanoseconds,
                };
                if size > 0 {
                    return Ok(Some(waiting));
                }
                waiting.create(&tree)?.complete()?;
            }
            Kind::HardLink { target } => {
                if !self.files.contains(&self.hasher.hash_one(&target)) {
                    let problem = "is a hard link to a file that was not listed before";
                    return Err(WriteError::invalid(&path, problem));
                }
                self.hard_links.push((path, target));
            }
            Kind::Link { target } => {
                let (parent, name) = tree.parent(&path)?;
                let failed = WriteError::system("create the link", &path);
                symlinkat(target.as_slice(), &parent, name).map_err(failed)?;
                let times = times(modified_nanoseconds);
                utimensat(&parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(WriteError::system("set the time of", &path))?;
            }
            Kind::Special => {}
        }
        Ok(None)
    }

    /// Checks the limits, and adds the entry to the totals.
    fn note(&self, path: &[u8], kind: &Kind) -> Result<(), WriteError> {
        let mut state = self.tree.state();
        state.entries += 1;
        let limits = self.tree.limits;
        if state.entries > limits.entries {
            return Err(WriteError::TooManyEntries(limits.entries));
        }
        let target = match kind {
            Kind::HardLink { target } => target.len(),
            _ => 0,
        };
        state.names_bytes = state.names_bytes.saturating_add(path.len() + target);
        if state.names_bytes > limits.names_bytes {
            return Err(WriteError::TooManyNames(limits.names_bytes));
        }
        let totals = &mut state.totals;
        match kind {
            Kind::File { size } => {
                totals.files += 1;
                totals.bytes = totals.bytes.saturating_add(*size);
            }
            Kind::HardLink { .. } | Kind::Link { .. } => totals.files += 1,
            Kind::Directory => {}
            Kind::Special => {
                totals.skipped += 1;
                totals.first_skipped.get_or_insert_with(|| shown(path));
            }
        }
        Ok(())
    }

    /// Creates the file for the content of a listed file.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(crate) fn open(&self, waiting: Waiting) -> Result<OpenFile, WriteError> {
        let _permit = self.tree.permit()?;
        waiting.create(&self.tree)
    }

    /// Writes the next piece of a file.
    ///
    /// # Errors
    /// It cannot be written, or the file becomes larger than announced.
    pub(crate) fn write(&self, file: &mut OpenFile, piece: &[u8]) -> Result<(), WriteError> {
        let _permit = self.tree.permit()?;
        file.received = file.received.saturating_add(piece.len() as u64);
        if file.received > file.waiting.size {
            return Err(file.wrong_size());
        }
        let failed = WriteError::system("write", &file.waiting.path);
        file.file.write_all(piece).map_err(failed)
    }

    /// Ends a file, and sets its permissions and its time.
    ///
    /// # Errors
    /// The file is smaller than announced, or cannot be completed.
    pub(crate) fn complete(&self, file: OpenFile) -> Result<(), WriteError> {
        let _permit = self.tree.permit()?;
        file.complete()
    }

    /// Ends the list when all files are complete: creates the hard links.
    ///
    /// # Errors
    /// A hard link cannot be created.
    pub(crate) fn end(&mut self) -> Result<(), WriteError> {
        let _permit = self.tree.permit()?;
        for (path, target) in std::mem::take(&mut self.hard_links) {
            let failed = || WriteError::system("create the hard link", &path);
            let (from, target_name) = self.tree.parent(&target)?;
            let (to, name) = self.tree.parent(&path)?;
            let stat = statat(&from, target_name, AtFlags::SYMLINK_NOFOLLOW);
            let stat = stat.map_err(failed())?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                let problem = "is a hard link to something that is not a file";
                return Err(WriteError::invalid(&path, problem));
            }
            linkat(&from, target_name, &to, name, AtFlags::empty()).map_err(failed())?;
        }
        if !std::mem::replace(&mut self.is_complete, true) {
            let mut state = self.tree.state();
            state.open_listings -= 1;
            state.complete_listings += 1;
        }
        Ok(())
    }

    /// Makes the whole result unusable, also after the end of the list.
    pub(crate) fn fail(&self) {
        self.tree.state().has_failed = true;
    }
}

impl Waiting {
    fn create(self, tree: &Tree) -> Result<OpenFile, WriteError> {
        let (parent, name) = tree.parent(&self.path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&parent, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(WriteError::system("create the file", &self.path))?;
        Ok(OpenFile {
            file: file.into(),
            waiting: self,
            received: 0,
        })
    }
}

impl OpenFile {
    fn wrong_size(&self) -> WriteError {
        WriteError::Size {
            path: shown(&self.waiting.path),
            sent: self.received,
            announced: self.waiting.size,
        }
    }

    fn complete(self) -> Result<(), WriteError> {
        if self.received != self.waiting.size {
            return Err(self.wrong_size());
        }
        let Waiting {
            path,
            permissions,
            modified_nanoseconds,
            ..
        } = &self.waiting;
        fchmod(&self.file, Mode::from_raw_mode(*permissions))
            .map_err(WriteError::system("set the permissions of", path))?;
        futimens(&self.file, &times(*modified_nanoseconds))
            .map_err(WriteError::system("set the time of", path))
    }
}

/// The time of the last change, which is also set as that of the last access.
pub(super) fn times(nanoseconds: i64) -> Timestamps {
    const SECOND: i64 = 1_000_000_000;
    let time = Timespec {
        tv_sec: nanoseconds.div_euclid(SECOND),
        tv_nsec: nanoseconds.rem_euclid(SECOND),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
