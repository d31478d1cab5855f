//! Registry tokens, obtained here so that a password leaves this process only for its own registry.
//!
//! A registry responds with 401 and a challenge that names a realm: the token server. It is requested with `OAuth2`'s
//! POST first. Token servers that do not support it are requested again with GET and Basic authentication. Without a
//! credential for the host, an anonymous token is requested.
//!
//! The realm is received through a builder. Before a password is sent to a realm on another host than the registry's
//! own, the registry itself must confirm that this is its realm.
//!
//! If a registry or a token server is temporarily unavailable, the request is repeated within the time that a builder waits.

mod attempts;
mod auth_scheme;
mod cache;
mod error;
mod exchange;
mod probe;
pub(crate) mod realm;
pub(crate) mod reply;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use super::address::is_own_host;
use super::credentials::{Credential, SecretListener, canonical_host};
use super::keyring::Keyring;
use super::reach::Reach;
use super::reference::Reference;
use crate::text::cause::one_line;
use crate::text::cut::printable;
use attempts::{Attempts, LIMITS, Limits};
use auth_scheme::{AuthScheme, AuthSchemes};
use cache::TokenCache;
pub(crate) use error::TokenError;
use exchange::{PostOutcome, Query};
use realm::{is_own, is_same};

/// The number of hosts for which a warning is remembered; a build uses a few.
const MAX_WARNED_HOSTS: usize = 1000;

/// Obtains tokens for registries.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(super) reach: Reach,
    keyring: Arc<Keyring>,
    /// The images of the build.
    images: Vec<NamedImage>,
    auth_schemes: AuthSchemes,
    cache: TokenCache,
    /// Hosts without a usable login, for which a warning was logged.
    warned: Mutex<BTreeSet<String>>,
    limits: Limits,
    listener: Listener,
}

/// Receives every token. The tokens come from untrusted servers, so it must limit what it stores.
#[derive(Clone, Default)]
struct Listener(Option<SecretListener>);

impl std::fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Listener")
    }
}

/// An image that a build reads or pushes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NamedImage {
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
    pub(crate) fn new(reference: &Reference, is_pushed: bool) -> Self {
        Self {
            host: canonical_host(reference.host()),
            repository: reference.repository().to_owned(),
            is_pushed,
        }
    }
}

/// The repository in the scopes of a token, such as `repository:acme/app:pull,push`: the one to push to, or the first.
fn repository_of(scopes: &[String]) -> Option<&str> {
    let scopes = scopes.iter().flat_map(|scopes| scopes.split_whitespace());
    let scopes = scopes.filter_map(|scope| scope.strip_prefix("repository:")?.rsplit_once(':'));
    let mut first = None;
    for (repository, actions) in scopes {
        if actions.split(',').any(|action| action == "push") {
            return Some(repository);
        }
        first = first.or(Some(repository));
    }
    first
}

/// A token and its lifetime.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// The value for `Authorization: Bearer`.
    pub(crate) value: SecretString,
    /// The lifetime, in seconds.
    pub(crate) expires_in: u64,
    /// When it was issued, in seconds since 1970, if the token server reported that.
    pub(crate) issued_at: Option<i64>,
}

impl Tokens {
    /// With these credentials; registries are reached through `reach`.
    #[must_use]
    pub(crate) fn new(reach: Reach, keyring: Arc<Keyring>) -> Self {
        Self {
            reach,
            keyring,
            images: Vec::new(),
            auth_schemes: AuthSchemes::default(),
            cache: TokenCache::default(),
            warned: Mutex::default(),
            limits: LIMITS,
            listener: Listener::default(),
        }
    }

    /// Passes every token to `listener` before it is used, so that it can be masked in logs.
    #[must_use]
    pub(crate) fn with_listener(mut self, listener: SecretListener) -> Self {
        self.listener = Listener(Some(listener));
        self
    }

    /// Adds the images of the build. A registry that requires no login at `/v2/` may require one for these.
    #[must_use]
    pub(crate) fn with_images(mut self, images: impl IntoIterator<Item = NamedImage>) -> Self {
        self.images.extend(images);
        self
    }

    /// The credential for `host`, to be passed to a builder, if the registry requires user name and password: a 401 with
    /// `WWW-Authenticate: Basic`, and no tokens.
    ///
    /// The response of the registry itself decides, so a builder cannot obtain a password by claiming that it needs one. The
    /// result is `None` if the registry requires nothing, returns an error or cannot be reached.
    pub(crate) async fn credential_without_tokens(&self, host: &str) -> Option<Credential> {
        let credential = match self.keyring.for_host(host).await {
            Ok(credential) => credential?,
            Err(error) => {
                self.warn_once(host, &one_line(&error));
                return None;
            }
        };
        let attempts = Attempts::new(self.limits);
        let reason = match self.keyring.accepts_tokens(host) {
            Some(true) => return None,
            Some(false) => None,
            None => match self.auth_scheme_of_push(host, &attempts).await {
                Ok(AuthScheme::Bearer(_)) => return None,
                Ok(AuthScheme::Basic) => None,
                Ok(AuthScheme::None) => Some("it requires no login".to_owned()),
                Ok(AuthScheme::Unknown(status)) => Some(format!(
                    "it does not require a user name and a password (HTTP {status})"
                )),
                Err(error) => Some(one_line(&error)),
            },
        };
        let reason = reason.or_else(|| {
            let reason = "it issues no tokens, and the only login is an identity token";
            credential.is_identity_token().then(|| reason.to_owned())
        });
        if let Some(reason) = reason {
            self.warn_once(
                host,
                &format!("the builder gets no login for the registry `{host}`: {reason}"),
            );
            return None;
        }
        Some(credential)
    }

    /// Determines in advance how `host` authenticates a push, if there is a login for it, and opens the connection. A failure is
    /// only logged for debugging: the push repeats the request and reports it.
    pub(crate) async fn probe_ahead(&self, host: &str) {
        let login = self.keyring.for_host(host).await;
        if matches!(login, Ok(Some(_)))
            && self.keyring.accepts_tokens(host).is_none()
            && let Err(error) = self.auth_scheme(host, &Attempts::new(self.limits)).await
        {
            tracing::debug!("request in advance of the push: {}", one_line(&error));
        }
    }

    /// The login for a repository of `host`, of any kind.
    pub(crate) async fn login(
        &self,
        host: &str,
        repository: &str,
    ) -> Result<Option<Credential>, TokenError> {
        let login = self.keyring.for_repository(host, repository).await;
        login.map_err(TokenError::Login)
    }

    /// A token of `host` for `scopes`, from `realm`. Concurrent callers with the same arguments share it.
    pub(crate) async fn fetch(
        &self,
        host: &str,
        realm: &str,
        service: &str,
        scopes: &[String],
    ) -> Result<Token, TokenError> {
        let key = (host, realm, service, scopes);
        // One limit for the wait for another caller and for an own request.
        let attempts = Attempts::new(self.limits);
        let fetching = async || self.fetch_new(key, &attempts).await;
        let fetched = self.cache.get(key, attempts.left(), fetching).await;
        if let (Ok(token), Some(listener)) = (&fetched, &self.listener.0) {
            listener(token.value.expose_secret());
        }
        fetched
    }

    async fn fetch_new(
        &self,
        (host, realm, service, scopes): (&str, &str, &str, &[String]),
        attempts: &Attempts,
    ) -> Result<Token, TokenError> {
        let unusable = |reason| TokenError::Realm {
            host: host.to_owned(),
            realm: printable(realm, 200),
            reason,
        };
        let credential = match repository_of(scopes) {
            Some(repository) => self.keyring.for_repository(host, repository).await,
            None => self.keyring.for_host(host).await,
        };
        let credential = credential.map_err(TokenError::Login)?;
        let is_local = self.reach.is_local(host);
        let url = match realm::parse(realm, is_local, credential.is_some()) {
            Ok(url) => url,
            // A registry that is trusted without TLS can use a realm without TLS on its own host, and nowhere else.
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
        if !credential.is_for_token_server(query.realm.host_str().unwrap_or_default()) {
            return Err(unusable(
                "it is outside of the domain that the password belongs to, so the password is not sent",
            ));
        }
        if !is_own(host, &query.realm) {
            match self
                .auth_scheme_of_images(host, attempts)
                .await?
                .into_realm()
            {
                Some(own) if is_same(&own, &query.realm) => {}
                Some(_) => {
                    return Err(unusable(
                        "the registry itself names another token server, so the password is not sent",
                    ));
                }
                None => {
                    return Err(unusable(
                        "the registry itself names no token server, so the password is not sent",
                    ));
                }
            }
        }
        let rejection = match self.post(&query, credential).await? {
            PostOutcome::Token(token) => return Ok(token),
            PostOutcome::Failed { rejection } => rejection,
        };
        if credential.is_identity_token() {
            let problem = "its token server accepts no identity tokens".into();
            return Err(rejection.unwrap_or_else(|| query.unusable(problem)));
        }
        if credential.username().contains(':') {
            // Basic authentication ends the name at the first colon.
            let problem =
                "the user name has a colon, and the token server does not support POST".into();
            return Err(rejection.unwrap_or_else(|| query.unusable(problem)));
        }
        match (self.get(&query).await, rejection) {
            // The token server supports only POST, so the result of the POST is final.
            (Err(error), Some(rejection)) if !error.is_denied() => Err(rejection),
            (outcome, _) => outcome,
        }
    }

    /// Warns about a login that cannot be used, once for each host.
    fn warn_once(&self, host: &str, message: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < MAX_WARNED_HOSTS && warned.insert(canonical_host(host)) {
            tracing::warn!("{}", printable(message, 1000));
        }
    }
}
