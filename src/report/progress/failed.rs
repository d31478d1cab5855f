//! The failed steps of a build, to print one of them again at its end.

use super::tail;

/// Failed steps kept.
const STEPS: usize = 8;

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedStep {
    /// Its number in the log.
    pub number: u32,
    /// Its name, for example `[2/4] RUN make`.
    pub name: String,
    /// The builder's error.
    pub error: String,
    /// The last lines of its output, each with its time, oldest first.
    pub tail: Vec<String>,
}

/// The last failed steps, in the order of their ends.
#[derive(Debug, Default)]
pub(super) struct FailedSteps(Vec<FailedStep>);

impl FailedSteps {
    /// Records a failed step. If it is reported again, possibly with late output, its tail grows.
    pub(super) fn record(&mut self, number: u32, name: &str, error: String, tail: Vec<String>) {
        if let Some(step) = self.0.iter_mut().find(|step| step.number == number) {
            step.error = error;
            step.tail.extend(tail);
            let surplus = step.tail.len().saturating_sub(tail::LINES);
            step.tail.drain(..surplus);
            return;
        }
        if self.0.len() == STEPS {
            self.0.remove(0);
        }
        self.0.push(FailedStep {
            number,
            name: name.to_owned(),
            error,
            tail,
        });
    }

    /// Removes a step that failed first, and then succeeded.
    pub(super) fn remove(&mut self, number: u32) {
        self.0.retain(|step| step.number != number);
    }

    /// The last failed step with output, or the last failed step.
    pub(super) fn last(&self) -> Option<&FailedStep> {
        let mut steps = self.0.iter().rev();
        steps.find(|step| !step.tail.is_empty()).or(self.0.last())
    }

    /// The last step whose error is part of `error`, or the same as [`Self::last`].
    pub(super) fn of_error(&self, error: &str) -> Option<&FailedStep> {
        let mut steps = self.0.iter().rev();
        steps
            .find(|step| error.contains(&step.error))
            .or_else(|| self.last())
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let tails = self.0.iter().flat_map(|step| &step.tail);
        tails.map(String::capacity).sum()
    }
}
