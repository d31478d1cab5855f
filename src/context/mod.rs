//! The files of a folder that a builder may read, and their order.
//!
//! A builder requests a folder with include patterns, exclude patterns and paths whose links must be
//! followed ([`Selection`]). [`Tree::walk`] lists the selected entries with the values that a builder
//! uses as its cache key, and [`Tree::open`] opens a listed file. The transfer itself is not part of
//! this module.
//!
//! The result must be the same list that BuildKit's own client (Go's `fsutil`) would send for the
//! same folder; otherwise caches would miss and images would differ. So its quirks are kept:
//! - Order: names are sorted by bytes, and a directory comes before its content. A directory that is
//!   not selected itself is listed right before its first selected entry.
//! - Sockets are listed as empty files, fifos and devices with their own type. None is ever opened.
//! - The owner is omitted (it is always root); modes, times, hard links and extended attributes are
//!   kept.
//!
//! Intentional differences: if an entry vanishes, the rest of its directory is still listed; files of
//! two file systems with equal inode numbers are never treated as one file; nothing outside of the
//! folder is read, even if directories are replaced by links during the walk; and the directories
//! passed as `never` to [`Tree::new`] do not exist for a builder.
//!
//! All functions block. Memory: the names in the directories above the current entry, and a path for
//! each file with several hard links. About 64 directories are open at a time, at any depth.

mod announced;
mod census;
pub(crate) mod checkout;
mod directories;
mod error;
mod filter;
mod follow;
mod levels;
mod lexical;
mod listing;
mod named;
mod observer;
pub(crate) mod patterns;
mod stat;
#[cfg(test)]
mod tests;
mod tree;
mod version;
mod view;
mod walk;

pub(crate) use census::{Census, Counted, List};
pub(crate) use error::shown;
pub(crate) use error::{OpenError, TreeError};
pub(crate) use filter::Selection;
pub(crate) use named::NamedFile;
pub(crate) use stat::{Entry, mode};
pub(crate) use tree::Tree;
pub(crate) use version::FileVersion;
pub(crate) use view::Directory;

/// The longest path, relative to the folder, that is listed: the limit of a system call.
pub(crate) const MAX_PATH_BYTES: usize = 4096;
