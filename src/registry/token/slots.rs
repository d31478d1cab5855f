//! A place for each question, where whoever asks the same waits for the first who did.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Questions that are kept. A build asks a few, but builders ask as well.
const QUESTIONS_LIMIT: usize = 1000;

/// The answer to one question, once there is one.
pub(super) type Slot<Answer> = tokio::sync::Mutex<Option<Answer>>;

/// The slots of all questions.
#[derive(Debug)]
pub(super) struct Slots<Question, Answer>(Mutex<HashMap<Question, Arc<Slot<Answer>>>>);

impl<Question, Answer> Default for Slots<Question, Answer> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Question: Eq + Hash, Answer> Slots<Question, Answer> {
    pub(super) fn of(&self, question: Question) -> Arc<Slot<Answer>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= QUESTIONS_LIMIT {
            slots.clear();
        }
        Arc::clone(slots.entry(question).or_default())
    }
}
