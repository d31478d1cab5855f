//! Why a registry did not do what it was asked for.

use std::fmt::Write as _;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::access::forms;
use super::call::{Answer, Call};
use crate::http::retry;
use crate::registry::immutable::is_immutable;
use crate::registry::quota::is_quota_exceeded;
use crate::registry::retry::is_out_of_order;
use crate::registry::token::{TokenError, printable};

/// How much of a registry's own words is shown, in characters.
const WORDS_LIMIT: usize = 500;

/// Why a registry did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the registry `{host}` {done} `{repository}` at `{reference}`")]
pub struct ClientError {
    host: String,
    repository: String,
    reference: String,
    done: &'static str,
    #[source]
    trouble: Box<Trouble>,
}

/// What happened. Tells in [`ClientError`]'s own text what has no cause behind it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// No answer, or one that broke off.
    #[error("{0}")]
    Transport(String, #[source] reqwest::Error),
    /// There is nothing to be let in with.
    #[error(transparent)]
    Token(Box<TokenError>),
    /// Its answer.
    #[error("HTTP {}{said}", .status.as_u16())]
    Status {
        status: StatusCode,
        /// `: ` and its words, or nothing.
        said: String,
        /// It is about a tag that cannot be moved.
        is_immutable: bool,
        /// It is about a storage quota.
        is_quota: bool,
    },
    /// An answer that cannot be used.
    #[error("{0}")]
    Malformed(String),
    /// It sent us to a place that is not gone to.
    #[error("it redirects to `{to}`, which is not followed")]
    Redirected { to: String },
}

impl Trouble {
    pub(super) fn transport(error: reqwest::Error) -> Self {
        let what = if error.is_timeout() {
            "no answer came in time"
        } else if error.is_connect() {
            "it could not be reached"
        } else {
            "the connection broke off"
        };
        Self::Transport(what.into(), error.without_url())
    }

    /// Whether there was no connection at all, TLS included.
    pub(super) fn is_connect(&self) -> bool {
        matches!(self, Self::Transport(_, source) if source.is_connect())
    }

    /// What an answer says that is no success.
    pub(super) fn of_answer(answer: &Answer) -> Self {
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let text = |pointer: &str| {
            let value = body.as_ref()?.pointer(pointer)?.as_str()?;
            // Before it is cut: half a secret would not be found any more.
            let sent = answer.sent.iter().flat_map(forms);
            let value = sent.fold(value.to_owned(), |text, form| text.replace(&form, "***"));
            Some(printable(&value, WORDS_LIMIT)).filter(|text| !text.is_empty())
        };
        let code = text("/errors/0/code").unwrap_or_default();
        let message = text("/errors/0/message").or_else(|| text("/message"));
        let mut said = String::new();
        for part in [Some(code), message].into_iter().flatten() {
            if !part.is_empty() {
                // Writing to a string never fails.
                let _infallible = write!(said, ": {part}");
            }
        }
        let is_quota = is_quota_exceeded(&said);
        let is_immutable = !is_quota && is_immutable(&said);
        Self::Status {
            status: answer.status,
            said,
            is_immutable,
            is_quota,
        }
    }
}

impl ClientError {
    pub(super) fn new(call: &Call<'_>, trouble: Trouble) -> Self {
        Self {
            host: call.host.to_owned(),
            repository: call.repository.to_owned(),
            reference: call.reference.to_owned(),
            done: match (call.method == Method::GET, call.kind) {
                (true, "manifests") => "did not return the manifest of",
                (true, _) => "did not return the blob of",
                (false, "manifests") => "did not accept the manifest for",
                (false, _) => "did not accept the blob for",
            },
            trouble: Box::new(trouble),
        }
    }

    /// The registry.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its answer's status, if it answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &*self.trouble {
            Trouble::Status { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }

    /// Whether it does not let us in, or not do this.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match &*self.trouble {
            Trouble::Token(error) => error.is_denied(),
            _ => matches!(self.status(), Some(401 | 403)),
        }
    }

    /// Whether the registry refuses to move a tag from one image to another.
    #[must_use]
    pub fn is_immutable_tag(&self) -> bool {
        matches!(
            &*self.trouble,
            Trouble::Status {
                is_immutable: true,
                ..
            }
        )
    }

    /// Whether a storage quota of the registry is reached.
    #[must_use]
    pub fn is_quota_exceeded(&self) -> bool {
        matches!(&*self.trouble, Trouble::Status { is_quota: true, .. })
    }

    /// Whether there were too many requests.
    #[must_use]
    pub fn is_rate_limited(&self) -> bool {
        match &*self.trouble {
            Trouble::Token(error) => error.status() == Some(429),
            _ => self.status() == Some(429),
        }
    }

    /// Whether the same call may go well a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match &*self.trouble {
            // This includes a name that cannot be resolved now.
            Trouble::Transport(_, source) => retry::is_transient(source),
            Trouble::Token(error) => error.is_transient(),
            Trouble::Status { status, .. } => is_out_of_order(*status),
            _ => false,
        }
    }

    /// Whether its certificate is not to be trusted.
    #[must_use]
    pub fn is_certificate(&self) -> bool {
        match &*self.trouble {
            Trouble::Transport(_, source) => crate::text::cause::is_untrusted_server(source),
            Trouble::Token(error) => crate::text::cause::is_untrusted_server(error.as_ref()),
            _ => false,
        }
    }

    /// What happened, without what was asked.
    pub(super) fn cause_line(&self) -> String {
        crate::text::cause::one_line(&self.trouble)
    }
}

/// What comes of an answer that is no success, with what was sent to be let in.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn refused(
    status: StatusCode,
    body: bytes::Bytes,
    sent: Option<reqwest::header::HeaderValue>,
) -> ClientError {
    let call = Call::new(Method::PUT, "r.example", "acme/app", "1.0");
    let answer = Answer {
        status,
        headers: reqwest::header::HeaderMap::new(),
        body,
        is_foreign: false,
        url: None,
        sent,
    };
    ClientError::new(&call, Trouble::of_answer(&answer))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn error(status: u16, body: &[u8]) -> ClientError {
        let status = StatusCode::from_u16(status).unwrap();
        refused(status, Bytes::copy_from_slice(body), None)
    }

    #[test]
    fn the_registrys_words_are_told_and_its_codes_decide() {
        let body = br#"{"errors":[{"code":"MANIFEST_INVALID","message":"no\nOCI"}]}"#;
        let refused = error(400, body);
        assert_eq!(
            crate::text::cause::one_line(&refused),
            "the registry `r.example` did not accept the manifest for `acme/app` at `1.0`: HTTP 400: MANIFEST_INVALID: no OCI"
        );
        assert!(!refused.is_denied() && !refused.is_transient());
        assert!(error(403, b"<html>").is_denied());
        assert!(error(503, b"").is_transient());
        assert!(error(429, b"").is_rate_limited());
    }

    #[test]
    fn a_tag_that_cannot_be_moved_is_recognised_whatever_the_status() {
        for (status, body) in [
            (
                400,
                r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists in the 'app' repository and cannot be overwritten because the tag is immutable."}]}"#,
            ),
            (
                400,
                r#"{"errors":[{"code":"ImageTagAlreadyExistsException","message":"x"}]}"#,
            ),
            (
                403,
                r#"{"errors":[{"code":"TAG_IMMUTABLE","message":"denied"}]}"#,
            ),
            (
                409,
                r#"{"errors":[{"code":"CONFLICT","message":"tag 1 is immutable"}]}"#,
            ),
            (
                400,
                r#"{"errors":[{"code":"MANIFEST_INVALID","message":"cannot update tag 1.0. The repository has enabled tag immutability"}]}"#,
            ),
            (
                412,
                r#"{"errors":[{"code":"PRECONDITION","message":"Failed to process request due to 'app:1' configured as immutable."}]}"#,
            ),
        ] {
            assert!(error(status, body.as_bytes()).is_immutable_tag(), "{body}");
        }
        let full = br#"{"errors":[{"code":"DENIED","message":"Quota exceeded when processing the request"}]}"#;
        let full = error(412, full);
        assert!(full.is_quota_exceeded() && !full.is_immutable_tag());
        assert!(!error(400, br#"{"errors":[{"code":"MANIFEST_INVALID"}]}"#).is_immutable_tag());
    }

    proptest! {
        #[test]
        fn no_answer_panics(status in 100_u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let line = crate::text::cause::one_line(&error(status, &body));
            prop_assert!(!line.contains('\n'));
        }
    }
}
