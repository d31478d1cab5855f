//! Which machines build, and what each of them builds for.
//!
//! Platforms that share a machine go into one solve there, where BuildKit makes their index. With two machines each
//! makes its part, and the parts are merged here (`merge.rs`).

use std::fmt;

use crate::config::Plan;
use crate::config::platform::{Machine, Platform};
use crate::depot::BuilderPlatform;

/// One machine, and what it builds for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) machine: BuilderPlatform,
    /// Empty for the machine's own.
    pub(super) platforms: Vec<Platform>,
}

/// What its machine is to build for: `linux/arm64, linux/arm/v7`.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.platforms.is_empty() {
            return write!(formatter, "linux/{}", self.machine);
        }
        for (index, platform) in self.platforms.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{platform}")?;
        }
        Ok(())
    }
}

impl Target {
    /// What its steps are shown as beside those of other machines. BuildKit names the platform itself in steps of a solve
    /// for several.
    pub(super) fn label(&self) -> String {
        match &self.platforms[..] {
            [] | [_] => self.to_string(),
            _ => self.machine.to_string(),
        }
    }

    /// The one platform of an image that comes without index: what its machine was asked for, or what it is.
    pub(super) fn platform(&self) -> Option<Platform> {
        match &self.platforms[..] {
            [] => Platform::parse(self.machine.name()).ok(),
            [platform] => Some(platform.clone()),
            _ => None,
        }
    }
}

/// The machines of a run, in the order in which their platforms were asked for. One at least.
pub(super) fn targets(plan: &Plan) -> Vec<Target> {
    let build = &plan.build;
    let mut targets: Vec<Target> = Vec::new();
    for platform in &build.platforms {
        let machine = builder(build.machine.unwrap_or(platform.machine()));
        match targets.iter_mut().find(|target| target.machine == machine) {
            Some(target) => target.platforms.push(platform.clone()),
            None => targets.push(Target {
                machine,
                platforms: vec![platform.clone()],
            }),
        }
    }
    if targets.is_empty() {
        let machine = build.machine.or_else(Machine::of_this_program);
        targets.push(Target {
            machine: builder(machine.unwrap_or(Machine::Amd64)),
            platforms: Vec::new(),
        });
    }
    targets
}

fn builder(machine: Machine) -> BuilderPlatform {
    match machine {
        Machine::Arm64 => BuilderPlatform::Arm64,
        Machine::Amd64 => BuilderPlatform::Amd64,
    }
}
