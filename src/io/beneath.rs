//! Lookups that stay below an open directory and never follow a symbolic link.
//!
//! A path that was checked once can refer to another place later: another program can replace a directory by a link. So a lookup
//! starts at a directory that is open, and a link on the way is an error. The kernel does this in one call (`openat2`, Linux 5.6);
//! if that is missing or blocked, each name is opened separately.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, open, openat, openat2};
use rustix::io::{Errno, retry_on_intr};

/// The flags to open a directory for lookups only: neither for reading nor for writing.
pub(crate) const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open directory that all lookups start from.
#[derive(Debug)]
pub(crate) struct Beneath {
    root: OwnedFd,
    /// Whether the kernel supports `openat2`.
    has_openat2: bool,
}

impl Beneath {
    /// Lookups below this directory.
    pub(crate) fn new(root: OwnedFd) -> Self {
        let mut beneath = Self {
            root,
            has_openat2: true,
        };
        // If this fails for any reason (old kernel, system call filter), the fallback still works.
        beneath.has_openat2 = beneath.resolve(b".", DIRECTORY, Mode::empty()).is_ok();
        beneath
    }

    /// Behaves as on a kernel without `openat2`.
    #[cfg(test)]
    pub(crate) fn without_openat2(mut self) -> Self {
        self.has_openat2 = false;
        self
    }

    /// Opens a path relative to the directory, `.` for the directory itself. `mode` is used if a file is created.
    ///
    /// # Errors
    /// The system's error: [`Errno::LOOP`] or [`Errno::NOTDIR`] for a link, [`Errno::XDEV`] for `..`.
    pub(crate) fn open(&self, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        retry_on_intr(|| {
            if self.has_openat2 {
                self.resolve(path, flags, mode)
            } else {
                self.step_down(path, flags, mode)
            }
        })
    }

    fn resolve(&self, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let beneath =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.root, path, flags, mode, beneath)
    }

    /// Does the same as [`Self::resolve`], one name at a time.
    fn step_down(&self, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let on_the_way = DIRECTORY | OFlags::NOFOLLOW;
        let mut names = path.split(|&byte| byte == b'/').peekable();
        let mut parent = None;
        loop {
            let directory = parent.as_ref().map_or(self.root.as_fd(), OwnedFd::as_fd);
            let name = names.next().unwrap_or(b".");
            if name == b".." {
                return Err(Errno::XDEV);
            }
            if names.peek().is_none() {
                return openat(directory, name, flags, mode);
            }
            parent = Some(openat(directory, name, on_the_way, Mode::empty())?);
        }
    }
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Opens a directory below `root` and creates its missing components.
///
/// `root` is trusted and can be a link. No component of `relative` may be a link.
///
/// # Errors
/// A component is a link, `..` or not a directory, or a directory cannot be created.
pub(crate) fn descend(root: &Path, relative: &Path) -> io::Result<OwnedFd> {
    let mut folder = open(root, DIRECTORY, Mode::empty())?;
    for component in relative.components() {
        let Component::Normal(name) = component else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        folder = match openat(&folder, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                match mkdirat(&folder, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                openat(&folder, name, flags, Mode::empty())?
            }
            opened => opened?,
        };
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_is_followed_and_nothing_above_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("root/inner/deep")).unwrap();
        fs::write(path("root/inner/file"), "").unwrap();
        fs::write(path("outside"), "").unwrap();
        symlink("inner", path("root/link")).unwrap();
        symlink("../outside", path("root/out")).unwrap();
        let root = || open(path("root"), DIRECTORY, Mode::empty()).unwrap();
        for beneath in [Beneath::new(root()), Beneath::new(root()).without_openat2()] {
            let open = |path: &str| beneath.open(path.as_bytes(), OFlags::RDONLY, Mode::empty());
            for good in [".", "inner", "inner/deep", "inner/file"] {
                assert!(open(good).is_ok(), "{good}");
            }
            for bad in [
                "link",
                "link/file",
                "out",
                "..",
                "../outside",
                "inner/../../outside",
                "inner/../..",
                "inner/file/x",
                "none",
            ] {
                assert!(open(bad).is_err(), "{bad}");
            }
        }
    }
}
