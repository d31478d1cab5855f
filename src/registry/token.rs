//! Registry tokens, fetched here so that no password leaves this process but to its registry.
//!
//! A registry answers 401 with a challenge that names a realm: the place that gives out tokens for
//! it. OAuth2's POST comes first; registries that do not know it are asked again with GET and basic
//! authentication. Without a credential for the host, an anonymous token is asked for.
//!
//! The realm reaches us through a builder. Before a password is sent to a realm on another host than
//! the registry's own, the registry itself is asked whether that is its realm.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::BytesMut;
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::challenge::bearer_realm;
use super::credentials::{Credential, Credentials, canonical_host};
use super::reference::DOCKER_HUB;

/// One exchange with a registry or its realm.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// The largest answer that is read: tokens have a few KiB.
const ANSWER_LIMIT_BYTES: usize = 1 << 20;

/// The life of a token whose giver does not tell it, in seconds, by the distribution specification.
const DEFAULT_LIFE_SECONDS: u64 = 60;

/// Fetches tokens for registries.
#[derive(Debug)]
pub struct Tokens {
    http: reqwest::Client,
    credentials: Credentials,
    /// Realms that registries have confirmed as theirs, by host.
    confirmed: Mutex<HashMap<String, Url>>,
}

/// A token and how long it counts.
#[derive(Debug)]
pub struct Token {
    /// To be sent as `Authorization: Bearer`.
    pub token: SecretString,
    /// Its life, in seconds.
    pub expires_in: u64,
    /// When it began, in seconds since 1970, if the realm said so.
    pub issued_at: Option<i64>,
}

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
    /// Whether the registry itself said no.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
    expires_in: Option<u64>,
    issued_at: Option<String>,
}

impl Tokens {
    /// With these credentials. `http` must not follow redirects: a password must not either.
    #[must_use]
    pub fn new(http: reqwest::Client, credentials: Credentials) -> Self {
        Self {
            http,
            credentials,
            confirmed: Mutex::default(),
        }
    }

    /// The credentials by host.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A token of `host` for `scopes`, from `realm`.
    pub async fn fetch(
        &self,
        host: &str,
        realm: &str,
        service: &str,
        scopes: &[String],
    ) -> Result<Token, TokenError> {
        let unusable = |reason| TokenError::Realm {
            host: host.to_owned(),
            realm: printable(realm, 200),
            reason,
        };
        let url = Url::parse(realm).map_err(|_| unusable("that is no address"))?;
        if !matches!(url.scheme(), "https" | "http") || !url.username().is_empty() {
            return Err(unusable(
                "only http and https addresses without a user are used",
            ));
        }
        let query = Query {
            host,
            realm: url,
            service,
            scopes,
        };
        let Some(credential) = self.credentials.for_host(host) else {
            return self.get(&query, None).await;
        };
        if query.realm.scheme() == "http" && !is_loopback(&query.realm) {
            return Err(unusable("a password is not sent without TLS"));
        }
        if !self.is_realm_of(host, &query.realm).await? {
            return Err(unusable(
                "the registry itself names another place, so no password is sent there",
            ));
        }
        match self.post(&query, credential).await? {
            Some(token) => Ok(token),
            None => self.get(&query, Some(credential)).await,
        }
    }

    /// OAuth2 with the password. `None` where the realm does not know it.
    async fn post(
        &self,
        query: &Query<'_>,
        credential: &Credential,
    ) -> Result<Option<Token>, TokenError> {
        let scope = query.scopes.join(" ");
        let form = [
            ("grant_type", "password"),
            ("client_id", "depot-build"),
            ("service", query.service),
            ("scope", &scope),
            ("username", credential.username()),
            ("password", credential.password().expose_secret()),
        ];
        let request = self.http.post(query.realm.clone()).form(&form);
        let answer = query.send(request).await?;
        match answer.status() {
            // Google, JFrog and others answer these to a POST that they do not know.
            StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED => Ok(None),
            _ => query.token(answer, Some(credential)).await.map(Some),
        }
    }

    async fn get(
        &self,
        query: &Query<'_>,
        credential: Option<&Credential>,
    ) -> Result<Token, TokenError> {
        let mut parameters = vec![("service", query.service)];
        parameters.extend(query.scopes.iter().map(|scope| ("scope", scope.as_str())));
        if let Some(credential) = credential {
            parameters.push(("account", credential.username()));
        }
        let request = self.http.get(query.realm.clone()).query(&parameters);
        let request = match credential {
            Some(credential) => request.basic_auth(
                credential.username(),
                Some(credential.password().expose_secret()),
            ),
            None => request,
        };
        let answer = query.send(request).await?;
        query.token(answer, credential).await
    }

    /// Whether tokens of `host` are given out at `realm`, by the registry's own word.
    async fn is_realm_of(&self, host: &str, realm: &Url) -> Result<bool, TokenError> {
        let host = canonical_host(host);
        if authority(realm) == host {
            return Ok(true);
        }
        let confirmed =
            |known: &Url| known.origin() == realm.origin() && known.path() == realm.path();
        if let Ok(known) = self.confirmed.lock()
            && let Some(known) = known.get(&host)
        {
            return Ok(confirmed(known));
        }
        let address = registry_address(&host).ok_or_else(|| TokenError::Realm {
            host: host.clone(),
            realm: realm.to_string(),
            reason: "the registry's own name is no host",
        })?;
        let request = self.http.get(address).timeout(CALL_LIMIT);
        let answer = request
            .send()
            .await
            .map_err(|source| TokenError::Transport {
                host: host.clone(),
                at: host.clone(),
                source: source.without_url(),
            })?;
        let own = answer
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(bearer_realm)
            .and_then(|realm| Url::parse(&realm).ok());
        let Some(own) = own else { return Ok(false) };
        let answer = confirmed(&own);
        if let Ok(mut known) = self.confirmed.lock() {
            known.insert(host, own);
        }
        Ok(answer)
    }
}

/// What is asked of a realm.
struct Query<'a> {
    host: &'a str,
    realm: Url,
    service: &'a str,
    scopes: &'a [String],
}

impl Query<'_> {
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, TokenError> {
        let sent = request.timeout(CALL_LIMIT).send().await;
        sent.map_err(|source| self.transport(source))
    }

    async fn token(
        &self,
        mut answer: Response,
        credential: Option<&Credential>,
    ) -> Result<Token, TokenError> {
        let status = answer.status();
        let mut body = BytesMut::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|source| self.transport(source))?
        {
            if body.len() + chunk.len() > ANSWER_LIMIT_BYTES {
                return Err(self.unusable(format!("more than {ANSWER_LIMIT_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let said = String::from_utf8_lossy(&body);
            return Err(TokenError::Denied {
                host: self.host.to_owned(),
                who: match credential {
                    Some(credential) => {
                        format!(
                            "the credentials of user `{}`",
                            printable(credential.username(), 100)
                        )
                    }
                    None => "anonymous access".into(),
                },
                status: status.as_u16(),
                said: match printable(said.trim(), 300) {
                    said if said.is_empty() => said,
                    said => format!(": {said}"),
                },
            });
        }
        if !status.is_success() {
            return Err(self.unusable(format!("HTTP status {}", status.as_u16())));
        }
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| self.unusable("an answer that is not the JSON of a token".into()))?;
        let token = answer
            .token
            .or(answer.access_token)
            .ok_or_else(|| self.unusable("an answer without token".into()))?;
        Ok(Token {
            token,
            expires_in: answer
                .expires_in
                .unwrap_or_default()
                .max(DEFAULT_LIFE_SECONDS),
            issued_at: answer.issued_at.as_deref().and_then(seconds_since_epoch),
        })
    }

    fn unusable(&self, what: String) -> TokenError {
        TokenError::Unusable {
            host: self.host.to_owned(),
            what,
        }
    }

    fn transport(&self, source: reqwest::Error) -> TokenError {
        TokenError::Transport {
            host: self.host.to_owned(),
            at: authority(&self.realm),
            source: source.without_url(),
        }
    }
}

/// `https://host/v2/`, or with `http` on this machine, as registries for development have it.
fn registry_address(host: &str) -> Option<Url> {
    let server = if host == DOCKER_HUB {
        "registry-1.docker.io"
    } else {
        host
    };
    let url = Url::parse(&format!("https://{server}/v2/")).ok()?;
    if is_loopback(&url) {
        Url::parse(&format!("http://{server}/v2/")).ok()
    } else {
        Some(url)
    }
}

/// Host and port, the port only where it is not the scheme's own.
fn authority(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn seconds_since_epoch(text: &str) -> Option<i64> {
    let moment = humantime::parse_rfc3339(text).ok()?;
    let since_epoch = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs()).ok()
}

/// On one line, without control characters, and short.
fn printable(text: &str, limit: usize) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(limit)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_is_asked_at_the_host_that_answers() {
        let address = |host| registry_address(host).unwrap().to_string();
        assert_eq!(address("docker.io"), "https://registry-1.docker.io/v2/");
        assert_eq!(address("ghcr.io"), "https://ghcr.io/v2/");
        assert_eq!(address("127.0.0.1:5000"), "http://127.0.0.1:5000/v2/");
        assert_eq!(address("[::1]:5000"), "http://[::1]:5000/v2/");
    }

    #[test]
    fn moments_are_read_and_nonsense_is_not() {
        assert_eq!(seconds_since_epoch("1970-01-01T00:01:00Z"), Some(60));
        assert_eq!(seconds_since_epoch("yesterday"), None);
    }
}
