//! Text for Depot's pages, without secrets.
//!
//! All text that people see on a build's page passes a [`Redactor`]: steps take one, and the end of a build takes only
//! [`Redacted`] text.

use std::fmt;
use std::sync::Arc;

/// Removes secrets from text.
#[derive(Clone)]
pub struct Redactor(Arc<dyn Fn(String) -> String + Send + Sync>);

/// A text without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted(String);

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Redactor")
    }
}

impl Redactor {
    /// `redact` returns its text without the secrets that are known by then.
    pub fn new(redact: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(redact))
    }

    /// The text without secrets.
    #[must_use]
    pub fn redact(&self, text: impl fmt::Display) -> Redacted {
        Redacted((self.0)(text.to_string()))
    }
}

impl Redacted {
    /// A text of the program itself.
    pub(super) fn literal(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}
