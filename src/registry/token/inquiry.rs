//! Requests without login that show how a registry authenticates its clients.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response};
use url::Url;

use super::attempts::{Attempts, transient_error, transient_status};
use super::demand::{Demand, Probe};
use super::realm::authority;
use super::{TokenError, Tokens};
use crate::registry::credentials::canonical_host;
use crate::registry::index::OCI_MANIFEST;
use crate::registry::retry::is_out_of_order;

/// A manifest that no registry stores: the request has no body, and an empty body has another digest.
const IMPOSSIBLE_MANIFEST: &str = "sha256:\
    0000000000000000000000000000000000000000000000000000000000000000";

/// A repository for registries of which no other is known.
const ANY_REPOSITORY: &str = "probe/login";

/// Images of one registry that are used to find out how it authenticates its clients.
const IMAGES_LIMIT: usize = 8;

impl Tokens {
    /// The registry's demand at `/v2/`.
    pub(super) async fn demand(
        &self,
        host: &str,
        attempts: &Attempts,
    ) -> Result<Demand, TokenError> {
        self.known_demand(host, &Probe::Base, attempts).await
    }

    /// The same; if there is none, the demand at the images of the build: a proxy may protect single repositories.
    pub(super) async fn demand_of_images(
        &self,
        host: &str,
        attempts: &Attempts,
    ) -> Result<Demand, TokenError> {
        let base = self.demand(host, attempts).await?;
        if matches!(base, Demand::Tokens(_) | Demand::Basic) {
            return Ok(base);
        }
        let host = canonical_host(host);
        let images = self.images.iter().filter(|image| image.host == host);
        for image in images.take(IMAGES_LIMIT) {
            let read = Probe::Read(image.repository.clone());
            let write = image
                .is_pushed
                .then(|| Probe::Write(image.repository.clone()));
            for probe in std::iter::once(read).chain(write) {
                let demand = self.known_demand(&host, &probe, attempts).await?;
                if matches!(demand, Demand::Tokens(_) | Demand::Basic) {
                    return Ok(demand);
                }
            }
        }
        Ok(base)
    }

    /// The same, but of a request to write if all of it is open: some registries let anybody read.
    pub(super) async fn demand_to_write(
        &self,
        host: &str,
        attempts: &Attempts,
    ) -> Result<Demand, TokenError> {
        match self.demand_of_images(host, attempts).await? {
            Demand::Nothing => {
                let probe = Probe::Write(ANY_REPOSITORY.to_owned());
                self.known_demand(host, &probe, attempts).await
            }
            demand => Ok(demand),
        }
    }

    async fn known_demand(
        &self,
        host: &str,
        probe: &Probe,
        attempts: &Attempts,
    ) -> Result<Demand, TokenError> {
        let host = canonical_host(host);
        let request = async || self.request_demand(&host, probe, attempts).await;
        self.demands
            .of(&host, probe, attempts.limit(), request)
            .await
    }

    async fn request_demand(
        &self,
        host: &str,
        probe: &Probe,
        attempts: &Attempts,
    ) -> Result<Demand, TokenError> {
        let attempt = || async {
            let limit = attempts.limit();
            let answer = self.send_without_login(host, probe, limit).await;
            let transient = match &answer {
                Ok(answer) => transient_status(host, answer.status(), answer.headers()),
                Err(error) => transient_error(host, error),
            };
            (answer, transient)
        };
        let answer = attempts.run(attempt).await?;
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
        probe: &Probe,
        limit: Duration,
    ) -> Result<Response, TokenError> {
        let attempt = |place: Url| async move {
            let http = self.reach.own(host, &place);
            let manifest = |repository: &str| {
                // The place ends in `/v2/`, so that this fails for none.
                let manifest = place.join(&format!("{repository}/manifests/{IMPOSSIBLE_MANIFEST}"));
                manifest.unwrap_or_else(|_| place.clone())
            };
            let request = match probe {
                Probe::Base => http.get(place.clone()),
                Probe::Read(repository) => {
                    http.get(manifest(repository)).header(ACCEPT, OCI_MANIFEST)
                }
                Probe::Write(repository) => {
                    let request = http.request(Method::PUT, manifest(repository));
                    request.header(CONTENT_TYPE, OCI_MANIFEST).body("")
                }
            };
            let sent = crate::http::trace::send(request.timeout(limit)).await;
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
                what: "its name is not a host".into(),
            }),
        }
    }
}
