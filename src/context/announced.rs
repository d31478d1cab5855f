//! The modification time under which a file is announced to a builder.
//!
//! A builder keeps the files of the last transfer and compares only size, mode, time and link name
//! (`fsutil`, `diff_containerd.go`). A file whose content changes while its size and time stay the
//! same would never be sent again, and the image would hold the old content.
//!
//! A time that the kernel set at the last write is announced unchanged: a later write gets another
//! time. Every other time was set by a program, which may set it again. Such a file is announced with
//! its own second and with nanoseconds derived from its content and extended attributes (which builders
//! do not compare either). Different content has the same nanoseconds in one of 10^9 cases.
//!
//! On request, every file is announced by its content and path alone ([`TimeTrust::Content`]): a clone in another container has
//! new times, and yet the builder requests none of its files again.
//!
//! The kernel's clock for files ticks every few milliseconds, so files that are written in quick
//! succession have the same time. Moving a file changes its change time; moving its directory does
//! not. So files below a moved directory are also announced by content ([`TimeTrust`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, openat};
use twox_hash::XxHash3_64;

use super::stat::Stat;
use super::version::FileVersion;

const NANOSECONDS: u64 = 1_000_000_000;

/// The size of a read.
const CHUNK_BYTES: usize = 128 << 10;

/// The start and the length of the range of times that are derived from content, in seconds since 1970: twenty years from 2001
/// on, which archives, file systems and builders can hold, and which no clock has reached again.
const RANGE_START: u64 = 978_307_200;
const RANGE_SECONDS: u64 = 20 * 365 * 86_400;

/// Whether the time that the kernel set at the last write may be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeTrust {
    /// The time may be announced.
    Natural,
    /// Another file may have been at this path at the same time.
    None,
    /// No time is announced: it is derived from the content and the path.
    Content,
}

/// Computes the announced times, with a reused buffer.
#[derive(Debug, Default)]
pub(super) struct TimeSource {
    buffer: Vec<u8>,
}

impl TimeSource {
    /// The announced time of the regular file `name`, in nanoseconds since 1970, and whether it is
    /// the file's own.
    ///
    /// A file that cannot be read gets a unique time, so that the builder requests it, and the reader
    /// reports why it cannot be sent.
    pub(super) fn announced(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        stat: &Stat,
        trust: TimeTrust,
    ) -> (i64, bool) {
        let version = &stat.version;
        if trust == TimeTrust::Content {
            return (self.of_content(directory, name, path, stat), false);
        }
        // An empty file has no content that could change.
        let is_empty = stat.size == 0 && stat.attributes.is_empty();
        if (version.has_natural_time() && trust == TimeTrust::Natural) || is_empty {
            return (version.modified_nanoseconds(), true);
        }
        let hash = self
            .hash(directory, name, stat)
            .unwrap_or_else(|_unreadable| uuid::Uuid::new_v4().as_u64_pair().0);
        let nanoseconds = i64::try_from(hash % NANOSECONDS).unwrap_or(0);
        (version.modified_with(nanoseconds), false)
    }

    /// The time of a regular file that is derived from its content, its attributes and its path.
    fn of_content(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        stat: &Stat,
    ) -> i64 {
        let content = self
            .hash(directory, name, stat)
            .unwrap_or_else(|_unreadable| uuid::Uuid::new_v4().as_u64_pair().0);
        derived(path, &content.to_le_bytes())
    }

    fn hash(&mut self, directory: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> io::Result<u64> {
        let mut hasher = XxHash3_64::new();
        hash_attributes(&mut hasher, &stat.attributes);
        if stat.size > 0 {
            let flags = OFlags::RDONLY
                | OFlags::NOFOLLOW
                | OFlags::NONBLOCK
                | OFlags::NOCTTY
                | OFlags::CLOEXEC;
            let mut file = File::from(openat(directory, name, flags, Mode::empty())?);
            // The path may now be another file, for example a device that never ends.
            if FileVersion::of_file(&file)? != stat.version {
                return Err(io::Error::other("the file has changed"));
            }
            self.buffer.resize(CHUNK_BYTES, 0);
            let mut left = u64::try_from(stat.size).unwrap_or(0);
            while left > 0 {
                match file.read(&mut self.buffer) {
                    Ok(0) => break,
                    Ok(length) => {
                        hasher.write(self.buffer.get(..length).unwrap_or_default());
                        left = left.saturating_sub(length as u64);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(hasher.finish())
    }
}

/// A time in nanoseconds since 1970 for an entry at `path` whose content is, or has the hash, `content`. The times of different
/// entries are spread over the range.
pub(super) fn derived(path: &[u8], content: &[u8]) -> i64 {
    let mut hasher = XxHash3_64::new();
    for part in [path, content] {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    let within = hasher.finish() % (RANGE_SECONDS * NANOSECONDS);
    i64::try_from(RANGE_START * NANOSECONDS + within).unwrap_or(0)
}

/// Adds the extended attributes of an entry to a hash, each with its length.
pub(super) fn hash_attributes(hasher: &mut XxHash3_64, attributes: &BTreeMap<String, Vec<u8>>) {
    for (name, value) in attributes.iter().filter(|(name, _)| matters(name)) {
        for part in [name.as_bytes(), value] {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
    }
}

/// Whether a builder's cache depends on an extended attribute (`contenthash`, `tarsum.go`). A label such as `security.selinux`
/// may differ between containers.
fn matters(attribute: &str) -> bool {
    attribute == "security.capability"
        || !(attribute.starts_with("security.") || attribute.starts_with("system."))
}
