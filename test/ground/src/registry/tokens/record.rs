//! What a registry with tokens and its token server were asked.

use http::{HeaderMap, Method, header};
use tokio::sync::watch;

/// More than any test causes; a client in a loop must not fill the memory.
const MAX_REQUESTS: usize = 10_000;

/// Everything up to now, in the order of arrival.
#[derive(Clone, Debug, Default)]
pub struct TokenRecord {
    /// Requests for tokens.
    pub token_requests: Vec<TokenRequest>,
    /// Requests to the registry.
    pub registry_requests: Vec<RegistryRequest>,
    /// What no client of a registry should have sent, as sentences.
    pub unforeseen: Vec<String>,
}

/// One request for a token. Never holds a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// GET or POST.
    pub method: Method,
    /// The host and port that the client called.
    pub host: String,
    /// The fields of the query (GET) or of the form (POST), decoded, without the password.
    pub fields: Vec<(String, String)>,
    /// Who asks; `None` for anybody.
    pub user: Option<String>,
    /// Whether the password was that user's.
    pub password: PasswordSeen,
    /// What was answered; `None` while nothing was.
    pub status: Option<u16>,
}

impl TokenRequest {
    /// The first field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    /// What the token is to allow, one scope each, however they were written.
    #[must_use]
    pub fn scopes(&self) -> Vec<&str> {
        let scopes = self.fields.iter().filter(|(name, _)| name == "scope");
        scopes.flat_map(|(_, value)| value.split(' ')).collect()
    }
}

/// What is known of a password that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordSeen {
    /// None came.
    Absent,
    /// It is the user's.
    Right,
    /// It is not, or there is no such user.
    Wrong,
}

/// One request to the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryRequest {
    /// Its method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// How it proved who it is.
    pub authorization: Authorization,
    /// The program that sent it, by its own word.
    pub user_agent: String,
    /// What the registry answered; `None` while nothing was.
    pub status: Option<u16>,
}

/// The scheme of an `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// There was no such header.
    Absent,
    /// A token.
    Bearer,
    /// User name and password.
    Basic,
    /// Something else.
    Other,
}

impl Authorization {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Self::Absent;
        };
        let value = value.as_bytes().to_ascii_lowercase();
        if value.starts_with(b"bearer ") {
            Self::Bearer
        } else if value.starts_with(b"basic ") {
            Self::Basic
        } else {
            Self::Other
        }
    }
}

/// Takes notes, and tells those who wait of each.
#[derive(Debug)]
pub(super) struct Notes(watch::Sender<TokenRecord>);

impl Notes {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(TokenRecord::default()))
    }

    pub(super) fn snapshot(&self) -> TokenRecord {
        self.0.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<TokenRecord> {
        self.0.subscribe()
    }

    pub(super) fn unforeseen(&self, sentence: String) {
        self.0.send_modify(|record| {
            if record.unforeseen.len() < MAX_REQUESTS {
                record.unforeseen.push(sentence);
            }
        });
    }

    /// Notes a request for a token and returns its place, for [`Notes::token_answered`].
    pub(super) fn token_request(&self, request: TokenRequest) -> usize {
        let mut place = 0;
        self.0.send_modify(|record| {
            place = record.token_requests.len();
            if place < MAX_REQUESTS {
                record.token_requests.push(request);
            }
        });
        place
    }

    pub(super) fn token_answered(&self, place: usize, status: u16) {
        self.0.send_modify(|record| {
            if let Some(request) = record.token_requests.get_mut(place) {
                request.status = Some(status);
            }
        });
    }

    /// Notes a request to the registry and returns its place, for [`Notes::registry_answered`].
    pub(super) fn registry_request(&self, request: RegistryRequest) -> usize {
        let mut place = 0;
        self.0.send_modify(|record| {
            place = record.registry_requests.len();
            if place < MAX_REQUESTS {
                record.registry_requests.push(request);
            }
        });
        place
    }

    pub(super) fn registry_answered(&self, place: usize, status: u16) {
        self.0.send_modify(|record| {
            if let Some(request) = record.registry_requests.get_mut(place) {
                request.status = Some(status);
            }
        });
    }
}
