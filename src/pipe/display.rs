//! Shows the progress while the work runs, without delaying it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::cancel::Cancel;
use crate::io::idle::while_moving;
use crate::report::output::Output;
use crate::report::progress::{Progress, Source, Update, show};

/// After the build, the remaining progress is dropped if none of it is read for this long: an unread log must not delay the
/// end.
const SHOW_QUIET: Duration = Duration::from_secs(5);

/// The total limit for the remaining progress.
const SHOW_LIMIT: Duration = Duration::from_mins(5);

/// The total limit for the remaining progress after a signal or TIMEOUT.
const LAST_SHOW_LIMIT: Duration = Duration::from_millis(150);

/// Runs `working` to its end, and shows the updates of `shown` at the same time. `own_steps` sends updates too.
///
/// A panic while the progress is shown ends the progress only.
pub(super) async fn beside<Working: Future>(
    progress: &mut Progress,
    (shown, own_steps): (mpsc::Receiver<Update>, impl Future<Output = ()>),
    output: &Output,
    cancel: &Cancel,
    working: Working,
) -> Working::Output {
    let showing = async {
        tokio::join!(
            own_steps,
            show(progress, ReceiverStream::new(shown), output)
        );
    };
    let showing = AssertUnwindSafe(showing).catch_unwind();
    let mut showing = std::pin::pin!(showing);
    let mut working = std::pin::pin!(working);
    let mut is_shown = false;
    let result = loop {
        tokio::select! {
            result = &mut working => break result,
            caught = &mut showing, if !is_shown => {
                is_shown = true;
                if caught.is_err() {
                    tracing::error!("no further progress is shown because of an internal error");
                }
            }
        }
    };
    if !is_shown {
        let showing = while_moving(SHOW_QUIET, || output.written(), showing);
        let showing = tokio::time::timeout(SHOW_LIMIT, showing);
        let shown = cancel.while_in_time(LAST_SHOW_LIMIT, showing).await;
        if !matches!(shown, Some(Ok(Some(_)))) && cancel.reason().is_none() {
            tracing::warn!(
                "the rest of the progress was dropped because the log is not being read"
            );
        }
    }
    result
}

/// Shows this program's own steps, which belong to no machine.
pub(super) async fn own_steps(
    mut steps: mpsc::Receiver<StatusResponse>,
    status: mpsc::Sender<Update>,
) {
    while let Some(step) = steps.recv().await {
        let update = Update {
            source: Source::default(),
            status: step,
            is_repeated: false,
        };
        if status.send(update).await.is_err() {
            return; // the log has ended
        }
    }
}
