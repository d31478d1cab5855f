//! Reads every byte of a pushed image back.

use std::fmt;

use depot_ground::registry::{Manifest, Registry};
use serde::Deserialize;

use super::CommandError;

/// The most manifests of an index; the demo's has one for each platform, and perhaps an attestation for each.
const MAX_MANIFESTS: usize = 16;

/// An image with verified digests and sizes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) digest: String,
    pub(super) media_type: String,
    pub(super) parts: Vec<Part>,
}

/// One manifest of the image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    platform: String,
    layers: usize,
    /// The size as pushed, so mostly compressed.
    layer_bytes: u64,
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {} layers, {} bytes",
            self.platform, self.layers, self.layer_bytes
        )
    }
}

#[derive(Debug, Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Index {
        manifests: Vec<Descriptor>,
    },
    Manifest {
        config: Descriptor,
        layers: Vec<Descriptor>,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    os: String,
    architecture: String,
}

/// Reads the image `repository:tag`: its manifest, or all manifests of its index, with their configs and layers.
pub(super) async fn read_back(
    registry: &Registry,
    repository: &str,
    tag: &str,
) -> Result<Image, CommandError> {
    let top = registry.manifest(repository, tag).await?;
    let mut parts = Vec::new();
    match content(&top)? {
        Content::Index { manifests } => {
            if manifests.len() > MAX_MANIFESTS {
                return Err(CommandError::Wrong(format!(
                    "its index has {} manifests",
                    manifests.len()
                )));
            }
            for descriptor in manifests {
                let manifest = registry.manifest(repository, &descriptor.digest).await?;
                check_size(&descriptor, manifest.bytes.len())?;
                parts.push(read_part(registry, repository, content(&manifest)?).await?);
            }
        }
        manifest @ Content::Manifest { .. } => {
            parts.push(read_part(registry, repository, manifest).await?);
        }
    }
    Ok(Image {
        digest: top.digest,
        media_type: top.media_type,
        parts,
    })
}

async fn read_part(
    registry: &Registry,
    repository: &str,
    content: Content,
) -> Result<Part, CommandError> {
    let Content::Manifest { config, layers } = content else {
        return Err(CommandError::Wrong("an index within an index".to_owned()));
    };
    let bytes = registry.blob(repository, &config.digest).await?;
    check_size(&config, bytes.len())?;
    let config: Config = serde_json::from_slice(&bytes).map_err(|error| {
        CommandError::Wrong(format!("config {} cannot be read: {error}", config.digest))
    })?;
    let mut layer_bytes = 0;
    for layer in &layers {
        let bytes = registry.blob(repository, &layer.digest).await?;
        check_size(layer, bytes.len())?;
        layer_bytes += layer.size;
    }
    let platform = format!("{}/{}", config.os, config.architecture);
    Ok(Part {
        platform,
        layers: layers.len(),
        layer_bytes,
    })
}

fn content(manifest: &Manifest) -> Result<Content, CommandError> {
    serde_json::from_slice(&manifest.bytes).map_err(|error| {
        CommandError::Wrong(format!(
            "manifest {} cannot be read: {error}",
            manifest.digest
        ))
    })
}

fn check_size(descriptor: &Descriptor, size: usize) -> Result<(), CommandError> {
    if descriptor.size == size as u64 {
        return Ok(());
    }
    let Descriptor {
        digest,
        size: expected,
    } = descriptor;
    Err(CommandError::Wrong(format!(
        "{digest} has {size} bytes instead of {expected}"
    )))
}
