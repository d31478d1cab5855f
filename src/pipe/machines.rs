//! Runs the machines in parallel and merges their parts into one image. The first failure stops the others.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OnceCell, mpsc};

use super::Result;
use super::authorizer::RegistryAuthorizer;
use super::contexts::Contexts;
use super::failure::Failure;
use super::leases::Leases;
use super::load::{self, Loading, Look, StepDaemon};
use super::merge;
use super::on_machine::{Delivered, Exported, MAX_RECONNECTS, Part, PartResult};
use super::registries::Registries;
use super::round::{self, Round};
use super::target::Target;
use crate::cancel::{Cancel, Reason};
use crate::config::Plan;
use crate::depot::{Build, Steps};
use crate::docker::{self, Loaded, Passing};
use crate::registry::reference::Reference;
use crate::report::mask::Masker;
use crate::report::progress::{Source, Update};

/// How long sending the last of our own steps to Depot may take.
const REPORT_GRACE: Duration = Duration::from_millis(250);

/// The result of a run.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) delivered: Vec<Delivered>,
    /// The manifest of each platform in the image, if the builders returned it.
    pub(super) platforms: Vec<(docker::Platform, String)>,
    /// The exporter's response.
    pub(super) response: HashMap<String, String>,
    /// The image in the daemon, if it was loaded.
    pub(super) loaded: Option<Loaded>,
}

/// The state that all machines of a run share.
pub(super) struct Work<'a> {
    pub(super) plan: &'a Plan,
    pub(super) build: &'a Build,
    pub(super) contexts: &'a Contexts,
    pub(super) targets: Vec<Target>,
    /// Every name to push, including those at Depot.
    pub(super) names: Vec<Reference>,
    /// The names among them that exist only so that the daemon can pull the image.
    pub(super) passing: Vec<Reference>,
    /// Pushing `passing` failed, so the image is loaded without them.
    pub(super) pull_failed: AtomicBool,
    pub(super) registries: Arc<Registries>,
    pub(super) masker: &'a Masker,
    pub(super) cancel: &'a Cancel,
    /// Whether the registries are ready; see [`Self::prepare`].
    pub(super) prepared: OnceCell<()>,
    /// The daemon that the image is loaded into, if any.
    pub(super) daemon: Option<&'a StepDaemon>,
    /// The names of the image in the daemon.
    pub(super) loaded_names: Vec<Reference>,
    /// The leases that keep content on the machines for the load.
    pub(super) leases: Leases,
}

impl Work<'_> {
    /// Whether each machine pushes a part by digest, and the parts are merged into one image.
    pub(super) fn by_digest(&self) -> bool {
        self.targets.len() > 1
    }

    /// Reports which names were pushed although the run failed, except `passing`.
    pub(super) fn report_pushed(&self, is_pushed: impl Fn(&Reference) -> bool) {
        let is_kept = |name: &&Reference| !self.passing.contains(name);
        let names = self.names.iter().filter(is_kept);
        let pushed = names.filter(|name| is_pushed(name));
        let pushed: Vec<_> = pushed.map(ToString::to_string).collect();
        if !pushed.is_empty() {
            tracing::error!("already pushed: {}", pushed.join(", "));
        }
    }

    pub(super) fn rounds(&self) -> VecDeque<Round> {
        round::rounds(&self.names, &self.plan.registries.insecure)
    }

    pub(super) fn authorizer(&self) -> Arc<RegistryAuthorizer> {
        Arc::new(RegistryAuthorizer(Arc::clone(&self.registries)))
    }

    /// Checks access to the image's registries before the push, where that is possible. Runs once for all machines.
    pub(super) async fn prepare(&self, cancel: &Cancel) -> Result<()> {
        let preparing = self
            .prepared
            .get_or_try_init(|| self.registries.prepare(&self.names));
        match cancel.unless_fired(preparing).await {
            Ok(prepared) => prepared.copied(),
            Err(reason) => Err(Failure::Canceled(reason)),
        }
    }

    /// Builds on every machine and pushes the image under its names, with regular health reports to Depot.
    ///
    /// `sources` are the sources under which the targets' steps are shown, in the targets' order. `reports` receives what
    /// `steps` send to Depot.
    pub(super) async fn run(
        &self,
        sources: &[Source],
        status: mpsc::Sender<Update>,
        steps: Steps,
        reports: mpsc::Receiver<StatusResponse>,
    ) -> Result<Finished> {
        let reporting = self.build.report_steps(reports);
        // The only owner of `steps` and `status`, so that reports and progress end with the work.
        let working = async move {
            let finished = self.image(sources, &status, &steps).await;
            self.leases.delete(self.cancel).await;
            drop((steps, status));
            finished
        };
        let mut reporting = std::pin::pin!(reporting);
        let mut working = std::pin::pin!(working);
        let mut is_reported = false;
        let finished = loop {
            tokio::select! {
                finished = &mut working => break finished,
                () = &mut reporting, if !is_reported => is_reported = true,
            }
        };
        if !is_reported && self.cancel.reason().is_none() {
            // The failed step should appear on the build's page.
            let _too_slow = self.cancel.within(REPORT_GRACE, reporting).await;
        }
        finished
    }

    /// Builds, merges and loads the image, with regular health reports to Depot for each machine.
    async fn image(
        &self,
        sources: &[Source],
        status: &mpsc::Sender<Update>,
        steps: &Steps,
    ) -> Result<Finished> {
        let together = self.cancel.child();
        let targets = self.targets.iter().zip(sources).enumerate();
        let parts: Vec<Part<'_>> = targets
            .map(|(index, (target, &source))| Part {
                work: self,
                target,
                loaded: self
                    .daemon
                    .filter(|daemon| daemon.target() == index)
                    .map(|_| &*self.loaded_names),
                source,
                cancel: together.clone(),
                status: status.clone(),
                is_built: AtomicBool::new(false),
            })
            .collect();
        let health = self
            .targets
            .iter()
            .map(|target| self.build.report_health(target.machine));
        let mut health: FuturesUnordered<_> = health.collect();
        let health = async {
            if health.next().await.is_some() {
                self.cancel.fire(Reason::Depot);
            }
            std::future::pending().await
        };
        tokio::select! {
            finished = self.finished(&parts, steps) => finished,
            never = health => never,
        }
    }

    /// Builds on every machine, merges the parts if there are several, and loads the image.
    async fn finished(&self, parts: &[Part<'_>], steps: &Steps) -> Result<Finished> {
        let looking = self
            .daemon
            .map(|daemon| daemon.look(self.plan, self.build, self.masker));
        let mut exported = Vec::new();
        let mut deliveries = Vec::new();
        for (part, one) in parts.iter().zip(self.parts(parts, steps).await?) {
            exported.extend(one.exported.map(|exported| (part, exported)));
            deliveries.push(one.delivered);
        }
        let platforms = self.platforms(&exported).await;
        // Without a push, only the loaded part was exported.
        let mut responses = exported
            .iter()
            .filter(|(part, _)| !self.names.is_empty() || part.loaded.is_some());
        let mut response = match responses.next() {
            Some((_, exported)) => exported.solved.response.clone(),
            None => HashMap::new(),
        };
        let mut delivered = if self.by_digest() && !self.names.is_empty() {
            let merged = merge::merge(self, &deliveries, steps).await?;
            set_merged_response(&mut response, &merged);
            merged
        } else {
            deliveries.into_iter().flatten().collect()
        };
        self.forget_passing_names(&mut delivered);
        let mut loaded = None;
        let built = exported.into_iter().find(|(part, _)| part.loaded.is_some());
        if let (Some(daemon), Some(looking), Some((part, mut exported))) =
            (self.daemon, looking, built)
        {
            let looking = self.cancel.unless_fired(looking.end()).await;
            let mut look = looking.map_err(Failure::Canceled)?;
            if self.pull_failed.load(Ordering::Relaxed) {
                look.forget_pull();
            }
            let passing = Passing::default();
            let loading = self.load(daemon, part, &mut exported, look, &passing, steps);
            let ended = Box::pin(loading).await;
            load::sweep(daemon, &passing, self.cancel).await;
            let image = ended.map_err(|failure| failure.after_pushing(&delivered))?;
            // After a loss, a machine may have built a different image for the load.
            if self.names.is_empty() && exported.solved.ids().any(|id| *id == image.id) {
                response = exported.solved.response;
            }
            loaded = Some(image);
            if !self.plan.image.push {
                // Without a name in a registry, a digest has no use.
                delivered.retain(|image| !image.names.is_empty());
                delivered.push(Delivered {
                    names: self.loaded_names.clone(),
                    digest: None,
                });
            }
        }
        Ok(Finished {
            delivered,
            platforms,
            response,
            loaded,
        })
    }

    /// Loads the image of a part. A machine that is lost is requested again, for the same image.
    async fn load(
        &self,
        daemon: &StepDaemon,
        part: &Part<'_>,
        exported: &mut Exported,
        mut look: Look,
        passing: &Passing,
        steps: &Steps,
    ) -> Result<Loaded> {
        let names = &*self.loaded_names;
        let mut image = None;
        let mut attempts = 0;
        loop {
            let loading = Loading {
                daemon,
                names,
                part,
                exported,
                passing,
            };
            let failure = match loading.run(look, &mut image, steps).await {
                Err(failure) if failure.is_broken() && attempts < MAX_RECONNECTS => failure,
                ended => return ended,
            };
            if image.is_none() && !self.names.is_empty() {
                // A new export might differ from the image that was already pushed.
                return Err(failure);
            }
            match part.export_again(steps, &failure, &mut attempts).await {
                Ok(again) => *exported = again,
                Err(canceled @ Failure::Canceled(_)) => return Err(canceled),
                Err(error) => {
                    // The load failure is reported instead, with the names that were pushed.
                    let why = self.masker.mask(error.one_line());
                    tracing::warn!("the image could not be exported again: {why}");
                    return Err(failure);
                }
            }
            look = Look::default();
        }
    }

    /// The manifest of each platform, if it is available without delaying the build.
    async fn platforms(
        &self,
        exported: &[(&Part<'_>, Exported)],
    ) -> Vec<(docker::Platform, String)> {
        let may_read = self.plan.outputs.shell.is_some();
        let reading = exported
            .iter()
            .map(|(_, exported)| load::platforms(exported, may_read));
        let read = self.cancel.unless_fired(join_all(reading)).await;
        read.unwrap_or_default().into_iter().flatten().collect()
    }

    /// Removes the names that existed only so that the daemon could pull the image.
    fn forget_passing_names(&self, delivered: &mut Vec<Delivered>) {
        if self.passing.is_empty() {
            return;
        }
        for image in delivered.iter_mut() {
            image.names.retain(|name| !self.passing.contains(name));
        }
        delivered.retain(|image| !image.names.is_empty());
    }

    /// Builds every part. Returns the results in the order of the targets.
    ///
    /// Returns when *all* have ended. The first failure is the cause; later failures are consequences.
    async fn parts(&self, all: &[Part<'_>], steps: &Steps) -> Result<Vec<PartResult>> {
        let mut running = FuturesUnordered::new();
        for (index, part) in all.iter().enumerate() {
            running.push(async move { (index, part.build(steps).await) });
        }
        let mut parts = Vec::new();
        let mut failure = None;
        while let Some((index, ended)) = running.next().await {
            match ended {
                Ok(result) => parts.push((index, result)),
                Err(error) => {
                    if let Some(part) = all.first() {
                        part.cancel.fire(Reason::Sibling); // shared by all parts
                    }
                    if matches!(failure, None | Some(Failure::Canceled(Reason::Sibling))) {
                        failure = Some(error);
                    }
                }
            }
        }
        parts.sort_by_key(|&(index, _)| index);
        match failure {
            Some(failure) => Err(failure),
            None => Ok(parts.into_iter().map(|(_, result)| result).collect()),
        }
    }
}

/// Changes the response to that of an exporter that had built all parts.
fn set_merged_response(response: &mut HashMap<String, String>, merged: &[Delivered]) {
    response.retain(|key, _| !key.starts_with("containerimage."));
    let digest = merged.first().and_then(|image| image.digest.clone());
    response.extend(digest.map(|digest| ("containerimage.digest".into(), digest)));
    let names = merged.iter().flat_map(|image| &image.names);
    let names: Vec<_> = names.map(ToString::to_string).collect();
    response.insert("image.name".into(), names.join(","));
}
