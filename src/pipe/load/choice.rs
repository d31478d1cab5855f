//! Selects the platform of an image that is loaded into the step's daemon.

use super::super::Result;
use super::super::failure::Failure;
use super::super::target::Target;
use crate::platform::{Platform, best_for};

/// The platform of an image that is loaded.
#[derive(Clone, Debug)]
pub(in super::super) struct LoadChoice {
    /// The index of the target that builds it.
    pub(in super::super) target: usize,
    /// The platform, as in PLATFORMS; `None` if PLATFORMS is not set.
    pub(super) platform: Option<Platform>,
    /// Whether other platforms are built, but not loaded.
    pub(super) is_one_of_several: bool,
}

impl LoadChoice {
    /// The best platform of `targets` for the daemon's platform.
    ///
    /// # Errors
    /// [`Failure::NoPlatform`] if the daemon runs none of several platforms.
    pub(super) fn new(daemon: &Platform, targets: &[Target]) -> Result<Self> {
        let Some((target, requested, fits)) = choose(daemon, targets) else {
            let offered = targets.iter().map(ToString::to_string);
            return Err(Failure::NoPlatform {
                daemon: daemon.to_string(),
                offered: offered.collect::<Vec<_>>().join(", "),
            });
        };
        if !fits && let Some(requested) = &requested {
            tracing::warn!(
                "the Docker daemon is for {daemon}; it needs an emulator to run the image for {requested}"
            );
        }
        let platforms = targets.iter().map(|target| target.platforms.len());
        Ok(Self {
            target,
            platform: requested,
            is_one_of_several: platforms.sum::<usize>() > 1,
        })
    }
}

/// The index of the target with the best platform for the daemon, that platform, and whether the daemon runs it natively.
fn choose(daemon: &Platform, targets: &[Target]) -> Option<(usize, Option<Platform>, bool)> {
    let offered = targets.iter().enumerate();
    let offered: Vec<(usize, &Platform)> = offered
        .flat_map(|(index, target)| {
            target
                .platforms
                .iter()
                .map(move |platform| (index, platform))
        })
        .collect();
    let platforms: Vec<_> = offered
        .iter()
        .map(|&(_, platform)| platform.clone())
        .collect();
    let best = best_for(daemon, &platforms).and_then(|best| offered.get(best));
    match (best, &offered[..]) {
        (Some(&(target, platform)), _) => Some((target, Some(platform.clone()), true)),
        // A single platform is an explicit choice.
        (None, &[(target, platform)]) => Some((target, Some(platform.clone()), false)),
        // PLATFORMS is not set: the machine's own platform.
        (None, []) => Some((0, None, true)),
        (None, _) => None,
    }
}
