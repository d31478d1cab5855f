//! The build at Depot: created before the work, finished after it on every way out.

use std::time::Duration;

use super::failure::Failure;
use super::{Result, request};
use crate::cancel::Cancel;
use crate::config::Plan;
use crate::config::plan::DepotPlan;
use crate::depot::{Api, Build, Outcome};

/// How long to wait after a stop for the response to a pending `CreateBuild`, so that the build can be finished. After a signal
/// the time is shorter.
const CREATE_GRACE: Duration = Duration::from_secs(10);

/// Creates the build. A stop during the call waits for the build's ID, so that the build can be finished.
///
/// A build stays unfinished only if its ID never arrives: the response is lost, it arrives later than [`CREATE_GRACE`],
/// or the process is killed.
pub(super) async fn create(
    plan: &Plan,
    depot: &DepotPlan,
    api: Api,
    cancel: &Cancel,
) -> Result<Build> {
    let stopped = async {
        cancel.fired().await;
    };
    let creating = Build::create(
        api,
        &depot.token,
        Some(depot.project_id.clone()),
        request::build_options(plan),
        stopped,
    );
    let mut creating = std::pin::pin!(creating);
    let reason = match cancel.unless_fired(&mut creating).await {
        Ok(created) => return created.map_err(Failure::Create),
        Err(reason) => reason,
    };
    if let Some(Ok(build)) = cancel.last_call(CREATE_GRACE, creating).await {
        finish(&build, Outcome::Canceled, cancel).await;
    }
    Err(Failure::Canceled(reason))
}

/// Reports the end of the build to Depot. If that fails, the result of the run stays the same.
pub(super) async fn finish(build: &Build, outcome: Outcome, cancel: &Cancel) {
    let finishing = build.finish(outcome);
    let why = match cancel.last_call(Build::FINISH_LIMIT, finishing).await {
        Some(Ok(())) => return,
        Some(Err(error)) => crate::text::cause::one_line(&error),
        None => "no response in time".into(),
    };
    tracing::warn!(
        "the end of the build could not be reported to Depot, which may show it as running for a while: {why}"
    );
}
