//! Why a token could not be obtained.

use crate::http::retry;
use crate::registry::keyring::KeyringError;

/// Why a token could not be obtained.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The token server in the challenge is not used.
    #[error("the registry `{host}` refers to the token server `{realm}`: {reason}")]
    Realm {
        /// The registry.
        host: String,
        /// The address of the token server.
        realm: String,
        /// Why it is not used.
        reason: &'static str,
    },
    /// The login for the registry could not be obtained.
    #[error(transparent)]
    Login(KeyringError),
    /// The credentials are wrong, or anonymous access is not allowed.
    #[error("the registry `{host}` rejected {identity} (HTTP {status}){message}")]
    Denied {
        /// The registry.
        host: String,
        /// The rejected identity: the credentials of a user, an identity token, or anonymous access.
        identity: String,
        /// The status of the response.
        status: u16,
        /// `: ` and the message of the token server, or nothing.
        message: String,
    },
    /// The response is not a token.
    #[error("the registry `{host}` returned no token: {problem}")]
    Unusable {
        /// The registry.
        host: String,
        /// The difference from a token.
        problem: String,
    },
    /// The registry or its token server is temporarily unavailable.
    #[error("the registry `{host}` returns no token at the moment (HTTP {status}){message}")]
    Unavailable {
        /// The registry.
        host: String,
        /// The status of the response.
        status: u16,
        /// `: ` and the message in the response, or nothing.
        message: String,
    },
    /// No response.
    #[error("cannot reach `{at}` for a token of the registry `{host}`")]
    Transport {
        /// The registry.
        host: String,
        /// The host of the request.
        at: String,
        /// The error of the HTTP client.
        #[source]
        source: reqwest::Error,
    },
}

impl TokenError {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Transport { source, .. } => retry::is_transient(source),
            _ => false,
        }
    }

    /// The status of the response, if there was one.
    #[must_use]
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Denied { status, .. } | Self::Unavailable { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The reason why the login could not be obtained, if it is of this type.
    #[must_use]
    pub(crate) fn login_cause<Reason: std::error::Error + 'static>(&self) -> Option<&Reason> {
        match self {
            Self::Login(error) => error.cause(),
            _ => None,
        }
    }

    /// Whether the credentials were rejected.
    #[must_use]
    pub(crate) fn is_denied(&self) -> bool {
        match self {
            Self::Denied { .. } => true,
            Self::Login(error) => error.is_denied(),
            _ => false,
        }
    }
}
