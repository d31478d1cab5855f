//! The build of one project: its inputs, its images on the machines, and its end at Depot.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::slice;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use futures_util::FutureExt;
use tokio::sync::{OnceCell, mpsc};

use super::Result;
use super::contexts::{self, ImageFiles};
use super::delivered::Finished;
use super::failure::{Failure, ImageFailure};
use super::job::Job;
use super::linked::LinkedTarget;
use super::links::Links;
use super::load::StepDaemon;
use super::load::choice::LoadChoice;
use super::machines::{self, Machines};
use super::names::{self, Names};
use super::projects::Part;
use super::registries::Registries;
use super::round::Form;
use super::run::Run;
use super::target::{self, Target};
use super::together::together;
use super::{image, lifecycle, outputs};
use crate::cancel::{Cancel, Reason};
use crate::config::Plan;
use crate::config::plan::ImagePlan;
use crate::depot::{Api, Build, Outcome, Redactor, Steps};
use crate::report::mask::Masker;
use crate::report::progress::{Progress, Source, Update};

/// How long sending the last of our own steps to Depot may take.
const REPORT_GRACE: Duration = Duration::from_millis(250);

/// In the outer result, a panic is an internal error.
pub(super) type Caught<T> = std::result::Result<T, Box<dyn Any + Send>>;

/// A build at Depot, and the images of its project.
pub(super) struct ProjectBuild<'a> {
    pub(super) build: Build,
    /// The images of the project.
    pub(super) part: &'a Part<'a>,
    pub(super) inputs: Inputs<'a>,
}

/// The channels of one build.
pub(super) struct Channels {
    /// Shows steps in the log.
    pub(super) status: mpsc::Sender<Update>,
    /// Our own steps.
    pub(super) steps: Steps,
    /// Our own steps, for Depot.
    pub(super) reports: mpsc::Receiver<StatusResponse>,
}

/// The inputs of the work, checked before the build is created.
pub(super) struct Inputs<'a> {
    pub(super) plan: &'a Plan,
    /// The files of each image.
    pub(super) files: Vec<ImageFiles>,
    daemon: Option<StepDaemon>,
    /// The platform of each image that is loaded.
    loads: Vec<Option<LoadChoice>>,
}

/// Connects to SSH agents and to the daemon, and opens the contexts, then creates the build.
pub(super) async fn begin<'a>(part: &'a Part<'a>, cancel: &Cancel) -> Result<ProjectBuild<'a>> {
    let (plan, depot) = (part.plan(), part.depot());
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
    Ok(ProjectBuild {
        build,
        part,
        inputs,
    })
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

impl ProjectBuild<'_> {
    /// Builds the images, and reports the outcome to Depot. Writes the outputs, if the run has no other build.
    ///
    /// A panic in the build does not prevent the report, and the report is made before the last line is shown.
    pub(super) async fn build_and_finish(
        &self,
        targets: Vec<Vec<(Target, Source)>>,
        linked: &[LinkedTarget],
        channels: Channels,
        (masker, redactor): (&Masker, &Redactor),
        cancel: &Cancel,
    ) -> Caught<Result<Vec<Finished>>> {
        let build = &self.build;
        let building = async {
            let Channels {
                status,
                steps,
                reports,
            } = channels;
            let run = prepare(
                &self.inputs,
                build,
                &targets,
                linked,
                (status, steps),
                masker,
                cancel,
            )?;
            let finished = work(run, &self.inputs, targets, reports).await?;
            if self.part.is_whole() {
                outputs::write(self.part.plan(), slice::from_ref(self), &finished)?;
            }
            Ok(finished)
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
        if !matches!(result, Ok(Ok(_))) {
            // The builds of other projects stop now.
            cancel.fire(Reason::Sibling);
        }
        lifecycle::finish(build, outcome, cancel).await;
        result
    }
}

/// The machines of each image, each with the source of its steps. The label of a source has the image's name if there are several
/// images, and the platforms if the image has several machines.
pub(super) fn targets(plan: &Plan, progress: &mut Progress) -> Vec<Vec<(Target, Source)>> {
    let is_only = plan.has_one_image();
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
    linked: &[LinkedTarget],
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

/// Builds all images. Sends our own steps to Depot at the same time.
async fn work(
    run: Run<'_>,
    inputs: &Inputs<'_>,
    targets: Vec<Vec<(Target, Source)>>,
    reports: mpsc::Receiver<StatusResponse>,
) -> Result<Vec<Finished>> {
    let (build, cancel) = (run.build, run.cancel);
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
    finished
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
    let is_only = run.plan.has_one_image();
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
    let is_only = run.plan.has_one_image();
    let images = inputs.plan.images.iter().zip(&inputs.files);
    let images = images.zip(&inputs.loads).zip(targets).enumerate();
    let jobs = images.map(|(index, (((plan, files), load), targets))| {
        let suffix = (run.plan.is_bake() || !is_only).then(|| names::tag_suffix(&plan.name, index));
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
