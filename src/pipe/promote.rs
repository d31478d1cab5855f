//! A run that copies an image instead of building one: `SOURCE_IMAGE`.
//!
//! Nothing is created at Depot. The image is read with all its manifests, everything below its index is copied to every
//! repository, and then the tags are pushed: no tag changes before all repositories are complete.

mod load;
mod source;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::delivered::{Delivered, Finished};
use super::failure::{CopyFailure, Failure, PublishFailure};
use super::load::StepDaemon;
use super::load::progress::say_while;
use super::projects::redactor;
use super::registries::Registries;
use super::{Result, STATUS_IN_FLIGHT, display, outputs, unbuilt};
use crate::cancel::Cancel;
use crate::config::Plan;
use crate::config::plan::PromotionPlan;
use crate::depot::{Step, Steps};
use crate::exit::Exit;
use crate::registry::copy::image::{Progress as CopyProgress, Repository, copy_image};
use crate::registry::copy::tree::Tree;
use crate::registry::publish::publish;
use crate::registry::reference::Reference;
use crate::report::mask::Masker;
use crate::report::output::Output;
use crate::report::progress::{Progress, Update, size};
use crate::report::summary::Origin;
use source::Source;

/// The state that all parts of the run share.
struct Promotion<'a> {
    plan: &'a Plan,
    image: &'a PromotionPlan,
    steps: Steps,
    masker: &'a Masker,
    cancel: &'a Cancel,
}

/// Copies the image, and returns the exit code.
pub(super) async fn run(
    plan: &Plan,
    promotion: &PromotionPlan,
    output: &Output,
    cancel: &Cancel,
) -> Exit {
    let started = Instant::now();
    let mut progress = Progress::new(output.options().clone());
    let (status, shown) = mpsc::channel::<Update>(STATUS_IN_FLIGHT);
    let masker = output.masker();
    let (steps, receivers) = Steps::new(redactor(masker));
    let own_steps = display::own_steps(receivers.log, status);
    let working = async move {
        // Owns the steps, so that the progress ends with the work.
        let working = Promotion {
            plan,
            image: promotion,
            steps,
            masker,
            cancel,
        };
        let working = cancel.unless_stuck(async move { working.run().await });
        let caught = Box::pin(AssertUnwindSafe(working).catch_unwind()).await;
        caught.map(|ended| ended.unwrap_or_else(|reason| Err(Failure::Canceled(reason))))
    };
    let shown = (shown, own_steps);
    let showing = display::beside(&mut progress, shown, output, cancel, working);
    let result = Box::pin(showing).await;
    let result = match result {
        Ok(result) => result.map(|finished| vec![finished]),
        Err(_panic) => {
            tracing::error!(
                "internal error in depot-build (see the message above); please report it"
            );
            return Exit::Internal;
        }
    };
    let end = unbuilt::End {
        plan,
        origin: Origin::Copied,
        started,
        progress: Some(&progress),
    };
    end.report(result, output, cancel).await
}

impl Promotion<'_> {
    async fn run(&self) -> Result<Finished> {
        let (daemon, _) = StepDaemon::connect(self.plan, self.cancel).await?;
        let (source, registries) = source::find(self).await?;
        let registries = Arc::new(registries);
        let tree = self.read(&source, &registries).await?;
        let destinations = &self.image.destinations;
        let names = destinations.pushed();
        if !names.is_empty() {
            self.copy(&source, &registries, &tree, names).await?;
        }
        let delivered = |names: &[Reference], digest: Option<&str>| Delivered {
            names: names.to_vec(),
            digest: digest.map(str::to_owned),
        };
        let mut finished = source::finished(self, &source, &registries, &tree).await;
        if let Some(daemon) = &daemon {
            let loaded = load::load(self, daemon, &source, &registries, &tree).await;
            let pushed = || names.iter().map(ToString::to_string).collect();
            let (loaded, bytes) = loaded.map_err(|failure| failure.after_pushing(pushed()))?;
            finished.loaded = Some(loaded);
            finished.loaded_bytes = Some(bytes);
        }
        finished.delivered = vec![if names.is_empty() {
            // Without a name in a registry, a digest has no use.
            delivered(&destinations.references, None)
        } else {
            delivered(names, Some(&tree.root().digest))
        }];
        registries.report_unused();
        if let Some(reason) = self.cancel.reason() {
            return Err(Failure::Canceled(reason));
        }
        outputs::write(self.plan, &[], std::slice::from_ref(&finished))?;
        Ok(finished)
    }

    /// Runs the work of a step, until the run is stopped.
    async fn step<T>(&self, name: &str, work: impl AsyncFnOnce(&Step) -> Result<T>) -> Result<T> {
        let step = self.steps.begin(name);
        let ended = self.cancel.unless_fired(work(&step)).await;
        let ended = ended.unwrap_or_else(|reason| Err(Failure::Canceled(reason)));
        match &ended {
            Ok(_) => step.done(),
            Err(Failure::Canceled(_)) => step.canceled(),
            Err(failure) => step.failed(self.masker.mask(failure.one_line())),
        }
        ended
    }

    /// Reads the image with all its manifests.
    async fn read(&self, source: &Source, registries: &Registries) -> Result<Tree> {
        let title = format!("[source] reading {}", source.shown);
        self.step(&title, async |step| {
            let tree = Tree::read(&registries.client, &source.reference).await;
            let tree = tree.map_err(|error| source.failure(error))?;
            let manifests = tree.nodes().len();
            step.say(format_args!(
                "{}, {manifests} manifests",
                tree.root().digest
            ));
            Ok(tree)
        })
        .await
    }

    /// Copies the image to the repositories of `names`, and pushes the names.
    async fn copy(
        &self,
        source: &Source,
        registries: &Registries,
        tree: &Tree,
        names: &[Reference],
    ) -> Result<()> {
        let listed: Vec<String> = names.iter().map(ToString::to_string).collect();
        let title = format!("[copy] {}", listed.join(", "));
        let put = Mutex::new(Vec::new());
        let copying = self.step(&title, async |step| {
            registries.prepare(names).await?;
            let mut targets: Vec<Repository> = Vec::new();
            for name in names {
                let target = Repository::of(name);
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
            let progress = CopyProgress::default();
            let from = Repository::of(&source.reference);
            let copying = copy_image(&registries.client, &from, tree, &targets, &progress);
            let line = || {
                let (bytes, max) = (progress.bytes(), progress.max_bytes());
                format!("{} of {} copied", size(bytes), size(max))
            };
            let copied = say_while(copying, step, line).await;
            copied.map_err(|error| {
                Failure::Copy(Box::new(CopyFailure {
                    image: source.shown.clone(),
                    source: error,
                }))
            })?;
            let [sent, existing, mounted] = progress.blobs();
            step.say(format_args!(
                "{sent} blobs copied ({}), {mounted} mounted, {existing} already exist",
                size(progress.bytes())
            ));
            self.publish(registries, tree, names, step, &put).await
        });
        let copied = copying.await;
        if let Err(Failure::Canceled(_)) = copied {
            let put = put.into_inner().unwrap_or_else(PoisonError::into_inner);
            if !put.is_empty() {
                tracing::error!("already pushed: {}", put.join(", "));
            }
        }
        copied
    }

    /// Pushes the image under every name. Each name is added to `put` as soon as it is pushed.
    async fn publish(
        &self,
        registries: &Registries,
        tree: &Tree,
        names: &[Reference],
        step: &Step,
        put: &Mutex<Vec<String>>,
    ) -> Result<()> {
        let on_put = |name: &Reference| {
            let mut put = put.lock().unwrap_or_else(PoisonError::into_inner);
            put.push(name.to_string());
        };
        let root = tree.root();
        let mut pushed = Vec::new();
        let mut failures = Vec::new();
        for (name, result) in publish(&registries.client, root, names, on_put).await {
            match result {
                Ok(()) => {
                    step.say(format_args!("pushed {name}@{}", root.digest));
                    pushed.push(name.to_string());
                }
                Err(error) => failures.push((name, error)),
            }
        }
        let mut failures = failures.into_iter();
        let Some((reference, source)) = failures.next() else {
            return Ok(());
        };
        let others = failures.map(|(name, _)| name.to_string());
        Err(Failure::Publish(Box::new(PublishFailure {
            missing: [reference.to_string()].into_iter().chain(others).collect(),
            pushed,
            reference,
            source,
        })))
    }
}
