//! Loads the built image into the step's Docker daemon.
//!
//! The daemon is connected to before the build starts, and its layers are listed during the build. Then only the missing layers
//! are sent, read from the builder over the existing connection. If that is not possible, the builder exports an archive, which
//! is streamed through the pipe.

mod daemon;
pub(crate) mod exported;
mod from_builder;
mod progress;

pub(super) use daemon::{Look, StepDaemon};
pub(super) use exported::platforms;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::oneshot;

use self::from_builder::FromBuilder;
use self::progress::{report_while, size};
use super::Result;
use super::failure::{Failure, LoadCause, LoadFailure};
use super::on_machine::{Exported, Part};
use super::request;
use crate::buildkit::{session, words};
use crate::cancel::{Cancel, Reason};
use crate::depot::{PullInfo, Step, Steps};
use crate::docker::{BlobError, Image, Load, LoadError, Loaded, Passing, PullLogin, Sent};
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

/// One load of a part's image into the step's daemon.
pub(super) struct Loading<'a> {
    pub(super) daemon: &'a StepDaemon,
    pub(super) names: &'a [Reference],
    /// The part of the build that built the image.
    pub(super) part: &'a Part<'a>,
    pub(super) exported: &'a Exported,
    /// The temporary images in the daemon.
    pub(super) passing: &'a Passing,
}

impl Loading<'_> {
    /// Loads the image, as a step of the progress output.
    ///
    /// `image` is set when the image is known, so that a repeated load does not read it again.
    pub(super) async fn run(
        &self,
        look: Look,
        image: &mut Option<Image>,
        steps: &Steps,
    ) -> Result<Loaded> {
        let name = format!("[load] {}", self.daemon.title(self.names));
        let step = steps.begin(&name);
        let cancel = &self.part.cancel;
        let loading = async {
            tokio::select! {
                loaded = self.load(look, image, &step) => loaded,
                never = self.exported.connection.keep_in_use() => never,
            }
        };
        let loaded = match cancel.unless_fired(loading).await {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(failure)) => {
                let reason = self.part.why_it_stopped(failure.is_broken()).await;
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
            Err(failure) => {
                let masker = self.part.work.masker;
                step.failed(masker.mask(failure.one_line()));
            }
        }
        loaded
    }

    async fn load(&self, mut look: Look, known: &mut Option<Image>, step: &Step) -> Result<Loaded> {
        let image = match known {
            Some(image) => Ok(&*image),
            None => {
                let found = exported::image(self.exported, self.daemon.platform()).await;
                found.map(|image| &*known.insert(image))
            }
        };
        let mut pull = look.pull.take();
        let small = match &image {
            Ok(image) if pull.is_some() => self.small_load(image, &mut look).await,
            _ => None,
        };
        if small.is_none()
            && let Some(pull) = pull.take()
        {
            match self.pull(&pull, image.as_ref().ok().copied(), step).await {
                Ok(loaded) => return Ok(loaded),
                Err(why) => {
                    let why = self.part.work.masker.mask(why);
                    step.say(format_args!("{why}; reading the image from the builder"));
                }
            }
        }
        // The loaded image must be the pushed one.
        let plan = &self.part.work.plan.image;
        let is_elsewhere = plan.push || plan.save.is_some();
        let (error, same) = match image {
            Ok(image) => match Box::pin(self.layers(image, look, small, step)).await {
                Ok(loaded) => return Ok(loaded),
                Err(error) => {
                    if let Some(pull) = pull {
                        let why = self
                            .part
                            .work
                            .masker
                            .mask(crate::text::cause::one_line(&error));
                        step.say(format_args!("{why}; pulling the image instead"));
                        match self.pull(&pull, Some(image), step).await {
                            Ok(loaded) => return Ok(loaded),
                            // The first failure is the cause.
                            Err(why) => {
                                let why = self.part.work.masker.mask(why);
                                step.say(format_args!("{why}"));
                            }
                        }
                    }
                    (error, is_elsewhere.then_some(image))
                }
            },
            Err(error) => (error, None),
        };
        let gzip = matches!(error, LoadError::Zstd { .. });
        if !gzip && !matches!(error, LoadError::Blob(BlobError::NotServed { .. })) {
            return Err(self.failure(error));
        }
        step.say(format_args!(
            "{error}; exporting the image from the builder"
        ));
        Box::pin(self.archive(gzip, same, step)).await
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
        let platform = self.daemon.platform();
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
        mut look: Look,
        planned: Option<Load>,
        step: &Step,
    ) -> std::result::Result<Loaded, LoadError> {
        let daemon = self.daemon.docker();
        let mut load = match planned {
            Some(load) => load,
            None => self.plan(image, &mut look).await?,
        };
        loop {
            let (present, missing, bytes) = (load.present(), load.missing(), load.bytes());
            step.say(format_args!(
                "{present} of {} layers already exist, sending {missing} ({})",
                present + missing,
                size(bytes)
            ));
            let blobs = Arc::new(FromBuilder(self.exported.connection.clone()));
            let sent = Sent::default();
            let loading = daemon.load(image, self.names, &load, blobs, &sent, self.passing);
            match report_while(loading, step, &sent, Some(bytes)).await {
                Err(LoadError::LayerGone { told }) => {
                    step.say(format_args!("{told}; sending all layers"));
                    load = daemon.plan_whole(image)?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Streams an archive of the image from the builder to the daemon.
    async fn archive(&self, gzip: bool, same: Option<&Image>, step: &Step) -> Result<Loaded> {
        let part = self.part;
        let (sink, pieces) = session::file();
        let broken = |status: tonic::Status| BlobError::Broken {
            digest: "the archive".into(),
            reason: words(&status),
        };
        let solve = request::archive(
            part.work.plan,
            self.daemon.requested_platform(),
            self.names,
            gzip,
        );
        let (ids_sender, ids) = oneshot::channel();
        let solving = async {
            let solved = part.export(&self.exported.connection, &solve, sink).await?;
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
        loaded.map_err(|error| self.failure(error))
    }

    /// The failure of the export, after a successful build.
    fn not_exported(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Solve { error, .. } => self.failure_of(LoadCause::Export(error)),
            other => other,
        }
    }
}
