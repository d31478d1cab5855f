//! The part of a run that one machine does, round by round. `acquire.rs` acquires the machine.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use tokio::sync::mpsc;

use super::failure::{Failure, PushFailure};
use super::machines::Work;
use super::one_digest::model_of;
use super::request::Destination;
use super::round::{Next, PAUSE, Round, exported};
use super::target::Target;
use super::{Result, STATUS_IN_FLIGHT, request};
use crate::buildkit::session::{Changes, FileSink, Services};
use crate::buildkit::{Connection, ErrorKind, Pushes, Solve, SolveError, Solved};
use crate::cancel::{Cancel, Reason};
use crate::depot::Steps;
use crate::io::idle::while_moving;
use crate::registry::reference::Reference;
use crate::report::progress::{Source, Update};
use crate::text::shape;

/// How often a lost machine is requested again.
pub(super) const MAX_RECONNECTS: usize = 2;

/// How often a solve is repeated after the builder reported an inconsistent state.
const MAX_SOLVE_RETRIES: usize = 2;

/// How often a context is sent if its files change while it is being sent.
const MAX_TRANSFERS: u32 = 3;

/// Error texts of a builder whose internal state is inconsistent. Only repeating the same solve helps.
const INCONSISTENT_STATE: [&str; 2] = ["inconsistent graph state", "failed to get state for index"];

/// After a solve, its last messages are dropped if the log accepts none of them for this long.
const UNREAD_QUIET: Duration = Duration::from_secs(5);

/// How long the request may take that checks whether Depot canceled the build.
const CANCEL_QUERY_LIMIT: Duration = Duration::from_secs(2);

/// The response key under which Depot's fork returns the lease that keeps the exported content.
const LEASE: &str = "depot/session.id";

/// The result of one round.
#[derive(Debug)]
pub(super) struct Delivered {
    /// The names of the image. If several machines build it, it gets them later.
    pub(super) names: Vec<Reference>,
    /// The digest of the index or manifest, if the builder returned it.
    pub(super) digest: Option<String>,
}

/// An exported image that can be read from its builder.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) connection: Connection,
    pub(super) solved: Solved,
}

/// The result of one machine's part.
#[derive(Debug)]
pub(super) struct PartResult {
    pub(super) delivered: Vec<Delivered>,
    /// Present if an image was exported.
    pub(super) exported: Option<Exported>,
}

/// One machine's part.
pub(super) struct Part<'a> {
    pub(super) work: &'a Work<'a>,
    pub(super) target: &'a Target,
    /// The names of the image in the daemon, if it is loaded from this machine.
    pub(super) loaded: Option<&'a [Reference]>,
    /// The source under which its steps are shown.
    pub(super) source: Source,
    /// Fires when the run is to stop, or when another machine has failed.
    pub(super) cancel: Cancel,
    pub(super) status: mpsc::Sender<Update>,
    /// Every step has run, so that another solve uses the cache.
    pub(super) is_built: AtomicBool,
}

impl Part<'_> {
    /// Builds, and pushes in as many rounds as needed.
    ///
    /// Not cancel safe: stop it through `cancel`.
    ///
    /// A machine that is lost is requested again. Its cache holds what it has built, and a repeated push uploads nothing that
    /// the registry already has.
    pub(super) async fn build(&self, steps: &Steps) -> Result<PartResult> {
        let mut connection = self.ready(steps).await?;
        let mut pushes = Pushes::default();
        let mut attempts = 0;
        loop {
            match self.rounds(&connection, &mut pushes).await {
                Ok((delivered, solved)) => {
                    return Ok(PartResult {
                        delivered,
                        exported: solved.map(|solved| Exported { connection, solved }),
                    });
                }
                Err(lost) if lost.is_machine_lost() && attempts < MAX_RECONNECTS => {
                    let connected = self.connect_again(steps, &lost, &mut attempts).await;
                    connection = connected.inspect_err(|_| self.report_pushed(&pushes))?;
                }
                // Its own report lists the pushed names.
                Err(failure @ (Failure::Push(_) | Failure::Publish(_))) => return Err(failure),
                Err(failure) => {
                    self.report_pushed(&pushes);
                    return Err(failure);
                }
            }
        }
    }

    /// Reports which names were pushed although the run failed.
    fn report_pushed(&self, pushes: &Pushes) {
        if !self.work.by_digest() {
            self.work
                .report_pushed(|name| pushes.has(&name.to_string()));
        }
    }

    /// Exports the image again from the cache, for a load that lost the machine. Depot may return another machine.
    pub(super) async fn export_again(
        &self,
        steps: &Steps,
        lost: &Failure,
        attempts: &mut usize,
    ) -> Result<Exported> {
        let mut connection = self.connect_again(steps, lost, attempts).await?;
        loop {
            match self.round(&connection, None, &mut Pushes::default()).await {
                Ok(solved) => return Ok(Exported { connection, solved }),
                Err(lost) if lost.is_machine_lost() && *attempts < MAX_RECONNECTS => {
                    connection = self.connect_again(steps, &lost, attempts).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Runs all rounds. Returns the deliveries and the response of the first successful solve.
    async fn rounds(
        &self,
        connection: &Connection,
        pushes: &mut Pushes,
    ) -> Result<(Vec<Delivered>, Option<Solved>)> {
        let work = self.work;
        if work.names.is_empty() {
            let solved = self.round(connection, None, pushes).await?;
            let delivered = Delivered {
                names: Vec::new(),
                digest: solved.digest().map(str::to_owned),
            };
            return Ok((vec![delivered], Some(solved)));
        }
        let mut first = None;
        let mut waiting: VecDeque<Round> = work.rounds();
        let mut delivered = Vec::new();
        // The first name with its digest: the other names of the same form get the same digest.
        let mut model = None;
        while let Some(round) = waiting.pop_front() {
            let error = match self.round(connection, Some(&round), pushes).await {
                Ok(solved) => {
                    let digest = solved.digest().map(str::to_owned);
                    if round.docker_form {
                        delivered.push(Delivered {
                            names: round.names,
                            digest,
                        });
                    } else {
                        let aligned = self
                            .with_one_digest(model.as_ref(), round.names, digest)
                            .await?;
                        model = model.or_else(|| model_of(&aligned));
                        delivered.extend(aligned);
                    }
                    first.get_or_insert(solved);
                    continue;
                }
                Err(Failure::Solve { error, .. }) => *error,
                Err(other) => return Err(other),
            };
            let refused = self.refused_tag(&error, &round).await;
            if let Some((name, digest)) = refused.clone().filter(|(name, digest)| {
                // The registry has what this run tried to push: the response to an earlier attempt was lost.
                pushes.has_attempted(&name.to_string(), digest)
            }) {
                let why = work.masker.mask(error.message);
                tracing::warn!(
                    "`{name}` already has this image, although the push was rejected: {why}"
                );
                pushes.note(name.to_string());
                let is_docker_form = round.docker_form;
                if let Some(rest) = round.without(&name) {
                    waiting.push_front(rest);
                }
                delivered.push(Delivered {
                    names: vec![name.clone()],
                    digest: Some(digest.clone()),
                });
                if !is_docker_form {
                    model.get_or_insert((name, digest));
                }
                continue;
            }
            let round_names = round.names.clone();
            match round.after(&error) {
                Next::Retry { rounds, pause, why } => {
                    tracing::warn!("{}", work.masker.mask(why));
                    if pause {
                        let waited = self.cancel.unless_fired(tokio::time::sleep(PAUSE)).await;
                        waited.map_err(Failure::Canceled)?;
                    }
                    for round in rounds.into_iter().rev() {
                        waiting.push_front(round);
                    }
                }
                Next::Fail if self.lacks_only_passing_names(&error, pushes) => {
                    let why = work.masker.mask(error.message);
                    tracing::warn!(
                        "the daemon cannot pull the image from Depot's registry; loading it from the builder instead: {why}"
                    );
                    work.pull_failed.store(true, Ordering::Relaxed);
                    let remains = |name: &&Reference| !work.passing.contains(name);
                    delivered.push(Delivered {
                        names: round_names.iter().filter(remains).cloned().collect(),
                        digest: None,
                    });
                    // Exports the image from the cache.
                    let solved = self.round(connection, None, pushes).await?;
                    first.get_or_insert(solved);
                }
                Next::Fail => return Err(self.failed(error, pushes, refused.is_some())),
            }
        }
        if first.is_none()
            && let Some(digest) = delivered.iter().find_map(|image| image.digest.clone())
        {
            // No solve succeeded, so another one exports the image from the cache.
            let mut solved = self.round(connection, None, pushes).await?;
            describe_pushed(&mut solved.response, digest);
            first = Some(solved);
        }
        Ok((delivered, first))
    }

    /// Whether the only machine failed to push a passing name (see [`Work::passing`]) after it pushed all other names.
    fn lacks_only_passing_names(&self, error: &SolveError, pushes: &Pushes) -> bool {
        let work = self.work;
        let ErrorKind::Registry { reference, .. } = &error.kind else {
            return false;
        };
        let is_passing = |name: &Reference| work.passing.contains(name);
        let failed = |name: &&Reference| name.to_string() == *reference;
        let mut names = work.names.iter();
        !work.by_digest()
            && work.passing.iter().any(|name| failed(&name))
            && names.all(|name| is_passing(name) || pushes.has(&name.to_string()))
    }

    /// A failed push lists the names that were pushed; a push by digest has no names yet. `is_taken`: the tag holds another
    /// image.
    fn failed(&self, error: SolveError, pushes: &Pushes, is_taken: bool) -> Failure {
        let work = self.work;
        let ErrorKind::Registry { reference, .. } = &error.kind else {
            return self.solve_failure(error);
        };
        let is_push = work
            .names
            .iter()
            .any(|name| exported(name, work.by_digest()) == *reference);
        if !is_push {
            return self.solve_failure(error);
        }
        // The exporter's status for the failing name looks like that of a pushed one.
        let is_pushed = |name: &String| name != reference && pushes.has(name) && !work.by_digest();
        let names = work.names.iter().map(ToString::to_string);
        let (present, missing) = names.partition(is_pushed);
        Failure::Push(Box::new(PushFailure {
            error,
            target: self.label(),
            pushed: present,
            missing,
            is_taken,
        }))
    }

    fn solve_failure(&self, error: SolveError) -> Failure {
        Failure::Solve {
            error: Box::new(error),
            target: self.label(),
        }
    }

    /// The name of this part, if there are several.
    fn label(&self) -> Option<String> {
        self.work.by_digest().then(|| self.target.to_string())
    }

    /// One solve, for one round of pushes or for none.
    async fn round(
        &self,
        connection: &Connection,
        round: Option<&Round>,
        pushes: &mut Pushes,
    ) -> Result<Solved> {
        let destination = Destination {
            round,
            by_digest: self.work.by_digest(),
            loaded: self.loaded,
            reads_manifests: self.work.plan.outputs.shell.is_some(),
        };
        let mut solve = request::solve(self.work.plan, self.target, destination);
        if self.is_built.load(Ordering::Relaxed) {
            // The image is already built and must not be built again: the result could differ.
            solve.frontend_attributes.remove("no-cache");
        }
        let mut retries_left = MAX_SOLVE_RETRIES;
        let mut transfers = 1;
        let solved = loop {
            // A file that changes constantly must not fail every build.
            let changes = if transfers < MAX_TRANSFERS {
                Changes::Refused
            } else {
                Changes::Tolerated
            };
            match self.solve(connection, &solve, None, changes, pushes).await {
                Err(failure) if transfers < MAX_TRANSFERS && has_changed_files(&failure) => {
                    transfers += 1;
                    let why = self.work.masker.mask(failure.cause_line());
                    tracing::warn!(
                        "{why}; sending the context again ({transfers} of {MAX_TRANSFERS})"
                    );
                }
                Err(failure) if retries_left > 0 && has_inconsistent_state(&failure) => {
                    retries_left -= 1;
                    let why = self.work.masker.mask(failure.one_line());
                    tracing::warn!(
                        "the builder's state is inconsistent; repeating the build: {why}"
                    );
                }
                ended => break ended?,
            }
        };
        if self.loaded.is_some()
            && let Some(lease) = solved.response.get(LEASE)
            && shape::is_id(lease)
        {
            self.work
                .leases
                .keep(self.target.machine, connection, lease);
        }
        Ok(solved)
    }

    /// Runs another solve, whose exporter sends a file to `file`.
    pub(super) async fn export(
        &self,
        connection: &Connection,
        solve: &Solve,
        file: FileSink,
    ) -> Result<Solved> {
        let (file, pushes) = (Some(file), &mut Pushes::default());
        self.solve(connection, solve, file, Changes::Tolerated, pushes)
            .await
    }

    /// Runs a solve. Its status is shown, and read for pushed names.
    async fn solve(
        &self,
        connection: &Connection,
        solve: &Solve,
        file: Option<FileSink>,
        changes: Changes,
        pushes: &mut Pushes,
    ) -> Result<Solved> {
        let work = self.work;
        let key = work.contexts.key();
        let services = Services {
            shared_key: self
                .cancel
                .unless_fired(key)
                .await
                .map_err(Failure::Canceled)?,
            files: work.contexts.files(changes),
            authorizer: work.authorizer(),
            file,
        };
        let (sender, mut statuses) = mpsc::channel::<StatusResponse>(STATUS_IN_FLIGHT);
        let forwarded = Cell::new(0);
        let mut forwarding = Box::pin(async {
            while let Some(status) = statuses.recv().await {
                pushes.observe(&status);
                let source = self.source;
                // If the log has ended, or accepts nothing while the run is stopping, the rest is still read for pushed
                // names.
                tokio::select! {
                    biased;
                    _ended = self.status.send(Update { source, status }) => {}
                    _reason = self.cancel.fired() => {}
                }
                forwarded.set(forwarded.get() + 1);
            }
        });
        let stopped = async {
            self.cancel.fired().await;
        };
        let mut is_forwarded = false;
        let solved = {
            let mut solving = std::pin::pin!(connection.solve(solve, services, sender, stopped));
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
        let is_built = match &solved {
            Ok(_) => true,
            // At least one name was pushed, so the build itself succeeded.
            Err(error) => error.is_after_build() || !pushes.is_empty(),
        };
        self.is_built.fetch_or(is_built, Ordering::Relaxed);
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
            None => self.solve_failure(error),
        }
    }

    /// Why the run was stopped, if it was. After a broken connection, Depot is queried for a cancellation.
    pub(super) async fn why_it_stopped(&self, is_broken: bool) -> Option<Reason> {
        if self.cancel.reason().is_none() && is_broken {
            let querying = self.work.build.is_canceled(self.target.machine);
            if self.work.cancel.within(CANCEL_QUERY_LIMIT, querying).await == Some(true) {
                return Some(Reason::Depot);
            }
        }
        self.cancel.reason()
    }
}

/// Puts the digest of the pushed image in place of that of an export that was pushed nowhere. The descriptor of the export would
/// contradict it; its configuration is the same.
fn describe_pushed(response: &mut HashMap<String, String>, digest: String) {
    let key = "containerimage.digest";
    if response.get(key) != Some(&digest) {
        response.retain(|key, _| !key.starts_with("containerimage.descriptor"));
        response.insert(key.to_owned(), digest);
    }
}

/// Whether the solve may succeed with another transfer of the context.
fn has_changed_files(failure: &Failure) -> bool {
    matches!(failure, Failure::Solve { error, .. } if error.kind == ErrorKind::FilesChanged)
}

/// Whether repeating the same solve is likely to succeed.
fn has_inconsistent_state(failure: &Failure) -> bool {
    let Failure::Solve { error, .. } = failure else {
        return false;
    };
    INCONSISTENT_STATE
        .iter()
        .any(|words| error.message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_does_not_describe_another_image_than_the_pushed_one() {
        let pairs = [
            ("containerimage.config.digest", "sha256:c"),
            ("containerimage.descriptor", "of a"),
            ("containerimage.digest", "sha256:a"),
            ("other", "x"),
        ];
        let of_export: HashMap<String, String> = pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let mut same = of_export.clone();
        describe_pushed(&mut same, "sha256:a".into());
        assert_eq!(same, of_export);
        let mut other = of_export.clone();
        describe_pushed(&mut other, "sha256:b".into());
        assert_eq!(other.get("containerimage.descriptor"), None);
        assert_eq!(other["containerimage.digest"], "sha256:b");
        assert_eq!(other["containerimage.config.digest"], "sha256:c");
        assert_eq!(other.len(), 3);
    }

    #[test]
    fn only_an_inconsistent_builder_state_repeats_the_solve() {
        for (message, expected) in [
            (
                "failed to solve: inconsistent graph state in edge merge",
                true,
            ),
            ("failed to get state for index 0 on [2/2] RUN make", true),
            ("process \"make\" did not complete successfully", false),
        ] {
            let error = SolveError {
                message: message.into(),
                kind: ErrorKind::Build,
                vertex: None,
                sources: Vec::new(),
                hint: None,
            };
            let failure = Failure::Solve {
                error: Box::new(error),
                target: None,
            };
            assert_eq!(has_inconsistent_state(&failure), expected, "{message}");
        }
    }
}
