//! The only module that prints.
//!
//! It prints to one stream, standard error, so that lines keep their order. Lines are queued in blocks and a block is
//! written as a whole, so lines of concurrent tasks are not mixed. The queue is bounded: build progress waits while more
//! than [`PROGRESS_BYTES`] are queued; the program's own messages never wait, but are dropped (and counted) beyond
//! [`MESSAGE_BYTES`], which happens only if the log is not read. If the reader closes the stream, printing stops and the
//! build continues.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{mask::Masker, message::Paint, writer::Queue};
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
mod tests {
    use std::{
        io::ErrorKind,
        sync::mpsc::{Receiver, Sender, channel},
    };

    use futures_util::FutureExt;

    use super::super::writer::PIECE_BYTES;
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    /// A stream that accepts each write only when the test allows it, like a pipe that is read slowly.
    struct Gate {
        open: Receiver<io::Result<usize>>,
        written: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let most = self.open.recv().unwrap_or(Ok(usize::MAX))?;
            let taken = bytes.get(..most).unwrap_or(bytes);
            let _test_has_ended = self
                .written
                .send(String::from_utf8_lossy(taken).into_owned());
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Output, Sender<io::Result<usize>>, Receiver<String>) {
        let (opener, open) = channel();
        let (written, read) = channel();
        let output = Output::to(Gate { open, written }, OutputOptions::default()).unwrap();
        (output, opener, read)
    }

    #[tokio::test]
    async fn blocks_of_concurrent_tasks_are_not_mixed() {
        let (reader, writer) = io::pipe().unwrap();
        let output = Output::to(writer, OutputOptions::default()).unwrap();
        let reading = std::thread::spawn(move || io::read_to_string(reader).unwrap());
        let tasks = (0..8).map(|task| {
            let output = output.clone();
            async move {
                for round in 0..200 {
                    output
                        .progress(format!("{task} {round} first\n{task} {round} second\n"))
                        .await;
                    tokio::task::yield_now().await;
                }
            }
        });
        futures_util::future::join_all(tasks).await;
        assert!(output.flush(LONG).await);
        drop(output);
        let text = reading.join().unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 8 * 200 * 2);
        for pair in lines.chunks(2) {
            let [first, second] = pair else {
                panic!("half a block")
            };
            assert_eq!(first.replace("first", "second"), *second);
        }
    }

    #[tokio::test]
    async fn progress_waits_while_too_much_is_queued_and_messages_do_not() {
        let (output, open, read) = gated();
        output.progress("x".repeat(PROGRESS_BYTES)).await;
        let mut waiting = std::pin::pin!(output.progress("progress".into()));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        output.say("message");
        for _ in 0..=PROGRESS_BYTES / PIECE_BYTES {
            open.send(Ok(usize::MAX)).unwrap();
        }
        waiting.await;
        drop(open);
        assert!(output.flush(LONG).await);
        let written: String = read.try_iter().collect();
        assert!(written.ends_with("x\nmessage\nprogress\n"));
    }

    #[tokio::test]
    async fn messages_that_are_not_read_are_dropped_and_counted() {
        let (output, open, read) = gated();
        output.say("x".repeat(MESSAGE_BYTES));
        output.say("dropped");
        output.say("dropped too");
        drop(open);
        assert!(output.flush(LONG).await);
        output.say("read again");
        assert!(output.flush(LONG).await);
        let written = read.try_iter().skip(1).collect::<String>();
        assert!(
            written.contains("WARNING: 2 messages were dropped here"),
            "{written}"
        );
        assert!(written.ends_with("read again\n"), "{written}");
    }

    #[tokio::test]
    async fn a_flush_of_an_unread_log_is_bounded() {
        let (output, open, _read) = gated();
        output.say("stuck");
        assert!(!output.flush(Duration::from_millis(1)).await);
        drop(open);
    }

    #[tokio::test]
    async fn a_drain_waits_for_a_slow_reader() {
        let quiet = Duration::from_secs(2);
        let (output, open, _read) = gated();
        output.say("x".repeat(40 * PIECE_BYTES));
        let reading = std::thread::spawn(move || {
            for _ in 0..40 {
                std::thread::sleep(quiet / 100);
                open.send(Ok(usize::MAX)).unwrap();
            }
            open
        });
        assert!(!output.drain(quiet, Duration::from_millis(1)).await);
        // Everything except the end of the line, which is not read.
        assert!(!output.drain(quiet, LONG).await);
        assert_eq!(output.written(), 40 * PIECE_BYTES as u64);
        drop(reading.join().unwrap());
        assert!(output.drain(quiet, LONG).await);
    }

    #[tokio::test]
    async fn a_closed_stream_causes_no_panic_and_does_not_block() {
        let (reader, writer) = io::pipe().unwrap();
        let output = Output::to(writer, OutputOptions::default()).unwrap();
        drop(reader);
        output.say("not read");
        assert!(!output.flush(LONG).await);
        for _ in 0..8 {
            output.progress("x".repeat(PROGRESS_BYTES)).await;
        }
        assert!(!output.flush(LONG).await);
    }

    #[tokio::test]
    async fn partial_writes_and_full_pipes_lose_no_text() {
        let (output, open, read) = gated();
        for step in [
            Ok(3),
            Err(ErrorKind::WouldBlock.into()),
            Err(ErrorKind::Interrupted.into()),
            Ok(2),
            Ok(usize::MAX),
        ] {
            open.send(step).unwrap();
        }
        output.say("0123456789");
        assert!(output.flush(LONG).await);
        assert_eq!(
            read.try_iter().collect::<Vec<_>>(),
            ["012", "34", "56789\n"]
        );
    }

    #[test]
    fn secrets_are_masked_even_if_they_are_added_later() {
        let (output, captured) = Output::captured(OutputOptions::default());
        output.say("token-12345");
        output.masker().clone().add("token-12345");
        output.say("again token-12345");
        output
            .progress("#5 0.1 token-12345\n".into())
            .now_or_never()
            .unwrap();
        assert_eq!(captured.text(), "token-12345\nagain ***\n#5 0.1 ***\n");
    }
}
