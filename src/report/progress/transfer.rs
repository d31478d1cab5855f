//! The statuses of a step: byte counters of transfers and layers, and parts of its work such as `exporting layers`.
//!
//! BuildKit sends each status many times per second. A line is printed when a status ends, and before only if it takes long.

use std::fmt::Write as _;
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::VertexStatus;

use super::super::mask::Masker;
use super::super::text;
use super::format::{duration, size};
use super::moment::Moment;

/// An unfinished status is first printed after this long. Most end earlier.
const FIRST: Duration = Duration::from_millis(500);

/// After that, it is printed at most this often.
const EVERY: Duration = Duration::from_secs(5);

/// Maximum length of a name in characters, enough for a reference with its digest.
const NAME_CHARACTERS: usize = 300;

/// Maximum number of statuses of one step. An image has at most 127 layers.
const TRANSFERS: usize = 500;

/// The prefix of the statuses of an exporter that pushes.
const PUSHING: &str = "pushing ";

/// Minimum time that is printed.
const MIN_TIME: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Transfer {
    id: String,
    current: i64,
    total: i64,
    started: Moment,
    /// The builder's time of the last change.
    latest: Moment,
    completed: bool,
    /// Our time when a line is due, if a change is not printed yet.
    due: Option<Duration>,
}

/// The statuses of one step, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    transfers: Vec<Transfer>,
    /// The time of pushes whose status was replaced or forgotten.
    earlier_pushes: Duration,
}

impl Transfers {
    /// The time of all pushes.
    pub(super) fn pushing(&self) -> Duration {
        let pushes = self.transfers.iter().map(Transfer::pushing);
        pushes.fold(self.earlier_pushes, Duration::saturating_add)
    }

    /// Applies a message. A new status is added only if there is `room`.
    pub(super) fn update(
        &mut self,
        now: Duration,
        status: &VertexStatus,
        room: bool,
        masker: &Masker,
    ) {
        // A status that waits for its turn is not printed.
        let Some(started) = status.started.as_ref().map(Moment::from) else {
            return;
        };
        let completed = status.completed.as_ref().map(Moment::from);
        let latest = completed
            .or(status.timestamp.as_ref().map(Moment::from))
            .unwrap_or(started);
        let id = text::one_line(&status.id, NAME_CHARACTERS, masker);
        let room = room && self.transfers.len() < TRANSFERS;
        let new = |due| Transfer {
            id: id.clone(),
            current: status.current,
            total: status.total,
            started,
            latest,
            completed: completed.is_some(),
            due: Some(if completed.is_some() { now } else { due }),
        };
        match self.transfers.iter_mut().find(|transfer| transfer.id == id) {
            None if room => self.transfers.push(new(now + FIRST)),
            None => {}
            // The status started again. All statuses of a step do so when the step runs again.
            Some(known) if known.started < started => {
                self.earlier_pushes = self.earlier_pushes.saturating_add(known.pushing());
                *known = new(now + FIRST);
            }
            Some(known) if known.completed || known.started > started => {}
            Some(known) => {
                let changed = (known.current, known.total) != (status.current, status.total)
                    || completed.is_some();
                if changed {
                    *known = new(known.due.unwrap_or(now + EVERY));
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.transfers.len()
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.transfers.iter().any(|transfer| transfer.is_due(now))
    }

    /// Appends a line for each due status. With `all`, also for changes that are not due.
    pub(super) fn show(&mut self, now: Duration, all: bool, lines: &mut String) {
        for transfer in &mut self.transfers {
            if transfer.is_due(now) || (all && transfer.due.is_some()) {
                transfer.show(lines);
                transfer.due = None;
            }
        }
    }

    /// Forgets all statuses.
    pub(super) fn forget(&mut self) {
        *self = Self {
            earlier_pushes: self.pushing(),
            ..Self::default()
        };
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.transfers.capacity() * size_of::<Transfer>()
            + self
                .transfers
                .iter()
                .map(|held| held.id.capacity())
                .sum::<usize>()
    }
}

impl Transfer {
    /// The time of a push; zero for another status.
    fn pushing(&self) -> Duration {
        if self.id.starts_with(PUSHING) {
            self.latest.since(self.started)
        } else {
            Duration::ZERO
        }
    }

    fn is_due(&self, now: Duration) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    fn show(&self, lines: &mut String) {
        let shown = |bytes: i64| size(u64::try_from(bytes).unwrap_or_default());
        let counted = match (self.current, self.total) {
            (..=0, ..=0) => String::new(),
            (current, ..=0) => format!(" {}", shown(current)),
            (current, total) => format!(" {} / {}", shown(current), shown(total)),
        };
        let elapsed = self.latest.since(self.started);
        let elapsed = if elapsed >= MIN_TIME {
            format!(" {}", duration(elapsed))
        } else {
            String::new()
        };
        let done = if self.completed { " done" } else { "" };
        // Writing to a string never fails.
        let _infallible = writeln!(lines, "{}{counted}{elapsed}{done}", self.id);
    }
}
