//! One step of the log: a vertex of a build, or a group of vertices that is shown as one.

use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::{Vertex, VertexLog};

use crate::buildkit::CANCELED;

use super::{
    super::{mask::Masker, text},
    Source,
    format::duration,
    lines::Rules,
    moment::Moment,
    runs::Runs,
    spoken::Spoken,
    transfer::Transfers,
};

/// Characters shown of a step's name, and of its error.
const NAME_CHARACTERS: usize = 1000;
const ERROR_CHARACTERS: usize = 4000;

/// What a step that failed has for an error when there is no room for more.
const SHORT_ERROR: &str = "failed";

/// What a map's entry and the like need beside a text, in bytes.
const OVERHEAD_BYTES: usize = 64;

/// Vertices that one group takes in.
const MEMBERS: usize = 1000;

/// A step that runs again is shown again only when it has been at it this long, or has something to say.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// More time than was told is told again from this much on.
const MORE_TIME: Duration = Duration::from_secs(1);

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Cached,
    Canceled,
    Failed(String),
}

/// What was told about a step's end.
#[derive(Debug)]
struct Closed {
    outcome: Outcome,
    total: Duration,
    begun: u64,
}

#[derive(Debug)]
struct Member {
    digest: String,
    begun: bool,
    /// Does not make its group visible.
    weak: bool,
    cached: bool,
    error: String,
}

impl Member {
    /// What it takes in memory, about: its digest is also a key of the table, and its error may be that of the step.
    fn bytes(&self) -> usize {
        size_of::<Self>() + OVERHEAD_BYTES + 2 * self.digest.len() + 2 * self.error.len()
    }
}

/// A step, and what of it waits to be shown.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    /// Given when it is first shown.
    pub(super) number: Option<u32>,
    pub(super) transfers: Transfers,
    pub(super) spoken: Spoken,
    /// Since when, by our clock, something waits to be shown.
    pub(super) waiting_since: Option<Duration>,
    /// Whether its name was shown since it began, or began again.
    pub(super) announced: bool,
    pub(super) source: Source,
    /// Its vertex's digest, or its group's identity.
    key: String,
    members: Vec<Member>,
    runs: Runs,
    /// Our time when the latest run was told.
    began: Duration,
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
            spoken: Spoken::default(),
            waiting_since: None,
            announced: false,
            source,
            key: key.to_owned(),
            members: Vec::new(),
            runs: Runs::default(),
            began: Duration::ZERO,
            closed: None,
        }
    }

    /// What the step is called by in messages.
    pub(super) fn names(&self) -> impl Iterator<Item = (Source, &str)> {
        let digests = self.members.iter().map(|member| member.digest.as_str());
        digests
            .chain([self.key.as_str()])
            .map(|digest| (self.source, digest))
    }

    /// Takes over what a message says about the step, or about one member of its group. False if the group is full.
    ///
    /// Without `has_room` no member is added, and only that a member failed is kept of its error.
    pub(super) fn update(
        &mut self,
        now: Duration,
        vertex: &Vertex,
        has_room: bool,
        masker: &Masker,
    ) -> bool {
        let index = self
            .members
            .iter()
            .position(|member| member.digest == vertex.digest)
            .unwrap_or(self.members.len());
        if index >= MEMBERS {
            return false;
        }
        if index == self.members.len() {
            if !has_room {
                return false;
            }
            let digest = vertex.digest.clone();
            let weak = vertex
                .progress_group
                .as_ref()
                .is_some_and(|group| group.weak);
            let member = Member {
                digest,
                begun: false,
                weak,
                cached: false,
                error: String::new(),
            };
            self.bytes += member.bytes();
            self.members.push(member);
        }
        // The first message about a vertex has no times, and may come again.
        let started = vertex
            .started
            .as_ref()
            .or(vertex.completed.as_ref())
            .map(Moment::from);
        let completed = vertex.completed.as_ref().map(Moment::from);
        if let Some(started) =
            started.filter(|&started| !self.runs.are_past(index, started, completed))
            && let Some(member) = self.members.get_mut(index)
        {
            member.begun = true;
            member.cached = vertex.cached;
            let error = match &*vertex.error {
                error if has_room || error.is_empty() => error,
                error if error.ends_with(CANCELED) => CANCELED,
                _ => SHORT_ERROR,
            };
            self.bytes -= member.bytes();
            member.error = text::lines(error, ERROR_CHARACTERS, masker);
            self.bytes += member.bytes();
            let begun = self.runs.begun();
            self.runs.update(index, started, completed);
            if self.runs.begun() > begun {
                self.began = now;
            }
        }
        true
    }

    /// What its name, its members and their errors take in memory, about.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes output.
    pub(super) fn log(&mut self, now: Duration, log: &VertexLog, rules: Rules<'_>) {
        let time = log.timestamp.as_ref().map(Moment::from);
        let at = time.map_or(Duration::ZERO, |time| self.runs.elapsed(time));
        self.spoken.feed(now, at, log, rules);
    }

    /// Whether it may be shown: it has begun, or has output. Of a group a member must have begun that counts, or have failed.
    pub(super) fn is_visible(&self) -> bool {
        let counts = |member: &Member| member.begun && (!member.weak || !member.error.is_empty());
        self.spoken.is_any() || self.members.iter().any(counts)
    }

    pub(super) fn is_over(&self) -> bool {
        self.runs.are_over()
    }

    pub(super) fn last_end(&self) -> Option<Moment> {
        self.runs.last_end()
    }

    /// Whether there is something to show.
    pub(super) fn has_news(&self, now: Duration) -> bool {
        let name_is_due = !self.announced
            && !self.is_over()
            && (self.closed.is_none() || now.saturating_sub(self.began) >= AGAIN_AFTER);
        name_is_due || self.spoken.waiting_bytes() > 0 || self.transfers.is_due(now)
    }

    /// The lines to show now, without the step's number; with `all`, byte counters too that are not due yet.
    pub(super) fn take_waiting(&mut self, now: Duration, all: bool) -> String {
        self.waiting_since = None;
        let mut lines = self.spoken.take_waiting();
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
            None if self
                .members
                .iter()
                .all(|member| member.cached || !member.begun) =>
            {
                Outcome::Cached
            }
            None => Outcome::Done,
        }
    }

    /// Marks the step as told to its end. Gives the lines that tell it, none if they would say nothing new; `output` says
    /// that output was shown just before.
    pub(super) fn close(&mut self, outcome: &Outcome, output: bool) -> String {
        let total = self.runs.total();
        let begun = self.runs.begun();
        let news = match &self.closed {
            None => true,
            Some(closed) => {
                let again = begun > closed.begun;
                let longer = again && total.saturating_sub(closed.total) >= MORE_TIME;
                let changed = match (&closed.outcome, outcome) {
                    (Outcome::Done | Outcome::Cached, Outcome::Done | Outcome::Cached) => false,
                    (before, after) => before != after,
                };
                changed || longer || (again && output)
            }
        };
        self.announced = false;
        self.waiting_since = None;
        if !news {
            if let Some(closed) = &mut self.closed {
                closed.begun = begun;
            }
            return String::new();
        }
        self.closed = Some(Closed {
            outcome: outcome.clone(),
            total,
            begun,
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
            + self.spoken.held()
            + self.members.iter().map(members).sum::<usize>()
    }
}
