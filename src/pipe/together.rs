//! Runs parts of the work at the same time. The first failure stops the others.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Result;
use super::failure::Failure;
use crate::cancel::{Cancel, Reason};

/// Runs `parts` concurrently. Returns their results in the order of the parts.
///
/// Returns when *all* have ended. A failure fires `cancel`, which all parts must observe. The first failure is the cause, and is
/// returned; later failures are consequences.
///
/// Not cancel safe: stop it through `cancel`.
pub(super) async fn together<Part, Output>(
    cancel: &Cancel,
    parts: impl IntoIterator<Item = Part>,
) -> Result<Vec<Output>>
where
    Part: Future<Output = Result<Output>>,
{
    let parts = parts.into_iter().enumerate();
    let parts = parts.map(async |(index, part)| (index, part.await));
    let mut running: FuturesUnordered<_> = parts.collect();
    let mut outputs = Vec::new();
    let mut failure = None;
    while let Some((index, ended)) = running.next().await {
        match ended {
            Ok(output) => outputs.push((index, output)),
            Err(error) => {
                cancel.fire(Reason::Sibling);
                if failure.as_ref().is_none_or(is_consequence) {
                    failure = Some(error);
                }
            }
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    outputs.sort_unstable_by_key(|&(index, _)| index);
    Ok(outputs.into_iter().map(|(_, output)| output).collect())
}

/// Whether another part's failure is the cause of this one.
pub(super) fn is_consequence(failure: &Failure) -> bool {
    matches!(failure.cause(), Failure::Canceled(Reason::Sibling))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when it is stopped.
    async fn stopped(cancel: &Cancel) -> Result<u8> {
        Err(Failure::Canceled(cancel.fired().await))
    }

    #[tokio::test]
    async fn results_come_in_the_order_of_the_parts() {
        let cancel = Cancel::new();
        let part = async |turns: u8| {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            Ok(turns)
        };
        let ended = together(&cancel, [5, 1, 3].map(part)).await;
        assert_eq!(ended.unwrap(), [5, 1, 3]);
        assert_eq!(cancel.reason(), None);
    }

    #[tokio::test]
    async fn the_first_failure_stops_the_others_and_is_returned() {
        let cancel = Cancel::new();
        let failing = async { Err(Failure::NoDigest("`api`".into())) };
        let parts: [std::pin::Pin<Box<dyn Future<Output = Result<u8>>>>; 3] = [
            Box::pin(stopped(&cancel)),
            Box::pin(failing),
            Box::pin(stopped(&cancel)),
        ];
        let failure = together(&cancel, parts).await.unwrap_err();
        assert!(matches!(failure, Failure::NoDigest(_)), "{failure}");
        assert_eq!(cancel.reason(), Some(Reason::Sibling));
    }
}
