//! Reading a small file that a variable or a convention names.
//!
//! Opening a FIFO waits for its writer, and reading a device may never end. So the type and the size are checked before
//! the first byte is read, and nothing here waits except for the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Reads a regular file of at most `limit_bytes`. Links are followed.
///
/// # Errors
/// It cannot be opened or read, is not a regular file, or is larger.
pub(crate) fn read(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    read_open(open(path, File::options().read(true))?, limit_bytes)
}

/// The same for an open file.
///
/// # Errors
/// It cannot be read, or is larger.
pub(crate) fn read_open(mut file: File, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let too_large = || {
        let problem = format!("it is larger than {limit_bytes} bytes");
        io::Error::new(io::ErrorKind::FileTooLarge, problem)
    };
    if file.metadata()?.len() > limit_bytes {
        return Err(too_large());
    }
    // It may grow meanwhile, and files of `/proc` state no size.
    (&mut file)
        .take(limit_bytes.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() as u64 > limit_bytes {
        return Err(too_large());
    }
    Ok(content)
}

/// The same for text in UTF-8.
///
/// # Errors
/// See [`read`]; also if it is not UTF-8.
pub(crate) fn read_text(path: &Path, limit_bytes: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit_bytes)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Opens a regular file with these options, without waiting for the other end of a FIFO.
///
/// # Errors
/// It cannot be opened, or is not a regular file.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let not_regular = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
    // Opening a device can have an effect of its own.
    if !path.metadata()?.is_file() {
        return Err(not_regular());
    }
    // Something else may take its place in between. The flag changes nothing for regular files.
    let file = options
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(not_regular());
    }
    Ok(file)
}

/// Makes a FIFO, for tests.
#[cfg(test)]
pub(crate) fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_regular_file_of_bounded_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "text").unwrap();
        symlink("file", path("link")).unwrap();
        fs::write(path("bytes"), b"\xff").unwrap();
        fs::create_dir(path("directory")).unwrap();
        make_fifo(&path("fifo"));
        symlink("fifo", path("link to fifo")).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        symlink("loop", path("loop")).unwrap();

        assert_eq!(read_text(&path("file"), 4).unwrap(), "text");
        assert_eq!(read_text(&path("link"), 4).unwrap(), "text");
        assert_eq!(read(&path("bytes"), 4).unwrap(), b"\xff");
        let problem = |path: &Path| read_text(path, 3).unwrap_err().to_string();
        assert_eq!(problem(&path("file")), "it is larger than 3 bytes");
        assert_eq!(problem(&path("bytes")), "it is not UTF-8");
        for other in ["directory", "fifo", "link to fifo", "socket"] {
            assert_eq!(problem(&path(other)), "it is not a regular file", "{other}");
        }
        for device in ["/dev/zero", "/dev/null"] {
            assert_eq!(problem(Path::new(device)), "it is not a regular file");
        }
        // It states a size of 0.
        assert_eq!(
            problem(Path::new("/proc/self/status")),
            "it is larger than 3 bytes"
        );
        for missing in ["none", "loop"] {
            assert!(read(&path(missing), 3).is_err());
        }
    }
}
