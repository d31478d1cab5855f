//! How far a load is, for people.

use std::time::Duration;

use crate::depot::Step;
use crate::docker::Sent;
pub(super) use crate::report::progress::size;

/// How often a load that takes long is told of.
const INTERVAL: Duration = Duration::from_secs(5);

/// Runs `loading`, and says from time to time how much was sent, of `total` where that is known.
pub(super) async fn shown_while<Loading: Future>(
    loading: Loading,
    step: &Step,
    sent: &Sent,
    total: Option<u64>,
) -> Loading::Output {
    let mut loading = std::pin::pin!(loading);
    let mut told = 0;
    loop {
        tokio::select! {
            output = &mut loading => return output,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let bytes = sent.bytes();
        let line = match total {
            Some(total) if bytes >= total => {
                format!("{} sent, the daemon unpacks them", size(total))
            }
            Some(total) => format!("{} of {} sent", size(bytes), size(total)),
            None => format!("{} sent", size(bytes)),
        };
        if bytes != told {
            told = bytes;
            step.say(line);
        }
    }
}
