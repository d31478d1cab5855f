//! The manifest and config of the built image, read from the builder.
//!
//! Depot's builders return both in the solve's response. Other builders have them in their content store, below an index if the
//! image has attestations or several platforms.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tonic::Status;

use super::super::delivered::{Built, PlatformImage};
use super::from_builder::read_error;
use crate::buildkit::Connection;
use crate::depot::fork::{self, EXPORTED_IMAGES};
use crate::docker::{BlobError, Descriptor, Image, LoadError};
use crate::platform::{Platform, best_for};
use crate::registry::index::ATTESTATION;
use crate::text::shape;

/// The largest manifest or config that is read: the limit of registries.
const MAX_DOCUMENT_BYTES: usize = 4 << 20;

/// The maximum number of images of an index that are read: more than the number of existing platforms.
const MAX_IMAGES: usize = 64;

/// The limit for reading one document.
const DOCUMENT_TIME_LIMIT: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
pub(crate) struct Document {
    #[serde(default)]
    manifests: Vec<Entry>,
    config: Option<Descriptor>,
}

#[derive(Clone, Deserialize)]
struct Entry {
    #[serde(flatten)]
    descriptor: Descriptor,
    platform: Option<Platform>,
    #[serde(default)]
    annotations: std::collections::HashMap<String, String>,
}

/// The image for `platform`; without `platform`, the only image.
pub(super) async fn image(built: &Built, platform: Option<&Platform>) -> Result<Image, LoadError> {
    let response = &built.solved.response;
    if let Some(encoded) = response.get(EXPORTED_IMAGES) {
        match parse_images(encoded) {
            Ok(images) => {
                let platforms: Vec<_> = images
                    .iter()
                    .map(|image| image.platform().clone())
                    .collect();
                if let Some(index) = pick(platform, &platforms) {
                    return images.into_iter().nth(index).ok_or_else(unknown_digest);
                }
            }
            Err(why) => tracing::debug!("cannot parse `{EXPORTED_IMAGES}`: {why}"),
        }
    }
    let connection = &built.link.connection;
    let digest = built.solved.digest().ok_or_else(unknown_digest)?;
    // If its digest is known, the config is read concurrently with the manifest.
    let config = response.get("containerimage.config.digest");
    let early = async {
        match config {
            Some(config) => document(connection, config).await.ok(),
            None => None,
        }
    };
    let (manifest, early) = tokio::try_join!(manifest(connection, digest, platform), async {
        Ok(early.await)
    })?;
    let named = parse(digest, &manifest)?
        .config
        .ok_or_else(unknown_digest)?;
    let bytes = match (early, config) {
        (Some(bytes), Some(digest)) if *digest == named.digest => bytes,
        _ => document(connection, &named.digest).await?,
    };
    Image::parse(manifest, bytes).map_err(|error| unusable(&error))
}

/// The manifest digest of each exported platform; empty if they are not known.
///
/// `may_read`: whether an index that is not in the response may be read from the builder.
pub(in super::super) async fn platforms(built: &Built, may_read: bool) -> Vec<PlatformImage> {
    let response = &built.solved.response;
    let exported_images = response
        .get(EXPORTED_IMAGES)
        .map(|encoded| parse_images(encoded));
    if let Some(Ok(images)) = exported_images {
        let images = images.iter().filter(|image| is_platform(image.platform()));
        let images = images.map(|image| PlatformImage {
            platform: image.platform().clone(),
            digest: image.manifest_digest().into(),
            bytes: Some(image.layer_bytes()),
        });
        return images.take(MAX_IMAGES).collect();
    }
    let Some(digest) = built.solved.digest().filter(|_| may_read) else {
        return Vec::new();
    };
    match entries(&built.link.connection, digest).await {
        Ok(entries) => entries.into_iter().map(PlatformImage::from).collect(),
        Err(error) => {
            tracing::debug!("cannot read the digests of the platforms: {error}");
            Vec::new()
        }
    }
}

/// The entries of an index, one per platform; empty for a manifest.
async fn entries(
    connection: &Connection,
    digest: &str,
) -> Result<Vec<(Descriptor, Platform)>, LoadError> {
    let bytes = document(connection, digest).await?;
    Ok(parse(digest, &bytes)?.images())
}

impl Document {
    /// Whether it is the manifest of one image, and not an index.
    pub(in super::super) fn is_manifest(&self) -> bool {
        self.manifests.is_empty() && self.config.is_some()
    }

    /// The digest of the config of a manifest.
    pub(in super::super) fn config_digest(&self) -> Option<&str> {
        Some(&self.config.as_ref()?.digest)
    }

    /// The images. Entries without a platform are attestations of other entries, and are skipped.
    pub(crate) fn images(self) -> Vec<(Descriptor, Platform)> {
        self.manifests
            .into_iter()
            .filter(|entry| !entry.annotations.contains_key(ATTESTATION))
            .filter_map(|entry| Some((entry.descriptor, entry.platform?)))
            .filter(|(_, platform)| platform.os != "unknown")
            .filter(|(_, platform)| is_platform(platform))
            .take(MAX_IMAGES)
            .collect()
    }
}

/// Whether the platform can be part of a variable's name.
pub(in super::super) fn is_platform(platform: &Platform) -> bool {
    let Platform {
        os,
        architecture,
        variant,
    } = platform;
    let parts = [Some(os), Some(architecture), variant.as_ref()];
    parts
        .into_iter()
        .flatten()
        .all(|part| shape::is_platform_part(part))
}

/// The manifest with this digest, or the one for `platform` in the index with this digest.
async fn manifest(
    connection: &Connection,
    digest: &str,
    platform: Option<&Platform>,
) -> Result<Bytes, LoadError> {
    let bytes = document(connection, digest).await?;
    let parsed = parse(digest, &bytes)?;
    if parsed.manifests.is_empty() {
        return Ok(bytes);
    }
    let images = parsed.images();
    let platforms: Vec<_> = images
        .iter()
        .map(|(_, platform)| platform.clone())
        .collect();
    let index = pick(platform, &platforms).ok_or_else(unknown_digest)?;
    let (descriptor, _) = images.get(index).ok_or_else(unknown_digest)?;
    document(connection, &descriptor.digest).await
}

/// The position of the best platform for `requested`, or of the only one.
pub(crate) fn pick(requested: Option<&Platform>, offered: &[Platform]) -> Option<usize> {
    match (requested, offered) {
        (_, [_]) => Some(0),
        (Some(requested), offered) => offered
            .iter()
            .position(|platform| platform == requested)
            .or_else(|| best_for(requested, offered)),
        (None, _) => None,
    }
}

/// Parses the value of [`EXPORTED_IMAGES`].
pub(crate) fn parse_images(encoded: &str) -> Result<Vec<Image>, String> {
    let exported = fork::parse_images(encoded)?.into_iter();
    let images: Result<Vec<_>, _> = exported
        .map(|image| Image::parse(image.manifest, image.config).map_err(|error| error.to_string()))
        .collect();
    // Attestations are images for the platform `unknown`.
    let is_image = |image: &Image| image.platform().os != "unknown";
    Ok(images?.into_iter().filter(is_image).collect())
}

async fn document(connection: &Connection, digest: &str) -> Result<Bytes, LoadError> {
    let reading = connection.read_document(digest, MAX_DOCUMENT_BYTES);
    let read = match tokio::time::timeout(DOCUMENT_TIME_LIMIT, reading).await {
        Ok(read) => read,
        Err(_) => Err(Status::deadline_exceeded("timed out")),
    };
    read.map_err(|status: Status| read_error(digest, &status).into())
}

pub(crate) fn parse(digest: &str, bytes: &Bytes) -> Result<Document, LoadError> {
    let document: Document = serde_json::from_slice(bytes).map_err(|error| {
        let problem = format!("invalid JSON: {error}");
        wrong(digest, problem)
    })?;
    let entries = document.manifests.iter().map(|entry| &entry.descriptor);
    let mut digests = entries
        .chain(&document.config)
        .map(|descriptor| &descriptor.digest);
    match digests.find(|digest| !shape::is_digest(digest)) {
        Some(named) => {
            let shown = crate::text::digest::shown(named);
            Err(wrong(
                digest,
                format!("it refers to `{shown}`, which is not a digest"),
            ))
        }
        None => Ok(document),
    }
}

fn unusable(error: &crate::docker::ImageError) -> LoadError {
    wrong("the image's manifest", crate::text::cause::one_line(error))
}

fn wrong(digest: &str, problem: String) -> LoadError {
    let digest = digest.to_owned();
    BlobError::Wrong { digest, problem }.into()
}

/// The builder did not return the digest of the image.
pub(super) fn unknown_digest() -> LoadError {
    BlobError::NotServed {
        digest: "the image's manifest".into(),
        reason: "its digest is not known".into(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_requested_platform_is_picked() {
        let offered = ["linux/386", "linux/amd64", "linux/arm/v7"].map(Platform::of);
        let picked = |requested: &str| pick(Some(&Platform::of(requested)), &offered);
        assert_eq!(picked("linux/amd64"), Some(1));
        assert_eq!(picked("linux/386"), Some(0));
        assert_eq!(picked("linux/arm"), Some(2));
        assert_eq!(pick(None, &offered), None);
        assert_eq!(pick(None, &offered[..1]), Some(0));
        assert_eq!(
            pick(Some(&Platform::of("linux/arm64")), &offered[..1]),
            Some(0)
        );
    }

    #[test]
    fn an_invalid_digest_is_rejected() {
        let good = format!("sha256:{}", "0".repeat(64));
        let index = |digest: &str, os: &str| {
            let document = json!({ "manifests": [{
                "digest": digest, "size": 1,
                "platform": { "os": os, "architecture": "amd64" },
            }]});
            parse("sha256:index", &Bytes::from(document.to_string()))
        };
        assert_eq!(index(&good, "linux").unwrap().images().len(), 1);
        for bad in ["", "sha256:x/../../y", "sha256:00\nA=1"] {
            let error = index(bad, "linux").err().unwrap().to_string();
            assert!(error.contains("which is not a digest"), "{error}");
        }
        let config = json!({ "config": { "digest": "../x", "size": 1 } });
        assert!(parse("sha256:manifest", &Bytes::from(config.to_string())).is_err());
        // The platform would become part of a variable's name.
        assert!(index(&good, &"x".repeat(1000)).unwrap().images().is_empty());
    }

    #[test]
    fn the_images_in_depots_response_keep_their_bytes() {
        // With white space that serialization would not reproduce.
        let config = br#"{ "os": "linux", "architecture": "arm64", "rootfs": {"diff_ids": []} }"#;
        let digest = ring::digest::digest(&ring::digest::SHA256, config);
        let bytes = digest.as_ref().iter();
        let hex: Vec<_> = bytes.map(|byte| format!("{byte:02x}")).collect();
        let hex = hex.concat();
        let manifest = format!(
            r#"{{ "config": {{ "digest": "sha256:{hex}", "size": {} }},   "layers": [] }}"#,
            config.len()
        );
        let exported = json!([{
            "manifest": STANDARD.encode(&manifest), "config": STANDARD.encode(config),
        }]);
        let images = parse_images(&STANDARD.encode(exported.to_string())).unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].id(), format!("sha256:{hex}"));
        assert_eq!(images[0].platform().to_string(), "linux/arm64");
        for broken in ["!", "", "e30=", "W3t9XQ=="] {
            assert!(parse_images(broken).is_err(), "{broken}");
        }
    }
}
