//! The source of an image's blobs, and their verification.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use ring::digest::{Context, SHA256};

use super::image::Descriptor;
use crate::text::digest::of_hash;

/// The content of a blob, in chunks.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BlobError>> + Send>>;

/// A source of the blobs of an image.
pub(crate) trait Blobs: Send + Sync {
    /// Reads `length` bytes of a blob from `offset` on, both within its size, without verifying them. Dropping the stream ends
    /// the read.
    fn read(&self, blob: &Descriptor, offset: u64, length: u64) -> Chunks;
}

/// Why a blob could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum BlobError {
    /// The builder does not have it, or does not serve it.
    #[error("cannot read {digest} from the builder: {reason}")]
    NotServed {
        /// The blob.
        digest: String,
        /// The builder's message.
        reason: String,
    },
    /// A registry did not return it.
    #[error("cannot read {digest} from the registry: {reason}")]
    Registry {
        /// The blob.
        digest: String,
        /// The cause.
        reason: String,
    },
    /// The transfer was interrupted.
    #[error("the transfer of {digest} from the builder was interrupted: {reason}")]
    Broken {
        /// The blob.
        digest: String,
        /// The cause.
        reason: String,
    },
    /// The received content is not the blob.
    #[error("the builder returned invalid content for {digest}: {problem}")]
    Wrong {
        /// The blob.
        digest: String,
        /// The difference.
        problem: String,
    },
}

/// Verifies the size and digest of a blob, chunk by chunk.
pub(super) struct Check {
    blob: Descriptor,
    hash: Context,
    seen: u64,
}

impl Check {
    pub(super) fn new(blob: Descriptor) -> Self {
        Self {
            blob,
            hash: Context::new(&SHA256),
            seen: 0,
        }
    }

    /// Adds the next chunk. Fails if it exceeds the blob's size, because the archive has no room for it.
    pub(super) fn piece(&mut self, piece: &[u8]) -> Result<(), BlobError> {
        self.hash.update(piece);
        self.seen += piece.len() as u64;
        if self.seen > self.blob.size {
            return Err(self.wrong(format!("it is larger than {} bytes", self.blob.size)));
        }
        Ok(())
    }

    /// Verifies that the blob is complete and has the expected digest.
    pub(super) fn end(self) -> Result<(), BlobError> {
        if self.seen != self.blob.size {
            return Err(self.wrong(format!(
                "received {} of {} bytes",
                self.seen, self.blob.size
            )));
        }
        let found = of_hash(self.hash.clone().finish().as_ref());
        if found != self.blob.digest {
            return Err(self.wrong(format!("its digest is {found}")));
        }
        Ok(())
    }

    fn wrong(&self, problem: String) -> BlobError {
        BlobError::Wrong {
            digest: self.blob.digest.clone(),
            problem,
        }
    }
}
