//! What is wrong with the variables: every fault of every one, since finding them one at a time costs a run each.

use std::borrow::Cow;
use std::fmt;

use super::warning::Warning;

/// One thing that is wrong with one variable.
///
/// Holds no secret: whoever makes one shows values through `Findings::shown` only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    variable: String,
    problem: String,
    advice: String,
    hint: Option<Cow<'static, str>>,
}

impl Fault {
    /// `problem` goes on from the variable's name, `advice` says what to write instead.
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
        }
    }

    /// Adds what lies outside of the variable: a setting of Bitbucket, a property of pipes.
    pub(super) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The name of the variable, which for an entry of an array is that of the entry.
    #[must_use]
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// What helps where the value alone is not to blame.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {}; {}",
            self.variable, self.problem, self.advice
        )
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

    /// All that is wrong, in the order of the documentation as far as that is possible.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// What was noticed besides; a mistyped name often explains a missing variable.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The first hint that any fault has.
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
