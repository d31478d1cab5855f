//! One run, from the plan to the exit code.
//!
//! Creates a build at Depot, builds all images on its machines at the same time, and always finishes the build at Depot, even
//! after a failure. A stop is passed down as a [`Cancel`], from the run to its images and their machines; only cancel-safe
//! futures are dropped.

mod authorizer;
mod building;
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
mod linked;
mod links;
pub(crate) mod load;
mod machines;
mod merge;
mod names;
mod one_digest;
mod outputs;
mod projects;
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

use std::time::Instant;

use secrecy::ExposeSecret;

use crate::cancel::{Cancel, Reason};
use crate::config::Plan;
use crate::exit::Exit;
use crate::report::output::Output;
use crate::report::progress::Progress;
use crate::report::stdout;
use crate::report::summary::Origin;
use building::Caught;
use delivered::Finished;
use failure::Failure;
use results::{Results, warn_of_contexts};

/// The number of status messages that wait to be shown. If there are more, the builder waits.
const STATUS_IN_FLIGHT: usize = 64;

/// The result of the work.
type Result<T> = std::result::Result<T, Failure>;

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
    let end = |plan, origin| unbuilt::End {
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
                outputs::write(plan, &[], &images)?;
                Ok(images)
            });
            let end = end(plan, Origin::Existing);
            return Box::pin(end.report(written, output, cancel)).await;
        }
    }
    let parts = projects::parts(plan, depot);
    let builds = match projects::begin(&parts, cancel).await {
        Ok(builds) => builds,
        Err((part, failure)) => {
            let end = end(part.plan(), Origin::Built);
            return Box::pin(end.report(Err(failure), output, cancel)).await;
        }
    };
    for secret in builds.iter().flat_map(|begun| begun.build.secrets()) {
        output.masker().add(secret.expose_secret());
    }
    output.say(closing::pages(&builds, output));

    let mut progress = Progress::new(output.options().clone());
    let building = projects::build_all(plan, &builds, &mut progress, output, cancel);
    let result = Box::pin(building).await;
    let files = builds.iter().flat_map(|begun| &begun.inputs.files);
    warn_of_contexts(files.clone());
    let masker = output.masker();
    let results = Results::collect(plan, &builds, files, &progress, started, masker);
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
            build: builds.first().map(|begun| &begun.build),
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
    output.say(closing::pages(&builds, output));
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
