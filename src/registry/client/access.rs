//! What lets us into a registry: a token, or user and password, as its challenge wants it.
//!
//! What worked is remembered for one repository and one purpose, so that ten tags cost one token.

use std::sync::PoisonError;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderValue, WWW_AUTHENTICATE};
use secrecy::{ExposeSecret, SecretString};

use super::Client;
use super::call::{Answer, Call};
use super::error::{ClientError, Trouble};
use crate::registry::challenge::{bearer, is_basic};
use crate::registry::credentials::{Credential, canonical_host};
use crate::text::forms;

/// Shorter forms of a secret would be found in every word.
const SHORTEST_FORM_BYTES: usize = 4;

/// An `Authorization`, which shows itself to nobody.
pub(super) type Access = HeaderValue;

impl Client {
    /// What let us in before.
    pub(super) fn known_access(&self, call: &Call<'_>) -> Option<Access> {
        let known = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&key(call)).cloned()
    }

    pub(super) fn remember(&self, call: &Call<'_>, access: Access) {
        let mut known = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(key(call), access);
    }

    /// What the registry asks for in `refusal`; `None` where there is nothing that it has not refused already.
    pub(super) async fn new_access(
        &self,
        call: &Call<'_>,
        refusal: &Answer,
        refused: Option<&Access>,
    ) -> Result<Option<Access>, ClientError> {
        let challenges = refusal.headers.get_all(WWW_AUTHENTICATE);
        let challenges: Vec<&str> = challenges
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let access = if let Some(challenge) = challenges.iter().copied().find_map(bearer) {
            let actions = if call.is_push() { "pull,push" } else { "pull" };
            let scope = format!("repository:{}:{actions}", call.repository);
            let fetched = self
                .tokens
                .fetch(call.host, &challenge.realm, &challenge.service, &[scope])
                .await;
            let token = fetched.map_err(|error| call.error(Trouble::Token(Box::new(error))))?;
            sensitive("Bearer ", &token.token)
        } else if challenges.iter().copied().any(is_basic) {
            let login = self.tokens.login(call.host).await;
            let login = login.map_err(|error| call.error(Trouble::Token(Box::new(error))))?;
            if login.as_ref().is_some_and(Credential::is_identity_token) {
                let what = "it takes no tokens, and all there is for it is an identity token";
                return Err(call.error(Trouble::Malformed(what.into())));
            }
            login.and_then(|login| {
                let password = login.password().expose_secret();
                let login = format!("{}:{password}", login.username());
                sensitive("Basic ", &STANDARD.encode(login).into())
            })
        } else {
            None
        };
        Ok(access.filter(|access| refused != Some(access)))
    }
}

/// The forms in which a registry's words may repeat what it was sent.
pub(super) fn forms(access: &Access) -> Vec<String> {
    let text = access.to_str().unwrap_or_default();
    let Some((scheme, sent)) = text.split_once(' ') else {
        return Vec::new();
    };
    let login = (scheme == "Basic").then(|| STANDARD.decode(sent).unwrap_or_default());
    let login = login.and_then(|login| String::from_utf8(login).ok());
    let password = login
        .as_deref()
        .and_then(|login| login.split_once(':'))
        .map(|(_, password)| password);
    let secrets = [Some(sent), password].into_iter().flatten();
    let forms = secrets.flat_map(|secret| {
        let mut forms = forms::of(secret);
        forms.retain(|form| form == secret || form.len() >= SHORTEST_FORM_BYTES);
        forms
    });
    forms.filter(|form| !form.is_empty()).collect()
}

fn key(call: &Call<'_>) -> (String, String, bool) {
    let host = canonical_host(call.host);
    (host, call.repository.to_owned(), call.is_push())
}

fn sensitive(scheme: &str, secret: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("{scheme}{}", secret.expose_secret())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
