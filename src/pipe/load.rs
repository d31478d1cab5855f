//! Loads the built image into the step's Docker daemon.
//!
//! The daemon is connected to before the build starts, and its layers are listed during the build. Then only the missing layers
//! are sent, read from the builder over the existing connection. If that is not possible, the builder exports an archive, which
//! is streamed through the pipe.

pub(super) mod choice;
pub(super) mod daemon;
pub(crate) mod exported;
mod from_builder;
pub(super) mod progress;

use choice::LoadChoice;
use daemon::Look;
pub(super) use daemon::StepDaemon;
pub(super) use exported::platforms;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::oneshot;

use self::from_builder::FromBuilder;
use self::progress::{report_while, size};
use super::Result;
use super::delivered::Built;
use super::failure::{Failure, LoadCause, LoadFailure};
use super::job::Job;
use super::request;
use super::run::Run;
use super::solving::{Attempts, Solver};
use crate::buildkit::{Pushes, session, status_message};
use crate::cancel::{Cancel, Reason};
use crate::config::plan::Algorithm;
use crate::depot::{PullInfo, Step};
use crate::docker::{
    BlobError, Image, Load, LoadError, Loaded, Passing, PullLogin, Sent, Transfer,
};
use crate::registry::reference::Reference;

/// The limit for removing the temporary images of a load.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);

/// The limit after a signal, when finishing the build has only the rest of a second.
const STOPPED_SWEEP_LIMIT: Duration = Duration::from_millis(200);

/// Removes the temporary images of a load, after success, failure and cancellation.
pub(super) async fn sweep(daemon: &StepDaemon, passing: &Passing, cancel: &Cancel) {
    let limit = match cancel.reason() {
        Some(Reason::Signal(_)) => STOPPED_SWEEP_LIMIT,
        _ => SWEEP_LIMIT,
    };
    let sweeping = daemon.docker().sweep(passing);
    if cancel.within(limit, sweeping).await.is_none() {
        tracing::debug!("temporary images remain in the Docker daemon: {passing:?}");
    }
}

/// Up to this size, missing layers are sent even if Depot requests a pull: a pull needs several consecutive requests to the
/// registry.
const PULL_THRESHOLD_BYTES: u64 = 4 << 20;

/// One load of an image into the step's daemon.
pub(super) struct Loading<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) job: &'a Job<'a>,
    pub(super) daemon: &'a StepDaemon,
    pub(super) choice: &'a LoadChoice,
    pub(super) names: &'a [Reference],
    /// Runs solves on the machine that built the image.
    pub(super) solver: &'a Solver<'a>,
    pub(super) built: &'a Built,
    /// The temporary images in the daemon.
    pub(super) passing: &'a Passing,
    /// The bytes sent to the daemon so far; `None` if none were to be sent.
    pub(super) loaded_bytes: &'a Cell<Option<u64>>,
}

/// A way to load an image. Another way is tried if one fails.
enum Way {
    /// The daemon pulls the image from Depot's registry.
    Pull(PullInfo),
    /// The missing layers are sent, as planned if a plan exists.
    Layers(Option<Load>),
    /// The builder exports the whole image as an archive.
    Archive,
}

impl Way {
    /// The end of a message that reports why the previous way failed.
    fn announcement(&self) -> &'static str {
        match self {
            Self::Pull(_) => "pulling the image instead",
            Self::Layers(_) => "reading the image from the builder",
            Self::Archive => "exporting the image from the builder",
        }
    }
}

impl Loading<'_> {
    /// Loads the image, as a step of the progress output.
    ///
    /// `image` is set when the image is known, so that a repeated load does not read it again.
    pub(super) async fn run(&self, look: &mut Look, image: &mut Option<Image>) -> Result<Loaded> {
        let title = self.daemon.title(self.names, self.choice);
        let step = self.run.steps.begin(&format!("[load] {title}"));
        let connection = &self.built.link.connection;
        let loading = async {
            tokio::select! {
                loaded = self.load(look, image, &step) => loaded,
                never = connection.keep_in_use() => never,
            }
        };
        let loaded = match self.job.cancel.unless_fired(loading).await {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(failure)) => {
                let reason = self.solver.why_it_stopped(failure.is_broken()).await;
                Err(reason.map_or(failure, Failure::Canceled))
            }
            Err(reason) => Err(Failure::Canceled(reason)),
        };
        match &loaded {
            Ok(loaded) => {
                step.say(format_args!("loaded {}", loaded.id));
                step.done();
            }
            Err(Failure::Canceled(_)) => step.canceled(),
            Err(failure) => step.failed(self.masked(failure.one_line())),
        }
        loaded
    }

    /// Tries the ways in their order.
    ///
    /// # Errors
    /// The failure of the layers, which is the cause if no way succeeds. The failure of the archive, if it was exported.
    async fn load(
        &self,
        look: &mut Look,
        known: &mut Option<Image>,
        step: &Step,
    ) -> Result<Loaded> {
        let image = match known {
            Some(image) => Ok(&*image),
            None => {
                let found = exported::image(self.built, self.choice.platform.as_ref()).await;
                found.map(|image| &*known.insert(image))
            }
        };
        let (image, mut cause) = match image {
            Ok(image) => (Some(image), None),
            Err(error) => (None, Some(error)),
        };
        let mut failed: Option<String> = None;
        for way in self.ways(image, look).await {
            if let Way::Archive = way
                && let Some(cause) = cause.take_if(|cause| !is_solved_by_archive(cause))
            {
                return Err(self.failure(cause));
            }
            if let Some(why) = failed.take() {
                step.say(format_args!("{why}; {}", way.announcement()));
            }
            failed = match (way, image) {
                (Way::Pull(pull), image) => match self.pull(&pull, image, step).await {
                    Ok(loaded) => return Ok(loaded),
                    Err(why) => Some(self.masked(why)),
                },
                (Way::Layers(planned), Some(image)) => {
                    match Box::pin(self.layers(image, look, planned, step)).await {
                        Ok(loaded) => return Ok(loaded),
                        Err(error) => {
                            let why = self.masked(crate::text::cause::one_line(&error));
                            cause = Some(error);
                            Some(why)
                        }
                    }
                }
                (Way::Layers(_), None) => cause.as_ref().map(ToString::to_string),
                (Way::Archive, image) => {
                    let gzip =
                        matches!(cause, Some(LoadError::Zstd { .. })) || self.exports_unreadable();
                    // The loaded image must be the pushed one.
                    let destinations = &self.job.plan.destinations;
                    let is_elsewhere = destinations.push || destinations.save.is_some();
                    let same = image.filter(|_| is_elsewhere);
                    return Box::pin(self.archive(gzip, same, step)).await;
                }
            };
        }
        // The last way is the archive, which returns.
        Err(self.failure(cause.unwrap_or_else(exported::unknown_digest)))
    }

    /// The ways to load the image, in the order in which they are tried. A few missing layers are faster to send than to pull: a
    /// pull needs several consecutive requests to the registry.
    async fn ways(&self, image: Option<&Image>, look: &mut Look) -> Vec<Way> {
        // A daemon would reject a pull of layers that it cannot read only after it has downloaded them.
        let pull = look.pull.take().filter(|_| !self.exports_unreadable());
        let Some(pull) = pull else {
            return vec![Way::Layers(None), Way::Archive];
        };
        let small = match image {
            Some(image) => self.small_load(image, look).await,
            None => None,
        };
        match small {
            Some(load) => vec![Way::Layers(Some(load)), Way::Pull(pull), Way::Archive],
            None => vec![Way::Pull(pull), Way::Layers(None), Way::Archive],
        }
    }

    /// Whether the daemon cannot read the compression that the image is exported with.
    fn exports_unreadable(&self) -> bool {
        let compression = self.job.plan.compression;
        compression.is_some_and(|compression| compression.algorithm == Algorithm::Zstd)
            && !self.daemon.docker().about().reads_zstd()
    }

    fn masked(&self, text: impl Into<String>) -> String {
        self.run.masker.mask(text.into())
    }

    fn failure(&self, error: LoadError) -> Failure {
        self.failure_of(LoadCause::Load(error))
    }

    fn failure_of(&self, cause: LoadCause) -> Failure {
        Failure::Load(Box::new(LoadFailure {
            cause,
            version: self.daemon.version().to_owned(),
            pushed: Vec::new(),
            missing: self.names.iter().map(ToString::to_string).collect(),
        }))
    }

    /// Loads the image by a pull from Depot's registry. The error is a message for the step; it does not fail the run.
    async fn pull(
        &self,
        pull: &PullInfo,
        image: Option<&Image>,
        step: &Step,
    ) -> std::result::Result<Loaded, String> {
        let reference = Reference::parse(&pull.reference).map_err(|error| {
            format!("invalid reference `{}` from Depot: {error}", pull.reference)
        })?;
        step.say(format_args!("pulling {reference}"));
        let login = PullLogin {
            username: pull.username.clone(),
            password: pull.password.clone(),
        };
        let daemon = self.daemon.docker();
        let platform = self.choice.platform.as_ref();
        let pulling = daemon.pull(&reference, &login, platform, self.names, image);
        pulling
            .await
            .map_err(|error| crate::text::cause::one_line(&error))
    }

    /// The plan of the load, if the missing layers are small enough to send them without a pull.
    async fn small_load(&self, image: &Image, look: &mut Look) -> Option<Load> {
        let load = self.plan(image, look).await.ok()?;
        (load.bytes() <= PULL_THRESHOLD_BYTES).then_some(load)
    }

    async fn plan(&self, image: &Image, look: &mut Look) -> std::result::Result<Load, LoadError> {
        let daemon = self.daemon.docker();
        look.again(daemon).await;
        daemon.plan(image, &look.present).await
    }

    /// Sends the missing layers, as in `planned` or in a new plan. If an omitted layer has disappeared, sends all layers.
    async fn layers(
        &self,
        image: &Image,
        look: &mut Look,
        planned: Option<Load>,
        step: &Step,
    ) -> std::result::Result<Loaded, LoadError> {
        let daemon = self.daemon.docker();
        let mut load = match planned {
            Some(load) => load,
            None => self.plan(image, look).await?,
        };
        loop {
            let (present, missing, bytes) = (load.present(), load.missing(), load.bytes());
            step.say(format_args!(
                "{present} of {} layers already exist, sending {missing} ({})",
                present + missing,
                size(bytes)
            ));
            let blobs = Arc::new(FromBuilder(self.built.link.connection.clone()));
            let sent = Sent::default();
            let transfer = Transfer {
                image,
                names: self.names,
                blobs,
                sent: &sent,
                passing: self.passing,
            };
            let loading = daemon.load(&load, transfer);
            let outcome = report_while(loading, step, &sent, Some(bytes)).await;
            self.note_sent(&sent);
            match outcome {
                Err(LoadError::LayerGone { reason } | LoadError::NeedsAllLayers { reason }) => {
                    step.say(format_args!("{reason}; sending all layers"));
                    load = daemon.plan_whole(image)?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Streams an archive of the image from the builder to the daemon.
    async fn archive(&self, gzip: bool, same: Option<&Image>, step: &Step) -> Result<Loaded> {
        let (sink, pieces) = session::file();
        let broken = |status: tonic::Status| BlobError::Broken {
            digest: "the archive".into(),
            reason: status_message(&status),
        };
        let solve = request::archive(self.job, self.choice.platform.as_ref(), self.names, gzip);
        let (ids_sender, ids) = oneshot::channel();
        let solving = async {
            let (link, last) = (&self.built.link, Attempts::last());
            let pushes = &mut Pushes::default();
            let exporting = self.solver.export(link, &solve, sink, last, pushes);
            let solved = exporting.await?;
            // The receiver is dropped if the daemon has already rejected the archive.
            let _rejected = ids_sender.send(solved.ids().cloned().collect::<Vec<_>>());
            Ok(())
        };
        let sent = Sent::default();
        let daemon = self.daemon.docker();
        let counted = sent.clone();
        let pieces = pieces
            .map_err(broken)
            .inspect(move |piece| counted.count(piece));
        let ids = async { ids.await.unwrap_or_default() };
        let loading = daemon.load_archive(self.names, pieces, &sent, ids, same);
        let mut loading = std::pin::pin!(report_while(loading, step, &sent, None));
        let mut solving = std::pin::pin!(solving);
        let loaded = tokio::select! {
            solved = &mut solving => match solved {
                Ok(()) => loading.await,
                // The archive is incomplete, so the daemon's result does not matter.
                Err(failure) => return Err(self.not_exported(failure)),
            },
            loaded = &mut loading => match loaded {
                // The builder must still confirm that the archive is complete, or report the error.
                Ok(_) | Err(LoadError::Blob(_) | LoadError::NotThere { .. }) => {
                    solving.await.map_err(|failure| self.not_exported(failure))?;
                    loaded
                }
                error => error,
            },
        };
        self.note_sent(&sent);
        loaded.map_err(|error| self.failure(error))
    }

    /// Adds the bytes of a transfer that has ended.
    fn note_sent(&self, sent: &Sent) {
        let before = self.loaded_bytes.get().unwrap_or(0);
        self.loaded_bytes
            .set(Some(before.saturating_add(sent.bytes())));
    }

    /// The failure of the export, after a successful build.
    fn not_exported(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Solve { error, .. } => self.failure_of(LoadCause::Export(error)),
            other => other,
        }
    }
}

/// Whether the image can be loaded from an archive of the builder after this error.
fn is_solved_by_archive(error: &LoadError) -> bool {
    matches!(
        error,
        LoadError::Zstd { .. } | LoadError::Blob(BlobError::NotServed { .. })
    )
}
