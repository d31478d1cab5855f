//! How long a token is tried for, and how often.
//!
//! A builder waits 60 seconds for a token and for a password (`sessionAuthTimeout` in BuildKit's `session/auth`). All
//! requests for one of them, with the pauses between them, have to fit in there.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use tokio::time::Instant;

use super::TokenError;
use crate::http::retry::{Patience, Pauses};
use crate::registry::retry::is_out_of_order;

/// The limits of one token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For one exchange with a registry or its realm.
    pub(super) exchange: Duration,
    /// For all exchanges and the pauses between them.
    pub(super) total: Duration,
    /// Exchanges that are repeated, all of a token together.
    pub(super) repeats: usize,
    /// The first pause, and the longest.
    pub(super) pauses: (Duration, Duration),
}

pub(super) const LIMITS: Limits = Limits {
    exchange: Duration::from_secs(15),
    total: Duration::from_secs(50),
    repeats: 3,
    pauses: (Duration::from_millis(500), Duration::from_secs(5)),
};

/// The attempts at one token.
#[derive(Debug)]
pub(super) struct Attempts {
    exchange: Duration,
    deadline: Instant,
    pauses: Mutex<Pauses>,
}

/// An exchange that did not go well, and the pause that the server asked for, as it wrote it.
pub(super) struct Trouble {
    pub(super) why: String,
    pub(super) retry_after: String,
}

impl Trouble {
    /// The trouble of an exchange, if the next one may do better.
    pub(super) fn of<E>(
        answer: &Result<Response, E>,
        error: impl Fn(&E) -> Option<String>,
    ) -> Option<Self> {
        match answer {
            Ok(answer) if is_out_of_order(answer.status()) => {
                let value = answer.headers().get(RETRY_AFTER);
                let value = value.and_then(|value| value.to_str().ok());
                Some(Self {
                    why: format!("HTTP {}", answer.status().as_u16()),
                    retry_after: value.unwrap_or_default().to_owned(),
                })
            }
            Ok(_) => None,
            Err(failure) => error(failure).map(|why| Self {
                why,
                retry_after: String::new(),
            }),
        }
    }
}

impl Attempts {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            exchange: limits.exchange,
            deadline: Instant::now() + limits.total,
            pauses: Mutex::new(Pauses::new(Patience {
                times: limits.repeats,
                limit: limits.total,
                pauses: limits.pauses,
            })),
        }
    }

    /// The time that is left for all of it.
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// How long the next exchange may take.
    pub(super) fn limit(&self) -> Duration {
        self.exchange.min(self.left())
    }

    /// Waits until the exchange with `place` may be repeated; `false` if it may not.
    pub(super) async fn wait(&self, place: &str, trouble: &Trouble) -> bool {
        let pause = {
            let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
            pauses.next(&trouble.retry_after)
        };
        let Some(pause) = pause else {
            return false;
        };
        tracing::warn!(
            "`{place}` did not return a token ({}); trying again in {:.1} s",
            trouble.why,
            pause.as_secs_f32()
        );
        tokio::time::sleep(pause).await;
        true
    }
}

/// Why another attempt after `error` may do better; `None` if it would not.
pub(super) fn transient(error: &TokenError) -> Option<String> {
    error
        .is_transient()
        .then(|| crate::text::cause::one_line(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_attempts_end_before_the_builder_gives_up() {
        assert!(LIMITS.total + Duration::from_secs(5) < Duration::from_mins(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_exchange_ends_in_time_and_no_pause_goes_beyond() {
        let trouble = |retry_after: &str| Trouble {
            why: "HTTP 503".into(),
            retry_after: retry_after.into(),
        };
        let attempts = Attempts::new(LIMITS);
        assert_eq!(attempts.limit(), LIMITS.exchange);
        assert!(attempts.wait("realm.example", &trouble("30")).await);
        assert!(attempts.limit() >= Duration::from_secs(14));
        assert!(!attempts.wait("realm.example", &trouble("30")).await);
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert!(attempts.limit() <= Duration::from_secs(5));
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(attempts.limit(), Duration::ZERO);
    }
}
