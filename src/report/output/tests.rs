//! Printing through pipes that are slow, full or closed.

use std::io::ErrorKind;
use std::sync::mpsc::{Receiver, Sender, channel};

use futures_util::FutureExt;

use super::*;
use crate::report::writer::PIECE_BYTES;

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
