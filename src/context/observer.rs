//! Reads the metadata of the entries of a folder.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::announced::{TimeSource, TimeTrust, derived};
use super::error::{WalkError, shown};
use super::stat::{Entry, Stat, mode};
use super::tree::Identity;
use super::version::FileVersion;

/// An entry as it was found.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) entry: Entry,
    pub(super) identity: Identity,
    /// The file may have other names that follow.
    has_more_names: bool,
}

/// Reads the metadata of entries and remembers files with several names.
#[derive(Debug, Default)]
pub(super) struct Observer {
    /// The path under which each file with several names was sent, and its announced time.
    first_names: HashMap<Identity, (Vec<u8>, i64)>,
    attributes: AttributeReader,
    times: TimeSource,
}

impl Observer {
    /// Reads the metadata of the entry `name` of a directory; `path` is its whole path.
    ///
    /// `trust` says whether its own time may be announced. `None` if it was removed. Links are not followed.
    pub(super) fn describe(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        trust: TimeTrust,
    ) -> Result<Option<Observed>, WalkError> {
        let failed = |error: Errno| WalkError::Entry {
            path: shown(path),
            source: error.into(),
        };
        let found = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let kind = FileType::from_raw_mode(found.st_mode);
        let identity = Identity::of(&found);
        let mut stat = Stat {
            mode: go_mode(kind, found.st_mode),
            version: FileVersion::of(&found),
            ..Stat::default()
        };
        stat.modified_nanoseconds = stat.version.modified_nanoseconds();
        if kind != FileType::Directory {
            stat.size = found.st_size;
        }
        if kind == FileType::Symlink {
            stat.link_name = match rustix::fs::readlinkat(directory, name, Vec::new()) {
                Ok(target) => target.into_bytes(),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::INVAL) => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
        }
        if matches!(kind, FileType::BlockDevice | FileType::CharacterDevice) {
            (stat.device_major, stat.device_minor) = device_numbers(found.st_rdev);
        }
        stat.attributes = self.attributes.read(directory, name);
        stat.has_own_time = true;
        // The link name of a symbolic link is its target, even if the link has several names. A file with only
        // one name is a different file that reuses the inode number of a removed file.
        let has_more_names =
            !matches!(kind, FileType::Directory | FileType::Symlink) && found.st_nlink > 1;
        let first = self.first_names.get(&identity);
        if let (Some((path, time)), true) = (first, has_more_names) {
            stat.link_name.clone_from(path);
            stat.modified_nanoseconds = *time;
        } else if kind == FileType::RegularFile {
            (stat.modified_nanoseconds, stat.has_own_time) =
                self.times.announced(directory, name, path, &stat, trust);
        } else if trust == TimeTrust::Content {
            // A builder compares the times of links, and the layers of an image have those of directories.
            stat.modified_nanoseconds = derived(path, &stat.link_name);
        }
        Ok(Some(Observed {
            entry: Entry {
                path: path.to_vec(),
                stat,
            },
            identity,
            has_more_names,
        }))
    }

    /// Must be called for each entry that is sent: its further names become links to it.
    pub(super) fn remember(&mut self, sent: &Observed) {
        if sent.has_more_names {
            self.first_names.entry(sent.identity).or_insert_with(|| {
                let stat = &sent.entry.stat;
                (sent.entry.path.clone(), stat.modified_nanoseconds)
            });
        }
    }
}

fn go_mode(kind: FileType, raw: u32) -> u32 {
    let kind = match kind {
        FileType::Directory => mode::DIRECTORY,
        FileType::Symlink => mode::LINK,
        FileType::Fifo => mode::FIFO,
        FileType::BlockDevice => mode::DEVICE,
        FileType::CharacterDevice => mode::DEVICE | mode::CHARACTER_DEVICE,
        _ => 0,
    };
    let special = [
        (0o4000, mode::SET_USER),
        (0o2000, mode::SET_GROUP),
        (0o1000, mode::STICKY),
    ];
    let special = special
        .into_iter()
        .filter(|(bit, _)| raw & bit != 0)
        .map(|(_, mode)| mode);
    special.fold(kind | raw & 0o777, |all, bit| all | bit)
}

/// Splits a device number as builders do: narrower than the C library's `major` and `minor`.
fn device_numbers(device: u64) -> (i64, i64) {
    let part = |bits: u64| i64::try_from(bits).unwrap_or(0);
    (
        part(device >> 8 & 0xfff),
        part(device & 0xff | device >> 12 & 0xfff00),
    )
}

/// The kernel's limit for the list of an entry's attributes, and for one value.
const MAX_ATTRIBUTE_BYTES: usize = 64 * 1024;

/// Reads extended attributes, with a reused buffer.
///
/// No system call reads the attributes of a name relative to a directory, and a plain path could pass
/// through a directory that was just replaced by a link. So the path starts at the directory's entry
/// in `/proc`. Without `/proc`, or on a file system without attributes, the result is empty.
#[derive(Debug, Default)]
pub(super) struct AttributeReader {
    path: Vec<u8>,
    names: Vec<u8>,
    value: Vec<u8>,
}

impl AttributeReader {
    pub(super) fn read(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &[u8],
    ) -> BTreeMap<String, Vec<u8>> {
        self.path.clear();
        self.path
            .extend_from_slice(format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes());
        self.path.extend_from_slice(name);
        let path = self.path.as_slice();
        let names = fill(&mut self.names, |buffer| {
            rustix::fs::llistxattr(path, buffer)
        });
        let names = names
            .unwrap_or_default()
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty());
        let mut found = BTreeMap::new();
        for name in names {
            if let Ok(text) = str::from_utf8(name)
                && !text.starts_with("com.apple.")
                && let Some(value) = fill(&mut self.value, |buffer| {
                    rustix::fs::lgetxattr(path, name, buffer)
                })
            {
                found.insert(text.to_owned(), value.to_vec());
            }
        }
        found
    }
}

/// Calls `read` with a growing buffer until the result fits.
fn fill(buffer: &mut Vec<u8>, read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Option<&[u8]> {
    buffer.resize(buffer.len().max(256), 0);
    let length = loop {
        match read(buffer) {
            Ok(length) => break length,
            Err(Errno::RANGE) if buffer.len() < MAX_ATTRIBUTE_BYTES => {
                buffer.resize(buffer.len() * 2, 0);
            }
            Err(_) => return None,
        }
    };
    buffer.get(..length)
}
