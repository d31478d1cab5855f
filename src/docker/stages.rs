//! How a load is cut, so that a daemon unpacks lower layers while those above them are on their way.
//!
//! A daemon with a classic store unpacks an archive only once all of it has come. So what it lacks much of goes in several archives, one
//! after the other, of which each has the layers above those of the one before, in an image of their own. The last one is the image that is
//! loaded; those on its way have no name and are removed when they have served.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::errors::Error;
use futures_util::{StreamExt, stream};

use super::archive::distinct;
use super::daemon::Daemon;
use super::image::{Descriptor, Image};

/// A smaller stage gains less than its request costs.
const STAGE_BYTES: u64 = 8 << 20;

/// No more stages than this.
const STAGES_LIMIT: u64 = 16;

/// The pause between two looks for an image that is about to be there.
const PAUSE: Duration = Duration::from_millis(50);

/// One archive of a load.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// The layers that are there when it has been loaded, from the lowest on.
    pub(super) layers: usize,
    /// What the archive holds, each blob once.
    pub(super) wanted: Vec<Descriptor>,
}

/// The whole of a load in one archive, of the layers for which `is_missing`.
pub(super) fn one(image: &Image, is_missing: impl Fn(usize) -> bool) -> Vec<Stage> {
    vec![Stage {
        layers: image.layers.len(),
        wanted: distinct(image, is_missing).cloned().collect(),
    }]
}

/// The stages of a load of all layers from the one with the number `there` on: at least one.
pub(super) fn stages(image: &Image, there: usize) -> Vec<Stage> {
    let sizes = image.layers.iter().map(|layer| layer.blob.size);
    let sizes: Vec<u64> = sizes.collect();
    let mut begin = there;
    ends(&sizes, there)
        .into_iter()
        .map(|end| {
            let stage = Stage {
                layers: end,
                wanted: distinct(image, |index| (begin..end).contains(&index))
                    .cloned()
                    .collect(),
            };
            begin = end;
            stage
        })
        .collect()
}

/// Where stages end.
fn ends(sizes: &[u64], there: usize) -> Vec<usize> {
    let missing = sizes.get(there..).unwrap_or_default();
    let all = missing
        .iter()
        .fold(0, |all: u64, size| all.saturating_add(*size));
    let least = STAGE_BYTES.max(all / STAGES_LIMIT);
    let (mut ends, mut bytes) = (Vec::new(), 0_u64);
    for (end, size) in (there + 1..).zip(missing) {
        bytes = bytes.saturating_add(*size);
        if bytes >= least {
            ends.push(end);
            bytes = 0;
        }
    }
    // What is left on top goes alone, since nothing else is unpacked then.
    if ends.last() != Some(&sizes.len()) {
        ends.push(sizes.len());
    }
    ends
}

/// The images that a load has in a daemon only on its way. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Passing(Arc<Mutex<Vec<String>>>);

impl Passing {
    /// From now on the daemon may have it at any time.
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
    /// Removes an image of a load that has others above it now.
    pub(super) async fn pass(&self, passing: &Passing, id: &str) {
        match self.untag(id).await {
            // Where it is not there, somebody else has removed it. One that cannot be removed may be in use.
            Ok(())
            | Err(Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => passing.forget(id),
            Err(error) => tracing::debug!("`{id}` is still in the Docker daemon: {error}"),
        }
    }

    /// Removes what a load that did not come to its end has left, also what the daemon is still making of what it was sent. Ends when
    /// nothing is left, which may be never.
    pub async fn sweep(&self, passing: &Passing) {
        loop {
            let ids = passing.all();
            if ids.is_empty() {
                return;
            }
            let removing = stream::iter(&ids).for_each_concurrent(None, async |id| {
                match self.untag(id).await {
                    Ok(()) => passing.forget(id),
                    // It may still come.
                    Err(Error::DockerResponseServerError {
                        status_code: 404, ..
                    }) => {}
                    Err(error) => {
                        tracing::debug!("`{id}` stays in the Docker daemon: {error}");
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
    fn a_blob_is_in_every_archive_that_names_it_anew() {
        let large = vec![0; 8 << 20];
        let image = image(&[&large, b"small", b"small", &large, &large, b"top"]);
        let sizes = |there: usize| {
            let stages = stages(&image, there).into_iter();
            let sizes = stages.map(|stage| {
                let sizes = stage.wanted.iter().map(|blob| blob.size);
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
        for (sizes, there, expected) in [
            (&[][..], 0, &[0][..]),
            (&[1, 2, 3], 0, &[3]),
            (&[1, 2, 3], 3, &[3]),
            // As good as one.
            (&[MIB, 7 * MIB - 1], 0, &[2]),
            (&[30 * MIB, 3, 20 * MIB, 5], 0, &[1, 3, 4]),
            (&[30 * MIB, 3, 20 * MIB, 5], 1, &[3, 4]),
            (&[30 * MIB, 3, 20 * MIB], 0, &[1, 3]),
            (&[10 * MIB, 10 * MIB, 300 * MIB, 30 * MIB], 0, &[3, 4]),
            (&[u64::MAX, u64::MAX], 0, &[1, 2]),
        ] {
            assert_eq!(ends(sizes, there), expected, "{sizes:?}");
        }
        let many = ends(&[5 * MIB; 127], 0);
        assert!((10..=17).contains(&many.len()), "{many:?}");
    }
}
