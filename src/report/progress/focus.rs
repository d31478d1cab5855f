//! The step whose lines the log currently shows.
//!
//! Steps run concurrently, but a log has one column. A step keeps the column while it has output. If it pauses, or if
//! others have waited too long, the step that has waited longest gets the column: `#4 ...`, an empty line, and its name.

use std::fmt::Write as _;
use std::mem;
use std::time::Duration;

use super::step::Step;
use super::table::StepId;

/// A step without output for this long loses the column.
const PAUSE: Duration = Duration::from_secs(1);

/// A step that has waited this long is next, if the current step has had the column for as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of waiting output beyond which a step is shown at once: of one step, and of all steps together.
pub(super) const WAITING_BYTES: usize = 64 * 1024;
pub(super) const ALL_WAITING_BYTES: usize = 1 << 20;

#[derive(Debug)]
struct Current {
    id: StepId,
    number: u32,
    since: Duration,
    /// Time of its last output.
    active: Duration,
}

/// The state of the column.
#[derive(Debug, Default)]
pub(super) struct Focus {
    current: Option<Current>,
    /// The last assigned step number.
    numbers: u32,
    /// Whether a step was shown, so that an empty line precedes the next name.
    shown: bool,
}

impl Focus {
    pub(super) fn current(&self) -> Option<StepId> {
        self.current.as_ref().map(|current| current.id)
    }

    /// Whether to show the step that has waited longest, since `since`, now.
    pub(super) fn gives_way(&self, now: Duration, since: Duration) -> bool {
        self.current.as_ref().is_none_or(|current| {
            let paused = now.saturating_sub(current.active) >= PAUSE;
            let overdue = now.saturating_sub(since) >= PATIENCE
                && now.saturating_sub(current.since) >= PATIENCE;
            paused || overdue
        })
    }

    /// Prints `lines` of a step, after its name if another step was shown before.
    pub(super) fn show(
        &mut self,
        now: Duration,
        id: StepId,
        step: &mut Step,
        lines: &str,
        out: &mut String,
    ) {
        // Writing to a string never fails.
        let number = *step.number.get_or_insert_with(|| {
            self.numbers += 1;
            self.numbers
        });
        let is_current = self.current() == Some(id);
        if !is_current {
            let previous = self.current.replace(Current {
                id,
                number,
                since: now,
                active: now,
            });
            if let Some(previous) = previous {
                let _infallible = writeln!(out, "#{} ...", previous.number);
            }
            if mem::replace(&mut self.shown, true) {
                out.push('\n');
            }
            let _infallible = writeln!(out, "#{number} {}", step.name);
            step.announced = true;
        }
        for line in lines.lines() {
            let _infallible = writeln!(out, "#{number} {line}");
        }
        if let Some(current) = self.current.as_mut().filter(|_| !lines.is_empty()) {
            current.active = now;
        }
    }

    /// Frees the column after the end of the current step.
    pub(super) fn release(&mut self) {
        self.current = None;
    }
}
