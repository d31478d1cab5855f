//! One token for all callers that request the same token at the same time.
//!
//! Builders that work concurrently request the same tokens within moments of each other.

use std::time::Duration;

use tokio::time::Instant;

use super::{Token, TokenError};
use crate::http::single_flight::SingleFlight;
use crate::registry::credentials::canonical_host;

/// The time for which a token is returned to other callers. A caller that requests it later was rejected with the token that
/// it had, and needs a new one.
const MAX_SHARING: Duration = Duration::from_secs(10);

/// Host, realm, service and scopes.
type Key = (String, String, String, Vec<String>);

/// The last token of each key, and when it was received.
#[derive(Debug, Default)]
pub(super) struct TokenCache(SingleFlight<Key, (Instant, Token)>);

impl TokenCache {
    /// The cached token for host, realm, service and scopes, or the result of `fetch`. Waits at most `wait` for the same request of
    /// another caller; `fetch` must take that time into account.
    pub(super) async fn get(
        &self,
        (host, realm, service, scopes): (&str, &str, &str, &[String]),
        wait: Duration,
        fetch: impl AsyncFnOnce() -> Result<Token, TokenError>,
    ) -> Result<Token, TokenError> {
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        let (realm, service) = (realm.to_owned(), service.to_owned());
        let key = (canonical_host(host), realm, service, scopes);
        let is_fresh = |(received, token): &(Instant, Token)| {
            received.elapsed() < MAX_SHARING.min(Duration::from_secs(token.expires_in) / 2)
        };
        let request = async |_| {
            let token = fetch().await?;
            Ok((Instant::now(), token))
        };
        let (_, token) = self.0.get(key, wait, is_fresh, request).await?;
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::token::attempts::{Attempts, LIMITS};

    const KEY: (&str, &str, &str, &[String]) =
        ("registry.test", "https://registry.test/token", "s", &[]);

    fn unavailable() -> TokenError {
        TokenError::Unavailable {
            host: "registry.test".into(),
            status: 503,
            message: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_waits_for_another_ends_before_the_builder_gives_up() {
        let cache = TokenCache::default();
        let begun = Instant::now();
        let get = async || {
            let attempts = Attempts::new(LIMITS);
            // The token server never responds.
            let fetch = async || {
                tokio::time::sleep(attempts.left()).await;
                Err(unavailable())
            };
            let outcome = cache.get(KEY, attempts.left(), fetch).await;
            (outcome.is_err(), begun.elapsed())
        };
        let later = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            get().await
        };
        let ((_, first), (is_error, second)) = tokio::join!(get(), later);
        assert_eq!(first, LIMITS.policy.total);
        assert!(is_error);
        assert_eq!(second, LIMITS.policy.total + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_waits_for_another_for_its_own_time_only() {
        let cache = TokenCache::default();
        let hangs = async || {
            tokio::time::sleep(LIMITS.policy.total * 10).await;
            Err(unavailable())
        };
        let begun = Instant::now();
        let fails = async || Err(unavailable());
        let other = async {
            let outcome = cache.get(KEY, LIMITS.policy.total, fails).await;
            (outcome.is_err(), begun.elapsed())
        };
        let (_, other) = tokio::join!(cache.get(KEY, LIMITS.policy.total, hangs), other);
        assert_eq!(other, (true, LIMITS.policy.total));
    }
}
