//! One load: what is sent, sending it, and seeing that it arrived.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::{BuildInfo, ImageManifestSummary};
use bollard::query_parameters::{ImportImageOptionsBuilder, ListImagesOptionsBuilder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

use super::archive::Form;
pub use super::archive::Sent;
use super::blobs::{BlobError, Blobs};
use super::content;
use super::daemon::{Daemon, Store};
use super::error::LoadError;
use super::image::{Descriptor, Image};
use super::present::Present;
use super::stages::{Passing, Stage, one, stages};
use crate::registry::reference::Reference;
use crate::shape::is_image_id;

/// How long a daemon may take over one load: longer than a step may.
const LOAD_LIMIT: Duration = Duration::from_hours(2);

/// How long it may take no byte, or unpack without a word once it has them all. That is so for an archive without layers too.
pub(super) const STALL_LIMIT: Duration = Duration::from_mins(15);

/// How long the first byte may take of an archive that a builder makes: it may compress all layers before that.
const FIRST_BYTE_LIMIT: Duration = Duration::from_hours(1);

/// How long it may take to list its images, with the layers of each.
const LIST_LIMIT: Duration = Duration::from_mins(1);

/// How often it is looked whether it took some.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// What a daemon says of an image that it has taken and cannot use.
const BROKEN: [&str; 2] = ["Error unpacking image", "error unpacking image"];

/// What one load sends.
#[derive(Clone, Debug)]
pub struct Load {
    pub(super) form: Form,
    /// From the lowest on; the last one has all layers.
    pub(super) stages: Vec<Stage>,
    /// Layers that are sent.
    missing: usize,
    /// Layers in all.
    layers: usize,
    /// The image itself is there, and only lacks names.
    is_there: bool,
    /// That the layers which are left out are there is likely, and has to be seen afterwards.
    is_guess: bool,
}

impl Load {
    /// Layers that the daemon has.
    #[must_use]
    pub fn present(&self) -> usize {
        self.layers - self.missing
    }

    /// Layers that it lacks.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// What they have together, as they are sent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let wanted = self.stages.iter().flat_map(|stage| &stage.wanted);
        wanted.map(|blob| blob.size).sum()
    }
}

/// What came of a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What the image is called by everybody who has the same image: its id in this daemon.
    pub id: String,
}

impl Daemon {
    /// What has to be sent so that the daemon has `image`.
    ///
    /// # Errors
    /// What is missing comes in a form that it cannot read.
    pub async fn plan(&self, image: &Image, present: &Present) -> Result<Load, LoadError> {
        let is_there = self.has(image).await;
        if is_there {
            return self.load_of(image, |_| false, true);
        }
        match self.about().store {
            Store::Classic => {
                let there = present.layers_of(image);
                let load = self.load_of(image, |index| index >= there, false)?;
                Ok(Load {
                    stages: stages(image, there),
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

    /// The same for a store of containerd's that does not tell which blobs it has, as its images tell.
    ///
    /// An image with the same layers mostly has them in the same blobs, but another compression makes other blobs of them.
    /// [`Self::load`] sees that afterwards.
    async fn plan_by_chains(&self, image: &Image) -> Result<Load, LoadError> {
        let mut present = Present::default();
        let looked = tokio::time::timeout(LIST_LIMIT, present.look(self)).await;
        if !matches!(looked, Ok(Ok(()))) {
            return self.plan_whole(image);
        }
        let there = present.layers_of(image);
        let load = self.load_of(image, |index| index >= there, false)?;
        Ok(Load {
            is_guess: there > 0,
            ..load
        })
    }

    /// Whether a store of containerd's has all blobs of an image that was loaded into it.
    ///
    /// From version 1.47 on the API tells it of each manifest; before that only images of which all is there are listed.
    async fn is_whole(&self, image: &Image) -> bool {
        let options = ListImagesOptionsBuilder::default()
            .all(true)
            .manifests(true)
            .build();
        let Ok(listed) = self.docker().list_images(Some(options)).await else {
            return false;
        };
        let digest = image.manifest_digest();
        let version = self.docker().client_version();
        let tells_manifests = (version.major_version, version.minor_version) >= (1, 47);
        listed
            .iter()
            .filter(|listed| listed.id == digest)
            .any(|listed| !tells_manifests || has_all(listed.manifests.as_deref(), digest))
    }

    /// The same with all layers, whatever the daemon has.
    pub fn plan_whole(&self, image: &Image) -> Result<Load, LoadError> {
        self.load_of(image, |_| true, false)
    }

    fn load_of(
        &self,
        image: &Image,
        is_missing: impl Fn(usize) -> bool,
        is_there: bool,
    ) -> Result<Load, LoadError> {
        let missing = (0..image.layers.len()).filter(|&index| is_missing(index));
        let missing = missing.count();
        let stages = one(image, is_missing);
        let mut wanted = stages.iter().flat_map(|stage| &stage.wanted);
        if wanted.any(Descriptor::is_zstd) && !self.about().reads_zstd() {
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
            is_there,
            is_guess: false,
        })
    }

    /// Whether the image is there, under whatever name. That it is not, or cannot be told, is no error.
    async fn has(&self, image: &Image) -> bool {
        let id = match self.about().store {
            Store::Classic => image.id(),
            Store::Containerd => image.manifest_digest(),
            Store::Other => return false,
        };
        let found = self.docker().inspect_image(id).await;
        found.is_ok_and(|found| is(&found, image))
    }

    /// Sends what `load` says, and sees that every name leads to the image then.
    ///
    /// Dropping the future ends the sending. A daemon that had all of it by then may still take the image, and images that were
    /// there on its way only are in `passing`: see [`Daemon::sweep`].
    pub async fn load(
        &self,
        image: &Image,
        names: &[Reference],
        load: &Load,
        blobs: Arc<dyn Blobs>,
        sent: &Sent,
        passing: &Passing,
    ) -> Result<Loaded, LoadError> {
        let left_out = load.present() > 0;
        if load.is_there {
            for name in names {
                let id = match self.about().store {
                    Store::Containerd => image.manifest_digest(),
                    Store::Classic | Store::Other => image.id(),
                };
                match self.tag(id, name).await {
                    Ok(()) => {}
                    Err(bollard::errors::Error::DockerResponseServerError {
                        status_code: 404,
                        message: told,
                    }) => return Err(LoadError::LayerGone { told }),
                    Err(error) => return Err(LoadError::of(error, left_out)),
                }
            }
        } else {
            let sending = self.send_stages(image, names, load, blobs, sent, passing);
            match sending.await {
                // Whatever it is that it does not like of a part, it may take the whole. That needs no less room.
                Err(error) if load.stages.len() > 1 && !error.is_disk_full() => {
                    return Err(error.of_a_part());
                }
                outcome => outcome?,
            }
        }
        if load.is_guess && !self.is_whole(image).await {
            let told = "it has a layer in another form than the image".to_owned();
            return Err(LoadError::LayerGone { told });
        }
        self.verify(names, left_out, |found| is(found, image), image.id())
            .await
    }

    /// Sends an archive that somebody else made, and sees that every name leads to the image then, whose id in a classic
    /// store or in containerd's is one of `ids` once these are known. Its layers are those of `same`, where that matters.
    pub async fn load_archive(
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

    /// Streams an archive into the daemon and reads its answer to the end. `first_byte_limit` is the time that the first
    /// byte of a layer may take.
    pub(super) async fn send(
        &self,
        archive: impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static,
        sent: &Sent,
        first_byte_limit: Duration,
        left_out: bool,
    ) -> Result<(), LoadError> {
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let docker = self.patient(LOAD_LIMIT);
        let answer = docker.import_image_stream(options, archive, None);
        let outcome = tokio::select! {
            outcome = taken(answer, left_out) => outcome,
            stalled = stall(sent, first_byte_limit) => Err(stalled),
        };
        match (outcome, sent.failure()) {
            // The daemon saw only that the archive broke off.
            (Err(_), Some(cause)) => Err(cause.into()),
            (outcome, _) => outcome,
        }
    }

    /// Sees that every name leads to the image.
    pub(super) async fn verify(
        &self,
        names: &[Reference],
        left_out: bool,
        is_it: impl Fn(&bollard::models::ImageInspect) -> bool,
        expected: &str,
    ) -> Result<Loaded, LoadError> {
        let mut id = None;
        for name in names {
            let found = match self.docker().inspect_image(&name.to_string()).await {
                Ok(found) if is_it(&found) && found.id.as_deref().is_some_and(is_image_id) => {
                    id = id.or(found.id);
                    continue;
                }
                Ok(found) => found.id.unwrap_or_else(|| "an image without id".into()),
                Err(bollard::errors::Error::DockerResponseServerError {
                    status_code: 404, ..
                }) => "nothing".to_owned(),
                Err(error) => return Err(LoadError::of(error, false)),
            };
            if left_out {
                return Err(LoadError::LayerGone {
                    told: format!("`{name}` is {found}"),
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

/// Reads what a daemon says of an archive to its end: whether it has taken the image.
pub(crate) async fn taken(
    mut answer: impl Stream<Item = Result<BuildInfo, bollard::errors::Error>> + Unpin,
    left_out: bool,
) -> Result<(), LoadError> {
    let mut said = None;
    while let Some(line) = answer.next().await {
        let line = line.map_err(|error| LoadError::of(error, left_out))?;
        let text = line.stream.unwrap_or_default();
        if BROKEN.iter().any(|words| text.contains(words)) {
            // The answer goes on, and ends as one that tells of success.
            said.get_or_insert_with(|| text.trim().to_owned());
        }
    }
    match said {
        Some(told) => Err(LoadError::told(told, left_out)),
        None => Ok(()),
    }
}

/// Whether what a daemon has is the image: by its id, and by the layers that it knows of.
fn is(found: &bollard::models::ImageInspect, image: &Image) -> bool {
    (has_id(found, image.id()) || has_id(found, image.manifest_digest()))
        && has_layers(found, image)
}

/// Whether one of the manifests has this digest, and all that it names is there.
fn has_all(manifests: Option<&[ImageManifestSummary]>, digest: &str) -> bool {
    let mut manifests = manifests.unwrap_or_default().iter();
    manifests.any(|manifest| manifest.id == digest && manifest.available)
}

/// Whether what a daemon has consists of the image's layers.
pub(super) fn has_layers(found: &bollard::models::ImageInspect, image: &Image) -> bool {
    let layers = found
        .root_fs
        .as_ref()
        .and_then(|root| root.layers.as_deref());
    let layers = layers.unwrap_or_default().iter();
    layers.map(String::as_str).eq(image.diff_ids())
}

/// Podman leaves the algorithm out.
fn has_id(found: &bollard::models::ImageInspect, id: &str) -> bool {
    found
        .id
        .as_deref()
        .is_some_and(|found| found == id || id.strip_prefix("sha256:") == Some(found))
}

/// Ends when nothing was sent for too long: `first_byte_limit` before the first byte, and [`STALL_LIMIT`] after it.
async fn stall(sent: &Sent, first_byte_limit: Duration) -> LoadError {
    let mut last = (sent.bytes(), Instant::now());
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
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
    fn an_image_is_whole_if_its_own_manifest_has_all() {
        let manifest = |id: &str, available| ImageManifestSummary {
            id: id.into(),
            available,
            ..ImageManifestSummary::default()
        };
        let others = [
            manifest("sha256:other", true),
            manifest("sha256:one", false),
        ];
        assert!(!has_all(None, "sha256:one"));
        assert!(!has_all(Some(&others), "sha256:one"));
        assert!(has_all(Some(&others), "sha256:other"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_that_stands_still_ends_in_every_phase() {
        let day = Duration::from_hours(24);
        // No layer is sent, as all are there or the builder makes the archive.
        for limit in [STALL_LIMIT, FIRST_BYTE_LIMIT] {
            let begun = Instant::now();
            let stalled = tokio::time::timeout(day, stall(&Sent::default(), limit)).await;
            assert!(
                matches!(stalled, Ok(LoadError::Stalled(told)) if told == limit),
                "{stalled:?}"
            );
            assert_eq!(begun.elapsed(), limit);
        }
        // It took some, and then nothing.
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
        assert!(begun.elapsed() + LOOK_INTERVAL >= STALL_LIMIT * 6);
        assert!(begun.elapsed() <= STALL_LIMIT * 6 + 2 * LOOK_INTERVAL);
    }
}
