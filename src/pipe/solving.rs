//! One solve on a machine: its session, its status, and why it ended.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use tokio::sync::mpsc;

use super::contexts::Contexts;
use super::failure::Failure;
use super::machines::{Link, MAX_TRANSFERS, Machine, SharedSession};
use super::run::Run;
use super::target::Target;
use super::{Result, STATUS_IN_FLIGHT};
use crate::buildkit::session::{Service, Session};
use crate::buildkit::{ErrorKind, Pushes, Solve, SolveError, Solved};
use crate::cancel::{Cancel, Reason};
use crate::config::plan::ImagePlan;
use crate::io::idle::while_moving;
use crate::report::progress::{Source, Update};

/// How often a solve is repeated after the builder reported an inconsistent state.
const MAX_SOLVE_RETRIES: usize = 2;

/// After a solve, its last messages are dropped if the log accepts none of them for this long.
const UNREAD_QUIET: Duration = Duration::from_secs(5);

/// How long the request may take that checks whether Depot canceled the build.
const CANCEL_QUERY_LIMIT: Duration = Duration::from_secs(2);

/// The attempts of a solve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempts {
    /// The number of the transfer of the context, from one on.
    transfer: u32,
    /// How often the solve may be repeated after an inconsistent state.
    retries_left: usize,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            transfer: 1,
            retries_left: MAX_SOLVE_RETRIES,
        }
    }
}

impl Attempts {
    /// The last attempt: files that change are tolerated.
    pub(super) fn last() -> Self {
        Self {
            transfer: MAX_TRANSFERS,
            retries_left: 0,
        }
    }
}

/// Runs solves of one image on one machine.
pub(super) struct Solver<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) plan: &'a ImagePlan,
    pub(super) target: &'a Target,
    pub(super) machine: &'a Machine<'a>,
    pub(super) contexts: &'a Arc<Contexts>,
    /// The source under which the steps are shown.
    pub(super) source: Source,
    /// Fires when the image is to stop.
    pub(super) cancel: &'a Cancel,
    /// The platforms, if other machines build other parts of the image.
    pub(super) label: Option<String>,
    /// Every step has run, so another solve takes all of them from the cache.
    pub(super) is_built: Cell<bool>,
}

impl Solver<'_> {
    /// Runs a solve. It is repeated if files changed during the transfer, or if the builder's state is inconsistent.
    ///
    /// The names that it pushes are added to `pushes`, also after a failure.
    pub(super) async fn solve(
        &self,
        link: &Link,
        solve: &Solve,
        pushes: &mut Pushes,
    ) -> Result<Solved> {
        let solve = self.with_inputs(link, solve).await?;
        self.repeated(link, async |session| {
            self.once(link, session, &solve, pushes).await
        })
        .await
    }

    /// Runs `once` in the session of the image, and again in another one if another attempt is likely to succeed.
    pub(super) async fn repeated<T>(
        &self,
        link: &Link,
        mut once: impl AsyncFnMut(&Session) -> Result<T>,
    ) -> Result<T> {
        let mut attempts = Attempts::default();
        let mut previous = None::<Arc<SharedSession>>;
        loop {
            let replaced = (previous.as_ref(), attempts.transfer);
            let opening = self
                .machine
                .session(link, self.contexts, replaced, self.cancel);
            let shared = opening.await?;
            if let Some(previous) = previous.take() {
                self.machine
                    .retire(previous, self.run.links.is_empty())
                    .await;
            }
            attempts.transfer = shared.transfer;
            match once(&shared.session).await {
                Err(failure) if self.repeats(&failure, &mut attempts) => previous = Some(shared),
                ended => return ended,
            }
        }
    }

    /// Whether a failed solve is repeated, with another session, because another attempt is likely to succeed. Logs the reason.
    pub(super) fn repeats(&self, failure: &Failure, attempts: &mut Attempts) -> bool {
        if attempts.transfer < MAX_TRANSFERS && has_changed_files(failure) {
            attempts.transfer += 1;
            let why = self.run.masker.mask(failure.cause_line());
            let transfer = attempts.transfer;
            tracing::warn!("{why}; sending the context again ({transfer} of {MAX_TRANSFERS})");
            return true;
        }
        if attempts.retries_left > 0 && has_inconsistent_state(failure) {
            attempts.retries_left -= 1;
            let why = self.run.masker.mask(failure.one_line());
            tracing::warn!("the builder's state is inconsistent; repeating the build: {why}");
            // The builder then loads the local files as new steps.
            return true;
        }
        false
    }

    /// Runs a solve once, whose exporter sends its result to `sink`, in a session of its own.
    pub(super) async fn export(
        &self,
        link: &Link,
        solve: &Solve,
        sink: impl Service + 'static,
        attempts: Attempts,
        pushes: &mut Pushes,
    ) -> Result<Solved> {
        let sink = (sink, attempts.transfer);
        let opening = self
            .machine
            .session_with_sink(link, self.contexts, sink, self.cancel);
        let solve = self.with_inputs(link, solve).await?;
        let session = opening.await?;
        let solved = self.once(link, &session, &solve, pushes).await;
        session.close().await;
        solved
    }

    /// Runs a solve once. Its status is shown, and read for pushed names.
    async fn once(
        &self,
        link: &Link,
        session: &Session,
        solve: &Solve,
        pushes: &mut Pushes,
    ) -> Result<Solved> {
        let stopped = async {
            self.cancel.fired().await;
        };
        self.shown(pushes, async |sender| {
            link.connection.solve(solve, session, sender, stopped).await
        })
        .await
    }

    /// Runs `start`, which sends its status to the channel. The status is shown, and read for pushed names.
    pub(super) async fn shown<T>(
        &self,
        pushes: &mut Pushes,
        start: impl AsyncFnOnce(mpsc::Sender<StatusResponse>) -> std::result::Result<T, SolveError>,
    ) -> Result<T> {
        let (sender, mut statuses) = mpsc::channel::<StatusResponse>(STATUS_IN_FLIGHT);
        let forwarded = Cell::new(0);
        let is_repeated = self.is_built.get();
        let mut forwarding = Box::pin(async {
            while let Some(status) = statuses.recv().await {
                pushes.observe(&status);
                let source = self.source;
                // If the log has ended, or accepts nothing while the run is stopping, the rest is still read for pushed
                // names.
                tokio::select! {
                    biased;
                    _ended = self.run.status.send(Update { source, status, is_repeated }) => {}
                    _reason = self.cancel.fired() => {}
                }
                forwarded.set(forwarded.get() + 1);
            }
        });
        let mut is_forwarded = false;
        let solved = {
            let mut solving = std::pin::pin!(start(sender));
            loop {
                tokio::select! {
                    solved = &mut solving => break solved,
                    () = &mut forwarding, if !is_forwarded => is_forwarded = true,
                }
            }
        };
        if !is_forwarded {
            // An unread log must not delay the end of the build.
            let _unread = while_moving(UNREAD_QUIET, || forwarded.get(), &mut forwarding).await;
        }
        drop(forwarding);
        while let Ok(status) = statuses.try_recv() {
            pushes.observe(&status);
        }
        match solved {
            Ok(solved) => Ok(solved),
            Err(error) => Err(self.why_it_failed(error).await),
        }
    }

    /// The failure behind `error`. A lost machine may mean that the build was canceled at Depot, which only the next health
    /// report would show.
    async fn why_it_failed(&self, error: SolveError) -> Failure {
        let is_broken = error.kind == ErrorKind::Connection;
        match self.why_it_stopped(is_broken).await {
            Some(reason) => Failure::Canceled(reason),
            None => self.failure(error),
        }
    }

    /// The failure of a solve.
    pub(super) fn failure(&self, error: SolveError) -> Failure {
        Failure::Solve {
            error: Box::new(error),
            target: self.label.clone(),
        }
    }

    /// Why the image was stopped, if it was. After a broken connection, Depot is queried for a cancellation.
    pub(super) async fn why_it_stopped(&self, is_broken: bool) -> Option<Reason> {
        if self.cancel.reason().is_none() && is_broken {
            let querying = self.run.build.is_canceled(self.machine.platform());
            if self.run.cancel.within(CANCEL_QUERY_LIMIT, querying).await == Some(true) {
                return Some(Reason::Depot);
            }
        }
        self.cancel.reason()
    }
}

/// Whether the solve may succeed with another transfer of the context.
fn has_changed_files(failure: &Failure) -> bool {
    matches!(failure, Failure::Solve { error, .. } if error.kind == ErrorKind::FilesChanged)
}

/// Whether repeating the same solve is likely to succeed.
fn has_inconsistent_state(failure: &Failure) -> bool {
    matches!(failure, Failure::Solve { error, .. } if error.kind == ErrorKind::InconsistentState)
}
