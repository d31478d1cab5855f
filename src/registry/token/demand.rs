//! How a registry authenticates its clients, by its own answers to requests without login.
//!
//! Each registry is asked once, also if several callers need the answer at the same time.

use std::time::Duration;

use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Response, StatusCode};
use url::Url;

use super::TokenError;
use crate::http::single_flight::SingleFlight;
use crate::registry::challenge::{bearer_realm, is_basic, is_bearer};

/// How a registry authenticates its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// By tokens from this realm; `None` if the realm is not an address.
    Tokens(Option<Url>),
    /// By user name and password with every request: it demanded Basic authentication, and no tokens.
    Basic,
    /// Not at all at this address. Others of the registry may demand something.
    Nothing,
    /// Unknown: the answer has this status and may come from a proxy in front of the registry.
    Unknown(u16),
}

impl Demand {
    /// Only a 401 demands anything. (RFC 9110, section 11.6.1; the distribution specification says the same.)
    pub(super) fn of(answer: &Response) -> Self {
        let status = answer.status();
        if status.is_success() {
            return Self::Nothing;
        }
        let headers = answer.headers().get_all(WWW_AUTHENTICATE);
        let challenges: Vec<&str> = headers
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        if status != StatusCode::UNAUTHORIZED {
            Self::Unknown(status.as_u16())
        } else if challenges.iter().copied().any(is_bearer) {
            let realm = challenges.iter().copied().find_map(bearer_realm);
            Self::Tokens(realm.and_then(|realm| Url::parse(&realm).ok()))
        } else if challenges.iter().copied().any(is_basic) {
            Self::Basic
        } else {
            Self::Unknown(status.as_u16())
        }
    }

    /// The realm, if there is one.
    pub(super) fn into_realm(self) -> Option<Url> {
        match self {
            Self::Tokens(realm) => realm,
            Self::Basic | Self::Nothing | Self::Unknown(_) => None,
        }
    }

    /// Whether the registry would answer the same again.
    fn is_final(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

/// The request without login whose answer shows a demand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Probe {
    /// GET of `/v2/`.
    Base,
    /// GET of a manifest of this repository.
    Read(String),
    /// PUT of a manifest to this repository.
    Write(String),
}

/// The known demands, by canonical host and probe.
#[derive(Debug, Default)]
pub(super) struct Demands(SingleFlight<(String, Probe), Demand>);

impl Demands {
    /// The known demand of `host`, or the result of `request`. Other callers wait for a request that is under way, for
    /// `limit` at most. Failures and [`Demand::Unknown`] are not kept.
    pub(super) async fn of(
        &self,
        host: &str,
        probe: &Probe,
        limit: Duration,
        request: impl AsyncFnOnce() -> Result<Demand, TokenError>,
    ) -> Result<Demand, TokenError> {
        let key = (host.to_owned(), probe.clone());
        let request = async |_| request().await;
        self.0.get(key, limit, Demand::is_final, request).await
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
            said: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_is_asked_once_whatever_it_demands() {
        let realm = Url::parse("https://registry.test/token").unwrap();
        for demand in [
            Demand::Tokens(Some(realm)),
            Demand::Tokens(None),
            Demand::Basic,
            Demand::Nothing,
        ] {
            let (demands, requests) = (Demands::default(), AtomicUsize::new(0));
            let ask = async |probe: Probe| {
                let request = async || {
                    requests.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok(demand.clone())
                };
                let known = demands.of("registry.test", &probe, LIMIT, request);
                known.await.unwrap()
            };
            let (one, two) = tokio::join!(ask(Probe::Base), ask(Probe::Base));
            assert!(
                [one, two, ask(Probe::Base).await]
                    .iter()
                    .all(|known| *known == demand)
            );
            assert_eq!(requests.load(Ordering::Relaxed), 1);
            ask(Probe::Read("app".into())).await;
            ask(Probe::Write("app".into())).await;
            assert_eq!(requests.into_inner(), 3);
        }
    }

    #[tokio::test]
    async fn an_unknown_demand_is_asked_for_again() {
        let demands = Demands::default();
        let unknown = async || Ok(Demand::Unknown(403));
        let basic = async || Ok(Demand::Basic);
        let of = async |request| {
            let known = demands.of("registry.test", &Probe::Base, LIMIT, request);
            known.await.unwrap()
        };
        assert_eq!(of(unknown).await, Demand::Unknown(403));
        let known = demands.of("registry.test", &Probe::Base, LIMIT, basic);
        assert_eq!(known.await.unwrap(), Demand::Basic);
        assert_eq!(of(unknown).await, Demand::Basic);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_kept_and_holds_nobody_up_for_long() {
        let demands = Demands::default();
        let fails = async || Err(unavailable());
        let works = async || Ok(Demand::Basic);
        let of = async |host, request| demands.of(host, &Probe::Base, LIMIT, request).await;
        assert!(
            demands
                .of("registry.test", &Probe::Base, LIMIT, fails)
                .await
                .is_err()
        );
        assert_eq!(of("registry.test", works).await.unwrap(), Demand::Basic);

        let begun = tokio::time::Instant::now();
        let hangs = async || {
            tokio::time::sleep(LIMIT * 10).await;
            Err(unavailable())
        };
        let (_, other) = tokio::join!(
            tokio::time::timeout(
                LIMIT * 2,
                demands.of("other.test", &Probe::Base, LIMIT, hangs)
            ),
            async {
                let demand = of("other.test", works).await;
                (demand.unwrap(), begun.elapsed())
            }
        );
        assert_eq!(other, (Demand::Basic, LIMIT));
    }
}
