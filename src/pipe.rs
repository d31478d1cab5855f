//! One run, from the plan to the exit code.
//!
//! Creates a build at Depot, builds all images on its machines at the same time, and always finishes the build at Depot, even
//! after a failure. A stop is passed down as a [`Cancel`], from the run to its images and their machines; only cancel-safe
//! futures are dropped.

mod authorizer;
mod caches;
mod clock;
mod closing;
mod contexts;
mod counted;
mod delivered;
mod display;
mod ecr;
mod export;
mod exporting;
mod failure;
mod image;
mod insights;
mod job;
mod lifecycle;
mod links;
pub(crate) mod load;
mod machines;
mod merge;
mod names;
mod one_digest;
mod outputs;
mod promote;
mod registries;
mod request;
mod results;
mod round;
mod run;
mod sboms;
mod share;
mod skip;
mod solving;
mod summary_file;
mod target;
mod together;
mod unbuilt;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use futures_util::FutureExt;
use secrecy::ExposeSecret;
use tokio::sync::{OnceCell, mpsc};

use crate::cancel::{Cancel, Reason};
use crate::config::Plan;
use crate::config::plan::{DepotPlan, ImagePlan};
use crate::depot::{Api, Build, Outcome, Redactor, Steps};
use crate::exit::Exit;
use crate::report::mask::Masker;
use crate::report::output::Output;
use crate::report::progress::{Progress, Source, Update};
use crate::report::stdout;
use crate::report::summary::Origin;
use contexts::ImageFiles;
use delivered::Finished;
use failure::{Failure, ImageFailure};
use job::Job;
use links::{LinkedSources, Links};
use load::StepDaemon;
use load::choice::LoadChoice;
use machines::Machines;
use names::Names;
use registries::Registries;
use results::{Results, warn_of_contexts};
use round::Form;
use run::Run;
use target::Target;
use together::together;

/// The number of status messages that wait to be shown. If there are more, the builder waits.
const STATUS_IN_FLIGHT: usize = 64;

/// How long sending the last of our own steps to Depot may take.
const REPORT_GRACE: Duration = Duration::from_millis(250);

/// The result of the work; in [`Caught`], a panic is an internal error.
type Result<T> = std::result::Result<T, Failure>;
type Caught<T> = std::result::Result<T, Box<dyn Any + Send>>;

pub use clock::drain;

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
    Box::pin(clock::beside(plan.timeout, cancel, running)).await
}

async fn run_to_end(plan: &Plan, output: &Output, cancel: &Cancel) -> Exit {
    let started = Instant::now();
    for secret in plan.secrets() {
        output.masker().add(secret.expose_secret());
    }
    if let Some(definition) = &plan.printed {
        return print(definition, output).await;
    }
    let destinations = plan.destinations();
    for note in destinations.flat_map(|destinations| &destinations.notes) {
        tracing::info!("{note}");
    }
    if let Some(promotion) = &plan.promotion {
        return Box::pin(promote::run(plan, promotion, output, cancel)).await;
    }
    let Some(depot) = &plan.depot else {
        // A plan builds or copies.
        return Exit::Internal;
    };
    let end = |origin| unbuilt::End {
        plan,
        origin,
        started,
        progress: None,
    };
    let existing = skip::existing(plan, output.masker(), cancel).await;
    match existing.transpose() {
        None => {}
        Some(existing) => {
            let written = existing.and_then(|images| {
                outputs::write(plan, None, &images)?;
                Ok(images)
            });
            let end = end(Origin::Existing);
            return Box::pin(end.report(written, output, cancel)).await;
        }
    }
    let (inputs, build) = match begin(plan, depot, cancel).await {
        Ok(begun) => begun,
        Err(failure) => {
            let end = end(Origin::Built);
            return Box::pin(end.report(Err(failure), output, cancel)).await;
        }
    };
    for secret in build.secrets() {
        output.masker().add(secret.expose_secret());
    }
    output.say(closing::page(&build, output));

    let mut progress = Progress::new(output.options().clone());
    let building = build_and_finish(&inputs, &build, &mut progress, output, cancel);
    let result = Box::pin(building).await;
    warn_of_contexts(&inputs.files);
    let masker = output.masker();
    let results = Results::collect(plan, &build, &inputs.files, &progress, started, masker);
    let result: Caught<Result<Vec<Finished>>> = result.map(|result| {
        let images = result?;
        summary_file::write(&results, &images)?;
        Ok(images)
    });
    if let Ok(result) = &result {
        let ended = insights::Ended {
            plan,
            origin: Origin::Built,
            started,
            build: Some(&build),
            steps: Some((&results, &progress)),
            result: result.as_deref(),
        };
        Box::pin(ended.publish(output, cancel)).await;
    }
    let exit = match result {
        Ok(Ok(images)) => {
            output.say(closing::summary(&results, &images, output));
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
    output.say(closing::page(&build, output));
    exit
}

/// Prints a definition to the standard output, without secrets.
async fn print(definition: &str, output: &Output) -> Exit {
    let definition = output.masker().mask(format!("{definition}\n"));
    // It may block.
    let printing = tokio::task::spawn_blocking(move || stdout::print(&definition));
    match printing.await {
        Ok(Ok(())) => Exit::Success,
        Ok(Err(error)) => {
            tracing::error!("the definition cannot be printed: {error}");
            Exit::Infrastructure
        }
        Err(_panic) => Exit::Internal,
    }
}

/// The inputs of the work, checked before the build is created.
struct Inputs<'a> {
    plan: &'a Plan,
    /// The files of each image.
    files: Vec<ImageFiles>,
    daemon: Option<StepDaemon>,
    /// The platform of each image that is loaded.
    loads: Vec<Option<LoadChoice>>,
}

/// Connects to SSH agents and to the daemon, and opens the contexts, then creates the build.
async fn begin<'a>(
    plan: &'a Plan,
    depot: &DepotPlan,
    cancel: &Cancel,
) -> Result<(Inputs<'a>, Build)> {
    let tls = crate::http::roots::client_config(&plan.authorities).map_err(Failure::Tls)?;
    let api = Api::new(depot.api_url.clone(), tls, &plan.proxies);
    let api = api.map_err(Failure::Client)?;
    check_agents(plan, cancel).await?;
    let (daemon, loads) = StepDaemon::connect(plan, cancel).await?;
    let inputs = Inputs {
        plan,
        files: contexts::open(plan)?,
        daemon,
        loads,
    };
    let build = lifecycle::create(plan, depot, api, cancel).await?;
    Ok((inputs, build))
}

/// Checks the sockets of SSH agents, which only a connection can do.
async fn check_agents(plan: &Plan, cancel: &Cancel) -> Result<()> {
    for image in plan.built() {
        let checking = image.build.ssh.check();
        let checked = cancel.unless_fired(checking).await;
        let checked = checked.map_err(Failure::Canceled)?;
        checked.map_err(Failure::Agent)?;
    }
    Ok(())
}

/// Builds, shows the progress at the same time, and reports the outcome to Depot.
///
/// The three delay each other as little as possible: the outcome is reported to Depot before the last line is shown, and a panic
/// in the build or the progress does not prevent the report.
async fn build_and_finish(
    inputs: &Inputs<'_>,
    build: &Build,
    progress: &mut Progress,
    output: &Output,
    cancel: &Cancel,
) -> Caught<Result<Vec<Finished>>> {
    let targets = targets(inputs.plan, progress);
    let linked = links::sources(inputs.plan, &targets, progress);
    let (status, shown) = mpsc::channel::<Update>(STATUS_IN_FLIGHT);
    let redactor = redactor(output.masker());
    let (steps, receivers) = Steps::new(redactor.clone());
    let own_steps = display::own_steps(receivers.log, status.clone());
    let working = async {
        let building = async {
            let masker = output.masker();
            let run = prepare(
                inputs,
                build,
                &targets,
                &linked,
                (status, steps),
                masker,
                cancel,
            )?;
            work(run, inputs, targets, receivers.depot).await
        };
        // Work that does not end after a stop must not prevent the report to Depot.
        let building = cancel.unless_stuck(building);
        let result = AssertUnwindSafe(building).catch_unwind().await;
        let result =
            result.map(|ended| ended.unwrap_or_else(|reason| Err(Failure::Canceled(reason))));
        let outcome = match &result {
            Ok(Ok(_)) => Outcome::Success,
            Ok(Err(failure)) if matches!(failure.cause(), Failure::Canceled(_)) => {
                Outcome::Canceled
            }
            Ok(Err(failure)) => Outcome::Failure(redactor.redact(failure.one_line())),
            Err(_) => Outcome::Failure(redactor.redact("internal error in depot-build")),
        };
        lifecycle::finish(build, outcome, cancel).await;
        result
    };
    display::beside(progress, (shown, own_steps), output, cancel, working).await
}

/// Masks secrets in texts for Depot, including secrets that are added later.
fn redactor(masker: &Masker) -> Redactor {
    let masker = masker.clone();
    Redactor::new(move |text| masker.mask(text))
}

/// The machines of each image, each with the source of its steps. The label of a source has the image's name if there are several
/// images, and the platforms if the image has several machines.
fn targets(plan: &Plan, progress: &mut Progress) -> Vec<Vec<(Target, Source)>> {
    let is_only = plan.images.len() == 1;
    let of_image = |image: &ImagePlan| {
        let targets = target::targets(&image.build);
        let is_whole = targets.len() == 1;
        let targets = targets.into_iter().map(|target| {
            let label = match (is_only, is_whole) {
                (true, true) => return (target, Source::default()),
                (true, false) => target.label(),
                (false, true) => image.name.clone(),
                (false, false) => format!("{} {}", image.name, target.label()),
            };
            let source = progress.add_source(&label);
            (target, source)
        });
        targets.collect()
    };
    plan.images.iter().map(of_image).collect()
}

/// The state that the images share. No connection is open yet.
fn prepare<'a>(
    inputs: &'a Inputs<'_>,
    build: &'a Build,
    targets: &[Vec<(Target, Source)>],
    linked: &LinkedSources,
    (status, steps): (mpsc::Sender<Update>, Steps),
    masker: &'a Masker,
    cancel: &'a Cancel,
) -> Result<Run<'a>> {
    let plan = inputs.plan;
    let registries = Arc::new(Registries::new(plan, build.saved(), masker)?);
    let context = machines::Context {
        plan,
        build,
        registries: Arc::clone(&registries),
        steps: steps.clone(),
        masker,
    };
    let used = targets.iter().flatten();
    let machines = Machines::new(&context, used.map(|(target, _)| target.machine));
    Ok(Run {
        plan,
        build,
        machines,
        links: Links::new(plan, &inputs.files, linked),
        registries,
        daemon: inputs.daemon.as_ref(),
        steps,
        status,
        masker,
        cancel,
        pushed: Mutex::default(),
    })
}

/// Builds all images and writes the outputs. Sends our own steps to Depot at the same time.
async fn work(
    run: Run<'_>,
    inputs: &Inputs<'_>,
    targets: Vec<Vec<(Target, Source)>>,
    reports: mpsc::Receiver<StatusResponse>,
) -> Result<Vec<Finished>> {
    let (plan, build, cancel) = (run.plan, run.build, run.cancel);
    let reporting = build.report_steps(reports);
    // Owns the run, so that reports and progress end with the work.
    let working = async move {
        let finished = all_images(&run, inputs, targets).await;
        if let Some(daemon) = run.daemon {
            daemon.stop_looking();
        }
        run.machines.release(run.cancel).await;
        let finished = finished?;
        run.registries.report_unused();
        Ok(finished)
    };
    let mut reporting = std::pin::pin!(reporting);
    let mut working = std::pin::pin!(working);
    let mut is_reported = false;
    let finished = loop {
        tokio::select! {
            finished = &mut working => break finished,
            () = &mut reporting, if !is_reported => is_reported = true,
        }
    };
    if !is_reported && cancel.reason().is_none() {
        // The failed step should appear on the build's page.
        let _too_slow = cancel.within(REPORT_GRACE, reporting).await;
    }
    let finished = finished?;
    outputs::write(plan, Some(build), &finished)?;
    Ok(finished)
}

/// Builds all images at the same time, with regular health reports to Depot for each machine.
async fn all_images(
    run: &Run<'_>,
    inputs: &Inputs<'_>,
    targets: Vec<Vec<(Target, Source)>>,
) -> Result<Vec<Finished>> {
    let stop = run.cancel.child();
    let jobs = jobs(run, inputs, targets, &stop)?;
    if let Some(daemon) = run.daemon {
        daemon.start_looking(run.plan, run.build, run.masker).await;
    }
    let is_only = jobs.len() == 1;
    let images = jobs.iter().map(async |job| {
        let delivered = image::deliver(run, job).await;
        delivered.map_err(|failure| match failure {
            // These concern all images.
            Failure::Canceled(_) | Failure::Machine(_) | Failure::Connect(_) => failure,
            _ if is_only => failure,
            _ => Failure::Image(Box::new(ImageFailure {
                image: job.plan.name.clone(),
                failure,
            })),
        })
    });
    let finished = tokio::select! {
        finished = together(&stop, images) => finished,
        never = run.machines.report_health(run.cancel) => never,
    };
    if let (Err(failure), false) = (&finished, is_only) {
        let pushed = run.pushed_except(failure.image());
        if !pushed.is_empty() {
            tracing::error!("already pushed: {}", pushed.join(", "));
        }
    }
    finished
}

/// The inputs of each image. `stop` stops them all.
fn jobs<'a>(
    run: &Run<'a>,
    inputs: &'a Inputs<'_>,
    targets: Vec<Vec<(Target, Source)>>,
    stop: &Cancel,
) -> Result<Vec<Job<'a>>> {
    let is_only = run.plan.images.len() == 1;
    let images = inputs.plan.images.iter().zip(&inputs.files);
    let images = images.zip(&inputs.loads).zip(targets).enumerate();
    let jobs = images.map(|(index, (((plan, files), load), targets))| {
        let suffix = (run.plan.is_bake || !is_only).then(|| names::tag_suffix(&plan.name, index));
        Ok(Job {
            plan,
            files: files.clone(),
            names: Names::new(&plan.destinations, run.build, suffix.as_deref())?,
            form: if targets.len() == 1 {
                Form::Whole
            } else {
                Form::Part
            },
            targets,
            load: load.clone(),
            cancel: stop.child(),
            prepared: OnceCell::new(),
        })
    });
    jobs.collect()
}
