//! The thread behind [`Output`](super::output::Output): takes blocks from a queue and writes each whole.
//!
//! A thread, because writing to a full pipe blocks, and blocking must not reach the async runtime. It ends when the last
//! handle is gone and all is written; it is never joined, since a pipe that nobody reads would hold the program for ever.
//! Whoever wants to see the last lines out awaits [`Queue::written`] under a deadline.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::Notify;

/// Pause before another try when the stream says that it would block, which a pipe does that its other end made so.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// Given to the stream at once.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// Blocks on their way to the stream.
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
    /// Blocks ever queued, and of those the ones done with; the difference is what a flush awaits.
    queued: u64,
    done: u64,
    /// Messages not taken because too much was outstanding.
    left_out: u64,
    /// No handle is left.
    closed: bool,
    /// The stream failed; everything is discarded from then on.
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

    /// Queues `block` unless more than `limit` bytes are outstanding; counts it as left out then.
    pub(super) fn push_or_leave_out(&self, block: String, limit: usize) {
        let mut state = self.lock();
        if state.outstanding > limit {
            state.left_out += 1;
        } else {
            self.push(&mut state, block);
        }
    }

    /// Queues `block` once no more than `limit` bytes are outstanding.
    ///
    /// Cancel safe in so far as a block is queued whole or not at all.
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

    /// Waits until all that is queued now has been written; false if the stream failed.
    pub(super) async fn written(&self) -> bool {
        let target = self.lock().queued;
        self.until(|state| state.done >= target || state.broken)
            .await;
        !self.lock().broken
    }

    /// Bytes that the stream has taken so far.
    pub(super) fn written_bytes(&self) -> u64 {
        self.lock().written
    }

    /// Lets the thread end once all is written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    fn push(&self, state: &mut State, block: String) {
        if !state.broken {
            state.tell_left_out();
            state.push(block);
            self.filled.notify_one();
        }
    }

    async fn until(&self, mut ready: impl FnMut(&mut State) -> bool) {
        loop {
            // Enrolled before looking, else a wake-up between the two would be missed.
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
            state.done += 1;
            state.outstanding = state.outstanding.saturating_sub(block.len());
            if outcome.is_err() {
                // Whoever read the log is gone. There is no other place to tell it, and the build matters more.
                state.broken = true;
                state.blocks.clear();
                state.outstanding = 0;
            }
            drop(state);
            self.drained.notify_waiters();
        }
    }

    /// The next block; `None` when no more will come.
    fn next(&self) -> Option<String> {
        let mut state = self.lock();
        loop {
            if let Some(block) = state.blocks.pop_front() {
                return Some(block);
            }
            if state.tell_left_out() {
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

    /// Like `Write::write_all`, but goes on where it was when the stream would block, and counts what it has taken.
    fn write_block(&self, stream: &mut impl Write, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            // A write to a pipe returns when all of it was taken, and it is to be seen that something moves.
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

    /// Queues a line about messages that were left out; false if none were.
    fn tell_left_out(&mut self) -> bool {
        let left_out = mem::take(&mut self.left_out);
        if left_out > 0 {
            self.push(format!(
                "WARNING: {left_out} messages left out here, since the log was not read\n"
            ));
        }
        left_out > 0
    }
}
