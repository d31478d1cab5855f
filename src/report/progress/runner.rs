//! Prints the progress of builds as it arrives.

use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Progress, Source};
use crate::report::output::Output;

/// How often to check for due lines if no message arrives.
const TICK: Duration = Duration::from_millis(250);

/// A message about a build.
#[derive(Clone, Debug)]
pub struct Update {
    /// The build.
    pub source: Source,
    /// The message of the builder, or of one of our own steps.
    pub status: StatusResponse,
    /// Whether all steps of the build have run before, so that this message is about a repetition.
    pub is_repeated: bool,
}

/// Prints the messages of `updates` until its end, and then the remaining lines.
///
/// Waits for a slow `output`, so a bounded channel also slows down its sender. Not cancel safe: a dropped call can lose one
/// block of lines.
pub async fn show(
    progress: &mut Progress,
    mut updates: impl Stream<Item = Update> + Unpin,
    output: &Output,
) {
    let start = Instant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut lines = String::new();
        let mut ended = false;
        tokio::select! {
            update = updates.next() => if let Some(Update { source, status, is_repeated }) = update {
                if is_repeated {
                    progress.note_built(source);
                }
                progress.apply_from(start.elapsed(), source, &status, &mut lines);
            } else {
                progress.finish(start.elapsed(), &mut lines);
                ended = true;
            },
            _ = ticks.tick() => progress.tick(start.elapsed(), &mut lines),
        }
        output.progress(lines).await;
        if ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::sync::mpsc::channel;

    use tokio_stream::wrappers::ReceiverStream;

    use super::*;
    use crate::depot::own_step::OwnStep;
    use crate::report::output::OutputOptions;

    #[tokio::test]
    async fn messages_are_printed_and_the_rest_at_the_end() {
        let (output, captured) = Output::captured(OutputOptions::default());
        let mut progress = Progress::new(OutputOptions::default());
        let (sender, receiver) = channel(1);
        let step = OwnStep::begin("[depot] launching amd64 machine", SystemTime::UNIX_EPOCH);
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(2);
        let send = async move {
            for status in [
                step.running(),
                step.log(later, "pending\nnearly"),
                step.failed(later, "no capacity"),
            ] {
                sender
                    .send(Update {
                        source: Source::default(),
                        status,
                        is_repeated: false,
                    })
                    .await
                    .unwrap();
            }
        };
        tokio::join!(
            send,
            show(&mut progress, ReceiverStream::new(receiver), &output)
        );
        insta::assert_snapshot!(captured.text(), @"
        #1 [depot] launching amd64 machine
        #1 2.000 pending
        #1 2.000 nearly
        #1 ERROR: no capacity
        ");
        assert_eq!(progress.failed_step().unwrap().error, "no capacity");
    }
}
