//! Requests without login that show how a registry authenticates its clients.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response};
use url::Url;

use super::attempts::{Attempts, transient_error, transient_status};
use super::auth_scheme::{AuthScheme, Probe};
use super::realm::authority;
use super::{TokenError, Tokens};
use crate::registry::credentials::canonical_host;
use crate::registry::manifest::OCI_MANIFEST;
use crate::registry::transient::is_unavailable;

/// A manifest that no registry stores: the request has no body, and an empty body has another digest.
const IMPOSSIBLE_MANIFEST: &str = "sha256:\
    0000000000000000000000000000000000000000000000000000000000000000";

/// The repository for registries of which no repository is known.
const ANY_REPOSITORY: &str = "probe/login";

/// Images of one registry that are used to find out how it authenticates its clients.
const IMAGES_LIMIT: usize = 8;

impl Tokens {
    /// The registry's scheme at `/v2/`.
    pub(super) async fn auth_scheme(
        &self,
        host: &str,
        attempts: &Attempts,
    ) -> Result<AuthScheme, TokenError> {
        self.cached_scheme(host, &Probe::Base, attempts).await
    }

    /// The same; if `/v2/` requires no authentication, the scheme for the images of the build: a proxy may protect single
    /// repositories.
    pub(super) async fn auth_scheme_of_images(
        &self,
        host: &str,
        attempts: &Attempts,
    ) -> Result<AuthScheme, TokenError> {
        let base = self.auth_scheme(host, attempts).await?;
        if matches!(base, AuthScheme::Bearer(_) | AuthScheme::Basic) {
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
                let scheme = self.cached_scheme(&host, &probe, attempts).await?;
                if matches!(scheme, AuthScheme::Bearer(_) | AuthScheme::Basic) {
                    return Ok(scheme);
                }
            }
        }
        Ok(base)
    }

    /// The same; if none of that requires authentication, the scheme for a push: some registries allow anonymous reads.
    pub(super) async fn auth_scheme_of_push(
        &self,
        host: &str,
        attempts: &Attempts,
    ) -> Result<AuthScheme, TokenError> {
        match self.auth_scheme_of_images(host, attempts).await? {
            AuthScheme::None => {
                let probe = Probe::Write(ANY_REPOSITORY.to_owned());
                self.cached_scheme(host, &probe, attempts).await
            }
            scheme => Ok(scheme),
        }
    }

    async fn cached_scheme(
        &self,
        host: &str,
        probe: &Probe,
        attempts: &Attempts,
    ) -> Result<AuthScheme, TokenError> {
        let host = canonical_host(host);
        let request = async || self.request_scheme(&host, probe, attempts).await;
        self.auth_schemes
            .get(&host, probe, attempts.limit(), request)
            .await
    }

    async fn request_scheme(
        &self,
        host: &str,
        probe: &Probe,
        attempts: &Attempts,
    ) -> Result<AuthScheme, TokenError> {
        let attempt = || async {
            let limit = attempts.limit();
            let outcome = self.send_without_login(host, probe, limit).await;
            let transient = match &outcome {
                Ok(response) => transient_status(host, response.status(), response.headers()),
                Err(error) => transient_error(host, error),
            };
            (outcome, transient)
        };
        let response = attempts.run(attempt).await?;
        if is_unavailable(response.status()) {
            return Err(TokenError::Unavailable {
                host: host.to_owned(),
                status: response.status().as_u16(),
                message: String::new(),
            });
        }
        Ok(AuthScheme::of(&response))
    }

    async fn send_without_login(
        &self,
        host: &str,
        probe: &Probe,
        limit: Duration,
    ) -> Result<Response, TokenError> {
        let attempt = |base: Url| async move {
            let http = self.reach.client_for_registry(host, &base);
            let manifest = |repository: &str| {
                // The address ends in `/v2/`, so this never fails.
                let manifest = base.join(&format!("{repository}/manifests/{IMPOSSIBLE_MANIFEST}"));
                manifest.unwrap_or_else(|_| base.clone())
            };
            let request = match probe {
                Probe::Base => http.get(base.clone()),
                Probe::Read(repository) => {
                    http.get(manifest(repository)).header(ACCEPT, OCI_MANIFEST)
                }
                Probe::Write(repository) => {
                    let request = http.request(Method::PUT, manifest(repository));
                    request.header(CONTENT_TYPE, OCI_MANIFEST).body("")
                }
            };
            let sent = crate::http::trace::send(request.timeout(limit)).await;
            sent.map_err(|source| (authority(&base), source))
        };
        let sent = self
            .reach
            .try_addresses(host, attempt, |(_, source)| source.is_connect());
        match sent.await {
            Some(Ok(response)) => Ok(response),
            Some(Err((at, source))) => Err(TokenError::Transport {
                host: host.to_owned(),
                at,
                source: source.without_url(),
            }),
            None => Err(TokenError::Unusable {
                host: host.to_owned(),
                problem: "its name is not a valid host".into(),
            }),
        }
    }
}
