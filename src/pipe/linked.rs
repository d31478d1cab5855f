//! The machines and platforms of images that others use, from the plan of a run.

use super::target::Target;
use crate::config::Plan;
use crate::config::plan::{ImagePlan, NamedContext};
use crate::platform::{self, Platform};
use crate::report::progress::{Progress, Source};

/// An image that others use on a machine, for all of their platforms.
#[derive(Debug)]
pub(super) struct LinkedTarget {
    pub(super) image: String,
    pub(super) target: Target,
    /// The source of its steps.
    pub(super) source: Source,
}

/// The images that others use, on each machine that builds one of those. `targets`: the machines of each image.
pub(super) fn targets(
    plan: &Plan,
    targets: &[Vec<(Target, Source)>],
    progress: &mut Progress,
) -> Vec<LinkedTarget> {
    let mut uses = Vec::new();
    let images = || plan.images.iter().zip(targets);
    for (image, targets) in images() {
        for (target, _) in targets {
            add_uses(plan, image, target, &mut uses);
        }
    }
    // The result of an image that is requested too is that of its own build.
    for (image, targets) in images() {
        for (target, _) in targets {
            let own = (&*image.name, target);
            if let Some(known) = uses.iter_mut().find(|known| known.is_at(own)) {
                known.add(&target.platforms);
            }
        }
    }
    let has_several_machines =
        |name: &str| uses.iter().filter(|known| known.image == name).count() > 1;
    let linked = uses.iter().map(|known| {
        let machine = known.machine.machine;
        let mut own = images().filter(|(image, _)| image.name == known.image);
        let own = own.next().into_iter().flat_map(|(_, targets)| targets);
        let mut own = own.filter(|(target, _)| target.machine == machine);
        let source = own.next().map(|(_, source)| *source);
        LinkedTarget {
            image: known.image.to_owned(),
            target: known.target(),
            source: source.unwrap_or_else(|| {
                let label = if has_several_machines(known.image) {
                    format!("{} linux/{machine}", known.image)
                } else {
                    known.image.to_owned()
                };
                progress.add_source(&label)
            }),
        }
    });
    let linked: Vec<LinkedTarget> = linked.collect();
    for (image, targets) in images() {
        let below = names_below(plan, image);
        for (target, source) in targets {
            let inputs = linked.iter().filter(|linked| {
                linked.target.machine == target.machine && below.contains(&&*linked.image)
            });
            for input in inputs {
                progress.add_input(*source, input.source);
            }
        }
    }
    linked
}

/// The names of the images that an image uses, also through others.
pub(super) fn names_below<'a>(plan: &'a Plan, image: &'a ImagePlan) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    let mut waiting = vec![image];
    while let Some(image) = waiting.pop() {
        for other in used_by(plan, image) {
            if !names.contains(&&*other.name) {
                names.push(&other.name);
                waiting.push(other);
            }
        }
    }
    names
}

fn used_by<'a>(plan: &'a Plan, image: &'a ImagePlan) -> impl Iterator<Item = &'a ImagePlan> {
    let names = image.build.contexts.iter().filter_map(NamedContext::image);
    names.filter_map(|name| plan.built().find(|other| other.name == name))
}

/// The uses of an image on a machine.
struct Uses<'a> {
    image: &'a str,
    /// The machine, for its own platform.
    machine: Target,
    /// The platforms of all users; `None` for the machine's own.
    platforms: Vec<Option<Platform>>,
}

impl Uses<'_> {
    fn is_at(&self, (image, target): (&str, &Target)) -> bool {
        self.image == image && self.machine.machine == target.machine
    }

    /// Adds platforms. Returns whether one of them is new.
    fn add(&mut self, platforms: &[Platform]) -> bool {
        let before = self.platforms.len();
        let own = platforms.is_empty().then_some(None);
        for platform in platforms.iter().cloned().map(Some).chain(own) {
            if !self.platforms.contains(&platform) {
                self.platforms.push(platform);
            }
        }
        self.platforms.len() > before
    }

    fn target(&self) -> Target {
        let mut platforms: Vec<Platform> = Vec::new();
        if self.platforms != [None] {
            let own = self.machine.platform();
            for platform in self
                .platforms
                .iter()
                .filter_map(|it| it.as_ref().or(own.as_ref()))
            {
                if !platforms.contains(platform) {
                    platforms.push(platform.clone());
                }
            }
        }
        Target {
            machine: self.machine.machine,
            platforms,
        }
    }
}

/// Adds the images that `image` uses if it is built for `target`.
fn add_uses<'a>(plan: &'a Plan, image: &'a ImagePlan, target: &Target, uses: &mut Vec<Uses<'a>>) {
    let mut waiting = vec![(image, target.clone())];
    while let Some((image, target)) = waiting.pop() {
        for other in used_by(plan, image) {
            let own = &other.build.platforms;
            let wanted = match &target.platforms[..] {
                [] if !own.is_empty() => target.platform().into_iter().collect(),
                wanted => wanted.to_vec(),
            };
            let next = Target {
                machine: target.machine,
                platforms: platform::fitting(own, &wanted),
            };
            let known = uses
                .iter_mut()
                .find(|known| known.is_at((&other.name, &next)));
            let is_new = match known {
                Some(known) => known.add(&next.platforms),
                None => {
                    let mut first = Uses {
                        image: &other.name,
                        machine: Target {
                            machine: next.machine,
                            platforms: Vec::new(),
                        },
                        platforms: Vec::new(),
                    };
                    first.add(&next.platforms);
                    uses.push(first);
                    true
                }
            };
            if is_new {
                waiting.push((other, next));
            }
        }
    }
}
