//! Atomic file writes that never follow a symbolic link.
//!
//! A path that was checked at the start can refer to another place when the file is written: a build step cannot change it,
//! but another program in the step can. So the path is opened directory by directory, starting from a trusted one, and each
//! directory stays open while the next is looked up in it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};
use uuid::Uuid;

use crate::io::beneath::descend;

/// Writes a file below `root` and creates its missing parent directories. An existing file or link is replaced.
///
/// `root` is trusted and can be a link. No component of `path` below it may be a link.
///
/// # Errors
/// A parent is a link or not a directory, or the file cannot be written. No partial file remains.
pub(crate) fn write_whole(root: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let outside = || io::Error::new(io::ErrorKind::InvalidInput, "it is outside of the clone");
    let relative = path.strip_prefix(root).map_err(|_| outside())?;
    let name = relative.file_name().ok_or_else(outside)?;
    let folder = descend(root, relative.parent().unwrap_or(Path::new("")))?;
    // Independent of the file's own name, which can already have the maximum length.
    let temporary = format!(".depot-build.{}", Uuid::new_v4().simple());
    let written = write_new(&folder, &temporary, content)
        .and_then(|()| Ok(renameat(&folder, &temporary, &folder, name)?));
    if written.is_err() {
        // Best effort: the first error is the one to report.
        let _best_effort = unlinkat(&folder, &temporary, AtFlags::empty());
    }
    written
}

fn write_new(folder: impl AsFd, name: &str, content: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, name, flags, Mode::from_raw_mode(0o666))?);
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_file_is_replaced_atomically_without_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let path = root.join("file");
        let elsewhere = root.join("elsewhere");
        fs::write(&elsewhere, "kept").unwrap();
        symlink(&elsewhere, &path).unwrap();
        write_whole(root, &path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(&elsewhere).unwrap(), b"kept");
        // A directory is not replaced.
        let taken = root.join("taken");
        fs::create_dir_all(taken.join("x")).unwrap();
        assert!(write_whole(root, &taken, b"new").is_err());
        let left: Vec<_> = fs::read_dir(root).unwrap().collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }

    #[test]
    fn a_name_may_be_as_long_as_the_file_system_allows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/down").join("x".repeat(255));
        write_whole(folder.path(), &path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_folder_that_has_become_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (clone, outside) = (folder.path().join("clone"), folder.path().join("outside"));
        fs::create_dir_all(&clone).unwrap();
        fs::create_dir_all(outside.join("deeper")).unwrap();
        symlink("../outside", clone.join("out")).unwrap();
        for path in ["out/file", "out/deeper/file", "out/new/file"] {
            let error = write_whole(&clone, &clone.join(path), b"new").unwrap_err();
            let codes = [Errno::NOTDIR, Errno::LOOP].map(|code| Some(code.raw_os_error()));
            assert!(codes.contains(&error.raw_os_error()), "{path}: {error}");
        }
        for path in ["../outside/file", "", "/"] {
            assert!(write_whole(&clone, &clone.join(path), b"new").is_err());
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(fs::read_dir(outside.join("deeper")).unwrap().count(), 0);
    }
}
