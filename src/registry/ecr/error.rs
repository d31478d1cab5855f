//! Why a request to AWS failed.

use crate::http::retry;

/// Why a request to AWS failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EcrError {
    /// No credentials are configured, and the machine has no role.
    #[error("no AWS credentials: no role, no access key, and the machine has no role")]
    NoIdentity,
    /// AWS rejected the request.
    #[error("AWS rejected {action} (HTTP {status}): {code}{message}")]
    Refused {
        /// The action, such as `GetAuthorizationToken`.
        action: &'static str,
        /// The status of the response.
        status: u16,
        /// Amazon's error code. The set of codes is open.
        code: String,
        /// `: ` and Amazon's message, or nothing.
        message: String,
    },
    /// No response.
    #[error("cannot reach `{at}` for {action}")]
    Transport {
        /// The action.
        action: &'static str,
        /// The host of the request.
        at: String,
        /// The error of the HTTP client.
        #[source]
        source: reqwest::Error,
    },
    /// The response cannot be used.
    #[error("AWS returned an unusable response to {action}: {problem}")]
    Malformed {
        /// The action.
        action: &'static str,
        /// The problem.
        problem: String,
    },
    /// The request cannot be signed with the keys.
    #[error("the request for {action} cannot be signed")]
    Unsigned {
        /// The action.
        action: &'static str,
    },
    /// The configured address of the container's keys is not allowed.
    #[error(
        "the container's keys are not requested from `{at}`: only https, loopback and Amazon's own addresses are allowed"
    )]
    ForeignContainer {
        /// The host.
        at: String,
    },
    /// The container's authorization token cannot be read.
    #[error("cannot read the file with the container's authorization token")]
    ContainerToken(#[source] std::io::Error),
}

impl EcrError {
    /// Amazon's error code; empty for other errors.
    #[must_use]
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// The requested action; empty if there was no request.
    #[must_use]
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::Refused { action, .. }
            | Self::Transport { action, .. }
            | Self::Malformed { action, .. }
            | Self::Unsigned { action } => action,
            Self::NoIdentity | Self::ForeignContainer { .. } | Self::ContainerToken(_) => "",
        }
    }

    /// Whether AWS rejected the request; false if it did not respond.
    #[must_use]
    pub(crate) fn is_denied(&self) -> bool {
        match self {
            Self::NoIdentity => true,
            Self::Refused { .. } => !self.is_transient(),
            _ => false,
        }
    }

    /// Whether the same request may succeed a little later.
    #[must_use]
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Transport { source, .. } => retry::is_transient(source),
            Self::Refused { status, code, .. } => {
                matches!(status, 429 | 500 | 502 | 503 | 504)
                    || matches!(
                        code.as_str(),
                        "Throttling"
                            | "ThrottlingException"
                            | "TooManyRequestsException"
                            | "RequestLimitExceeded"
                            | "IDPCommunicationError"
                    )
            }
            _ => false,
        }
    }
}
