//! A folder that can be looked into, and never out of.
//!
//! It is held by an open descriptor, and every way down from there refuses symbolic links: whoever
//! swaps a directory for a link while we read gets an error or nothing, not the file behind it. The
//! kernel does this in one call (`openat2`, Linux 5.6); where that is missing or filtered we go name
//! by name.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::{Errno, retry_on_intr};

use super::announced::TimeTrust;
use super::error::{OpenError, TreeError, shown};
use super::version::FileVersion;

/// How a folder itself is opened: neither for reading nor for writing.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A folder whose content may be given to a builder.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    never: Never,
    /// Whether files may be announced with their own times.
    trust: TimeTrust,
    /// Whether the kernel resolves whole paths for us.
    has_openat2: bool,
}

/// The files and directories that are never sent, as they are met inside a folder.
#[derive(Debug, Default)]
struct Never {
    /// Relative to the folder.
    paths: Vec<Vec<u8>>,
    /// Those that exist, however they are reached: a bind mount is another path to the same.
    identities: Vec<Identity>,
}

/// A file or directory itself, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(stat: &rustix::fs::Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

impl Tree {
    /// Opens a folder; links on the way to it are followed.
    ///
    /// `never` are absolute paths of files and directories that need not exist: neither they nor
    /// anything below them is listed or opened, whatever patterns ask for. Another hard link to such a
    /// file is not sent either; one to a file in such a directory goes unnoticed.
    ///
    /// # Errors
    /// The folder is not a directory that may be entered, or is itself never to be sent.
    pub fn new(root: &Path, never: &[PathBuf]) -> Result<Self, TreeError> {
        let failed = |source: io::Error| TreeError::Open {
            path: root.to_owned(),
            source,
        };
        let path = root.canonicalize().map_err(failed)?;
        let directory = rustix::fs::open(&path, DIRECTORY, Mode::empty())
            .map_err(|error| failed(error.into()))?;
        Self::of(directory, &path, never)
    }

    /// Opens a folder below this one, without following links: `path` is absolute and has none, and a
    /// link that has appeared in it since is refused. `root` is the path of this folder.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn below(&self, root: &Path, path: &Path, never: &[PathBuf]) -> Result<Self, TreeError> {
        let failed = |error: Errno| TreeError::Open {
            path: path.to_owned(),
            source: error.into(),
        };
        let relative = path.strip_prefix(root).map_err(|_| failed(Errno::XDEV))?;
        let relative = match relative.as_os_str().as_bytes() {
            b"" => b".",
            relative => relative,
        };
        let (directory, _) = self.open_directory(relative, DIRECTORY).map_err(failed)?;
        let mut tree = Self::of(directory, path, never)?;
        if self.has_moved_directory(relative) {
            tree.trust = TimeTrust::None;
        }
        Ok(tree)
    }

    /// Whether a directory on the way to a path, or the last one, was moved; the root itself is not looked at.
    fn has_moved_directory(&self, path: &[u8]) -> bool {
        let ends = (0..path.len()).filter(|&end| path.get(end) == Some(&b'/'));
        let mut ways = ends.chain([path.len()]).filter_map(|end| path.get(..end));
        ways.any(|way| {
            let directory = self.open_directory(way, DIRECTORY);
            let found = directory.and_then(|(directory, _)| fstat(&directory));
            way != b"." && found.is_ok_and(|found| !FileVersion::of(&found).has_natural_time())
        })
    }

    pub(super) fn trust(&self) -> TimeTrust {
        self.trust
    }

    fn of(directory: OwnedFd, path: &Path, never: &[PathBuf]) -> Result<Self, TreeError> {
        let failed = |source: io::Error| TreeError::Open {
            path: path.to_owned(),
            source,
        };
        let identity = Identity::of(&fstat(&directory).map_err(|error| failed(error.into()))?);
        let mut tree = Self {
            root: directory,
            never: Never::default(),
            trust: TimeTrust::Natural,
            has_openat2: true,
        };
        for never in never {
            if !tree.never.add(never, path) || tree.never.identities.contains(&identity) {
                return Err(TreeError::Withheld {
                    path: path.to_owned(),
                    never: never.clone(),
                });
            }
        }
        // Whatever the reason (an old kernel, a filter of system calls), the other way needs no help.
        tree.has_openat2 = tree.resolve(b".", DIRECTORY).is_ok();
        Ok(tree)
    }

    /// As on a kernel that lacks it.
    #[cfg(test)]
    pub(super) fn without_openat2(mut self) -> Self {
        self.has_openat2 = false;
        self
    }

    /// Opens a listed file to read its content.
    ///
    /// Does not wait, not even for a fifo that has taken the file's place. The file may be another
    /// than the one that was listed, of another size, but not one from outside the folder.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&self, path: impl AsRef<[u8]>) -> Result<File, OpenError> {
        let path = path.as_ref();
        let names = path.split(|&byte| byte == b'/');
        let mut unclean = names.filter(|name| matches!(*name, b"" | b"." | b".."));
        if unclean.next().is_some() || self.withholds(path) {
            return Err(OpenError::NotListed { path: shown(path) });
        }
        let unreadable = |error: Errno| OpenError::Unreadable {
            path: shown(path),
            source: error.into(),
        };
        // NONBLOCK changes nothing for regular files.
        let file = match self.beneath(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(file) => file,
            Err(error @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => {
                return Err(OpenError::Gone {
                    path: shown(path),
                    source: error.into(),
                });
            }
            // Sockets answer so, and devices that nothing drives.
            Err(Errno::NXIO | Errno::NODEV) => {
                return Err(OpenError::NotAFile { path: shown(path) });
            }
            Err(error) => return Err(unreadable(error)),
        };
        let kind = FileType::from_raw_mode(fstat(&file).map_err(unreadable)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(OpenError::NotAFile { path: shown(path) });
        }
        Ok(file.into())
    }

    /// Opens a directory below the root, or the root (`.`), without following links.
    ///
    /// One that is never sent is not there.
    pub(super) fn open_directory(
        &self,
        path: &[u8],
        flags: OFlags,
    ) -> Result<(OwnedFd, Identity), Errno> {
        if self.withholds(path) {
            return Err(Errno::NOENT);
        }
        self.identified(self.beneath(path, flags | OFlags::DIRECTORY)?)
    }

    /// Opens a directory by its name in an open one to list it.
    pub(super) fn open_child(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<(OwnedFd, Identity), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.identified(retry_on_intr(|| {
            openat(parent, name, flags, Mode::empty())
        })?)
    }

    fn identified(&self, directory: OwnedFd) -> Result<(OwnedFd, Identity), Errno> {
        let identity = Identity::of(&fstat(&directory)?);
        if self.never.identities.contains(&identity) {
            Err(Errno::NOENT)
        } else {
            Ok((directory, identity))
        }
    }

    /// Whether a clean path relative to the root is, or lies in, a directory that is never sent.
    pub(super) fn withholds(&self, path: &[u8]) -> bool {
        self.never.paths.iter().any(|never| {
            path.strip_prefix(never.as_slice())
                .is_some_and(|below| below.is_empty() || below.starts_with(b"/"))
        })
    }

    pub(super) fn withholds_identity(&self, identity: Identity) -> bool {
        self.never.identities.contains(&identity)
    }

    fn beneath(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        retry_on_intr(|| {
            if self.has_openat2 {
                self.resolve(path, flags)
            } else {
                self.step_down(path, flags)
            }
        })
    }

    fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let beneath =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.root, path, flags, Mode::empty(), beneath)
    }

    /// Does what [`Self::resolve`] does, a name at a time.
    fn step_down(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut names = path.split(|&byte| byte == b'/').peekable();
        let mut parent = None;
        loop {
            let directory = parent.as_ref().map_or(self.root.as_fd(), OwnedFd::as_fd);
            let name = names.next().unwrap_or(b".");
            if name == b".." {
                return Err(Errno::XDEV);
            }
            if names.peek().is_none() {
                return openat(directory, name, flags, Mode::empty());
            }
            parent = Some(openat(directory, name, on_the_way, Mode::empty())?);
        }
    }
}

impl Never {
    /// Adds a directory under all the names it may be met by; false if the root is or lies in it.
    fn add(&mut self, never: &Path, root: &Path) -> bool {
        if let Ok(stat) = rustix::fs::stat(never) {
            self.identities.push(Identity::of(&stat));
        }
        let name_kept = match (never.parent(), never.file_name()) {
            (Some(parent), Some(name)) => real_path(parent).join(name),
            _ => never.to_owned(),
        };
        for never in [never.to_owned(), name_kept, real_path(never)] {
            if root.starts_with(&never) {
                return false;
            }
            if let Ok(inside) = never.strip_prefix(root) {
                let inside = inside.as_os_str().as_bytes().to_vec();
                if !self.paths.contains(&inside) {
                    self.paths.push(inside);
                }
            }
        }
        true
    }
}

/// The path without links, as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return real.join(rest);
        }
    }
    path.to_owned()
}
