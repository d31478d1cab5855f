//! Copies one blob to repositories of one registry, as a stream.
//!
//! The size and the digest are verified before the last bytes are sent, so a wrong blob is never complete at its target.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use reqwest::Body;
use ring::digest::{Context, SHA256};

use super::image::{ImageCopyError, Progress, Repository};
use super::tree::Blob;
use crate::http::retry::{Attempts, Policy, Transient};
use crate::io::idle::while_moving;
use crate::registry::client::{Begun, BlobRange, Client, ClientError, Upload};
use crate::text::cause::one_line;
use crate::text::digest::of_hash;

/// The limits for the uploads of one blob. An interrupted upload starts again.
const POLICY: Policy = Policy {
    retries: 4,
    total: Duration::from_hours(1),
    pauses: (Duration::from_millis(500), Duration::from_secs(10)),
};

/// The time after which an upload without progress is interrupted. A registry may need minutes to store a large blob after its
/// last byte.
const QUIET_LIMIT: Duration = Duration::from_mins(5);

/// Why a blob is in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It was there before.
    Existed,
    /// The registry mounted it from another repository.
    Mounted,
    /// It was uploaded.
    Sent,
}

/// One blob on its way to one repository.
pub(super) struct BlobCopy<'a> {
    pub(super) client: &'a Arc<Client>,
    pub(super) source: &'a Repository,
    pub(super) target: &'a Repository,
    pub(super) blob: &'a Blob,
    /// Another repository of the target's registry that has the blob.
    pub(super) mount: Option<&'a str>,
    pub(super) progress: &'a Progress,
}

/// The end of one attempt.
enum Attempt {
    Ended(Result<Presence, ImageCopyError>),
    /// The upload failed; another one may succeed.
    Interrupted(ClientError),
}

impl BlobCopy<'_> {
    /// Copies the blob, unless the repository has it. If the response to a complete upload is lost, the next attempt finds the
    /// blob.
    pub(super) async fn run(&self) -> Result<Presence, ImageCopyError> {
        let attempt = || async {
            let attempt = self
                .attempt()
                .await
                .unwrap_or_else(|error| Attempt::Ended(Err(error)));
            match attempt {
                Attempt::Ended(ended) => (ended, None),
                Attempt::Interrupted(error) => {
                    let message = format!(
                        "the upload of {} to `{}` failed ({})",
                        self.blob.digest,
                        self.target.host,
                        one_line(&error)
                    );
                    let transient = Transient::without_response(message);
                    (Err(ImageCopyError::Target(error)), Some(transient))
                }
            }
        };
        Attempts::new(POLICY).run(attempt).await
    }

    async fn attempt(&self) -> Result<Attempt, ImageCopyError> {
        let Repository { host, repository } = self.target;
        let digest = &*self.blob.digest;
        let exists = self.client.has_blob(host, repository, digest).await;
        if exists.map_err(ImageCopyError::Target)? {
            return Ok(Attempt::Ended(Ok(Presence::Existed)));
        }
        let mount = self.mount.map(|from| (digest, from));
        let begun = match self.client.begin_upload(host, repository, mount).await {
            // The login for the target may not be allowed to read the other repository.
            Err(error) if mount.is_some() && !error.is_transient() => {
                self.client.begin_upload(host, repository, None).await
            }
            begun => begun,
        };
        match begun.map_err(ImageCopyError::Target)? {
            Begun::Mounted => Ok(Attempt::Ended(Ok(Presence::Mounted))),
            Begun::Upload(upload) => self.upload(upload).await,
        }
    }

    async fn upload(&self, upload: Upload) -> Result<Attempt, ImageCopyError> {
        let Blob { digest, size } = self.blob;
        let sent = Arc::new(AtomicU64::new(0));
        let failure = Arc::new(Mutex::new(None));
        let content = verified(
            self.client.read_blob(BlobRange {
                host: self.source.host.clone(),
                repository: self.source.repository.clone(),
                digest: digest.clone(),
                offset: 0,
                length: *size,
            }),
            self.blob.clone(),
        );
        let (counted, noted, total) = (
            Arc::clone(&sent),
            Arc::clone(&failure),
            self.progress.sent(),
        );
        let content = content.map(move |piece| match piece {
            Ok(piece) => {
                let length = piece.len() as u64;
                counted.fetch_add(length, Ordering::Relaxed);
                total.fetch_add(length, Ordering::Relaxed);
                Ok(piece)
            }
            Err(error) => {
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(std::io::Error::other("the source failed"))
            }
        });
        let body = Body::wrap_stream(content);
        let uploading = self.client.complete_upload(&upload, digest, *size, body);
        let moved = || sent.load(Ordering::Relaxed);
        let uploaded = while_moving(QUIET_LIMIT, moved, uploading).await;
        let uploaded = uploaded.unwrap_or_else(|| Err(upload.stalled()));
        let error = match uploaded {
            Ok(()) => return Ok(Attempt::Ended(Ok(Presence::Sent))),
            Err(error) => error,
        };
        let total = self.progress.sent();
        total.fetch_sub(sent.load(Ordering::Relaxed), Ordering::Relaxed);
        let failure = failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match failure {
            Some(error) => Err(error),
            // A token can expire between two requests.
            None if error.is_transient() || error.status() == Some(401) => {
                Ok(Attempt::Interrupted(error))
            }
            None => Err(ImageCopyError::Target(error)),
        }
    }
}

/// The content of a blob. Its last piece follows only if the size and the digest are right.
fn verified(
    content: impl Stream<Item = Result<Bytes, ClientError>> + Send + 'static,
    blob: Blob,
) -> impl Stream<Item = Result<Bytes, ImageCopyError>> + Send + 'static {
    let state = (Box::pin(content), Context::new(&SHA256), 0_u64, blob);
    stream::unfold(Some(state), |state| async move {
        let (mut content, mut hash, mut seen, blob) = state?;
        let piece = match content.next().await? {
            Ok(piece) => piece,
            Err(error) => return Some((Err(ImageCopyError::Source(error)), None)),
        };
        hash.update(&piece);
        seen += piece.len() as u64;
        if seen >= blob.size {
            let digest = of_hash(hash.finish().as_ref());
            if seen > blob.size || digest != blob.digest {
                return Some((
                    Err(ImageCopyError::Content {
                        expected: blob.digest,
                        digest,
                    }),
                    None,
                ));
            }
            return Some((Ok(piece), None));
        }
        Some((Ok(piece), Some((content, hash, seen, blob))))
    })
}
