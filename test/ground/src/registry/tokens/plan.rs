//! What a test wants of a registry with tokens, said before it starts.

use std::time::Duration;

use crate::registry::Login;

/// How a [`TokenRegistry`](super::TokenRegistry) gives out tokens. By default everything goes well.
#[derive(Clone, Debug)]
pub struct TokenPlan {
    /// What `OAuth2`'s POST gets.
    pub post: TokenAnswer,
    /// What a GET gets.
    pub get: TokenAnswer,
    /// Where the registry says that tokens are given out.
    pub realm: Realm,
    /// How long a token counts. The registry allows a minute more.
    pub life: Duration,
    /// Who may pull and push; without it, somebody random.
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
    /// POST gets this.
    #[must_use]
    pub fn post(mut self, answer: TokenAnswer) -> Self {
        self.post = answer;
        self
    }

    /// GET gets this.
    #[must_use]
    pub fn get(mut self, answer: TokenAnswer) -> Self {
        self.get = answer;
        self
    }

    /// Who may pull and push.
    #[must_use]
    pub fn owner(mut self, owner: Login) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Tokens are said to be given out there.
    #[must_use]
    pub fn realm(mut self, realm: Realm) -> Self {
        self.realm = realm;
        self
    }
}

/// What a request for a token gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAnswer {
    /// A token, or a refusal that the user has earned.
    Token,
    /// This status and a page in HTML, as from a server that does not know the method.
    Status(u16),
    /// Success, and a page in HTML.
    Garbage,
    /// A redirection (307, which keeps method and body) to a port where tokens are given out too.
    Redirect,
    /// Nothing, for ever.
    Hang,
}

/// Where the registry's challenge sends its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    /// To the registry's own host and port, as at GitHub.
    WithRegistry,
    /// To another port, as at Docker Hub, whose tokens come from another host.
    OtherPort,
    /// To a path where nobody gives out tokens.
    Nowhere,
    /// To this address, which somebody leads to the registry's port.
    At(&'static str),
}
