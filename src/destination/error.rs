//! Why a result cannot be written.

use std::io;

use rustix::io::Errno;

/// Why a result cannot be written. Unprintable bytes in paths are escaped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The system rejected an operation.
    #[error("cannot {action} `{path}`")]
    System {
        /// The operation, such as `create the file`.
        action: &'static str,
        path: String,
        source: io::Error,
    },
    /// The builder listed an entry that cannot be written, or not in this place of the list.
    #[error("the builder sent the entry `{path}`, which {problem}")]
    Invalid { path: String, problem: &'static str },
    /// The builder sent more or less content than it announced.
    #[error("the builder sent {sent} bytes for `{path}`, but announced {announced}")]
    Size {
        path: String,
        sent: u64,
        announced: u64,
    },
    /// The directory has too many entries.
    #[error("the result has more than {0} entries")]
    TooManyEntries(usize),
    /// The names of the entries are too long.
    #[error("the names of the result's files have more than {0} bytes")]
    TooManyNames(usize),
    /// The transfer was stopped.
    #[error("the transfer was stopped")]
    Closed,
    /// The builder reported success, but sent nothing, or not everything.
    #[error("the builder did not send the whole result")]
    Incomplete,
}

impl WriteError {
    /// The setting to change, if one helps.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        let Self::System { source, .. } = self else {
            return None;
        };
        let full = [Errno::NOSPC, Errno::DQUOT].map(|error| Some(error.raw_os_error()));
        full.contains(&source.raw_os_error()).then_some(
            "the disk of the step is full: remove files that the step no longer needs, export only the files that it needs (a stage \
             `FROM scratch` with COPY), or set a larger `size` for the step",
        )
    }

    /// A file, named as the user wrote it, cannot be written.
    pub(crate) fn writing(label: &str, source: io::Error) -> Self {
        Self::system("write", label.as_bytes())(source)
    }

    /// An error of a system call about a path, which is shown escaped.
    pub(super) fn system<E: Into<io::Error>>(
        action: &'static str,
        path: &[u8],
    ) -> impl FnOnce(E) -> Self {
        let path = shown(path);
        move |error| Self::System {
            action,
            path,
            source: error.into(),
        }
    }

    pub(super) fn invalid(path: &[u8], problem: &'static str) -> Self {
        Self::Invalid {
            path: shown(path),
            problem,
        }
    }
}

/// The longest path in a message, in bytes.
const SHOWN_BYTES: usize = 500;

/// A path for a message, escaped and limited in length.
pub(super) fn shown(path: &[u8]) -> String {
    match path.get(..SHOWN_BYTES) {
        Some(start) if path.len() > SHOWN_BYTES => format!("{}…", start.escape_ascii()),
        _ => match str::from_utf8(path) {
            Ok(text) => text.escape_debug().to_string(),
            Err(_) => path.escape_ascii().to_string(),
        },
    }
}
