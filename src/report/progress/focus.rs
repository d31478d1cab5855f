//! Which step's lines the log shows at the moment.
//!
//! Steps run side by side but a log has one column. A step keeps it while it has something to say; when it pauses, or
//! others have waited too long, the one that has waited longest gets it: `#4 ...`, an empty line, and its name again.

use std::{fmt::Write as _, mem, time::Duration};

use super::{step::Step, table::StepId};

/// A step that shows nothing for this long gives way.
const PAUSE: Duration = Duration::from_secs(1);

/// A step that has waited this long comes next, once the present one has had as much.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of waiting output past which a step comes at once, and all steps together.
pub(super) const WAITING_BYTES: usize = 64 * 1024;
pub(super) const ALL_WAITING_BYTES: usize = 1 << 20;

#[derive(Debug)]
struct Current {
    id: StepId,
    number: u32,
    since: Duration,
    /// When it last showed something.
    active: Duration,
}

/// The state of the column.
#[derive(Debug, Default)]
pub(super) struct Focus {
    current: Option<Current>,
    /// Numbers given to steps.
    numbers: u32,
    /// Whether anything was shown, so that an empty line comes before the next name.
    shown: bool,
}

impl Focus {
    pub(super) fn current(&self) -> Option<StepId> {
        self.current.as_ref().map(|current| current.id)
    }

    /// Whether the step that has waited longest, since `since`, is to be shown now.
    pub(super) fn gives_way(&self, now: Duration, since: Duration) -> bool {
        self.current.as_ref().is_none_or(|current| {
            let paused = now.saturating_sub(current.active) >= PAUSE;
            let overdue = now.saturating_sub(since) >= PATIENCE
                && now.saturating_sub(current.since) >= PATIENCE;
            paused || overdue
        })
    }

    /// Shows `lines` of a step, after its name if another was shown before.
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
        let goes_on = self.current() == Some(id);
        if !goes_on {
            let begun = self.current.replace(Current {
                id,
                number,
                since: now,
                active: now,
            });
            if let Some(before) = begun {
                let _infallible = writeln!(out, "#{} ...", before.number);
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

    /// The step shown has come to its end, and nothing takes its place yet.
    pub(super) fn release(&mut self) {
        self.current = None;
    }
}
