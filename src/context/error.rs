//! Errors of a folder and of its entries.

use std::io;
use std::path::PathBuf;

use super::patterns::PatternError;

const UNREADABLE_HINT: &str =
    "make it readable for the step's user, or exclude it with a line in .dockerignore";

/// Why a folder cannot be offered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    /// It does not exist, is not a directory, or cannot be entered.
    #[error("directory `{}` cannot be opened", path.display())]
    Open {
        /// The path as it was passed.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is, or is inside, a directory that is never sent.
    #[error("directory `{}` is inside `{}`, which is never sent", path.display(), never.display())]
    Withheld {
        /// The path as it was passed.
        path: PathBuf,
        /// That directory.
        never: PathBuf,
    },
}

/// Why a walk failed.
///
/// Paths are relative to the folder; unprintable bytes in them are escaped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    /// One of the patterns is not valid.
    #[error("the {list} patterns cannot be applied")]
    Pattern {
        /// `include` or `exclude`.
        list: &'static str,
        /// The pattern, and why it is not valid.
        source: PatternError,
    },
    /// A path whose links must be followed cannot be looked up.
    #[error("the symbolic links in the path `{path}` cannot be followed")]
    Follow {
        /// The part of the path that failed.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// The links lead to too many or too long paths.
    #[error("the symbolic links in the path `{path}` lead to too many paths")]
    FollowTooFar {
        /// The path at which the limit was reached.
        path: String,
    },
    /// A directory whose content is needed cannot be listed.
    #[error("directory `{path}` cannot be read")]
    Directory {
        /// `.` for the folder itself.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// An entry's mode, size and times cannot be read.
    #[error("the metadata of `{path}` cannot be read")]
    Entry {
        /// The entry.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// Longer than the limit of a system call.
    #[error(
        "the path `{start}...` is {length} bytes long; the limit is {}",
        super::MAX_PATH_BYTES
    )]
    PathTooLong {
        /// Its first bytes.
        start: String,
        /// Its length in bytes.
        length: usize,
    },
}

impl WalkError {
    /// The advice for the user; `None` if the message is sufficient.
    #[must_use]
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Pattern {
                list: "exclude", ..
            } => Some("correct the line in .dockerignore"),
            Self::Directory { source, .. }
            | Self::Entry { source, .. }
            | Self::Follow { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Some(UNREADABLE_HINT)
            }
            Self::PathTooLong { .. } => Some("exclude it with a line in .dockerignore"),
            Self::FollowTooFar { .. } => Some(
                "check that path for symbolic links that point to each other, or `COPY` fewer paths at once",
            ),
            _ => None,
        }
    }
}

/// Why the content of an entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// A path that no walk lists, or a path in a directory that is never sent.
    #[error("`{path}` was not offered to the builder")]
    NotListed {
        /// As the builder requested it.
        path: String,
    },
    /// Since it was listed, it was removed, or it or a parent directory was replaced by a link.
    #[error("`{path}` was removed or replaced while the directory was being sent")]
    Gone {
        /// The entry.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// It is a socket, a fifo, a device or a directory, possibly since it was listed.
    #[error("`{path}` is not a regular file and has no content to send")]
    NotAFile {
        /// The entry.
        path: String,
    },
    /// Any other error, usually a missing permission.
    #[error("file `{path}` cannot be read")]
    Unreadable {
        /// The entry.
        path: String,
        /// The system's error.
        source: io::Error,
    },
}

impl OpenError {
    /// The advice for the user; `None` if the message is sufficient.
    #[must_use]
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some(UNREADABLE_HINT)
            }
            Self::Gone { .. } => {
                Some("make sure that nothing else writes to the directory while it is being sent")
            }
            _ => None,
        }
    }
}

/// A printable path: control characters and bytes that are not UTF-8 are escaped.
pub(crate) fn shown(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_cannot_be_printed_is_escaped() {
        assert_eq!(
            shown(b"a/\xc3\xa9\xff\n\x1b[1m\\"),
            "a/é\\xff\\n\\u{1b}[1m\\"
        );
    }
}
