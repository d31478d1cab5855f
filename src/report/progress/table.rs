//! The steps of all builds in one log, by the digests that builders use for them.
//!
//! Bounded: beyond [`STEPS`], and beyond [`BYTES`] of names, digests and errors, the step that ended first is forgotten for
//! each new step. If no step has ended, the new step is skipped. A late message about a forgotten step prints it as a new
//! step; real builds stay far below these limits.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::Vertex;

use super::super::mask::Masker;
use super::Source;
use super::step::Step;

/// Steps kept at the same time.
pub(super) const STEPS: usize = 10_000;

/// Approximate bytes of their names, digests and errors. A build of a thousand steps has a few hundred KiB.
pub(super) const BYTES: usize = 32 << 20;

/// Maximum bytes of one message about one vertex: a name, an error twice, and digests.
const VERTEX_BYTES: usize = 64 << 10;

/// Maximum length of a digest. BuildKit's digests are shorter.
const DIGEST_BYTES: usize = 256;

/// Identifies a step. Ordered by first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct StepId(u64);

/// The steps.
#[derive(Debug, Default)]
pub(super) struct Table {
    steps: BTreeMap<StepId, Step>,
    by_digest: HashMap<Source, HashMap<String, StepId>>,
    added: u64,
    /// The bytes that [`BYTES`] limits.
    bytes: usize,
    /// Steps that have ended, in the order of their ends.
    ended: VecDeque<StepId>,
    /// Number of skipped steps.
    pub(super) skipped: usize,
}

impl Table {
    pub(super) fn find(&self, source: Source, digest: &str) -> Option<StepId> {
        self.by_digest.get(&source)?.get(digest).copied()
    }

    pub(super) fn get(&self, id: StepId) -> Option<&Step> {
        self.steps.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: StepId) -> Option<&mut Step> {
        self.steps.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Step> {
        self.steps.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Step> {
        self.steps.values_mut()
    }

    /// Applies a message about a vertex to its step, which can be new. `None` if there is no room for the step.
    pub(super) fn update(
        &mut self,
        now: Duration,
        source: Source,
        label: Option<&str>,
        vertex: &Vertex,
        masker: &Masker,
    ) -> Option<StepId> {
        let group = vertex.progress_group.as_ref();
        let (key, name) = group.map_or((&vertex.digest, &vertex.name), |group| {
            (&group.id, &group.name)
        });
        if key.len() > DIGEST_BYTES || vertex.digest.len() > DIGEST_BYTES {
            return None;
        }
        let known = self.find(source, key);
        let has_room = self.make_room(known);
        let id = match known {
            Some(id) => id,
            None if has_room => self.add(Step::new(source, key, &labelled(label, name), masker))?,
            None => {
                self.skipped += 1;
                return None;
            }
        };
        let step = self.steps.get_mut(&id)?;
        let before = step.bytes();
        let is_applied = step.update(now, vertex, has_room, masker);
        self.bytes = (self.bytes + step.bytes()).saturating_sub(before);
        if is_applied {
            let names = self.by_digest.entry(source).or_default();
            for name in [key, &vertex.digest] {
                if !names.contains_key(name) {
                    names.insert(name.clone(), id);
                }
            }
        }
        is_applied.then_some(id)
    }

    /// Records that a step has ended, and can be forgotten.
    pub(super) fn ended(&mut self, id: StepId) {
        self.ended.push_back(id);
        // A step that ended again is in the queue twice, and each step can end any number of times.
        if self.ended.len() > 2 * STEPS {
            let mut seen = HashSet::new();
            self.ended.retain(|&id| seen.insert(id));
        }
    }

    /// Forgets steps that have ended, except `kept`, until there is room for one more message. Returns false if there is no room.
    fn make_room(&mut self, kept: Option<StepId>) -> bool {
        let mut again = None;
        while self.bytes + VERTEX_BYTES > BYTES {
            match self.ended.front().copied() {
                Some(id) if Some(id) == kept => {
                    self.ended.pop_front();
                    again = Some(id);
                }
                Some(_) if self.forget_one() => {}
                _ => break,
            }
        }
        self.ended.extend(again);
        self.bytes + VERTEX_BYTES <= BYTES
    }

    fn add(&mut self, step: Step) -> Option<StepId> {
        if self.steps.len() >= STEPS && !self.forget_one() {
            self.skipped += 1;
            return None;
        }
        self.added += 1;
        self.bytes += step.bytes();
        let id = StepId(self.added);
        self.steps.insert(id, step);
        Some(id)
    }

    /// Forgets the step that ended first. Returns false if no step has ended.
    fn forget_one(&mut self) -> bool {
        while let Some(id) = self.ended.pop_front() {
            // A step that runs again is queued again when it ends.
            if !self.steps.get(&id).is_some_and(Step::is_over) {
                continue;
            }
            let forgotten = self.steps.remove(&id);
            let bytes = forgotten.as_ref().map_or(0, Step::bytes);
            self.bytes = self.bytes.saturating_sub(bytes);
            for (source, digest) in forgotten.iter().flat_map(Step::names) {
                self.by_digest
                    .get_mut(&source)
                    .and_then(|names| names.remove(digest));
            }
            return true;
        }
        false
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let names: usize = self
            .by_digest
            .values()
            .flat_map(HashMap::keys)
            .map(|name| name.capacity() + 16)
            .sum();
        names + self.steps.values().map(Step::held).sum::<usize>() + self.ended.capacity() * 8
    }
}

/// Adds the label as BuildKit does for several platforms: `[linux/amd64 2/4] RUN make`. A name with such a label is
/// unchanged.
fn labelled<'a>(label: Option<&str>, name: &'a str) -> Cow<'a, str> {
    match (label, name.strip_prefix('[')) {
        (Some(_), Some(rest)) if rest.starts_with("linux/") => name.into(),
        (Some(label), Some(rest)) => format!("[{label} {rest}").into(),
        (Some(label), None) => format!("[{label}] {name}").into(),
        (None, _) => name.into(),
    }
}
