//! Waiting for work as long as it makes progress.

use std::time::Duration;

/// Runs `work` until it ends, or until the counter `moved` has not changed for `quiet`. Returns `None` if the work was dropped,
/// which happens at the latest twice that time after the last change.
///
/// Cancel safe if `work` is.
pub(crate) async fn while_moving<Work: Future>(
    quiet: Duration,
    moved: impl Fn() -> u64,
    work: Work,
) -> Option<Work::Output> {
    let mut work = std::pin::pin!(work);
    let mut before = moved();
    loop {
        if let Ok(output) = tokio::time::timeout(quiet, &mut work).await {
            return Some(output);
        }
        let now = moved();
        if now == before {
            return None;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use tokio::time::{Instant, sleep};

    use super::*;

    const QUIET: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn work_without_progress_is_dropped() {
        let moves = Cell::new(0);
        let steps = async {
            for _ in 0..20 {
                sleep(QUIET * 9 / 10).await;
                moves.set(moves.get() + 1);
            }
        };
        assert_eq!(while_moving(QUIET, || moves.get(), steps).await, Some(()));
        let begun = Instant::now();
        let stuck = async {
            sleep(QUIET / 2).await;
            moves.set(moves.get() + 1);
            pending::<()>().await;
        };
        assert_eq!(while_moving(QUIET, || moves.get(), stuck).await, None);
        assert_eq!(begun.elapsed(), QUIET * 2);
    }
}
