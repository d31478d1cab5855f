//! The step's Docker daemon: looked for before anything is started, looked at while the image is built.

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

/// How long a look may take from the end of the build on.
const LOOK_LIMIT: Duration = Duration::from_secs(15);

/// How long one look at all of its images may take.
const LOOK_AGAIN_LIMIT: Duration = Duration::from_mins(1);

/// The daemon, and what of the build goes into it.
#[derive(Debug)]
pub(in super::super) struct StepDaemon {
    daemon: Daemon,
    /// Which of the run's machines builds it.
    target: usize,
    /// What is loaded, as it was asked for; `None` where nothing was.
    asked: Option<Platform>,
    platform: Option<docker::Platform>,
    /// There are other platforms that are not loaded.
    is_chosen: bool,
}

impl StepDaemon {
    /// Sees that the daemon is there, and that something of the build is for it.
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
        let Some((target, asked, fits)) = choose(&about.platform, &targets) else {
            let offered = targets.iter().map(ToString::to_string);
            return Err(Failure::NoPlatform {
                daemon: about.platform.to_string(),
                offered: offered.collect::<Vec<_>>().join(", "),
            });
        };
        if !fits && let Some(asked) = &asked {
            tracing::warn!(
                "the Docker daemon is for {} and gets an image for {asked}, which it runs only with an emulator",
                about.platform
            );
        }
        Ok(Some(Self {
            target,
            platform: asked.as_ref().map(of_docker),
            asked,
            is_chosen: plan.build.platforms.len() > 1,
            daemon,
        }))
    }

    /// The index of the target that builds what is loaded.
    pub(in super::super) fn target(&self) -> usize {
        self.target
    }

    pub(super) fn docker(&self) -> &Daemon {
        &self.daemon
    }

    pub(super) fn asked(&self) -> Option<&Platform> {
        self.asked.as_ref()
    }

    pub(super) fn platform(&self) -> Option<&docker::Platform> {
        self.platform.as_ref()
    }

    /// What people call it.
    pub(super) fn version(&self) -> &str {
        &self.daemon.about().version
    }

    /// What a load is called: the image, the daemon, and the platform where others are left out.
    pub(super) fn title(&self, names: &[Reference]) -> String {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut title = format!("{} into Docker {}", names.join(", "), self.version());
        if let (true, Some(platform)) = (self.is_chosen, &self.asked) {
            title.push_str(" for ");
            title.push_str(&platform.to_string());
        }
        title
    }

    /// Begins to look at what the daemon has, and to ask Depot where it would have it pull from. Ends when dropped.
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
                    let why = crate::cause::one_line(error);
                    tracing::debug!("Depot does not tell where to pull the image from: {why}");
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

/// A look that goes on. Ends when dropped.
#[derive(Debug)]
pub(in super::super) struct Looking(JoinSet<Look>);

impl Looking {
    /// What was seen. A look that went wrong, or takes long though all is built, saw nothing, and all is sent.
    pub(in super::super) async fn end(mut self) -> Look {
        let ended = tokio::time::timeout(LOOK_LIMIT, self.0.join_next()).await;
        ended
            .ok()
            .flatten()
            .and_then(std::result::Result::ok)
            .unwrap_or_default()
    }
}

/// What was found out while the image was built.
#[derive(Debug, Default)]
pub(in super::super) struct Look {
    pub(super) present: Present,
    pub(super) pull: Option<PullInfo>,
}

impl Look {
    /// There is nothing that the daemon could pull.
    pub(in super::super) fn forget_pull(&mut self) {
        self.pull = None;
    }

    /// Looks at what has changed since. What cannot be seen is sent.
    pub(super) async fn again(&mut self, daemon: &Daemon) {
        if daemon.about().store != Store::Classic {
            return;
        }
        let looking = tokio::time::timeout(LOOK_AGAIN_LIMIT, self.present.look(daemon));
        let why = match looking.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => crate::cause::one_line(&error),
            Err(_) => "it did not list its images in time".to_owned(),
        };
        self.present = Present::default();
        tracing::warn!("all layers are sent to the Docker daemon: {why}");
    }
}

/// The target that builds what suits the daemon best, that platform, and whether the daemon runs it by itself.
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
        // Somebody who asks for one alone means it.
        (None, &[(target, platform)]) => Some((target, Some(platform.clone()), false)),
        // Nothing was asked for: it is the machine's own, whatever that is.
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
