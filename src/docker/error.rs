//! Why a daemon is not there, and why it did not take an image.

use std::io;

use super::blobs::BlobError;

/// Why a daemon cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Its certificates cannot be used.
    #[error("the certificates for the Docker daemon cannot be used: {0}")]
    Certificates(String),
    /// It is not there, or is not one.
    #[error("no Docker daemon answers at {endpoint}")]
    Unreachable {
        /// As in `DOCKER_HOST`.
        endpoint: String,
        /// What the last try said.
        #[source]
        source: io::Error,
    },
    /// It answered something unexpected.
    #[error("the Docker daemon did not give {what}")]
    Answer {
        /// What it was asked for.
        what: &'static str,
        /// What it said.
        #[source]
        source: Box<bollard::errors::Error>,
    },
}

impl DaemonError {
    pub(super) fn answer(what: &'static str, source: bollard::errors::Error) -> Self {
        Self::Answer {
            what,
            source: Box::new(source),
        }
    }
}

/// Why an image is not in a daemon.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A layer that was left out is not there any more, or never was.
    #[error("the Docker daemon lacks a layer that it had: {told}")]
    LayerGone {
        /// In its words.
        told: String,
    },
    /// It refused the image.
    #[error("the Docker daemon did not take the image: {told}")]
    Refused {
        /// In its words.
        told: String,
    },
    /// It cannot read how a layer is compressed.
    #[error("Docker {version} does not read layers that are compressed with zstd")]
    Zstd {
        /// Its version.
        version: String,
    },
    /// A blob did not come from where the image was built.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// It did not answer in time.
    #[error("the Docker daemon did nothing for {} minutes", .0.as_secs() / 60)]
    Stalled(std::time::Duration),
    /// The connection to it broke.
    #[error("the connection to the Docker daemon broke")]
    Lost(#[source] Box<bollard::errors::Error>),
    /// It said that it took the image, but a name does not lead to it.
    #[error("`{name}` is not the image in the Docker daemon: {found} in place of {expected}")]
    NotThere {
        /// The name.
        name: String,
        /// The image's id.
        expected: String,
        /// What the name leads to.
        found: String,
    },
}

/// What a daemon says when a layer is neither in the archive nor in its store.
const GONE: [&str; 4] = [
    "no such file or directory",
    "not found",
    "does not exist",
    "failed to get reader",
];

impl LoadError {
    /// Reads what `bollard` tells. `left_out`: whether the archive lacks layers.
    pub(super) fn of(error: bollard::errors::Error, left_out: bool) -> Self {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { message, .. } => Self::told(message, left_out),
            Error::DockerStreamError { error } => Self::told(error, left_out),
            other => Self::Lost(Box::new(other)),
        }
    }

    /// Whether the daemon has no room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Refused { told } if told.contains("no space left on device"))
    }

    /// The same of a part of the image: one that was refused says nothing of the whole.
    pub(super) fn of_a_part(self) -> Self {
        match self {
            Self::Refused { told } => Self::LayerGone { told },
            other => other,
        }
    }

    pub(super) fn told(told: String, left_out: bool) -> Self {
        if left_out && GONE.iter().any(|words| told.contains(words)) {
            Self::LayerGone { told }
        } else {
            Self::Refused { told }
        }
    }
}
