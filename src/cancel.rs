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

/// The time from the first signal to the end of everything before the last call to Depot.
const WORK_LIMIT: Duration = Duration::from_millis(450);

/// The time after that, which only the last call may use. It also gets that much if it starts late.
const LAST_CALL_SHARE: Duration = Duration::from_millis(400);

/// Both together. With the log's last lines after it, the program ends within about a second.
const SIGNAL_LIMIT: Duration = WORK_LIMIT.saturating_add(LAST_CALL_SHARE);

/// The time that the last call gets after TIMEOUT.
const TIMEOUT_LAST_CALL_LIMIT: Duration = Duration::from_secs(10);

/// How long stopped work may take to end by itself. It is dropped then.
const STUCK_LIMIT: Duration = Duration::from_secs(20);

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
    /// Fires on a signal, and when TIMEOUT is over.
    out_of_time: CancellationToken,
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
            out_of_time: self.out_of_time.clone(),
            deadline: Arc::clone(&self.deadline),
        }
    }

    /// Fires it. Only the first call gives the reason.
    pub fn fire(&self, reason: Reason) {
        // Errors mean that another call was first.
        let _already = self.reason.set(reason);
        if let Reason::Signal(_) = reason {
            let _already = self.deadline.set(Instant::now() + SIGNAL_LIMIT);
            self.hurry.cancel();
        }
        if matches!(reason, Reason::Signal(_) | Reason::Timeout) {
            self.out_of_time.cancel();
        }
        self.stop.cancel();
    }

    /// Waits for a signal or the end of TIMEOUT, also if something else stopped the run before. From then on the
    /// program does not wait for a reader of its log. Cancel safe.
    pub async fn out_of_time(&self) {
        self.out_of_time.cancelled().await;
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

    /// Runs `work` for at most `limit`. After the first signal it gets what is left of a second, except for the share of
    /// the [last call](Self::last_call). `None` when it was cut off.
    pub async fn within<Work: Future>(&self, limit: Duration, work: Work) -> Option<Work::Output> {
        let until = Instant::now() + limit;
        tokio::pin!(work);
        tokio::select! {
            output = &mut work => return Some(output),
            () = self.hurry.cancelled() => {}
            () = tokio::time::sleep_until(until) => return None,
        }
        let until = match self.deadline.get() {
            Some(&deadline) => until.min(deadline - LAST_CALL_SHARE),
            None => until,
        };
        tokio::time::timeout_at(until, work).await.ok()
    }

    /// Runs the last call to Depot for at most `limit`; `None` when it was cut off.
    ///
    /// After TIMEOUT it gets some seconds, and after a signal what is left of a second. Whatever came before it took, it
    /// gets [`LAST_CALL_SHARE`].
    pub async fn last_call<Work: Future>(
        &self,
        limit: Duration,
        work: Work,
    ) -> Option<Work::Output> {
        let until = Instant::now() + limit;
        tokio::pin!(work);
        tokio::select! {
            output = &mut work => return Some(output),
            () = self.out_of_time() => {}
            () = tokio::time::sleep_until(until) => return None,
        }
        let until = until.min(Instant::now() + TIMEOUT_LAST_CALL_LIMIT);
        tokio::select! {
            output = &mut work => return Some(output),
            () = self.hurry.cancelled() => {}
            () = tokio::time::sleep_until(until) => return None,
        }
        let least = Instant::now() + LAST_CALL_SHARE;
        let until = match self.deadline.get() {
            Some(&deadline) => until.min(deadline.max(least)),
            None => until,
        };
        tokio::time::timeout_at(until, work).await.ok()
    }

    /// Runs `work` until it ends; once this is [out of time](Self::out_of_time), for at most `rest`. `None` when it was cut
    /// off.
    pub async fn while_in_time<Work: Future>(
        &self,
        rest: Duration,
        work: Work,
    ) -> Option<Work::Output> {
        tokio::pin!(work);
        tokio::select! {
            output = &mut work => return Some(output),
            () = self.out_of_time() => {}
        }
        tokio::time::timeout(rest, work).await.ok()
    }

    /// Runs `work`, which is expected to end by itself when this is fired.
    ///
    /// # Errors
    /// The reason, if it does not end soon after that: [`STUCK_LIMIT`], and after a signal as in [`Self::within`].
    pub async fn unless_stuck<Work: Future>(&self, work: Work) -> Result<Work::Output, Reason> {
        tokio::pin!(work);
        let reason = tokio::select! {
            output = &mut work => return Ok(output),
            reason = self.fired() => reason,
        };
        self.within(STUCK_LIMIT, work).await.ok_or(reason)
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
        assert_eq!(begun.elapsed(), Duration::from_secs(3) + WORK_LIMIT);
        assert_eq!(cancel.reason(), Some(Reason::Depot));
        // All that comes after shares the same deadline.
        let begun = Instant::now();
        let never = std::future::pending::<()>();
        assert_eq!(cancel.within(minute, never).await, None);
        assert!(begun.elapsed() < Duration::from_millis(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_call_has_its_share_whatever_was_before_it() {
        let minute = Duration::from_mins(1);
        let never = std::future::pending::<()>;
        // The time until it is cut off, if it starts so long after the signal.
        for (pause, expected) in [
            (Duration::ZERO, SIGNAL_LIMIT),
            (WORK_LIMIT, LAST_CALL_SHARE),
            (minute, LAST_CALL_SHARE),
        ] {
            let cancel = Cancel::new();
            cancel.fire(Reason::Signal(15));
            tokio::time::sleep(pause).await;
            let begun = Instant::now();
            assert_eq!(cancel.last_call(minute, never()).await, None);
            assert_eq!(begun.elapsed(), expected, "after {pause:?}");
        }

        let cancel = Cancel::new();
        cancel.fire(Reason::Timeout);
        let begun = Instant::now();
        assert_eq!(cancel.last_call(minute, never()).await, None);
        assert_eq!(begun.elapsed(), TIMEOUT_LAST_CALL_LIMIT);

        // A signal shortens it while it runs.
        let begun = Instant::now();
        let signal = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            cancel.fire(Reason::Signal(15));
        };
        let (cut, ()) = tokio::join!(cancel.last_call(minute, never()), signal);
        assert_eq!(cut, None);
        assert_eq!(begun.elapsed(), Duration::from_secs(3) + SIGNAL_LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_and_the_end_of_the_time_cut_what_waits_for_a_reader() {
        let rest = Duration::from_millis(100);
        for reason in [Reason::Signal(2), Reason::Timeout] {
            // Whatever stopped the run before.
            let cancel = Cancel::new();
            cancel.fire(Reason::Depot);
            let half = tokio::time::sleep(Duration::from_secs(30));
            assert_eq!(cancel.while_in_time(rest, half).await, Some(()));
            let begun = Instant::now();
            let later = async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                cancel.fire(reason);
            };
            let waiting = cancel.while_in_time(rest, std::future::pending::<()>());
            assert_eq!(tokio::join!(waiting, later), (None, ()));
            assert_eq!(begun.elapsed(), Duration::from_secs(3) + rest);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_when_it_is_stopped_is_dropped() {
        let never = std::future::pending::<()>;
        let cancel = Cancel::new();
        assert_eq!(cancel.unless_stuck(async { 7 }).await, Ok(7));
        for (reason, expected) in [
            (Reason::Depot, STUCK_LIMIT),
            (Reason::Timeout, STUCK_LIMIT),
            (Reason::Signal(15), WORK_LIMIT),
        ] {
            let cancel = Cancel::new();
            cancel.fire(reason);
            let begun = Instant::now();
            assert_eq!(cancel.unless_stuck(never()).await, Err(reason));
            assert_eq!(begun.elapsed(), expected);
        }
        // Work that ends in that time keeps its result.
        let cancel = Cancel::new();
        cancel.fire(Reason::Timeout);
        let slow = tokio::time::sleep(STUCK_LIMIT / 2);
        assert_eq!(cancel.unless_stuck(slow).await, Ok(()));
    }
}
