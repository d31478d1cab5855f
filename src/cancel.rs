//! Why and when a run stops before its end.
//!
//! Stopping is an argument that travels down: whoever holds a [`Cancel`] can await it or fire it.
//! The first reason stays; later ones are only its echo. A signal, first or not, also means hurry:
//! whoever sent it ends the process by force soon after.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a run may take from the first signal to the last word to Depot. With the log's last lines
/// after it, the program ends within a second.
const HURRY_LIMIT: Duration = Duration::from_millis(850);

/// Who stopped the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A signal with this number, as Bitbucket sends it when somebody stops the pipeline.
    Signal(u8),
    /// Depot, in its answer to a health report: somebody stopped the build on its page.
    Depot,
    /// The time was over that it was given.
    Timeout,
    /// Another part of the same work failed, so that this one is of no use any more.
    Sibling,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(2) => formatter.write_str("canceled by SIGINT"),
            Self::Signal(15) => formatter.write_str("canceled by SIGTERM"),
            Self::Signal(number) => write!(formatter, "canceled by signal {number}"),
            Self::Depot => formatter.write_str("canceled by Depot"),
            Self::Timeout => formatter.write_str("canceled because the time in TIMEOUT was over"),
            Self::Sibling => formatter.write_str("canceled because another part failed"),
        }
    }
}

/// A stop that can be awaited and fired from anywhere. Clones are the same stop.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    stop: CancellationToken,
    reason: Arc<OnceLock<Reason>>,
    /// The reason of whom this is a child.
    above: Option<Arc<OnceLock<Reason>>>,
    hurry: CancellationToken,
    /// Until when everything has to be over, from the first signal on.
    deadline: Arc<OnceLock<Instant>>,
}

impl Cancel {
    /// A stop that nobody has fired.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A stop for parts of the work: fired by itself it leaves `self` alone, and whatever fires `self` fires it too.
    ///
    /// A child has no children of its own.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            stop: self.stop.child_token(),
            reason: Arc::default(),
            above: Some(Arc::clone(&self.reason)),
            hurry: self.hurry.clone(),
            deadline: Arc::clone(&self.deadline),
        }
    }

    /// Fires it. Only the first call gives the reason.
    pub fn fire(&self, reason: Reason) {
        // Errors mean that another call was first.
        let _already = self.reason.set(reason);
        if let Reason::Signal(_) = reason {
            let _already = self.deadline.set(Instant::now() + HURRY_LIMIT);
            self.hurry.cancel();
        }
        self.stop.cancel();
    }

    /// Waits until somebody fires it. Cancel safe.
    pub async fn fired(&self) -> Reason {
        self.stop.cancelled().await;
        // The reason is set before the token; the default is never seen.
        self.reason().unwrap_or(Reason::Depot)
    }

    /// The reason, once it has been fired. What was fired from above wins: it is for all.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        let above = self.above.as_ref().and_then(|reason| reason.get());
        above.or(self.reason.get()).copied()
    }

    /// Runs `work` until it ends or this is fired, whichever comes first; then `work` is dropped.
    ///
    /// # Errors
    /// The reason, when it was fired first. A stop wins over work that ends in the same moment.
    pub async fn unless_fired<Work: Future>(&self, work: Work) -> Result<Work::Output, Reason> {
        tokio::select! {
            biased;
            reason = self.fired() => Err(reason),
            output = work => Ok(output),
        }
    }

    /// Runs `work` for at most `limit`, and from the first signal on for at most what is left then.
    /// `None` when it was cut off.
    pub async fn within<Work: Future>(&self, limit: Duration, work: Work) -> Option<Work::Output> {
        let until = Instant::now() + limit;
        tokio::pin!(work);
        tokio::select! {
            output = &mut work => return Some(output),
            () = self.hurry.cancelled() => {}
            () = tokio::time::sleep_until(until) => return None,
        }
        let until = self
            .deadline
            .get()
            .map_or(until, |deadline| until.min(*deadline));
        tokio::time::timeout_at(until, work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays() {
        let cancel = Cancel::new();
        assert_eq!(cancel.unless_fired(async { 7 }).await, Ok(7));
        cancel.fire(Reason::Signal(15));
        cancel.fire(Reason::Depot);
        assert_eq!(cancel.fired().await, Reason::Signal(15));
        assert_eq!(
            cancel.unless_fired(async { 7 }).await,
            Err(Reason::Signal(15))
        );
    }

    #[tokio::test]
    async fn a_child_stops_alone_or_with_all() {
        let cancel = Cancel::new();
        let (one, other) = (cancel.child(), cancel.child());
        one.fire(Reason::Sibling);
        assert_eq!(one.fired().await, Reason::Sibling);
        assert_eq!((other.reason(), cancel.reason()), (None, None));
        cancel.fire(Reason::Signal(15));
        for each in [one, other] {
            assert_eq!(each.fired().await, Reason::Signal(15));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_cuts_what_is_left_and_depot_does_not() {
        let minute = Duration::from_mins(1);
        let cancel = Cancel::new();
        cancel.fire(Reason::Depot);
        let begun = Instant::now();
        let half = async { tokio::time::sleep(minute / 2).await };
        assert_eq!(cancel.within(minute, half).await, Some(()));
        assert_eq!(begun.elapsed(), minute / 2);

        let begun = Instant::now();
        let signal = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            cancel.fire(Reason::Signal(15));
        };
        let never = std::future::pending::<()>();
        let (cut, ()) = tokio::join!(cancel.within(minute, never), signal);
        assert_eq!(cut, None);
        assert_eq!(begun.elapsed(), Duration::from_secs(3) + HURRY_LIMIT);
        assert_eq!(cancel.reason(), Some(Reason::Depot));
        // All that comes after shares the same deadline.
        let begun = Instant::now();
        let never = std::future::pending::<()>();
        assert_eq!(cancel.within(minute, never).await, None);
        assert!(begun.elapsed() < Duration::from_millis(2));
    }
}
