//! Why and when a run is stopped early.
//!
//! A [`Cancel`] is passed down as an argument; its holder can await it or fire it. The first reason
//! is kept; later ones are consequences. A signal, first or not, also sets a deadline, because its
//! sender kills the process soon after.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The time from the first signal to the end of everything before the last call to Depot.
const WORK_LIMIT: Duration = Duration::from_millis(450);

/// The additional time after that, for the last call only. The last call gets this much even if it starts late.
const LAST_CALL_SHARE: Duration = Duration::from_millis(400);

/// The sum of both. With the last lines of the log, the program ends within about one second.
const SIGNAL_LIMIT: Duration = WORK_LIMIT.saturating_add(LAST_CALL_SHARE);

/// The time that the last call gets after TIMEOUT.
const TIMEOUT_LAST_CALL_LIMIT: Duration = Duration::from_secs(10);

/// How long canceled work may take to end by itself. After that it is dropped.
const STUCK_LIMIT: Duration = Duration::from_secs(20);

/// Why the run was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A signal with this number. Bitbucket sends one when a pipeline is stopped.
    Signal(u8),
    /// The build was canceled on its page at Depot, as reported in the response to a health report.
    Depot,
    /// TIMEOUT was reached.
    Timeout,
    /// Another part of the same build failed, so this part is no longer needed.
    Sibling,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(2) => formatter.write_str("canceled by SIGINT"),
            Self::Signal(15) => formatter.write_str("canceled by SIGTERM"),
            Self::Signal(number) => write!(formatter, "canceled by signal {number}"),
            Self::Depot => formatter.write_str("canceled by Depot"),
            Self::Timeout => formatter.write_str("canceled because TIMEOUT was reached"),
            Self::Sibling => {
                formatter.write_str("canceled because another part of the build failed")
            }
        }
    }
}

/// A stop that can be awaited and fired from anywhere. Clones share its state.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    stop: CancellationToken,
    reason: Arc<OnceLock<Reason>>,
    /// The reasons of the parents, the outermost first.
    above: Vec<Arc<OnceLock<Reason>>>,
    hurry: CancellationToken,
    /// Fires on a signal, and when TIMEOUT is reached.
    out_of_time: CancellationToken,
    /// When everything must have ended. Set by the first signal.
    deadline: Arc<OnceLock<Instant>>,
}

impl Cancel {
    /// A stop that has not fired.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A stop for a part of the work. Firing it does not fire `self`; firing `self` also fires it.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            stop: self.stop.child_token(),
            reason: Arc::default(),
            above: self.lineage().cloned().collect(),
            hurry: self.hurry.clone(),
            out_of_time: self.out_of_time.clone(),
            deadline: Arc::clone(&self.deadline),
        }
    }

    /// Fires the stop. The first call sets the reason.
    pub fn fire(&self, reason: Reason) {
        // An error means that another call was first.
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

    /// Waits for a signal or TIMEOUT, even if the run was already stopped for another reason. After that, the program no
    /// longer waits until its log is read. Cancel safe.
    pub async fn out_of_time(&self) {
        self.out_of_time.cancelled().await;
    }

    /// Waits until the stop is fired. Cancel safe.
    pub async fn fired(&self) -> Reason {
        self.stop.cancelled().await;
        // The reason is set before the token, so the default is never used.
        self.reason().unwrap_or(Reason::Depot)
    }

    /// The reason, once the stop has fired. A reason of a parent takes precedence, the outermost first.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.lineage().find_map(|reason| reason.get()).copied()
    }

    /// The reasons of all parents, the outermost first, and of this.
    fn lineage(&self) -> impl Iterator<Item = &Arc<OnceLock<Reason>>> {
        self.above.iter().chain(std::iter::once(&self.reason))
    }

    /// Runs `work` until it ends or this is fired, whichever comes first; then `work` is dropped.
    ///
    /// # Errors
    /// The reason, if the stop fires first. The stop takes precedence over work that ends at the same moment.
    pub async fn unless_fired<Work: Future>(&self, work: Work) -> Result<Work::Output, Reason> {
        tokio::select! {
            biased;
            reason = self.fired() => Err(reason),
            output = work => Ok(output),
        }
    }

    /// Runs `work` for at most `limit`. After the first signal, it gets the rest of a second, minus the share of the
    /// [last call](Self::last_call). `None` if the limit was reached.
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

    /// Runs the last call to Depot for at most `limit`; `None` if the limit was reached.
    ///
    /// After TIMEOUT it gets some seconds, and after a signal the rest of a second, but always at least
    /// [`LAST_CALL_SHARE`].
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
        let minimum = Instant::now() + LAST_CALL_SHARE;
        let until = match self.deadline.get() {
            Some(&deadline) => until.min(deadline.max(minimum)),
            None => until,
        };
        tokio::time::timeout_at(until, work).await.ok()
    }

    /// Runs `work` until it ends. After the run is [out of time](Self::out_of_time), it gets at most `rest`. `None` if that
    /// limit was reached.
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

    /// Runs `work`, which should end by itself when the stop fires.
    ///
    /// # Errors
    /// The reason, if it does not end within [`STUCK_LIMIT`], or after a signal within the time of [`Self::within`].
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
    async fn the_first_reason_is_kept() {
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

    #[tokio::test]
    async fn a_grandchild_has_the_reason_of_the_outermost_stop() {
        let run = Cancel::new();
        let image = run.child();
        let machine = image.child();
        machine.fire(Reason::Sibling);
        assert_eq!((image.reason(), run.reason()), (None, None));
        run.fire(Reason::Signal(15));
        assert_eq!(machine.fired().await, Reason::Signal(15));
        assert_eq!(image.child().fired().await, Reason::Signal(15));
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_shortens_the_limit_but_a_cancel_by_depot_does_not() {
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
        // All later work shares the same deadline.
        let begun = Instant::now();
        let never = std::future::pending::<()>();
        assert_eq!(cancel.within(minute, never).await, None);
        assert!(begun.elapsed() < Duration::from_millis(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_call_always_gets_its_share() {
        let minute = Duration::from_mins(1);
        let never = std::future::pending::<()>;
        // The pause after the signal, and the expected time until the call is cut off.
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
    async fn a_signal_and_timeout_limit_the_wait_for_a_reader() {
        let rest = Duration::from_millis(100);
        for reason in [Reason::Signal(2), Reason::Timeout] {
            // The run was already stopped for another reason.
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
