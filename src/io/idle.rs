//! Waiting for as long as something moves.

use std::time::Duration;

/// Runs `work` to its end, or until `moved`, which counts something, has stood still for `quiet`. `None` when it was cut off, at the
/// latest twice that time after the last move.
///
/// Cancel safe as far as `work` is.
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
    async fn what_moves_is_waited_for_and_what_stands_still_is_not() {
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
