//! Steps of our own: waiting for a machine, connecting to it.
//!
//! They are vertices like BuildKit's, so that people see them in the log and on the build's page in
//! one form. The builder reports its own steps to Depot itself; only ours go through here. Telling
//! Depot is best effort and never holds the build up.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use futures_util::{Stream, stream};
use tokio::sync::mpsc;

use super::build::Build;
use super::messages::ReportStatusStreamRequest;
use super::redact::Redactor;
use crate::buildkit::OwnStep;

/// How long steps are collected before they are sent together.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Messages that wait for the log, and for Depot. A run has a few dozen; past this number they are
/// dropped, because nothing here may wait for a reader of the log or for Depot.
const IN_FLIGHT: usize = 1024;

/// Makes steps, and passes each change to the log and to Depot. Clones feed the same two.
///
/// No method waits: a run must reach its end although nobody reads the log.
#[derive(Clone, Debug)]
pub struct Steps {
    log: mpsc::Sender<StatusResponse>,
    depot: mpsc::Sender<StatusResponse>,
    redactor: Redactor,
}

/// The two receivers of what [`Steps`] send.
#[derive(Debug)]
pub struct StepReceivers {
    /// For the log.
    pub log: mpsc::Receiver<StatusResponse>,
    /// For [`Build::report_steps`].
    pub depot: mpsc::Receiver<StatusResponse>,
}

/// A step that has begun. It ends with one of its methods.
#[derive(Debug)]
pub struct Step {
    steps: Steps,
    step: OwnStep,
}

impl Steps {
    /// The sender and its receivers. Every text passes `redactor`.
    #[must_use]
    pub fn new(redactor: Redactor) -> (Self, StepReceivers) {
        let (log, log_receiver) = mpsc::channel(IN_FLIGHT);
        let (depot, depot_receiver) = mpsc::channel(IN_FLIGHT);
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

    /// Begins a step and shows it.
    #[must_use]
    pub fn begin(&self, name: &str) -> Step {
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
        // Either receiver may have ended, or be full; a step is not worth failing or waiting for.
        let _dropped = self.depot.try_send(status.clone());
        let _dropped = self.log.try_send(status);
    }
}

impl Step {
    /// Prints a line under the step's name.
    pub fn say(&self, line: impl Display) {
        let line = self.steps.text(format_args!("{line}\n"));
        let status = self.step.log(SystemTime::now(), &line);
        self.steps.send(status);
    }

    /// Ends the step well.
    pub fn done(self) {
        self.steps.send(self.step.done(SystemTime::now()));
    }

    /// Ends the step with an error.
    pub fn failed(self, error: impl Display) {
        let error = self.steps.text(error);
        let status = self.step.failed(SystemTime::now(), &error);
        self.steps.send(status);
    }

    /// Ends the step because the run is stopped.
    pub fn canceled(self) {
        self.steps.send(self.step.canceled(SystemTime::now()));
    }
}

impl Build {
    /// Sends `steps` to the build's page until their senders are gone.
    ///
    /// Cancel safe: dropping it loses the steps that were not sent yet, nothing else.
    pub async fn report_steps(&self, steps: mpsc::Receiver<StatusResponse>) {
        let requests = batches(self.id.to_string(), steps);
        let sent = self
            .api
            .client_stream("ReportStatusStream", &self.token, requests)
            .await;
        if let Err(error) = sent {
            tracing::debug!(
                "our steps are missing on the build's page: {}",
                crate::cause::one_line(&error)
            );
        }
    }
}

/// The first step at once, then what has come within each second together.
fn batches(
    build_id: String,
    steps: mpsc::Receiver<StatusResponse>,
) -> impl Stream<Item = ReportStatusStreamRequest> + Send + 'static {
    stream::unfold(
        (steps, build_id, true),
        |(mut steps, build_id, first)| async move {
            let mut statuses = vec![steps.recv().await?];
            if !first {
                // The senders may go in this time; what they left is still there to be taken.
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
    async fn steps_reach_the_log_and_depot_and_the_stream_ends_with_them() {
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
    fn steps_wait_for_no_reader_and_keep_a_bounded_number_of_messages() {
        let (steps, receivers) = Steps::new(Redactor::new(|text| text));
        let step = steps.begin("[load] an image");
        for number in 0..2 * IN_FLIGHT {
            step.say(number);
        }
        step.done();
        assert_eq!(receivers.log.len(), IN_FLIGHT);
        assert_eq!(receivers.depot.len(), IN_FLIGHT);
    }
}
