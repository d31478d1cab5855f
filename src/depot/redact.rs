//! Removes secrets from the text on Depot's pages.
//!
//! All text that is shown on a build's page passes a [`Redactor`]: [`super::Steps`] own one, and a build can be finished only
//! with [`Redacted`] text.

use std::fmt;
use std::sync::Arc;

/// Removes secrets from text.
#[derive(Clone)]
pub(crate) struct Redactor(Arc<dyn Fn(String) -> String + Send + Sync>);

/// A text without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redacted(String);

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Redactor")
    }
}

impl Redactor {
    /// `redact` returns the text without the secrets that are registered at the time of the call.
    pub(crate) fn new(redact: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(redact))
    }

    /// Removes the secrets from `text`.
    #[must_use]
    pub(crate) fn redact(&self, text: impl fmt::Display) -> Redacted {
        Redacted((self.0)(text.to_string()))
    }
}

impl Redacted {
    /// A constant text, which contains no secret.
    pub(super) fn literal(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}
