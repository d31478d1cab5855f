//! Splits a load into stages, so that a daemon unpacks lower layers while the upper ones are being sent.
//!
//! A daemon with a classic store unpacks an archive only after it has received all of it. So large loads are split into several
//! archives, sent in order; each adds the next group of layers, as an image of its own. The last one is the image to load. The
//! others are temporary images without a name, which are removed when the next one is loaded.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::errors::Error;
use futures_util::{StreamExt, stream};

use super::archive::distinct;
use super::daemon::Daemon;
use super::image::{Descriptor, Image};

/// The minimum size of a stage: a smaller one gains less than its request costs.
const MIN_STAGE_BYTES: u64 = 8 << 20;

/// The maximum number of stages, except for a small last one.
const MAX_STAGES: u64 = 16;

/// The pause between two attempts to remove an image that the daemon has not yet created.
const PAUSE: Duration = Duration::from_millis(50);

/// One archive of a load.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// The number of layers in its image, from the lowest on.
    pub(super) layers: usize,
    /// The blobs in the archive, without duplicates.
    pub(super) descriptors: Vec<Descriptor>,
}

/// A load in one archive, with the layers whose index satisfies `is_missing`.
pub(super) fn single_stage(image: &Image, is_missing: impl Fn(usize) -> bool) -> Vec<Stage> {
    vec![Stage {
        layers: image.layers.len(),
        descriptors: distinct(image, is_missing).cloned().collect(),
    }]
}

/// The stages of a load of all layers from index `present` on: at least one.
pub(super) fn stages(image: &Image, present: usize) -> Vec<Stage> {
    let sizes = image.layers.iter().map(|layer| layer.blob.size);
    let sizes: Vec<u64> = sizes.collect();
    let mut begin = present;
    stage_ends(&sizes, present)
        .into_iter()
        .map(|end| {
            let stage = Stage {
                layers: end,
                descriptors: distinct(image, |index| (begin..end).contains(&index))
                    .cloned()
                    .collect(),
            };
            begin = end;
            stage
        })
        .collect()
}

/// The ends of the stages, as layer counts.
fn stage_ends(sizes: &[u64], present: usize) -> Vec<usize> {
    let missing = sizes.get(present..).unwrap_or_default();
    let all = missing
        .iter()
        .fold(0, |all: u64, size| all.saturating_add(*size));
    let least = MIN_STAGE_BYTES.max(all / MAX_STAGES);
    let (mut ends, mut bytes) = (Vec::new(), 0_u64);
    for (end, size) in (present + 1..).zip(missing) {
        bytes = bytes.saturating_add(*size);
        if bytes >= least {
            ends.push(end);
            bytes = 0;
        }
    }
    // The remaining layers are their own stage, so that they are not unpacked with the previous one.
    if ends.last() != Some(&sizes.len()) {
        ends.push(sizes.len());
    }
    ends
}

/// The ids of the temporary images of a load. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passing(Arc<Mutex<Vec<String>>>);

impl Passing {
    /// Adds an image that the daemon may create from now on.
    pub(super) fn add(&self, id: &str) {
        if let Ok(mut ids) = self.0.lock() {
            ids.push(id.to_owned());
        }
    }

    pub(super) fn forget(&self, id: &str) {
        if let Ok(mut ids) = self.0.lock() {
            ids.retain(|known| known != id);
        }
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().map(|ids| ids.clone()).unwrap_or_default()
    }
}

impl Daemon {
    /// Removes a temporary image after the next one was loaded.
    pub(super) async fn remove_temporary(&self, passing: &Passing, id: &str) {
        match self.untag(id).await {
            // 404: it was removed by another program. 409: it may be in use.
            Ok(())
            | Err(Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => passing.forget(id),
            Err(error) => {
                tracing::debug!("cannot remove `{id}` from the Docker daemon yet: {error}");
            }
        }
    }

    /// Removes the temporary images of an incomplete load, including those that the daemon is still creating. Returns when none is
    /// left, which may be never.
    pub(crate) async fn sweep(&self, passing: &Passing) {
        loop {
            let ids = passing.all();
            if ids.is_empty() {
                return;
            }
            let removing = stream::iter(&ids).for_each_concurrent(None, async |id| {
                match self.untag(id).await {
                    Ok(()) => passing.forget(id),
                    // The daemon may still create it.
                    Err(Error::DockerResponseServerError {
                        status_code: 404, ..
                    }) => {}
                    Err(error) => {
                        tracing::debug!("cannot remove `{id}` from the Docker daemon: {error}");
                        passing.forget(id);
                    }
                }
            });
            removing.await;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::image::tests::image;
    use super::*;

    #[test]
    fn a_blob_is_in_every_archive_whose_layers_use_it() {
        let large = vec![0; 8 << 20];
        let image = image(&[&large, b"small", b"small", &large, &large, b"top"]);
        let sizes = |present: usize| {
            let stages = stages(&image, present).into_iter();
            let sizes = stages.map(|stage| {
                let sizes = stage.descriptors.iter().map(|blob| blob.size);
                (stage.layers, sizes.collect::<Vec<_>>())
            });
            sizes.collect::<Vec<_>>()
        };
        let bytes = large.len() as u64;
        let above = [(5, vec![bytes]), (6, vec![3])];
        let all = [(1, vec![bytes]), (4, vec![5, bytes])];
        assert_eq!(sizes(0), [&all[..], &above].concat());
        assert_eq!(sizes(4), above);
        assert_eq!(sizes(6), [(6, vec![])]);
    }

    #[test]
    fn stages_are_large_and_few() {
        const MIB: u64 = 1 << 20;
        for (sizes, present, expected) in [
            (&[][..], 0, &[0][..]),
            (&[1, 2, 3], 0, &[3]),
            (&[1, 2, 3], 3, &[3]),
            // Just below the minimum size.
            (&[MIB, 7 * MIB - 1], 0, &[2]),
            (&[30 * MIB, 3, 20 * MIB, 5], 0, &[1, 3, 4]),
            (&[30 * MIB, 3, 20 * MIB, 5], 1, &[3, 4]),
            (&[30 * MIB, 3, 20 * MIB], 0, &[1, 3]),
            (&[10 * MIB, 10 * MIB, 300 * MIB, 30 * MIB], 0, &[3, 4]),
            (&[u64::MAX, u64::MAX], 0, &[1, 2]),
        ] {
            assert_eq!(stage_ends(sizes, present), expected, "{sizes:?}");
        }
        let many = stage_ends(&[5 * MIB; 127], 0);
        assert!((10..=17).contains(&many.len()), "{many:?}");
    }
}
