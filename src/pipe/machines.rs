//! The machines of a run, side by side: one failing stops the others, and their parts become one image.

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
use super::on_machine::{AGAIN, Delivered, Exported, Made, Part};
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

/// How long our last steps may take to reach Depot.
const REPORT_GRACE: Duration = Duration::from_millis(250);

/// What came of a run.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) delivered: Vec<Delivered>,
    /// The manifest of each platform in it, as far as the builders tell.
    pub(super) platforms: Vec<(docker::Platform, String)>,
    /// What the exporter answered.
    pub(super) response: HashMap<String, String>,
    /// What it is in the daemon.
    pub(super) loaded: Option<Loaded>,
}

/// What all machines of a run share.
pub(super) struct Work<'a> {
    pub(super) plan: &'a Plan,
    pub(super) build: &'a Build,
    pub(super) contexts: &'a Contexts,
    pub(super) targets: Vec<Target>,
    /// Every name that the image is to have, Depot's own included.
    pub(super) names: Vec<Reference>,
    /// Those of them that it has only so that the daemon can pull it.
    pub(super) passing: Vec<Reference>,
    /// It does not have them, and need not.
    pub(super) pull_failed: AtomicBool,
    pub(super) registries: Arc<Registries>,
    pub(super) masker: &'a Masker,
    pub(super) cancel: &'a Cancel,
    /// Whether the registries are ready; see [`Self::prepare`].
    pub(super) prepared: OnceCell<()>,
    /// The daemon that the image is loaded into, where it is to be.
    pub(super) daemon: Option<&'a StepDaemon>,
    /// The names that the image has there.
    pub(super) loaded_names: Vec<Reference>,
    /// What machines keep for the load.
    pub(super) leases: Leases,
}

impl Work<'_> {
    /// Whether each machine makes a part, pushed by its digest, that becomes an image only with the others'.
    pub(super) fn by_digest(&self) -> bool {
        self.targets.len() > 1
    }

    /// Says which of the names that stay have an image, though the run did not come to its end.
    pub(super) fn tell_pushed(&self, is_pushed: impl Fn(&Reference) -> bool) {
        let stays = |name: &&Reference| !self.passing.contains(name);
        let names = self.names.iter().filter(stays);
        let pushed = names.filter(|name| is_pushed(name));
        let pushed: Vec<_> = pushed.map(ToString::to_string).collect();
        if !pushed.is_empty() {
            tracing::error!("pushed nevertheless: {}", pushed.join(", "));
        }
    }

    pub(super) fn rounds(&self) -> VecDeque<Round> {
        round::rounds(&self.names, &self.plan.registries.insecure)
    }

    pub(super) fn authorizer(&self) -> Arc<RegistryAuthorizer> {
        Arc::new(RegistryAuthorizer(Arc::clone(&self.registries)))
    }

    /// Sees that the registries of the image let us in, as far as that can be known before a push; once for all machines.
    pub(super) async fn prepare(&self, cancel: &Cancel) -> Result<()> {
        let preparing = self
            .prepared
            .get_or_try_init(|| self.registries.prepare(&self.names));
        match cancel.unless_fired(preparing).await {
            Ok(prepared) => prepared.copied(),
            Err(reason) => Err(Failure::Canceled(reason)),
        }
    }

    /// Builds on every machine and gives the image its names. While it goes on, Depot hears that we are alive.
    ///
    /// `sources` are what the targets' steps are shown as, in their order. `reports` are what `steps` send to Depot.
    pub(super) async fn run(
        &self,
        sources: &[Source],
        status: mpsc::Sender<Update>,
        steps: Steps,
        reports: mpsc::Receiver<StatusResponse>,
    ) -> Result<Finished> {
        let reporting = self.build.report_steps(reports);
        // Held by nothing else, so that reports and progress end with the work.
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
            // The step that failed is the one to be seen on the build's page.
            let _too_slow = self.cancel.within(REPORT_GRACE, reporting).await;
        }
        finished
    }

    /// Builds on every machine, makes one image of it, and loads that, while Depot hears that the machines are in use.
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

    /// Builds on every machine, merges what they made where they are several, and loads it.
    async fn finished(&self, parts: &[Part<'_>], steps: &Steps) -> Result<Finished> {
        let looking = self
            .daemon
            .map(|daemon| daemon.look(self.plan, self.build, self.masker));
        let mut exported = Vec::new();
        let mut made = Vec::new();
        for (part, one) in parts.iter().zip(self.parts(parts, steps).await?) {
            exported.extend(one.exported.map(|exported| (part, exported)));
            made.push(one.delivered);
        }
        let platforms = self.platforms(&exported).await;
        // Without a push only what is loaded was exported.
        let mut told = exported
            .iter()
            .filter(|(part, _)| !self.names.is_empty() || part.loaded.is_some());
        let mut response = match told.next() {
            Some((_, exported)) => exported.solved.response.clone(),
            None => HashMap::new(),
        };
        let mut delivered = if self.by_digest() && !self.names.is_empty() {
            let merged = merge::merge(self, &made, steps).await?;
            of_merged(&mut response, &merged);
            merged
        } else {
            made.into_iter().flatten().collect()
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
            // A machine that was lost may have built another one for the load.
            if self.names.is_empty() && exported.solved.ids().any(|id| *id == image.id) {
                response = exported.solved.response;
            }
            loaded = Some(image);
            if !self.plan.image.push {
                // Without a name in a registry a digest says nothing to anybody.
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

    /// Loads what a part has built. A machine that goes away in the middle is asked for again, for the same image.
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
        let mut time = 0;
        loop {
            let loading = Loading {
                daemon,
                names,
                part,
                exported,
                passing,
            };
            let failure = match loading.run(look, &mut image, steps).await {
                Err(failure) if failure.is_broken() && time < AGAIN => failure,
                ended => return ended,
            };
            if image.is_none() && !self.names.is_empty() {
                // What is elsewhere cannot be told from what would be exported now.
                return Err(failure);
            }
            match part.export_again(steps, &failure, &mut time).await {
                Ok(again) => *exported = again,
                Err(canceled @ Failure::Canceled(_)) => return Err(canceled),
                Err(error) => {
                    // That the image was not loaded, and where it is nevertheless, is what counts.
                    let why = self.masker.mask(error.one_line());
                    tracing::warn!("the image cannot be had again: {why}");
                    return Err(failure);
                }
            }
            look = Look::default();
        }
    }

    /// The manifest of each platform, as far as that can be told without holding anything up.
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

    /// Names that the image has at Depot only so that the daemon can pull it are of no use to anybody afterwards.
    fn forget_passing_names(&self, delivered: &mut Vec<Delivered>) {
        if self.passing.is_empty() {
            return;
        }
        for image in delivered.iter_mut() {
            image.names.retain(|name| !self.passing.contains(name));
        }
        delivered.retain(|image| !image.names.is_empty());
    }

    /// What each machine made, in the order of the targets.
    ///
    /// Returns once *all* have ended; the first failure is the cause, those after it are only its echo.
    async fn parts(&self, all: &[Part<'_>], steps: &Steps) -> Result<Vec<Made>> {
        let mut running = FuturesUnordered::new();
        for (index, part) in all.iter().enumerate() {
            running.push(async move { (index, part.build(steps).await) });
        }
        let mut parts = Vec::new();
        let mut failure = None;
        while let Some((index, ended)) = running.next().await {
            match ended {
                Ok(made) => parts.push((index, made)),
                Err(error) => {
                    if let Some(part) = all.first() {
                        part.cancel.fire(Reason::Sibling); // that of all
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
            None => Ok(parts.into_iter().map(|(_, made)| made).collect()),
        }
    }
}

/// What an exporter would have answered that had made all parts.
fn of_merged(response: &mut HashMap<String, String>, merged: &[Delivered]) {
    response.retain(|key, _| !key.starts_with("containerimage."));
    let digest = merged.first().and_then(|image| image.digest.clone());
    response.extend(digest.map(|digest| ("containerimage.digest".into(), digest)));
    let names = merged.iter().flat_map(|image| &image.names);
    let names: Vec<_> = names.map(ToString::to_string).collect();
    response.insert("image.name".into(), names.join(","));
}
