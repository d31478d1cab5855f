//! The statuses of a step: byte counters of transfers and layers, and parts of its work such as `exporting layers`.
//!
//! BuildKit sends each many times a second. A line is shown when one ends, and on the way only when it takes long.

use std::{fmt::Write as _, time::Duration};

use bollard_buildkit_proto::moby::buildkit::v1::VertexStatus;

use super::{
    super::{mask::Masker, text},
    format::{duration, size},
    moment::Moment,
};

/// An unfinished status is shown for the first time after this long; most end before.
const FIRST: Duration = Duration::from_millis(500);

/// After that it is shown at most this often.
const EVERY: Duration = Duration::from_secs(5);

/// Longest name, in characters: room for a reference with its digest.
const NAME_CHARACTERS: usize = 300;

/// Statuses of one step; an image has at most 127 layers.
const TRANSFERS: usize = 500;

/// Shorter times are not told.
const WORTH_TELLING: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Transfer {
    id: String,
    current: i64,
    total: i64,
    started: Moment,
    /// The builder's time of the last news.
    latest: Moment,
    completed: bool,
    /// Our time when a line for it is due, if there is news that no line has told.
    due: Option<Duration>,
}

/// The statuses of one step, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    transfers: Vec<Transfer>,
}

impl Transfers {
    /// Takes over what a message says. One that is not known yet is taken only if there is `room`.
    pub(super) fn update(
        &mut self,
        now: Duration,
        status: &VertexStatus,
        room: bool,
        masker: &Masker,
    ) {
        // One that only waits for its turn is not told.
        let Some(started) = status.started.as_ref().map(Moment::from) else {
            return;
        };
        let completed = status.completed.as_ref().map(Moment::from);
        let latest = completed
            .or(status.timestamp.as_ref().map(Moment::from))
            .unwrap_or(started);
        let id = text::one_line(&status.id, NAME_CHARACTERS, masker);
        let room = room && self.transfers.len() < TRANSFERS;
        let news = |due| Transfer {
            id: id.clone(),
            current: status.current,
            total: status.total,
            started,
            latest,
            completed: completed.is_some(),
            due: Some(if completed.is_some() { now } else { due }),
        };
        match self.transfers.iter_mut().find(|transfer| transfer.id == id) {
            None if room => self.transfers.push(news(now + FIRST)),
            None => {}
            // It began anew, as all of a step's statuses do when the step runs again.
            Some(known) if known.started < started => *known = news(now + FIRST),
            Some(known) if known.completed || known.started > started => {}
            Some(known) => {
                let changed = (known.current, known.total) != (status.current, status.total)
                    || completed.is_some();
                if changed {
                    *known = news(known.due.unwrap_or(now + EVERY));
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

    /// Appends a line to `lines` for each that is due; with `all` also for those that have news and are not.
    pub(super) fn show(&mut self, now: Duration, all: bool, lines: &mut String) {
        for transfer in &mut self.transfers {
            if transfer.is_due(now) || (all && transfer.due.is_some()) {
                transfer.show(lines);
                transfer.due = None;
            }
        }
    }

    /// Forgets all; done to steps that have ended when too many are held.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
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
        let took = self.latest.since(self.started);
        let took = if took >= WORTH_TELLING {
            format!(" {}", duration(took))
        } else {
            String::new()
        };
        let done = if self.completed { " done" } else { "" };
        // Writing to a string never fails.
        let _infallible = writeln!(lines, "{}{counted}{took}{done}", self.id);
    }
}
