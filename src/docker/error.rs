//! Errors of connecting to a daemon, and of loading an image into it.

use std::io;
use std::time::Duration;

use super::blobs::BlobError;

/// Why a daemon cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonError {
    /// Its certificates cannot be used.
    #[error("the certificates for the Docker daemon cannot be used: {0}")]
    Certificates(String),
    /// The connection failed.
    #[error("cannot connect to the Docker daemon at {endpoint}")]
    Unreachable {
        /// In the form of `DOCKER_HOST`.
        endpoint: String,
        /// The error of the last attempt.
        #[source]
        source: io::Error,
    },
    /// A call took too long.
    #[error("the Docker daemon did not return {what} within {} s", .limit.as_secs())]
    TooSlow {
        /// The requested information.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// A call failed, or its response is invalid.
    #[error("the Docker daemon did not return {what}")]
    Response {
        /// The requested information.
        what: &'static str,
        /// The error of the call.
        #[source]
        source: Box<bollard::errors::Error>,
    },
}

impl DaemonError {
    pub(super) fn response(what: &'static str, source: bollard::errors::Error) -> Self {
        Self::Response {
            what,
            source: Box::new(source),
        }
    }
}

/// Why an image was not loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// An omitted layer does not exist in the daemon, or no longer. Sending all layers may succeed.
    #[error("a layer is no longer in the Docker daemon: {reason}")]
    LayerGone {
        /// The daemon's message.
        reason: String,
    },
    /// The daemon did not load the image from its own and the missing layers. Sending all layers in one archive may succeed.
    #[error("the Docker daemon did not load the image from the missing layers alone: {reason}")]
    NeedsAllLayers {
        /// The daemon's message, or the result of the verification.
        reason: String,
    },
    /// The daemon rejected the image.
    #[error("the Docker daemon rejected the image: {reason}")]
    Refused {
        /// The daemon's message.
        reason: String,
    },
    /// The daemon does not support the compression of a layer.
    #[error("Docker {version} cannot read layers compressed with zstd")]
    Zstd {
        /// The daemon's version.
        version: String,
    },
    /// A blob could not be read from the builder.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The load made no progress.
    #[error("the Docker daemon made no progress for {} minutes", .0.as_secs() / 60)]
    Stalled(Duration),
    /// The connection to the daemon broke.
    #[error("the connection to the Docker daemon broke")]
    Lost(#[source] Box<bollard::errors::Error>),
    /// The daemon reported success, but a name does not refer to the image.
    #[error("in the Docker daemon, `{name}` refers to {found} instead of {expected}")]
    NotThere {
        /// The name.
        name: String,
        /// The image's id.
        expected: String,
        /// The id to which the name refers.
        found: String,
    },
}

/// Parts of the daemon's message when a layer is neither in the archive nor in its store.
const MISSING_LAYER: [&str; 4] = [
    "no such file or directory",
    "not found",
    "does not exist",
    "failed to get reader",
];

impl LoadError {
    /// Classifies an error of `bollard`. `omits_layers`: whether the archive omits layers.
    pub(super) fn of(error: bollard::errors::Error, omits_layers: bool) -> Self {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { message, .. } => {
                Self::of_message(message, omits_layers)
            }
            Error::DockerStreamError { error } => Self::of_message(error, omits_layers),
            other => Self::Lost(Box::new(other)),
        }
    }

    /// Whether the daemon's disk is full.
    #[must_use]
    pub(crate) fn is_disk_full(&self) -> bool {
        matches!(self, Self::Refused { reason } if reason.contains("no space left on device"))
    }

    /// The error for the whole load, if a stage failed: the daemon may accept the image in one archive.
    pub(super) fn of_stage(self) -> Self {
        match self {
            Self::Refused { reason } => Self::NeedsAllLayers { reason },
            other => other,
        }
    }

    /// Classifies a message of the daemon.
    pub(super) fn of_message(message: String, omits_layers: bool) -> Self {
        if omits_layers && MISSING_LAYER.iter().any(|part| message.contains(part)) {
            Self::LayerGone { reason: message }
        } else {
            Self::Refused { reason: message }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_layer_of_an_incomplete_archive_is_gone() {
        let missing = || "open /layer.tar: no such file or directory".to_owned();
        let error = LoadError::of_message(missing(), true);
        assert!(matches!(error, LoadError::LayerGone { .. }), "{error:?}");
        let error = LoadError::of_message(missing(), false);
        assert!(matches!(error, LoadError::Refused { .. }), "{error:?}");
    }

    #[test]
    fn a_rejected_stage_needs_all_layers_and_a_stalled_one_does_not() {
        let rejected = LoadError::of_message("invalid diffID for layer 1".into(), true);
        let error = rejected.of_stage();
        let LoadError::NeedsAllLayers { reason } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(reason, "invalid diffID for layer 1");
        let stalled = LoadError::Stalled(Duration::ZERO).of_stage();
        assert!(matches!(stalled, LoadError::Stalled(_)), "{stalled:?}");
    }
}
