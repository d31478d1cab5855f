//! The limits of an evaluation. A definition comes from a repository, and must not stop the machine.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::Error;

/// The number of evaluation steps. The largest public definitions need fewer than 100,000.
const MAX_STEPS: u64 = 20_000_000;

/// The number of bytes of all strings that an evaluation creates.
const MAX_BYTES: u64 = 256 << 20;

/// The depth of nested expressions and calls.
const MAX_DEPTH: usize = 200;

/// The time of an evaluation.
const MAX_TIME: Duration = Duration::from_secs(30);

/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u64 = 1024;

/// The rest of the limits.
#[derive(Debug)]
pub(crate) struct Budget {
    steps: Cell<u64>,
    bytes: Cell<u64>,
    depth: Cell<usize>,
    end: Instant,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: Cell::new(MAX_STEPS),
            bytes: Cell::new(MAX_BYTES),
            depth: Cell::new(MAX_DEPTH),
            end: Instant::now() + MAX_TIME,
        }
    }
}

impl Budget {
    /// A budget of few steps.
    #[cfg(test)]
    pub(crate) fn of_steps(steps: u64) -> Self {
        Self {
            steps: Cell::new(steps),
            ..Self::default()
        }
    }

    /// One step: an expression, an element of a list, a call.
    pub(crate) fn step(&self) -> Result<(), Error> {
        self.steps(1)
    }

    /// Several steps at once.
    pub(crate) fn steps(&self, count: u64) -> Result<(), Error> {
        let before = self.steps.get();
        let Some(left) = before.checked_sub(count) else {
            return Err(Error::new("the definition needs too many steps"));
        };
        self.steps.set(left);
        if before / STEPS_PER_LOOK != left / STEPS_PER_LOOK && Instant::now() > self.end {
            return Err(Error::new("the definition takes too long"));
        }
        Ok(())
    }

    /// A string or a list of this many bytes is about to be created.
    pub(crate) fn bytes(&self, count: usize) -> Result<(), Error> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let Some(left) = self.bytes.get().checked_sub(count) else {
            return Err(Error::new("the values of the definition are too large"));
        };
        self.bytes.set(left);
        Ok(())
    }

    /// Runs `work` one level deeper.
    pub(crate) fn deeper<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let Some(left) = self.depth.get().checked_sub(1) else {
            return Err(Error::new("the definition is nested too deeply"));
        };
        self.depth.set(left);
        let result = work();
        self.depth.set(left + 1);
        result
    }
}
