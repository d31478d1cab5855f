//! Reads layers from the builder.

use futures_util::StreamExt;
use tonic::Status;

use crate::buildkit::{Connection, is_lost, status_message};
use crate::docker::{BlobError, Blobs, Chunks, Descriptor};

/// The blobs of a builder.
pub(super) struct FromBuilder(pub(super) Connection);

impl Blobs for FromBuilder {
    fn read(&self, blob: &Descriptor, offset: u64, length: u64) -> Chunks {
        let digest = blob.digest.clone();
        let pieces = self.0.read_blob(&digest, offset, length);
        Box::pin(pieces.map(move |piece| piece.map_err(|status| read_error(&digest, &status))))
    }
}

/// The error for a failed read of a blob.
pub(super) fn read_error(digest: &str, status: &Status) -> BlobError {
    let digest = digest.to_owned();
    let reason = status_message(status);
    if is_lost(status) {
        BlobError::Broken { digest, reason }
    } else {
        BlobError::NotServed { digest, reason }
    }
}
