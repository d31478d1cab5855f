//! The part of a run that one machine does, round by round. How it is come by is in `acquire.rs`.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use tokio::sync::mpsc;

use super::failure::{Failure, PushFailure};
use super::machines::Work;
use super::one_digest::model_of;
use super::request::Wanted;
use super::round::{Next, PAUSE, Round, exported};
use super::target::Target;
use super::{Result, STATUS_IN_FLIGHT, request};
use crate::buildkit::session::{Changes, FileSink, Services};
use crate::buildkit::{Connection, ErrorKind, Pushes, Solve, SolveError, Solved};
use crate::cancel::{Cancel, Reason};
use crate::depot::Steps;
use crate::moving::while_moving;
use crate::registry::reference::Reference;
use crate::report::progress::{Source, Update};
use crate::shape;

/// How often a machine that went away is asked for again.
pub(super) const AGAIN: usize = 2;

/// How often a context is sent whose files change meanwhile.
const MAX_TRANSFERS: u32 = 3;

/// What a builder says that has got itself into a state from which only another solve of the same leads out.
const CONFUSED: [&str; 2] = ["inconsistent graph state", "failed to get state for index"];

/// After a solve its last messages wait for room in the log until none has found any for so long.
const UNREAD_QUIET: Duration = Duration::from_secs(5);

/// How long Depot is asked whether it took a machine away on purpose.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// Under which Depot's fork answers with the lease that keeps what it has exported.
const LEASE: &str = "depot/session.id";

/// What one round came to.
#[derive(Debug)]
pub(super) struct Delivered {
    /// The names that the image has now, or, where machines share the work, will have.
    pub(super) names: Vec<Reference>,
    /// The digest of the index or manifest, as far as the builder told.
    pub(super) digest: Option<String>,
}

/// What a machine has at hand for whoever wants to read it.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) connection: Connection,
    pub(super) solved: Solved,
}

/// What a machine has made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) delivered: Vec<Delivered>,
    /// Present where there is an image.
    pub(super) exported: Option<Exported>,
}

/// One machine's part.
pub(super) struct Part<'a> {
    pub(super) work: &'a Work<'a>,
    pub(super) target: &'a Target,
    /// The names that the image has in the daemon, where it is loaded from here.
    pub(super) loaded: Option<&'a [Reference]>,
    /// As which its steps are shown.
    pub(super) source: Source,
    /// Fires when the run is to stop, or when another machine has failed.
    pub(super) cancel: Cancel,
    pub(super) status: mpsc::Sender<Update>,
    /// Every step was run, so that what is solved again is what was built.
    pub(super) is_built: AtomicBool,
}

impl Part<'_> {
    /// Builds, and pushes in as many rounds as it takes.
    ///
    /// Not cancel safe: stop it through `cancel`.
    ///
    /// A machine that goes away in the middle is asked for again. What it has built is in its cache, and a push of what is there
    /// already moves nothing.
    pub(super) async fn build(&self, steps: &Steps) -> Result<Made> {
        let mut connection = self.ready(steps).await?;
        let mut pushes = Pushes::default();
        let mut time = 0;
        loop {
            match self.rounds(&connection, &mut pushes).await {
                Ok((delivered, solved)) => {
                    return Ok(Made {
                        delivered,
                        exported: solved.map(|solved| Exported { connection, solved }),
                    });
                }
                Err(lost) if lost.is_machine_lost() && time < AGAIN => {
                    let connected = self.connect_again(steps, &lost, &mut time).await;
                    connection = connected.inspect_err(|_| self.tell_pushed(&pushes))?;
                }
                // That names them itself.
                Err(failure @ (Failure::Push(_) | Failure::Publish(_))) => return Err(failure),
                Err(failure) => {
                    self.tell_pushed(&pushes);
                    return Err(failure);
                }
            }
        }
    }

    /// Says which names have an image though the run failed.
    fn tell_pushed(&self, pushes: &Pushes) {
        if !self.work.by_digest() {
            self.work.tell_pushed(|name| pushes.has(&name.to_string()));
        }
    }

    /// Has the machine, or another one in its place, export once more what is in the cache, for a load that lost it on the way.
    pub(super) async fn export_again(
        &self,
        steps: &Steps,
        lost: &Failure,
        time: &mut usize,
    ) -> Result<Exported> {
        let mut connection = self.connect_again(steps, lost, time).await?;
        loop {
            match self.round(&connection, None, &mut Pushes::default()).await {
                Ok(solved) => return Ok(Exported { connection, solved }),
                Err(lost) if lost.is_machine_lost() && *time < AGAIN => {
                    connection = self.connect_again(steps, &lost, time).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// What was delivered, and the answer to the first solve that went well.
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
        // The first name with its digest: the others of its form get that too.
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
                // What this run has tried to push is there: the answer to an earlier attempt was lost.
                pushes.has_attempted(&name.to_string(), digest)
            }) {
                let why = work.masker.mask(error.message);
                tracing::warn!("`{name}` has the image, though the push was refused: {why}");
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
                Next::Again { rounds, pause, why } => {
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
                        "the daemon cannot pull the image from where Depot wanted it, and gets it from the builder: {why}"
                    );
                    work.pull_failed.store(true, Ordering::Relaxed);
                    let there = |name: &&Reference| !work.passing.contains(name);
                    delivered.push(Delivered {
                        names: round_names.iter().filter(there).cloned().collect(),
                        digest: None,
                    });
                    // Exports what is in the cache by now.
                    let solved = self.round(connection, None, pushes).await?;
                    first.get_or_insert(solved);
                }
                Next::Fail => return Err(self.failed(error, pushes, refused.is_some())),
            }
        }
        if first.is_none()
            && let Some(digest) = delivered.iter().find_map(|image| image.digest.clone())
        {
            // No solve has come to its end, so one is needed that exports what is in the cache.
            let mut solved = self.round(connection, None, pushes).await?;
            describe_pushed(&mut solved.response, digest);
            first = Some(solved);
        }
        Ok((delivered, first))
    }

    /// Whether a push failed that nobody asked for, by a machine that builds alone, and every name that stays was pushed.
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

    /// A failed push is told with what was pushed; by digest, nothing has a name yet. `is_taken`: the tag holds another image.
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
        // The exporter tells of the failing one as of the others.
        let is_pushed = |name: &String| name != reference && pushes.has(name) && !work.by_digest();
        let names = work.names.iter().map(ToString::to_string);
        let (there, missing) = names.partition(is_pushed);
        Failure::Push(Box::new(PushFailure {
            error,
            target: self.label(),
            pushed: there,
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

    /// What this part is called where there are others.
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
        let wanted = Wanted {
            round,
            by_digest: self.work.by_digest(),
            loaded: self.loaded,
            is_kept: self.work.plan.outputs.shell.is_some(),
        };
        let mut solve = request::solve(self.work.plan, self.target, wanted);
        if self.is_built.load(Ordering::Relaxed) {
            // What was built a moment ago is not built anew, least of all into another image.
            solve.frontend_attributes.remove("no-cache");
        }
        let mut left = AGAIN;
        let mut transfers = 1;
        let solved = loop {
            // A file that changes all the time must not end every build.
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
                Err(failure) if left > 0 && is_confused(&failure) => {
                    left -= 1;
                    let why = self.work.masker.mask(failure.one_line());
                    tracing::warn!(
                        "the builder got confused, and is asked for the same again: {why}"
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

    /// One more solve, whose exporter sends us a file.
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

    /// A solve, whose status is shown and read on the way.
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
                // When the log has ended, or takes nothing while the run is to stop, the rest is still read for
                // what was pushed.
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
            // A log that nobody reads must not hold the end up.
            let _unread = while_moving(UNREAD_QUIET, || forwarded.get(), &mut forwarding).await;
        }
        drop(forwarding);
        while let Ok(status) = statuses.try_recv() {
            pushes.observe(&status);
        }
        let is_built = match &solved {
            Ok(_) => true,
            // One name has it, whatever came then.
            Err(error) => error.is_after_build() || !pushes.is_empty(),
        };
        self.is_built.fetch_or(is_built, Ordering::Relaxed);
        match solved {
            Ok(solved) => Ok(solved),
            Err(error) => Err(self.why_it_failed(error).await),
        }
    }

    /// A machine that went away may have been taken by whoever stopped the build at Depot, which the next health report
    /// would have told.
    async fn why_it_failed(&self, error: SolveError) -> Failure {
        let is_broken = error.kind == ErrorKind::Connection;
        match self.why_it_stopped(is_broken).await {
            Some(reason) => Failure::Canceled(reason),
            None => self.solve_failure(error),
        }
    }

    /// Whether the run was stopped, also where we know that only from a connection that broke.
    pub(super) async fn why_it_stopped(&self, is_broken: bool) -> Option<Reason> {
        if self.cancel.reason().is_none() && is_broken {
            let asking = self.work.build.is_canceled(self.target.machine);
            if self.work.cancel.within(ASK_LIMIT, asking).await == Some(true) {
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

/// Whether the same solve may well succeed a moment later.
fn is_confused(failure: &Failure) -> bool {
    let Failure::Solve { error, .. } = failure else {
        return false;
    };
    CONFUSED.iter().any(|words| error.message.contains(words))
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
    fn only_a_builder_that_is_confused_is_asked_for_the_same_again() {
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
            assert_eq!(is_confused(&failure), expected, "{message}");
        }
    }
}
