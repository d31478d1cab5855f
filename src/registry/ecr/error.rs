//! Why Amazon did not do what it was asked for.

use crate::http::retry;

/// Why Amazon did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum EcrError {
    /// Nobody said who we are, and the machine has no role either.
    #[error(
        "there is nothing to prove who we are at Amazon: no role, no access key, and the machine has no role of its own"
    )]
    NoIdentity,
    /// It said no.
    #[error("Amazon refused {action} (HTTP {status}): {code}{said}")]
    Refused {
        /// The action, such as `GetAuthorizationToken`.
        action: &'static str,
        /// The status of its answer.
        status: u16,
        /// The name that Amazon gives the refusal; there are always new ones.
        code: String,
        /// `: ` and its words, or nothing.
        said: String,
    },
    /// No answer.
    #[error("cannot reach `{at}` for {action}")]
    Transport {
        /// The action.
        action: &'static str,
        /// The host that was called.
        at: String,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that cannot be used.
    #[error("Amazon's answer to {action} cannot be used: {what}")]
    Malformed {
        /// The action.
        action: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The keys cannot sign.
    #[error("the request for {action} cannot be signed")]
    Unsigned {
        /// The action.
        action: &'static str,
    },
    /// Where the container would get its keys is no place that keys come from.
    #[error(
        "`{at}` is no place to get the keys of a container from: only addresses of Amazon's, loopback and https are"
    )]
    ForeignContainer {
        /// The host.
        at: String,
    },
    /// The container's proof cannot be read.
    #[error("the file with the container's proof cannot be read")]
    ContainerProof(#[source] std::io::Error),
}

impl EcrError {
    /// Amazon's name for a refusal; empty for anything else.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// What was asked for; empty where nothing was.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::Refused { action, .. }
            | Self::Transport { action, .. }
            | Self::Malformed { action, .. }
            | Self::Unsigned { action } => action,
            Self::NoIdentity | Self::ForeignContainer { .. } | Self::ContainerProof(_) => "",
        }
    }

    /// Whether the answer was no, as opposed to none.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::NoIdentity => true,
            Self::Refused { .. } => !self.is_transient(),
            _ => false,
        }
    }

    /// Whether the same may go well a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
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
