//! A folder whose content can be read, and nothing outside of it.
//!
//! The folder is an open descriptor, and every lookup below it rejects symbolic links: if a directory
//! is replaced by a link during a walk, the result is an error or nothing, but never the link's target.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::{Errno, retry_on_intr};

use super::announced::TimeTrust;
use super::error::{OpenError, TreeError, shown};
use super::version::FileVersion;
use crate::io::beneath::{Beneath, DIRECTORY};

/// A folder whose content may be sent to a builder.
#[derive(Debug)]
pub(crate) struct Tree {
    root: Beneath,
    never: Never,
    /// Whether files may be announced with their own times.
    trust: TimeTrust,
}

/// The files and directories in a folder that are never sent.
#[derive(Debug, Default)]
struct Never {
    /// Relative to the folder.
    paths: Vec<Vec<u8>>,
    /// The existing ones by identity, since a bind mount is another path to the same file.
    identities: Vec<Identity>,
}

/// The identity of a file or directory, independent of its name.
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
    /// Opens a folder. Links in its path are followed.
    ///
    /// `never` contains absolute paths of files and directories, which need not exist. Neither they nor
    /// anything below them is listed or opened, regardless of patterns. Another hard link to such a
    /// file is not sent either; a hard link to a file in such a directory is not detected.
    ///
    /// # Errors
    /// The folder is not a directory that can be entered, or must never be sent.
    pub(crate) fn new(root: &Path, never: &[PathBuf]) -> Result<Self, TreeError> {
        let failed = |source: io::Error| TreeError::Open {
            path: root.to_owned(),
            source,
        };
        let path = root.canonicalize().map_err(failed)?;
        let directory = rustix::fs::open(&path, DIRECTORY, Mode::empty())
            .map_err(|error| failed(error.into()))?;
        Self::of(directory, &path, never)
    }

    /// Opens a folder below this one, without following links: `path` is absolute and contains no links,
    /// and a link that has appeared in it since is rejected. `root` is the path of this folder.
    ///
    /// # Errors
    /// See [`Self::new`].
    pub(crate) fn below(
        &self,
        root: &Path,
        path: &Path,
        never: &[PathBuf],
    ) -> Result<Self, TreeError> {
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

    /// Whether a directory in a path, including the last one, was moved. The root itself is not checked.
    fn has_moved_directory(&self, path: &[u8]) -> bool {
        let ends = (0..path.len()).filter(|&end| path.get(end) == Some(&b'/'));
        let mut ways = ends.chain([path.len()]).filter_map(|end| path.get(..end));
        ways.any(|way| {
            let directory = self.open_directory(way, DIRECTORY);
            let found = directory.and_then(|(directory, _)| fstat(&directory));
            way != b"." && found.is_ok_and(|found| !FileVersion::of(&found).has_natural_time())
        })
    }

    /// Announces all entries with times that are derived from their content and path, so that they are the same in every clone.
    #[must_use]
    pub(crate) fn with_times_of_content(mut self) -> Self {
        self.trust = TimeTrust::Content;
        self
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
            root: Beneath::new(directory),
            never: Never::default(),
            trust: TimeTrust::Natural,
        };
        for never in never {
            if !tree.never.add(never, path) || tree.never.identities.contains(&identity) {
                return Err(TreeError::Withheld {
                    path: path.to_owned(),
                    never: never.clone(),
                });
            }
        }
        Ok(tree)
    }

    /// Behaves as on a kernel without `openat2`.
    #[cfg(test)]
    pub(super) fn without_openat2(mut self) -> Self {
        self.root = self.root.without_openat2();
        self
    }

    /// Opens a listed file to read its content.
    ///
    /// Does not block, even if the file was replaced by a fifo. The file may differ from the listed one,
    /// also in size, but it is never outside of the folder.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn open(&self, path: impl AsRef<[u8]>) -> Result<File, OpenError> {
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
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match self.root.open(path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(error @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => {
                return Err(OpenError::Gone {
                    path: shown(path),
                    source: error.into(),
                });
            }
            // The error for sockets, and for devices without a driver.
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
    /// A directory that is never sent is not found.
    pub(super) fn open_directory(
        &self,
        path: &[u8],
        flags: OFlags,
    ) -> Result<(OwnedFd, Identity), Errno> {
        if self.withholds(path) {
            return Err(Errno::NOENT);
        }
        let flags = flags | OFlags::DIRECTORY;
        self.identified(self.root.open(path, flags, Mode::empty())?)
    }

    /// Opens a directory by its name in an open directory, to list it.
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

    /// Whether a clean path relative to the root is, or is inside, a directory that is never sent.
    pub(super) fn withholds(&self, path: &[u8]) -> bool {
        self.never.paths.iter().any(|never| {
            path.strip_prefix(never.as_slice())
                .is_some_and(|below| below.is_empty() || below.starts_with(b"/"))
        })
    }

    pub(super) fn withholds_identity(&self, identity: Identity) -> bool {
        self.never.identities.contains(&identity)
    }
}

impl Never {
    /// Adds a directory under all names it may have; false if the root is, or is inside, that directory.
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

/// The path with its links resolved, up to the last part that exists.
fn real_path(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return real.join(rest);
        }
    }
    path.to_owned()
}
