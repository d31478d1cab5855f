//! Images that are named contexts of other images of the run.
//!
//! A machine builds such an image once, for the platforms of all that use it. Their solves get the definition of its steps as an
//! input, so the builder has its result already. It needs the same machine, and the session with its files stays open.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::sync::OnceCell;

use super::Result;
use super::caches::ShareCaches;
use super::contexts::ImageFiles;
use super::export::Export;
use super::failure::Failure;
use super::linked::LinkedTarget;
use super::machines::Link;
use super::request;
use super::round::Form;
use super::solving::Solver;
use super::target::{self, Target};
use crate::buildkit::{Input, Pushes, Solve};
use crate::cancel::Reason;
use crate::config::Plan;
use crate::config::plan::{ImagePlan, NamedContext};
use crate::platform::Architecture;
use crate::report::progress::Source;

/// The images that others use, and their results.
pub(super) struct Links<'a> {
    images: Vec<LinkedImage<'a>>,
    results: Mutex<HashMap<Key, Arc<LinkedResult>>>,
}

/// The name of the image, and the machine with its generation.
type Key = (String, Architecture, usize);

/// The result of an image; `None` if it cannot be built.
type LinkedResult = OnceCell<Option<Arc<Input>>>;

struct LinkedImage<'a> {
    plan: &'a ImagePlan,
    files: ImageFiles,
    /// Its platforms on each machine, with the source of its steps.
    targets: Vec<(Target, Source)>,
    /// Whether it is only an input of others. A requested image exports its caches itself.
    is_input: bool,
}

impl<'a> Links<'a> {
    /// `files` are those of the images of the plan, then of its inputs.
    pub(super) fn new(plan: &'a Plan, files: &[ImageFiles], linked: &[LinkedTarget]) -> Self {
        let images = plan.built().zip(files).enumerate();
        let images = images.map(|(index, (image, files))| {
            let targets = linked.iter().filter(|linked| linked.image == image.name);
            LinkedImage {
                plan: image,
                files: files.clone(),
                targets: targets
                    .map(|linked| (linked.target.clone(), linked.source))
                    .collect(),
                is_input: index >= plan.images.len(),
            }
        });
        Self {
            images: images.collect(),
            results: Mutex::default(),
        }
    }

    /// Whether no image uses another one.
    pub(super) fn is_empty(&self) -> bool {
        self.images.iter().all(|image| image.targets.is_empty())
    }

    /// Whether a machine of this architecture has built an image, also before it was lost.
    fn was_built(&self, image: &str, machine: Architecture) -> bool {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        results.iter().any(|((name, of, _), result)| {
            name == image && *of == machine && matches!(result.get(), Some(Some(_)))
        })
    }

    fn result(&self, key: Key) -> Arc<LinkedResult> {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(results.entry(key).or_default())
    }
}

impl Solver<'_> {
    /// The solve with the results of the images that its named contexts are.
    pub(super) async fn with_inputs<'s>(
        &self,
        link: &Link,
        solve: &'s Solve,
    ) -> Result<Cow<'s, Solve>> {
        let mut solve = Cow::Borrowed(solve);
        for context in &self.plan.build.contexts {
            if let NamedContext::Image(name, image) = context {
                let input = self.input(link, image).await?;
                // The configuration has checked that the image exists.
                if let Some(input) = input {
                    input.add_to(solve.to_mut(), name);
                }
            }
        }
        Ok(solve)
    }

    /// Builds the image as an input first, if others use it. So its steps run once, and its result is that of the input.
    pub(super) async fn build_as_input(&self, link: &Link) -> Result<()> {
        if self.input(link, &self.plan.name).await?.is_some() {
            self.is_built.set(true);
        }
        Ok(())
    }

    /// The result of an image on this machine; `None` if no image uses it there. The first caller builds it, for all.
    fn input<'s>(
        &'s self,
        link: &'s Link,
        image: &'s str,
    ) -> LocalBoxFuture<'s, Result<Option<Arc<Input>>>> {
        let building = async move {
            let machine = self.target.machine;
            let mut images = self.run.links.images.iter();
            let Some(linked) = images.find(|linked| linked.plan.name == image) else {
                return Ok(None);
            };
            let mut targets = linked.targets.iter();
            let Some((target, source)) = targets.find(|(target, _)| target.machine == machine)
            else {
                return Ok(None);
            };
            let key = (image.to_owned(), machine, link.generation);
            let result = self.run.links.result(key);
            let (is_first, failed) = (Cell::new(false), Cell::new(None));
            let building = async || {
                is_first.set(true);
                let solver = Solver {
                    run: self.run,
                    plan: linked.plan,
                    target,
                    machine: self.machine,
                    contexts: &linked.files.contexts,
                    source: *source,
                    cancel: self.cancel,
                    label: self.label.clone(),
                    is_built: Cell::new(false),
                };
                let built = async {
                    let solve = solver.input_request(linked).await?;
                    solver.build_input(link, &solve).await
                };
                match built.await {
                    Ok(input) => Ok(Some(Arc::new(input))),
                    // Each image connects again.
                    Err(failure) if failure.is_machine_lost() => Err(failure),
                    Err(failure) => {
                        failed.set(Some(failure));
                        Ok(None)
                    }
                }
            };
            let built = result.get_or_try_init(building);
            // The first caller ends its build in an orderly way; the others need not wait for it.
            let stopped = async {
                let reason = self.cancel.fired().await;
                if is_first.get() {
                    std::future::pending::<()>().await;
                }
                reason
            };
            let built = tokio::select! {
                biased;
                built = built => built?,
                reason = stopped => return Err(Failure::Canceled(reason)),
            };
            match (built, failed.take()) {
                (Some(input), _) => Ok(Some(Arc::clone(input))),
                (None, Some(failure)) => Err(failure),
                // The first caller reports why.
                (None, None) => Err(Failure::Canceled(Reason::Sibling)),
            }
        };
        building.boxed_local()
    }

    /// The solve whose result is an input of other builds.
    async fn input_request(&self, linked: &LinkedImage<'_>) -> Result<Solve> {
        // A requested image exports its caches in the form of its own machines.
        let machines = if linked.is_input {
            linked.targets.len()
        } else {
            target::targets(&linked.plan.build).len()
        };
        let form = match machines {
            1 => Form::Whole,
            _ => Form::Part,
        };
        let preparing = async {
            if linked.is_input {
                let names = linked.plan.caches.required_references();
                let names: Vec<_> = names.cloned().collect();
                self.run.registries.prepare(&names).await?;
            }
            ShareCaches::prepare(self.run, linked.plan, form, self.target).await
        };
        let caches = self.cancel.unless_fired(preparing).await;
        let caches = caches.map_err(Failure::Canceled).flatten()?;
        let mut solve = request::input(linked.plan, &linked.files, &self.target.platforms);
        let machine = self.target.machine;
        if self.run.links.was_built(&linked.plan.name, machine) {
            // Its steps have run, and their results may be part of an image that was pushed.
            solve.frontend_attributes.remove("no-cache");
        }
        caches.add_to(&mut solve, Export::Cache, linked.is_input);
        Ok(solve)
    }

    /// Builds the result of a solve as an input of others.
    async fn build_input(&self, link: &Link, solve: &Solve) -> Result<Input> {
        let solve = self.with_inputs(link, solve).await?;
        let mut pushes = Pushes::default();
        let pushes = &mut pushes;
        self.repeated(link, async |session| {
            let stopped = async {
                self.cancel.fired().await;
            };
            self.shown(pushes, async |sender| {
                link.connection
                    .input(&solve, session, sender, stopped)
                    .await
            })
            .await
        })
        .await
    }
}
