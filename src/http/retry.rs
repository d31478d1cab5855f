//! Retries after transient failures.
//!
//! One loop serves all calls. Each caller passes its limits, its attempt, and which outcomes are transient.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use crate::text::cause::is_untrusted_server;

/// The longest `Retry-After` that is followed. After a longer one there is no further attempt.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

/// The limits of one call, or of several calls that serve one purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Attempts after the first.
    pub(crate) retries: usize,
    /// The time within which every retry begins.
    pub(crate) total: Duration,
    /// The first pause, and the longest.
    pub(crate) pauses: (Duration, Duration),
}

/// An outcome after which another attempt may succeed.
#[derive(Debug)]
pub(crate) struct Transient {
    /// The error, for the log.
    pub(crate) message: String,
    /// The value of the header `Retry-After`; empty without one.
    pub(crate) retry_after: String,
}

impl Transient {
    /// A failure without a response.
    pub(crate) fn without_response(message: String) -> Self {
        Self {
            message,
            retry_after: String::new(),
        }
    }
}

/// The next attempt, for the log.
#[derive(Debug)]
pub(crate) struct Retry {
    message: String,
    pause: Duration,
    /// 1 for the first retry.
    pub(crate) number: usize,
}

impl fmt::Display for Retry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.pause.as_secs_f32();
        write!(
            formatter,
            "{}; trying again in {seconds:.1} s",
            self.message
        )
    }
}

/// The attempts within one policy.
#[derive(Debug)]
pub(crate) struct Attempts {
    deadline: Instant,
    pauses: Mutex<Pauses>,
}

#[derive(Debug)]
struct Pauses {
    backoff: ExponentialBackoff,
    retries: usize,
}

impl Attempts {
    pub(crate) fn new(policy: Policy) -> Self {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(policy.pauses.0)
            .with_max_delay(policy.pauses.1)
            .with_max_times(policy.retries)
            .with_jitter()
            .build();
        Self {
            deadline: Instant::now() + policy.total,
            pauses: Mutex::new(Pauses {
                backoff,
                retries: 0,
            }),
        }
    }

    /// The time that is left for all attempts.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether any attempt was repeated.
    pub(crate) fn has_retried(&self) -> bool {
        self.lock().retries > 0
    }

    /// Repeats `attempt` while it returns a [`Transient`] and the policy allows it. Returns the last outcome. Logs each
    /// retry.
    ///
    /// Several calls may run in turn; they share the limits. Cancel safe if `attempt` is.
    pub(crate) async fn run<Outcome, Attempt>(&self, attempt: impl FnMut() -> Attempt) -> Outcome
    where
        Attempt: Future<Output = (Outcome, Option<Transient>)>,
    {
        let log = |retry: &Retry| tracing::warn!("{retry}");
        self.run_until(std::future::pending(), attempt, log).await
    }

    /// The same with another log. No attempt starts once `stopped` is ready; a running attempt is completed.
    pub(crate) async fn run_until<Outcome, Attempt>(
        &self,
        stopped: impl Future<Output = ()>,
        mut attempt: impl FnMut() -> Attempt,
        log: impl Fn(&Retry),
    ) -> Outcome
    where
        Attempt: Future<Output = (Outcome, Option<Transient>)>,
    {
        let mut stopped = std::pin::pin!(stopped);
        loop {
            // Boxed: callers nest deeply, and their futures would hold this one.
            let (outcome, transient) = Box::pin(attempt()).await;
            let Some(retry) = transient.and_then(|transient| self.next(transient)) else {
                return outcome;
            };
            log(&retry);
            tokio::select! {
                biased;
                () = &mut stopped => return outcome,
                () = tokio::time::sleep(retry.pause) => {}
            }
        }
    }

    /// `None` if no further attempt is allowed.
    fn next(&self, failure: Transient) -> Option<Retry> {
        let mut pauses = self.lock();
        let own = pauses.backoff.next()?;
        let pause = match retry_after(&failure.retry_after, SystemTime::now()) {
            Some(pause) if pause > MAX_RETRY_AFTER => return None,
            Some(pause) => own.max(pause),
            None => own,
        };
        if Instant::now() + pause >= self.deadline {
            return None;
        }
        pauses.retries += 1;
        Some(Retry {
            message: failure.message,
            pause,
            number: pauses.retries,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Pauses> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether another attempt may succeed after the request failed without a response. A server whose certificate is not
/// trusted now will not be trusted in a minute, and a request that cannot be built never can.
pub(crate) fn is_transient(error: &reqwest::Error) -> bool {
    !error.is_builder() && !is_untrusted_server(error)
}

/// Parses `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3). A date in the past is a pause of zero.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = httpdate(text)?;
    Some(moment.duration_since(now).unwrap_or_default())
}

/// Parses `Wed, 25 Nov 2026 07:00:00 GMT`, the only form of dates that servers still send (RFC 9110, section 5.6.7).
fn httpdate(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day: u8 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let year: u16 = parts.next()?.parse().ok()?;
    let time = parts.next()?;
    if parts.next()? != "GMT" || parts.next().is_some() {
        return None;
    }
    humantime::parse_rfc3339(&format!("{year:04}-{month:02}-{day:02}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[test]
    fn retry_after_holds_seconds_or_a_date() {
        let now = humantime::parse_rfc3339("2026-11-25T07:00:00Z").unwrap();
        for (text, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Wed, 25 Nov 2026 07:00:09 GMT", Some(9)),
            ("Wed, 25 Nov 2026 06:00:00 GMT", Some(0)),
            ("Wed, 25 Nov 2026 07:00:09 CET", None),
            ("soon", None),
            ("", None),
            ("-1", None),
            ("Wed, 99 Foo 2026 07:00:09 GMT", None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(text, now), expected, "{text}");
        }
    }

    const POLICY: Policy = Policy {
        retries: 5,
        total: Duration::from_mins(2),
        pauses: (Duration::from_millis(500), Duration::from_secs(10)),
    };

    fn transient(retry_after: &str) -> Transient {
        Transient {
            message: "no luck".into(),
            retry_after: retry_after.into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_limited_and_no_pause_is_longer_than_a_minute() {
        let attempts = Attempts::new(POLICY);
        let pause = |retry_after| {
            attempts
                .next(transient(retry_after))
                .map(|retry| retry.pause)
        };
        assert!(pause("5").unwrap() >= Duration::from_secs(5));
        assert_eq!(pause("61"), None);
        assert_eq!((0..10).filter_map(|_| pause("")).count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_repeated_until_it_succeeds_and_calls_share_the_limits() {
        let attempts = Attempts::new(POLICY);
        let call = async |failures: usize| {
            let mut calls = 0;
            let attempt = || {
                calls += 1;
                let failure = (calls <= failures).then(|| transient(""));
                ready((failure.is_none(), failure))
            };
            (attempts.run(attempt).await, calls)
        };
        assert_eq!(call(0).await, (true, 1));
        assert!(!attempts.has_retried());
        assert_eq!(call(3).await, (true, 4));
        assert!(attempts.has_retried());
        assert_eq!(call(3).await, (false, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn no_retry_begins_after_the_limit_or_a_stop() {
        let begun = Instant::now();
        let attempts = Attempts::new(POLICY);
        let minute = || async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            ((), Some(transient("1")))
        };
        attempts.run(minute).await;
        assert_eq!(attempts.left(), Duration::ZERO);
        assert!(begun.elapsed() < Duration::from_secs(122));

        let attempts = Attempts::new(POLICY);
        let logged = Mutex::new(Vec::new());
        let log = |retry: &Retry| {
            let line = (retry.number, retry.to_string());
            logged.lock().unwrap().push(line);
        };
        let begun = Instant::now();
        let stopped = tokio::time::sleep(Duration::from_secs(7));
        let fails = || ready(((), Some(transient("5"))));
        attempts.run_until(stopped, fails, log).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(7));
        let line = "no luck; trying again in 5.0 s".to_owned();
        assert_eq!(logged.into_inner().unwrap(), [(1, line.clone()), (2, line)]);
    }
}
