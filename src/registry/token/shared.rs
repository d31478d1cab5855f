//! One answer for all who ask the same at the same time.
//!
//! Builders that work side by side ask for the same tokens within moments of each other.

use std::time::Duration;

use tokio::time::Instant;

use super::{Token, TokenError};
use crate::http::single_flight::SingleFlight;
use crate::registry::credentials::canonical_host;

/// How long a token is handed to all who ask for the same. One that asks later has been refused with the token that it had,
/// and gets a new one.
const SHARED_FOR: Duration = Duration::from_secs(10);

/// Host, realm, service and scopes.
type Question = (String, String, String, Vec<String>);

/// The answer to one question and when it came.
type Answer = (Instant, Token);

/// Answers that are shared.
#[derive(Debug, Default)]
pub(super) struct Shared(SingleFlight<Question, Answer>);

impl Shared {
    /// The answer to host, realm, service and scopes: somebody else's, or the result of `fetch`. Waits for somebody else's for
    /// `limit` at most, which `fetch` is expected to take into account.
    pub(super) async fn ask(
        &self,
        (host, realm, service, scopes): (&str, &str, &str, &[String]),
        limit: Duration,
        fetch: impl AsyncFnOnce() -> Result<Token, TokenError>,
    ) -> Result<Token, TokenError> {
        let mut scopes = scopes.to_vec();
        scopes.sort();
        let (realm, service) = (realm.to_owned(), service.to_owned());
        let question = (canonical_host(host), realm, service, scopes);
        let is_fresh = |(fetched, token): &Answer| {
            fetched.elapsed() < SHARED_FOR.min(Duration::from_secs(token.expires_in) / 2)
        };
        let request = async |_| {
            let token = fetch().await?;
            Ok((Instant::now(), token))
        };
        let (_, token) = self.0.get(question, limit, is_fresh, request).await?;
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::token::attempts::{Attempts, LIMITS};

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_waits_for_another_ends_before_the_builder_gives_up() {
        let shared = Shared::default();
        let begun = Instant::now();
        let ask = async || {
            let attempts = Attempts::new(LIMITS);
            // The realm never answers.
            let fetch = async || {
                tokio::time::sleep(attempts.left()).await;
                Err(TokenError::Unavailable {
                    host: "registry.test".into(),
                    status: 503,
                    said: String::new(),
                })
            };
            let question = ("registry.test", "https://registry.test/token", "s", &[][..]);
            let outcome = shared.ask(question, attempts.left(), fetch).await;
            (outcome.is_err(), begun.elapsed())
        };
        let later = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            ask().await
        };
        let ((_, first), (is_error, second)) = tokio::join!(ask(), later);
        assert_eq!(first, LIMITS.policy.total);
        assert!(is_error);
        assert_eq!(second, LIMITS.policy.total + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_waits_for_another_for_its_own_time_only() {
        let shared = Shared::default();
        let question = ("registry.test", "https://registry.test/token", "s", &[][..]);
        let error = || TokenError::Unavailable {
            host: "registry.test".into(),
            status: 503,
            said: String::new(),
        };
        let hangs = async || {
            tokio::time::sleep(LIMITS.policy.total * 10).await;
            Err(error())
        };
        let begun = Instant::now();
        let fails = async || Err(error());
        let other = async {
            let outcome = shared.ask(question, LIMITS.policy.total, fails).await;
            (outcome.is_err(), begun.elapsed())
        };
        let (_, other) = tokio::join!(shared.ask(question, LIMITS.policy.total, hangs), other);
        assert_eq!(other, (true, LIMITS.policy.total));
    }
}
