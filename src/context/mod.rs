//! Which files of a folder a builder may have, and in which order.
//!
//! A builder asks for a folder with include patterns, exclude patterns and paths whose links it wants
//! followed ([`Selection`]). [`Tree::walk`] lists what that comes to, each entry with what a builder
//! keys its cache on, and [`Tree::open`] gives the content of a listed file. How this is carried to
//! the builder is not known here.
//!
//! The outcome must be the very list that the builder's own client (Go's `fsutil`) would send of the
//! same folder, or caches would miss and images differ; so its quirks are kept:
//! - Order: names sorted by bytes, a directory before what is in it; a directory that is not itself
//!   wanted is listed right before the first entry in it that is.
//! - Sockets are listed as empty files, fifos and devices as what they are. None is ever opened.
//! - The owner is left out (it is always root); modes, times, hard links and extended attributes
//!   are kept.
//!
//! Where it differs, on purpose: an entry that vanishes does not take the rest of its directory
//! along, files of two file systems are never taken for one because of equal inode numbers, nothing
//! outside of the folder is looked at, even if directories are swapped for links meanwhile, and the
//! directories given as `never` to [`Tree::new`] do not exist for a builder.
//!
//! All of it blocks. Memory: the names of the directories on the way down, and a path for each file
//! that has several hard links. Open at a time: some 64 directories, however deep the tree.

mod announced;
mod directories;
mod error;
mod filter;
mod follow;
mod levels;
mod lexical;
mod listing;
mod named;
pub mod patterns;
mod stat;
#[cfg(test)]
mod tests;
mod tree;
mod version;
mod view;
mod walk;

pub(crate) use error::shown;
pub use error::{OpenError, TreeError, WalkError};
pub use filter::Selection;
pub use named::NamedFile;
pub use stat::{Entry, Stat, mode};
pub use tree::Tree;
pub use version::FileVersion;
pub use view::Directory;
pub use walk::{MAX_TOLD, WalkSummary};

/// The longest path, relative to the folder, that is listed: what a system call takes.
pub const MAX_PATH_BYTES: usize = 4096;
