//! Merges the parts that several machines have pushed by digest into one image, and pushes it under its names.
//!
//! The builders have already pushed every blob to every repository, so little is left to do: each part's index is read
//! back, and one index of all parts is pushed under every tag. No tag is set before all parts are complete.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::try_join_all;

use super::Result;
use super::delivered::Delivered;
use super::failure::{Failure, PublishFailure};
use super::job::Job;
use super::run::Run;
use crate::depot::Step;
use crate::registry::index::{self, Part};
use crate::registry::manifest::Manifest;
use crate::registry::publish::publish;
use crate::registry::reference::Reference;

/// Merges `parts`, one for each target in the targets' order. Returns the image with its names.
pub(super) async fn merge(
    run: &Run<'_>,
    job: &Job<'_>,
    parts: &[&[Delivered]],
) -> Result<Vec<Delivered>> {
    let targets = job.targets.iter().map(|(target, _)| target.to_string());
    let targets: Vec<String> = targets.collect();
    let step = run
        .steps
        .begin(&format!("[depot] merging {}", targets.join(" and ")));
    let put = Mutex::default();
    let merging = images(run, job, parts, &step, &put);
    let merged = match job.cancel.unless_fired(merging).await {
        Ok(merged) => merged,
        Err(reason) => {
            let put = put.into_inner().unwrap_or_else(PoisonError::into_inner);
            job.report_pushed(|name| put.contains(name));
            Err(Failure::Canceled(reason))
        }
    };
    match &merged {
        Ok(_) => step.done(),
        Err(Failure::Canceled(_)) => step.canceled(),
        Err(failure) => step.failed(run.masker.mask(failure.one_line())),
    }
    merged
}

/// One image for all names, or one for each manifest format that the registries accept.
///
/// Each name is added to `put` as soon as it is pushed.
async fn images(
    run: &Run<'_>,
    job: &Job<'_>,
    parts: &[&[Delivered]],
    step: &Step,
    put: &Mutex<Vec<Reference>>,
) -> Result<Vec<Delivered>> {
    let on_put = |name: &Reference| {
        let mut put = put.lock().unwrap_or_else(PoisonError::into_inner);
        put.push(name.clone());
    };
    let mut delivered: Vec<Delivered> = Vec::new();
    let mut failures = Vec::new();
    for (digests, names) in alike(job, parts)? {
        let image = image(run, job, &digests, &names).await?;
        let mut pushed = Vec::new();
        let client = &run.registries.client;
        for (name, result) in publish(client, &image, &names, on_put).await {
            match result {
                Ok(()) => {
                    step.say(format_args!("pushed {name}@{}", image.digest));
                    pushed.push(name);
                }
                Err(error) => failures.push((name, error)),
            }
        }
        delivered.push(Delivered {
            names: pushed,
            digest: Some(image.digest),
        });
    }
    let mut failures = failures.into_iter();
    let Some((reference, source)) = failures.next() else {
        return Ok(delivered);
    };
    let pushed = delivered.iter().flat_map(|image| &image.names);
    let others = failures.map(|(name, _)| name.to_string());
    Err(Failure::Publish(Box::new(PublishFailure {
        pushed: pushed.map(ToString::to_string).collect(),
        missing: [reference.to_string()].into_iter().chain(others).collect(),
        reference,
        source,
    })))
}

/// Groups the names by their parts: the digest of each part, in the order of the targets.
///
/// All names have the same parts unless a registry received its parts in a separate round.
fn alike(job: &Job<'_>, parts: &[&[Delivered]]) -> Result<BTreeMap<Vec<String>, Vec<Reference>>> {
    let mut alike: BTreeMap<Vec<String>, Vec<Reference>> = BTreeMap::new();
    for name in job.names.pushed() {
        let digests: Option<Vec<String>> = parts
            .iter()
            .map(|part| {
                let round = part.iter().find(|round| round.names.contains(name))?;
                round.digest.clone()
            })
            .collect();
        let digests = digests.ok_or_else(|| Failure::NoDigest(name.to_string()))?;
        alike.entry(digests).or_default().push(name.clone());
    }
    Ok(alike)
}

/// Reads the parts back in parallel and merges them.
async fn image(
    run: &Run<'_>,
    job: &Job<'_>,
    digests: &[String],
    names: &[Reference],
) -> Result<Manifest> {
    let Some(name) = names.first() else {
        return Err(Failure::NoDigest("the image".into()));
    };
    let (host, repository) = (name.host(), name.repository());
    let client = &run.registries.client;
    let reading = digests
        .iter()
        .zip(&job.targets)
        .map(async |(digest, (target, _))| {
            let manifest = client.manifest(host, repository, digest).await;
            manifest
                .map(|manifest| Part::new(manifest, target.platform()))
                .map_err(|source| Failure::ReadBack {
                    target: target.to_string(),
                    source: Box::new(source),
                })
        });
    let parts = try_join_all(reading).await?;
    index::merge(&parts, &job.plan.metadata.annotations).map_err(Failure::Merge)
}
