//! Why a call of Depot's API failed, with the facts that callers decide on.

use std::fmt;

/// A Connect error code. Codes of a newer protocol stay readable in [`Code::Other`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// The call was cancelled.
    Canceled,
    /// The request is wrong.
    InvalidArgument,
    /// It took too long.
    DeadlineExceeded,
    /// The thing named does not exist.
    NotFound,
    /// The token is known but may not do this.
    PermissionDenied,
    /// A quota or a limit of the account is used up, or calls come too fast.
    ResourceExhausted,
    /// The build is in a state that does not allow the call.
    FailedPrecondition,
    /// A conflict that another try may resolve.
    Aborted,
    /// The server does not know the method.
    Unimplemented,
    /// A fault of the server.
    Internal,
    /// The server cannot be reached or is overloaded.
    Unavailable,
    /// The token is missing or wrong.
    Unauthenticated,
    /// Any other code, as it was sent.
    Other(String),
}

impl Code {
    /// Reads a code as the Connect protocol spells it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
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

    /// The code that stands for an HTTP status whose body was not the protocol's.
    ///
    /// The mapping is the Connect specification's, "HTTP to error code".
    #[must_use]
    pub fn from_http(status: u16) -> Self {
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
pub enum ApiError {
    /// Depot answered, and the answer is no.
    #[error("Depot refused {method}: {code}: {message}")]
    Refused {
        /// The call.
        method: &'static str,
        /// The reason, for decisions.
        code: Code,
        /// The reason, for people; as the server gave it.
        message: String,
    },
    /// Something answered that does not speak Depot's protocol.
    #[error("{method} was not answered by Depot's API but with HTTP status {status}{excerpt}")]
    Foreign {
        /// The call.
        method: &'static str,
        /// The HTTP status.
        status: u16,
        /// ` and a page that begins with …`, or nothing.
        excerpt: String,
    },
    /// No answer came.
    #[error("cannot reach Depot's API at {address} for {method}")]
    Transport {
        /// The call.
        method: &'static str,
        /// The API's address, without path.
        address: String,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
    /// No whole answer came in time.
    #[error("Depot's API at {address} did not answer {method} within {:.1} s", limit.as_secs_f32())]
    TooSlow {
        /// The call.
        method: &'static str,
        /// The API's address, without path.
        address: String,
        /// The limit.
        limit: std::time::Duration,
    },
    /// The answer is larger than any that the protocol knows.
    #[error("the answer to {method} is larger than {limit} bytes")]
    TooLarge {
        /// The call.
        method: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer holds a value that is not what it should be, and is not used.
    #[error("the answer to {method} has no usable {what}")]
    Unusable {
        /// The call.
        method: &'static str,
        /// Which value.
        what: &'static str,
    },
    /// The answer is not the message that the protocol promises.
    #[error("the answer to {method} cannot be read")]
    Malformed {
        /// The call.
        method: &'static str,
        /// What the decoder said.
        #[source]
        source: prost::DecodeError,
    },
}

impl ApiError {
    /// The code of the refusal, where Depot gave one.
    #[must_use]
    pub fn code(&self) -> Option<&Code> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether Depot itself said no, as opposed to not being reached.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
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
    fn a_code_survives_reading_and_printing() {
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
    fn refusals_of_the_user_are_not_retried() {
        let refused = |code| ApiError::Refused {
            method: "CreateBuild",
            code,
            message: String::new(),
        };
        assert!(refused(Code::Unavailable).is_transient());
        assert!(!refused(Code::Unauthenticated).is_transient());
        assert!(refused(Code::Unauthenticated).is_refusal());
        assert!(!refused(Code::Unavailable).is_refusal());
        // A limit that passes is waited for, and one that does not is Depot's word.
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
