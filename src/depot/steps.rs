//! The pipe's own steps, such as waiting for a machine and connecting to it.
//!
//! They are vertices like BuildKit's, so the log and the build's page show both in one form. The
//! builder reports its steps to Depot itself; this module sends only the pipe's. Reporting to Depot
//! is best effort and never delays the build.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use futures_util::{Stream, stream};
use tokio::sync::mpsc;

use super::build::Build;
use super::messages::ReportStatusStreamRequest;
use super::own_step::OwnStep;
use super::redact::Redactor;

/// How long steps are collected before they are sent together.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The capacity of each channel. A run has a few dozen messages; further messages are dropped, because
/// the build must not wait for a reader of the log or for Depot.
const QUEUE_CAPACITY: usize = 1024;

/// Creates steps, and sends each change to the log and to Depot. Clones share the channels.
///
/// No method blocks: a run must end even if its log is not read.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    log: mpsc::Sender<StatusResponse>,
    depot: mpsc::Sender<StatusResponse>,
    redactor: Redactor,
}

/// The receivers of the messages of [`Steps`].
#[derive(Debug)]
pub(crate) struct StepReceivers {
    /// For the log.
    pub(crate) log: mpsc::Receiver<StatusResponse>,
    /// For [`Build::report_steps`].
    pub(crate) depot: mpsc::Receiver<StatusResponse>,
}

/// A running step. One of its methods ends it.
#[derive(Debug)]
pub(crate) struct Step {
    steps: Steps,
    step: OwnStep,
}

impl Steps {
    /// The sender and its receivers. `redactor` is applied to every text.
    #[must_use]
    pub(crate) fn new(redactor: Redactor) -> (Self, StepReceivers) {
        let (log, log_receiver) = mpsc::channel(QUEUE_CAPACITY);
        let (depot, depot_receiver) = mpsc::channel(QUEUE_CAPACITY);
        let receivers = StepReceivers {
            log: log_receiver,
            depot: depot_receiver,
        };
        let steps = Self {
            log,
            depot,
            redactor,
        };
        (steps, receivers)
    }

    /// Starts a step.
    #[must_use]
    pub(crate) fn begin(&self, name: &str) -> Step {
        let step = OwnStep::begin(&self.text(name), SystemTime::now());
        self.send(step.running());
        Step {
            steps: self.clone(),
            step,
        }
    }

    fn text(&self, text: impl Display) -> String {
        self.redactor.redact(text).into_text()
    }

    fn send(&self, status: StatusResponse) {
        // A receiver can be closed or full. Neither may fail or delay the build.
        let _dropped = self.depot.try_send(status.clone());
        let _dropped = self.log.try_send(status);
    }
}

impl Step {
    /// Prints a line under the step's name.
    pub(crate) fn say(&self, line: impl Display) {
        let line = self.steps.text(format_args!("{line}\n"));
        let status = self.step.log(SystemTime::now(), &line);
        self.steps.send(status);
    }

    /// Marks the step as done.
    pub(crate) fn done(self) {
        self.steps.send(self.step.done(SystemTime::now()));
    }

    /// Marks the step as failed.
    pub(crate) fn failed(self, error: impl Display) {
        let error = self.steps.text(error);
        let status = self.step.failed(SystemTime::now(), &error);
        self.steps.send(status);
    }

    /// Marks the step as canceled.
    pub(crate) fn canceled(self) {
        self.steps.send(self.step.canceled(SystemTime::now()));
    }
}

impl Build {
    /// Sends `steps` to the build's page until all senders are dropped.
    ///
    /// Cancel safe: dropping the future loses only the steps that have not been sent.
    pub(crate) async fn report_steps(&self, steps: mpsc::Receiver<StatusResponse>) {
        let requests = batches(self.id.to_string(), steps);
        let sent = self
            .api
            .client_stream("ReportStatusStream", &self.token, requests)
            .await;
        if let Err(error) = sent {
            tracing::debug!(
                "cannot report steps to the build's page: {}",
                crate::text::cause::one_line(&error)
            );
        }
    }
}

/// Sends the first step immediately, then the steps of each second together.
fn batches(
    build_id: String,
    steps: mpsc::Receiver<StatusResponse>,
) -> impl Stream<Item = ReportStatusStreamRequest> + Send + 'static {
    stream::unfold(
        (steps, build_id, true),
        |(mut steps, build_id, first)| async move {
            let mut statuses = vec![steps.recv().await?];
            if !first {
                // All senders may be dropped in this time; the messages in the channel are still received below.
                let ended = async {
                    while let Some(status) = steps.recv().await {
                        statuses.push(status);
                    }
                };
                let _interval_over = tokio::time::timeout(BATCH_INTERVAL, ended).await;
            }
            while let Ok(status) = steps.try_recv() {
                statuses.push(status);
            }
            let request = ReportStatusStreamRequest {
                build_id: build_id.clone(),
                statuses,
            };
            Some((request, (steps, build_id, false)))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    #[tokio::test(start_paused = true)]
    async fn steps_are_sent_to_the_log_and_depot_and_then_the_stream_ends() {
        let redactor = Redactor::new(|text| text.replace("hunter2", "***"));
        let (steps, mut receivers) = Steps::new(redactor);
        let step = steps.begin("[depot] launching hunter2 machine");
        step.say(format_args!("with {}", "hunter2"));
        step.failed("no capacity for hunter2");
        drop(steps);

        let sent: Vec<_> = batches("b1".into(), receivers.depot).collect().await;
        let vertexes: Vec<_> = sent
            .iter()
            .flat_map(|request| &request.statuses)
            .flat_map(|status| &status.vertexes)
            .collect();
        assert_eq!(vertexes.len(), 2);
        assert_eq!(vertexes[0].digest, vertexes[1].digest);
        assert!(vertexes[0].completed.is_none());
        assert_eq!(vertexes[1].error, "no capacity for ***");
        let mut logs = sent
            .iter()
            .flat_map(|request| &request.statuses)
            .flat_map(|status| &status.logs);
        assert_eq!(logs.next().unwrap().msg, b"with ***\n");

        let first = receivers.log.recv().await.unwrap();
        assert_eq!(first.vertexes[0].name, "[depot] launching *** machine");
    }

    #[test]
    fn steps_do_not_block_and_the_queue_is_bounded() {
        let (steps, receivers) = Steps::new(Redactor::new(|text| text));
        let step = steps.begin("[load] an image");
        for number in 0..2 * QUEUE_CAPACITY {
            step.say(number);
        }
        step.done();
        assert_eq!(receivers.log.len(), QUEUE_CAPACITY);
        assert_eq!(receivers.depot.len(), QUEUE_CAPACITY);
    }
}
