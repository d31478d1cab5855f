//! One step of the log: a vertex of a build, or a group of vertices that is printed as one step.

use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::{Vertex, VertexLog};

use crate::buildkit::CANCELED;

use super::super::mask::Masker;
use super::super::text;
use super::Source;
use super::format::duration;
use super::lines::Rules;
use super::moment::Moment;
use super::runs::Runs;
use super::step_output::StepOutput;
use super::transfer::Transfers;

/// Characters printed of a step's name, and of its error.
const NAME_CHARACTERS: usize = 1000;
const ERROR_CHARACTERS: usize = 4000;

/// The error of a failed step if there is no room for its own.
const SHORT_ERROR: &str = "failed";

/// Bytes of a table's entry in addition to its text.
const OVERHEAD_BYTES: usize = 64;

/// Maximum number of vertices of a group.
const MEMBERS: usize = 1000;

/// A step that runs again is printed again only after this long, or if it has output.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A finished step is printed again if its total time has grown by at least this much.
const MORE_TIME: Duration = Duration::from_secs(1);

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Cached,
    Canceled,
    Failed(String),
}

/// The printed end of a step.
#[derive(Debug)]
struct Closed {
    outcome: Outcome,
    total: Duration,
    /// Number of runs at that time.
    runs: u64,
}

/// The origin of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Cache,
    Run,
}

/// In the name of the step that loads a Dockerfile. The Dockerfile can be part of the request, and whether a builder has had the same
/// one before is of no interest.
const DEFINITION: &str = "internal] load build definition from ";

#[derive(Debug)]
struct Member {
    digest: String,
    has_started: bool,
    /// Does not make its group visible.
    weak: bool,
    cached: bool,
    /// The origin of the result when the image was built, not when the build was repeated.
    origin: Origin,
    error: String,
}

impl Member {
    /// Approximate memory in bytes. Its digest is also a key of the table, and its error can also be that of the step.
    fn bytes(&self) -> usize {
        size_of::<Self>() + OVERHEAD_BYTES + 2 * self.digest.len() + 2 * self.error.len()
    }
}

/// A step, and its text that is not printed yet.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    /// Assigned when it is first printed.
    pub(super) number: Option<u32>,
    pub(super) transfers: Transfers,
    pub(super) output: StepOutput,
    /// Our time since which text waits to be printed.
    pub(super) waiting_since: Option<Duration>,
    /// Whether its name was printed since its last start.
    pub(super) announced: bool,
    pub(super) source: Source,
    /// The digest of its vertex, or the id of its group.
    key: String,
    members: Vec<Member>,
    runs: Runs,
    /// Our time of the last start.
    last_start: Duration,
    closed: Option<Closed>,
    /// See [`Self::bytes`].
    bytes: usize,
}

impl Step {
    pub(super) fn new(source: Source, key: &str, name: &str, masker: &Masker) -> Self {
        let name = text::one_line(name, NAME_CHARACTERS, masker);
        Self {
            bytes: size_of::<Self>() + OVERHEAD_BYTES + 2 * key.len() + name.len(),
            name,
            number: None,
            transfers: Transfers::default(),
            output: StepOutput::default(),
            waiting_since: None,
            announced: false,
            source,
            key: key.to_owned(),
            members: Vec::new(),
            runs: Runs::default(),
            last_start: Duration::ZERO,
            closed: None,
        }
    }

    /// The name of the step in messages.
    pub(super) fn names(&self) -> impl Iterator<Item = (Source, &str)> {
        let digests = self.members.iter().map(|member| member.digest.as_str());
        digests
            .chain([self.key.as_str()])
            .map(|digest| (self.source, digest))
    }

    /// Applies a message about the step, or about one member of its group. Returns false if the group is full.
    ///
    /// Without `has_room`, no member is added, and an error is replaced by a short one.
    pub(super) fn update(
        &mut self,
        now: Duration,
        vertex: &Vertex,
        has_room: bool,
        masker: &Masker,
    ) -> bool {
        let Some(index) = self.member(vertex, has_room) else {
            return false;
        };
        // The first message about a vertex has no times, and can be repeated.
        let started = vertex
            .started
            .as_ref()
            .or(vertex.completed.as_ref())
            .map(Moment::from);
        let completed = vertex.completed.as_ref().map(Moment::from);
        if let Some(started) =
            started.filter(|&started| !self.runs.are_newer(index, started, completed))
            && let Some(member) = self.members.get_mut(index)
        {
            member.has_started = true;
            member.cached = vertex.cached;
            let error = match &*vertex.error {
                error if has_room || error.is_empty() => error,
                error if error.ends_with(CANCELED) => CANCELED,
                _ => SHORT_ERROR,
            };
            self.bytes -= member.bytes();
            member.error = text::lines(error, ERROR_CHARACTERS, masker);
            self.bytes += member.bytes();
            let count = self.runs.count();
            self.runs.update(index, started, completed);
            if self.runs.count() > count {
                self.last_start = now;
            }
        }
        true
    }

    /// Records whether the result of a vertex came from the cache.
    pub(super) fn note_origin(&mut self, vertex: &Vertex) {
        if vertex.started.is_none() {
            return;
        }
        let mut members = self.members.iter_mut();
        if let Some(member) = members.find(|member| member.digest == vertex.digest) {
            member.origin = if vertex.cached {
                Origin::Cache
            } else {
                Origin::Run
            };
        }
    }

    /// Whether its result came from the cache when the image was built.
    pub(super) fn is_cached(&self) -> bool {
        let started = || self.members.iter().filter(|member| member.has_started);
        started().next().is_some() && started().all(|member| member.origin == Origin::Cache)
    }

    pub(super) fn has_started(&self) -> bool {
        self.runs.have_started()
    }

    /// The time during which it ran.
    pub(super) fn total(&self) -> Duration {
        self.runs.total()
    }

    /// The latest runs that have ended, and the total time of the older ones.
    pub(super) fn spans(&self) -> (impl Iterator<Item = (Moment, Moment)>, Duration) {
        self.runs.spans()
    }

    /// The index of the vertex among the members. `None` if it is new and there is no room for it.
    fn member(&mut self, vertex: &Vertex, has_room: bool) -> Option<usize> {
        let mut members = self.members.iter();
        if let Some(index) = members.position(|member| member.digest == vertex.digest) {
            return Some(index);
        }
        if !has_room || self.members.len() >= MEMBERS {
            return None;
        }
        let group = vertex.progress_group.as_ref();
        let member = Member {
            digest: vertex.digest.clone(),
            has_started: false,
            weak: group.is_some_and(|group| group.weak),
            cached: false,
            origin: Origin::Run,
            error: String::new(),
        };
        self.bytes += member.bytes();
        self.members.push(member);
        Some(self.members.len() - 1)
    }

    /// Approximate memory of its name, its members and their errors, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Processes output.
    pub(super) fn log(&mut self, now: Duration, log: &VertexLog, rules: Rules<'_>) {
        let time = log.timestamp.as_ref().map(Moment::from);
        let at = time.map_or(Duration::ZERO, |time| self.runs.elapsed(time));
        self.output.feed(now, at, log, rules);
    }

    /// Whether it can be printed: it has started, or has output. A group also needs a started member that is not weak, or that
    /// has failed.
    pub(super) fn is_visible(&self) -> bool {
        let is_visible =
            |member: &Member| member.has_started && (!member.weak || !member.error.is_empty());
        self.output.is_any() || self.members.iter().any(is_visible)
    }

    pub(super) fn is_over(&self) -> bool {
        self.runs.are_over()
    }

    pub(super) fn last_end(&self) -> Option<Moment> {
        self.runs.last_end()
    }

    /// Whether there is text to print.
    pub(super) fn has_news(&self, now: Duration) -> bool {
        let is_name_due = !self.announced
            && !self.is_over()
            && (self.closed.is_none() || now.saturating_sub(self.last_start) >= AGAIN_AFTER);
        is_name_due || self.output.waiting_bytes() > 0 || self.transfers.is_due(now)
    }

    /// The lines to print now, without the step's number. With `all`, also byte counters that are not due.
    pub(super) fn take_waiting(&mut self, now: Duration, all: bool) -> String {
        self.waiting_since = None;
        let mut lines = self.output.take_waiting();
        self.transfers.show(now, all, &mut lines);
        lines
    }

    pub(super) fn outcome(&self) -> Outcome {
        match self
            .members
            .iter()
            .map(|member| &member.error)
            .find(|error| !error.is_empty())
        {
            Some(error) if error.ends_with(CANCELED) => Outcome::Canceled,
            Some(error) => Outcome::Failed(error.clone()),
            None if !self.name.contains(DEFINITION)
                && self
                    .members
                    .iter()
                    .all(|member| member.cached || !member.has_started) =>
            {
                Outcome::Cached
            }
            None => Outcome::Done,
        }
    }

    /// Marks the end of the step as printed. Returns its lines, or none if they would repeat a printed end. `output` is
    /// true if output was printed just before.
    pub(super) fn close(&mut self, outcome: &Outcome, output: bool) -> String {
        let total = self.runs.total();
        let count = self.runs.count();
        let is_new = match &self.closed {
            None => true,
            Some(closed) => {
                let has_run_again = count > closed.runs;
                let is_longer = has_run_again && total.saturating_sub(closed.total) >= MORE_TIME;
                let has_changed = match (&closed.outcome, outcome) {
                    (Outcome::Done | Outcome::Cached, Outcome::Done | Outcome::Cached) => false,
                    (before, after) => before != after,
                };
                has_changed || is_longer || (has_run_again && output)
            }
        };
        self.announced = false;
        self.waiting_since = None;
        if !is_new {
            if let Some(closed) = &mut self.closed {
                closed.runs = count;
            }
            return String::new();
        }
        self.closed = Some(Closed {
            outcome: outcome.clone(),
            total,
            runs: count,
        });
        match outcome {
            Outcome::Done => format!("DONE {}\n", duration(total)),
            Outcome::Cached => "CACHED\n".to_owned(),
            Outcome::Canceled => "CANCELED\n".to_owned(),
            Outcome::Failed(error) => format!("ERROR: {error}\n"),
        }
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let members = |member: &Member| {
            member.digest.capacity() + member.error.capacity() + size_of::<Member>()
        };
        size_of::<Self>()
            + self.name.capacity()
            + self.transfers.held()
            + self.output.held()
            + self.members.iter().map(members).sum::<usize>()
    }
}
