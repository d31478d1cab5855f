//! The metadata of an entry that becomes part of a builder's cache key, in the builder's units.
//!
//! Owner and group are not included: a context belongs to root, regardless of the owner of the clone.

use std::collections::BTreeMap;

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
