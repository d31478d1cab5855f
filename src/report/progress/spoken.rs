//! What a step itself has to say: its output, as lines that wait to be shown, and the last of them once more in case it
//! fails. Standard output and standard error are put together line by line, never mixed within one.

use std::{fmt::Write as _, mem, time::Duration};

use bollard_buildkit_proto::moby::buildkit::v1::VertexLog;

use super::{
    format::offset,
    lines::{Line, Lines, Rules},
    tail::Tail,
};

/// An unfinished line is shown when nothing has been added to it for this long.
const QUIET: Duration = Duration::from_secs(3);

/// A progress bar is shown this often.
const PROGRESS_BAR: Duration = Duration::from_secs(5);

/// How BuildKit numbers standard error; whatever else there is counts as standard output.
const STANDARD_ERROR: i64 = 2;

/// The output of one step.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    streams: [Lines; 2],
    /// Lines to be shown, without the step's number.
    waiting: String,
    tail: Tail,
    /// Our time when output came for the last time, and when a line was made of it.
    heard: Option<Duration>,
    made: Duration,
}

impl Spoken {
    /// Takes output that came `at` this time after the step began.
    pub(super) fn feed(&mut self, now: Duration, at: Duration, log: &VertexLog, rules: Rules<'_>) {
        if self.heard.is_none() {
            self.made = now;
        }
        self.heard = Some(now);
        let [stdout, stderr] = &mut self.streams;
        let stream = if log.stream == STANDARD_ERROR {
            stderr
        } else {
            stdout
        };
        let (waiting, tail) = (&mut self.waiting, &mut self.tail);
        stream.feed(at, &log.msg, rules, |line| {
            self.made = now;
            take_line(waiting, tail, rules, &line);
        });
    }

    /// Makes lines of what is unfinished, where that has been so for a while.
    pub(super) fn pause(&mut self, now: Duration, rules: Rules<'_>) {
        let quiet = self
            .heard
            .is_some_and(|heard| now.saturating_sub(heard) >= QUIET);
        let bar_is_due = now.saturating_sub(self.made) >= PROGRESS_BAR;
        let (waiting, tail) = (&mut self.waiting, &mut self.tail);
        for stream in &mut self.streams {
            if (quiet && stream.is_unfinished()) || (bar_is_due && stream.is_rewritten()) {
                self.made = now;
                stream.pause(rules, |line| take_line(waiting, tail, rules, &line));
            }
        }
    }

    /// Makes lines of all there is, since no more output is expected.
    pub(super) fn end(&mut self, rules: Rules<'_>) {
        let (waiting, tail) = (&mut self.waiting, &mut self.tail);
        for stream in &mut self.streams {
            stream.end(rules, |line| take_line(waiting, tail, rules, &line));
        }
    }

    /// Whether there ever was any.
    pub(super) fn is_any(&self) -> bool {
        self.heard.is_some()
    }

    /// Bytes that wait to be shown.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.len()
    }

    /// The lines to show.
    pub(super) fn take_waiting(&mut self) -> String {
        mem::take(&mut self.waiting)
    }

    /// The last lines, shown or not.
    pub(super) fn take_tail(&mut self) -> Vec<String> {
        self.tail.take()
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let streams: usize = self.streams.iter().map(Lines::held).sum();
        streams + self.waiting.capacity() + self.tail.held()
    }
}

fn take_line(waiting: &mut String, tail: &mut Tail, rules: Rules<'_>, line: &Line) {
    let start = waiting.len();
    // Writing to a string never fails.
    let _infallible = write!(waiting, "{} {}", offset(line.at), line.text);
    if line.text.is_empty() {
        waiting.pop();
    }
    tail.push(
        waiting.get(start..).unwrap_or_default(),
        rules.tail,
        rules.masker,
    );
    waiting.push('\n');
}
