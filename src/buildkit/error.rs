//! Why a solve failed: the builder's words, and the facts that travel beside them.
//!
//! BuildKit puts typed facts into the details of the gRPC status, as JSON under type names of its
//! own: the vertex that failed and the lines of the source that it came from. What it has no type
//! for is read from the words, in this file and nowhere else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard_buildkit_proto::google::rpc;
use prost::Message;
use serde::Deserialize;
use tonic::{Code, Status};

use crate::registry::immutable::is_immutable;

/// At most this many sources are kept; a solve names one or two.
const SOURCES_LIMIT: usize = 8;

/// Why a solve failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SolveError {
    /// The builder's words, without gRPC's prefixes.
    pub(crate) message: String,
    /// What failed, as far as can be told.
    pub(crate) kind: ErrorKind,
    /// The digest of the vertex that failed.
    pub(crate) vertex: Option<String>,
    /// The lines that the failing step came from, innermost last.
    pub(crate) sources: Vec<Source>,
    /// What to change, where that is known here.
    pub(crate) hint: Option<&'static str>,
}

/// What part of a solve failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The build: a step, the Dockerfile, a missing file.
    Build,
    /// A registry: its refusal, or the way to it. The reference is the image concerned.
    Registry {
        /// The image, as the builder named it; empty where it named none.
        reference: String,
        /// The registry answered that the caller may not do this.
        denied: bool,
        /// What the builder was doing there.
        action: RegistryAction,
    },
    /// The solve was cancelled by us.
    Canceled,
    /// The connection to the builder broke, or it went away.
    Connection,
    /// The builder returned something that cannot be right, so that nothing of its answer is used.
    Answer,
    /// We could not give the builder what it asked us for, mostly files of the context.
    Session,
    /// A file changed while it was sent. The same solve may succeed with another transfer.
    FilesChanged,
}

/// What a builder does with a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegistryAction {
    /// It resolves or pulls an image, such as that of a `FROM`.
    Pull,
    /// It pushes the image.
    Push,
    /// It pushes the image, whose manifest has a form that the registry does not take.
    PushRefusedForm,
}

/// Lines of a source file, for an excerpt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// As the frontend names it, mostly `Dockerfile`.
    pub(crate) filename: String,
    /// The whole file.
    pub(crate) data: Vec<u8>,
    /// First and last line of each failing part, from 1.
    pub(crate) lines: Vec<(u32, u32)>,
}

impl SolveError {
    /// Whether all steps were run, and a push of what came of them failed.
    #[must_use]
    pub(crate) fn is_after_build(&self) -> bool {
        let ErrorKind::Registry { action, .. } = &self.kind else {
            return false;
        };
        *action != RegistryAction::Pull
    }

    /// Reads the status of a failed call.
    pub(crate) fn from_status(status: &Status) -> Self {
        let mut error = Self {
            message: clean(status.message()),
            kind: kind(status),
            vertex: None,
            sources: Vec::new(),
            hint: None,
        };
        // Details that cannot be read are only missing facts, never another error.
        let details = rpc::Status::decode(status.details()).unwrap_or_default();
        for detail in details.details {
            // Such as `github.com/moby/buildkit/errdefs.Source+json`.
            let name = detail.type_url.rsplit('/').next().unwrap_or("");
            match name.trim_end_matches("+json") {
                "errdefs.Vertex" => {
                    if let Ok(vertex) = serde_json::from_slice::<VertexDetail>(&detail.value) {
                        error.vertex.get_or_insert(vertex.digest);
                    }
                }
                "errdefs.Source" if error.sources.len() < SOURCES_LIMIT => {
                    error.sources.extend(source(&detail.value));
                }
                _ => {}
            }
        }
        error
    }

    /// A failure that came from our side of the connection.
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

#[derive(Deserialize)]
struct VertexDetail {
    #[serde(default)]
    digest: String,
}

#[derive(Deserialize)]
struct SourceDetail {
    info: SourceInfo,
    #[serde(default)]
    ranges: Vec<LineRange>,
}

#[derive(Deserialize)]
struct SourceInfo {
    #[serde(default)]
    filename: String,
    /// Base64, as Go writes bytes in JSON.
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct LineRange {
    #[serde(default)]
    start: Position,
    #[serde(default)]
    end: Position,
}

#[derive(Default, Deserialize)]
struct Position {
    #[serde(default)]
    line: u32,
}

fn source(json: &[u8]) -> Option<Source> {
    let detail: SourceDetail = serde_json::from_slice(json).ok()?;
    Some(Source {
        filename: detail.info.filename,
        data: STANDARD.decode(detail.info.data).ok()?,
        lines: detail
            .ranges
            .iter()
            .map(|range| (range.start.line, range.end.line.max(range.start.line)))
            .filter(|(start, _)| *start > 0)
            .collect(),
    })
}

fn kind(status: &Status) -> ErrorKind {
    let message = status.message();
    // First, since tonic gives a connection that closes under a call the code of a cancelled one.
    if is_transport_failure(status) {
        return ErrorKind::Connection;
    }
    // Before any look at the words: here they hold the user's own command line.
    if message.contains(STEP_FAILED) {
        return ErrorKind::Build;
    }
    match status.code() {
        // We asked for no end: the builder is being shut down.
        Code::Cancelled => return ErrorKind::Connection,
        Code::Unavailable if !names_a_registry(message) => return ErrorKind::Connection,
        _ => {}
    }
    if message.contains("no active session") || message.contains("error from sender") {
        return ErrorKind::Session;
    }
    if names_a_registry(message) {
        return ErrorKind::Registry {
            reference: registry_reference(message).unwrap_or_default(),
            denied: REFUSAL_WORDS
                .iter()
                .any(|word| message.to_ascii_lowercase().contains(word)),
            action: registry_action(message),
        };
    }
    ErrorKind::Build
}

/// tonic reports a broken connection as an error with a source; a server's own answer has none.
fn is_transport_failure(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// The end of BuildKit's error for a canceled step.
pub(crate) const CANCELED: &str = "context canceled";

/// What BuildKit says of a `RUN` step that failed, after its command line.
pub(super) const STEP_FAILED: &str = " did not complete successfully";

/// The words with which BuildKit begins to tell of a push that failed.
const PUSH_WORDS: &str = "failed to push ";

/// The words with which BuildKit begins to tell of a registry's failure.
const REGISTRY_WORDS: [&str; 5] = [
    PUSH_WORDS,
    "failed to resolve source metadata for ",
    "failed to load metadata for ",
    "failed to authorize",
    "failed to fetch oauth token",
];

/// How registries say no. Not the bare numbers 401 and 403: ports and digests hold them too.
const REFUSAL_WORDS: [&str; 7] = [
    // As our own answers to the builder's questions for tokens end.
    "(http 401)",
    "(http 403)",
    "unauthorized",
    "forbidden",
    "denied",
    "authorization failed",
    "no basic auth",
];

/// How registries say that they do not know a manifest's form, in lower case.
///
/// BuildKit passes on the status and, where there is one, the first error of the answer.
const FORM_WORDS: [&str; 7] = [
    "415 unsupported media type",
    "manifest invalid",
    "manifest_invalid",
    "unsupported media type",
    "unsupported manifest",
    "unknown media type",
    "mediatype in manifest should be",
];

fn registry_action(message: &str) -> RegistryAction {
    let Some((_, push)) = message.split_once(PUSH_WORDS) else {
        return RegistryAction::Pull;
    };
    let lower = push.to_ascii_lowercase();
    // Google Artifact Registry calls a manifest invalid if its tag cannot be moved.
    if !is_immutable(push) && FORM_WORDS.iter().any(|word| lower.contains(word)) {
        RegistryAction::PushRefusedForm
    } else {
        RegistryAction::Push
    }
}

fn names_a_registry(message: &str) -> bool {
    REGISTRY_WORDS.iter().any(|words| message.contains(words))
}

fn registry_reference(message: &str) -> Option<String> {
    let (_, rest) = REGISTRY_WORDS
        .iter()
        .take(3)
        .find_map(|words| message.split_once(words))?;
    let end = rest.find([' ', ',']).unwrap_or(rest.len());
    let reference = rest.get(..end)?.trim_end_matches(':');
    (!reference.is_empty()).then(|| reference.to_owned())
}

/// A builder's words in a status, for people.
#[must_use]
pub(crate) fn words(status: &Status) -> String {
    clean(status.message())
}

/// Whether a call failed because the builder went away.
#[must_use]
pub(crate) fn is_lost(status: &Status) -> bool {
    is_transport_failure(status) || matches!(status.code(), Code::Cancelled | Code::Unavailable)
}

/// Takes away what only a programmer of gRPC needs: `rpc error: code = Unknown desc = `.
fn clean(message: &str) -> String {
    let mut rest = message;
    let mut cleaned = String::with_capacity(message.len());
    while let Some((before, after)) = rest.split_once("rpc error: code = ") {
        let Some((_, description)) = after.split_once(" desc = ") else {
            break;
        };
        cleaned.push_str(before);
        rest = description;
    }
    cleaned.push_str(rest);
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard_buildkit_proto::google::protobuf::Any;

    #[test]
    fn the_failing_lines_come_out_of_the_details() {
        let source = br#"{"info":{"filename":"Dockerfile","data":"RlJPTSBzY3JhdGNo","language":"Dockerfile"},
            "ranges":[{"start":{"line":3},"end":{"line":4}},{"start":{},"end":{}}]}"#;
        let details = rpc::Status {
            code: 2,
            message: String::new(),
            details: vec![
                Any {
                    type_url: "github.com/moby/buildkit/errdefs.Vertex+json".into(),
                    value: br#"{"digest":"sha256:aa"}"#.to_vec(),
                },
                Any {
                    type_url: "github.com/moby/buildkit/errdefs.Source+json".into(),
                    value: source.to_vec(),
                },
                Any {
                    type_url: "github.com/moby/buildkit/errdefs.Source+json".into(),
                    value: b"not json".to_vec(),
                },
            ],
        };
        let status = Status::with_details(
            Code::Unknown,
            "rpc error: code = Unknown desc = process did not complete",
            details.encode_to_vec().into(),
        );
        let error = SolveError::from_status(&status);
        assert_eq!(error.message, "process did not complete");
        assert_eq!(error.vertex.as_deref(), Some("sha256:aa"));
        assert_eq!(
            error.sources,
            [Source {
                filename: "Dockerfile".into(),
                data: b"FROM scratch".to_vec(),
                lines: vec![(3, 4)],
            }]
        );
        assert_eq!(error.kind, ErrorKind::Build);
    }

    #[test]
    fn registries_are_told_from_builds() {
        let kind = |message: &str| SolveError::from_status(&Status::unknown(message)).kind;
        assert_eq!(
            kind(
                "failed to push localhost:5000/app:1: server message: insufficient_scope: authorization failed"
            ),
            ErrorKind::Registry {
                reference: "localhost:5000/app:1".into(),
                denied: true,
                action: RegistryAction::Push,
            }
        );
        assert_eq!(
            kind(
                "base: failed to resolve source metadata for docker.io/library/nope:latest: not found"
            ),
            ErrorKind::Registry {
                reference: "docker.io/library/nope:latest".into(),
                denied: false,
                action: RegistryAction::Pull,
            }
        );
        assert_eq!(
            kind("failed to push localhost:40153/app:1: connection refused"),
            ErrorKind::Registry {
                reference: "localhost:40153/app:1".into(),
                denied: false,
                action: RegistryAction::Push,
            }
        );
        assert_eq!(
            kind(
                "failed to push r.example/app:1: unexpected status from PUT request to https://r.example/v2/app/manifests/1: 415 Unsupported Media Type"
            ),
            ErrorKind::Registry {
                reference: "r.example/app:1".into(),
                denied: false,
                action: RegistryAction::PushRefusedForm,
            }
        );
        let action = |message: &str| match kind(message) {
            ErrorKind::Registry { action, .. } => action,
            other => panic!("{other:?}"),
        };
        let put = "https://r.example/v2/p/immutable/manifests/1: 400 Bad Request: manifest invalid";
        let push = format!(
            "failed to push r.example/p/immutable:1: unexpected status from PUT request to {put}"
        );
        assert_eq!(action(&push), RegistryAction::PushRefusedForm);
        let words = "cannot update tag 1. The repository has enabled tag immutability";
        assert_eq!(action(&format!("{push}: {words}")), RegistryAction::Push);
        assert_eq!(
            kind("process \"/bin/sh -c exit 1\" did not complete"),
            ErrorKind::Build
        );
        assert_eq!(
            kind(
                "process \"sh -c echo failed to push x: denied; exit 1\" did not complete successfully: exit code: 1"
            ),
            ErrorKind::Build
        );
        for status in [
            Status::unavailable("closing"),
            Status::cancelled("context canceled"),
            Status::from_error(Box::new(std::io::Error::other("reset"))),
        ] {
            let kind = SolveError::from_status(&status).kind;
            assert_eq!(kind, ErrorKind::Connection, "{status}");
        }
    }

    #[test]
    fn details_that_are_garbage_are_only_missing() {
        let status = Status::with_details(Code::Unknown, "text", vec![0xff; 64].into());
        assert_eq!(SolveError::from_status(&status).message, "text");
    }
}
