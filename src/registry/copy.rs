//! Copies images between repositories: here an index, to a repository that already has the image. `image.rs` copies whole images.
//!
//! Two solves of the same build create the same image, but each has its own provenance, so their indexes differ only in
//! the attestations. Those are small, and everything else is in both repositories.

mod blob;
pub(crate) mod image;
#[cfg(test)]
mod tests;
pub(crate) mod tree;

use bytes::Bytes;
use serde::Deserialize;

use super::client::{Client, ClientError};
use super::index::ATTESTATION;
use super::manifest::Manifest;
use super::reference::Reference;

/// The highest number of attestations of an index, and of blobs of an attestation. BuildKit creates one attestation for each
/// platform, with two blobs.
const MAX_ENTRIES: usize = 64;

/// Why an index was not copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// A request to a registry failed.
    #[error(transparent)]
    Client(ClientError),
    /// The indexes differ in more than attestations.
    #[error("the images differ")]
    Different,
    /// A manifest does not have the form of a builder's manifests.
    #[error("a manifest is malformed")]
    Malformed,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Attestation {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    annotations: serde_json::Map<String, serde_json::Value>,
}

/// Pushes the index `digest` of `from` to the repository of `to`, by its digest, and returns it.
///
/// `present` is the digest of the index of the same image in `to`. Tags are not changed.
pub(crate) async fn copy_index(
    client: &Client,
    (from, digest): (&Reference, &str),
    (to, present): (&Reference, &str),
) -> Result<Manifest, CopyError> {
    let read = async |of: &Reference, digest: &str| {
        let manifest = client.manifest(of.host(), of.repository(), digest).await;
        manifest.map_err(CopyError::Client)
    };
    let index = read(from, digest).await?;
    let entries: Index = parsed(&index.bytes)?;
    let known: Index = parsed(&read(to, present).await?.bytes)?;
    let is_known = |entry: &&Descriptor| {
        known
            .manifests
            .iter()
            .any(|other| other.digest == entry.digest)
    };
    let (_, missing): (Vec<_>, Vec<_>) = entries.manifests.iter().partition(is_known);
    let is_attestation = |entry: &&Descriptor| entry.annotations.contains_key(ATTESTATION);
    if !missing.iter().all(is_attestation) {
        return Err(CopyError::Different);
    }
    for entry in bounded(missing)? {
        let manifest = read(from, checked(&entry.digest)?).await?;
        let attestation: Attestation = parsed(&manifest.bytes)?;
        let blobs = [attestation.config].into_iter().chain(attestation.layers);
        for blob in bounded(blobs.collect())? {
            let bytes = client
                .blob(from.host(), from.repository(), checked(&blob.digest)?)
                .await;
            let bytes: Bytes = bytes.map_err(CopyError::Client)?;
            let put = client.put_blob(to.host(), to.repository(), bytes).await;
            put.map_err(CopyError::Client)?;
        }
        put(client, to, &manifest).await?;
    }
    put(client, to, &index).await?;
    Ok(index)
}

async fn put(client: &Client, to: &Reference, manifest: &Manifest) -> Result<(), CopyError> {
    let digest = manifest.digest.as_str();
    let put = client
        .put_manifest(to.host(), to.repository(), digest, manifest)
        .await;
    put.map_err(CopyError::Client)
}

fn parsed<'a, Json: Deserialize<'a>>(bytes: &'a [u8]) -> Result<Json, CopyError> {
    serde_json::from_slice(bytes).map_err(|_| CopyError::Malformed)
}

fn bounded<Entry>(entries: Vec<Entry>) -> Result<Vec<Entry>, CopyError> {
    if entries.len() > MAX_ENTRIES {
        return Err(CopyError::Malformed);
    }
    Ok(entries)
}

/// A digest becomes a part of an address.
fn checked(digest: &str) -> Result<&str, CopyError> {
    let is_digest = digest.starts_with("sha256:") && crate::text::shape::is_digest(digest);
    is_digest.then_some(digest).ok_or(CopyError::Malformed)
}
