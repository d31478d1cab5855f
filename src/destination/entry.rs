//! An entry of a result's directory, as a builder lists it.

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Relative to the directory, with `/` between the names. Any bytes: file systems define no encoding.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    /// The permissions, including the sticky bit: at most `0o1777`.
    pub(crate) permissions: u32,
    /// The time of the last change, in nanoseconds since 1970.
    pub(crate) modified_nanoseconds: i64,
}

/// The kind of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory. Its entries follow.
    Directory,
    /// A regular file.
    File {
        /// In bytes.
        size: u64,
    },
    /// Another name of a file.
    HardLink {
        /// The path of that file, which was listed before.
        target: Vec<u8>,
    },
    /// A symbolic link.
    Link {
        /// Its content, which can be any text.
        target: Vec<u8>,
    },
    /// A device, a fifo or a socket.
    Special,
}
