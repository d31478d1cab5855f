//! Why there is no token.

use crate::http::retry;
use crate::registry::keyring::KeyringError;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The challenge cannot be answered.
    #[error("the registry `{host}` asks for tokens from `{realm}`: {reason}")]
    Realm {
        /// The registry.
        host: String,
        /// The place that it named.
        realm: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The login that it takes cannot be made.
    #[error(transparent)]
    Login(KeyringError),
    /// The credentials are wrong, or anonymous access is not allowed.
    #[error("the registry `{host}` refused {who} (HTTP {status}){said}")]
    Denied {
        /// The registry.
        host: String,
        /// Whose access.
        who: String,
        /// The realm's answer.
        status: u16,
        /// `: ` and the realm's words, or nothing.
        said: String,
    },
    /// The realm answered with something else than a token.
    #[error("the registry `{host}` gave no token: {what}")]
    Unusable {
        /// The registry.
        host: String,
        /// What came instead.
        what: String,
    },
    /// The registry, or its realm, is out of order for a while.
    #[error("the registry `{host}` gives no token now (HTTP {status}){said}")]
    Unavailable {
        /// The registry.
        host: String,
        /// The status of the answer.
        status: u16,
        /// `: ` and its words, or nothing.
        said: String,
    },
    /// No answer.
    #[error("cannot reach `{at}` for a token of the registry `{host}`")]
    Transport {
        /// The registry.
        host: String,
        /// The host that was called.
        at: String,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
}

impl TokenError {
    /// Whether the same may go well a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Transport { source, .. } => retry::is_transient(source),
            _ => false,
        }
    }

    /// The status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Denied { status, .. } | Self::Unavailable { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the registry itself said no.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Denied { .. } => true,
            Self::Login(error) => error.is_denied(),
            _ => false,
        }
    }
}
