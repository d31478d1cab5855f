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
use crate::buildkit::OwnStep;

/// How long steps are collected before they are sent together.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Makes steps, and hands each change to the log and to Depot. Clones feed the same two.
#[derive(Clone, Debug)]
pub struct Steps {
    log: mpsc::Sender<StatusResponse>,
    /// Unbounded: a run has a handful of steps.
    depot: mpsc::UnboundedSender<StatusResponse>,
}

/// A step that has begun. It ends with one of its methods.
#[derive(Debug)]
pub struct Step {
    steps: Steps,
    step: OwnStep,
}

impl Steps {
    /// A pair of the sender and of what is to be handed to [`Build::report_steps`].
    #[must_use]
    pub fn new(
        log: mpsc::Sender<StatusResponse>,
    ) -> (Self, mpsc::UnboundedReceiver<StatusResponse>) {
        let (depot, reports) = mpsc::unbounded_channel();
        (Self { log, depot }, reports)
    }

    /// Begins a step and shows it.
    pub async fn begin(&self, name: &str) -> Step {
        let step = OwnStep::begin(name, SystemTime::now());
        self.tell(step.running()).await;
        Step {
            steps: self.clone(),
            step,
        }
    }

    async fn tell(&self, status: StatusResponse) {
        // Either receiver may have ended; a step is not worth failing for.
        let _ended = self.depot.send(status.clone());
        let _ended = self.log.send(status).await;
    }
}

impl Step {
    /// Says something in the step's name.
    pub async fn say(&self, line: impl Display) {
        let status = self.step.log(SystemTime::now(), &format!("{line}\n"));
        self.steps.tell(status).await;
    }

    /// Ends the step well.
    pub async fn done(self) {
        self.steps.tell(self.step.done(SystemTime::now())).await;
    }

    /// Ends the step with an error.
    pub async fn failed(self, error: impl Display) {
        let status = self.step.failed(SystemTime::now(), &error.to_string());
        self.steps.tell(status).await;
    }

    /// Ends the step because the run is stopped.
    pub async fn canceled(self) {
        self.steps.tell(self.step.canceled(SystemTime::now())).await;
    }
}

impl Build {
    /// Sends `steps` to the build's page until their senders are gone.
    ///
    /// Cancel safe: dropping it loses the steps that were not sent yet, nothing else.
    pub async fn report_steps(&self, steps: mpsc::UnboundedReceiver<StatusResponse>) {
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
    steps: mpsc::UnboundedReceiver<StatusResponse>,
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
        let (log, mut shown) = mpsc::channel(8);
        let (steps, reports) = Steps::new(log);
        let step = steps.begin("[depot] launching amd64 machine").await;
        step.failed("no capacity").await;
        drop(steps);

        let sent: Vec<_> = batches("b1".into(), reports).collect().await;
        let vertexes: Vec<_> = sent
            .iter()
            .flat_map(|request| &request.statuses)
            .flat_map(|status| &status.vertexes)
            .collect();
        assert_eq!(vertexes.len(), 2);
        assert_eq!(vertexes[0].digest, vertexes[1].digest);
        assert!(vertexes[0].completed.is_none());
        assert_eq!(vertexes[1].error, "no capacity");

        let first = shown.recv().await.unwrap();
        assert_eq!(first.vertexes[0].name, "[depot] launching amd64 machine");
    }
}
