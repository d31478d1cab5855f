//! Everything that an image consists of: its index, the manifests below it, and the blobs of those.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use serde::Deserialize;

use crate::registry::client::{Client, ClientError};
use crate::registry::manifest::{DOCKER_LIST, DOCKER_MANIFEST, Manifest, OCI_INDEX, OCI_MANIFEST};
use crate::registry::reference::Reference;
use crate::text::cut::printable;
use crate::text::shape;

/// The maximum number of manifests of an image, attestations included.
const MAX_MANIFESTS: usize = 1000;

/// The maximum size of all manifests. They are kept in memory.
const MAX_MANIFEST_BYTES: usize = 32 << 20;

/// The maximum depth of indexes in indexes.
const MAX_DEPTH: usize = 8;

/// The maximum number of blobs of one manifest.
const MAX_BLOBS: usize = 10_000;

/// The maximum size of all blobs of one manifest, in TiB. So no sum over manifests and targets exceeds 64 bits.
const MAX_BLOBS_TIB: u64 = 3;

/// The length of a parser's message, in characters. It can repeat the manifest.
const MAX_PROBLEM_CHARS: usize = 200;

/// Layers that a manifest names by their address, and that registries do not store.
const FOREIGN_LAYERS: [&str; 4] = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
];

/// A blob of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Blob {
    /// `sha256:…`.
    pub(crate) digest: String,
    /// In bytes.
    pub(crate) size: u64,
}

/// A manifest or index, and the blobs that it names itself.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The manifest.
    pub(crate) manifest: Manifest,
    /// Its blobs: the config and the layers. Each once.
    pub(crate) blobs: Vec<Blob>,
}

/// An image with all its platforms and attestations.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    root: Manifest,
    /// Each manifest after those that it names. The last one is the root.
    nodes: Vec<Node>,
}

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// A request to the registry failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A manifest has another form than those of images.
    #[error("the manifest {digest} is invalid: {problem}")]
    Invalid {
        /// Of the manifest.
        digest: String,
        /// The problem.
        problem: String,
    },
    /// The image exceeds a limit.
    #[error("the image has more than {limit}")]
    TooLarge {
        /// The limit, with its unit.
        limit: String,
    },
}

/// The parts of a manifest or index that name others.
#[derive(Default, Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
    #[serde(default, rename = "mediaType")]
    media_type: String,
}

impl Tree {
    /// Reads the image at the tag or digest of `source`, with all its manifests.
    pub(crate) async fn read(client: &Client, source: &Reference) -> Result<Self, ReadError> {
        let reference = source.digest().unwrap_or_else(|| source.tag());
        let (host, repository) = (source.host(), source.repository());
        let root = client.manifest(host, repository, reference).await?;
        let mut known = HashSet::from([root.digest.clone()]);
        let mut bytes = root.bytes.len();
        let mut level = vec![root.clone()];
        let mut depth = 0;
        let mut read = HashMap::new();
        while !level.is_empty() {
            if depth == MAX_DEPTH {
                return Err(too_large(format!("{MAX_DEPTH} levels of indexes")));
            }
            depth += 1;
            let mut below = Vec::new();
            for manifest in level {
                let (children, blobs) = parse(&manifest)?;
                for digest in &children {
                    if !known.insert(digest.clone()) {
                        continue;
                    }
                    if known.len() > MAX_MANIFESTS {
                        return Err(too_large(format!("{MAX_MANIFESTS} manifests")));
                    }
                    let child = client.manifest(host, repository, digest).await?;
                    bytes += child.bytes.len();
                    if bytes > MAX_MANIFEST_BYTES {
                        return Err(too_large(format!(
                            "{MAX_MANIFEST_BYTES} bytes of manifests"
                        )));
                    }
                    below.push(child);
                }
                let digest = manifest.digest.clone();
                read.insert(digest, (Node { manifest, blobs }, children));
            }
            level = below;
        }
        let nodes = ordered(&root.digest, read);
        Ok(Self { root, nodes })
    }

    /// The image itself: its index, or its only manifest.
    #[must_use]
    pub(crate) fn root(&self) -> &Manifest {
        &self.root
    }

    /// Every manifest, after those that it names.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The manifest with this digest.
    pub(crate) fn manifest(&self, digest: &str) -> Option<&Bytes> {
        let mut nodes = self.nodes.iter();
        let node = nodes.find(|node| node.manifest.digest == digest)?;
        Some(&node.manifest.bytes)
    }
}

/// The manifests below and with `root`, each after those that it names. `read` has the digests of those too. An index can name a
/// manifest that is also named by an index in it, so the distance from the root is not an order.
fn ordered(root: &str, mut read: HashMap<String, (Node, Vec<String>)>) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut waiting = Vec::new();
    let mut next = vec![root.to_owned()];
    while let Some(digest) = next.pop() {
        if let Some((node, children)) = read.remove(&digest) {
            // It is popped again after its children.
            next.push(digest);
            next.extend(children);
            waiting.push(node);
        } else if let Some(node) = waiting.pop_if(|node: &mut Node| node.manifest.digest == digest)
        {
            nodes.push(node);
        }
    }
    nodes
}

/// The digests of the manifests that this one names, and its blobs.
pub(crate) fn parse(manifest: &Manifest) -> Result<(Vec<String>, Vec<Blob>), ReadError> {
    let invalid = |problem: String| ReadError::Invalid {
        digest: manifest.digest.clone(),
        problem,
    };
    let document: Document = serde_json::from_slice(&manifest.bytes)
        .map_err(|error| invalid(printable(&error.to_string(), MAX_PROBLEM_CHARS)))?;
    let Document {
        manifests,
        config,
        layers,
    } = document;
    let blobs = match manifest.media_type.as_str() {
        OCI_INDEX | DOCKER_LIST => Vec::new(),
        OCI_MANIFEST | DOCKER_MANIFEST => {
            let config = config.ok_or_else(|| invalid("it has no config".into()))?;
            let stored = |layer: &Descriptor| !FOREIGN_LAYERS.contains(&&*layer.media_type);
            let layers = layers.into_iter().filter(stored);
            std::iter::once(config).chain(layers).collect()
        }
        other => {
            return Err(invalid(format!(
                "`{}` is not supported",
                printable(other, 100)
            )));
        }
    };
    let children = match manifest.media_type.as_str() {
        OCI_INDEX | DOCKER_LIST => manifests,
        _ => Vec::new(),
    };
    if blobs.len() > MAX_BLOBS {
        return Err(too_large(format!("{MAX_BLOBS} blobs")));
    }
    let mut sizes = blobs.iter().map(|blob| blob.size);
    let bytes = sizes.try_fold(0_u64, u64::checked_add);
    if bytes.is_none_or(|bytes| bytes > MAX_BLOBS_TIB << 40) {
        return Err(too_large(format!("{MAX_BLOBS_TIB} TiB of blobs")));
    }
    // A digest becomes a part of an address, and is verified.
    let is_known = |digest: &str| digest.starts_with("sha256:") && shape::is_digest(digest);
    let mut all = blobs.iter().chain(&children);
    if let Some(other) = all.find(|descriptor| !is_known(&descriptor.digest)) {
        let shown = printable(&other.digest, 100);
        return Err(invalid(format!("`{shown}` is not a SHA-256 digest")));
    }
    let mut seen = HashSet::new();
    let blobs = blobs.into_iter().map(|blob| Blob {
        digest: blob.digest,
        size: blob.size,
    });
    let blobs = blobs.filter(|blob| seen.insert(blob.digest.clone()));
    let children = children.into_iter().map(|child| child.digest);
    Ok((children.collect(), blobs.collect()))
}

fn too_large(limit: String) -> ReadError {
    ReadError::TooLarge { limit }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn manifest(media_type: &str, json: &serde_json::Value) -> Manifest {
        Manifest::new(media_type, json.to_string().into())
    }

    #[test]
    fn a_manifest_names_each_stored_blob_once() {
        let layer = |digit, media_type: &str| json!({"digest": digest(digit), "size": 7, "mediaType": media_type});
        let layers = [
            layer('2', "application/vnd.oci.image.layer.v1.tar+gzip"),
            layer('2', "application/vnd.oci.image.layer.v1.tar+gzip"),
            layer('3', FOREIGN_LAYERS[0]),
        ];
        let json = json!({"config": {"digest": digest('1'), "size": 5}, "layers": layers});
        let (children, blobs) = parse(&manifest(OCI_MANIFEST, &json)).unwrap();
        let blobs: Vec<_> = blobs
            .iter()
            .map(|blob| (&*blob.digest, blob.size))
            .collect();
        assert_eq!(blobs, [(&*digest('1'), 5), (&*digest('2'), 7)]);
        assert!(children.is_empty());
    }

    #[test]
    fn the_error_of_a_manifest_is_short() {
        let json = json!({"manifests": "x".repeat(1_000_000)});
        let error = parse(&manifest(OCI_INDEX, &json)).unwrap_err().to_string();
        assert!(error.contains("invalid type"), "{error:.200}");
        assert!(error.chars().count() < 500);
    }

    #[test]
    fn sizes_that_no_image_has_are_rejected() {
        let blob = |digit, size: u64| json!({"digest": digest(digit), "size": size});
        for (config, layer) in [(u64::MAX, 1), (1, u64::MAX), (1 << 41, 1 << 41)] {
            let json = json!({"config": blob('1', config), "layers": [blob('2', layer)]});
            let error = parse(&manifest(OCI_MANIFEST, &json)).unwrap_err();
            assert_eq!(error.to_string(), "the image has more than 3 TiB of blobs");
        }
    }

    #[test]
    fn invalid_manifests_are_rejected() {
        let bad = json!({"digest": "sha256:../../x", "size": 1});
        let sha512 = json!({"digest": format!("sha512:{}", "0".repeat(128)), "size": 1});
        for (media_type, json, problem) in [
            (OCI_MANIFEST, json!({"layers": []}), "no config"),
            (
                OCI_MANIFEST,
                json!({"config": bad}),
                "is not a SHA-256 digest",
            ),
            (
                OCI_MANIFEST,
                json!({"config": {"size": 1}}),
                "missing field",
            ),
            (
                OCI_INDEX,
                json!({"manifests": [bad]}),
                "is not a SHA-256 digest",
            ),
            (
                OCI_INDEX,
                json!({"manifests": [sha512]}),
                "is not a SHA-256 digest",
            ),
            (OCI_INDEX, json!({"manifests": 1}), "invalid type"),
            (
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
                json!({}),
                "is not supported",
            ),
            ("", json!([]), "invalid"),
        ] {
            let error = parse(&manifest(media_type, &json)).unwrap_err().to_string();
            assert!(error.contains(problem), "{json}: {error}");
        }
    }
}
