//! The end of a run without a build at Depot.

use std::time::Instant;

use super::delivered::Finished;
use super::results::Results;
use super::{Result, closing, insights, summary_file};
use crate::cancel::Cancel;
use crate::config::Plan;
use crate::exit::Exit;
use crate::report::output::Output;
use crate::report::progress::Progress;
use crate::report::summary::Origin;

/// A run that has ended, and that created no build.
pub(super) struct End<'a> {
    pub(super) plan: &'a Plan,
    /// The origin of the images.
    pub(super) origin: Origin,
    pub(super) started: Instant,
    /// The log, if it had steps.
    pub(super) progress: Option<&'a Progress>,
}

impl End<'_> {
    /// Writes `SUMMARY_FILE`, publishes the report, prints the summary or the error, and returns the exit code.
    pub(super) async fn report(
        &self,
        result: Result<Vec<Finished>>,
        output: &Output,
        cancel: &Cancel,
    ) -> Exit {
        let (plan, masker) = (self.plan, output.masker());
        let results = Results::without_build(plan, self.origin, self.started, masker);
        let result = result.and_then(|images| {
            summary_file::write(&results, &images)?;
            Ok(images)
        });
        let ended = insights::Ended {
            plan,
            origin: self.origin,
            started: self.started,
            build: None,
            steps: None,
            result: result.as_deref(),
        };
        Box::pin(ended.publish(output, cancel)).await;
        match result {
            Ok(images) => {
                output.say(closing::summary(&results, &images, output));
                Exit::Success
            }
            Err(failure) => failure.report(plan, output, self.progress),
        }
    }
}
