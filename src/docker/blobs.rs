//! Where the layers of an image come from.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use ring::digest::{Context, SHA256};

use super::image::{Descriptor, written};

/// The content of a blob, piece by piece.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BlobError>> + Send>>;

/// Whoever has the blobs of an image.
pub trait Blobs: Send + Sync {
    /// Reads `length` bytes of one from `offset` on, both within its size. Nothing is checked yet. Dropping the stream ends the
    /// reading.
    fn read(&self, blob: &Descriptor, offset: u64, length: u64) -> Chunks;
}

/// Why a blob did not come.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BlobError {
    /// Whoever should have it does not, or does not give it out.
    #[error("the builder does not give out {digest}: {told}")]
    NotServed {
        /// The blob.
        digest: String,
        /// In its words.
        told: String,
    },
    /// It broke off.
    #[error("{digest} broke off on its way from the builder: {told}")]
    Broken {
        /// The blob.
        digest: String,
        /// What was told of it.
        told: String,
    },
    /// What came is not the blob.
    #[error("{digest} did not come as it should: {what}")]
    Wrong {
        /// The blob.
        digest: String,
        /// How it differs.
        what: String,
    },
}

/// Holds the pieces of a blob against its digest and size as they pass.
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

    /// Takes the next piece. One that goes beyond the size is refused: the archive has no room for it.
    pub(super) fn piece(&mut self, piece: &[u8]) -> Result<(), BlobError> {
        self.hash.update(piece);
        self.seen += piece.len() as u64;
        if self.seen > self.blob.size {
            return Err(self.wrong(format!("it has more than its {} bytes", self.blob.size)));
        }
        Ok(())
    }

    /// Whether all of it came, and was the right one.
    pub(super) fn end(self) -> Result<(), BlobError> {
        if self.seen != self.blob.size {
            return Err(self.wrong(format!("{} of {} bytes came", self.seen, self.blob.size)));
        }
        let found = written(self.hash.clone().finish().as_ref());
        if found != self.blob.digest {
            return Err(self.wrong(format!("its content has the digest {found}")));
        }
        Ok(())
    }

    fn wrong(&self, what: String) -> BlobError {
        BlobError::Wrong {
            digest: self.blob.digest.clone(),
            what,
        }
    }
}
