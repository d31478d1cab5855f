//! The metadata of an entry that becomes part of a builder's cache key, in the builder's units.
//!
//! Owner and group are not included: a context belongs to root, regardless of the owner of the clone.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::announced::{TimeSource, TimeTrust};
use super::error::{WalkError, shown};
use super::tree::Identity;
use super::version::FileVersion;

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Relative to the folder, with `/` between the names and without a leading one. Any bytes: file
    /// systems define no encoding.
    pub path: Vec<u8>,
    /// Its metadata.
    pub stat: Stat,
}

/// The metadata of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stat {
    /// Permissions and kind in the bits of Go's `os.FileMode`, see [`mode`].
    pub mode: u32,
    /// In bytes; the length of the target for a link, 0 for a directory.
    pub size: i64,
    /// The time that is announced to a builder, in nanoseconds since 1970: the last change of the
    /// content, or a time derived from the content; see [`super::announced`]. Wraps beyond 2262, as in
    /// a builder's own client.
    pub modified_nanoseconds: i64,
    /// The unchanged target of a symbolic link; for a further hard link of a file, the path under
    /// which that file was listed first; otherwise empty.
    pub link_name: Vec<u8>,
    /// For device nodes.
    pub device_major: i64,
    /// For device nodes.
    pub device_minor: i64,
    /// Extended attributes, such as `security.capability` or `user.*`.
    pub attributes: BTreeMap<String, Vec<u8>>,
    /// The announced time is the file's own, not derived from its content.
    pub has_own_time: bool,
    /// The state in which the entry was found, to detect later changes.
    pub version: FileVersion,
}

/// Bits of [`Stat::mode`]; the lowest nine are the permissions.
pub(crate) mod mode {
    /// A directory.
    pub(crate) const DIRECTORY: u32 = 1 << 31;
    /// A symbolic link.
    pub(crate) const LINK: u32 = 1 << 27;
    /// A device node.
    pub(crate) const DEVICE: u32 = 1 << 26;
    /// A fifo.
    pub(crate) const FIFO: u32 = 1 << 25;
    /// Runs as its owner.
    pub(crate) const SET_USER: u32 = 1 << 23;
    /// Runs as its group.
    pub(crate) const SET_GROUP: u32 = 1 << 22;
    /// A device node without a block size; [`DEVICE`] is set too.
    pub(crate) const CHARACTER_DEVICE: u32 = 1 << 21;
    /// The sticky bit.
    pub(crate) const STICKY: u32 = 1 << 20;
    /// All bits of entries that are not regular files.
    pub(crate) const KIND: u32 = DIRECTORY | LINK | DEVICE | FIFO | CHARACTER_DEVICE;
}

impl Stat {
    /// Whether a builder may request the entry's content.
    ///
    /// That includes sockets: they are announced as empty files (the protocol has no bit for them), and
    /// opening one fails with [`super::OpenError::NotAFile`]. It also includes the further names of a
    /// file, although a builder does not request these.
    #[must_use]
    pub(crate) fn has_content(&self) -> bool {
        self.mode & mode::KIND == 0
    }
}

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
                self.times.announced(directory, name, &stat, trust);
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
