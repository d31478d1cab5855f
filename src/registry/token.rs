//! Registry tokens, fetched here so that no password leaves this process but to its registry.
//!
//! A registry answers 401 with a challenge that names a realm: the place that gives out tokens for
//! it. OAuth2's POST comes first; registries that do not know it are asked again with GET and basic
//! authentication. Without a credential for the host, an anonymous token is asked for.
//!
//! The realm reaches us through a builder. Before a password is sent to a realm on another host than
//! the registry's own, the registry itself is asked whether that is its realm.
//!
//! A builder waits a minute for a token. The three requests that one can take have to fit in there.

mod answer;
mod realm;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::challenge::bearer_realm;
use super::credentials::{Credential, Credentials, canonical_host};
use answer::{ANSWER_LIMIT_BYTES, Answer, Unread, printable};
use realm::{authority, is_own, is_same, registry_address};

/// One exchange with a registry or its realm.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// Fetches tokens for registries.
#[derive(Debug)]
pub struct Tokens {
    http: reqwest::Client,
    credentials: Credentials,
    /// Realms that registries have confirmed as theirs, by host.
    confirmed: Mutex<HashMap<String, Url>>,
    call_limit: Duration,
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

impl Tokens {
    /// With these credentials. `http` must not follow redirects: a password must not either.
    #[must_use]
    pub fn new(http: reqwest::Client, credentials: Credentials) -> Self {
        Self {
            http,
            credentials,
            confirmed: Mutex::default(),
            call_limit: CALL_LIMIT,
        }
    }

    /// The credential for `host` where the registry takes no tokens, to be given to others.
    ///
    /// The registry itself is asked, so that nobody gets a password by saying that it takes none. One that
    /// cannot be asked from here gets the benefit of the doubt: no tokens could be fetched for it either.
    pub async fn credential_without_tokens(&self, host: &str) -> Option<&Credential> {
        let credential = self.credentials.for_host(host)?;
        match self.own_realm(host).await {
            Ok(Some(_)) => None,
            Ok(None) | Err(_) => Some(credential),
        }
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
        let credential = self.credentials.for_host(host);
        let url = realm::parse(realm, host, credential.is_some()).map_err(unusable)?;
        let query = Query {
            host,
            realm: url,
            service,
            scopes,
            credential,
            limit: self.call_limit,
        };
        let Some(credential) = credential else {
            return self.get(&query).await;
        };
        if !is_own(host, &query.realm) {
            match self.own_realm(host).await? {
                Some(own) if is_same(&own, &query.realm) => {}
                Some(_) => {
                    return Err(unusable(
                        "the registry itself names another place, so no password is sent there",
                    ));
                }
                None => {
                    return Err(unusable(
                        "the registry itself names no place for tokens, so no password is sent there",
                    ));
                }
            }
        }
        let refusal = match self.post(&query, credential).await? {
            Posted::Token(token) => return Ok(token),
            Posted::Unknown { refusal } => refusal,
        };
        if credential.username().contains(':') {
            // Basic authentication ends the name at the first colon.
            let what = "its user name has a colon, and it takes no POST".into();
            return Err(refusal.unwrap_or_else(|| query.unusable(what)));
        }
        match (self.get(&query).await, refusal) {
            // A realm that knows POST alone has said all that it has to say.
            (Err(error), Some(refusal)) if !error.is_denied() => Err(refusal),
            (outcome, _) => outcome,
        }
    }

    /// OAuth2 with the password.
    async fn post(&self, query: &Query<'_>, credential: &Credential) -> Result<Posted, TokenError> {
        let scope = query.scopes.join(" ");
        let mut form = vec![
            ("grant_type", "password"),
            ("client_id", "depot-build"),
            ("username", credential.username()),
            ("password", credential.password().expose_secret()),
        ];
        form.extend(given("service", query.service));
        form.extend(given("scope", &scope));
        let request = self.http.post(query.realm.clone()).form(&form);
        let answer = query.send(request).await?;
        match answer.status {
            // Google, JFrog and others answer these to a POST that they do not know. Some of them are
            // also what a realm that knows it answers to a wrong password.
            StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED => {
                let refused =
                    answer.status == StatusCode::UNAUTHORIZED || answer.is_invalid_grant();
                Ok(Posted::Unknown {
                    refusal: refused.then(|| query.denied(&answer)),
                })
            }
            _ => query.token(&answer).map(Posted::Token),
        }
    }

    /// GET, with basic authentication where there is a credential.
    async fn get(&self, query: &Query<'_>) -> Result<Token, TokenError> {
        let mut parameters: Vec<_> = given("service", query.service).collect();
        parameters.extend(query.scopes.iter().map(|scope| ("scope", scope.as_str())));
        let mut request = self.http.get(query.realm.clone());
        if let Some(credential) = query.credential {
            parameters.push(("account", credential.username()));
            request = request.basic_auth(
                credential.username(),
                Some(credential.password().expose_secret()),
            );
        }
        let answer = query.send(request.query(&parameters)).await?;
        query.token(&answer)
    }

    /// Where tokens of `host` are given out, by the registry's own word.
    async fn own_realm(&self, host: &str) -> Result<Option<Url>, TokenError> {
        let host = canonical_host(host);
        if let Ok(known) = self.confirmed.lock()
            && let Some(known) = known.get(&host)
        {
            return Ok(Some(known.clone()));
        }
        let address = registry_address(&host).ok_or_else(|| TokenError::Unusable {
            host: host.clone(),
            what: "its name is no host".into(),
        })?;
        let request = self.http.get(address.clone()).timeout(self.call_limit);
        let answer = request
            .send()
            .await
            .map_err(|source| TokenError::Transport {
                host: host.clone(),
                at: authority(&address),
                source: source.without_url(),
            })?;
        let own = answer
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(bearer_realm)
            .and_then(|realm| Url::parse(&realm).ok());
        if let (Ok(mut known), Some(own)) = (self.confirmed.lock(), &own) {
            known.insert(host, own.clone());
        }
        Ok(own)
    }
}

/// What came of a POST.
enum Posted {
    Token(Token),
    /// The realm may not know it. `refusal`: what it said, should it know it after all.
    Unknown {
        refusal: Option<TokenError>,
    },
}

/// A parameter, unless it is empty: some realms refuse those.
fn given<'a>(name: &'a str, value: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    (!value.is_empty()).then_some((name, value)).into_iter()
}

/// What is asked of a realm.
struct Query<'a> {
    host: &'a str,
    realm: Url,
    service: &'a str,
    scopes: &'a [String],
    credential: Option<&'a Credential>,
    limit: Duration,
}

impl Query<'_> {
    async fn send(&self, request: RequestBuilder) -> Result<Answer, TokenError> {
        // The limit holds for the answer's body too.
        let sent = request.timeout(self.limit).send().await;
        let response = sent.map_err(|source| self.transport(source))?;
        Answer::read(response).await.map_err(|unread| match unread {
            Unread::TooLarge => self.unusable(format!("more than {ANSWER_LIMIT_BYTES} bytes")),
            Unread::Broken(source) => self.transport(source),
        })
    }

    fn token(&self, answer: &Answer) -> Result<Token, TokenError> {
        if matches!(
            answer.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return Err(self.denied(answer));
        }
        let token = answer.token(SystemTime::now());
        token.map_err(|what| self.unusable(what))
    }

    fn denied(&self, answer: &Answer) -> TokenError {
        let who = match self.credential {
            Some(credential) => {
                let user = printable(credential.username(), 100);
                format!("the credentials of user `{user}`")
            }
            None => "anonymous access".into(),
        };
        TokenError::Denied {
            host: self.host.to_owned(),
            who,
            status: answer.status.as_u16(),
            said: match answer.words(self.credential) {
                said if said.is_empty() => said,
                said => format!(": {said}"),
            },
        }
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
