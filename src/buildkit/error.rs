//! Errors of a solve. BuildKit's error texts are matched here and in the submodules, and nowhere else.

mod details;
mod kind;
mod known_cause;
mod privilege;
pub(super) mod rejection;
mod ssh;
#[cfg(test)]
mod tests;

use tonic::{Code, Status};

pub(crate) use details::Source;
pub(crate) use kind::{ErrorKind, RegistryAction};
pub(crate) use known_cause::{KnownCause, Mounts};
pub(crate) use privilege::Refusal;
pub(crate) use ssh::SshFailure;

use details::Details;
use kind::{is_transport_failure, kind};

/// The end of BuildKit's error for a canceled step.
pub(crate) const CANCELED: &str = "context canceled";

/// The text that follows the command line in BuildKit's error for a failed `RUN` step.
const STEP_FAILED: &str = " did not complete successfully";

/// The part of an error by which a builder rejects text that is not UTF-8, in lower case.
const INVALID_UTF8: &str = "utf-8";

/// Why a solve failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SolveError {
    /// The builder's message, without the prefixes of gRPC.
    pub(crate) message: String,
    /// The part that failed.
    pub(crate) kind: ErrorKind,
    /// The digest of the failed vertex.
    pub(crate) vertex: Option<String>,
    /// The source lines of the failed step, innermost last.
    pub(crate) sources: Vec<Source>,
    /// The advice for the user, if any.
    pub(crate) hint: Option<&'static str>,
}

impl SolveError {
    /// Whether a step failed: a command of the Dockerfile returned an error.
    #[must_use]
    pub(super) fn is_failed_step(&self) -> bool {
        self.kind == ErrorKind::Build && self.message.contains(STEP_FAILED)
    }

    /// Whether all steps had succeeded, and pushing the result failed.
    #[must_use]
    pub(crate) fn is_after_build(&self) -> bool {
        let ErrorKind::Registry { action, .. } = &self.kind else {
            return false;
        };
        *action != RegistryAction::Pull
    }

    /// Whether exporting a cache outside of the builder failed. Only for the error of a solve with such an export: the exporter
    /// of images has some of the same texts.
    #[must_use]
    pub(crate) fn is_of_cache_export(&self) -> bool {
        // `cache/remotecache` and `control/control.go` of BuildKit.
        let texts = [
            "error writing layer blob",
            "error writing config blob",
            "error writing manifest",
            " cache exporter",
        ];
        let message = &self.message;
        // A lost connection is not the fault of the cache.
        self.kind != ErrorKind::Connection
            && !message.contains(STEP_FAILED)
            && !message.contains("failed to push ")
            && texts.iter().any(|text| message.contains(text))
    }

    /// Reads the status of a failed call.
    pub(crate) fn from_status(status: &Status) -> Self {
        let Details { vertex, sources } = Details::of(status);
        Self {
            message: status_message(status),
            kind: kind(status),
            vertex,
            sources,
            hint: None,
        }
    }

    /// A failure of this program.
    pub(super) fn local(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            kind,
            vertex: None,
            sources: Vec::new(),
            hint: None,
        }
    }
}

/// Whether the builder rejected text that is not UTF-8.
pub(super) fn is_invalid_utf8(message: &str) -> bool {
    message.to_ascii_lowercase().contains(INVALID_UTF8)
}

/// Whether a call failed because the connection broke or the builder stopped.
#[must_use]
pub(crate) fn is_lost(status: &Status) -> bool {
    is_transport_failure(status) || matches!(status.code(), Code::Cancelled | Code::Unavailable)
}

/// The message of a status without the prefixes of gRPC, such as `rpc error: code = Unknown desc = `.
#[must_use]
pub(crate) fn status_message(status: &Status) -> String {
    let mut rest = status.message();
    let mut message = String::with_capacity(rest.len());
    while let Some((before, after)) = rest.split_once("rpc error: code = ") {
        let Some((_, description)) = after.split_once(" desc = ") else {
            break;
        };
        message.push_str(before);
        rest = description;
    }
    message.push_str(rest);
    message
}
