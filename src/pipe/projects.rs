//! The builds of a run: one, or one for each project of a definition's targets. They run at the same time.

use std::borrow::Cow;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::building::{self, Caught, Channels, ProjectBuild};
use super::delivered::Finished;
use super::failure::Failure;
use super::together::is_consequence;
use super::{Result, STATUS_IN_FLIGHT, display, lifecycle, linked, outputs};
use crate::cancel::{Cancel, Reason};
use crate::config::Plan;
use crate::config::plan::{DepotPlan, Description, ProjectSource};
use crate::depot::{Outcome, Redactor, Steps};
use crate::report::mask::Masker;
use crate::report::output::Output;
use crate::report::progress::{Progress, Update};

/// The images of one project.
pub(super) struct Part<'a> {
    plan: Cow<'a, Plan>,
    depot: DepotPlan,
    /// The positions of the images in the plan of the run.
    positions: Vec<usize>,
    is_whole: bool,
}

impl Part<'_> {
    /// The plan with the images of the project only.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn depot(&self) -> &DepotPlan {
        &self.depot
    }

    /// Whether the run has no other project.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// The projects of a run, in the order of their first images. `depot` has the project of the images that name none.
pub(super) fn parts<'a>(plan: &'a Plan, depot: &DepotPlan) -> Vec<Part<'a>> {
    let mut projects: Vec<(&str, Vec<usize>)> = Vec::new();
    for (position, image) in plan.images.iter().enumerate() {
        let project = image.project.as_deref().unwrap_or(&depot.project_id);
        match projects.iter_mut().find(|(known, _)| *known == project) {
            Some((_, positions)) => positions.push(position),
            None => projects.push((project, vec![position])),
        }
    }
    let is_whole = projects.len() == 1;
    let parts = projects.into_iter().map(|(project, positions)| {
        let mut depot = depot.clone();
        if depot.project_id != project {
            project.clone_into(&mut depot.project_id);
            depot.project_source = ProjectSource::Definition;
        }
        let plan = if is_whole {
            Cow::Borrowed(plan)
        } else {
            Cow::Owned(part(plan, &positions, &depot))
        };
        Part {
            plan,
            depot,
            positions,
            is_whole,
        }
    });
    parts.collect()
}

/// The plan with the images at `positions`, and their inputs.
fn part(plan: &Plan, positions: &[usize], depot: &DepotPlan) -> Plan {
    let images = positions
        .iter()
        .filter_map(|position| plan.images.get(*position));
    let images: Vec<_> = images.cloned().collect();
    let names: Vec<&str> = images
        .iter()
        .flat_map(|image| linked::names_below(plan, image))
        .collect();
    let inputs = plan.inputs.iter();
    let inputs = inputs.filter(|input| names.contains(&&*input.name));
    Plan {
        inputs: inputs.cloned().collect(),
        depot: Some(depot.clone()),
        description: Description::Project,
        images,
        ..plan.clone()
    }
}

/// Creates the builds of all projects. If one cannot be created, the others are finished at Depot.
///
/// # Errors
/// The first failure, with its project.
pub(super) async fn begin<'a>(
    parts: &'a [Part<'a>],
    cancel: &Cancel,
) -> std::result::Result<Vec<ProjectBuild<'a>>, (&'a Part<'a>, Failure)> {
    let stop = &cancel.child();
    let creating = parts.iter().enumerate();
    let creating = creating.map(async |(index, part)| (index, building::begin(part, stop).await));
    let mut creating: FuturesUnordered<_> = creating.collect();
    let mut finishing = FuturesUnordered::new();
    let mut builds: Vec<(usize, ProjectBuild<'a>)> = Vec::new();
    let mut failed: Option<(&Part<'_>, Failure)> = None;
    loop {
        let is_over = failed.is_none() || builds.is_empty();
        if creating.is_empty() && finishing.is_empty() && is_over {
            break;
        }
        tokio::select! {
            Some((index, begun)) = creating.next() => match begun {
                Ok(build) => builds.push((index, build)),
                Err(failure) => {
                    stop.fire(Reason::Sibling);
                    let is_cause = failed
                        .as_ref()
                        .is_none_or(|(_, failure)| is_consequence(failure));
                    if let (true, Some(part)) = (is_cause, parts.get(index)) {
                        failed = Some((part, failure));
                    }
                }
            },
            // Those that exist do not wait for a call that hangs.
            _reason = stop.fired(), if !builds.is_empty() => {
                finishing.extend(builds.drain(..).map(async |(_, begun)| {
                    lifecycle::finish(&begun.build, Outcome::Canceled, cancel).await;
                }));
            }
            Some(()) = finishing.next() => {}
        }
    }
    if let Some(failed) = failed {
        return Err(failed);
    }
    builds.sort_by_key(|(index, _)| *index);
    Ok(builds.into_iter().map(|(_, build)| build).collect())
}

/// Builds the images of all projects, shows the progress at the same time, and reports each outcome to Depot. A failure stops all.
pub(super) async fn build_all(
    plan: &Plan,
    builds: &[ProjectBuild<'_>],
    progress: &mut Progress,
    output: &Output,
    cancel: &Cancel,
) -> Caught<Result<Vec<Finished>>> {
    let (status, shown) = mpsc::channel::<Update>(STATUS_IN_FLIGHT);
    let masker = output.masker();
    let redactor = &redactor(masker);
    let stop = &cancel.child();
    let mut own_steps = Vec::new();
    let mut working = Vec::new();
    for build in builds {
        let plan = build.part.plan();
        let targets = building::targets(plan, progress);
        let linked = linked::targets(plan, &targets, progress);
        let (steps, receivers) = Steps::new(redactor.clone());
        own_steps.push(display::own_steps(receivers.log, status.clone()));
        let channels = Channels {
            status: status.clone(),
            steps,
            reports: receivers.depot,
        };
        working.push(async move {
            let texts = (masker, redactor);
            build
                .build_and_finish(targets, &linked, channels, texts, stop)
                .await
        });
    }
    // The log ends with the last build.
    drop(status);
    let own_steps = async {
        join_all(own_steps).await;
    };
    let working = join_all(working);
    let results = display::beside(progress, (shown, own_steps), output, cancel, working).await;
    let finished = match merged(builds, results)? {
        Ok(finished) => finished,
        Err(failure) => return Ok(Err(failure)),
    };
    let is_written = builds.iter().any(|build| build.part.is_whole());
    let written = if is_written {
        Ok(())
    } else {
        outputs::write(plan, builds, &finished)
    };
    Ok(written.map(|()| finished))
}

/// The images of all builds in the order of the plan, or the failure that is the cause of the others.
fn merged(
    builds: &[ProjectBuild<'_>],
    results: Vec<Caught<Result<Vec<Finished>>>>,
) -> Caught<Result<Vec<Finished>>> {
    let mut finished = Vec::new();
    let mut failure: Option<Failure> = None;
    for (build, result) in builds.iter().zip(results) {
        match result? {
            Ok(images) => finished.extend(build.part.positions.iter().zip(images)),
            Err(next) => {
                if failure.as_ref().is_none_or(is_consequence) {
                    failure = Some(next);
                }
            }
        }
    }
    let Some(failure) = failure else {
        finished.sort_by_key(|(position, _)| **position);
        return Ok(Ok(finished.into_iter().map(|(_, image)| image).collect()));
    };
    // The builds that failed have listed theirs.
    let pushed: Vec<String> = finished
        .iter()
        .flat_map(|(_, image)| image.names())
        .collect();
    if !pushed.is_empty() {
        tracing::error!("already pushed: {}", pushed.join(", "));
    }
    Ok(Err(failure))
}

/// Masks secrets in texts for Depot, including secrets that are added later.
pub(super) fn redactor(masker: &Masker) -> Redactor {
    let masker = masker.clone();
    Redactor::new(move |text| masker.mask(text))
}
