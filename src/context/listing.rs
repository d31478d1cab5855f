//! The names in one directory, sorted by their bytes.
//!
//! All names are in one buffer. Its size depends on the directory, because only a complete listing can
//! be sorted.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, RawDir, statat};
use rustix::io::Errno;

/// The size of a read from the kernel; far more than the longest entry.
const BUFFER_BYTES: usize = 32 * 1024;

/// The remaining names of a directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    names: Vec<u8>,
    entries: std::vec::IntoIter<Listed>,
}

#[derive(Debug)]
struct Listed {
    start: usize,
    length: usize,
    kind: FileType,
}

impl Listing {
    /// Reads the directory; `buffer` is shared between listings.
    pub(super) fn read(directory: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> Result<Self, Errno> {
        buffer.clear();
        buffer.reserve(BUFFER_BYTES);
        let mut names = Vec::new();
        let mut entries = Vec::new();
        let mut unsorted = RawDir::new(directory, buffer.spare_capacity_mut());
        while let Some(entry) = unsorted.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error),
                },
                kind => kind,
            };
            entries.push(Listed {
                start: names.len(),
                length: name.len(),
                kind,
            });
            names.extend_from_slice(name);
        }
        entries.sort_unstable_by(|left, right| left.name(&names).cmp(right.name(&names)));
        Ok(Self {
            names,
            entries: entries.into_iter(),
        })
    }

    /// The next name and its type according to the directory, which may be outdated.
    pub(super) fn next(&mut self) -> Option<(&[u8], FileType)> {
        let entry = self.entries.next()?;
        Some((entry.name(&self.names), entry.kind))
    }
}

impl Listed {
    fn name<'names>(&self, names: &'names [u8]) -> &'names [u8] {
        names
            .get(self.start..self.start + self.length)
            .unwrap_or_default()
    }
}
