//! The kind of a failed solve, read from the status code and the text of BuildKit's error.
//!
//! BuildKit has no types for most of these facts. The texts are those of BuildKit 0.11 and later.

use tonic::{Code, Status};

use super::STEP_FAILED;
use crate::registry::immutable::is_immutable;

/// The part of a solve that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The build: a step, the Dockerfile, a missing file.
    Build,
    /// A registry rejected a request or could not be reached.
    Registry {
        /// The image, as in the builder's error; empty if the error contains none.
        reference: String,
        /// The registry rejected the credentials, or their permissions are not sufficient.
        denied: bool,
        /// The builder's operation.
        action: RegistryAction,
    },
    /// The solve was canceled by this program.
    Canceled,
    /// The connection to the builder broke, or the builder stopped.
    Connection,
    /// The builder's state is inconsistent. The same solve is likely to succeed when it is repeated.
    InconsistentState,
    /// The builder returned an invalid result. Nothing of it is used.
    InvalidResult,
    /// This program could not provide requested data, usually files of the context.
    Session,
    /// This program could not write an exported result.
    Export,
    /// A file changed while it was sent. The same solve may succeed with another transfer.
    FilesChanged,
}

/// A builder's operation at a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegistryAction {
    /// It resolves or pulls an image, such as that of a `FROM`.
    Pull,
    /// It pushes the image.
    Push,
    /// It pushes the image, and the registry does not support the form of its manifest.
    PushRefusedForm,
}

/// The start of BuildKit's error for a failed push.
const PUSH_TEXT: &str = "failed to push ";

/// The starts of BuildKit's errors for a registry. An image follows the first three.
const REGISTRY_TEXTS: [&str; 5] = [
    PUSH_TEXT,
    "failed to resolve source metadata for ",
    "failed to load metadata for ",
    "failed to authorize",
    "failed to fetch oauth token",
];

/// The number of [`REGISTRY_TEXTS`] that an image follows.
const TEXTS_WITH_IMAGE: usize = 3;

/// Texts of a registry that rejects a request, in lower case. The bare numbers 401 and 403 are not among them, because ports
/// and digests can contain them.
const DENIAL_TEXTS: [&str; 7] = [
    // The end of our own responses to the builder's requests for tokens.
    "(http 401)",
    "(http 403)",
    "unauthorized",
    "forbidden",
    "denied",
    "authorization failed",
    "no basic auth",
];

/// Texts of a registry that does not support the form of a manifest, in lower case.
///
/// BuildKit passes on the status, and the first error of the response if it has one.
const FORM_TEXTS: [&str; 7] = [
    "415 unsupported media type",
    "manifest invalid",
    "manifest_invalid",
    "unsupported media type",
    "unsupported manifest",
    "unknown media type",
    "mediatype in manifest should be",
];

/// Texts of a builder whose internal state is inconsistent.
const INCONSISTENT_STATE_TEXTS: [&str; 2] =
    ["inconsistent graph state", "failed to get state for index"];

/// Texts of a builder that could not get data over the session.
const SESSION_TEXTS: [&str; 2] = ["no active session", "error from sender"];

/// The kind of a failed solve.
pub(super) fn kind(status: &Status) -> ErrorKind {
    let message = status.message();
    let has = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    // This check comes first: tonic reports a connection that closes during a call with the code of a canceled call.
    if is_transport_failure(status) {
        return ErrorKind::Connection;
    }
    // This check comes before all other texts: the message contains the user's command line.
    if message.contains(STEP_FAILED) {
        return ErrorKind::Build;
    }
    if has(&INCONSISTENT_STATE_TEXTS) {
        return ErrorKind::InconsistentState;
    }
    let is_registry = has(&REGISTRY_TEXTS);
    match status.code() {
        // This program did not cancel the solve: the builder is being stopped.
        Code::Cancelled => return ErrorKind::Connection,
        Code::Unavailable if !is_registry => return ErrorKind::Connection,
        _ => {}
    }
    if has(&SESSION_TEXTS) {
        return ErrorKind::Session;
    }
    if !is_registry {
        return ErrorKind::Build;
    }
    let lower = message.to_ascii_lowercase();
    ErrorKind::Registry {
        reference: registry_reference(message).unwrap_or_default(),
        denied: DENIAL_TEXTS.iter().any(|text| lower.contains(text)),
        action: registry_action(message),
    }
}

/// Whether the connection broke. tonic reports that as an error with a source; an error of the server has none.
pub(super) fn is_transport_failure(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

fn registry_action(message: &str) -> RegistryAction {
    let Some((_, push)) = message.split_once(PUSH_TEXT) else {
        return RegistryAction::Pull;
    };
    let lower = push.to_ascii_lowercase();
    // Google Artifact Registry reports a manifest as invalid if its tag cannot be moved.
    if !is_immutable(push) && FORM_TEXTS.iter().any(|text| lower.contains(text)) {
        RegistryAction::PushRefusedForm
    } else {
        RegistryAction::Push
    }
}

fn registry_reference(message: &str) -> Option<String> {
    let (_, rest) = REGISTRY_TEXTS
        .iter()
        .take(TEXTS_WITH_IMAGE)
        .find_map(|text| message.split_once(text))?;
    let end = rest.find([' ', ',']).unwrap_or(rest.len());
    let reference = rest.get(..end)?.trim_end_matches(':');
    (!reference.is_empty()).then(|| reference.to_owned())
}
