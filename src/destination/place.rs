//! The place of a result, and how a complete result is moved to it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, fchmod, futimens, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::error::WriteError;
use super::tree::{DirectoryEntry, times};
use crate::io::beneath::{Beneath, DIRECTORY, descend};

/// The place of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// A trusted directory that contains everything else. It can be a link.
    pub(crate) root: PathBuf,
    /// The directory or file of the result. Absolute, below the root; it may not exist. No part below the root may be a link.
    pub(crate) path: PathBuf,
    /// A name for the staging directory, which does not exist yet, on the same file system. Absolute, below the root, in an existing
    /// directory.
    pub(crate) staging: PathBuf,
}

/// An entry of a directory.
pub(super) struct PlacedIn<'a> {
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a [u8],
}

impl Place {
    /// The open directory that contains `path`, and the last name. Missing directories are created.
    pub(super) fn parent_of(&self, path: &Path) -> io::Result<(OwnedFd, Vec<u8>)> {
        let outside = || io::Error::new(io::ErrorKind::InvalidInput, "it is outside of the clone");
        let relative = path.strip_prefix(&self.root).map_err(|_| outside())?;
        let name = relative.file_name().ok_or_else(outside)?;
        let parent = descend(&self.root, relative.parent().unwrap_or(Path::new("")))?;
        Ok((parent, name.as_bytes().to_vec()))
    }

    fn system<E: Into<io::Error>>(&self, action: &'static str) -> impl FnOnce(E) -> WriteError {
        WriteError::system(action, self.path.as_os_str().as_bytes())
    }

    /// Replaces the file, or creates it.
    pub(super) fn move_file(&self, from: &PlacedIn<'_>) -> Result<(), WriteError> {
        let (parent, name) = self
            .parent_of(&self.path)
            .map_err(self.system("create the directory of"))?;
        // A directory is not replaced by a file that the user named.
        renameat(from.folder, from.name, &parent, name.as_slice())
            .map_err(self.system("write the file"))
    }

    /// Merges a directory into this one, and sets the permissions and times of its directories.
    pub(super) fn merge_directory(
        &self,
        from: &PlacedIn<'_>,
        directories: &[DirectoryEntry],
    ) -> Result<(), WriteError> {
        let outside = || io::Error::new(io::ErrorKind::InvalidInput, "it is outside of the clone");
        let relative = self.path.strip_prefix(&self.root).map_err(|_| outside());
        let place = relative.and_then(|relative| descend(&self.root, relative));
        let place = place.map_err(self.system("create the directory"))?;
        let source = openat(
            from.folder,
            from.name,
            DIRECTORY | OFlags::NOFOLLOW,
            Mode::empty(),
        );
        let source = source.map_err(self.system("read the result for"))?;
        merge(source.as_fd(), place.as_fd(), &mut Vec::new())?;
        let beneath = Beneath::new(place);
        // A directory after its entries: its permissions can prevent a lookup below it.
        for directory in directories.iter().rev() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let opened = beneath.open(&directory.path, flags, Mode::empty());
            let opened =
                opened.map_err(WriteError::system("open the directory", &directory.path))?;
            fchmod(&opened, Mode::from_raw_mode(directory.permissions)).map_err(
                WriteError::system("set the permissions of", &directory.path),
            )?;
            futimens(&opened, &times(directory.modified_nanoseconds))
                .map_err(WriteError::system("set the time of", &directory.path))?;
        }
        Ok(())
    }
}

/// Moves all entries of one directory into another. `path` is that of the directories, for messages.
fn merge(from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &mut Vec<u8>) -> Result<(), WriteError> {
    let names = names(from).map_err(WriteError::system("read the directory", path))?;
    for name in names {
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        merge_entry(from, to, &name, path)?;
        path.truncate(length);
    }
    Ok(())
}

fn merge_entry(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &[u8],
    path: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let is_directory = |folder: BorrowedFd<'_>| {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    };
    let source = is_directory(from).map_err(WriteError::system::<Errno>("read", path))?;
    let existing = match is_directory(to) {
        Ok(is_directory) => Some(is_directory),
        Err(Errno::NOENT) => None,
        Err(error) => return Err(WriteError::system("read", path)(error)),
    };
    match existing {
        Some(true) if source => {
            let open = |folder| openat(folder, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
            let failed = || WriteError::system("open the directory", path);
            let (from, to) = (open(from).map_err(failed())?, open(to).map_err(failed())?);
            return merge(from.as_fd(), to.as_fd(), path);
        }
        // A directory and something else replace each other.
        Some(existing) if existing != source => {
            remove_all(to, name).map_err(WriteError::system("replace", path))?;
        }
        _ => {}
    }
    renameat(from, name, to, name).map_err(WriteError::system("write", path))
}

/// The names in a directory.
fn names(directory: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut names = Vec::new();
    for entry in Dir::new(openat(directory, ".", flags, Mode::empty())?)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if !matches!(&*name, b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes an entry with everything below it. Links are removed, not followed.
pub(super) fn remove_all(folder: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match unlinkat(folder, name, AtFlags::empty()) {
        // Linux returns the first, POSIX the second error for a directory.
        Err(Errno::ISDIR | Errno::PERM) => {}
        ended => return ended,
    }
    let directory = openat(folder, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    for entry in names(directory.as_fd())? {
        remove_all(directory.as_fd(), &entry)?;
    }
    unlinkat(folder, name, AtFlags::REMOVEDIR)
}
