//! The record of requests to a registry with tokens and to its token server.

use http::{HeaderMap, Method, header};
use tokio::sync::watch;

/// More than any test sends; a client in a loop must not fill the memory.
const MAX_REQUESTS: usize = 10_000;

/// All requests until now, in the order of arrival.
#[derive(Clone, Debug, Default)]
pub struct TokenRecord {
    /// Requests for tokens.
    pub token_requests: Vec<TokenRequest>,
    /// Requests to the registry.
    pub registry_requests: Vec<RegistryRequest>,
    /// Protocol violations by clients, as sentences.
    pub unforeseen: Vec<String>,
}

/// One request for a token. Contains no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// GET or POST.
    pub method: Method,
    /// The host and port that the client called.
    pub host: String,
    /// The fields of the query (GET) or of the form (POST), decoded, without the password.
    pub fields: Vec<(String, String)>,
    /// The user; `None` if anonymous.
    pub user: Option<String>,
    /// Whether the password was the user's.
    pub password: PasswordSeen,
    /// The status of the response; `None` until there is one.
    pub status: Option<u16>,
}

impl TokenRequest {
    /// The first field with that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// The requested scopes, split if one field holds several.
    #[must_use]
    pub fn scopes(&self) -> Vec<&str> {
        let scopes = self.fields.iter().filter(|(name, _)| name == "scope");
        scopes.flat_map(|(_, value)| value.split(' ')).collect()
    }
}

/// The result of checking a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordSeen {
    /// There was none.
    Absent,
    /// It is the user's.
    Right,
    /// It is not, or the user does not exist.
    Wrong,
}

/// One request to the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryRequest {
    /// Its method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// How the client authenticated.
    pub authorization: Authorization,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The status of the registry's response; `None` until there is one.
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

/// Records requests and notifies those who wait for a change.
#[derive(Debug)]
pub(super) struct Recorder(watch::Sender<TokenRecord>);

impl Recorder {
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

    /// Records a request for a token and returns its index, for [`Recorder::token_status`].
    pub(super) fn token_request(&self, request: TokenRequest) -> usize {
        let mut index = 0;
        self.0.send_modify(|record| {
            index = record.token_requests.len();
            if index < MAX_REQUESTS {
                record.token_requests.push(request);
            }
        });
        index
    }

    pub(super) fn token_status(&self, index: usize, status: u16) {
        self.0.send_modify(|record| {
            if let Some(request) = record.token_requests.get_mut(index) {
                request.status = Some(status);
            }
        });
    }

    /// Records a request to the registry and returns its index, for [`Recorder::registry_status`].
    pub(super) fn registry_request(&self, request: RegistryRequest) -> usize {
        let mut index = 0;
        self.0.send_modify(|record| {
            index = record.registry_requests.len();
            if index < MAX_REQUESTS {
                record.registry_requests.push(request);
            }
        });
        index
    }

    pub(super) fn registry_status(&self, index: usize, status: u16) {
        self.0.send_modify(|record| {
            if let Some(request) = record.registry_requests.get_mut(index) {
                request.status = Some(status);
            }
        });
    }
}
