//! The first failure of this side of a session.

use std::sync::{Arc, OnceLock};

use crate::buildkit::error::{ErrorKind, is_invalid_utf8};
use crate::context::shown;

/// The first failure on this side while serving the builder. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<FailureState>);

#[derive(Debug, Default)]
struct FailureState {
    report: OnceLock<FailureReport>,
    /// The first name in a folder that is not UTF-8, escaped. Not every builder accepts it.
    invalid_name: OnceLock<String>,
}

/// A failure on this side, with a message for the user.
#[derive(Clone, Debug)]
pub(in crate::buildkit) struct FailureReport {
    /// [`ErrorKind::Session`], [`ErrorKind::Export`] or [`ErrorKind::FilesChanged`].
    pub(in crate::buildkit) kind: ErrorKind,
    /// The message.
    pub(in crate::buildkit) message: String,
    /// The advice for the user, if any.
    pub(in crate::buildkit) hint: Option<&'static str>,
}

impl Failure {
    /// Records a failure, unless an earlier one is recorded: that one is the cause.
    pub(super) fn record(&self, kind: ErrorKind, message: String, hint: Option<&'static str>) {
        let _already = self.0.report.set(FailureReport {
            kind,
            message,
            hint,
        });
    }

    /// The recorded failure.
    #[cfg(test)]
    pub(super) fn report(&self) -> Option<FailureReport> {
        self.0.report.get().cloned()
    }

    /// Records an entry if its name or link target is not UTF-8.
    pub(super) fn note_invalid_name(&self, path: &[u8]) {
        let _first = self.0.invalid_name.set(shown(path));
    }

    /// The failure on this side behind the builder's error, if any.
    pub(super) fn behind(&self, builder_message: &str) -> Option<FailureReport> {
        let report = self.0.report.get().cloned();
        report.or_else(|| self.for_invalid_name(builder_message))
    }

    /// The failure behind the builder's error, if it rejected a name that is not UTF-8.
    fn for_invalid_name(&self, builder_message: &str) -> Option<FailureReport> {
        let path = self.0.invalid_name.get()?;
        is_invalid_utf8(builder_message).then(|| FailureReport {
            kind: ErrorKind::Session,
            message: format!(
                "the builder rejected the name `{path}`, or the target of that link: it is not valid UTF-8"
            ),
            hint: Some(
                "rename it, or exclude it with a line in .dockerignore (`?` matches each invalid byte)",
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_name_is_reported_escaped_and_other_errors_are_not() {
        let failure = Failure::default();
        let rejection = "rpc error: code = Internal desc = grpc: error unmarshalling request: \
                         string field contains invalid UTF-8";
        assert!(failure.behind(rejection).is_none(), "no such name");
        failure.note_invalid_name(b"d/caf\xe9\n");
        failure.note_invalid_name(b"another\xff");
        let other = "process \"make\" did not complete";
        assert!(failure.behind(other).is_none());
        let report = failure.behind(rejection).unwrap();
        let message = &report.message;
        assert!(message.contains("`d/caf\\xe9\\n`"), "{message}");
        assert!(report.hint.unwrap().contains(".dockerignore"));
    }
}
