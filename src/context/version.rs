//! The state of a file, to detect changes.

use std::fs::File;
use std::io;

/// Two equal versions of a file have the same content.
///
/// The kernel sets the change time (`ctime`) on every write, truncation, rename and change of
/// attributes, and no program can set it back. Its resolution is a few milliseconds: a write within
/// that time of the last one may be missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileVersion {
    size_bytes: i64,
    modified: Time,
    changed: Time,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Time {
    seconds: i64,
    nanoseconds: i64,
}

impl FileVersion {
    pub(super) fn of(stat: &rustix::fs::Stat) -> Self {
        let time = |seconds: i64, nanoseconds| Time {
            seconds,
            nanoseconds,
        };
        Self {
            size_bytes: stat.st_size,
            modified: time(stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
            changed: time(stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        }
    }

    /// The version of an open file.
    ///
    /// # Errors
    /// The system cannot report the file's state.
    pub(crate) fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }

    /// Whether this is the version of a text that is no file, and so cannot change.
    #[must_use]
    pub(crate) fn is_fixed(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the file has grown since `earlier`.
    #[must_use]
    pub(crate) fn has_grown_from(&self, earlier: &Self) -> bool {
        self.size_bytes > earlier.size_bytes
    }

    /// Whether the modification time was set by the kernel at the last write.
    ///
    /// Times set by a program (`touch`, an archive, `SOURCE_DATE_EPOCH`) differ from the change time.
    /// On file systems without a separate change time, both are equal, in full seconds.
    pub(super) fn has_natural_time(&self) -> bool {
        self.modified == self.changed && self.modified.nanoseconds != 0
    }

    /// The modification time in nanoseconds since 1970. Wraps outside of 1678 to 2262.
    pub(super) fn modified_nanoseconds(&self) -> i64 {
        self.modified_with(self.modified.nanoseconds)
    }

    /// The same second, with these nanoseconds.
    pub(super) fn modified_with(&self, nanoseconds: i64) -> i64 {
        let seconds = self.modified.seconds.wrapping_mul(1_000_000_000);
        seconds.wrapping_add(nanoseconds)
    }
}

/// The type of the field differs between architectures.
fn nanoseconds(field: impl TryInto<i64>) -> i64 {
    field.try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(modified: (i64, i64), changed: (i64, i64)) -> FileVersion {
        let time = |(seconds, nanoseconds)| Time {
            seconds,
            nanoseconds,
        };
        FileVersion {
            size_bytes: 1,
            modified: time(modified),
            changed: time(changed),
        }
    }

    #[test]
    fn a_time_is_natural_only_if_the_kernel_set_it() {
        assert!(version((5, 7), (5, 7)).has_natural_time());
        assert!(!version((5, 7), (6, 7)).has_natural_time());
        assert!(!version((5, 7), (5, 8)).has_natural_time());
        // A file system without change times.
        assert!(!version((5, 0), (5, 0)).has_natural_time());
    }

    #[test]
    fn times_beyond_the_range_wrap() {
        let far = version((10_413_792_000, 1), (5, 0));
        assert_eq!(
            far.modified_nanoseconds(),
            10_413_792_000_i64.wrapping_mul(1_000_000_000) + 1
        );
    }
}
