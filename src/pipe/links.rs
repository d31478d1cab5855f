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
use super::contexts::ImageFiles;
use super::machines::Link;
use super::request;
use super::solving::Solver;
use super::target::Target;
use crate::buildkit::{Input, Pushes, Solve};
use crate::config::Plan;
use crate::config::plan::{ImagePlan, NamedContext};
use crate::platform::{Architecture, Platform};
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
}

/// The names of the images that others of the plan use.
fn used(plan: &Plan) -> impl Iterator<Item = &str> {
    let images = plan.images.iter().chain(&plan.inputs);
    let contexts = images.flat_map(|image| &image.build.contexts);
    contexts.filter_map(|context| match context {
        NamedContext::Image(_, image) => Some(image.as_str()),
        NamedContext::Directory(..) | NamedContext::Address(..) => None,
    })
}

/// The sources of the steps of images that others use, on each machine of the run.
pub(super) fn sources(
    plan: &Plan,
    targets: &[Vec<(Target, Source)>],
    progress: &mut Progress,
) -> Vec<(String, Vec<(Architecture, Source)>)> {
    let mut machines: Vec<Architecture> = Vec::new();
    for (target, _) in targets.iter().flatten() {
        if !machines.contains(&target.machine) {
            machines.push(target.machine);
        }
    }
    let mut sources: Vec<(String, Vec<(Architecture, Source)>)> = Vec::new();
    for name in used(plan) {
        if sources.iter().any(|(known, _)| known == name) {
            continue;
        }
        let of_machines = machines.iter().map(|machine| {
            let label = match machines.len() {
                1 => name.to_owned(),
                _ => format!("{name} linux/{machine}"),
            };
            (*machine, progress.add_source(&label))
        });
        sources.push((name.to_owned(), of_machines.collect()));
    }
    sources
}

impl<'a> Links<'a> {
    /// `files` are those of the images of the plan, then of its inputs.
    pub(super) fn new(
        plan: &'a Plan,
        files: &[ImageFiles],
        sources: &[(String, Vec<(Architecture, Source)>)],
    ) -> Self {
        let images = plan.images.iter().chain(&plan.inputs).zip(files);
        let images = images.filter_map(|(plan, files)| {
            let (_, sources) = sources.iter().find(|(name, _)| *name == plan.name)?;
            Some(LinkedImage {
                plan,
                files: files.clone(),
                sources: sources.clone(),
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
            let platforms = platforms(&linked.plan.build.platforms, &self.target.platforms);
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
                let solve = request::input(linked.plan, &linked.files, &target.platforms);
                let built = solver.build_input(link, &solve).await?;
                Ok(Arc::new(built))
            });
            built.await.map(|input| Some(Arc::clone(input)))
        };
        building.boxed_local()
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

/// The platforms of an image that is used for `wanted`: those of its own that fit, or all of its own if none does.
fn platforms(own: &[Platform], wanted: &[Platform]) -> Vec<Platform> {
    if own.is_empty() {
        return wanted.to_vec();
    }
    let fitting: Vec<Platform> = own
        .iter()
        .filter(|own| wanted.contains(own))
        .cloned()
        .collect();
    if fitting.is_empty() {
        own.to_vec()
    } else {
        fitting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_has_the_platforms_of_its_user_or_its_own() {
        let parse = |list: &[&str]| -> Vec<Platform> {
            let list = list.iter();
            list.map(|text| Platform::parse(text).unwrap()).collect()
        };
        for (own, wanted, expected) in [
            (&[][..], &["arm64"][..], &["arm64"][..]),
            (&["amd64", "arm64"], &["arm64"], &["arm64"]),
            (&["amd64"], &["arm64"], &["amd64"]),
            (&["amd64"], &[], &["amd64"]),
        ] {
            assert_eq!(platforms(&parse(own), &parse(wanted)), parse(expected));
        }
    }
}
