//! How a registry with tokens behaves, set before it starts.

use std::time::Duration;

use crate::registry::Login;

/// How a [`TokenRegistry`](super::TokenRegistry) issues tokens. The default has no faults.
#[derive(Clone, Debug)]
pub struct TokenPlan {
    /// The response to `OAuth2`'s POST.
    pub post: TokenAnswer,
    /// The response to a GET.
    pub get: TokenAnswer,
    /// The address of the token server in the registry's challenge.
    pub realm: Realm,
    /// How long a token is valid. The registry accepts it for a minute longer.
    pub life: Duration,
    /// The user who may pull and push; a random one if `None`.
    pub owner: Option<Login>,
}

impl Default for TokenPlan {
    fn default() -> Self {
        Self {
            post: TokenAnswer::Token,
            get: TokenAnswer::Token,
            realm: Realm::WithRegistry,
            life: Duration::from_mins(5),
            owner: None,
        }
    }
}

impl TokenPlan {
    /// Sets the response to a POST.
    #[must_use]
    pub fn post(mut self, answer: TokenAnswer) -> Self {
        self.post = answer;
        self
    }

    /// Sets the response to a GET.
    #[must_use]
    pub fn get(mut self, answer: TokenAnswer) -> Self {
        self.get = answer;
        self
    }

    /// Sets the user who may pull and push.
    #[must_use]
    pub fn owner(mut self, owner: Login) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Sets the address of the token server in the registry's challenge.
    #[must_use]
    pub fn realm(mut self, realm: Realm) -> Self {
        self.realm = realm;
        self
    }
}

/// The response to a token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAnswer {
    /// A token, or an error if the credentials are wrong.
    Token,
    /// This status and an HTML page, as from a server that does not support the method.
    Status(u16),
    /// Status 200 and an HTML page.
    Garbage,
    /// A redirect (307, which keeps method and body) to the other port, which also issues tokens.
    Redirect,
    /// No response, ever.
    Hang,
}

/// The address of the token server in the registry's challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    /// The registry's own host and port, as at GitHub.
    WithRegistry,
    /// Another port, as at Docker Hub, whose token server has another host.
    OtherPort,
    /// A path that issues no tokens.
    Nowhere,
    /// This address, which the caller routes to the registry's port.
    At(&'static str),
}
