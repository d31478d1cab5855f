//! The exports of an image: files of the result that are written into the clone.
//!
//! Each export is a solve of its own, on each machine of the image; its steps are in the builder's cache after the first solve. The
//! results are received into staging directories. They are moved to their places at the very end, when the image has
//! reached all its destinations, so that a failed run leaves the places as they were.

use std::sync::Arc;

use futures_util::TryStreamExt;
use tokio::task::spawn_blocking;

use super::Result;
use super::export::{Export, Retention};
use super::failure::{ExportCause, ExportFailure, Failure};
use super::job::Job;
use super::machines::Link;
use super::request;
use super::run::Run;
use super::share::ShareResult;
use super::solving::{Attempts, Solver};
use super::target::Target;
use crate::buildkit::session::{TreeSink, file};
use crate::buildkit::{ErrorKind, Pushes, Solve, Solved, status_message};
use crate::cancel::{Cancel, Reason};
use crate::config::plan::{ExportKind, ExportPlan};
use crate::destination::{ArchiveError, Received, Staging, Totals, WriteError, write_pieces};
use crate::report::progress::size;

/// The limit for removing incomplete results.
const REMOVE_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// The limit after a signal, when finishing the build has only the rest of a second.
const STOPPED_REMOVE_LIMIT: std::time::Duration = std::time::Duration::from_millis(200);

/// The exports of an image, in the order of the plan.
#[derive(Debug)]
pub(super) struct Exports<'a>(Vec<Exporting<'a>>);

/// One export.
#[derive(Debug)]
pub(super) struct Exporting<'a> {
    pub(super) plan: &'a ExportPlan,
    staging: Arc<Staging>,
}

/// A written export.
#[derive(Clone, Debug)]
pub(super) struct Exported {
    /// The destination as written in the variable.
    pub(super) label: String,
    /// Whether it is a directory.
    pub(super) is_directory: bool,
    pub(super) totals: Totals,
}

/// The results that a share has received so far. Kept when its machine is lost.
#[derive(Debug, Default)]
pub(super) struct ReceivedExports {
    pub(super) results: Vec<Arc<Received>>,
    /// The response to the first solve.
    pub(super) first: Option<Solved>,
}

impl<'a> Exports<'a> {
    /// Creates the staging directories.
    pub(super) fn begin(job: &Job<'a>) -> Result<Self> {
        let exports = job.plan.exports.iter().map(|plan| {
            let staging = Staging::create(&plan.place).map_err(|source| {
                let path = plan.place.staging.display().to_string();
                failure(plan, ExportCause::Staging { path, source })
            })?;
            Ok(Exporting {
                plan,
                staging: Arc::new(staging),
            })
        });
        Ok(Self(exports.collect::<Result<_>>()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Exporting<'a>> {
        self.0.iter()
    }

    /// Moves the results of all shares to their places.
    ///
    /// Not cancel safe, and not stopped by a cancel: it moves directories and files of the same file system.
    pub(super) async fn place(
        &self,
        run: &Run<'_>,
        shares: &[ShareResult],
    ) -> Result<Vec<Exported>> {
        let mut exported = Vec::new();
        for (index, export) in self.0.iter().enumerate() {
            let plan = export.plan;
            let results = shares.iter().filter_map(|share| share.received.get(index));
            let results: Vec<Arc<Received>> = results.map(Arc::clone).collect();
            let mut totals = Totals::default();
            for received in &results {
                totals.add(&received.totals);
            }
            let step = run.steps.begin(&format!("[export] writing {}", plan.label));
            let (staging, place) = (Arc::clone(&export.staging), plan.place.clone());
            let moving = spawn_blocking(move || {
                let mut results = results.iter();
                results.try_for_each(|received| staging.place(received, &place))
            });
            let moved = moving.await.unwrap_or(Err(WriteError::Closed));
            if let Err(error) = moved {
                let failure = failure(plan, ExportCause::Write(error));
                step.failed(run.masker.mask(failure.one_line()));
                return Err(failure);
            }
            let written = Exported {
                label: plan.label.clone(),
                is_directory: plan.kind == ExportKind::Local,
                totals,
            };
            step.say(written.amount());
            step.done();
            written.warn_of_skipped(run);
            exported.push(written);
        }
        Ok(exported)
    }

    /// Removes everything that was received and not moved to its place.
    pub(super) async fn remove(self, cancel: &Cancel) {
        if self.is_empty() {
            return;
        }
        let limit = match cancel.reason() {
            Some(Reason::Signal(_)) => STOPPED_REMOVE_LIMIT,
            _ => REMOVE_LIMIT,
        };
        let places = self.0.iter();
        let places = places.map(|export| export.plan.place.staging.display().to_string());
        let places: Vec<_> = places.collect();
        let stagings: Vec<_> = self.0.into_iter().map(|export| export.staging).collect();
        let removing = spawn_blocking(move || drop(stagings));
        if cancel.within(limit, removing).await.is_none() {
            tracing::warn!(
                "incomplete results for OUTPUTS remain in the clone; remove {}",
                places.join(", ")
            );
        }
    }
}

impl Exported {
    /// `12 files (3.4MB)`, or the size of an archive.
    pub(super) fn amount(&self) -> String {
        let bytes = size(self.totals.bytes);
        match (self.is_directory, self.totals.files) {
            (false, _) => bytes,
            (true, 1) => format!("1 file ({bytes})"),
            (true, files) => format!("{files} files ({bytes})"),
        }
    }

    fn warn_of_skipped(&self, run: &Run<'_>) {
        let Some(first) = &self.totals.first_skipped else {
            return;
        };
        let count = self.totals.skipped;
        let text = format!(
            "OUTPUTS: `{}` lacks {count} devices, fifos or sockets of the result, which are not exported: the first is `{first}`",
            self.label
        );
        tracing::warn!("{}", run.masker.mask(text));
    }
}

impl Exporting<'_> {
    /// Runs the solve of this export, and receives its result.
    pub(super) async fn receive(
        &self,
        solver: &Solver<'_>,
        link: &Link,
        solve: &Solve,
        pushes: &mut Pushes,
    ) -> Result<(Received, Solved)> {
        let mut attempts = Attempts::default();
        loop {
            let received = if self.plan.kind == ExportKind::Local {
                self.receive_tree(solver, link, solve, attempts, pushes)
                    .await
            } else {
                self.receive_archive(solver, link, solve, attempts, pushes)
                    .await
            };
            match received {
                Err(failure) if solver.repeats(&failure, &mut attempts) => {}
                Err(Failure::Solve { error, .. }) if error.kind == ErrorKind::Export => {
                    return Err(self.failure(ExportCause::Receive(error)));
                }
                ended => return ended,
            }
        }
    }

    async fn receive_tree(
        &self,
        solver: &Solver<'_>,
        link: &Link,
        solve: &Solve,
        attempts: Attempts,
        pushes: &mut Pushes,
    ) -> Result<(Received, Solved)> {
        let created = self.staging.tree();
        let (name, tree) = created.map_err(|source| self.not_created(source))?;
        let sink = TreeSink::new(Arc::clone(&tree));
        let response = solver.export(link, solve, sink, attempts, pushes).await;
        match response {
            Ok(response) => {
                let received = Received::of_tree(name, &tree);
                let received = received.map_err(|error| self.failure(ExportCause::Write(error)))?;
                Ok((received, response))
            }
            Err(failure) => {
                let staging = Arc::clone(&self.staging);
                // After a stop, it is removed with the staging directory.
                let discarding = spawn_blocking(move || staging.discard(&name, &tree));
                let _stopped = solver.cancel.unless_fired(discarding).await;
                Err(failure)
            }
        }
    }

    async fn receive_archive(
        &self,
        solver: &Solver<'_>,
        link: &Link,
        solve: &Solve,
        attempts: Attempts,
        pushes: &mut Pushes,
    ) -> Result<(Received, Solved)> {
        let created = self.staging.file();
        let (name, archive) = created.map_err(|source| self.not_created(source))?;
        let (sink, pieces) = file();
        let pieces = pieces.map_err(|status| status_message(&status));
        let solving = solver.export(link, solve, sink, attempts, pushes);
        let (response, written) = tokio::join!(solving, write_pieces(archive, pieces));
        match (response, written) {
            (Ok(response), Ok(bytes)) => Ok((Received::of_file(name, bytes), response)),
            // The builder's error is a consequence.
            (_, Err(ArchiveError::Write(source))) if solver.cancel.reason().is_none() => {
                let error = WriteError::writing(&self.plan.label, source);
                Err(self.failure(ExportCause::Write(error)))
            }
            (Err(failure), _) => Err(failure),
            (Ok(_), Err(_)) => Err(self.failure(ExportCause::Write(WriteError::Incomplete))),
        }
    }

    fn not_created(&self, source: std::io::Error) -> Failure {
        let path = self.plan.place.staging.display().to_string();
        self.failure(ExportCause::Staging { path, source })
    }

    fn failure(&self, cause: ExportCause) -> Failure {
        failure(self.plan, cause)
    }
}

/// The request for the export of `target`.
pub(super) fn solve(job: &Job<'_>, target: &Target, export: &ExportPlan) -> Solve {
    request::solve(job, target, Export::Files(export), Retention::Nothing)
}

fn failure(plan: &ExportPlan, cause: ExportCause) -> Failure {
    Failure::Export(Box::new(ExportFailure {
        label: plan.label.clone(),
        cause,
        pushed: Vec::new(),
    }))
}
