//! The output of a step: lines that wait to be printed, and the last lines, which are printed again if the step fails.
//! Standard output and standard error are joined line by line, and never mixed within a line.

use std::fmt::Write as _;
use std::mem;
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::VertexLog;

use super::format::offset;
use super::lines::{Line, Lines, Rules};
use super::tail::Tail;

/// An unfinished line is printed if it has not grown for this long.
const QUIET: Duration = Duration::from_secs(3);

/// A progress bar is printed this often.
const PROGRESS_BAR: Duration = Duration::from_secs(5);

/// BuildKit's number of standard error. Every other number is treated as standard output.
const STANDARD_ERROR: i64 = 2;

/// The output of one step.
#[derive(Debug, Default)]
pub(super) struct StepOutput {
    streams: [Lines; 2],
    /// Lines to print, without the step's number.
    waiting: String,
    tail: Tail,
    /// Our time of the last output, and of the last line.
    last_output: Option<Duration>,
    last_line: Duration,
}

impl StepOutput {
    /// Processes output that arrived at the time `at` after the start of the step.
    pub(super) fn feed(&mut self, now: Duration, at: Duration, log: &VertexLog, rules: Rules<'_>) {
        if self.last_output.is_none() {
            self.last_line = now;
        }
        self.last_output = Some(now);
        let [stdout, stderr] = &mut self.streams;
        let stream = if log.stream == STANDARD_ERROR {
            stderr
        } else {
            stdout
        };
        let (waiting, tail) = (&mut self.waiting, &mut self.tail);
        stream.feed(at, &log.msg, rules, |line| {
            self.last_line = now;
            take_line(waiting, tail, rules, &line);
        });
    }

    /// Emits unfinished lines that have not grown for a while.
    pub(super) fn pause(&mut self, now: Duration, rules: Rules<'_>) {
        let quiet = self
            .last_output
            .is_some_and(|last| now.saturating_sub(last) >= QUIET);
        let bar_is_due = now.saturating_sub(self.last_line) >= PROGRESS_BAR;
        let (waiting, tail) = (&mut self.waiting, &mut self.tail);
        for stream in &mut self.streams {
            if (quiet && stream.is_unfinished()) || (bar_is_due && stream.is_rewritten()) {
                self.last_line = now;
                stream.pause(rules, |line| take_line(waiting, tail, rules, &line));
            }
        }
    }

    /// Emits everything, because no output follows.
    pub(super) fn end(&mut self, rules: Rules<'_>) {
        let (waiting, tail) = (&mut self.waiting, &mut self.tail);
        for stream in &mut self.streams {
            stream.end(rules, |line| take_line(waiting, tail, rules, &line));
        }
    }

    /// Whether the step has had output.
    pub(super) fn is_any(&self) -> bool {
        self.last_output.is_some()
    }

    /// Bytes that wait to be printed.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.len()
    }

    /// The lines to print.
    pub(super) fn take_waiting(&mut self) -> String {
        mem::take(&mut self.waiting)
    }

    /// The last lines, printed or not.
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
