//! What can be wrong with a folder, and with one thing in it.

use std::io;
use std::path::PathBuf;

use super::patterns::PatternError;

const UNREADABLE_HINT: &str =
    "make it readable for the step's user, or exclude it with a line in .dockerignore";

/// Why a folder cannot be offered at all.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// It does not exist, is no directory, or may not be entered.
    #[error("folder `{}` cannot be opened", path.display())]
    Open {
        /// As it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is, or lies in, a directory that is never sent.
    #[error("folder `{}` is inside `{}`, which is never sent", path.display(), never.display())]
    Withheld {
        /// As it was given.
        path: PathBuf,
        /// The directory that it lies in.
        never: PathBuf,
    },
}

/// Why the list of a folder's entries broke off.
///
/// Paths are relative to the folder; bytes in them that cannot be printed are escaped.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// One of the patterns that choose the files cannot be used.
    #[error("the {list} patterns cannot be applied")]
    Pattern {
        /// `include` or `exclude`.
        list: &'static str,
        /// Which one, and why.
        source: PatternError,
    },
    /// A path whose links were to be followed cannot be looked up.
    #[error("the symbolic links in the path `{path}` cannot be followed")]
    Follow {
        /// The part of it where it failed.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Links lead to ever more and longer paths.
    #[error("the symbolic links in the path `{path}` lead to too many paths")]
    FollowTooFar {
        /// Where it was given up.
        path: String,
    },
    /// A directory whose content is needed cannot be listed.
    #[error("directory `{path}` cannot be read")]
    Directory {
        /// `.` for the folder itself.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// An entry's mode, size and times cannot be found out.
    #[error("the metadata of `{path}` cannot be read")]
    Entry {
        /// The entry.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Longer than any path that a system call takes.
    #[error(
        "the path `{start}...` is {length} bytes long; the limit is {}",
        super::MAX_PATH_BYTES
    )]
    PathTooLong {
        /// How it starts.
        start: String,
        /// In bytes.
        length: usize,
    },
}

impl WalkError {
    /// The next thing to do; `None` when the message says it all.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
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
                "check that path for symbolic links that point to each other, or `COPY` fewer of them at once",
            ),
            _ => None,
        }
    }
}

/// Why the content of an entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a path that a walk could have listed, or one in a directory that is never sent.
    #[error("`{path}` was not offered to the builder")]
    NotListed {
        /// As the builder requested it.
        path: String,
    },
    /// It was removed, or it or a directory above was replaced by a link, since it was listed.
    #[error("`{path}` was removed or replaced while the folder was being sent")]
    Gone {
        /// The entry.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is a socket, a fifo, a device or a directory, perhaps since it was listed.
    #[error("`{path}` is not a regular file and has no content to send")]
    NotAFile {
        /// The entry.
        path: String,
    },
    /// Anything else, most often a missing permission.
    #[error("file `{path}` cannot be read")]
    Unreadable {
        /// The entry.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// The next thing to do; `None` when the message says it all.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some(UNREADABLE_HINT)
            }
            Self::Gone { .. } => {
                Some("make sure that nothing else writes to the folder while it is being sent")
            }
            _ => None,
        }
    }
}

/// A path for people: control characters and bytes that are not UTF-8 are escaped.
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
