//! One run, from the plan to the exit code.
//!
//! Creates a build at Depot, acquires machines for it, builds and pushes the image there, and always
//! finishes the build at Depot, even after a failure. A stop is passed down as a [`Cancel`]; only
//! cancel-safe futures are dropped.

mod acquire;
mod authorizer;
mod contexts;
mod ecr;
mod failure;
mod leases;
pub(crate) mod load;
mod machines;
mod merge;
mod on_machine;
mod one_digest;
mod outputs;
mod registries;
mod request;
mod round;
mod target;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use futures_util::FutureExt;
use secrecy::ExposeSecret;
use tokio::sync::{OnceCell, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::cancel::{Cancel, Reason};
use crate::config::Plan;
use crate::config::timeout::STEP_LIMIT;
use crate::depot::{Api, Build, Outcome, Redactor, Steps};
use crate::exit::Exit;
use crate::io::idle::while_moving;
use crate::report::mask::Masker;
use crate::report::output::Output;
use crate::report::progress::{Progress, Source, Update, show};
use crate::report::summary::{self, Delivery, Summary};
use contexts::Contexts;
use failure::Failure;
use leases::Leases;
use load::StepDaemon;
use machines::Work;
use on_machine::Delivered;
use registries::Registries;
use target::Target;

/// How long before Bitbucket's limit for a step the warning is printed.
const STEP_WARNING: Duration = Duration::from_mins(10);

/// How long to wait after a stop for the response to a pending `CreateBuild`, so that the build can be finished. After a signal
/// the time is shorter.
const CREATE_GRACE: Duration = Duration::from_secs(10);

/// After the build, the remaining progress is dropped if none of it is read for this long: an unread log must not delay the
/// end.
const SHOW_QUIET: Duration = Duration::from_secs(5);

/// The total limit for the remaining progress.
const SHOW_LIMIT: Duration = Duration::from_mins(5);

/// The total limit for the remaining progress after a signal or TIMEOUT.
const LAST_SHOW_LIMIT: Duration = Duration::from_millis(150);

/// The last lines are dropped if none of them is read for this long.
const DRAIN_QUIET: Duration = Duration::from_secs(5);

/// The total limit for the last lines.
const DRAIN_LIMIT: Duration = Duration::from_mins(1);

/// The total limit for the last lines after a signal or TIMEOUT.
const LAST_DRAIN_LIMIT: Duration = Duration::from_millis(100);

/// The number of status messages that wait to be shown. If there are more, the builder waits.
const STATUS_IN_FLIGHT: usize = 64;

/// The result of the work; in [`Caught`], a panic is an internal error.
type Result<T> = std::result::Result<T, Failure>;
type Caught<T> = std::result::Result<T, Box<dyn Any + Send>>;

/// The inputs of a run.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    plan: &'a Plan,
    build: &'a Build,
    contexts: &'a Contexts,
    daemon: Option<&'a StepDaemon>,
}

/// Runs the plan until it ends or TIMEOUT is reached, and returns the exit code.
///
/// Not cancel safe: stop it through `cancel`.
pub async fn run(plan: &Plan, output: &Output, cancel: &Cancel) -> Exit {
    let running = async {
        let exit = run_to_end(plan, output, cancel).await;
        drain(output, cancel).await;
        match (exit, cancel.reason()) {
            // The signal arrived after the work was done; its sender expects the exit code of the signal.
            (Exit::Success, Some(Reason::Signal(number))) => Exit::Signal(number),
            (exit, _) => exit,
        }
    };
    let mut running = std::pin::pin!(running);
    let mut watching = std::pin::pin!(watch_the_clock(plan.timeout, cancel));
    tokio::select! {
        exit = &mut running => exit,
        () = &mut watching => running.await,
    }
}

/// Waits until the last lines of the log are read, within the limits above.
pub async fn drain(output: &Output, cancel: &Cancel) {
    let draining = output.drain(DRAIN_QUIET, DRAIN_LIMIT);
    let _unread = cancel.while_in_time(LAST_DRAIN_LIMIT, draining).await;
}

/// Stops the run when TIMEOUT is reached, and warns before Bitbucket stops the step. Time that the step used before this run
/// is not counted.
async fn watch_the_clock(timeout: Option<Duration>, cancel: &Cancel) {
    let warning = STEP_LIMIT.saturating_sub(STEP_WARNING);
    let timed_out = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let mut timed_out = std::pin::pin!(timed_out);
    tokio::select! {
        () = &mut timed_out => return cancel.fire(Reason::Timeout),
        () = tokio::time::sleep(warning) => tracing::warn!(
            "the build has been running for {} minutes: Bitbucket stops a step after 120 minutes unless its `max-time` is higher",
            warning.as_secs() / 60
        ),
    }
    timed_out.await;
    cancel.fire(Reason::Timeout);
}

async fn run_to_end(plan: &Plan, output: &Output, cancel: &Cancel) -> Exit {
    let started = Instant::now();
    mask_secrets(plan, output);
    let api = match client(plan) {
        Ok(api) => api,
        Err(failure) => return failure.report(plan, output, None),
    };
    let daemon = match StepDaemon::connect(plan, cancel).await {
        Ok(daemon) => daemon,
        Err(failure) => return failure.report(plan, output, None),
    };
    let contexts = match Contexts::open(plan) {
        Ok(contexts) => contexts,
        Err(failure) => return failure.report(plan, output, None),
    };
    let build = match create(plan, api, cancel).await {
        Ok(build) => build,
        Err(failure) => return failure.report(plan, output, None),
    };
    for secret in build.secrets() {
        output.masker().add(secret.expose_secret());
    }
    output.say(page(&build, output));

    let mut progress = Progress::new(output.options().clone());
    let inputs = Inputs {
        plan,
        build: &build,
        contexts: &contexts,
        daemon: daemon.as_ref(),
    };
    let result = build_and_finish(inputs, &mut progress, output, cancel).await;
    let exit = match result {
        Ok(Ok(images)) => {
            output.say(closing(plan, &build, &images, started.elapsed(), output));
            return Exit::Success;
        }
        Ok(Err(failure)) => failure.report(plan, output, Some(&progress)),
        Err(_panic) => {
            tracing::error!(
                "internal error in depot-build (see the message above); please report it"
            );
            Exit::Internal
        }
    };
    output.say(page(&build, output));
    exit
}

/// Builds, shows the progress at the same time, and reports the outcome to Depot.
///
/// The three delay each other as little as possible: the outcome is reported to Depot before the
/// last line is shown, and a panic in the build or the progress does not prevent the report.
async fn build_and_finish(
    inputs: Inputs<'_>,
    progress: &mut Progress,
    output: &Output,
    cancel: &Cancel,
) -> Caught<Result<Vec<Delivered>>> {
    let targets = target::targets(inputs.plan);
    let sources = sources(&targets, progress);
    let (status, shown) = mpsc::channel::<Update>(STATUS_IN_FLIGHT);
    let redactor = redactor(output.masker());
    let (steps, receivers) = Steps::new(redactor.clone());
    let own = own_steps(receivers.log, status.clone());
    let showing = async {
        tokio::join!(own, show(progress, ReceiverStream::new(shown), output));
    };
    let showing = AssertUnwindSafe(showing).catch_unwind();
    let mut showing = std::pin::pin!(showing);
    let working = async {
        let masker = output.masker();
        let steps = (steps, receivers.depot);
        let building = work(inputs, targets, &sources, status, steps, masker, cancel);
        // Work that does not end after a stop must not prevent the report to Depot.
        let building = cancel.unless_stuck(building);
        let result = AssertUnwindSafe(building).catch_unwind().await;
        let result =
            result.map(|ended| ended.unwrap_or_else(|reason| Err(Failure::Canceled(reason))));
        let outcome = match &result {
            Ok(Ok(_)) => Outcome::Success,
            Ok(Err(Failure::Canceled(_))) => Outcome::Canceled,
            Ok(Err(failure)) => Outcome::Failure(redactor.redact(failure.one_line())),
            Err(_) => Outcome::Failure(redactor.redact("internal error in depot-build")),
        };
        finish(inputs.build, outcome, cancel).await;
        result
    };
    let mut working = std::pin::pin!(working);
    let mut is_shown = false;
    let result = loop {
        tokio::select! {
            result = &mut working => break result,
            caught = &mut showing, if !is_shown => {
                is_shown = true;
                if caught.is_err() {
                    tracing::error!("no further progress is shown because of an internal error");
                }
            }
        }
    };
    if !is_shown {
        let showing = while_moving(SHOW_QUIET, || output.written(), showing);
        let showing = tokio::time::timeout(SHOW_LIMIT, showing);
        let shown = cancel.while_in_time(LAST_SHOW_LIMIT, showing).await;
        if !matches!(shown, Some(Ok(Some(_)))) && cancel.reason().is_none() {
            tracing::warn!(
                "the rest of the progress was dropped because the log is not being read"
            );
        }
    }
    result
}

/// The source of each machine's steps: labeled with its platforms if there are several machines.
fn sources(targets: &[Target], progress: &mut Progress) -> Vec<Source> {
    match targets {
        [_] => vec![Source::default()],
        targets => targets
            .iter()
            .map(|target| progress.add_source(&target.label()))
            .collect(),
    }
}

/// Shows this program's own steps, which belong to no machine.
async fn own_steps(mut steps: mpsc::Receiver<StatusResponse>, status: mpsc::Sender<Update>) {
    while let Some(step) = steps.recv().await {
        let update = Update {
            source: Source::default(),
            status: step,
        };
        if status.send(update).await.is_err() {
            return; // the log has ended
        }
    }
}

/// The part that needs machines and registries.
async fn work(
    inputs: Inputs<'_>,
    targets: Vec<Target>,
    sources: &[Source],
    status: mpsc::Sender<Update>,
    steps: (Steps, mpsc::Receiver<StatusResponse>),
    masker: &Masker,
    cancel: &Cancel,
) -> Result<Vec<Delivered>> {
    let Inputs {
        plan,
        build,
        contexts,
        daemon,
    } = inputs;
    let passing = request::passing_names(plan, build);
    let mut names = request::names(plan, build)?;
    names.extend(passing.iter().cloned());
    let work = Work {
        plan,
        build,
        contexts,
        targets,
        names,
        passing,
        pull_failed: AtomicBool::new(false),
        registries: Arc::new(Registries::new(plan, build.saved(), masker)?),
        masker,
        cancel,
        prepared: OnceCell::new(),
        daemon,
        loaded_names: request::loaded_names(plan, build),
        leases: Leases::default(),
    };
    let finished = work.run(sources, status, steps.0, steps.1).await?;
    work.registries.tell_of_unused();
    outputs::write(plan, build, &finished)?;
    Ok(finished.delivered)
}

/// Masks secrets in the log, for example if a build step prints them.
fn mask_secrets(plan: &Plan, output: &Output) {
    for secret in plan.secrets() {
        output.masker().add(secret.expose_secret());
    }
}

/// Masks secrets in texts for Depot, including secrets that are added later.
fn redactor(masker: &Masker) -> Redactor {
    let masker = masker.clone();
    Redactor::new(move |text| masker.mask(text))
}

fn client(plan: &Plan) -> Result<Api> {
    let tls = crate::http::roots::client_config(&plan.authorities).map_err(Failure::Tls)?;
    Api::new(plan.depot.api_url.clone(), tls, &plan.proxies).map_err(Failure::Client)
}

/// Creates the build. A stop during the call waits for the build's ID, so that the build can be finished.
///
/// A build stays unfinished only if its ID never arrives: the response is lost, it arrives later than [`CREATE_GRACE`],
/// or the process is killed.
async fn create(plan: &Plan, api: Api, cancel: &Cancel) -> Result<Build> {
    let stopped = async {
        cancel.fired().await;
    };
    let creating = Build::create(
        api,
        &plan.depot.token,
        Some(plan.depot.project_id.clone()),
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
async fn finish(build: &Build, outcome: Outcome, cancel: &Cancel) {
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

/// The line with the URL of the build; empty if the URL is not known.
fn page(build: &Build, output: &Output) -> String {
    let page = build.url().map(|url| summary::page(url, output.options()));
    page.unwrap_or_default()
}

/// The summary: where the image was delivered, and how to pull it if Depot saved it.
fn closing(
    plan: &Plan,
    build: &Build,
    images: &[Delivered],
    took: Duration,
    output: &Output,
) -> String {
    let is_saved = plan.image.save.is_some();
    let named = images.iter().flat_map(|image| {
        let names = image.names.iter().map(ToString::to_string);
        names.map(|name| (name, image.digest.as_deref()))
    });
    let summary = Summary {
        delivery: Delivery {
            pushed: plan.image.push,
            saved: is_saved,
            loaded: plan.image.load.is_some(),
        },
        references: &named.collect::<Vec<_>>(),
        saved: if is_saved {
            &build.saved().references
        } else {
            &[]
        },
        digest: images.first().and_then(|image| image.digest.as_deref()),
        elapsed: took,
        url: build.url().unwrap_or_default(),
    };
    summary.render(output.options())
}
