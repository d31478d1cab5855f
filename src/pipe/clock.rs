//! Limits of time: TIMEOUT, Bitbucket's limit for a step, and the wait for a reader of the log.

use std::time::Duration;

use crate::bitbucket::STEP_LIMIT;
use crate::cancel::{Cancel, Reason};
use crate::report::output::Output;

/// How long before Bitbucket's limit for a step the warning is printed.
const STEP_WARNING: Duration = Duration::from_mins(10);

/// The last lines are dropped if none of them is read for this long.
const DRAIN_QUIET: Duration = Duration::from_secs(5);

/// The total limit for the last lines.
const DRAIN_LIMIT: Duration = Duration::from_mins(1);

/// The total limit for the last lines after a signal or TIMEOUT.
const LAST_DRAIN_LIMIT: Duration = Duration::from_millis(100);

/// Runs `running` to its end. Fires `cancel` when `timeout` is reached.
pub(super) async fn beside<Running: Future>(
    timeout: Option<Duration>,
    cancel: &Cancel,
    running: Running,
) -> Running::Output {
    let mut running = std::pin::pin!(running);
    let mut watching = std::pin::pin!(watch(timeout, cancel));
    tokio::select! {
        output = &mut running => output,
        () = &mut watching => running.await,
    }
}

/// Stops the run when TIMEOUT is reached, and warns before Bitbucket stops the step. Time that the step used before this run
/// is not included.
async fn watch(timeout: Option<Duration>, cancel: &Cancel) {
    let warning = STEP_LIMIT.saturating_sub(STEP_WARNING);
    let timed_out = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let mut timed_out = std::pin::pin!(timed_out);
    tokio::select! {
        () = &mut timed_out => return cancel.fire(Reason::Timeout),
        () = tokio::time::sleep(warning) => tracing::warn!(
            "the build has been running for {} minutes: Bitbucket stops a step after {} minutes unless its `max-time` is higher",
            warning.as_secs() / 60,
            STEP_LIMIT.as_secs() / 60
        ),
    }
    timed_out.await;
    cancel.fire(Reason::Timeout);
}

/// Waits until the last lines of the log are read, within the limits above.
pub async fn drain(output: &Output, cancel: &Cancel) {
    let draining = output.drain(DRAIN_QUIET, DRAIN_LIMIT);
    let _unread = cancel.while_in_time(LAST_DRAIN_LIMIT, draining).await;
}
