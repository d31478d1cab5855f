//! How a registry authenticates its clients, by its responses to requests without login.
//!
//! Each request is sent once, also if several callers need the response at the same time.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use url::Url;

use super::TokenError;
use crate::http::single_flight::SingleFlight;
use crate::registry::challenge::{self, bearer_realm, is_basic, is_bearer};

/// How a registry authenticates its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AuthScheme {
    /// With tokens from this realm; `None` if the realm is not a URL.
    Bearer(Option<Url>),
    /// With user name and password in every request: it requires Basic authentication and issues no tokens.
    Basic,
    /// Not at this address. Other addresses of the registry may require authentication.
    None,
    /// Unknown: the response has this status and may come from a proxy in front of the registry.
    Unknown(u16),
}

impl AuthScheme {
    /// Only a 401 requires authentication. (RFC 9110, section 11.6.1, and the distribution specification.)
    pub(super) fn of(response: &Response) -> Self {
        let status = response.status();
        if status.is_success() {
            return Self::None;
        }
        let challenges = challenge::headers(response.headers());
        if status != StatusCode::UNAUTHORIZED {
            Self::Unknown(status.as_u16())
        } else if challenges.iter().copied().any(is_bearer) {
            let realm = challenges.iter().copied().find_map(bearer_realm);
            Self::Bearer(realm.and_then(|realm| Url::parse(&realm).ok()))
        } else if challenges.iter().copied().any(is_basic) {
            Self::Basic
        } else {
            Self::Unknown(status.as_u16())
        }
    }

    /// The realm, if there is one.
    pub(super) fn into_realm(self) -> Option<Url> {
        match self {
            Self::Bearer(realm) => realm,
            Self::Basic | Self::None | Self::Unknown(_) => None,
        }
    }

    /// Whether the registry would return the same again.
    fn is_final(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

/// A request without login whose response shows the scheme.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Probe {
    /// GET of `/v2/`.
    Base,
    /// GET of a manifest of this repository.
    Read(String),
    /// PUT of a manifest to this repository.
    Write(String),
}

/// The known schemes, by canonical host and probe.
#[derive(Debug, Default)]
pub(super) struct AuthSchemes(SingleFlight<(String, Probe), AuthScheme>);

impl AuthSchemes {
    /// The known scheme of `host`, or the result of `request`. Waits at most `wait` for the same request of another caller.
    /// Failures and [`AuthScheme::Unknown`] are requested again.
    pub(super) async fn get(
        &self,
        host: &str,
        probe: &Probe,
        wait: Duration,
        request: impl AsyncFnOnce() -> Result<AuthScheme, TokenError>,
    ) -> Result<AuthScheme, TokenError> {
        let key = (host.to_owned(), probe.clone());
        let request = async |_| request().await;
        self.0.get(key, wait, AuthScheme::is_final, request).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(15);

    fn unavailable() -> TokenError {
        TokenError::Unavailable {
            host: "registry.test".into(),
            status: 503,
            message: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_scheme_is_requested_once() {
        let realm = Url::parse("https://registry.test/token").unwrap();
        for scheme in [
            AuthScheme::Bearer(Some(realm)),
            AuthScheme::Bearer(None),
            AuthScheme::Basic,
            AuthScheme::None,
        ] {
            let (schemes, requests) = (AuthSchemes::default(), AtomicUsize::new(0));
            let get = async |probe: Probe| {
                let request = async || {
                    requests.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok(scheme.clone())
                };
                let known = schemes.get("registry.test", &probe, LIMIT, request);
                known.await.unwrap()
            };
            let (one, two) = tokio::join!(get(Probe::Base), get(Probe::Base));
            assert!(
                [one, two, get(Probe::Base).await]
                    .iter()
                    .all(|known| *known == scheme)
            );
            assert_eq!(requests.load(Ordering::Relaxed), 1);
            get(Probe::Read("app".into())).await;
            get(Probe::Write("app".into())).await;
            assert_eq!(requests.into_inner(), 3);
        }
    }

    #[tokio::test]
    async fn an_unknown_scheme_is_requested_again() {
        let schemes = AuthSchemes::default();
        let unknown = async || Ok(AuthScheme::Unknown(403));
        let basic = async || Ok(AuthScheme::Basic);
        let of = async |request| {
            let known = schemes.get("registry.test", &Probe::Base, LIMIT, request);
            known.await.unwrap()
        };
        assert_eq!(of(unknown).await, AuthScheme::Unknown(403));
        let known = schemes.get("registry.test", &Probe::Base, LIMIT, basic);
        assert_eq!(known.await.unwrap(), AuthScheme::Basic);
        assert_eq!(of(unknown).await, AuthScheme::Basic);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_cached_and_delays_others_only_for_their_own_time() {
        let schemes = AuthSchemes::default();
        let fails = async || Err(unavailable());
        let works = async || Ok(AuthScheme::Basic);
        let of = async |host, request| schemes.get(host, &Probe::Base, LIMIT, request).await;
        assert!(
            schemes
                .get("registry.test", &Probe::Base, LIMIT, fails)
                .await
                .is_err()
        );
        assert_eq!(of("registry.test", works).await.unwrap(), AuthScheme::Basic);

        let begun = tokio::time::Instant::now();
        let hangs = async || {
            tokio::time::sleep(LIMIT * 10).await;
            Err(unavailable())
        };
        let (_, other) = tokio::join!(
            tokio::time::timeout(
                LIMIT * 2,
                schemes.get("other.test", &Probe::Base, LIMIT, hangs)
            ),
            async {
                let scheme = of("other.test", works).await;
                (scheme.unwrap(), begun.elapsed())
            }
        );
        assert_eq!(other, (AuthScheme::Basic, LIMIT));
    }
}
