//! The thread behind [`Output`](super::output::Output): takes blocks from a queue and writes each as a whole.
//!
//! It is a thread because a write to a full pipe blocks, which must not block the async runtime. It ends when the last
//! handle is dropped and everything is written. It is never joined, because a pipe that is not read would block the
//! program forever. To wait for the last lines, await [`Queue::written`] with a deadline.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{mem, thread};

use tokio::sync::Notify;

/// Pause before the next attempt if the stream would block. A pipe does that if its other end made it non-blocking.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// Maximum length of one write.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// Blocks that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    blocks: VecDeque<String>,
    /// Bytes queued or being written.
    outstanding: usize,
    /// Bytes ever written.
    written: u64,
    /// Blocks queued and blocks finished so far. A flush waits for the difference.
    queued: u64,
    finished: u64,
    /// Messages dropped because too many bytes were queued.
    dropped: u64,
    /// The last handle was dropped.
    closed: bool,
    /// The stream failed. Everything is discarded from then on.
    broken: bool,
}

impl Queue {
    /// Starts the thread that writes to `stream`.
    pub(super) fn start(stream: impl Write + Send + 'static) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::default());
        let worker = Arc::clone(&queue);
        thread::Builder::new()
            .name("output".into())
            .spawn(move || worker.write_all(stream))?;
        Ok(queue)
    }

    /// Queues `block`. Drops and counts it if more than `limit` bytes are queued.
    pub(super) fn push_or_drop(&self, block: String, limit: usize) {
        let mut state = self.lock();
        if state.outstanding > limit {
            state.dropped += 1;
        } else {
            self.push(&mut state, block);
        }
    }

    /// Waits until at most `limit` bytes are queued, then queues `block`.
    ///
    /// Cancel safe: a block is queued as a whole or not at all.
    pub(super) async fn push_when_drained(&self, block: String, limit: usize) {
        let mut block = Some(block);
        self.until(|state| {
            let ready = state.outstanding <= limit || state.broken;
            if ready && let Some(block) = block.take() {
                self.push(state, block);
            }
            ready
        })
        .await;
    }

    /// Waits until everything that is queued now is written. Returns false if the stream failed.
    pub(super) async fn written(&self) -> bool {
        let target = self.lock().queued;
        self.until(|state| state.finished >= target || state.broken)
            .await;
        !self.lock().broken
    }

    /// Bytes written to the stream so far.
    pub(super) fn written_bytes(&self) -> u64 {
        self.lock().written
    }

    /// Ends the thread when everything is written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    fn push(&self, state: &mut State, block: String) {
        if !state.broken {
            state.report_dropped();
            state.push(block);
            self.filled.notify_one();
        }
    }

    async fn until(&self, mut ready: impl FnMut(&mut State) -> bool) {
        loop {
            // Registered before the check, because a wake-up between the two would be missed.
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if ready(&mut self.lock()) {
                return;
            }
            drained.await;
        }
    }

    fn write_all(&self, mut stream: impl Write) {
        while let Some(block) = self.next() {
            let outcome = self.write_block(&mut stream, block.as_bytes());
            let mut state = self.lock();
            state.finished += 1;
            state.outstanding = state.outstanding.saturating_sub(block.len());
            if outcome.is_err() {
                // The reader has closed the log. This cannot be reported anywhere, and the build continues.
                state.broken = true;
                state.blocks.clear();
                state.outstanding = 0;
            }
            drop(state);
            self.drained.notify_waiters();
        }
    }

    /// The next block; `None` at the end.
    fn next(&self) -> Option<String> {
        let mut state = self.lock();
        loop {
            if let Some(block) = state.blocks.pop_front() {
                return Some(block);
            }
            if state.report_dropped() {
                continue;
            }
            if state.closed {
                return None;
            }
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Like `Write::write_all`, but continues after the stream would block, and counts the written bytes.
    fn write_block(&self, stream: &mut impl Write, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            // A write to a pipe returns when all of it is written. Short writes show that the reader still reads.
            let piece = rest.get(..PIECE_BYTES).unwrap_or(rest);
            match stream.write(piece) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    self.lock().written += written as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_PAUSE),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, block: String) {
        self.outstanding += block.len();
        self.queued += 1;
        self.blocks.push_back(block);
    }

    /// Queues a line about dropped messages. Returns false if none were dropped.
    fn report_dropped(&mut self) -> bool {
        let dropped = mem::take(&mut self.dropped);
        if dropped > 0 {
            self.push(format!(
                "WARNING: {dropped} messages were dropped here, because the log was not read\n"
            ));
        }
        dropped > 0
    }
}
