//! Images that are named contexts of other images of the run.
//!
//! A machine builds such an image once for the platforms of those that use it. Their solves get the definition of its steps as an
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
use super::machines::Link;
use super::request;
use super::round::Form;
use super::solving::Solver;
use super::target::Target;
use crate::buildkit::{Input, Pushes, Solve};
use crate::config::Plan;
use crate::config::plan::{ImagePlan, NamedContext};
use crate::platform::{self, Architecture};
use crate::report::progress::{Progress, Source};

/// The images that others use, and their results.
pub(super) struct Links<'a> {
    images: Vec<LinkedImage<'a>>,
    results: Mutex<HashMap<Key, Arc<OnceCell<Arc<Input>>>>>,
}

/// The name of the image, its platforms, and the machine with its generation.
type Key = (String, String, Architecture, usize);

struct LinkedImage<'a> {
    plan: &'a ImagePlan,
    files: ImageFiles,
    /// The source of its steps on each machine.
    sources: Vec<(Architecture, Source)>,
    /// Whether it is only an input of others. A requested image exports its caches itself.
    is_input: bool,
}

/// The sources of the steps of each image that others use, by name and machine.
pub(super) type LinkedSources = Vec<(String, Vec<(Architecture, Source)>)>;

/// The names of the images that others of the plan use.
fn used(plan: &Plan) -> impl Iterator<Item = &str> {
    let contexts = plan.built().flat_map(|image| &image.build.contexts);
    contexts.filter_map(NamedContext::image)
}

/// The sources of the steps of images that others use, on each machine of the run.
pub(super) fn sources(
    plan: &Plan,
    targets: &[Vec<(Target, Source)>],
    progress: &mut Progress,
) -> LinkedSources {
    let mut machines: Vec<Architecture> = Vec::new();
    for (target, _) in targets.iter().flatten() {
        if !machines.contains(&target.machine) {
            machines.push(target.machine);
        }
    }
    let mut sources = LinkedSources::new();
    for name in used(plan) {
        if sources.iter().any(|(known, _)| known == name) {
            continue;
        }
        let requested = plan.images.iter().zip(targets);
        let requested = requested.filter(|(image, _)| image.name == name);
        let own: Vec<_> = requested.flat_map(|(_, targets)| targets).collect();
        let of_machines = machines.iter().map(|machine| {
            let mut own = own.iter();
            if let Some((_, source)) = own.find(|(target, _)| target.machine == *machine) {
                return (*machine, *source);
            }
            let label = match machines.len() {
                1 => name.to_owned(),
                _ => format!("{name} linux/{machine}"),
            };
            (*machine, progress.add_source(&label))
        });
        sources.push((name.to_owned(), of_machines.collect()));
    }
    for (image, targets) in plan.images.iter().zip(targets) {
        for (target, source) in targets {
            for name in names_below(plan, image) {
                let mut of_name = sources.iter().filter(|(known, _)| known == name);
                let mut machines = of_name
                    .next()
                    .into_iter()
                    .flat_map(|(_, machines)| machines);
                if let Some((_, input)) = machines.find(|(machine, _)| *machine == target.machine) {
                    progress.add_input(*source, *input);
                }
            }
        }
    }
    sources
}

/// The names of the images that an image uses, also through others.
fn names_below<'a>(plan: &'a Plan, image: &'a ImagePlan) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    let mut waiting = vec![image];
    while let Some(image) = waiting.pop() {
        for name in image.build.contexts.iter().filter_map(NamedContext::image) {
            if !names.contains(&name) {
                names.push(name);
                waiting.extend(plan.built().filter(|other| other.name == name));
            }
        }
    }
    names
}

impl<'a> Links<'a> {
    /// `files` are those of the images of the plan, then of its inputs.
    pub(super) fn new(plan: &'a Plan, files: &[ImageFiles], sources: &LinkedSources) -> Self {
        let images = plan.built().zip(files).enumerate();
        let images = images.filter_map(|(index, (image, files))| {
            let (_, sources) = sources.iter().find(|(name, _)| *name == image.name)?;
            Some(LinkedImage {
                plan: image,
                files: files.clone(),
                sources: sources.clone(),
                is_input: index >= plan.images.len(),
            })
        });
        Self {
            images: images.collect(),
            results: Mutex::default(),
        }
    }

    fn result(&self, key: Key) -> Arc<OnceCell<Arc<Input>>> {
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

    /// The result of an image for the platforms of this solver; `None` if it does not exist. The first caller builds it.
    fn input<'s>(
        &'s self,
        link: &'s Link,
        image: &'s str,
    ) -> LocalBoxFuture<'s, Result<Option<Arc<Input>>>> {
        let building = async move {
            let mut images = self.run.links.images.iter();
            let Some(linked) = images.find(|linked| linked.plan.name == image) else {
                return Ok(None);
            };
            let machine = self.target.machine;
            let own = &linked.plan.build.platforms;
            let wanted = match &self.target.platforms[..] {
                [] if !own.is_empty() => self.target.platform().into_iter().collect(),
                wanted => wanted.to_vec(),
            };
            let platforms = platform::fitting(own, &wanted);
            let target = Target { machine, platforms };
            let key = (
                image.to_owned(),
                target.to_string(),
                machine,
                link.generation,
            );
            let result = self.run.links.result(key);
            let built = result.get_or_try_init(|| async {
                let mut sources = linked.sources.iter();
                let source =
                    sources.find_map(|(known, source)| (*known == machine).then_some(*source));
                let solver = Solver {
                    run: self.run,
                    plan: linked.plan,
                    target: &target,
                    machine: self.machine,
                    contexts: &linked.files.contexts,
                    source: source.unwrap_or_default(),
                    cancel: self.cancel,
                    label: self.label.clone(),
                    is_built: Cell::new(false),
                };
                let solve = solver.input_request(linked).await?;
                let built = solver.build_input(link, &solve).await?;
                Ok(Arc::new(built))
            });
            built.await.map(|input| Some(Arc::clone(input)))
        };
        building.boxed_local()
    }

    /// The solve whose result is an input of other builds.
    async fn input_request(&self, linked: &LinkedImage<'_>) -> Result<Solve> {
        let form = match linked.sources.len() {
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
