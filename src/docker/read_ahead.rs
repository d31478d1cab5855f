//! Reading several blobs at a time, for one who wants them one after the other.
//!
//! While one is passed on, the beginnings of those after it are fetched: a blob that is begun early saves a round trip, and a small one
//! is all there. The rest of a large one is asked for when its beginning is passed on. So the only stream that waits unread is the
//! one that is read next: what is not read of one holds back a share of the connection's window, and whoever stands between us and
//! the blobs may have less of it than we do.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::Peekable;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use tokio::task::JoinSet;

use super::blobs::{BlobError, Blobs, Check, Chunks};
use super::image::Descriptor;

/// Blobs whose beginnings are fetched ahead.
const AHEAD: usize = 3;

/// How much of each, in bytes: at 40 ms to the blobs and 1 Gbit/s, what comes in the time of a question.
pub(super) const HEAD_BYTES: u64 = 4 << 20;

/// The pieces of blobs in their order, each checked as it passes.
pub(super) struct ReadAhead {
    blobs: Arc<dyn Blobs>,
    waiting: VecDeque<Descriptor>,
    ahead: VecDeque<Head>,
    current: Option<Current>,
}

/// A blob whose beginning is on its way.
struct Head {
    blob: Descriptor,
    /// One task, ended with this.
    fetching: JoinSet<Result<Vec<Bytes>, BlobError>>,
}

/// The blob that is passed on.
struct Current {
    check: Check,
    /// What has come of it already.
    head: VecDeque<Bytes>,
    rest: Option<Peekable<Chunks>>,
}

impl ReadAhead {
    /// Begins to read at the first piece that is asked for.
    pub(super) fn new(blobs: Arc<dyn Blobs>, wanted: VecDeque<Descriptor>) -> Self {
        Self {
            blobs,
            waiting: wanted,
            ahead: VecDeque::new(),
            current: None,
        }
    }

    /// The next piece of the blob that is the first one not yet read to its end; `None` at that end.
    ///
    /// Not cancel safe: ask again only after an answer.
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
                    // Sends the question; the answer is taken when its turn comes.
                    let _begun = Pin::new(rest).peek().now_or_never();
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

    /// The next blob, as far as it has come.
    async fn next(&mut self) -> Option<Result<Current, BlobError>> {
        let next = self.ahead.pop_front();
        let current = match next {
            // Nothing was fetched ahead: the first one.
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
                    // A panic is told by the panic itself.
                    Some(Err(_)) | None => {
                        let told = "its reader ended".to_owned();
                        let digest = blob.digest;
                        return Some(Err(BlobError::Broken { digest, told }));
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
        while self.ahead.len() < AHEAD
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

/// All pieces of a beginning. One who sends more than was asked for is cut off.
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
