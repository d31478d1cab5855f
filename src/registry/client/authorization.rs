//! The `Authorization` for a registry: a token, or user name and password, as its challenge requires.
//!
//! A value that the registry accepted is cached for one repository and one purpose, so that ten tags need one token.

use std::sync::PoisonError;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::Client;
use super::error::{Cause, ClientError};
use super::request::{Call, Reply};
use crate::registry::challenge::{self, bearer, is_basic};
use crate::registry::credentials::{Credential, canonical_host};

/// The purpose that an authorization is valid for.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Purpose {
    host: String,
    repository: String,
    is_push: bool,
    /// The repository that blobs are mounted from.
    mounted: Option<String>,
}

/// The value of an `Authorization` header, which `Debug` does not show.
pub(super) type Authorization = HeaderValue;

impl Client {
    /// The value that the registry accepted before.
    pub(super) fn cached_authorization(&self, call: &Call<'_>) -> Option<Authorization> {
        let cached = self.authorizations.lock();
        let cached = cached.unwrap_or_else(PoisonError::into_inner);
        cached.get(&key(call)).cloned()
    }

    pub(super) fn cache_authorization(&self, call: &Call<'_>, value: Authorization) {
        let cached = self.authorizations.lock();
        let mut cached = cached.unwrap_or_else(PoisonError::into_inner);
        cached.insert(key(call), value);
    }

    /// The authorization that the registry requires in its 401; `None` if only the rejected one is available.
    pub(super) async fn new_authorization(
        &self,
        call: &Call<'_>,
        unauthorized: &Reply,
        rejected: Option<&Authorization>,
    ) -> Result<Option<Authorization>, ClientError> {
        let challenges = challenge::headers(&unauthorized.headers);
        let value = if let Some(challenge) = challenges.iter().copied().find_map(bearer) {
            let (realm, service) = (&challenge.realm, &challenge.service);
            let scopes = call.scopes();
            let fetched = self.tokens.fetch(call.host, realm, service, &scopes).await;
            let token =
                fetched.map_err(|error| ClientError::new(call, Cause::Token(Box::new(error))))?;
            sensitive("Bearer ", &token.value)
        } else if challenges.iter().copied().any(is_basic) {
            let login = self.tokens.login(call.host, call.repository).await;
            let login =
                login.map_err(|error| ClientError::new(call, Cause::Token(Box::new(error))))?;
            if login.as_ref().is_some_and(Credential::is_identity_token) {
                let problem = "it issues no tokens, and the only login is an identity token";
                return Err(ClientError::new(call, Cause::Malformed(problem.into())));
            }
            login.and_then(|login| {
                let password = login.password().expose_secret();
                let login = format!("{}:{password}", login.username());
                sensitive("Basic ", &STANDARD.encode(login).into())
            })
        } else {
            None
        };
        Ok(value.filter(|value| rejected != Some(value)))
    }
}

fn key(call: &Call<'_>) -> Purpose {
    Purpose {
        host: canonical_host(call.host),
        repository: call.repository.to_owned(),
        is_push: call.is_push,
        mounted: call.mount.map(|(_, from)| from.to_owned()),
    }
}

fn sensitive(scheme: &str, secret: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("{scheme}{}", secret.expose_secret())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
