//! Reads several blobs concurrently and delivers them in order.
//!
//! While one blob is delivered, the heads of the next blobs are fetched. This saves a round trip per blob, and a small blob is
//! then complete. The rest of a large blob is requested when its head is delivered. So the only stream with unread data is the
//! one that is read next: unread data blocks a share of the connection's window, and a proxy can have a smaller window than
//! this program.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::Peekable;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use tokio::task::JoinSet;

use super::blobs::{BlobError, Blobs, Check, Chunks};
use super::image::Descriptor;

/// The number of blobs whose heads are fetched ahead.
const MAX_HEADS: usize = 3;

/// The size of a head, in bytes: at 1 Gbit/s, about what is received in one round trip of 40 ms.
pub(super) const HEAD_BYTES: u64 = 4 << 20;

/// The chunks of blobs in order, verified as they are delivered.
pub(super) struct ReadAhead {
    blobs: Arc<dyn Blobs>,
    waiting: VecDeque<Descriptor>,
    ahead: VecDeque<Head>,
    current: Option<Current>,
}

/// A blob whose head is being fetched.
struct Head {
    blob: Descriptor,
    /// One task, aborted on drop.
    fetching: JoinSet<Result<Vec<Bytes>, BlobError>>,
}

/// The blob that is being delivered.
struct Current {
    check: Check,
    /// Its chunks that have been received.
    head: VecDeque<Bytes>,
    rest: Option<Peekable<Chunks>>,
}

impl ReadAhead {
    /// Starts to read at the first call of [`Self::piece`].
    pub(super) fn new(blobs: Arc<dyn Blobs>, descriptors: VecDeque<Descriptor>) -> Self {
        Self {
            blobs,
            waiting: descriptors,
            ahead: VecDeque::new(),
            current: None,
        }
    }

    /// The next chunk of the current blob; `None` at its end, after which the next blob follows.
    ///
    /// Not cancel safe.
    pub(super) async fn piece(&mut self) -> Option<Result<Bytes, BlobError>> {
        if self.current.is_none() {
            match self.next().await {
                Some(Ok(current)) => self.current = Some(current),
                Some(Err(error)) => return Some(Err(error)),
                None => return None,
            }
        }
        let current = self.current.as_mut()?;
        let piece = match (current.head.pop_front(), &mut current.rest) {
            (Some(piece), rest) => {
                if let Some(rest) = rest {
                    // Sends the request; the response is read later.
                    let _started = Pin::new(rest).peek().now_or_never();
                }
                Some(Ok(piece))
            }
            (None, Some(rest)) => rest.next().await,
            (None, None) => None,
        };
        match piece {
            Some(piece) => {
                Some(piece.and_then(|piece| current.check.piece(&piece).map(|()| piece)))
            }
            None => self.current.take()?.check.end().err().map(Err),
        }
    }

    /// The next blob, with its head if it was fetched.
    async fn next(&mut self) -> Option<Result<Current, BlobError>> {
        let next = self.ahead.pop_front();
        let current = match next {
            // The first blob: nothing was fetched ahead.
            None => {
                let blob = self.waiting.pop_front()?;
                Current {
                    rest: Some(self.blobs.read(&blob, 0, blob.size).peekable()),
                    check: Check::new(blob),
                    head: VecDeque::new(),
                }
            }
            Some(Head { blob, mut fetching }) => {
                let head = match fetching.join_next().await {
                    Some(Ok(Ok(head))) => head,
                    Some(Ok(Err(error))) => return Some(Err(error)),
                    // The panic itself is logged by the panic hook.
                    Some(Err(_)) | None => {
                        let reason = "the task that reads it ended unexpectedly".to_owned();
                        let digest = blob.digest;
                        return Some(Err(BlobError::Broken { digest, reason }));
                    }
                };
                let more = blob.size.checked_sub(HEAD_BYTES).filter(|&more| more > 0);
                let rest = more.map(|more| self.blobs.read(&blob, HEAD_BYTES, more));
                Current {
                    check: Check::new(blob),
                    head: head.into(),
                    rest: rest.map(StreamExt::peekable),
                }
            }
        };
        while self.ahead.len() < MAX_HEADS
            && let Some(blob) = self.waiting.pop_front()
        {
            let mut fetching = JoinSet::new();
            let head = self.blobs.read(&blob, 0, blob.size.min(HEAD_BYTES));
            fetching.spawn(bounded(head));
            self.ahead.push_back(Head { blob, fetching });
        }
        Some(Ok(current))
    }
}

/// All chunks of a head. A longer response is cut off.
async fn bounded(head: Chunks) -> Result<Vec<Bytes>, BlobError> {
    let mut left = HEAD_BYTES;
    head.try_take_while(|piece| {
        let is_within = left > 0;
        left = left.saturating_sub(piece.len() as u64);
        std::future::ready(Ok(is_within))
    })
    .try_collect()
    .await
}
