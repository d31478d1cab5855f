//! The content of a daemon's classic store: the chain ids of the layers of all its images.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::daemon::Daemon;
use super::error::DaemonError;
use super::image::{ChainId, Image, LAYERS_LIMIT};

/// The limit for listing the images with their layers.
const LIST_LIMIT: Duration = Duration::from_mins(1);

/// The maximum number of concurrent requests.
const MAX_CONCURRENT_REQUESTS: usize = 8;

/// The number of images that are inspected. Layers of further images are sent again.
const MAX_IMAGES: usize = 2000;

/// The layers of a daemon's images.
#[derive(Debug, Default)]
pub(crate) struct Present {
    /// The chain ids of each image, by its id.
    chains: HashMap<String, Vec<ChainId>>,
}

impl Present {
    /// Updates the list with the images that were added or removed since the last call.
    ///
    /// An image that is removed during the call is skipped.
    ///
    /// # Errors
    /// The daemon does not list its images, or not within [`LIST_LIMIT`]. The list is then incomplete.
    pub(crate) async fn look(&mut self, daemon: &Daemon) -> Result<(), DaemonError> {
        let update = self.update(daemon);
        let updated = tokio::time::timeout(LIST_LIMIT, update).await;
        updated.unwrap_or(Err(DaemonError::TooSlow {
            what: "its images",
            limit: LIST_LIMIT,
        }))
    }

    async fn update(&mut self, daemon: &Daemon) -> Result<(), DaemonError> {
        // Intermediate images included: their layers exist too.
        let listed = daemon.list_images(false).await;
        let listed =
            listed.map_err(|source| DaemonError::response("its list of images", source))?;
        let ids: HashSet<String> = listed
            .into_iter()
            .map(|image| image.id)
            .take(MAX_IMAGES)
            .collect();
        self.chains.retain(|id, _| ids.contains(id));
        let new: Vec<String> = ids
            .into_iter()
            .filter(|id| !self.chains.contains_key(id))
            .collect();
        let inspected: Vec<_> = stream::iter(new)
            .map(async |id| {
                let image = daemon.inspect_image(&id).await.ok()?;
                let layers = image.root_fs?.layers.unwrap_or_default();
                Some((id, chains(&layers)))
            })
            .buffer_unordered(MAX_CONCURRENT_REQUESTS)
            .collect()
            .await;
        self.chains.extend(inspected.into_iter().flatten());
        Ok(())
    }

    /// The number of the image's layers that the store has, from the lowest on.
    ///
    /// A store never has a layer without the layers below it.
    #[must_use]
    pub(crate) fn layers_of(&self, image: &Image) -> usize {
        let present: HashSet<&ChainId> = self.chains.values().flatten().collect();
        let layers = image.layers.iter().rev();
        let missing = layers
            .take_while(|layer| !present.contains(&layer.chain))
            .count();
        image.layers.len() - missing
    }
}

fn chains(diff_ids: &[String]) -> Vec<ChainId> {
    let mut chains: Vec<ChainId> = Vec::with_capacity(diff_ids.len().min(LAYERS_LIMIT));
    for diff_id in diff_ids.iter().take(LAYERS_LIMIT) {
        chains.push(ChainId::above(chains.last(), diff_id));
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::super::image::tests::image;
    use super::*;

    fn present(images: &[&[&[u8]]]) -> Present {
        let chains_of = |layers: &&[&[u8]]| {
            let image = image(layers);
            let layers: Vec<_> = image.diff_ids().map(str::to_owned).collect();
            (image.id().to_owned(), chains(&layers))
        };
        Present {
            chains: images.iter().map(chains_of).collect(),
        }
    }

    #[test]
    fn a_layer_is_present_only_above_the_same_layers() {
        let present = present(&[&[b"a", b"b", b"c"], &[b"x"]]);
        for (layers, count) in [
            (&[b"a" as &[u8], b"b", b"c"][..], 3),
            (&[b"a", b"b", b"d"], 2),
            (&[b"a", b"b", b"c", b"d"], 3),
            (&[b"b", b"c"], 0),
            (&[b"x", b"b"], 1),
            (&[], 0),
        ] {
            assert_eq!(present.layers_of(&image(layers)), count, "{layers:?}");
        }
    }
}
