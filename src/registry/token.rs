//! Registry tokens, fetched here so that no password leaves this process but to its registry.
//!
//! A registry answers 401 with a challenge that names a realm: the place that gives out tokens for
//! it. OAuth2's POST comes first; registries that do not know it are asked again with GET and basic
//! authentication. Without a credential for the host, an anonymous token is asked for.
//!
//! The realm reaches us through a builder. Before a password is sent to a realm on another host than
//! the registry's own, the registry itself is asked whether that is its realm.
//!
//! A registry or a realm that is out of order for a moment is asked again, within the time that a builder waits.

pub(crate) mod answer;
mod attempts;
mod demand;
mod error;
mod inquiry;
pub(crate) mod realm;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use reqwest::{RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::address::is_own_host;
use super::credentials::{Credential, SecretListener, canonical_host};
use super::guard::Refused;
use super::keyring::Keyring;
use super::reach::Reach;
use super::reference::Reference;
use super::retry::is_out_of_order;
use crate::http::body::BodyError;
pub(super) use answer::printable;
use answer::{ANSWER_LIMIT_BYTES, Answer};
use attempts::{Attempts, LIMITS, Limits, transient_error, transient_status};
use demand::{Demand, Demands};
pub use error::TokenError;
use realm::{authority, is_own, is_same};
use shared::Shared;

/// Hosts of which it was told that there is no login for them; a build uses a few.
const TOLD_LIMIT: usize = 1000;

/// Fetches tokens for registries.
#[derive(Debug)]
pub struct Tokens {
    pub(super) reach: Reach,
    keyring: Arc<Keyring>,
    /// The images of the build.
    images: Vec<NamedImage>,
    demands: Demands,
    shared: Shared,
    /// Hosts without login of which that was told.
    told: Mutex<BTreeSet<String>>,
    limits: Limits,
    listener: Listener,
}

/// Gets every token. Tokens come from strangers, so it must bound what it keeps.
#[derive(Clone, Default)]
struct Listener(Option<SecretListener>);

impl std::fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Listener")
    }
}

/// An image that a build reads or pushes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedImage {
    /// The canonical host of its registry.
    pub host: String,
    /// The repository there.
    pub repository: String,
    /// The build pushes it.
    pub is_pushed: bool,
}

impl NamedImage {
    /// The image of `reference`.
    #[must_use]
    pub fn new(reference: &Reference, is_pushed: bool) -> Self {
        Self {
            host: canonical_host(reference.host()),
            repository: reference.repository().to_owned(),
            is_pushed,
        }
    }
}

/// A token and how long it counts.
#[derive(Clone, Debug)]
pub struct Token {
    /// To be sent as `Authorization: Bearer`.
    pub token: SecretString,
    /// Its life, in seconds.
    pub expires_in: u64,
    /// When it began, in seconds since 1970, if the realm said so.
    pub issued_at: Option<i64>,
}

impl Tokens {
    /// With these credentials, for registries that are reached so.
    #[must_use]
    pub fn new(reach: Reach, keyring: Arc<Keyring>) -> Self {
        Self {
            reach,
            keyring,
            images: Vec::new(),
            demands: Demands::default(),
            shared: Shared::default(),
            told: Mutex::default(),
            limits: LIMITS,
            listener: Listener::default(),
        }
    }

    /// Passes every token to `listener` before anything is done with it, so that it can be kept out of logs.
    #[must_use]
    pub fn with_listener(mut self, listener: SecretListener) -> Self {
        self.listener = Listener(Some(listener));
        self
    }

    /// Adds the images of the build. A registry that demands no login at `/v2/` may demand one for these.
    #[must_use]
    pub fn with_images(mut self, images: impl IntoIterator<Item = NamedImage>) -> Self {
        self.images.extend(images);
        self
    }

    /// The credential for `host`, to be passed on, if the registry demands user name and password: a 401 with
    /// `WWW-Authenticate: Basic` and no way to use tokens.
    ///
    /// The registry itself is asked, so that no caller gets a password by claiming that it needs one. An answer that
    /// demands nothing, an error and a registry that cannot be reached are no reason to pass a password on.
    pub async fn credential_without_tokens(&self, host: &str) -> Option<Credential> {
        let credential = match self.keyring.for_host(host).await {
            Ok(credential) => credential?,
            Err(error) => {
                self.tell_once(host, &crate::text::cause::one_line(&error));
                return None;
            }
        };
        let attempts = Attempts::new(self.limits);
        let why = match self.keyring.takes_tokens(host) {
            Some(true) => return None,
            Some(false) => None,
            None => match self.demand_to_write(host, &attempts).await {
                Ok(Demand::Tokens(_)) => return None,
                Ok(Demand::Basic) => None,
                Ok(Demand::Nothing) => Some("it demands no login".to_owned()),
                Ok(Demand::Unknown(status)) => Some(format!(
                    "it did not demand a user name and a password (HTTP {status})"
                )),
                Err(error) => Some(crate::text::cause::one_line(&error)),
            },
        };
        let why = why.or_else(|| {
            let why = "it takes no tokens, and all there is for it is an identity token";
            credential.is_identity_token().then(|| why.to_owned())
        });
        if let Some(why) = why {
            self.tell_once(
                host,
                &format!("the builder gets no login for the registry `{host}`: {why}"),
            );
            return None;
        }
        Some(credential)
    }

    /// Asks ahead what a push to `host` will have to know, with a connection that is open then: where there is a login, whether the registry
    /// takes tokens, and whose. That it fails is told when it matters.
    pub async fn ask_ahead(&self, host: &str) {
        let login = self.keyring.for_host(host).await;
        if matches!(login, Ok(Some(_)))
            && self.keyring.takes_tokens(host).is_none()
            && let Err(error) = self.demand(host, &Attempts::new(self.limits)).await
        {
            tracing::debug!("asking ahead: {}", crate::text::cause::one_line(&error));
        }
    }

    /// The login for `host`, whatever it is.
    pub async fn login(&self, host: &str) -> Result<Option<Credential>, TokenError> {
        self.keyring.for_host(host).await.map_err(TokenError::Login)
    }

    /// A token of `host` for `scopes`, from `realm`. Who asks for the same at the same time shares it.
    pub async fn fetch(
        &self,
        host: &str,
        realm: &str,
        service: &str,
        scopes: &[String],
    ) -> Result<Token, TokenError> {
        let question = (host, realm, service, scopes);
        // One limit for the time in which another caller fetches the same and for an own request.
        let attempts = Attempts::new(self.limits);
        let fetching = async || self.fetch_anew(question, &attempts).await;
        let fetched = self.shared.ask(question, attempts.left(), fetching).await;
        if let (Ok(token), Some(listener)) = (&fetched, &self.listener.0) {
            listener(token.token.expose_secret());
        }
        fetched
    }

    async fn fetch_anew(
        &self,
        (host, realm, service, scopes): (&str, &str, &str, &[String]),
        attempts: &Attempts,
    ) -> Result<Token, TokenError> {
        let unusable = |reason| TokenError::Realm {
            host: host.to_owned(),
            realm: printable(realm, 200),
            reason,
        };
        let credential = self
            .keyring
            .for_host(host)
            .await
            .map_err(TokenError::Login)?;
        let is_local = self.reach.is_local(host);
        let url = match realm::parse(realm, is_local, credential.is_some()) {
            Ok(url) => url,
            // A registry that is trusted without TLS may have its realm on its own host, and nowhere else.
            Err(reason) => realm::parse(realm, is_local, false)
                .ok()
                .filter(|url| is_own_host(host, url) && self.reach.trusts(host))
                .ok_or_else(|| unusable(reason))?,
        };
        let query = Query {
            host,
            realm: url,
            service,
            scopes,
            credential: credential.as_ref(),
            attempts,
        };
        let Some(credential) = &credential else {
            return self.get(&query).await;
        };
        if !is_own(host, &query.realm) {
            match self.demand_of_images(host, attempts).await?.into_realm() {
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
        if credential.is_identity_token() {
            let what = "it takes no identity tokens".into();
            return Err(refusal.unwrap_or_else(|| query.unusable(what)));
        }
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

    /// Warns of a login that cannot be used: once, however often a builder asks.
    fn tell_once(&self, host: &str, what: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD_LIMIT && told.insert(canonical_host(host)) {
            tracing::warn!("{}", printable(what, 1000));
        }
    }

    /// OAuth2 with the password, or with an identity token.
    async fn post(&self, query: &Query<'_>, credential: &Credential) -> Result<Posted, TokenError> {
        let scope = query.scopes.join(" ");
        let secret = credential.password().expose_secret();
        let mut form = vec![("client_id", "depot-build")];
        if credential.is_identity_token() {
            form.extend([("grant_type", "refresh_token"), ("refresh_token", secret)]);
        } else {
            form.extend([
                ("grant_type", "password"),
                ("username", credential.username()),
                ("password", secret),
            ]);
        }
        form.extend(given("service", query.service));
        form.extend(given("scope", &scope));
        let request = self
            .reach
            .named_by(query.host, &query.realm, true)
            .post(query.realm.clone())
            .form(&form);
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
        let is_named = query.credential.is_some();
        let http = self.reach.named_by(query.host, &query.realm, is_named);
        let mut request = http.get(query.realm.clone());
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
    attempts: &'a Attempts,
}

impl Query<'_> {
    async fn send(&self, request: RequestBuilder) -> Result<Answer, TokenError> {
        let place = authority(&self.realm);
        let attempt = || async {
            // Its body is a short text, so that a copy of it can be made.
            let Some(copy) = request.try_clone() else {
                return (Err(self.unusable("a request of ours".into())), None);
            };
            // The limit holds for the answer's body too.
            let sent = crate::http::trace::send(copy.timeout(self.attempts.limit())).await;
            let (status, answer) = match sent {
                Ok(response) => (
                    transient_status(&place, response.status(), response.headers()),
                    self.read(response).await,
                ),
                Err(error) => (None, Err(self.transport(error))),
            };
            let error = answer.as_ref().err();
            let transient =
                status.or_else(|| error.and_then(|error| transient_error(&place, error)));
            (answer, transient)
        };
        self.attempts.run(attempt).await
    }

    async fn read(&self, response: Response) -> Result<Answer, TokenError> {
        Answer::read(response).await.map_err(|error| match error {
            BodyError::TooLarge => self.unusable(format!("more than {ANSWER_LIMIT_BYTES} bytes")),
            BodyError::Broken(source) => self.transport(source),
        })
    }

    fn token(&self, answer: &Answer) -> Result<Token, TokenError> {
        if matches!(
            answer.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return Err(self.denied(answer));
        }
        if is_out_of_order(answer.status) {
            return Err(TokenError::Unavailable {
                host: self.host.to_owned(),
                status: answer.status.as_u16(),
                said: self.said(answer),
            });
        }
        let token = answer.token(SystemTime::now());
        token.map_err(|what| self.unusable(what))
    }

    fn denied(&self, answer: &Answer) -> TokenError {
        let who = match self.credential {
            Some(credential) => {
                let user = match credential.username() {
                    "" => "an identity token".to_owned(),
                    user => format!("the credentials of user `{}`", printable(user, 100)),
                };
                let origin = credential.origin().map(|origin| format!(" from {origin}"));
                user + &origin.unwrap_or_default()
            }
            None => "anonymous access".into(),
        };
        TokenError::Denied {
            host: self.host.to_owned(),
            who,
            status: answer.status.as_u16(),
            said: self.said(answer),
        }
    }

    fn said(&self, answer: &Answer) -> String {
        match answer.words(self.credential) {
            said if said.is_empty() => said,
            said => format!(": {said}"),
        }
    }

    fn unusable(&self, what: String) -> TokenError {
        TokenError::Unusable {
            host: self.host.to_owned(),
            what,
        }
    }

    fn transport(&self, source: reqwest::Error) -> TokenError {
        if Refused::is_cause_of(&source) {
            return TokenError::Realm {
                host: self.host.to_owned(),
                realm: printable(self.realm.as_str(), 200),
                reason: "its name leads to an address of this machine or of its own link, which only a registry on this machine may name",
            };
        }
        TokenError::Transport {
            host: self.host.to_owned(),
            at: authority(&self.realm),
            source: source.without_url(),
        }
    }
}
