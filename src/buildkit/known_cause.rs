//! Causes of a failed solve that users can do something about.
//!
//! BuildKit has no types for them, so they are recognised by its words. The words are those of BuildKit 0.11 and later.

use super::error::{ErrorKind, STEP_FAILED, SolveError};

/// A cause that users can do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownCause {
    /// `COPY` or `ADD` names a file that the context does not contain.
    MissingFile,
    /// The frontend of the Dockerfile's `# syntax=` line does not support named contexts.
    NoNamedContexts,
}

impl SolveError {
    /// The cause, if it is one of those that are known here.
    #[must_use]
    pub fn known_cause(&self) -> Option<KnownCause> {
        // The message holds the user's command line, not the builder's words.
        if self.kind != ErrorKind::Build || self.message.contains(STEP_FAILED) {
            return None;
        }
        let has = |words: &str| self.message.contains(words);
        if has("unsupported frontend capability moby.buildkit.frontend.contexts") {
            return Some(KnownCause::NoNamedContexts);
        }
        let is_copy = has("failed to compute cache key") || has("failed to calculate checksum");
        (is_copy && has("not found")).then_some(KnownCause::MissingFile)
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    fn known_cause(message: &str) -> Option<KnownCause> {
        SolveError::from_status(&Status::unknown(message)).known_cause()
    }

    #[test]
    fn a_cause_is_recognised_by_the_builders_words() {
        for (message, cause) in [
            (
                "failed to compute cache key: failed to calculate checksum of ref x::y: \"/a\": not found",
                KnownCause::MissingFile,
            ),
            (
                "unsupported frontend capability moby.buildkit.frontend.contexts",
                KnownCause::NoNamedContexts,
            ),
        ] {
            assert_eq!(known_cause(message), Some(cause), "{message}");
        }
    }

    #[test]
    fn a_command_line_is_no_cause() {
        let message = "process \"sh -c echo unsupported frontend capability moby.buildkit.frontend.contexts\" did not \
                       complete successfully: exit code: 1";
        assert_eq!(known_cause(message), None);
    }
}
