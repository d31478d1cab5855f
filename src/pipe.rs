//! The story of one run.
//!
//! A build is created at Depot, a machine is acquired for it and connected to, the image is solved
//! there and pushed from there, and the build is finished, whatever happened in between. Stopping
//! travels down as a [`Cancel`]; nothing here is dropped in the middle but what may be.

mod authorizer;
mod failure;
mod request;

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use futures_util::{FutureExt, StreamExt};
use secrecy::ExposeSecret;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::buildkit::{Connection, Solved};
use crate::cancel::{Cancel, Reason};
use crate::config::Plan;
use crate::depot::{Api, ApiError, Build, BuilderPlatform, Outcome, Steps};
use crate::exit::Exit;
use crate::report::output::Output;
use crate::report::progress::{Progress, Source, Update, show};
use crate::report::summary::{self, Delivery, Summary};
use failure::Failure;

/// How long Depot is told of the end of a build that ended by itself.
const FINISH_LIMIT: Duration = Duration::from_mins(1);

/// The same for a build that was stopped: all of the end has to fit into a second.
const CANCELED_FINISH_LIMIT: Duration = Duration::from_millis(500);

/// How long a build whose creation was under way may take to appear after a stop, so that it can be
/// finished.
const CREATE_GRACE: Duration = Duration::from_millis(400);

/// How long our last steps may take to reach Depot.
const REPORT_GRACE: Duration = Duration::from_millis(250);

/// Status messages that wait to be shown. Past them the builder waits, and its memory is larger.
const STATUS_IN_FLIGHT: usize = 64;

/// Runs the plan to its end and says how it ended.
///
/// Not cancel safe: stop it through `cancel`.
pub async fn run(plan: &Plan, output: &Output, cancel: &Cancel) -> Exit {
    let started = Instant::now();
    mask_secrets(plan, output);
    let api = match client(plan) {
        Ok(api) => api,
        Err(failure) => return failure.tell(output, None),
    };
    let build = match create(plan, api, cancel).await {
        Ok(build) => build,
        Err(failure) => return failure.tell(output, None),
    };
    output.say(summary::page(build.url(), output.options()));

    let (status, shown) = mpsc::channel(STATUS_IN_FLIGHT);
    let mut progress = Progress::new(output.options().clone());
    let updates = ReceiverStream::new(shown).map(|status| Update {
        source: Source::default(),
        status,
    });
    let showing = show(&mut progress, updates, output);
    // A panic is a bug of ours, and still no reason to leave a machine running.
    let building = AssertUnwindSafe(on_build(plan, &build, status, cancel)).catch_unwind();
    let (result, ()) = tokio::join!(building, showing);

    let outcome = match &result {
        Ok(Ok(_)) => Outcome::Success,
        Ok(Err(Failure::Canceled(_))) => Outcome::Canceled,
        Ok(Err(failure)) => Outcome::Failure(failure.one_line()),
        Err(_) => Outcome::Failure("depot-build failed with an internal error".into()),
    };
    finish(&build, outcome).await;

    match result {
        Ok(Ok(solved)) => {
            output.say(closing(plan, &build, &solved, started.elapsed(), output));
            Exit::Success
        }
        Ok(Err(failure)) => {
            let exit = failure.tell(output, Some(&progress));
            output.say(summary::page(build.url(), output.options()));
            exit
        }
        Err(panic) => panic::resume_unwind(panic),
    }
}

/// Whatever way a secret finds into the log, from a build step say, it is not readable there.
fn mask_secrets(plan: &Plan, output: &Output) {
    output.masker().add(plan.depot.token.expose_secret());
    for credential in plan.credentials.iter() {
        output.masker().add(credential.password().expose_secret());
    }
}

fn client(plan: &Plan) -> Result<Api, Failure> {
    let tls = crate::roots::client_config().map_err(Failure::Tls)?;
    Api::new(plan.depot.api_url.clone(), tls).map_err(Failure::Client)
}

/// Creates the build. A stop while Depot is creating it waits a moment for its id: a build that
/// nobody knows cannot be finished.
async fn create(plan: &Plan, api: Api, cancel: &Cancel) -> Result<Build, Failure> {
    let creating = Build::create(
        api,
        &plan.depot.token,
        Some(plan.depot.project_id.clone()),
        request::build_options(plan),
    );
    let mut creating = std::pin::pin!(creating);
    let reason = match cancel.unless_fired(&mut creating).await {
        Ok(created) => return created.map_err(Failure::Create),
        Err(reason) => reason,
    };
    if let Ok(Ok(build)) = tokio::time::timeout(CREATE_GRACE, creating).await {
        finish(&build, Outcome::Canceled).await;
    }
    Err(Failure::Canceled(reason))
}

/// All that needs a machine. While it goes on, Depot hears that we are alive.
async fn on_build(
    plan: &Plan,
    build: &Build,
    status: mpsc::Sender<StatusResponse>,
    cancel: &Cancel,
) -> Result<Solved, Failure> {
    let platform = request::builder_platform(plan);
    let (steps, reports) = Steps::new(status.clone());
    let health = async {
        build.report_health(platform).await;
        cancel.fire(Reason::Depot);
        std::future::pending::<()>().await;
    };
    let reporting = build.report_steps(reports);
    let solving = async {
        let connection = connect(build, platform, &steps, cancel).await?;
        drop(steps);
        let services = request::services(plan)?;
        let stopped = async {
            cancel.fired().await;
        };
        let solved = connection
            .solve(&request::solve(plan), services, status, stopped)
            .await;
        solved.map_err(|error| match cancel.reason() {
            Some(reason) => Failure::Canceled(reason),
            None => Failure::Solve(error),
        })
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
    if !reported {
        // The step that failed is the one to be seen on the build's page.
        let _too_slow = tokio::time::timeout(REPORT_GRACE, reporting).await;
    }
    solved
}

/// Acquires a machine and connects to it, each as a step that people see.
async fn connect(
    build: &Build,
    platform: BuilderPlatform,
    steps: &Steps,
    cancel: &Cancel,
) -> Result<Connection, Failure> {
    let step = steps
        .begin(&format!("[depot] launching {platform} machine"))
        .await;
    let machine = match cancel.unless_fired(build.machine(platform)).await {
        Ok(Ok(machine)) => machine,
        Ok(Err(error)) => {
            step.failed(&error).await;
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
            step.failed(&error).await;
            Err(Failure::Connect(error))
        }
        Err(reason) => {
            step.canceled().await;
            Err(Failure::Canceled(reason))
        }
    }
}

/// Tells Depot how the build ended. That Depot does not hear of it changes nothing of what was done.
async fn finish(build: &Build, outcome: Outcome) {
    let limit = match outcome {
        Outcome::Canceled => CANCELED_FINISH_LIMIT,
        Outcome::Success | Outcome::Failure(_) => FINISH_LIMIT,
    };
    if let Err(error) = build.finish(outcome, limit).await {
        tell_unfinished(&error);
    }
}

fn tell_unfinished(error: &ApiError) {
    tracing::warn!(
        "Depot could not be told that the build has ended, and may show it as running for a while: {}",
        crate::cause::one_line(error)
    );
}

fn closing(plan: &Plan, build: &Build, solved: &Solved, took: Duration, output: &Output) -> String {
    let delivery = if plan.image.push {
        Delivery::Pushed
    } else {
        Delivery::Built
    };
    let references = request::references(plan);
    let summary = Summary {
        delivery,
        // An image that was not pushed has none of its names anywhere.
        references: if plan.image.push { &references } else { &[] },
        digest: solved.digest(),
        elapsed: took,
        url: build.url(),
    };
    summary.render(output.options())
}
