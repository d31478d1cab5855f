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
    let line = || {
        let bytes = sent.bytes();
        match total {
            Some(total) if bytes >= total => {
                format!("{} sent, the daemon is unpacking", size(total))
            }
            Some(total) => format!("{} of {} sent", size(bytes), size(total)),
            None => format!("{} sent", size(bytes)),
        }
    };
    say_while(loading, step, line).await
}

/// Runs `work`, and prints `line` periodically if it has changed.
pub(in super::super) async fn say_while<Work: Future>(
    work: Work,
    step: &Step,
    line: impl Fn() -> String,
) -> Work::Output {
    let mut work = std::pin::pin!(work);
    let mut printed = line();
    loop {
        tokio::select! {
            output = &mut work => return output,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let line = line();
        if line != printed {
            step.say(&line);
            printed = line;
        }
    }
}
