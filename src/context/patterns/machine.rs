//! Matches a compiled pattern against a path.
//!
//! The pattern is a row of steps, and a bit set stores every position in that row that the text so far
//! can reach. So hostile patterns cost no more than harmless patterns: time is at most the length of
//! the pattern times the length of the path, and memory is two bits for each step.

use super::classes::{Characters, is_word};

/// One step of a pattern.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// One character of these.
    One(Characters),
    /// Any number of these.
    Many(Characters),
    /// This many of the following steps may be skipped as a group.
    MaybeOver(usize),
    /// A position, which consumes no character.
    At(Place),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Start,
    End,
    WordEdge,
    NotWordEdge,
}

impl Place {
    fn is_between(self, before: Option<u32>, after: Option<u32>) -> bool {
        let edge = || before.is_some_and(is_word) != after.is_some_and(is_word);
        match self {
            Self::Start => before.is_none(),
            Self::End => after.is_none(),
            Self::WordEdge => edge(),
            Self::NotWordEdge => !edge(),
        }
    }
}

/// A compiled pattern: it matches if one of its rows matches.
#[derive(Debug)]
pub(super) struct Machine {
    rows: Vec<Row>,
}

/// It matches if the end of the steps is reached from the start of the path.
#[derive(Debug)]
struct Row {
    steps: Vec<Step>,
    /// The required prefix and suffix of a path: most paths fail here, without a run.
    start: Vec<u8>,
    end: Vec<u8>,
}

/// Shared buffers, so that a match allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    now: Positions,
    next: Positions,
}

impl Machine {
    /// A row without a leading [`Place::Start`] may match anywhere.
    pub(super) fn new(rows: Vec<Vec<Step>>) -> Self {
        Self {
            rows: rows.into_iter().map(Row::new).collect(),
        }
    }

    /// The number of its steps.
    pub(super) fn steps(&self) -> usize {
        self.rows.iter().map(|row| row.steps.len()).sum()
    }

    pub(super) fn matches(&self, path: &[u8], scratch: &mut Scratch) -> bool {
        self.rows.iter().any(|row| row.matches(path, scratch))
    }
}

impl Row {
    fn new(mut steps: Vec<Step>) -> Self {
        let (mut start, mut end) = (String::new(), String::new());
        if let [Step::At(Place::Start), inner @ ..] = steps.as_slice() {
            start.extend(inner.iter().map_while(literal));
        } else {
            let any = Characters::Class {
                negated: true,
                ranges: [].into(),
            };
            steps.insert(0, Step::Many(any));
        }
        if let [inner @ .., Step::At(Place::End)] = steps.as_slice() {
            let skippable = |(index, step): (usize, &Step)| match step {
                Step::MaybeOver(count) => Some(index + 1 + count),
                _ => None,
            };
            let certain = inner
                .iter()
                .enumerate()
                .rev()
                .find_map(skippable)
                .unwrap_or(0);
            end.extend(inner.iter().skip(certain).rev().map_while(literal));
        }
        let end: String = end.chars().rev().collect();
        Self {
            start: start.into(),
            end: end.into(),
            steps,
        }
    }

    fn matches(&self, path: &[u8], scratch: &mut Scratch) -> bool {
        if !path.starts_with(&self.start) || !path.ends_with(&self.end) {
            return false;
        }
        let Scratch { now, next } = scratch;
        now.clear(self.steps.len());
        now.insert(0);
        let mut before = None;
        let mut rest = characters(path).peekable();
        loop {
            let after = rest.peek().copied();
            if self.follow_empty(now, before, after) {
                return true;
            }
            let Some(character) = rest.next() else {
                return false;
            };
            next.clear(self.steps.len());
            let mut is_alive = false;
            let mut from = 0;
            while let Some(position) = now.first_from(from) {
                from = position + 1;
                let reached = match self.steps.get(position) {
                    Some(Step::One(characters)) if characters.contain(character) => position + 1,
                    Some(Step::Many(characters)) if characters.contain(character) => position,
                    _ => continue,
                };
                next.insert(reached);
                is_alive = true;
            }
            if !is_alive {
                return false;
            }
            std::mem::swap(now, next);
            before = Some(character);
        }
    }

    /// Adds all positions that are reachable without another character; true if the end is reached.
    ///
    /// Steps only lead forward, so one pass in ascending order finds them all.
    fn follow_empty(&self, now: &mut Positions, before: Option<u32>, after: Option<u32>) -> bool {
        let mut from = 0;
        while let Some(position) = now.first_from(from) {
            match self.steps.get(position) {
                None => return true,
                Some(Step::One(_)) => {}
                Some(Step::Many(_)) => now.insert(position + 1),
                Some(Step::MaybeOver(count)) => {
                    now.insert(position + 1);
                    now.insert(position + 1 + count);
                }
                Some(Step::At(place)) => {
                    if place.is_between(before, after) {
                        now.insert(position + 1);
                    }
                }
            }
            from = position + 1;
        }
        false
    }
}

/// The character of a step that allows a single one.
fn literal(step: &Step) -> Option<char> {
    match step {
        // The replacement character also represents bytes that are not UTF-8.
        Step::One(Characters::One(character)) => {
            char::from_u32(*character).filter(|&character| character != char::REPLACEMENT_CHARACTER)
        }
        _ => None,
    }
}

/// The characters of a path; each byte that is not UTF-8 is read as one replacement character.
fn characters(path: &[u8]) -> impl Iterator<Item = u32> {
    path.utf8_chunks().flat_map(|chunk| {
        let invalid = std::iter::repeat_n(char::REPLACEMENT_CHARACTER, chunk.invalid().len());
        chunk.valid().chars().chain(invalid).map(u32::from)
    })
}

/// A set of positions, with one bit each.
#[derive(Debug, Default)]
struct Positions {
    words: Vec<u64>,
}

const WORD: usize = u64::BITS as usize;

impl Positions {
    /// Clears the set and makes room for the positions up to and including `last`.
    fn clear(&mut self, last: usize) {
        self.words.clear();
        self.words.resize(last / WORD + 1, 0);
    }

    fn insert(&mut self, position: usize) {
        if let Some(word) = self.words.get_mut(position / WORD) {
            *word |= 1 << (position % WORD);
        }
    }

    /// The smallest position in the set that is at least `from`.
    fn first_from(&self, from: usize) -> Option<usize> {
        let mut mask = u64::MAX << (from % WORD);
        for (index, word) in self.words.iter().enumerate().skip(from / WORD) {
            let found = word & mask;
            if found != 0 {
                return Some(index * WORD + found.trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }
}
