//! The only place that prints.
//!
//! One stream, standard error, so that what people read keeps its order. Lines are handed over in blocks, and a block is
//! written whole: lines of parallel tasks are never torn. Bounds: build progress waits while more than [`PROGRESS_BYTES`]
//! are outstanding; the program's own messages never wait, but are left out (and counted) past [`MESSAGE_BYTES`], which
//! only happens when nobody reads the log. A reader that has gone away ends the printing, not the build.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{mask::Masker, message::Paint, writer::Queue};
use crate::io::idle::while_moving;

/// Build progress waits while more than this is on its way to the stream.
pub const PROGRESS_BYTES: usize = 1 << 20;

/// A message that cannot wait is left out while more than this is on its way.
pub const MESSAGE_BYTES: usize = 4 << 20;

/// How to print.
#[derive(Clone, Debug, Default)]
pub struct OutputOptions {
    /// Whether to set colours.
    pub paint: Paint,
    /// What must never be readable.
    pub masker: Masker,
}

/// A handle to what people read. Clones print to the same stream.
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

/// Ends the writer thread along with the last handle.
#[derive(Debug)]
struct Stream {
    queue: Arc<Queue>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// What was printed to an [`Output`] made by [`Output::captured`].
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
    /// When the thread that writes cannot be started.
    pub fn stderr(options: OutputOptions) -> io::Result<Self> {
        Self::to(io::stderr(), options)
    }

    /// Prints to `stream`, which may block.
    ///
    /// # Errors
    /// When the thread that writes cannot be started.
    pub fn to(stream: impl Write + Send + 'static, options: OutputOptions) -> io::Result<Self> {
        let queue = Queue::start(stream)?;
        Ok(Self {
            sink: Sink::Stream(Arc::new(Stream { queue })),
            options,
        })
    }

    /// Keeps what is printed, for tests: at once and without a thread.
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

    /// Prints whole lines at once, without ever waiting; for the program's own few messages.
    pub fn say(&self, lines: impl Into<String>) {
        let Some(block) = self.block(lines.into()) else {
            return;
        };
        match &self.sink {
            Sink::Stream(stream) => stream.queue.push_or_leave_out(block, MESSAGE_BYTES),
            Sink::Captured(captured) => captured.push(&block),
        }
    }

    /// Prints whole lines, waiting while too much is outstanding; for all that a builder sends.
    ///
    /// Dropped before it is ready, nothing of `lines` is printed.
    pub async fn progress(&self, lines: String) {
        let Some(block) = self.block(lines) else {
            return;
        };
        match &self.sink {
            Sink::Stream(stream) => stream.queue.push_when_drained(block, PROGRESS_BYTES).await,
            Sink::Captured(captured) => captured.push(&block),
        }
    }

    /// Waits until everything printed so far has left the program, for at most `deadline`.
    ///
    /// False when it has not: nobody reads the log, or its reader has gone.
    pub async fn flush(&self, deadline: Duration) -> bool {
        match &self.sink {
            Sink::Stream(stream) => tokio::time::timeout(deadline, stream.queue.written())
                .await
                .unwrap_or(false),
            Sink::Captured(_) => true,
        }
    }

    /// The same for as long as somebody reads: until nothing of it has been taken for `quiet`, and for at most `limit`.
    pub async fn drain(&self, quiet: Duration, limit: Duration) -> bool {
        let drained = while_moving(quiet, || self.written(), self.flush(limit));
        drained.await.unwrap_or(false)
    }

    /// Bytes that the reader has taken so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        match &self.sink {
            Sink::Stream(stream) => stream.queue.written_bytes(),
            Sink::Captured(captured) => captured.text().len() as u64,
        }
    }

    /// How to print here.
    #[must_use]
    pub const fn options(&self) -> &OutputOptions {
        &self.options
    }

    /// How to colour what is printed here.
    #[must_use]
    pub const fn paint(&self) -> Paint {
        self.options.paint
    }

    /// What is masked here; a secret added to it is masked from then on.
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

    /// A stream that takes each write only once the test lets it, as a pipe does that is read slowly.
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
    async fn blocks_of_parallel_tasks_are_not_torn() {
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
    async fn progress_waits_while_too_much_is_outstanding_and_messages_do_not() {
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
    async fn messages_that_nobody_reads_are_counted_not_kept() {
        let (output, open, read) = gated();
        output.say("x".repeat(MESSAGE_BYTES));
        output.say("left out");
        output.say("left out too");
        drop(open);
        assert!(output.flush(LONG).await);
        output.say("read again");
        assert!(output.flush(LONG).await);
        let written = read.try_iter().skip(1).collect::<String>();
        assert!(
            written.contains("WARNING: 2 messages left out here"),
            "{written}"
        );
        assert!(written.ends_with("read again\n"), "{written}");
    }

    #[tokio::test]
    async fn a_flush_is_bounded_when_nobody_reads() {
        let (output, open, _read) = gated();
        output.say("stuck");
        assert!(!output.flush(Duration::from_millis(1)).await);
        drop(open);
    }

    #[tokio::test]
    async fn whoever_reads_slowly_is_waited_for() {
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
        // All but the end of the line, which nobody reads.
        assert!(!output.drain(quiet, LONG).await);
        assert_eq!(output.written(), 40 * PIECE_BYTES as u64);
        drop(reading.join().unwrap());
        assert!(output.drain(quiet, LONG).await);
    }

    #[tokio::test]
    async fn a_reader_that_went_away_neither_panics_nor_blocks() {
        let (reader, writer) = io::pipe().unwrap();
        let output = Output::to(writer, OutputOptions::default()).unwrap();
        drop(reader);
        output.say("nobody reads this");
        assert!(!output.flush(LONG).await);
        for _ in 0..8 {
            output.progress("x".repeat(PROGRESS_BYTES)).await;
        }
        assert!(!output.flush(LONG).await);
    }

    #[tokio::test]
    async fn partial_writes_and_full_pipes_lose_nothing() {
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
    fn secrets_are_masked_in_everything_also_those_learnt_later() {
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
