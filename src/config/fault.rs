//! Faults of the variables. All are reported at once, because finding them one by one would cost a run each.

use std::borrow::Cow;
use std::fmt;

use super::warning::Warning;

/// One fault of one variable.
///
/// Contains no secret: values are included only through `Findings::shown`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    variable: String,
    problem: String,
    advice: String,
    hint: Option<Cow<'static, str>>,
    excerpt: Option<String>,
}

impl Fault {
    /// `problem` follows the name of the variable. `advice` is the correction; empty if the problem
    /// includes it.
    pub(super) fn new(
        variable: impl Into<String>,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            variable: variable.into(),
            problem: problem.into(),
            advice: advice.into(),
            hint: None,
            excerpt: None,
        }
    }

    /// Replaces the name of the variable by `place` of it.
    pub(super) fn place(&mut self, place: impl Fn(&str) -> String) {
        self.variable = place(&self.variable);
    }

    /// Adds advice for something else than the variable, such as a setting of the step.
    pub(super) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the lines of a file that the fault is about.
    pub(super) fn with_excerpt(mut self, excerpt: String) -> Self {
        self.excerpt = Some(excerpt).filter(|excerpt| !excerpt.is_empty());
        self
    }

    /// The lines of [`Fault::with_excerpt`].
    #[must_use]
    pub fn excerpt(&self) -> Option<&str> {
        self.excerpt.as_deref()
    }

    /// The name of the variable, or of the entry of an array.
    #[must_use]
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// The advice of [`Fault::with_hint`].
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.variable, self.problem)?;
        if !self.advice.is_empty() {
            write!(formatter, "; {}", self.advice)?;
        }
        Ok(())
    }
}

/// The variables do not describe a build. Printed with one fault on each line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.faults))]
pub struct ConfigError {
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
}

impl ConfigError {
    pub(super) fn new(faults: Vec<Fault>, warnings: Vec<Warning>) -> Self {
        Self { faults, warnings }
    }

    /// All faults, mostly in the order of the documentation.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The warnings. A mistyped name often explains a missing variable.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The first hint.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.faults.iter().find_map(Fault::hint)
    }
}

fn lines(faults: &[Fault]) -> String {
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
