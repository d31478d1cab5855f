//! Requests without login that show how a registry authenticates its clients.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response};
use url::Url;

use super::attempts::{Attempts, Trouble, transient};
use super::demand::Demand;
use super::realm::authority;
use super::{TokenError, Tokens};
use crate::registry::credentials::canonical_host;
use crate::registry::index::OCI_MANIFEST;
use crate::registry::retry::is_out_of_order;

/// A manifest that no registry stores: the request has no body, and an empty body has another digest.
const IMPOSSIBLE_MANIFEST: &str = "depot-build/login/manifests/sha256:\
    0000000000000000000000000000000000000000000000000000000000000000";

impl Tokens {
    /// The registry's demand at `/v2/`.
    pub(super) async fn demand(
        &self,
        host: &str,
        attempts: &Attempts,
    ) -> Result<Demand, TokenError> {
        self.known_demand(host, false, attempts).await
    }

    /// The same, but of a request to write if `/v2/` is open: some registries let anybody read.
    pub(super) async fn demand_to_write(
        &self,
        host: &str,
        attempts: &Attempts,
    ) -> Result<Demand, TokenError> {
        match self.demand(host, attempts).await? {
            Demand::Nothing => self.known_demand(host, true, attempts).await,
            demand => Ok(demand),
        }
    }

    async fn known_demand(
        &self,
        host: &str,
        is_write: bool,
        attempts: &Attempts,
    ) -> Result<Demand, TokenError> {
        let host = canonical_host(host);
        let request = async || self.request_demand(&host, is_write, attempts).await;
        self.demands
            .of(&host, is_write, attempts.limit(), request)
            .await
    }

    async fn request_demand(
        &self,
        host: &str,
        is_write: bool,
        attempts: &Attempts,
    ) -> Result<Demand, TokenError> {
        let answer = loop {
            let limit = attempts.limit();
            let answer = self.send_without_login(host, is_write, limit).await;
            match Trouble::of(&answer, transient) {
                Some(trouble) if attempts.wait(host, &trouble).await => {}
                _ => break answer?,
            }
        };
        if is_out_of_order(answer.status()) {
            return Err(TokenError::Unavailable {
                host: host.to_owned(),
                status: answer.status().as_u16(),
                said: String::new(),
            });
        }
        Ok(Demand::of(&answer))
    }

    async fn send_without_login(
        &self,
        host: &str,
        is_write: bool,
        limit: Duration,
    ) -> Result<Response, TokenError> {
        let attempt = |place: Url| async move {
            let http = self.reach.own(host, &place);
            let request = if is_write {
                // The place ends in `/v2/`, so that this fails for none.
                let manifest = place.join(IMPOSSIBLE_MANIFEST);
                let manifest = manifest.unwrap_or_else(|_| place.clone());
                let request = http.request(Method::PUT, manifest);
                request.header(CONTENT_TYPE, OCI_MANIFEST).body("")
            } else {
                http.get(place.clone())
            };
            let sent = crate::story::send(request.timeout(limit)).await;
            sent.map_err(|source| (authority(&place), source))
        };
        let asked = self
            .reach
            .ask(host, attempt, |(_, source)| source.is_connect());
        match asked.await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err((at, source))) => Err(TokenError::Transport {
                host: host.to_owned(),
                at,
                source: source.without_url(),
            }),
            None => Err(TokenError::Unusable {
                host: host.to_owned(),
                what: "its name is no host".into(),
            }),
        }
    }
}
