//! The file of `SUMMARY_FILE`: the summary of a successful run as JSON.
//!
//! The README documents its fields. Later versions of the pipe add fields, and change or remove none without another `version`.

use serde_json::{Map, Value, json};

use super::Result;
use super::delivered::Finished;
use super::outputs::{names_of, write_requested};
use super::results::{Results, loaded_bytes};
use crate::config::plan::Destinations;
use crate::ordered::IntoOrdered;
use crate::report::summary::Origin;

/// The version of the fields.
const VERSION: u32 = 1;

/// Writes the file, if it is requested.
pub(super) fn write(results: &Results<'_>, images: &[Finished]) -> Result<()> {
    let Some(path) = &results.plan.outputs.summary else {
        return Ok(());
    };
    let summary = summary(results, images);
    let mut text = serde_json::to_string_pretty(&summary).unwrap_or_default();
    text.push('\n');
    write_requested(results.plan, "SUMMARY_FILE", path, text.as_bytes(), images)
}

fn summary(results: &Results<'_>, images: &[Finished]) -> Value {
    let figures = &results.figures;
    let phases = figures.phases.iter();
    let phases: Map<String, Value> = phases
        .map(|(phase, time)| (phase.name().to_owned(), seconds(*time)))
        .into_ordered();
    let slowest = figures.slowest.iter();
    let slowest: Vec<Value> = slowest
        .map(|step| {
            let name = results.masked(&step.name);
            json!({ "name": name, "seconds": seconds(step.time) })
        })
        .collect();
    let all = results.plan.destinations().zip(images).enumerate();
    let all: Vec<Value> = all
        .map(|(index, (destinations, finished))| {
            let plan = results.plan.images.get(index);
            let target = plan.and_then(|plan| plan.build.target.as_deref());
            image(results, target, destinations, finished)
        })
        .collect();
    let origin = match results.origin {
        Origin::Built => "built",
        Origin::Copied => "copied",
        Origin::Existing => "existing",
    };
    let builds = results.builds.iter().map(|begun| {
        let build = &begun.build;
        json!({
            "id": build.id(),
            "project": build.project_id(),
            "url": build.url(),
        })
    });
    let builds: Vec<Value> = builds.collect();
    json!({
        "version": VERSION,
        "origin": origin,
        "build": builds.first(),
        "builds": builds,
        "images": all,
        "seconds": seconds(results.elapsed),
        "phases": phases,
        "steps": { "total": figures.steps, "cached": figures.cached, "slowest": slowest },
        "context": { "bytes": results.context.total, "sent_bytes": results.context.sent },
        "loaded_bytes": loaded_bytes(images),
    })
}

fn image(
    results: &Results<'_>,
    target: Option<&str>,
    destinations: &Destinations,
    finished: &Finished,
) -> Value {
    let names = names_of(destinations, finished).into_iter();
    let names: Vec<Value> = names
        .map(|(name, digest)| json!({ "name": name.to_string(), "digest": digest }))
        .collect();
    let platforms = finished.platforms.iter();
    let platforms: Vec<Value> = platforms
        .map(|image| {
            json!({
                "platform": image.platform.to_string(),
                "digest": image.digest,
                "bytes": image.bytes,
            })
        })
        .collect();
    let exported = finished.exported.iter();
    let exported: Vec<String> = exported
        .map(|export| results.masked(&export.label))
        .collect();
    json!({
        "target": target,
        "names": names,
        "saved": finished.saved,
        "loaded_id": finished.loaded.as_ref().map(|loaded| &loaded.id),
        "platforms": platforms,
        "outputs": exported,
    })
}

/// Seconds with three digits after the point.
#[expect(clippy::cast_precision_loss, reason = "exact below 285 000 years")]
fn seconds(time: std::time::Duration) -> Value {
    json!(time.as_millis() as f64 / 1000.0)
}
