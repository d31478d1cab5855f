//! The step's Docker daemon: connected to before the build starts, inspected during the build.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::task::JoinSet;

use super::super::Result;
use super::super::failure::Failure;
use super::super::target::{self, Target};
use crate::cancel::Cancel;
use crate::config::Plan;
use crate::config::platform::Platform;
use crate::depot::{Build, PullInfo};
use crate::docker::{self, Daemon, Present, Store, best_for};
use crate::registry::reference::Reference;
use crate::report::mask::Masker;

/// The limit for the inspection after the end of the build.
const LOOK_LIMIT: Duration = Duration::from_secs(15);

/// The limit for listing the daemon's images once.
const LIST_LIMIT: Duration = Duration::from_mins(1);

/// The daemon, and the platform of the build that is loaded into it.
#[derive(Debug)]
pub(in super::super) struct StepDaemon {
    daemon: Daemon,
    /// The index of the target that builds the image.
    target: usize,
    /// The loaded platform, as in PLATFORMS; `None` if PLATFORMS is not set.
    requested: Option<Platform>,
    platform: Option<docker::Platform>,
    /// Whether other platforms are built, but not loaded.
    is_chosen: bool,
}

impl StepDaemon {
    /// Connects to the daemon, and selects the platform to load.
    pub(in super::super) async fn connect(plan: &Plan, cancel: &Cancel) -> Result<Option<Self>> {
        let Some(load) = &plan.image.load else {
            return Ok(None);
        };
        let connecting = Daemon::connect(load.daemon.clone());
        let daemon = match cancel.unless_fired(connecting).await {
            Ok(connected) => connected.map_err(Failure::Daemon)?,
            Err(reason) => return Err(Failure::Canceled(reason)),
        };
        let about = daemon.about();
        tracing::debug!(
            "Docker {} at {} for {}, {:?} store",
            about.version,
            load.daemon,
            about.platform,
            about.store
        );
        let targets = target::targets(plan);
        let Some((target, requested, fits)) = choose(&about.platform, &targets) else {
            let offered = targets.iter().map(ToString::to_string);
            return Err(Failure::NoPlatform {
                daemon: about.platform.to_string(),
                offered: offered.collect::<Vec<_>>().join(", "),
            });
        };
        if !fits && let Some(requested) = &requested {
            tracing::warn!(
                "the Docker daemon is for {}; it needs an emulator to run the image for {requested}",
                about.platform
            );
        }
        Ok(Some(Self {
            target,
            platform: requested.as_ref().map(of_docker),
            requested,
            is_chosen: plan.build.platforms.len() > 1,
            daemon,
        }))
    }

    /// The index of the target that builds the image.
    pub(in super::super) fn target(&self) -> usize {
        self.target
    }

    pub(super) fn docker(&self) -> &Daemon {
        &self.daemon
    }

    pub(super) fn requested_platform(&self) -> Option<&Platform> {
        self.requested.as_ref()
    }

    pub(super) fn platform(&self) -> Option<&docker::Platform> {
        self.platform.as_ref()
    }

    /// The daemon's version.
    pub(super) fn version(&self) -> &str {
        &self.daemon.about().version
    }

    /// The title of the load: the image, the daemon, and the platform if others are not loaded.
    pub(super) fn title(&self, names: &[Reference]) -> String {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut title = format!("{} into Docker {}", names.join(", "), self.version());
        if let (true, Some(platform)) = (self.is_chosen, &self.requested) {
            title.push_str(" for ");
            title.push_str(&platform.to_string());
        }
        title
    }

    /// Starts to list the daemon's layers, and to query Depot for the pull if it requests one. Stops when dropped.
    pub(in super::super) fn look(&self, plan: &Plan, build: &Build, masker: &Masker) -> Looking {
        let daemon = self.daemon.clone();
        let (build, token) = (build.clone(), plan.depot.token.clone());
        let masker = masker.clone();
        let looking = async move {
            let mut look = Look::default();
            let pulling = async {
                if !build.loads_by_registry() {
                    return None;
                }
                let pull = build.pull_info(&token).await;
                let pull = pull.inspect_err(|error| {
                    let why = crate::text::cause::one_line(error);
                    tracing::debug!("cannot query where to pull the image from: {why}");
                });
                pull.ok()
            };
            let ((), pull) = tokio::join!(look.again(&daemon), pulling);
            if let Some(pull) = &pull {
                masker.add(pull.password.expose_secret());
            }
            look.pull = pull;
            look
        };
        let mut task = JoinSet::new();
        task.spawn(looking);
        Looking(task)
    }
}

/// A running inspection. Stops when dropped.
#[derive(Debug)]
pub(in super::super) struct Looking(JoinSet<Look>);

impl Looking {
    /// The result. It is empty after a panic or after [`LOOK_LIMIT`]; then all layers are sent.
    pub(in super::super) async fn end(mut self) -> Look {
        let ended = tokio::time::timeout(LOOK_LIMIT, self.0.join_next()).await;
        ended
            .ok()
            .flatten()
            .and_then(std::result::Result::ok)
            .unwrap_or_default()
    }
}

/// The result of the inspection during the build.
#[derive(Debug, Default)]
pub(in super::super) struct Look {
    pub(super) present: Present,
    pub(super) pull: Option<PullInfo>,
}

impl Look {
    /// Discards the pull, if the image is not in the registry.
    pub(in super::super) fn forget_pull(&mut self) {
        self.pull = None;
    }

    /// Updates the list of layers. If it cannot be listed, all layers are sent.
    pub(super) async fn again(&mut self, daemon: &Daemon) {
        if daemon.about().store != Store::Classic {
            return;
        }
        let looking = tokio::time::timeout(LIST_LIMIT, self.present.look(daemon));
        let why = match looking.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => crate::text::cause::one_line(&error),
            Err(_) => "listing its images timed out".to_owned(),
        };
        self.present = Present::default();
        tracing::warn!("cannot list the layers in the Docker daemon, sending all of them: {why}");
    }
}

/// The index of the target with the best platform for the daemon, that platform, and whether the daemon runs it natively.
fn choose(
    daemon: &docker::Platform,
    targets: &[Target],
) -> Option<(usize, Option<Platform>, bool)> {
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
        .map(|(_, platform)| of_docker(platform))
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

fn of_docker(platform: &Platform) -> docker::Platform {
    docker::Platform {
        os: "linux".into(),
        architecture: platform.architecture().into(),
        variant: platform.variant().map(Into::into),
    }
}
