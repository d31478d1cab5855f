//! Loading what was built into the step's Docker daemon.
//!
//! The daemon is looked for before anything is started, and looked at while the image is built. Then only the layers go into it
//! that it lacks, read from the builder over the connection that is open anyway. Where that cannot be, the builder exports an
//! archive that passes through us.

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
use self::progress::{shown_while, size};
use super::Result;
use super::failure::{Failure, LoadCause, LoadFailure};
use super::on_machine::{Exported, Part};
use super::request;
use crate::buildkit::{session, words};
use crate::cancel::{Cancel, Reason};
use crate::depot::{PullInfo, Step, Steps};
use crate::docker::{BlobError, Image, Load, LoadError, Loaded, Passing, PullLogin, Sent};
use crate::registry::reference::Reference;

/// How long a daemon may take over removing what a load has left there.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);

/// The same after a signal: what is left of a second then belongs to the end of the build.
const STOPPED_SWEEP_LIMIT: Duration = Duration::from_millis(200);

/// Removes the images that a load had on its way only, on every way out.
pub(super) async fn sweep(daemon: &StepDaemon, passing: &Passing, cancel: &Cancel) {
    let limit = match cancel.reason() {
        Some(Reason::Signal(_)) => STOPPED_SWEEP_LIMIT,
        _ => SWEEP_LIMIT,
    };
    let sweeping = daemon.docker().sweep(passing);
    if cancel.within(limit, sweeping).await.is_none() {
        tracing::debug!("the Docker daemon keeps images that were on their way: {passing:?}");
    }
}

/// Of no more than this a daemon gets the layers also where Depot would have it pull: a pull asks a registry several times, one after the
/// other.
const LITTLE_BYTES: u64 = 4 << 20;

/// One load: an image of a part, for the step's daemon.
pub(super) struct Loading<'a> {
    pub(super) daemon: &'a StepDaemon,
    pub(super) names: &'a [Reference],
    /// On which machine it was built.
    pub(super) part: &'a Part<'a>,
    pub(super) exported: &'a Exported,
    /// The images that the daemon has on the way only.
    pub(super) passing: &'a Passing,
}

impl Loading<'_> {
    /// Loads the image, as a step that people see.
    ///
    /// `image` is what is loaded, once that is known; another load of the same goes on with it.
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
        let little = match &image {
            Ok(image) if pull.is_some() => self.little(image, &mut look).await,
            _ => None,
        };
        if little.is_none()
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
        // What was pushed is what has to be loaded.
        let plan = &self.part.work.plan.image;
        let is_elsewhere = plan.push || plan.save.is_some();
        let (error, same) = match image {
            Ok(image) => match Box::pin(self.layers(image, look, little, step)).await {
                Ok(loaded) => return Ok(loaded),
                Err(error) => {
                    if let Some(pull) = pull {
                        let why = self.part.work.masker.mask(crate::cause::one_line(&error));
                        step.say(format_args!("{why}; having the daemon pull the image"));
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
        step.say(format_args!("{error}; having the builder export the image"));
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

    /// Has the daemon pull the image from Depot's registry. What fails there is told and is no failure of the run.
    async fn pull(
        &self,
        pull: &PullInfo,
        image: Option<&Image>,
        step: &Step,
    ) -> std::result::Result<Loaded, String> {
        let reference = Reference::parse(&pull.reference)
            .map_err(|error| format!("Depot names `{}`, which {error}", pull.reference))?;
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
            .map_err(|error| crate::cause::one_line(&error))
    }

    /// What has to be sent, where that is so little that it is there before a registry has been asked for it.
    async fn little(&self, image: &Image, look: &mut Look) -> Option<Load> {
        let load = self.plan(image, look).await.ok()?;
        (load.bytes() <= LITTLE_BYTES).then_some(load)
    }

    async fn plan(&self, image: &Image, look: &mut Look) -> std::result::Result<Load, LoadError> {
        let daemon = self.daemon.docker();
        look.again(daemon).await;
        daemon.plan(image, &look.present).await
    }

    /// Sends the layers that the daemon lacks, as `planned` or as it is seen now. If one is gone that was there, all of them.
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
                "{present} of {} layers are there, sending {missing} ({})",
                present + missing,
                size(bytes)
            ));
            let blobs = Arc::new(FromBuilder(self.exported.connection.clone()));
            let sent = Sent::default();
            let loading = daemon.load(image, self.names, &load, blobs, &sent, self.passing);
            match shown_while(loading, step, &sent, Some(bytes)).await {
                Err(LoadError::LayerGone { told }) => {
                    step.say(format_args!("{told}: once more, with all layers"));
                    load = daemon.plan_whole(image)?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Passes an archive of the image through to the daemon.
    async fn archive(&self, gzip: bool, same: Option<&Image>, step: &Step) -> Result<Loaded> {
        let part = self.part;
        let (sink, pieces) = session::file();
        let broken = |status: tonic::Status| BlobError::Broken {
            digest: "the archive".into(),
            told: words(&status),
        };
        let solve = request::archive(part.work.plan, self.daemon.asked(), self.names, gzip);
        let (tell, ids) = oneshot::channel();
        let solving = async {
            let solved = part.export(&self.exported.connection, &solve, sink).await?;
            // Where the daemon has refused the archive already nobody wants to know.
            let _refused = tell.send(solved.ids().cloned().collect::<Vec<_>>());
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
        let mut loading = std::pin::pin!(shown_while(loading, step, &sent, None));
        let mut solving = std::pin::pin!(solving);
        let loaded = tokio::select! {
            solved = &mut solving => match solved {
                Ok(()) => loading.await,
                // The archive is broken, whatever the daemon makes of it.
                Err(failure) => return Err(self.not_exported(failure)),
            },
            loaded = &mut loading => match loaded {
                // The builder still has to say that it has sent all of it, or why it has not.
                Ok(_) | Err(LoadError::Blob(_) | LoadError::NotThere { .. }) => {
                    solving.await.map_err(|failure| self.not_exported(failure))?;
                    loaded
                }
                error => error,
            },
        };
        loaded.map_err(|error| self.failure(error))
    }

    /// A solve that failed after the one that built the image.
    fn not_exported(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Solve { error, .. } => self.failure_of(LoadCause::Export(error)),
            other => other,
        }
    }
}
