//! Reading several blobs at a time, for one who wants them one after the other.
//!
//! While one is passed on, those after it are on their way: what they have sent waits in a buffer of a few pieces, and
//! behind that in the connection's window.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::blobs::{BlobError, Blobs, Check};
use super::image::Descriptor;

/// Blobs on their way at a time: the one that is passed on, and the next, so that no round trip lies between them.
///
/// What waits unread of the next one takes as much of the connection's window as a stream may have. More than one such
/// could take all of it, and the first would never come to its end.
const AT_A_TIME: usize = 2;

/// Pieces of each that wait here. BuildKit sends pieces of 1 MiB.
const PIECES: usize = 2;

/// The pieces of blobs in their order, each checked as it passes.
pub(super) struct ReadAhead {
    blobs: Arc<dyn Blobs>,
    waiting: VecDeque<Descriptor>,
    reading: VecDeque<Reading>,
}

struct Reading {
    pieces: mpsc::Receiver<Result<Bytes, BlobError>>,
    /// Ended with this.
    _task: JoinSet<()>,
}

impl ReadAhead {
    /// Begins to read at the first piece that is asked for.
    pub(super) fn new(blobs: Arc<dyn Blobs>, wanted: VecDeque<Descriptor>) -> Self {
        Self {
            blobs,
            waiting: wanted,
            reading: VecDeque::new(),
        }
    }

    /// The next piece of the blob that is the first one not yet read to its end; `None` at that end.
    ///
    /// Cancel safe.
    pub(super) async fn piece(&mut self) -> Option<Result<Bytes, BlobError>> {
        while self.reading.len() < AT_A_TIME
            && let Some(blob) = self.waiting.pop_front()
        {
            self.reading.push_back(start(&self.blobs, blob));
        }
        let piece = self.reading.front_mut()?.pieces.recv().await;
        if piece.is_none() {
            self.reading.pop_front();
        }
        piece
    }
}

fn start(blobs: &Arc<dyn Blobs>, blob: Descriptor) -> Reading {
    let (sender, pieces) = mpsc::channel(PIECES);
    let mut chunks = blobs.read(&blob);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut check = Check::new(blob);
        while let Some(piece) = chunks.next().await {
            let piece = piece.and_then(|piece| check.piece(&piece).map(|()| piece));
            let is_over = piece.is_err();
            if sender.send(piece).await.is_err() || is_over {
                return; // nobody wants it any more
            }
        }
        if let Err(error) = check.end() {
            let _nobody = sender.send(Err(error)).await;
        }
    });
    Reading {
        pieces,
        _task: task,
    }
}
