//! One load: planning it, sending it, and verifying the result.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::BuildInfo;
use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

use super::archive::Form;
pub(crate) use super::archive::Sent;
use super::blobs::{BlobError, Blobs};
use super::content;
use super::daemon::{Daemon, Store};
use super::error::LoadError;
use super::image::{Descriptor, Image};
use super::present::Present;
use super::query::{InspectedImage, ListedManifest};
use super::stages::{Passing, Stage, single_stage, stages};
use crate::registry::reference::Reference;
use crate::text::shape::is_image_id;

/// The limit for one load: longer than the limit of a step.
const LOAD_LIMIT: Duration = Duration::from_hours(2);

/// The limit without progress: while sending, and while the daemon unpacks. It also applies to an archive without layers.
pub(super) const STALL_LIMIT: Duration = Duration::from_mins(15);

/// The limit for the first byte of an archive that a builder exports: it may compress all layers first.
const FIRST_BYTE_LIMIT: Duration = Duration::from_hours(1);

/// How often the progress is checked.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Parts of the daemon's output if it accepted an image that it cannot unpack.
const UNPACK_ERRORS: [&str; 2] = ["Error unpacking image", "error unpacking image"];

/// The plan of one load.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(super) form: Form,
    /// In the order of sending; the last one completes the image.
    pub(super) stages: Vec<Stage>,
    /// The number of layers to send.
    missing: usize,
    /// The number of all layers.
    layers: usize,
    /// The daemon already has the image; only names are added.
    exists: bool,
    /// The omitted layers are probably in the daemon, which must be verified afterwards.
    is_guess: bool,
}

impl Load {
    /// The number of layers that the daemon has.
    #[must_use]
    pub(crate) fn present(&self) -> usize {
        self.layers - self.missing
    }

    /// The number of layers that it lacks.
    #[must_use]
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// The size of the missing layers as they are sent, in bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        let descriptors = self.stages.iter().flat_map(|stage| &stage.descriptors);
        descriptors.map(|blob| blob.size).sum()
    }
}

/// An image on its way into a daemon.
pub(crate) struct Transfer<'a> {
    /// The image.
    pub(crate) image: &'a Image,
    /// Its names in the daemon.
    pub(crate) names: &'a [Reference],
    /// The source of its layers.
    pub(crate) blobs: Arc<dyn Blobs>,
    /// The progress.
    pub(crate) sent: &'a Sent,
    /// Receives the temporary images of the load: see [`Daemon::sweep`].
    pub(crate) passing: &'a Passing,
}

/// The result of a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// The id of the image in this daemon.
    pub(crate) id: String,
}

impl Daemon {
    /// Plans a load: determines which layers of `image` the daemon lacks.
    ///
    /// # Errors
    /// The daemon cannot read the compression of a missing layer.
    pub(crate) async fn plan(&self, image: &Image, present: &Present) -> Result<Load, LoadError> {
        let exists = self.has(image).await;
        if exists {
            return self.load_of(image, |_| false, true);
        }
        match self.about().store {
            Store::Classic => {
                let present_layers = present.layers_of(image);
                let load = self.load_of(image, |index| index >= present_layers, false)?;
                Ok(Load {
                    stages: stages(image, present_layers),
                    ..load
                })
            }
            Store::Containerd => {
                let layers = image.layers.iter();
                let digests = layers.map(|layer| layer.blob.digest.clone()).collect();
                let Some(held) = content::held(self.connector(), digests).await else {
                    return self.plan_by_chains(image).await;
                };
                let is_missing = |index: usize| {
                    let layer = image.layers.get(index);
                    layer.is_some_and(|layer| !held.contains(&layer.blob.digest))
                };
                self.load_of(image, is_missing, false)
            }
            Store::Other => self.plan_whole(image),
        }
    }

    /// Plans a load into a containerd store whose blobs cannot be queried, from the layers of its images.
    ///
    /// Images with the same layers usually share the blobs, but another compression results in other blobs. [`Self::load`]
    /// verifies this afterwards.
    async fn plan_by_chains(&self, image: &Image) -> Result<Load, LoadError> {
        let mut present = Present::default();
        if present.look(self).await.is_err() {
            return self.plan_whole(image);
        }
        let present_layers = present.layers_of(image);
        let load = self.load_of(image, |index| index >= present_layers, false)?;
        Ok(Load {
            is_guess: present_layers > 0,
            ..load
        })
    }

    /// Whether a containerd store has all blobs of an image that was loaded into it.
    ///
    /// Since version 1.47 the API reports this for each manifest; before that, only complete images are listed.
    async fn is_whole(&self, image: &Image) -> bool {
        let Ok(listed) = self.list_images(true).await else {
            return false;
        };
        let digest = image.manifest_digest();
        let version = self.docker().client_version();
        let reports_manifests = (version.major_version, version.minor_version) >= (1, 47);
        listed
            .iter()
            .filter(|listed| listed.id == digest)
            .any(|listed| !reports_manifests || is_available(listed.manifests.as_deref(), digest))
    }

    /// Plans a load of all layers, regardless of the daemon's content.
    pub(crate) fn plan_whole(&self, image: &Image) -> Result<Load, LoadError> {
        self.load_of(image, |_| true, false)
    }

    fn load_of(
        &self,
        image: &Image,
        is_missing: impl Fn(usize) -> bool,
        exists: bool,
    ) -> Result<Load, LoadError> {
        let missing = (0..image.layers.len()).filter(|&index| is_missing(index));
        let missing = missing.count();
        let stages = single_stage(image, is_missing);
        let mut descriptors = stages.iter().flat_map(|stage| &stage.descriptors);
        if descriptors.any(Descriptor::is_zstd) && !self.about().reads_zstd() {
            return Err(LoadError::Zstd {
                version: self.about().version.clone(),
            });
        }
        Ok(Load {
            form: match self.about().store {
                Store::Containerd => Form::Oci,
                Store::Classic | Store::Other => Form::Docker,
            },
            stages,
            missing,
            layers: image.layers.len(),
            exists,
            is_guess: false,
        })
    }

    /// Whether the daemon has the image, under any name. An error of the call is treated as `false`.
    async fn has(&self, image: &Image) -> bool {
        let id = match self.about().store {
            Store::Classic => image.id(),
            Store::Containerd => image.manifest_digest(),
            Store::Other => return false,
        };
        let found = self.inspect_image(id).await;
        found.is_ok_and(|found| is_image(&found, image))
    }

    /// Executes the plan `load`, and verifies that every name refers to the image.
    ///
    /// Dropping the future stops the transfer. A daemon that has already received everything may still load the image.
    pub(crate) async fn load(
        &self,
        load: &Load,
        transfer: Transfer<'_>,
    ) -> Result<Loaded, LoadError> {
        let Transfer { image, names, .. } = transfer;
        let omits_layers = load.present() > 0;
        if load.exists {
            for name in names {
                let id = match self.about().store {
                    Store::Containerd => image.manifest_digest(),
                    Store::Classic | Store::Other => image.id(),
                };
                match self.tag(id, name).await {
                    Ok(()) => {}
                    Err(bollard::errors::Error::DockerResponseServerError {
                        status_code: 404,
                        message: reason,
                    }) => return Err(LoadError::NeedsAllLayers { reason }),
                    Err(error) => return Err(LoadError::of(error, omits_layers)),
                }
            }
        } else {
            match self.send_stages(load, transfer).await {
                // The daemon may accept the image in one archive, unless its disk is full.
                Err(error) if load.stages.len() > 1 && !error.is_disk_full() => {
                    return Err(error.of_stage());
                }
                outcome => outcome?,
            }
        }
        if load.is_guess && !self.is_whole(image).await {
            let reason = "the daemon lacks blobs of the image".to_owned();
            return Err(LoadError::NeedsAllLayers { reason });
        }
        self.verify(
            names,
            omits_layers,
            |found| is_image(found, image),
            image.id(),
        )
        .await
    }

    /// Sends an archive from another source, and verifies that every name refers to an image with one of `ids`: the ids for
    /// the classic and the containerd store. With `same`, the image must also have the layers of `same`.
    pub(crate) async fn load_archive(
        &self,
        names: &[Reference],
        archive: impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static,
        sent: &Sent,
        ids: impl Future<Output = Vec<String>>,
        same: Option<&Image>,
    ) -> Result<Loaded, LoadError> {
        let sending = self.send(archive, sent, FIRST_BYTE_LIMIT, false);
        let (loaded, ids) = tokio::join!(sending, ids);
        loaded?;
        let is_it = |found: &_| {
            ids.iter().any(|id| has_id(found, id))
                && same.is_none_or(|image| has_layers(found, image))
        };
        self.verify(names, false, is_it, &ids.join(" or ")).await
    }

    /// Streams an archive to the daemon and reads the whole response. `first_byte_limit` is the limit for the first byte of
    /// a layer.
    pub(super) async fn send(
        &self,
        archive: impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static,
        sent: &Sent,
        first_byte_limit: Duration,
        omits_layers: bool,
    ) -> Result<(), LoadError> {
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let docker = self.with_limit(LOAD_LIMIT);
        let response = docker.import_image_stream(options, archive, None);
        let outcome = tokio::select! {
            outcome = taken(response, omits_layers) => outcome,
            stalled = stall(sent, first_byte_limit) => Err(stalled),
        };
        match (outcome, sent.failure()) {
            // The daemon reports only an incomplete archive.
            (Err(_), Some(cause)) => Err(cause.into()),
            (outcome, _) => outcome,
        }
    }

    /// Verifies that every name refers to the image.
    pub(super) async fn verify(
        &self,
        names: &[Reference],
        omits_layers: bool,
        is_it: impl Fn(&InspectedImage) -> bool,
        expected: &str,
    ) -> Result<Loaded, LoadError> {
        let mut id = None;
        for name in names {
            let found = match self.inspect_image(&name.to_string()).await {
                Ok(found) if is_it(&found) && found.id.as_deref().is_some_and(is_image_id) => {
                    id = id.or(found.id);
                    continue;
                }
                Ok(found) => found.id.unwrap_or_else(|| "an image without an id".into()),
                Err(bollard::errors::Error::DockerResponseServerError {
                    status_code: 404, ..
                }) => "nothing".to_owned(),
                Err(error) => return Err(LoadError::of(error, false)),
            };
            if omits_layers {
                return Err(LoadError::NeedsAllLayers {
                    reason: format!("in the Docker daemon, `{name}` refers to {found}"),
                });
            }
            return Err(LoadError::NotThere {
                name: name.to_string(),
                expected: expected.to_owned(),
                found,
            });
        }
        Ok(Loaded {
            id: id.unwrap_or_else(|| expected.to_owned()),
        })
    }
}

/// Reads the daemon's whole response to an archive, and returns whether it loaded the image.
pub(crate) async fn taken(
    mut response: impl Stream<Item = Result<BuildInfo, bollard::errors::Error>> + Unpin,
    omits_layers: bool,
) -> Result<(), LoadError> {
    let mut unpack_error = None;
    while let Some(line) = response.next().await {
        let line = line.map_err(|error| LoadError::of(error, omits_layers))?;
        let text = line.stream.unwrap_or_default();
        if UNPACK_ERRORS.iter().any(|part| text.contains(part)) {
            // The response continues, and ends like a successful one.
            unpack_error.get_or_insert_with(|| text.trim().to_owned());
        }
    }
    match unpack_error {
        Some(message) => Err(LoadError::of_message(message, omits_layers)),
        None => Ok(()),
    }
}

/// Whether `found` is the image, by its id and its layers.
fn is_image(found: &InspectedImage, image: &Image) -> bool {
    (has_id(found, image.id()) || has_id(found, image.manifest_digest()))
        && has_layers(found, image)
}

/// Whether one of the manifests has this digest, and all of its content is available.
fn is_available(manifests: Option<&[ListedManifest]>, digest: &str) -> bool {
    let mut manifests = manifests.unwrap_or_default().iter();
    manifests.any(|manifest| manifest.id == digest && manifest.available)
}

/// Whether `found` has exactly the image's layers.
pub(super) fn has_layers(found: &InspectedImage, image: &Image) -> bool {
    let layers = found
        .root_fs
        .as_ref()
        .and_then(|root| root.layers.as_deref());
    let layers = layers.unwrap_or_default().iter();
    layers.map(String::as_str).eq(image.diff_ids())
}

/// Podman omits the algorithm.
fn has_id(found: &InspectedImage, id: &str) -> bool {
    found
        .id
        .as_deref()
        .is_some_and(|found| found == id || id.strip_prefix("sha256:") == Some(found))
}

/// Returns when nothing was sent for too long: `first_byte_limit` before the first byte, [`STALL_LIMIT`] after it.
async fn stall(sent: &Sent, first_byte_limit: Duration) -> LoadError {
    let mut last = (sent.bytes(), Instant::now());
    loop {
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        let bytes = sent.bytes();
        let limit = if bytes == 0 {
            first_byte_limit
        } else {
            STALL_LIMIT
        };
        if bytes != last.0 {
            last = (bytes, Instant::now());
        } else if last.1.elapsed() >= limit {
            return LoadError::Stalled(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_complete_if_its_own_manifest_is_available() {
        let manifest = |id: &str, available| ListedManifest {
            id: id.into(),
            available,
        };
        let others = [
            manifest("sha256:other", true),
            manifest("sha256:one", false),
        ];
        assert!(!is_available(None, "sha256:one"));
        assert!(!is_available(Some(&others), "sha256:one"));
        assert!(is_available(Some(&others), "sha256:other"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_without_progress_ends_in_every_phase() {
        let day = Duration::from_hours(24);
        // No layer is sent: all exist, or the builder exports the archive.
        for limit in [STALL_LIMIT, FIRST_BYTE_LIMIT] {
            let begun = Instant::now();
            let stalled = tokio::time::timeout(day, stall(&Sent::default(), limit)).await;
            assert!(
                matches!(stalled, Ok(LoadError::Stalled(after)) if after == limit),
                "{stalled:?}"
            );
            assert_eq!(begun.elapsed(), limit);
        }
        // The daemon receives some bytes, and then none.
        let sent = Sent::default();
        let counting = async {
            for _ in 0..10 {
                tokio::time::sleep(STALL_LIMIT / 2).await;
                sent.count(&Ok(Bytes::from_static(b"piece")));
            }
        };
        let begun = Instant::now();
        let (stalled, ()) = tokio::join!(stall(&sent, FIRST_BYTE_LIMIT), counting);
        assert!(matches!(stalled, LoadError::Stalled(STALL_LIMIT)));
        assert!(begun.elapsed() + PROGRESS_INTERVAL >= STALL_LIMIT * 6);
        assert!(begun.elapsed() <= STALL_LIMIT * 6 + 2 * PROGRESS_INTERVAL);
    }
}
