//! The share of one machine in an image: it builds its platforms and pushes them, round by round.

use std::cell::{Cell, OnceCell};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::caches::ShareCaches;
use super::delivered::{Built, Delivered};
use super::export::{Export, Retention};
use super::exporting::{self, Exports, ReceivedExports};
use super::failure::{CacheExportFailure, Failure, PushFailure};
use super::job::Job;
use super::machines::{Link, Machine};
use super::one_digest::{model_of, rejected_tag, with_one_digest};
use super::round::{self, Form, Next, PAUSE, Round, exported};
use super::run::Run;
use super::solving::Solver;
use super::target::Target;
use super::{Result, request};
use crate::buildkit::{ErrorKind, Pushes, Solve, SolveError, Solved};
use crate::cancel::Reason;
use crate::config::plan::Compression;
use crate::depot::fork;
use crate::destination::Received;
use crate::registry::reference::Reference;
use crate::report::progress::Source;

/// One machine's share in an image.
pub(super) struct Share<'a> {
    run: &'a Run<'a>,
    job: &'a Job<'a>,
    target: &'a Target,
    machine: &'a Machine<'a>,
    pub(super) solver: Solver<'a>,
    /// The names of the image in the daemon, if it is loaded from this machine.
    loaded: Option<Vec<Reference>>,
    retention: Retention,
    exports: &'a Exports<'a>,
    /// Set before the first solve.
    caches: OnceCell<ShareCaches>,
    /// The caches outside of the builder were exported, so later solves do not export them again.
    is_cache_exported: Cell<bool>,
}

/// The result of a share.
#[derive(Debug)]
pub(super) struct ShareResult {
    pub(super) delivered: Vec<Delivered>,
    pub(super) built: Built,
    /// Another export, with attestations, if that of `built` has none and the SBOMs are read.
    pub(super) attested: Option<Solved>,
    /// The daemon cannot pull the image, because that push failed.
    pub(super) has_no_pull: bool,
    /// The result of each export.
    pub(super) received: Vec<Arc<Received>>,
}

/// The rounds of a share while they run.
struct Rounds {
    waiting: VecDeque<Round>,
    delivered: Vec<Delivered>,
    /// The first name with its digest: the other names of the same form get the same digest.
    model: Option<(Reference, String)>,
    /// The response of the first successful solve.
    first: Option<Solved>,
    /// That response has no attestations, because the registry does not accept them.
    is_bare: bool,
    has_no_pull: bool,
}

impl<'a> Share<'a> {
    /// The share of `target` in the image. `loaded`: the names in the daemon, if it is loaded from this machine.
    pub(super) fn new(
        run: &'a Run<'a>,
        job: &'a Job<'a>,
        machine: &'a Machine<'a>,
        target: (&'a Target, Source),
        loaded: Option<Vec<Reference>>,
        exports: &'a Exports<'a>,
    ) -> Self {
        let (target, source) = target;
        let retention = match &loaded {
            Some(_) => Retention::Content,
            // The SBOMs are read from the builder.
            None if run.plan.outputs.sboms.is_some() => Retention::Content,
            // The digests of the platforms are read for the output file.
            None if run.plan.outputs.shell.is_some() => Retention::Manifests,
            None => Retention::Nothing,
        };
        Self {
            run,
            job,
            target,
            machine,
            solver: Solver {
                run,
                plan: job.plan,
                target,
                machine,
                contexts: &job.files.contexts,
                source,
                cancel: &job.cancel,
                label: (job.form == Form::Part).then(|| target.to_string()),
                is_built: Cell::new(false),
            },
            loaded,
            retention,
            exports,
            caches: OnceCell::new(),
            is_cache_exported: Cell::new(false),
        }
    }

    /// Records that the machine finished its work for the image, or a load of it.
    pub(super) fn note_success(&self) {
        self.machine.note_success();
    }

    /// Whether the image is loaded from this machine.
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.is_some()
    }

    /// Builds, pushes in as many rounds as needed, and receives the exports.
    ///
    /// Not cancel safe: stop it through the image's `cancel`.
    ///
    /// A machine that is lost is requested again. Its cache holds what it has built, and a repeated push uploads nothing that
    /// the registry already has.
    pub(super) async fn build(&self) -> Result<ShareResult> {
        let mut link = self.ready().await?;
        let mut pushes = Pushes::default();
        let mut received = ReceivedExports::default();
        loop {
            let failure = match self.attempt(&link, &mut pushes, &mut received).await {
                Ok(result) => {
                    self.note_success();
                    return Ok(result);
                }
                Err(failure) => failure,
            };
            let failure = match self.link_after(&link, &failure).await {
                Ok(Some(next)) => {
                    link = next;
                    continue;
                }
                Ok(None) => failure,
                Err(failure) => failure,
            };
            // The reports of failed pushes list the pushed names themselves.
            if !matches!(failure, Failure::Push(_) | Failure::Publish(_))
                && self.job.form == Form::Whole
            {
                self.job.report_pushed(|name| pushes.has(&name.to_string()));
            }
            return Err(failure);
        }
    }

    /// Exports the image again from the cache, for a load that lost the machine with `failure`. Depot may return another machine.
    /// `None` if the machine cannot be requested again.
    pub(super) async fn build_again(
        &self,
        lost: &Link,
        failure: &Failure,
    ) -> Result<Option<Built>> {
        let cancel = &self.job.cancel;
        let mut next = self.machine.link_after(lost, failure, cancel).await?;
        while let Some(link) = next {
            match self.store(&link, &mut Pushes::default()).await {
                Ok(solved) => return Ok(Some(Built { link, solved })),
                Err(failure) => {
                    next = self.link_after(&link, &failure).await?;
                    if next.is_none() {
                        return Err(failure);
                    }
                }
            }
        }
        Ok(None)
    }

    /// The next connection, if `failure` is the loss of `link` and the machine can be requested again.
    async fn link_after(&self, link: &Link, failure: &Failure) -> Result<Option<Link>> {
        if !failure.is_machine_lost() {
            return Ok(None);
        }
        let cancel = &self.job.cancel;
        self.machine.link_after(link, failure, cancel).await
    }

    /// Acquires the machine and prepares the registries at the same time. The first failure stops the other.
    async fn ready(&self) -> Result<Link> {
        let cancel = &self.job.cancel;
        let stop_if_failed = |is_failed: bool| {
            if is_failed {
                cancel.fire(Reason::Sibling);
            }
        };
        let linking = async {
            let link = self.machine.link(cancel).await;
            stop_if_failed(link.is_err());
            link
        };
        let preparing = async {
            let prepared = self.job.prepare(&self.run.registries).await;
            stop_if_failed(prepared.is_err());
            prepared
        };
        // The session key needs a walk through the context, which runs while the machine starts.
        let naming = cancel.unless_fired(self.job.files.contexts.key());
        let caching = async {
            let preparing =
                ShareCaches::prepare(self.run, self.job.plan, self.job.form, self.target);
            let caches = cancel.unless_fired(preparing).await;
            let caches = caches.map_err(Failure::Canceled).flatten();
            stop_if_failed(caches.is_err());
            caches
        };
        let (link, prepared, _named, caches) = tokio::join!(linking, preparing, naming, caching);
        let failures = match (link, prepared, caches) {
            (Ok(link), Ok(()), Ok(caches)) => {
                // It is empty: a share is built once.
                let _first = self.caches.set(caches);
                return Ok(link);
            }
            (link, prepared, caches) => [link.err(), prepared.err(), caches.err()],
        };
        let is_consequence =
            |failure: &Failure| matches!(failure, Failure::Canceled(Reason::Sibling));
        let failures = failures.into_iter().flatten();
        let cause =
            failures.reduce(|first, next| if is_consequence(&first) { next } else { first });
        Err(cause.unwrap_or(Failure::Canceled(Reason::Sibling)))
    }

    /// Runs all rounds, and then the exports that are not in `received`.
    async fn attempt(
        &self,
        link: &Link,
        pushes: &mut Pushes,
        received: &mut ReceivedExports,
    ) -> Result<ShareResult> {
        self.solver.build_as_input(link).await?;
        // SBOMs are read from a stored image.
        let is_only_exported = self.job.names.is_pushed_nowhere()
            && self.loaded.is_none()
            && self.run.plan.outputs.sboms.is_none();
        let result = if is_only_exported && !self.exports.is_empty() {
            // The first export is the build.
            None
        } else {
            Some(self.rounds(link, pushes).await?)
        };
        for export in self.exports.iter().skip(received.results.len()) {
            let solve = exporting::solve(self.job, self.target, export.plan);
            let mut solve = self.after_build(solve);
            let exports_caches = self.add_caches(&mut solve, Export::Files(export.plan));
            let exported = export.receive(&self.solver, link, &solve, pushes).await;
            let (result, solved) =
                exported.map_err(|failure| self.cache_failure(failure, exports_caches))?;
            self.solver.is_built.set(true);
            self.is_cache_exported.set(true);
            received.results.push(Arc::new(result));
            received.first.get_or_insert(solved);
        }
        let mut result = result.unwrap_or_else(|| {
            let solved = received.first.clone().unwrap_or_default();
            ShareResult {
                delivered: vec![Delivered {
                    names: Vec::new(),
                    digest: solved.digest().map(str::to_owned),
                }],
                built: Built {
                    link: link.clone(),
                    solved,
                },
                attested: None,
                has_no_pull: false,
                received: Vec::new(),
            }
        });
        result.received.clone_from(&received.results);
        Ok(result)
    }

    /// The request, without the attribute that runs steps again if they have run.
    fn after_build(&self, mut solve: Solve) -> Solve {
        if self.solver.is_built.get() {
            // The image is already built and must not be built again: the result could differ.
            solve.frontend_attributes.remove("no-cache");
        }
        solve
    }

    /// Runs all rounds.
    async fn rounds(&self, link: &Link, pushes: &mut Pushes) -> Result<ShareResult> {
        let names = &self.job.names;
        let insecure = &self.run.plan.registries.insecure;
        let mut rounds = Rounds {
            waiting: round::rounds(names.pushed(), insecure),
            delivered: Vec::new(),
            model: None,
            first: None,
            is_bare: false,
            has_no_pull: false,
        };
        if names.is_pushed_nowhere() {
            let solved = self.store(link, pushes).await?;
            rounds.delivered.push(Delivered {
                names: Vec::new(),
                // An export only for the SBOM is not an image that is delivered.
                digest: solved
                    .digest()
                    .filter(|_| self.is_loaded())
                    .map(str::to_owned),
            });
            rounds.first = Some(solved);
        }
        while let Some(round) = rounds.waiting.pop_front() {
            self.report_replaced_compression(&round);
            match self.solve(link, Export::Push(&round), pushes).await {
                Ok(solved) => self.pushed(&mut rounds, round, solved).await?,
                Err(Failure::Solve { error, .. }) => {
                    self.not_pushed(link, &mut rounds, round, *error, pushes)
                        .await?;
                }
                Err(other) => return Err(other),
            }
        }
        let solved = match rounds.first {
            Some(solved) => solved,
            // No solve succeeded, so another one exports the image from the cache.
            None => {
                let mut solved = self.store(link, pushes).await?;
                let mut digests = rounds.delivered.iter();
                if let Some(digest) = digests.find_map(|image| image.digest.clone()) {
                    describe_pushed(&mut solved.response, digest);
                }
                solved
            }
        };
        let attested = if rounds.is_bare && self.run.plan.outputs.sboms.is_some() {
            Some(self.store(link, pushes).await?)
        } else {
            None
        };
        Ok(ShareResult {
            delivered: rounds.delivered,
            attested,
            built: Built {
                link: link.clone(),
                solved,
            },
            has_no_pull: rounds.has_no_pull,
            received: Vec::new(),
        })
    }

    /// Reports layers that are not compressed as requested, because Docker manifests cannot hold them.
    fn report_replaced_compression(&self, round: &Round) {
        if let Some(Compression { algorithm, .. }) = self.job.plan.compression
            && algorithm.needs_oci()
            && round.docker_form
        {
            let names: Vec<_> = round.names.iter().map(ToString::to_string).collect();
            tracing::warn!(
                "Docker manifests hold no layers in {algorithm}: they are compressed with gzip for {}",
                names.join(", ")
            );
        }
    }

    /// Records a round that pushed all its names.
    async fn pushed(&self, rounds: &mut Rounds, round: Round, solved: Solved) -> Result<()> {
        let delivered = Delivered {
            names: round.names,
            digest: solved.digest().map(str::to_owned),
        };
        let is_bare = round.docker_form;
        if is_bare {
            rounds.delivered.push(delivered);
        } else {
            let model = rounds.model.as_ref();
            let aligned = with_one_digest(self.run, self.job, model, delivered).await?;
            if rounds.model.is_none() {
                rounds.model = model_of(&aligned);
            }
            rounds.delivered.extend(aligned);
        }
        if rounds.first.is_none() {
            rounds.is_bare = is_bare;
            rounds.first = Some(solved);
        }
        Ok(())
    }

    /// Decides what follows a round that failed.
    ///
    /// # Errors
    /// The failure, if another round would not help.
    async fn not_pushed(
        &self,
        link: &Link,
        rounds: &mut Rounds,
        round: Round,
        error: SolveError,
        pushes: &mut Pushes,
    ) -> Result<()> {
        let masker = self.run.masker;
        let rejected = rejected_tag(self.run, self.job, &error, &round).await;
        if let Some((name, digest)) = &rejected
            // The registry has what this run tried to push: the response to an earlier attempt was lost.
            && pushes.has_attempted(&name.to_string(), digest)
        {
            let why = masker.mask(error.message);
            tracing::warn!(
                "`{name}` already has this image, although the push was rejected: {why}"
            );
            pushes.note(name.to_string());
            rounds.note_present(round, name, digest);
            return Ok(());
        }
        let names = round.names.clone();
        match round.after(&error) {
            Next::Retry {
                rounds: next,
                pause,
                why,
            } => {
                tracing::warn!("{}", masker.mask(why));
                if pause {
                    let cancel = &self.job.cancel;
                    let waited = cancel.unless_fired(tokio::time::sleep(PAUSE)).await;
                    waited.map_err(Failure::Canceled)?;
                }
                for round in next.into_iter().rev() {
                    rounds.waiting.push_front(round);
                }
            }
            Next::Fail if self.lacks_only_names_for_pull(&error, pushes) => {
                let why = masker.mask(error.message);
                tracing::warn!(
                    "the daemon cannot pull the image from Depot's registry; loading it from the builder instead: {why}"
                );
                rounds.has_no_pull = true;
                let is_kept = |name: &&Reference| !self.job.names.is_for_pull(name);
                rounds.delivered.push(Delivered {
                    names: names.iter().filter(is_kept).cloned().collect(),
                    digest: None,
                });
                // Exports the image from the cache.
                let solved = self.store(link, pushes).await?;
                rounds.first.get_or_insert(solved);
            }
            Next::Fail => return Err(self.push_failure(error, pushes, rejected.is_some())),
        }
        Ok(())
    }

    /// Whether the only machine failed to push a name that is only for the daemon's pull, after it pushed all other names.
    fn lacks_only_names_for_pull(&self, error: &SolveError, pushes: &Pushes) -> bool {
        let names = &self.job.names;
        let ErrorKind::Registry { reference, .. } = &error.kind else {
            return false;
        };
        let mut all = names.pushed();
        self.job.form == Form::Whole
            && all.any(|name| names.is_for_pull(name) && name.to_string() == *reference)
            && names.kept().all(|name| pushes.has(&name.to_string()))
    }

    /// A failed push lists the names that were pushed; a push by digest has no names yet. `is_taken`: the tag refers to another
    /// image.
    fn push_failure(&self, error: SolveError, pushes: &Pushes, is_taken: bool) -> Failure {
        let (names, form) = (&self.job.names, self.job.form);
        let ErrorKind::Registry { reference, .. } = &error.kind else {
            return self.solver.failure(error);
        };
        if !names
            .pushed()
            .any(|name| exported(name, form) == *reference)
        {
            return self.solver.failure(error);
        }
        // The exporter's status for the failing name looks like that of a pushed one.
        let is_pushed =
            |name: &String| name != reference && pushes.has(name) && form == Form::Whole;
        let (present, missing) = names.pushed().map(ToString::to_string).partition(is_pushed);
        Failure::Push(Box::new(PushFailure {
            error,
            target: self.solver.label.clone(),
            pushed: present,
            missing,
            is_taken,
        }))
    }

    /// Builds without a push. The builder stores the image if it is loaded, or if its SBOM is read.
    async fn store(&self, link: &Link, pushes: &mut Pushes) -> Result<Solved> {
        let export = match &self.loaded {
            Some(names) => Export::Store(names),
            // Without a name, a builder other than Depot's removes the SBOM at once.
            None if self.run.plan.outputs.sboms.is_some() => Export::Store(self.job.names.stored()),
            None => Export::Cache,
        };
        self.solve(link, export, pushes).await
    }

    /// Adds the caches outside of the builder. Returns whether the solve exports them, which the first one does.
    fn add_caches(&self, solve: &mut Solve, export: Export<'_>) -> bool {
        let exports_caches = !self.is_cache_exported.get();
        if let Some(caches) = self.caches.get() {
            caches.add_to(solve, export, exports_caches);
        }
        exports_caches
    }

    /// Recognizes a cache that was not exported. `exports_caches`: the solve was to export them.
    fn cache_failure(&self, failure: Failure, exports_caches: bool) -> Failure {
        match (failure, self.caches.get()) {
            (Failure::Solve { error, target }, Some(caches))
                if exports_caches && !caches.places().is_empty() && error.is_of_cache_export() =>
            {
                Failure::CacheExport(Box::new(CacheExportFailure {
                    error: *error,
                    target,
                    places: caches.places().to_vec(),
                }))
            }
            (failure, _) => failure,
        }
    }

    async fn solve(&self, link: &Link, export: Export<'_>, pushes: &mut Pushes) -> Result<Solved> {
        let solve = request::solve(self.job, self.target, export, self.retention);
        let mut solve = self.after_build(solve);
        let exports_caches = self.add_caches(&mut solve, export);
        let solved = self.solver.solve(link, &solve, pushes).await;
        let is_after_build = match &solved {
            Ok(_) => true,
            Err(Failure::Solve { error, .. }) => error.is_after_build(),
            Err(_) => false,
        };
        // If at least one name was pushed, the build itself succeeded.
        if is_after_build || !pushes.is_empty() {
            self.solver.is_built.set(true);
        }
        let solved = solved.map_err(|failure| self.cache_failure(failure, exports_caches))?;
        self.is_cache_exported.set(true);
        if self.retention == Retention::Content
            && let Some(lease) = fork::lease(&solved.response)
        {
            self.machine.keep_lease(link, lease);
        }
        Ok(solved)
    }
}

impl Rounds {
    /// Records that `name` already has the image with `digest`. The other names of the round are pushed next.
    fn note_present(&mut self, round: Round, name: &Reference, digest: &str) {
        if !round.docker_form {
            self.model.get_or_insert((name.clone(), digest.to_owned()));
        }
        if let Some(rest) = round.without(name) {
            self.waiting.push_front(rest);
        }
        self.delivered.push(Delivered {
            names: vec![name.clone()],
            digest: Some(digest.to_owned()),
        });
    }
}

/// Replaces the digest of an export that was not pushed by the digest of the pushed image. The descriptor of the export would
/// contradict it; its configuration is the same.
fn describe_pushed(response: &mut HashMap<String, String>, digest: String) {
    let key = "containerimage.digest";
    if response.get(key) != Some(&digest) {
        response.retain(|key, _| !key.starts_with("containerimage.descriptor"));
        response.insert(key.to_owned(), digest);
    }
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
}
