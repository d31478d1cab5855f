//! The errors of calls to Depot's API, and their classification.

use std::fmt;

/// A Connect error code. [`Code::Other`] preserves codes of a newer protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The call was cancelled.
    Canceled,
    /// The request is invalid.
    InvalidArgument,
    /// The call took too long.
    DeadlineExceeded,
    /// The named object does not exist.
    NotFound,
    /// The token is valid but lacks the permission.
    PermissionDenied,
    /// A quota or limit of the account is reached, or the request rate is too high.
    ResourceExhausted,
    /// The build is in a state that does not allow the call.
    FailedPrecondition,
    /// A conflict that a retry can resolve.
    Aborted,
    /// The server does not implement the method.
    Unimplemented,
    /// An internal error of the server.
    Internal,
    /// The server cannot be reached or is overloaded.
    Unavailable,
    /// The token is missing or invalid.
    Unauthenticated,
    /// Any other code, as received.
    Other(String),
}

impl Code {
    /// Parses a code in the spelling of the Connect protocol.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "canceled" => Self::Canceled,
            "invalid_argument" => Self::InvalidArgument,
            "deadline_exceeded" => Self::DeadlineExceeded,
            "not_found" => Self::NotFound,
            "permission_denied" => Self::PermissionDenied,
            "resource_exhausted" => Self::ResourceExhausted,
            "failed_precondition" => Self::FailedPrecondition,
            "aborted" => Self::Aborted,
            "unimplemented" => Self::Unimplemented,
            "internal" => Self::Internal,
            "unavailable" => Self::Unavailable,
            "unauthenticated" => Self::Unauthenticated,
            // Bounded and without control characters, since it is printed.
            other => {
                let visible = other.chars().filter(|character| !character.is_control());
                Self::Other(visible.take(64).collect())
            }
        }
    }

    /// The code for an HTTP status whose body is not a Connect error.
    ///
    /// The mapping follows the Connect specification, "HTTP to error code".
    #[must_use]
    pub(crate) fn from_http(status: u16) -> Self {
        match status {
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502 | 503 | 504 => Self::Unavailable,
            _ => Self::Other(format!("http_{status}")),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Canceled => "canceled",
            Self::InvalidArgument => "invalid_argument",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::NotFound => "not_found",
            Self::PermissionDenied => "permission_denied",
            Self::ResourceExhausted => "resource_exhausted",
            Self::FailedPrecondition => "failed_precondition",
            Self::Aborted => "aborted",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::Unauthenticated => "unauthenticated",
            Self::Other(code) => code,
        })
    }
}

/// Why a call of Depot's API failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// Depot refused the call.
    #[error("Depot refused {method}: {code}: {message}")]
    Refused {
        /// The call.
        method: &'static str,
        /// The machine-readable reason.
        code: Code,
        /// The server's own description of the reason.
        message: String,
    },
    /// The response is not in Depot's protocol.
    #[error("the response to {method} is not from Depot's API: HTTP status {status}{excerpt}")]
    Foreign {
        /// The call.
        method: &'static str,
        /// The HTTP status.
        status: u16,
        /// ` and a page that starts with …`, or empty.
        excerpt: String,
    },
    /// The connection or the transfer failed.
    #[error("cannot reach Depot's API at {address} for {method}")]
    Transport {
        /// The call.
        method: &'static str,
        /// The API's address, without path.
        address: String,
        /// The error of the HTTP client.
        #[source]
        source: reqwest::Error,
    },
    /// The response was not complete in time.
    #[error("Depot's API at {address} did not respond to {method} within {:.1} s", limit.as_secs_f32())]
    TooSlow {
        /// The call.
        method: &'static str,
        /// The API's address, without path.
        address: String,
        /// The limit.
        limit: std::time::Duration,
    },
    /// The response is larger than any in the protocol.
    #[error("the response to {method} is larger than {limit} bytes")]
    TooLarge {
        /// The call.
        method: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The response contains an invalid value.
    #[error("the response to {method} has no valid {field}")]
    Unusable {
        /// The call.
        method: &'static str,
        /// The value.
        field: &'static str,
    },
    /// The response is not a valid message.
    #[error("the response to {method} cannot be decoded")]
    Malformed {
        /// The call.
        method: &'static str,
        /// The error of the decoder.
        #[source]
        source: prost::DecodeError,
    },
}

impl ApiError {
    /// The code, if Depot refused the call.
    #[must_use]
    pub(crate) fn code(&self) -> Option<&Code> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether Depot refused the call, as opposed to a failed connection or server.
    #[must_use]
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { code, .. } => matches!(
                code,
                Code::Unauthenticated
                    | Code::PermissionDenied
                    | Code::NotFound
                    | Code::InvalidArgument
                    | Code::FailedPrecondition
                    | Code::ResourceExhausted
            ),
            Self::Foreign { status, .. } => matches!(status, 401 | 403),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_parsed_and_printed_unchanged() {
        for code in [
            "not_found",
            "unavailable",
            "unauthenticated",
            "something_new",
        ] {
            assert_eq!(Code::parse(code).to_string(), code);
        }
        assert!(Code::parse(&"x".repeat(10_000)).to_string().len() <= 64);
    }

    #[test]
    fn refusals_are_not_retried() {
        let refused = |code| ApiError::Refused {
            method: "CreateBuild",
            code,
            message: String::new(),
        };
        assert!(refused(Code::Unavailable).is_transient());
        assert!(!refused(Code::Unauthenticated).is_transient());
        assert!(refused(Code::Unauthenticated).is_refusal());
        assert!(!refused(Code::Unavailable).is_refusal());
        // A rate limit is retried; a limit that persists is reported as a refusal.
        assert!(refused(Code::ResourceExhausted).is_transient());
        assert!(refused(Code::ResourceExhausted).is_refusal());
        for fault in [
            Code::Internal,
            Code::from_http(500),
            Code::Other("unknown".into()),
        ] {
            assert!(!refused(fault.clone()).is_refusal(), "{fault}");
        }
    }
}
