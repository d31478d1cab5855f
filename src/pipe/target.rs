//! The machines that build, and the platforms of each.
//!
//! Platforms that share a machine are built in one solve, and BuildKit creates their index. With two machines, each
//! builds its part, and `merge.rs` merges the parts.

use std::fmt;

use crate::config::plan::BuildPlan;
use crate::platform::{Architecture, Platform};

/// One machine and its platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) machine: Architecture,
    /// Empty for the machine's own platform.
    pub(super) platforms: Vec<Platform>,
}

/// The platforms: `linux/arm64, linux/arm/v7`.
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
    /// The label of its steps if several machines build. In a solve for several platforms, BuildKit adds the platform to
    /// the step itself.
    pub(super) fn label(&self) -> String {
        match &self.platforms[..] {
            [] | [_] => self.to_string(),
            _ => self.machine.to_string(),
        }
    }

    /// The platform of an image without an index: the requested one, or that of the machine.
    pub(super) fn platform(&self) -> Option<Platform> {
        match &self.platforms[..] {
            [] => Platform::parse(self.machine.name()).ok(),
            [platform] => Some(platform.clone()),
            _ => None,
        }
    }
}

/// The machines of an image, in the order of the requested platforms. At least one.
pub(super) fn targets(build: &BuildPlan) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for platform in &build.platforms {
        let machine = build.machine.unwrap_or(platform.builder());
        match targets.iter_mut().find(|target| target.machine == machine) {
            Some(target) => target.platforms.push(platform.clone()),
            None => targets.push(Target {
                machine,
                platforms: vec![platform.clone()],
            }),
        }
    }
    if targets.is_empty() {
        let machine = build.machine.or_else(Architecture::of_this_program);
        targets.push(Target {
            machine: machine.unwrap_or(Architecture::Amd64),
            platforms: Vec::new(),
        });
    }
    targets
}
