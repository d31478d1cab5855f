//! One image of a run: built on its machines, pushed, merged and loaded.

use std::cell::Cell;
use std::collections::HashMap;

use futures_util::future::join_all;

use super::Result;
use super::delivered::{Built, Delivered, Finished, PlatformImage};
use super::exporting::Exports;
use super::failure::Failure;
use super::job::Job;
use super::load::choice::LoadChoice;
use super::load::{self, Loading, StepDaemon};
use super::merge;
use super::round::{Form, docker_form_hosts};
use super::run::Run;
use super::sboms;
use super::share::{Share, ShareResult};
use super::together::together;
use crate::docker::{Loaded, Passing};

/// Builds the image on all its machines, merges the parts if there are several, loads the image, and writes its exports.
///
/// Not cancel safe: stop it through the image's `cancel`.
pub(super) async fn deliver(run: &Run<'_>, job: &Job<'_>) -> Result<Finished> {
    let exports = Exports::begin(job)?;
    let finished = deliver_with(run, job, &exports).await;
    exports.remove(run.cancel).await;
    finished
}

async fn deliver_with(run: &Run<'_>, job: &Job<'_>, exports: &Exports<'_>) -> Result<Finished> {
    warn_of_bare_names(job);
    let shares = shares(run, job, exports);
    let mut results = together(&job.cancel, shares.iter().map(Share::build)).await?;
    let sboms = match run.plan.outputs.sboms {
        Some(_) => sboms::read(job, &shares, &results).await?,
        None => Vec::new(),
    };
    let platforms = platforms(run, job, &results).await;
    let is_pushed = !job.names.is_pushed_nowhere();
    // Without a push, only the loaded share was exported as an image.
    let is_only_exported = !is_pushed && job.load.is_none();
    let mut exported = shares.iter().zip(&results);
    let exported = exported.find(|(share, _)| is_pushed || is_only_exported || share.is_loaded());
    let mut response = exported.map_or_else(HashMap::new, |(_, result)| {
        result.built.solved.response.clone()
    });
    let parts: Vec<_> = results.iter().map(|result| &*result.delivered).collect();
    let mut delivered = if job.form == Form::Part && is_pushed {
        let merged = merge::merge(run, job, &parts).await?;
        set_merged_response(&mut response, &merged);
        merged
    } else {
        parts.concat()
    };
    remove_names_for_pull(job, &mut delivered);
    run.note_pushed(&job.plan.name, names_of(&delivered));
    let mut loaded = None;
    let loaded_bytes = Cell::new(None);
    let mut built = shares.iter().zip(&mut results);
    let built = built.find(|(share, _)| share.is_loaded());
    if let (Some(daemon), Some(choice), Some((share, result))) = (run.daemon, &job.load, built) {
        let loading = load(run, job, (daemon, choice), share, (result, &loaded_bytes));
        let image = Box::pin(loading).await;
        let image = image.map_err(|failure| failure.after_pushing(names_of(&delivered)))?;
        let solved = &result.built.solved;
        // After a loss, a machine may have built a different image for the load.
        if !is_pushed && solved.ids().any(|id| *id == image.id) {
            response.clone_from(&solved.response);
        }
        loaded = Some(image);
        if !job.plan.destinations.push {
            // Without a name in a registry, a digest has no use.
            delivered.retain(|image| !image.names.is_empty());
            delivered.push(Delivered {
                names: job.names.loaded(),
                digest: None,
            });
        }
    }
    if let Some(reason) = job.cancel.reason() {
        return Err(Failure::Canceled(reason));
    }
    let exported = exports.place(run, &results).await;
    let exported = exported.map_err(|failure| failure.after_pushing(names_of(&delivered)))?;
    Ok(Finished {
        exported,
        delivered,
        platforms,
        response,
        loaded,
        loaded_bytes: loaded_bytes.get(),
        saved: job.names.saved(),
        sboms,
    })
}

/// Warns of registries that get the image without the requested annotations and attestations.
fn warn_of_bare_names(job: &Job<'_>) {
    let metadata = &job.plan.metadata;
    let has_annotations = metadata.annotations.iter().next().is_some();
    if metadata.sbom.is_none() && metadata.requested.is_empty() && !has_annotations {
        return;
    }
    for host in docker_form_hosts(job.names.pushed()) {
        tracing::warn!(
            "`{host}` does not accept OCI manifests; pushing Docker manifests without attestations and annotations"
        );
    }
}

/// One share for each machine, in the order of the targets.
fn shares<'a>(run: &'a Run<'a>, job: &'a Job<'a>, exports: &'a Exports<'a>) -> Vec<Share<'a>> {
    let targets = job.targets.iter().enumerate();
    let shares = targets.map(|(index, (target, source))| {
        let machine = run.machines.of(target.machine);
        let is_loaded = job.load.as_ref().is_some_and(|load| load.target == index);
        let loaded = is_loaded.then(|| job.names.loaded());
        Share::new(run, job, machine, (target, *source), loaded, exports)
    });
    shares.collect()
}

/// The manifest of each platform, if it is available without delaying the build.
async fn platforms(run: &Run<'_>, job: &Job<'_>, results: &[ShareResult]) -> Vec<PlatformImage> {
    let may_read = run.plan.outputs.shell.is_some();
    let results = results.iter();
    let reading = results.map(|result| load::platforms(&result.built, may_read));
    let read = job.cancel.unless_fired(join_all(reading)).await;
    read.unwrap_or_default().into_iter().flatten().collect()
}

/// Loads the image of a share. A machine that is lost is requested again, for the same image.
async fn load(
    run: &Run<'_>,
    job: &Job<'_>,
    (daemon, choice): (&StepDaemon, &LoadChoice),
    share: &Share<'_>,
    (result, loaded_bytes): (&mut ShareResult, &Cell<Option<u64>>),
) -> Result<Loaded> {
    let waiting = job.cancel.unless_fired(daemon.turn());
    let mut look = waiting.await.map_err(Failure::Canceled)?;
    if result.has_no_pull {
        look.forget_pull();
    }
    let passing = Passing::default();
    let names = job.names.loaded();
    let mut image = None;
    let ended = loop {
        let loading = Loading {
            run,
            job,
            daemon,
            choice,
            names: &names,
            solver: &share.solver,
            built: &result.built,
            passing: &passing,
            loaded_bytes,
        };
        let failure = match loading.run(&mut look, &mut image).await {
            Err(failure) if failure.is_broken() => failure,
            ended => break ended.inspect(|_| share.note_success()),
        };
        if image.is_none() && !job.names.is_pushed_nowhere() {
            // A new export might differ from the image that was already pushed.
            break Err(failure);
        }
        match again(run, share, &result.built, failure).await {
            Ok(built) => result.built = built,
            Err(failure) => break Err(failure),
        }
        look.forget_pull();
    };
    load::sweep(daemon, &passing, run.cancel).await;
    ended
}

/// Exports the image again after its machine was lost.
///
/// # Errors
/// `failure`, the failure of the load, unless the run was stopped.
async fn again(run: &Run<'_>, share: &Share<'_>, built: &Built, failure: Failure) -> Result<Built> {
    match share.build_again(&built.link, &failure).await {
        Ok(Some(built)) => Ok(built),
        Ok(None) => Err(failure),
        Err(canceled @ Failure::Canceled(_)) => Err(canceled),
        Err(error) => {
            // The failure of the load is reported instead, with the names that were pushed.
            let why = run.masker.mask(error.one_line());
            tracing::warn!("the image could not be exported again: {why}");
            Err(failure)
        }
    }
}

/// Removes the names that existed only so that the daemon could pull the image.
fn remove_names_for_pull(job: &Job<'_>, delivered: &mut Vec<Delivered>) {
    let names = &job.names;
    if names.pushed().count() == names.kept().count() {
        return;
    }
    for image in delivered.iter_mut() {
        image.names.retain(|name| !names.is_for_pull(name));
    }
    delivered.retain(|image| !image.names.is_empty());
}

/// Changes the response to that of an exporter that had built all parts.
fn set_merged_response(response: &mut HashMap<String, String>, merged: &[Delivered]) {
    response.retain(|key, _| !key.starts_with("containerimage."));
    let digest = merged.first().and_then(|image| image.digest.clone());
    response.extend(digest.map(|digest| ("containerimage.digest".into(), digest)));
    response.insert("image.name".into(), names_of(merged).join(","));
}

fn names_of(delivered: &[Delivered]) -> Vec<String> {
    let names = delivered.iter().flat_map(|image| &image.names);
    names.map(ToString::to_string).collect()
}
