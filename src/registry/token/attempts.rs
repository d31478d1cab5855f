//! The limits for obtaining a token.
//!
//! A builder waits 60 seconds for a token or a password (`sessionAuthTimeout` in BuildKit's `session/auth`). All requests
//! for one of them, with the pauses between them, must fit into this time.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::TokenError;
use crate::http::header;
use crate::http::retry::{self, Policy, Transient};
use crate::registry::transient::is_unavailable;
use crate::text::cause::one_line;

/// The limits of one token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For one exchange with a registry or its realm.
    pub(super) exchange: Duration,
    /// For all exchanges of a token together.
    pub(super) policy: Policy,
}

pub(super) const LIMITS: Limits = Limits {
    exchange: Duration::from_secs(15),
    policy: Policy {
        retries: 3,
        total: Duration::from_secs(50),
        pauses: (Duration::from_millis(500), Duration::from_secs(5)),
    },
};

/// The attempts at one token.
#[derive(Debug)]
pub(super) struct Attempts {
    exchange: Duration,
    attempts: retry::Attempts,
}

impl Attempts {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            exchange: limits.exchange,
            attempts: retry::Attempts::new(limits.policy),
        }
    }

    /// The time that is left for all exchanges.
    pub(super) fn left(&self) -> Duration {
        self.attempts.left()
    }

    /// The limit for the next exchange.
    pub(super) fn limit(&self) -> Duration {
        self.exchange.min(self.left())
    }

    /// Repeats `attempt` while it returns a transient failure and the limits allow it.
    pub(super) async fn run<Outcome, Attempt>(&self, attempt: impl FnMut() -> Attempt) -> Outcome
    where
        Attempt: Future<Output = (Outcome, Option<Transient>)>,
    {
        self.attempts.run(attempt).await
    }
}

/// The failure of an exchange with `host`, by the status and headers of the response, if it is transient.
pub(super) fn transient_status(
    host: &str,
    status: StatusCode,
    headers: &HeaderMap,
) -> Option<Transient> {
    is_unavailable(status).then(|| Transient {
        message: message(host, &format!("HTTP {}", status.as_u16())),
        retry_after: header(headers, RETRY_AFTER).to_owned(),
    })
}

/// The failure of an exchange with `host`, if it is transient.
pub(super) fn transient_error(host: &str, error: &TokenError) -> Option<Transient> {
    error
        .is_transient()
        .then(|| Transient::without_response(message(host, &one_line(error))))
}

fn message(host: &str, reason: &str) -> String {
    format!("`{host}` did not return a token ({reason})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_attempts_end_before_the_builder_gives_up() {
        assert!(LIMITS.policy.total + Duration::from_secs(5) < Duration::from_mins(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_exchange_ends_in_time_and_no_pause_goes_beyond() {
        let attempts = Attempts::new(LIMITS);
        assert_eq!(attempts.limit(), LIMITS.exchange);
        let mut calls = 0;
        let unavailable = || {
            calls += 1;
            let transient = Transient {
                message: String::new(),
                retry_after: "30".into(),
            };
            std::future::ready(((), Some(transient)))
        };
        attempts.run(unavailable).await;
        // After the first pause of 30 s there is no time for a second one.
        assert_eq!(calls, 2);
        assert!(attempts.limit() >= Duration::from_secs(14));
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert!(attempts.limit() <= Duration::from_secs(5));
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(attempts.limit(), Duration::ZERO);
    }
}
