//! Progress output of a load.

use std::time::Duration;

use crate::depot::Step;
use crate::docker::Sent;
pub(super) use crate::report::progress::size;

/// The interval of progress lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// Runs `loading`, and prints periodically how many bytes were sent, of `total` if it is known.
pub(in super::super) async fn report_while<Loading: Future>(
    loading: Loading,
    step: &Step,
    sent: &Sent,
    total: Option<u64>,
) -> Loading::Output {
    let mut loading = std::pin::pin!(loading);
    let mut reported_bytes = 0;
    loop {
        tokio::select! {
            output = &mut loading => return output,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let bytes = sent.bytes();
        let line = match total {
            Some(total) if bytes >= total => {
                format!("{} sent, the daemon is unpacking", size(total))
            }
            Some(total) => format!("{} of {} sent", size(bytes), size(total)),
            None => format!("{} sent", size(bytes)),
        };
        if bytes != reported_bytes {
            reported_bytes = bytes;
            step.say(line);
        }
    }
}
