//! What a daemon's classic store has: the chain ids of the layers of all its images.

use std::collections::{HashMap, HashSet};

use bollard::query_parameters::ListImagesOptionsBuilder;
use futures_util::{StreamExt, stream};

use super::daemon::Daemon;
use super::error::DaemonError;
use super::image::{ChainId, Image, LAYERS_LIMIT};

/// Images asked for at a time.
const AT_A_TIME: usize = 8;

/// Images that are looked at: what lies in those beyond is sent though it is there.
const IMAGES_LIMIT: usize = 2000;

/// The layers that a daemon's images have.
#[derive(Debug, Default)]
pub struct Present {
    /// Of each image, by its id.
    chains: HashMap<String, Vec<ChainId>>,
}

impl Present {
    /// Looks at what has come and what has gone since the last look.
    ///
    /// An image that goes while it is looked at is left out.
    pub async fn look(&mut self, daemon: &Daemon) -> Result<(), DaemonError> {
        // Also those that stand only below others: their layers count as any.
        let options = ListImagesOptionsBuilder::default().all(true).build();
        let listed = daemon.docker().list_images(Some(options)).await;
        let listed = listed.map_err(|source| DaemonError::answer("its list of images", source))?;
        let ids: HashSet<String> = listed
            .into_iter()
            .map(|image| image.id)
            .take(IMAGES_LIMIT)
            .collect();
        self.chains.retain(|id, _| ids.contains(id));
        let new: Vec<String> = ids
            .into_iter()
            .filter(|id| !self.chains.contains_key(id))
            .collect();
        let looked_at: Vec<_> = stream::iter(new)
            .map(async |id| {
                let image = daemon.docker().inspect_image(&id).await.ok()?;
                let layers = image.root_fs?.layers.unwrap_or_default();
                Some((id, chains(&layers)))
            })
            .buffer_unordered(AT_A_TIME)
            .collect()
            .await;
        self.chains.extend(looked_at.into_iter().flatten());
        Ok(())
    }

    /// How many of an image's layers are there, from the lowest on.
    ///
    /// A layer is never there without those below it.
    #[must_use]
    pub fn layers_of(&self, image: &Image) -> usize {
        let there: HashSet<&ChainId> = self.chains.values().flatten().collect();
        let layers = image.layers.iter().rev();
        let missing = layers
            .take_while(|layer| !there.contains(&layer.chain))
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
    fn layers_count_only_above_the_same_layers() {
        let present = present(&[&[b"a", b"b", b"c"], &[b"x"]]);
        for (layers, there) in [
            (&[b"a" as &[u8], b"b", b"c"][..], 3),
            (&[b"a", b"b", b"d"], 2),
            (&[b"a", b"b", b"c", b"d"], 3),
            (&[b"b", b"c"], 0),
            (&[b"x", b"b"], 1),
            (&[], 0),
        ] {
            assert_eq!(present.layers_of(&image(layers)), there, "{layers:?}");
        }
    }
}
