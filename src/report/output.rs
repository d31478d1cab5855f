//! The only module that prints.
//!
//! It prints to one stream, standard error, so that lines keep their order. Lines are queued in blocks and a block is
//! written as a whole, so lines of concurrent tasks are not mixed. The queue is bounded: build progress waits while more
//! than [`PROGRESS_BYTES`] are queued; the program's own messages never wait, but are dropped (and counted) beyond
//! [`MESSAGE_BYTES`], which happens only if the log is not read. If the reader closes the stream, printing stops and the
//! build continues.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::mask::Masker;
use super::message::Paint;
use super::writer::Queue;
use crate::io::idle::while_moving;

/// Build progress waits while more bytes than this are queued.
pub const PROGRESS_BYTES: usize = 1 << 20;

/// Messages, which cannot wait, are dropped while more bytes than this are queued.
pub const MESSAGE_BYTES: usize = 4 << 20;

/// How to print.
#[derive(Clone, Debug, Default)]
pub struct OutputOptions {
    /// Whether to print colours.
    pub paint: Paint,
    /// The secrets to mask.
    pub masker: Masker,
}

/// A handle to the log. Clones print to the same stream.
#[derive(Clone, Debug)]
pub struct Output {
    sink: Sink,
    options: OutputOptions,
}

#[derive(Clone, Debug)]
enum Sink {
    Stream(Arc<Stream>),
    Captured(Captured),
}

/// Ends the writer thread when the last handle is dropped.
#[derive(Debug)]
struct Stream {
    queue: Arc<Queue>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The text printed to an [`Output`] of [`Output::captured`].
#[derive(Clone, Debug, Default)]
pub struct Captured {
    text: Arc<Mutex<String>>,
}

impl Captured {
    /// Everything printed so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Output {
    /// Prints to standard error.
    ///
    /// # Errors
    /// The writer thread cannot be started.
    pub fn stderr(options: OutputOptions) -> io::Result<Self> {
        Self::to(io::stderr(), options)
    }

    /// Prints to `stream`, which may block.
    ///
    /// # Errors
    /// The writer thread cannot be started.
    pub fn to(stream: impl Write + Send + 'static, options: OutputOptions) -> io::Result<Self> {
        let queue = Queue::start(stream)?;
        Ok(Self {
            sink: Sink::Stream(Arc::new(Stream { queue })),
            options,
        })
    }

    /// Keeps the text in memory, for tests. It is available at once, without a thread.
    #[must_use]
    pub fn captured(options: OutputOptions) -> (Self, Captured) {
        let captured = Captured::default();
        (
            Self {
                sink: Sink::Captured(captured.clone()),
                options,
            },
            captured,
        )
    }

    /// Prints whole lines without waiting. For the program's own few messages.
    pub fn say(&self, lines: impl Into<String>) {
        let Some(block) = self.block(lines.into()) else {
            return;
        };
        match &self.sink {
            Sink::Stream(stream) => stream.queue.push_or_drop(block, MESSAGE_BYTES),
            Sink::Captured(captured) => captured.push(&block),
        }
    }

    /// Prints whole lines, and waits while too many bytes are queued. For everything that a builder sends.
    ///
    /// Cancel safe: if the future is dropped before it is ready, `lines` is not printed.
    pub async fn progress(&self, lines: String) {
        let Some(block) = self.block(lines) else {
            return;
        };
        match &self.sink {
            Sink::Stream(stream) => stream.queue.push_when_drained(block, PROGRESS_BYTES).await,
            Sink::Captured(captured) => captured.push(&block),
        }
    }

    /// Waits until everything printed so far is written to the stream, for at most `deadline`.
    ///
    /// Returns false if it is not: the log is not read, or its reader has closed it.
    pub async fn flush(&self, deadline: Duration) -> bool {
        match &self.sink {
            Sink::Stream(stream) => tokio::time::timeout(deadline, stream.queue.written())
                .await
                .unwrap_or(false),
            Sink::Captured(_) => true,
        }
    }

    /// Like [`Self::flush`], but also stops waiting if the reader has read nothing for `quiet`. Waits for at most `limit`.
    pub async fn drain(&self, quiet: Duration, limit: Duration) -> bool {
        let drained = while_moving(quiet, || self.written(), self.flush(limit));
        drained.await.unwrap_or(false)
    }

    /// Bytes written to the stream so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        match &self.sink {
            Sink::Stream(stream) => stream.queue.written_bytes(),
            Sink::Captured(captured) => captured.text().len() as u64,
        }
    }

    /// The options of this output.
    #[must_use]
    pub const fn options(&self) -> &OutputOptions {
        &self.options
    }

    /// The colours of this output.
    #[must_use]
    pub const fn paint(&self) -> Paint {
        self.options.paint
    }

    /// The secrets of this output. A secret that is added is masked from then on.
    #[must_use]
    pub const fn masker(&self) -> &Masker {
        &self.options.masker
    }

    fn block(&self, mut lines: String) -> Option<String> {
        if lines.is_empty() {
            return None;
        }
        if !lines.ends_with('\n') {
            lines.push('\n');
        }
        Some(self.options.masker.mask(lines))
    }
}

impl Captured {
    fn push(&self, block: &str) {
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(block);
    }
}

#[cfg(test)]
mod tests;
