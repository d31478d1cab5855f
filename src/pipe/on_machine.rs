//! The part of a run that needs a machine: acquiring it, connecting to it, solving on it.

use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use tokio::sync::mpsc;

use super::failure::Failure;
use super::{Result, request};
use crate::buildkit::{Connection, ErrorKind, SolveError, Solved};
use crate::cancel::{Cancel, Reason};
use crate::config::Plan;
use crate::depot::{Build, BuilderPlatform, Steps};
use crate::report::mask::Masker;

/// How long our last steps may take to reach Depot.
const REPORT_GRACE: Duration = Duration::from_millis(250);

/// How long Depot is asked whether it took a machine away on purpose.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// All that needs a machine. While it goes on, Depot hears that we are alive.
pub(super) async fn build(
    plan: &Plan,
    build: &Build,
    status: mpsc::Sender<StatusResponse>,
    masker: &Masker,
    cancel: &Cancel,
) -> Result<Solved> {
    let platform = request::builder_platform(plan);
    let (steps, reports) = Steps::new(status.clone());
    let health = async {
        build.report_health(platform).await;
        cancel.fire(Reason::Depot);
        std::future::pending::<()>().await;
    };
    let reporting = build.report_steps(reports);
    let solving = async {
        let connection = connect(build, platform, &steps, masker, cancel).await?;
        drop(steps);
        let services = request::services(plan)?;
        let stopped = async {
            cancel.fired().await;
        };
        let solved = connection
            .solve(&request::solve(plan), services, status, stopped)
            .await;
        match solved {
            Ok(solved) => Ok(solved),
            Err(error) => Err(why_it_failed(error, build, platform, cancel).await),
        }
    };
    let mut solving = std::pin::pin!(solving);
    let mut reporting = std::pin::pin!(reporting);
    let mut health = std::pin::pin!(health);
    let mut reported = false;
    let solved = loop {
        tokio::select! {
            solved = &mut solving => break solved,
            () = &mut reporting, if !reported => reported = true,
            () = &mut health => {}
        }
    };
    if !reported && cancel.reason().is_none() {
        // The step that failed is the one to be seen on the build's page.
        let _too_slow = cancel.within(REPORT_GRACE, reporting).await;
    }
    solved
}

/// A machine that went away may have been taken by whoever stopped the build at Depot, which the next
/// health report would have told.
async fn why_it_failed(
    error: SolveError,
    build: &Build,
    platform: BuilderPlatform,
    cancel: &Cancel,
) -> Failure {
    if cancel.reason().is_none() && error.kind == ErrorKind::Connection {
        let asking = build.is_canceled(platform);
        if cancel.within(ASK_LIMIT, asking).await == Some(true) {
            return Failure::Canceled(Reason::Depot);
        }
    }
    match cancel.reason() {
        Some(reason) => Failure::Canceled(reason),
        None => Failure::Solve(error),
    }
}

/// Acquires a machine and connects to it, each as a step that people see.
async fn connect(
    build: &Build,
    platform: BuilderPlatform,
    steps: &Steps,
    masker: &Masker,
    cancel: &Cancel,
) -> Result<Connection> {
    let step = steps
        .begin(&format!("[depot] launching {platform} machine"))
        .await;
    let machine = match cancel.unless_fired(build.machine(platform)).await {
        Ok(Ok(machine)) => machine,
        Ok(Err(error)) => {
            step.failed(masker.mask(error.to_string())).await;
            return Err(Failure::Machine(error));
        }
        Err(reason) => {
            step.canceled().await;
            return Err(Failure::Canceled(reason));
        }
    };
    step.done().await;

    let step = steps
        .begin(&format!("[depot] connecting to {platform} machine"))
        .await;
    let address = request::address(machine);
    match cancel.unless_fired(Connection::open(&address)).await {
        Ok(Ok(connection)) => {
            step.done().await;
            Ok(connection)
        }
        Ok(Err(error)) => {
            step.failed(masker.mask(error.to_string())).await;
            Err(Failure::Connect(error))
        }
        Err(reason) => {
            step.canceled().await;
            Err(Failure::Canceled(reason))
        }
    }
}
