//! The story of one run.
//!
//! A build is created at Depot, machines are acquired for it and connected to, the image is solved
//! there and pushed from there, and the build is finished, whatever happened in between. Stopping
//! travels down as a [`Cancel`]; nothing here is dropped in the middle but what may be.

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
use crate::moving::while_moving;
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

/// How long before the end of a step its user is warned.
const STEP_WARNING: Duration = Duration::from_mins(10);

/// How long the answer to a `CreateBuild` that is under way is waited for after a stop, so that the build can be finished.
/// A signal leaves less time.
const CREATE_GRACE: Duration = Duration::from_secs(10);

/// The last of the progress is waited for once the build has ended until nothing of it has been read for so long: a log that
/// nobody reads must not hold the end up.
const SHOW_QUIET: Duration = Duration::from_secs(5);

/// And for so long at most.
const SHOW_LIMIT: Duration = Duration::from_mins(5);

/// The same after a signal or TIMEOUT.
const LAST_SHOW_LIMIT: Duration = Duration::from_millis(150);

/// The last lines are waited for until none has been read for so long.
const DRAIN_QUIET: Duration = Duration::from_secs(5);

/// And for so long at most.
const DRAIN_LIMIT: Duration = Duration::from_mins(1);

/// The same after a signal or TIMEOUT.
const LAST_DRAIN_LIMIT: Duration = Duration::from_millis(100);

/// Status messages that wait to be shown. Past them the builder waits, and its memory is larger.
const STATUS_IN_FLIGHT: usize = 64;

/// What the part that needs a machine came to; a panic is a bug of ours.
type Result<T> = std::result::Result<T, Failure>;
type Caught<T> = std::result::Result<T, Box<dyn Any + Send>>;

/// What a run has to do, and with what.
#[derive(Clone, Copy)]
struct Asked<'a> {
    plan: &'a Plan,
    build: &'a Build,
    contexts: &'a Contexts,
    daemon: Option<&'a StepDaemon>,
}

/// Runs the plan to its end, or stops it when its time is over, and says how it ended.
///
/// Not cancel safe: stop it through `cancel`.
pub async fn run(plan: &Plan, output: &Output, cancel: &Cancel) -> Exit {
    let running = async {
        let exit = run_to_end(plan, output, cancel).await;
        drain(output, cancel).await;
        match (exit, cancel.reason()) {
            // The signal came after the work was done, and its sender expects its number.
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

/// Waits until the last lines are read, as long as somebody reads; no longer after a signal or TIMEOUT.
pub async fn drain(output: &Output, cancel: &Cancel) {
    let draining = output.drain(DRAIN_QUIET, DRAIN_LIMIT);
    let _unread = cancel.while_in_time(LAST_DRAIN_LIMIT, draining).await;
}

/// Stops a run whose time is over, and warns of one that Bitbucket will stop soon. It cannot know what the step did before.
async fn watch_the_clock(timeout: Option<Duration>, cancel: &Cancel) {
    let warning = STEP_LIMIT.saturating_sub(STEP_WARNING);
    let over = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let mut over = std::pin::pin!(over);
    tokio::select! {
        () = &mut over => return cancel.fire(Reason::Timeout),
        () = tokio::time::sleep(warning) => tracing::warn!(
            "the build has taken {} minutes: Bitbucket stops a step after 120, unless its `max-time` says more",
            warning.as_secs() / 60
        ),
    }
    over.await;
    cancel.fire(Reason::Timeout);
}

async fn run_to_end(plan: &Plan, output: &Output, cancel: &Cancel) -> Exit {
    let started = Instant::now();
    mask_secrets(plan, output);
    let api = match client(plan) {
        Ok(api) => api,
        Err(failure) => return failure.tell(plan, output, None),
    };
    let daemon = match StepDaemon::connect(plan, cancel).await {
        Ok(daemon) => daemon,
        Err(failure) => return failure.tell(plan, output, None),
    };
    let contexts = match Contexts::open(plan) {
        Ok(contexts) => contexts,
        Err(failure) => return failure.tell(plan, output, None),
    };
    let build = match create(plan, api, cancel).await {
        Ok(build) => build,
        Err(failure) => return failure.tell(plan, output, None),
    };
    for secret in build.secrets() {
        output.masker().add(secret.expose_secret());
    }
    output.say(page(&build, output));

    let mut progress = Progress::new(output.options().clone());
    let asked = Asked {
        plan,
        build: &build,
        contexts: &contexts,
        daemon: daemon.as_ref(),
    };
    let result = build_and_finish(asked, &mut progress, output, cancel).await;
    let exit = match result {
        Ok(Ok(images)) => {
            output.say(closing(plan, &build, &images, started.elapsed(), output));
            return Exit::Success;
        }
        Ok(Err(failure)) => failure.tell(plan, output, Some(&progress)),
        Err(_panic) => {
            tracing::error!("depot-build failed with an internal error, which is told above");
            Exit::Internal
        }
    };
    output.say(page(&build, output));
    exit
}

/// Builds, shows the progress beside it, and tells Depot how it ended.
///
/// The three hold each other up as little as possible: Depot hears of the end before the last line
/// is shown, and a fault of ours in either of the first two does not keep it from Depot.
async fn build_and_finish(
    asked: Asked<'_>,
    progress: &mut Progress,
    output: &Output,
    cancel: &Cancel,
) -> Caught<Result<Vec<Delivered>>> {
    let targets = target::targets(asked.plan);
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
        let building = work(asked, targets, &sources, status, steps, masker, cancel);
        // Work that a stop does not end must not keep the end from Depot.
        let building = cancel.unless_stuck(building);
        let result = AssertUnwindSafe(building).catch_unwind().await;
        let result =
            result.map(|ended| ended.unwrap_or_else(|reason| Err(Failure::Canceled(reason))));
        let outcome = match &result {
            Ok(Ok(_)) => Outcome::Success,
            Ok(Err(Failure::Canceled(_))) => Outcome::Canceled,
            Ok(Err(failure)) => Outcome::Failure(redactor.redact(failure.one_line())),
            Err(_) => {
                Outcome::Failure(redactor.redact("depot-build failed with an internal error"))
            }
        };
        finish(asked.build, outcome, cancel).await;
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
                    tracing::error!("the progress cannot be shown any further: an internal error");
                }
            }
        }
    };
    if !is_shown {
        let showing = while_moving(SHOW_QUIET, || output.written(), showing);
        let showing = tokio::time::timeout(SHOW_LIMIT, showing);
        let shown = cancel.while_in_time(LAST_SHOW_LIMIT, showing).await;
        if !matches!(shown, Some(Ok(Some(_)))) && cancel.reason().is_none() {
            tracing::warn!("the rest of the progress is left out: the log is not read");
        }
    }
    result
}

/// As what the steps of each machine are shown: with its platforms, where there are several machines.
fn sources(targets: &[Target], progress: &mut Progress) -> Vec<Source> {
    match targets {
        [_] => vec![Source::default()],
        targets => targets
            .iter()
            .map(|target| progress.add_source(&target.label()))
            .collect(),
    }
}

/// Shows steps of our own, which belong to no machine.
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
    asked: Asked<'_>,
    targets: Vec<Target>,
    sources: &[Source],
    status: mpsc::Sender<Update>,
    steps: (Steps, mpsc::Receiver<StatusResponse>),
    masker: &Masker,
    cancel: &Cancel,
) -> Result<Vec<Delivered>> {
    let Asked {
        plan,
        build,
        contexts,
        daemon,
    } = asked;
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

/// Whatever way a secret finds into the log, from a build step say, it is not readable there.
fn mask_secrets(plan: &Plan, output: &Output) {
    for secret in plan.secrets() {
        output.masker().add(secret.expose_secret());
    }
}

/// Keeps secrets from Depot's pages, those that are learnt later too.
fn redactor(masker: &Masker) -> Redactor {
    let masker = masker.clone();
    Redactor::new(move |text| masker.mask(text))
}

fn client(plan: &Plan) -> Result<Api> {
    let tls = crate::roots::client_config(&plan.authorities).map_err(Failure::Tls)?;
    Api::new(plan.depot.api_url.clone(), tls, &plan.proxies).map_err(Failure::Client)
}

/// Creates the build. A stop while Depot creates it waits for its id, so that it can be finished.
///
/// Three cases remain in which a build stays behind that cannot be finished, because its id never arrives here: the
/// answer is lost on the way, it comes later than [`CREATE_GRACE`] allows, or the process is killed.
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
    let telling = build.finish(outcome);
    let why = match cancel.last_call(Build::FINISH_LIMIT, telling).await {
        Some(Ok(())) => return,
        Some(Err(error)) => crate::cause::one_line(&error),
        None => "no answer came in time".into(),
    };
    tracing::warn!(
        "Depot could not be told that the build has ended, and may show it as running for a while: {why}"
    );
}

/// Where the build can be seen; nothing if that is not known.
fn page(build: &Build, output: &Output) -> String {
    let page = build.url().map(|url| summary::page(url, output.options()));
    page.unwrap_or_default()
}

/// What was done with the image, and how to get at it where Depot keeps it.
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
