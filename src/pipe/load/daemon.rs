//! The step's Docker daemon: connected to before the build starts, inspected during the build.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::task::JoinSet;

use super::super::Result;
use super::super::failure::Failure;
use super::super::target;
use super::choice::LoadChoice;
use crate::cancel::Cancel;
use crate::config::Plan;
use crate::depot::{Build, PullInfo};
use crate::docker::{Daemon, Present, Store};
use crate::registry::reference::Reference;
use crate::report::mask::Masker;

/// The limit for the inspection after the end of the build.
const LOOK_LIMIT: Duration = Duration::from_secs(15);

/// The daemon that the images of a run are loaded into.
#[derive(Debug)]
pub(in super::super) struct StepDaemon {
    daemon: Daemon,
    /// Images are loaded one after the other: each finds the layers of those before it.
    turn: Mutex<Turn>,
}

/// The known content of the daemon.
#[derive(Debug, Default)]
struct Turn {
    looking: Option<Looking>,
    look: Look,
}

impl StepDaemon {
    /// Connects to the daemon, if an image of the plan is to be loaded. Returns the platform to load of each image as well, in the
    /// order of the plan.
    ///
    /// # Errors
    /// [`Failure::NoPlatform`] if the daemon runs none of the platforms of an image.
    pub(in super::super) async fn connect(
        plan: &Plan,
        cancel: &Cancel,
    ) -> Result<(Option<Self>, Vec<Option<LoadChoice>>)> {
        let Some(endpoint) = &plan.daemon else {
            return Ok((None, plan.images.iter().map(|_| None).collect()));
        };
        let connecting = Daemon::connect(endpoint.clone());
        let daemon = match cancel.unless_fired(connecting).await {
            Ok(connected) => connected.map_err(Failure::Daemon)?,
            Err(reason) => return Err(Failure::Canceled(reason)),
        };
        let about = daemon.about();
        tracing::debug!(
            "Docker {} at {endpoint} for {}, {:?} store",
            about.version,
            about.platform,
            about.store
        );
        let choices = plan.images.iter().map(|image| {
            let is_loaded = image.destinations.load;
            is_loaded
                .then(|| LoadChoice::new(&about.platform, &target::targets(&image.build)))
                .transpose()
        });
        let choices = choices.collect::<Result<_>>()?;
        let daemon = Self {
            daemon,
            turn: Mutex::default(),
        };
        Ok((Some(daemon), choices))
    }

    pub(in super::super) fn docker(&self) -> &Daemon {
        &self.daemon
    }

    /// The daemon's version.
    pub(in super::super) fn version(&self) -> &str {
        &self.daemon.about().version
    }

    /// The title of a load: the image, the daemon, and the platform if others are not loaded.
    pub(super) fn title(&self, names: &[Reference], choice: &LoadChoice) -> String {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut title = format!("{} into Docker {}", names.join(", "), self.version());
        if let (true, Some(platform)) = (choice.is_one_of_several, &choice.platform) {
            title.push_str(" for ");
            title.push_str(&platform.to_string());
        }
        title
    }

    /// Starts to list the daemon's layers, and to query Depot for the pull if it requests one. Stops when this is dropped.
    pub(in super::super) async fn start_looking(
        &self,
        plan: &Plan,
        build: &Build,
        masker: &Masker,
    ) {
        let daemon = self.daemon.clone();
        let build = build.clone();
        let token = plan.depot.as_ref().map(|depot| depot.token.clone());
        let masker = masker.clone();
        // Depot's name for a pull is that of a single image.
        let may_pull = build.loads_by_registry() && plan.images.len() == 1;
        let looking = async move {
            let mut look = Look::default();
            let pulling = async {
                let token = token.filter(|_| may_pull)?;
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
        self.turn.lock().await.looking = Some(Looking(task));
    }

    /// Stops an inspection that no load waits for.
    pub(in super::super) fn stop_looking(&self) {
        if let Ok(mut turn) = self.turn.try_lock() {
            turn.looking = None;
        }
    }

    /// Waits until no other image is being loaded. Returns what is known about the daemon's content.
    pub(in super::super) async fn turn(&self) -> MappedMutexGuard<'_, Look> {
        let mut turn = self.turn.lock().await;
        if let Some(looking) = turn.looking.take() {
            turn.look = looking.end().await;
        }
        MutexGuard::map(turn, |turn| &mut turn.look)
    }
}

/// A running inspection. Stops when dropped.
#[derive(Debug)]
struct Looking(JoinSet<Look>);

impl Looking {
    /// The result. It is empty after a panic or after [`LOOK_LIMIT`]; then all layers are sent.
    async fn end(mut self) -> Look {
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
    pub(in super::super) present: Present,
    pub(super) pull: Option<PullInfo>,
}

impl Look {
    /// Discards the pull, if the image is not in the registry.
    pub(in super::super) fn forget_pull(&mut self) {
        self.pull = None;
    }

    /// Updates the list of layers. If it cannot be listed, all layers are sent.
    pub(in super::super) async fn again(&mut self, daemon: &Daemon) {
        if daemon.about().store != Store::Classic {
            return;
        }
        let Err(error) = self.present.look(daemon).await else {
            return;
        };
        let why = crate::text::cause::one_line(&error);
        self.present = Present::default();
        tracing::warn!("cannot list the layers in the Docker daemon, sending all of them: {why}");
    }
}
