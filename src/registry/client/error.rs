//! Why a call to a registry failed.

use std::fmt::Write as _;

use reqwest::StatusCode;
use serde_json::Value;

use super::request::{Call, Reply, authorization_forms};
use crate::http::retry;
use crate::registry::immutable::is_immutable;
use crate::registry::quota::is_quota_exceeded;
use crate::registry::token::TokenError;
use crate::registry::transient::is_unavailable;
use crate::text::cut::printable;

/// How much of a registry's message is shown, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// Why a call to a registry failed.
#[derive(Debug, thiserror::Error)]
#[error("the registry `{host}` {action} `{repository}` at `{reference}`")]
pub(crate) struct ClientError {
    host: String,
    repository: String,
    reference: String,
    /// Such as "did not return the manifest of".
    action: &'static str,
    #[source]
    cause: Box<Cause>,
}

/// The cause of a [`ClientError`].
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    /// No response, or an incomplete one.
    #[error("{0}")]
    Transport(String, #[source] reqwest::Error),
    /// No response or no progress within the limits.
    #[error("it did not respond in time")]
    Stalled,
    /// No token or login could be obtained.
    #[error(transparent)]
    Token(Box<TokenError>),
    /// The response is an error.
    #[error("HTTP {}{message}", .status.as_u16())]
    Status {
        status: StatusCode,
        /// `: ` and the message of the registry, or nothing.
        message: String,
        /// The tag is immutable.
        is_immutable: bool,
        /// A storage quota is exceeded.
        is_quota: bool,
        /// The registry has no such repository.
        is_unknown: bool,
    },
    /// The response cannot be used.
    #[error("{0}")]
    Malformed(String),
    /// A redirect that is not followed.
    #[error("it redirects to `{to}`, which is not followed")]
    Redirected { to: String },
}

impl Cause {
    pub(super) fn transport(error: reqwest::Error) -> Self {
        let problem = if error.is_timeout() {
            "it did not respond in time"
        } else if error.is_connect() {
            "it could not be reached"
        } else {
            "the connection was interrupted"
        };
        Self::Transport(problem.into(), error.without_url())
    }

    pub(super) fn invalid_host() -> Self {
        Self::Malformed("its name is not a valid host".into())
    }

    /// Whether no connection was possible, TLS included.
    pub(super) fn is_connect(&self) -> bool {
        matches!(self, Self::Transport(_, source) if source.is_connect())
    }

    /// The error in a response without success.
    pub(super) fn of_reply(reply: &Reply) -> Self {
        let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let text = |pointer: &str| {
            let value = body.as_ref()?.pointer(pointer)?.as_str()?;
            // Before it is shortened: a part of a secret would not be found.
            let secrets = reply.authorization.iter().flat_map(authorization_forms);
            let value = secrets.fold(value.to_owned(), |text, form| text.replace(&form, "***"));
            Some(printable(&value, MAX_MESSAGE_CHARS)).filter(|text| !text.is_empty())
        };
        let code = text("/errors/0/code").unwrap_or_default();
        let text = text("/errors/0/message").or_else(|| text("/message"));
        let mut message = String::new();
        for part in [Some(code), text].into_iter().flatten() {
            if !part.is_empty() {
                // Writing to a string never fails.
                let _infallible = write!(message, ": {part}");
            }
        }
        let is_quota = is_quota_exceeded(&message);
        let is_immutable = !is_quota && is_immutable(&message);
        let is_unknown = message.contains("NAME_UNKNOWN");
        Self::Status {
            status: reply.status,
            message,
            is_unknown,
            is_immutable,
            is_quota,
        }
    }
}

impl ClientError {
    pub(super) fn new(call: &Call<'_>, cause: Cause) -> Self {
        Self {
            host: call.host.to_owned(),
            repository: call.repository.to_owned(),
            reference: call.reference.to_owned(),
            action: match (call.is_read(), call.kind) {
                (true, "manifests") => "did not return the manifest of",
                (true, _) => "did not return the blob of",
                (false, "manifests") => "did not accept the manifest for",
                (false, _) => "did not accept the blob for",
            },
            cause: Box::new(cause),
        }
    }

    /// The registry.
    #[must_use]
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The repository there.
    #[must_use]
    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    /// The status of the response, if there was one.
    #[must_use]
    pub(crate) fn status(&self) -> Option<u16> {
        match &*self.cause {
            Cause::Status { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }

    /// Whether the registry rejected the credentials or their permissions.
    #[must_use]
    pub(crate) fn is_denied(&self) -> bool {
        match &*self.cause {
            Cause::Token(error) => error.is_denied(),
            _ => matches!(self.status(), Some(401 | 403)),
        }
    }

    /// The reason why the login for the registry could not be obtained, if it is of this type.
    #[must_use]
    pub(crate) fn login_cause<Reason: std::error::Error + 'static>(&self) -> Option<&Reason> {
        match &*self.cause {
            Cause::Token(error) => error.login_cause(),
            _ => None,
        }
    }

    /// Whether the tag is immutable.
    #[must_use]
    pub(crate) fn is_immutable_tag(&self) -> bool {
        matches!(
            &*self.cause,
            Cause::Status {
                is_immutable: true,
                ..
            }
        )
    }

    /// Whether a storage quota of the registry is exceeded.
    #[must_use]
    pub(crate) fn is_quota_exceeded(&self) -> bool {
        matches!(&*self.cause, Cause::Status { is_quota: true, .. })
    }

    /// Whether the registry has no such repository.
    #[must_use]
    pub(crate) fn is_unknown_repository(&self) -> bool {
        matches!(
            &*self.cause,
            Cause::Status {
                is_unknown: true,
                ..
            }
        )
    }

    /// Whether the registry limits the rate of requests.
    #[must_use]
    pub(crate) fn is_rate_limited(&self) -> bool {
        match &*self.cause {
            Cause::Token(error) => error.status() == Some(429),
            _ => self.status() == Some(429),
        }
    }

    /// Whether the same call may succeed a little later.
    #[must_use]
    pub(crate) fn is_transient(&self) -> bool {
        match &*self.cause {
            // This includes a name that cannot be resolved now.
            Cause::Transport(_, source) => retry::is_transient(source),
            Cause::Stalled => true,
            Cause::Token(error) => error.is_transient(),
            Cause::Status { status, .. } => is_unavailable(*status),
            _ => false,
        }
    }

    /// Whether the registry's certificate is not trusted.
    #[must_use]
    pub(crate) fn is_certificate(&self) -> bool {
        match &*self.cause {
            Cause::Transport(_, source) => crate::text::cause::is_untrusted_server(source),
            Cause::Token(error) => crate::text::cause::is_untrusted_server(error.as_ref()),
            _ => false,
        }
    }

    /// The cause without the call.
    pub(super) fn cause_line(&self) -> String {
        crate::text::cause::one_line(&self.cause)
    }
}

/// The error for a response, to a request with this `Authorization`.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn rejected(
    status: StatusCode,
    body: bytes::Bytes,
    authorization: Option<reqwest::header::HeaderValue>,
) -> ClientError {
    rejected_by("r.example", "acme/app", (status, body), authorization)
}

/// The same for any registry and repository.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn rejected_by(
    host: &str,
    repository: &str,
    (status, body): (StatusCode, bytes::Bytes),
    authorization: Option<reqwest::header::HeaderValue>,
) -> ClientError {
    let call = Call::new(reqwest::Method::PUT, host, repository, "1.0");
    let reply = Reply {
        status,
        headers: reqwest::header::HeaderMap::new(),
        body,
        is_foreign: false,
        url: None,
        authorization,
        stream: None,
    };
    ClientError::new(&call, Cause::of_reply(&reply))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn error(status: u16, body: &[u8]) -> ClientError {
        let status = StatusCode::from_u16(status).unwrap();
        rejected(status, Bytes::copy_from_slice(body), None)
    }

    #[test]
    fn the_registrys_message_is_reported_and_its_codes_decide() {
        let body = br#"{"errors":[{"code":"MANIFEST_INVALID","message":"no\nOCI"}]}"#;
        let rejected = error(400, body);
        assert_eq!(
            crate::text::cause::one_line(&rejected),
            "the registry `r.example` did not accept the manifest for `acme/app` at `1.0`: HTTP 400: MANIFEST_INVALID: no OCI"
        );
        assert!(!rejected.is_denied() && !rejected.is_transient());
        assert!(error(403, b"<html>").is_denied());
        assert!(error(503, b"").is_transient());
        assert!(error(429, b"").is_rate_limited());
        let unknown = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such package"}]}"#;
        assert!(error(404, unknown).is_unknown_repository());
        assert!(!error(404, b"").is_unknown_repository());
    }

    #[test]
    fn an_immutable_tag_is_recognised_with_each_status() {
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
        fn no_response_panics(status in 100_u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let line = crate::text::cause::one_line(&error(status, &body));
            prop_assert!(!line.contains('\n'));
        }
    }
}
