//! Loads the image that is copied into the step's daemon. Only the missing layers are read from the registry.

use std::sync::Arc;

use futures_util::StreamExt;

use super::Promotion;
use super::source::{self, Source};
use crate::docker::{
    BlobError, Blobs, Chunks, Descriptor, Image, LoadError, Loaded, Passing, Sent, Transfer,
};
use crate::pipe::Result;
use crate::pipe::delivered::PlatformImage;
use crate::pipe::failure::{Failure, LoadCause, LoadFailure};
use crate::pipe::load::daemon::Look;
use crate::pipe::load::exported::parse;
use crate::pipe::load::progress::report_while;
use crate::pipe::load::{StepDaemon, sweep};
use crate::pipe::registries::Registries;
use crate::platform::{Platform, best_for};
use crate::registry::client::{BlobRange, Client};
use crate::registry::copy::tree::Tree;
use crate::registry::reference::Reference;
use crate::report::progress::size;
use crate::text::cause::one_line;

/// The blobs of a repository.
struct FromRegistry {
    client: Arc<Client>,
    source: Reference,
}

impl Blobs for FromRegistry {
    fn read(&self, blob: &Descriptor, offset: u64, length: u64) -> Chunks {
        let digest = blob.digest.clone();
        let pieces = self.client.read_blob(BlobRange {
            host: self.source.host().to_owned(),
            repository: self.source.repository().to_owned(),
            digest: digest.clone(),
            offset,
            length,
        });
        Box::pin(pieces.map(move |piece| {
            piece.map_err(|error| BlobError::Registry {
                digest: digest.clone(),
                reason: one_line(&error),
            })
        }))
    }
}

/// Loads the platform of the image that fits the daemon best. Returns the number of bytes sent too.
pub(super) async fn load(
    promotion: &Promotion<'_>,
    daemon: &StepDaemon,
    source: &Source,
    registries: &Registries,
    tree: &Tree,
) -> Result<(Loaded, u64)> {
    let names = &promotion.image.destinations.references;
    let listed: Vec<String> = names.iter().map(ToString::to_string).collect();
    let title = format!(
        "[load] {} into Docker {}",
        listed.join(", "),
        daemon.version()
    );
    let passing = Passing::default();
    let loaded = promotion
        .step(&title, async |step| {
            let offered = source::platforms(source, registries, tree).await;
            let manifest = choose(&daemon.docker().about().platform, &offered)?;
            let manifest = manifest.unwrap_or_else(|| tree.root().digest.clone());
            let image = image(source, registries, tree, &manifest).await;
            let image = image.map_err(|error| failure(error, daemon, names))?;
            let mut look = Look::default();
            look.again(daemon.docker()).await;
            let load = daemon.docker().plan(&image, &look.present).await;
            let mut load = load.map_err(|error| failure(error, daemon, names))?;
            let mut all_sent = 0_u64;
            loop {
                let (present, missing, bytes) = (load.present(), load.missing(), load.bytes());
                step.say(format_args!(
                    "{present} of {} layers already exist, sending {missing} ({})",
                    present + missing,
                    size(bytes)
                ));
                let sent = Sent::default();
                let transfer = Transfer {
                    image: &image,
                    names,
                    blobs: Arc::new(FromRegistry {
                        client: Arc::clone(&registries.client),
                        source: source.reference.clone(),
                    }),
                    sent: &sent,
                    passing: &passing,
                };
                let loading = daemon.docker().load(&load, transfer);
                match report_while(loading, step, &sent, Some(bytes)).await {
                    Err(LoadError::LayerGone { reason } | LoadError::NeedsAllLayers { reason }) => {
                        step.say(format_args!("{reason}; sending all layers"));
                        all_sent = all_sent.saturating_add(sent.bytes());
                        let whole = daemon.docker().plan_whole(&image);
                        load = whole.map_err(|error| failure(error, daemon, names))?;
                    }
                    Err(error) => return Err(failure(error, daemon, names)),
                    Ok(loaded) => {
                        step.say(format_args!("loaded {}", loaded.id));
                        return Ok((loaded, all_sent.saturating_add(sent.bytes())));
                    }
                }
            }
        })
        .await;
    sweep(daemon, &passing, promotion.cancel).await;
    loaded
}

/// The manifest of the platform that runs best on the daemon; `None` if no platform is known.
fn choose(daemon: &Platform, offered: &[PlatformImage]) -> Result<Option<String>> {
    let platforms: Vec<_> = offered.iter().map(|image| image.platform.clone()).collect();
    let best = best_for(daemon, &platforms).and_then(|index| offered.get(index));
    match (best, offered) {
        (Some(image), _) => Ok(Some(image.digest.clone())),
        (None, []) => Ok(None),
        (None, [image]) => {
            let platform = &image.platform;
            tracing::warn!(
                "the Docker daemon is for {daemon}; it needs an emulator to run the image for {platform}"
            );
            Ok(Some(image.digest.clone()))
        }
        (None, _) => {
            let offered = platforms.iter().map(ToString::to_string);
            Err(Failure::NoPlatform {
                daemon: daemon.to_string(),
                offered: offered.collect::<Vec<_>>().join(", "),
            })
        }
    }
}

/// The image with this manifest.
async fn image(
    source: &Source,
    registries: &Registries,
    tree: &Tree,
    manifest: &str,
) -> std::result::Result<Image, LoadError> {
    let wrong = |problem: String| BlobError::Wrong {
        digest: manifest.to_owned(),
        problem,
    };
    let missing = || wrong("it is not part of the image".into());
    let bytes = tree.manifest(manifest).ok_or_else(missing)?;
    let document = parse(manifest, bytes)?;
    let config = document
        .config_digest()
        .ok_or_else(|| wrong("it has no config".into()))?;
    let reference = &source.reference;
    let config = registries
        .client
        .blob(reference.host(), reference.repository(), config)
        .await
        .map_err(|error| BlobError::Registry {
            digest: config.to_owned(),
            reason: one_line(&error),
        })?;
    let image = Image::parse(bytes.clone(), config);
    image.map_err(|error| wrong(one_line(&error)).into())
}

fn failure(error: LoadError, daemon: &StepDaemon, names: &[Reference]) -> Failure {
    Failure::Load(Box::new(LoadFailure {
        cause: LoadCause::Load(error),
        version: daemon.version().to_owned(),
        pushed: Vec::new(),
        missing: names.iter().map(ToString::to_string).collect(),
    }))
}
