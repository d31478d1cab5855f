//! An image of one platform, parsed from its manifest and config.

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::platform::Platform;
use crate::text::digest::{of_hash, sha256, shown};

/// The maximum number of layers. No storage driver supports as many.
pub(super) const LAYERS_LIMIT: usize = 1000;

/// The media type of a manifest without one.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A reference to a blob in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    /// The media type, such as `application/vnd.oci.image.layer.v1.tar+gzip`.
    #[serde(default)]
    pub(crate) media_type: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub(crate) digest: String,
    /// The size in bytes.
    pub(crate) size: u64,
}

impl Descriptor {
    /// The digest's hexadecimal digits.
    pub(super) fn hex(&self) -> &str {
        self.digest.strip_prefix("sha256:").unwrap_or_default()
    }

    /// Whether it is compressed with zstd.
    pub(super) fn is_zstd(&self) -> bool {
        self.media_type.ends_with("zstd")
    }
}

/// One layer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// The blob, usually compressed.
    pub(crate) blob: Descriptor,
    /// Identifies it, with all layers below it, in a daemon's classic store.
    pub(super) chain: ChainId,
    /// The digest of its uncompressed content.
    pub(super) diff_id: String,
}

/// An image of one platform.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(super) manifest: Bytes,
    pub(super) manifest_descriptor: Descriptor,
    pub(super) config: Bytes,
    pub(super) config_descriptor: Descriptor,
    /// From the lowest to the topmost.
    pub(super) layers: Vec<Layer>,
    platform: Platform,
}

/// Why a manifest and a config are not a valid image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// One of them cannot be read.
    #[error("the image's {what} cannot be read")]
    Json {
        /// `manifest` or `config`.
        what: &'static str,
        /// The error of the parser.
        #[source]
        source: serde_json::Error,
    },
    /// A digest is not a lower-case SHA-256.
    #[error("the image refers to `{0}`, which is not a SHA-256 digest")]
    Digest(String),
    /// The config does not match the manifest.
    #[error("the image's config does not match the digest {0} in its manifest")]
    Config(String),
    /// Manifest and config have different numbers of layers, or too many.
    #[error("the image's manifest has {blobs} layers, but its config has {diffs}")]
    Layers {
        /// In the manifest.
        blobs: usize,
        /// In the config.
        diffs: usize,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    media_type: Option<String>,
    config: Descriptor,
    /// `null` if the image has no layers.
    layers: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    /// `null` if the image has no layers.
    diff_ids: Option<Vec<String>>,
}

impl Image {
    /// Parses a manifest and its config.
    pub(crate) fn parse(manifest: Bytes, config: Bytes) -> Result<Self, ImageError> {
        let json = |what| move |source| ImageError::Json { what, source };
        let named: Manifest = serde_json::from_slice(&manifest).map_err(json("manifest"))?;
        let parsed: Config = serde_json::from_slice(&config).map_err(json("config"))?;
        let diffs = parsed.rootfs.diff_ids.unwrap_or_default();
        let blobs = named.layers.unwrap_or_default();
        if blobs.len() != diffs.len() || diffs.len() > LAYERS_LIMIT {
            return Err(ImageError::Layers {
                blobs: blobs.len(),
                diffs: diffs.len(),
            });
        }
        let mut chain: Option<ChainId> = None;
        let mut layers = Vec::with_capacity(diffs.len());
        for (blob, diff_id) in blobs.into_iter().zip(diffs) {
            for digest in [&blob.digest, &diff_id] {
                check_digest(digest)?;
            }
            let next = ChainId::above(chain.as_ref(), &diff_id);
            chain = Some(next);
            layers.push(Layer {
                blob,
                chain: next,
                diff_id,
            });
        }
        check_digest(&named.config.digest)?;
        if sha256(&config) != named.config.digest {
            return Err(ImageError::Config(named.config.digest));
        }
        let manifest_descriptor = Descriptor {
            media_type: named.media_type.unwrap_or_else(|| MANIFEST.to_owned()),
            digest: sha256(&manifest),
            size: manifest.len() as u64,
        };
        let platform = Platform {
            os: parsed.os,
            architecture: parsed.architecture,
            variant: parsed.variant.filter(|variant| !variant.is_empty()),
        };
        Ok(Self {
            manifest,
            manifest_descriptor,
            config_descriptor: Descriptor {
                // Some exporters omit it, and a daemon may require it.
                size: config.len() as u64,
                ..named.config
            },
            config,
            layers,
            platform,
        })
    }

    /// A temporary image of the lowest `count` layers, with a unique id. It keeps these layers in a daemon.
    pub(super) fn below(&self, count: usize) -> Self {
        let layers = self.layers.get(..count).unwrap_or(&self.layers);
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
        let Platform {
            os,
            architecture,
            variant,
        } = &self.platform;
        let mut config = json!({
            "os": os, "architecture": architecture, "config": {},
            "comment": format!("temporary image of the lower layers of {}, {}", self.id(), uuid::Uuid::new_v4()),
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        if let (Some(variant), Some(config)) = (variant, config.as_object_mut()) {
            config.insert("variant".into(), variant.as_str().into());
        }
        let config = Bytes::from(config.to_string());
        let config_descriptor = Descriptor {
            digest: sha256(&config),
            size: config.len() as u64,
            ..self.config_descriptor.clone()
        };
        let blobs: Vec<_> = layers.iter().map(|layer| &layer.blob).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": self.manifest_descriptor.media_type,
            "config": config_descriptor, "layers": blobs,
        });
        let manifest = Bytes::from(manifest.to_string());
        Self {
            manifest_descriptor: Descriptor {
                digest: sha256(&manifest),
                size: manifest.len() as u64,
                ..self.manifest_descriptor.clone()
            },
            manifest,
            config,
            config_descriptor,
            layers: layers.to_vec(),
            platform: self.platform.clone(),
        }
    }

    /// Its platform.
    #[must_use]
    pub(crate) fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The digest of its config: its id in a daemon's classic store.
    #[must_use]
    pub(crate) fn id(&self) -> &str {
        &self.config_descriptor.digest
    }

    /// The digest of its manifest: its id in a daemon's containerd store.
    #[must_use]
    pub(crate) fn manifest_digest(&self) -> &str {
        &self.manifest_descriptor.digest
    }

    /// The size of all layers as they are stored in a registry, in bytes.
    pub(crate) fn layer_bytes(&self) -> u64 {
        let sizes = self.layers.iter().map(|layer| layer.blob.size);
        sizes.fold(0, u64::saturating_add)
    }

    /// The digests of the uncompressed layers, from the lowest to the topmost.
    pub(super) fn diff_ids(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|layer| &*layer.diff_id)
    }
}

/// Identifies a layer together with all layers below it: the digest of a chain of digests.
///
/// Defined by the OCI image specification, `config.md`, section "Layer `ChainID`".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChainId([u8; 32]);

impl ChainId {
    /// The id of a layer on top of `below`.
    pub(super) fn above(below: Option<&Self>, diff_id: &str) -> Self {
        let Some(below) = below else {
            // The lowest layer's chain id is its diff id.
            return Self(parse_hex(diff_id).unwrap_or_default());
        };
        let text = format!("{} {diff_id}", of_hash(&below.0));
        let mut id = [0; 32];
        id.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Self(id)
    }
}

fn check_digest(digest: &str) -> Result<(), ImageError> {
    if parse_hex(digest).is_some() {
        Ok(())
    } else {
        Err(ImageError::Digest(shown(digest)))
    }
}

/// Parses `sha256:` and 64 lower-case hexadecimal digits.
fn parse_hex(digest: &str) -> Option<[u8; 32]> {
    let digits = digest.strip_prefix("sha256:")?.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An image whose layers hold these bytes, uncompressed.
    pub(in super::super) fn image(layers: &[&[u8]]) -> Image {
        let (manifest, config) = documents(layers);
        Image::parse(manifest, config).unwrap()
    }

    pub(in super::super) fn documents(layers: &[&[u8]]) -> (Bytes, Bytes) {
        let diff_ids: Vec<_> = layers.iter().map(|layer| sha256(layer)).collect();
        let config = json!({
            "os": "linux", "architecture": "amd64", "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = Bytes::from(config.to_string());
        let blobs: Vec<_> = layers
            .iter()
            .map(|layer| {
                json!({
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": sha256(layer), "size": layer.len(),
                })
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json",
                        "digest": sha256(&config), "size": config.len() },
            "layers": blobs,
        });
        (manifest.to_string().into(), config)
    }

    #[test]
    fn chain_ids_follow_the_specification() {
        let image = image(&[b"one", b"two", b"three"]);
        let [one, two, three] = [b"one".as_slice(), b"two", b"three"].map(sha256);
        assert_eq!(of_hash(&image.layers[0].chain.0), one);
        let second = sha256(format!("{one} {two}").as_bytes());
        assert_eq!(of_hash(&image.layers[1].chain.0), second);
        let third = sha256(format!("{second} {three}").as_bytes());
        assert_eq!(of_hash(&image.layers[2].chain.0), third);
        assert_eq!(image.platform().to_string(), "linux/amd64");
    }

    #[test]
    fn an_image_of_the_lower_layers_is_valid_and_unique() {
        let image = image(&[b"one", b"two", b"three"]);
        let (below, again) = (image.below(2), image.below(2));
        assert_ne!(below.id(), again.id());
        let read = Image::parse(below.manifest.clone(), below.config.clone()).unwrap();
        assert_eq!(read.id(), below.id());
        assert_eq!(read.manifest_digest(), below.manifest_digest());
        assert_eq!(read.platform().to_string(), "linux/amd64");
        assert!(read.diff_ids().eq(image.diff_ids().take(2)));
        assert_eq!(read.layers[1].chain, image.layers[1].chain);
        assert_eq!(read.layers[1].blob, image.layers[1].blob);
    }

    #[test]
    fn an_image_can_have_no_layers() {
        for none in ["null", "[]"] {
            let config = format!(
                r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":{none}}}}}"#
            );
            let manifest = format!(
                r#"{{"config":{{"digest":"{}","size":1}},"layers":{none}}}"#,
                sha256(config.as_bytes())
            );
            let image = Image::parse(manifest.into(), config.into()).unwrap();
            assert_eq!(image.layers.len(), 0);
        }
    }

    #[test]
    fn a_manifest_and_a_config_that_do_not_match_are_rejected() {
        let (manifest, config) = documents(&[b"one"]);
        let (_, other) = documents(&[b"two"]);
        let (_, longer) = documents(&[b"one", b"two"]);
        let refused = |manifest: &Bytes, config: &Bytes| {
            Image::parse(manifest.clone(), config.clone())
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&manifest, &other).contains("does not match the digest sha256:"));
        assert!(refused(&manifest, &longer).contains("has 1 layers, but its config has 2"));
        assert!(refused(&Bytes::from("{}"), &config).contains("manifest cannot be read"));
        let text = String::from_utf8(manifest.to_vec()).unwrap();
        let digest = sha256(b"one");
        for bad in ["sha256:../../etc/passwd", "sha512:00", "sha256:0g"] {
            let manifest = text.replacen(&digest, bad, 1).into();
            assert!(refused(&manifest, &config).contains(bad), "{bad}");
        }
    }
}
