//! Manifests and indexes, and their media types.

use bytes::Bytes;

use crate::text::digest::sha256;

/// The media type of an OCI index.
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of an OCI manifest.
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of a Docker manifest list.
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The media type of a Docker manifest.
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or an index, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The media type.
    pub media_type: String,
    /// `sha256:…` of `bytes`, computed here.
    pub digest: String,
    /// JSON.
    pub bytes: Bytes,
}

impl Manifest {
    /// Computes the digest.
    #[must_use]
    pub(crate) fn new(media_type: impl Into<String>, bytes: Bytes) -> Self {
        Self {
            media_type: media_type.into(),
            digest: sha256(&bytes),
            bytes,
        }
    }
}
