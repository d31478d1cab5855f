//! Gives a repository the index of another one.
//!
//! Two solves of the same build make the same image, but each has its own provenance, so their indexes differ in the
//! attestations alone. Those are small; everything else is in both repositories already.

use bytes::Bytes;
use serde::Deserialize;

use super::client::{Client, ClientError, Manifest};
use super::index::ATTESTATION;
use super::reference::Reference;

/// The attestations of an index, and the blobs of one, at most. BuildKit makes one attestation for each platform, of two blobs.
const ENTRIES_LIMIT: usize = 64;

/// Why a repository did not get the index.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A registry did not do its part.
    #[error(transparent)]
    Client(ClientError),
    /// The repositories differ in more than attestations.
    #[error("the images differ")]
    Different,
    /// A manifest that no builder makes.
    #[error("a manifest cannot be read")]
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

/// Puts the index `digest` of `from` into the repository of `to`, by its digest, and returns it.
///
/// `present` is the digest of the index that `to` has, of the same image. Tags are left as they are.
pub async fn copy_index(
    client: &Client,
    (from, digest): (&Reference, &str),
    (to, present): (&Reference, &str),
) -> Result<Manifest, CopyError> {
    let read = async |of: &Reference, digest: &str| {
        let manifest = client.manifest(of.host(), of.repository(), digest).await;
        manifest.map_err(CopyError::Client)
    };
    let wanted = read(from, digest).await?;
    let entries: Index = parsed(&wanted.bytes)?;
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
    put(client, to, &wanted).await?;
    Ok(wanted)
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
    if entries.len() > ENTRIES_LIMIT {
        return Err(CopyError::Malformed);
    }
    Ok(entries)
}

/// Digests become parts of addresses.
fn checked(digest: &str) -> Result<&str, CopyError> {
    let is_digest = digest.starts_with("sha256:") && crate::text::shape::is_digest(digest);
    is_digest.then_some(digest).ok_or(CopyError::Malformed)
}
