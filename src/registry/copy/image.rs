//! Copies an image with everything that belongs to it to other repositories.
//!
//! Nothing is changed, so the digest stays the same. A manifest that a repository has is complete there, because registries
//! verify manifests when they are pushed; only indexes can lack entries. So blobs are looked up for missing manifests only. A
//! registry that has a blob in another repository mounts it. Other blobs are streamed through this program, several at once.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::blob::{BlobCopy, Presence};
use super::tree::{Blob, Node, Tree};
use crate::registry::client::{Client, ClientError};
use crate::registry::credentials::canonical_host;
use crate::registry::reference::Reference;

/// The number of blobs that are streamed at the same time. More would not be faster, and needs more memory.
const MAX_STREAMS: usize = 4;

/// A repository of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Repository {
    /// The host as it was written.
    pub(crate) host: String,
    /// The name below the host.
    pub(crate) repository: String,
}

impl Repository {
    /// The repository of `reference`.
    #[must_use]
    pub(crate) fn of(reference: &Reference) -> Self {
        Self {
            host: reference.host().to_owned(),
            repository: reference.repository().to_owned(),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.host, self.repository)
    }
}

/// Why an image was not copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageCopyError {
    /// A blob cannot be read.
    #[error(transparent)]
    Source(ClientError),
    /// The content of a blob is wrong.
    #[error("the source returned wrong content for {expected}: its digest is {digest}")]
    Content {
        /// The digest in the manifest.
        expected: String,
        /// The digest of the content.
        digest: String,
    },
    /// A repository did not accept a part.
    #[error(transparent)]
    Target(ClientError),
}

/// The progress of a copy. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    sent: Arc<AtomicU64>,
    to_check: AtomicU64,
    blobs: AtomicUsize,
    existing: AtomicUsize,
    mounted: AtomicUsize,
}

impl Progress {
    /// The bytes that were sent. The bytes of failed uploads do not count.
    pub(super) fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.sent)
    }

    /// The bytes that were sent.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// The maximum number of bytes to send: the blobs that may be missing.
    #[must_use]
    pub(crate) fn max_bytes(&self) -> u64 {
        self.0.to_check.load(Ordering::Relaxed)
    }

    /// The numbers of blobs that were sent, that existed, and that were mounted.
    #[must_use]
    pub(crate) fn blobs(&self) -> [usize; 3] {
        let [blobs, existing, mounted] = [&self.0.blobs, &self.0.existing, &self.0.mounted]
            .map(|count| count.load(Ordering::Relaxed));
        [blobs, existing, mounted]
    }

    fn count(&self, blob: &Blob, presence: Presence) {
        let counter = match presence {
            Presence::Existed => &self.0.existing,
            Presence::Mounted => &self.0.mounted,
            Presence::Sent => &self.0.blobs,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if presence != Presence::Sent {
            self.0.to_check.fetch_sub(blob.size, Ordering::Relaxed);
        }
    }
}

/// A blob, and the repositories of one registry that may lack it.
struct Unit<'a> {
    blob: &'a Blob,
    targets: Vec<&'a Repository>,
    /// A repository of that registry that has it.
    holder: Option<&'a Repository>,
}

/// Copies everything below `tree` from `source` to every target, so that only tags are missing afterwards.
///
/// `targets` are unique. Ends at the first failure. Cancel safe: the future can be dropped at any time; then some parts are
/// copied, and no tag has changed.
pub(crate) async fn copy_image(
    client: &Arc<Client>,
    source: &Repository,
    tree: &Tree,
    targets: &[Repository],
    progress: &Progress,
) -> Result<(), ImageCopyError> {
    let missing = targets.iter().map(|target| missing(client, tree, target));
    let missing = try_join_all(missing).await?;
    let units = units(tree, source, targets, &missing);
    let bytes = units
        .iter()
        .map(|unit| unit.blob.size * unit.targets.len() as u64);
    progress
        .0
        .to_check
        .fetch_add(bytes.sum(), Ordering::Relaxed);
    stream::iter(units)
        .map(|unit| async move { copy_blob(client, source, &unit, progress).await })
        .buffer_unordered(MAX_STREAMS)
        .try_collect::<()>()
        .await?;
    let putting = targets.iter().zip(&missing).map(async |(target, missing)| {
        for node in missing {
            let manifest = &node.manifest;
            let put = client
                .put_manifest(&target.host, &target.repository, &manifest.digest, manifest)
                .await;
            put.map_err(ImageCopyError::Target)?;
        }
        Ok(())
    });
    try_join_all(putting).await.map(|_| ())
}

/// The manifests that a repository lacks, in the order of the tree.
async fn missing<'a>(
    client: &Client,
    tree: &'a Tree,
    target: &Repository,
) -> Result<Vec<&'a Node>, ImageCopyError> {
    let mut missing = Vec::new();
    for node in tree.nodes() {
        let digest = &node.manifest.digest;
        let exists = client.has_manifest(&target.host, &target.repository, digest);
        if !exists.await.map_err(ImageCopyError::Target)? {
            missing.push(node);
        }
    }
    Ok(missing)
}

/// Groups the blobs of missing manifests by registry.
fn units<'a>(
    tree: &'a Tree,
    source: &'a Repository,
    targets: &'a [Repository],
    missing: &[Vec<&'a Node>],
) -> Vec<Unit<'a>> {
    let mut positions: HashMap<(&str, String), usize> = HashMap::new();
    let mut units: Vec<Unit<'a>> = Vec::new();
    let all = || tree.nodes().iter().flat_map(|node| &node.blobs);
    for (target, missing) in targets.iter().zip(missing) {
        let host = canonical_host(&target.host);
        let lacking: HashSet<&str> = missing
            .iter()
            .flat_map(|node| &node.blobs)
            .map(|blob| blob.digest.as_str())
            .collect();
        let mut seen = HashSet::new();
        for blob in all().filter(|blob| lacking.contains(&*blob.digest)) {
            if !seen.insert(&*blob.digest) {
                continue;
            }
            let position = *positions
                .entry((&blob.digest, host.clone()))
                .or_insert_with(|| {
                    let is_own = canonical_host(&source.host) == host;
                    units.push(Unit {
                        blob,
                        targets: Vec::new(),
                        holder: is_own.then_some(source),
                    });
                    units.len() - 1
                });
            if let Some(unit) = units.get_mut(position) {
                unit.targets.push(target);
            }
        }
    }
    units
}

/// Copies a blob to the repositories of one registry: once as a stream, and then by mounting.
async fn copy_blob(
    client: &Arc<Client>,
    source: &Repository,
    unit: &Unit<'_>,
    progress: &Progress,
) -> Result<(), ImageCopyError> {
    let mut holder = unit.holder;
    for target in &unit.targets {
        let copy = BlobCopy {
            client,
            source,
            target,
            blob: unit.blob,
            mount: holder
                .filter(|holder| *holder != *target)
                .map(|holder| holder.repository.as_str()),
            progress,
        };
        let presence = copy.run().await?;
        progress.count(unit.blob, presence);
        holder = Some(target);
    }
    Ok(())
}
