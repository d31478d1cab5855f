//! What a solve has left at the builder: manifest and config of the image that is to be loaded.
//!
//! Depot's builders hand both out with the solve's answer; others have them in their content store, below an index where the
//! image has attestations or several platforms.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use tonic::Status;

use super::super::on_machine::Exported;
use super::from_builder::read_error;
use crate::buildkit::Connection;
use crate::docker::{BlobError, Descriptor, Image, LoadError, Platform, best_for};
use crate::shape;

/// Under which Depot's fork answers with the images it has exported: JSON in base64.
const EXPORTED: &str = "depot/images.exported";

/// The largest manifest or config that is read: what registries take.
const DOCUMENT_LIMIT: usize = 4 << 20;

/// Images of an index that are looked at: more than there are platforms.
const IMAGES_LIMIT: usize = 64;

/// How much is shown of a value that cannot be right.
const SHOWN_CHARACTERS: usize = 100;

/// How long one may take.
const DOCUMENT_TIME_LIMIT: Duration = Duration::from_mins(1);

/// An image as Depot's fork tells it: both as their bytes are, since their digests count.
#[derive(Deserialize)]
struct Told {
    manifest: String,
    config: String,
}

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
    platform: Option<EntryPlatform>,
    #[serde(default)]
    annotations: std::collections::HashMap<String, String>,
}

#[derive(Clone, Deserialize)]
struct EntryPlatform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// The image for `platform`; without it, the only one.
pub(super) async fn image(
    exported: &Exported,
    platform: Option<&Platform>,
) -> Result<Image, LoadError> {
    let response = &exported.solved.response;
    if let Some(told) = response.get(EXPORTED) {
        match told_images(told) {
            Ok(images) => {
                let platforms: Vec<_> = images
                    .iter()
                    .map(|image| image.platform().clone())
                    .collect();
                if let Some(index) = pick(platform, &platforms) {
                    return images.into_iter().nth(index).ok_or_else(nowhere);
                }
            }
            Err(why) => tracing::debug!("`{EXPORTED}` cannot be read: {why}"),
        }
    }
    let connection = &exported.connection;
    let digest = exported.solved.digest().ok_or_else(nowhere)?;
    // Where it is told, the config need not wait for the manifest that names it.
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
    let named = parse(digest, &manifest)?.config.ok_or_else(nowhere)?;
    let bytes = match (early, config) {
        (Some(bytes), Some(digest)) if *digest == named.digest => bytes,
        _ => document(connection, &named.digest).await?,
    };
    Image::parse(manifest, bytes).map_err(|error| unusable(&error))
}

/// The digest of the manifest of each platform that was exported; nothing where that is not known.
///
/// `may_read`: the builder may be asked for an index that it did not tell.
pub(in super::super) async fn platforms(
    exported: &Exported,
    may_read: bool,
) -> Vec<(Platform, String)> {
    let response = &exported.solved.response;
    let told = response.get(EXPORTED).map(|told| told_images(told));
    if let Some(Ok(images)) = told {
        let images = images.iter().filter(|image| is_platform(image.platform()));
        let images = images.map(|image| (image.platform().clone(), image.manifest_digest().into()));
        return images.take(IMAGES_LIMIT).collect();
    }
    let Some(digest) = exported.solved.digest().filter(|_| may_read) else {
        return Vec::new();
    };
    match entries(&exported.connection, digest).await {
        Ok(entries) => entries
            .into_iter()
            .map(|(descriptor, platform)| (platform, descriptor.digest))
            .collect(),
        Err(error) => {
            tracing::debug!("the digests of platforms are not known: {error}");
            Vec::new()
        }
    }
}

/// What an index has for each platform; nothing for a manifest.
async fn entries(
    connection: &Connection,
    digest: &str,
) -> Result<Vec<(Descriptor, Platform)>, LoadError> {
    let bytes = document(connection, digest).await?;
    Ok(parse(digest, &bytes)?.images())
}

impl Document {
    /// What has no platform of its own speaks about another one: attestations.
    pub(crate) fn images(self) -> Vec<(Descriptor, Platform)> {
        self.manifests
            .into_iter()
            .filter(|entry| !entry.annotations.contains_key("vnd.docker.reference.type"))
            .filter_map(|entry| Some((entry.descriptor, entry.platform?)))
            .filter(|(_, platform)| platform.os != "unknown")
            .map(|(descriptor, platform)| (descriptor, Platform::from(platform)))
            .filter(|(_, platform)| is_platform(platform))
            .take(IMAGES_LIMIT)
            .collect()
    }
}

impl From<EntryPlatform> for Platform {
    fn from(platform: EntryPlatform) -> Self {
        Self {
            os: platform.os,
            architecture: platform.architecture,
            variant: platform.variant,
        }
    }
}

/// Whether it can be part of a variable's name.
fn is_platform(platform: &Platform) -> bool {
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

/// The manifest that `digest` is, or leads to.
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
    let index = pick(platform, &platforms).ok_or_else(nowhere)?;
    let (descriptor, _) = images.get(index).ok_or_else(nowhere)?;
    document(connection, &descriptor.digest).await
}

/// The index of the one that was asked for, or of the only one.
pub(crate) fn pick(asked: Option<&Platform>, offered: &[Platform]) -> Option<usize> {
    match (asked, offered) {
        (_, [_]) => Some(0),
        (Some(asked), offered) => offered
            .iter()
            .position(|platform| platform == asked)
            .or_else(|| best_for(asked, offered)),
        (None, _) => None,
    }
}

pub(crate) fn told_images(told: &str) -> Result<Vec<Image>, String> {
    let json = STANDARD.decode(told).map_err(|error| error.to_string())?;
    let told: Vec<Told> = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    let bytes = |text: &str| {
        let decoded = STANDARD.decode(text).map_err(|error| error.to_string())?;
        Ok::<_, String>(Bytes::from(decoded))
    };
    let images: Result<Vec<_>, _> = told
        .iter()
        .map(|image| {
            let (manifest, config) = (bytes(&image.manifest)?, bytes(&image.config)?);
            Image::parse(manifest, config).map_err(|error| error.to_string())
        })
        .collect();
    // Attestations come as images for nothing.
    let is_image = |image: &Image| image.platform().os != "unknown";
    Ok(images?.into_iter().filter(is_image).collect())
}

async fn document(connection: &Connection, digest: &str) -> Result<Bytes, LoadError> {
    let reading = connection.read_document(digest, DOCUMENT_LIMIT);
    let read = match tokio::time::timeout(DOCUMENT_TIME_LIMIT, reading).await {
        Ok(read) => read,
        Err(_) => Err(Status::deadline_exceeded("it did not come in time")),
    };
    read.map_err(|status: Status| read_error(digest, &status).into())
}

pub(crate) fn parse(digest: &str, bytes: &Bytes) -> Result<Document, LoadError> {
    let document: Document = serde_json::from_slice(bytes).map_err(|error| {
        let what = format!("it cannot be read: {error}");
        wrong(digest, what)
    })?;
    let entries = document.manifests.iter().map(|entry| &entry.descriptor);
    let mut digests = entries
        .chain(&document.config)
        .map(|descriptor| &descriptor.digest);
    match digests.find(|digest| !shape::is_digest(digest)) {
        Some(named) => {
            let shown: String = named.escape_debug().take(SHOWN_CHARACTERS).collect();
            Err(wrong(
                digest,
                format!("it names `{shown}`, which is not a digest"),
            ))
        }
        None => Ok(document),
    }
}

fn unusable(error: &crate::docker::ImageError) -> LoadError {
    wrong("the image's manifest", crate::cause::one_line(error))
}

fn wrong(digest: &str, what: String) -> LoadError {
    let digest = digest.to_owned();
    BlobError::Wrong { digest, what }.into()
}

/// The builder does not say what it has built.
fn nowhere() -> LoadError {
    BlobError::NotServed {
        digest: "the image's manifest".into(),
        told: "it is not told which it is".into(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_platform_that_was_asked_for_is_picked() {
        let offered = ["linux/386", "linux/amd64", "linux/arm/v7"].map(Platform::of);
        let picked = |asked: &str| pick(Some(&Platform::of(asked)), &offered);
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
    fn a_digest_that_is_none_is_not_followed() {
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
        // It would be part of a variable's name.
        assert!(index(&good, &"x".repeat(1000)).unwrap().images().is_empty());
    }

    #[test]
    fn images_that_depot_tells_are_read_as_their_bytes_are() {
        // With white space that no program would write again.
        let config = br#"{ "os": "linux", "architecture": "arm64", "rootfs": {"diff_ids": []} }"#;
        let digest = ring::digest::digest(&ring::digest::SHA256, config);
        let bytes = digest.as_ref().iter();
        let hex: Vec<_> = bytes.map(|byte| format!("{byte:02x}")).collect();
        let hex = hex.concat();
        let manifest = format!(
            r#"{{ "config": {{ "digest": "sha256:{hex}", "size": {} }},   "layers": [] }}"#,
            config.len()
        );
        let told = json!([{
            "manifest": STANDARD.encode(&manifest), "config": STANDARD.encode(config),
        }]);
        let images = told_images(&STANDARD.encode(told.to_string())).unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].id(), format!("sha256:{hex}"));
        assert_eq!(images[0].platform().to_string(), "linux/arm64");
        for broken in ["!", "", "e30=", "W3t9XQ=="] {
            assert!(told_images(broken).is_err(), "{broken}");
        }
    }
}
