//! Converts the status messages of builders into plain lines, as printed by `docker buildx`.
//!
//! ```text
//! #5 [2/4] RUN make
//! #5 0.312 compiling
//! #5 DONE 1.2s
//! ```
//!
//! These functions are pure: the caller passes the time since the start of the program, and gets text. Times in lines are
//! differences of the builder's own times. Messages can be repeated, late or invalid; no line is printed twice. Memory is
//! bounded for every input: [`table::STEPS`] steps with [`table::BYTES`] of names and errors, [`HELD_BYTES`] for tails and
//! as many for unfinished lines (shared by the steps that run at the same time), [`STATUSES`] statuses, and the output in
//! one message.

mod failed;
mod figures;
mod focus;
mod format;
mod lines;
mod moment;
mod runner;
mod runs;
mod split;
mod step;
mod step_output;
mod table;
mod tail;
mod transfer;
mod warnings;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::mem;
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog, VertexStatus};

pub use self::failed::FailedStep;
use self::failed::FailedSteps;
pub use self::figures::{Figures, Phase, SlowStep};
use self::focus::Focus;
pub(crate) use self::format::size;
use self::lines::Rules;
pub use self::runner::{Update, show};
use self::split::Splits;
use self::step::{Outcome, Step};
use self::table::{StepId, Table};
pub use self::warnings::Finding;
use self::warnings::Warnings;
use super::output::OutputOptions;

/// Bytes kept for the tails of all running steps, and as many for their unfinished lines.
const HELD_BYTES: usize = 8 << 20;

/// Maximum bytes of these for one step: for its tail, and for each of its two unfinished lines.
const TAIL_BYTES: usize = 32 * 1024;
const LINE_BYTES: usize = 64 * 1024;

/// Lines up to this length are never split, regardless of the number of running steps.
const MIN_LINE_BYTES: usize = 1024;

/// Statuses kept at the same time, of all steps.
const STATUSES: usize = 10_000;

/// The build of a message, because one log can show several builds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source(usize);

/// The progress of one or more builds, shown in one log.
#[derive(Debug, Default)]
pub struct Progress {
    options: OutputOptions,
    /// Labels of the added sources. The first source always exists and has no label.
    labels: Vec<String>,
    table: Table,
    /// Steps that run, or have text to print.
    open: BTreeSet<StepId>,
    focus: Focus,
    statuses: usize,
    warnings: Warnings,
    splits: Splits,
    failed: FailedSteps,
    /// The builds whose steps have all run; see [`Self::note_built`].
    built: HashSet<Source>,
    /// The builds that have run some of the steps of a build; see [`Self::add_input`].
    inputs: HashMap<Source, Vec<Source>>,
}

impl Progress {
    /// Starts with an empty log. Uses the secrets of `options` to cut no line within a secret; the output masks them.
    #[must_use]
    pub fn new(options: OutputOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Adds a build whose steps show `label`, for example `linux/amd64`: `#5 [linux/amd64 2/4] RUN make`.
    pub fn add_source(&mut self, label: &str) -> Source {
        self.labels.push(label.to_owned());
        Source(self.labels.len())
    }

    /// Records that `source` uses the result of `input`, whose steps are then shown once.
    pub fn add_input(&mut self, source: Source, input: Source) {
        let inputs = self.inputs.entry(source).or_default();
        if !inputs.contains(&input) {
            inputs.push(input);
        }
    }

    /// The build that a step of `source` belongs to: an input that has run it, or `source`.
    fn owner(&self, source: Source, digest: &str) -> Source {
        let mut inputs = self.inputs.get(&source).into_iter().flatten();
        let owner = inputs.find(|input| self.table.find(**input, digest).is_some());
        owner.copied().unwrap_or(source)
    }

    /// Processes a message about the only build or about one of our own steps, and appends the new lines to `out`.
    pub fn apply(&mut self, now: Duration, status: &StatusResponse, out: &mut String) {
        self.apply_from(now, Source::default(), status, out);
    }

    /// Processes a message about the build `source`.
    pub fn apply_from(
        &mut self,
        now: Duration,
        source: Source,
        status: &StatusResponse,
        out: &mut String,
    ) {
        for vertex in &status.vertexes {
            self.vertex(now, source, vertex);
        }
        if self.statuses >= STATUSES {
            self.forget_statuses();
        }
        for status in &status.statuses {
            self.status(now, source, status);
        }
        for log in &status.logs {
            self.log(now, source, log);
        }
        for warning in &status.warnings {
            self.warnings.push(warning, &self.options.masker);
        }
        self.splits.message(source, status);
        self.close_ended(now, out);
        self.show_waiting(now, out);
    }

    /// Prints the lines that are due. The caller calls this a few times per second.
    pub fn tick(&mut self, now: Duration, out: &mut String) {
        let rules = rules(&self.options, self.open.len());
        for &id in &self.open {
            if let Some(step) = self.table.get_mut(id) {
                step.output.pause(now, rules);
            }
        }
        self.splits.tick();
        self.close_ended(now, out);
        self.show_waiting(now, out);
    }

    /// Prints everything that remains, because no message follows, and then the warnings.
    pub fn finish(&mut self, now: Duration, out: &mut String) {
        self.splits.end();
        self.close_ended(now, out);
        let mut open: Vec<_> = mem::take(&mut self.open).into_iter().collect();
        open.sort_by_key(|&id| self.focus.current() != Some(id));
        for id in open {
            self.show(now, id, true, out);
        }
        if self.table.skipped > 0 {
            // Writing to a string never fails.
            let skipped = mem::take(&mut self.table.skipped);
            let _infallible = writeln!(out, "\n{skipped} further steps were not shown");
        }
        out.push_str(&self.warnings.render());
        self.warnings.note_rendered();
        self.focus.release();
    }

    /// The warnings of the builders, each once. At most 100.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.warnings.findings()
    }

    /// The step to print again at the end of a failed build: the last failed step, if possible one with output.
    #[must_use]
    pub fn failed_step(&self) -> Option<&FailedStep> {
        self.failed.last()
    }

    /// The failed step whose error is part of `error`, the error of the build. Otherwise the same as [`Self::failed_step`].
    ///
    /// A failed step does not always fail the build. For example, the build continues if a cache cannot be read.
    #[must_use]
    pub fn failed_step_behind(&self, error: &str) -> Option<&FailedStep> {
        self.failed.of_error(error)
    }

    fn vertex(&mut self, now: Duration, source: Source, vertex: &Vertex) {
        let owner = self.owner(source, &vertex.digest);
        let is_repeated = owner != source || self.built.contains(&source);
        let source = owner;
        let label = source
            .0
            .checked_sub(1)
            .and_then(|index| self.labels.get(index))
            .map(String::as_str);
        let id = self
            .table
            .update(now, source, label, vertex, &self.options.masker);
        if let Some(step) = id.and_then(|id| self.table.get_mut(id))
            && !is_repeated
        {
            step.note_origin(vertex);
        }
        self.open(id);
    }

    fn status(&mut self, now: Duration, source: Source, status: &VertexStatus) {
        let source = self.owner(source, &status.vertex);
        let id = self.table.find(source, &status.vertex);
        if let Some(step) = id.and_then(|id| self.table.get_mut(id)) {
            let before = step.transfers.len();
            step.transfers
                .update(now, status, self.statuses < STATUSES, &self.options.masker);
            self.statuses += step.transfers.len() - before;
        }
        self.open(id);
    }

    fn log(&mut self, now: Duration, source: Source, log: &VertexLog) {
        let source = self.owner(source, &log.vertex);
        let id = self.table.find(source, &log.vertex);
        self.open(id);
        if let Some(step) = id.and_then(|id| self.table.get_mut(id)) {
            step.log(now, log, rules(&self.options, self.open.len()));
        }
    }

    /// Adds a step to the open ones, until it has ended and is printed completely.
    fn open(&mut self, id: Option<StepId>) {
        if let Some(id) = id.filter(|&id| self.table.get(id).is_some_and(Step::is_visible)) {
            self.open.insert(id);
        }
    }

    /// Prints the rest of the steps that have ended: the current one first, the others in the order of their ends.
    fn close_ended(&mut self, now: Duration, out: &mut String) {
        let mut ended: Vec<_> = self
            .open
            .iter()
            .filter_map(|&id| {
                let step = self.table.get(id).filter(|step| step.is_over())?;
                let is_whole = !self.splits.is_open(step.source);
                is_whole.then_some((id, step.last_end()))
            })
            .collect();
        ended.sort_by_key(|&(id, end)| (self.focus.current() != Some(id), end, id));
        for (id, _) in ended {
            self.close(now, id, out);
            self.open.remove(&id);
            self.table.ended(id);
        }
    }

    fn close(&mut self, now: Duration, id: StepId, out: &mut String) {
        let rules = rules(&self.options, self.open.len());
        let Some(step) = self.table.get_mut(id) else {
            return;
        };
        step.output.end(rules);
        let mut lines = step.take_waiting(now, true);
        let outcome = step.outcome();
        let tail = step.output.take_tail();
        lines.push_str(&step.close(&outcome, !lines.is_empty()));
        let current = self.focus.current() == Some(id);
        if !lines.is_empty() {
            self.focus.show(now, id, step, &lines, out);
            step.announced = false;
        }
        if current || !lines.is_empty() {
            self.focus.release();
        }
        let Some(number) = step.number else { return };
        match outcome {
            Outcome::Failed(error) => self.failed.record(number, &step.name, error, tail),
            _ => self.failed.remove(number),
        }
    }

    /// Prints the waiting lines of the current step, and those of others if it is their turn.
    fn show_waiting(&mut self, now: Duration, out: &mut String) {
        if let Some(current) = self.focus.current() {
            self.show(now, current, false, out);
        }
        let mut waiting = Vec::new();
        for &id in &self.open {
            let Some(step) = self.table.get_mut(id).filter(|step| step.has_news(now)) else {
                continue;
            };
            let since = *step.waiting_since.get_or_insert(now);
            waiting.push((step.output.waiting_bytes(), since, id));
        }
        // The steps with the most output first, while too many bytes are held.
        waiting.sort_unstable_by_key(|&(bytes, ..)| Reverse(bytes));
        let mut held: usize = waiting.iter().map(|&(bytes, ..)| bytes).sum();
        let mut longest: Option<(Duration, StepId)> = None;
        for (bytes, since, id) in waiting {
            if bytes > focus::WAITING_BYTES || held > focus::ALL_WAITING_BYTES {
                held -= bytes;
                self.show(now, id, false, out);
            } else {
                longest = Some(longest.map_or((since, id), |longest| longest.min((since, id))));
            }
        }
        if let Some((since, id)) = longest
            && self.focus.gives_way(now, since)
        {
            self.show(now, id, false, out);
        }
    }

    /// Prints the waiting lines of a step. With `all`, also those that are not due, because no message follows.
    fn show(&mut self, now: Duration, id: StepId, all: bool, out: &mut String) {
        let rules = rules(&self.options, self.open.len());
        let Some(step) = self.table.get_mut(id) else {
            return;
        };
        if all {
            step.output.end(rules);
        }
        let news = step.has_news(now);
        let lines = step.take_waiting(now, all);
        if news || !lines.is_empty() {
            self.focus.show(now, id, step, &lines, out);
        }
    }

    /// Forgets the statuses of steps that have ended. A status that is sent again is then printed again.
    fn forget_statuses(&mut self) {
        let mut held = 0;
        for step in self.table.iter_mut() {
            if step.is_over() {
                step.transfers.forget();
            }
            held += step.transfers.len();
        }
        self.statuses = held;
    }

    /// Bytes held.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.table.held() + self.warnings.held() + self.failed.held()
    }
}

/// The rules for lines while `running` steps run. The bytes that may be held are divided among them.
fn rules(options: &OutputOptions, running: usize) -> Rules<'_> {
    let share = HELD_BYTES / running.max(1);
    Rules {
        limit: share.clamp(MIN_LINE_BYTES, LINE_BYTES),
        tail: share.min(TAIL_BYTES),
        colour: options.paint.colour,
        masker: &options.masker,
    }
}
