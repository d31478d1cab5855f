//! How often a call is tried, and after what pauses.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// The longest pause that a server may ask for.
const ASKED_LIMIT: Duration = Duration::from_mins(1);

/// How often and how long a call is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Tries after the first.
    pub(crate) times: usize,
    /// The limit for all tries together.
    pub(crate) limit: Duration,
    /// The first pause, and the longest.
    pub(crate) pauses: (Duration, Duration),
}

/// The pauses between the tries of one call.
#[derive(Debug)]
pub(crate) struct Pauses {
    backoff: ExponentialBackoff,
    deadline: Instant,
}

impl Pauses {
    pub(crate) fn new(patience: Patience) -> Self {
        Self {
            backoff: ExponentialBuilder::default()
                .with_min_delay(patience.pauses.0)
                .with_max_delay(patience.pauses.1)
                .with_max_times(patience.times)
                .with_jitter()
                .build(),
            deadline: Instant::now() + patience.limit,
        }
    }

    /// The pause before the next try; `None` when there is none. `asked` is the server's `Retry-After`; empty without one.
    pub(crate) fn next(&mut self, asked: &str) -> Option<Duration> {
        let own = self.backoff.next()?;
        let pause = match retry_after(asked, SystemTime::now()) {
            Some(asked) if asked > ASKED_LIMIT => return None,
            Some(asked) => own.max(asked),
            None => own,
        };
        (Instant::now() + pause < self.deadline).then_some(pause)
    }
}

/// Seconds or a date, as RFC 9110 has it. A date that has passed is no pause.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = httpdate(text)?;
    Some(moment.duration_since(now).unwrap_or_default())
}

/// `Wed, 25 Nov 2026 07:00:00 GMT`, the one form of dates that is still made.
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
    use super::*;

    #[test]
    fn a_server_may_ask_for_seconds_or_for_a_moment() {
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

    #[tokio::test(start_paused = true)]
    async fn pauses_are_few_and_none_is_longer_than_a_minute() {
        let mut pauses = Pauses::new(Patience {
            times: 5,
            limit: Duration::from_mins(2),
            pauses: (Duration::from_millis(500), Duration::from_secs(10)),
        });
        assert!(pauses.next("5").unwrap() >= Duration::from_secs(5));
        assert_eq!(pauses.next("61"), None);
        assert_eq!((0..10).filter_map(|_| pauses.next("")).count(), 3);
    }
}
