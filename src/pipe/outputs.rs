//! What the rest of the pipeline is told of a run: files, once all else is done.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Result;
use super::failure::Failure;
use super::machines::Finished;
use crate::bitbucket::{Outputs, outputs};
use crate::config::Plan;
use crate::depot::Build;
use crate::docker;

/// The file in the pipe's storage folders.
const STORED: &str = "depot-build.env";

/// Writes every file that was asked for, and those that Bitbucket has a place for.
pub(super) fn write(plan: &Plan, build: &Build, finished: &Finished) -> Result<()> {
    let told = told(plan, build, finished);
    let asked = &plan.outputs;
    if let Some(path) = &asked.shell {
        asked_for("OUTPUT_FILE", path, told.for_shell().as_bytes(), finished)?;
    }
    if let Some(path) = &asked.metadata {
        let metadata = metadata(build, &finished.response);
        let text = serde_json::to_string_pretty(&metadata).unwrap_or_default();
        asked_for("METADATA_FILE", path, text.as_bytes(), finished)?;
    }
    if let Some(path) = &asked.image_id
        && let Some(id) = image_id(finished)
    {
        asked_for("IID_FILE", path, id.as_bytes(), finished)?;
    }
    let pipeline = &plan.pipeline;
    for folder in [&pipeline.storage_dir, &pipeline.shared_storage_dir]
        .into_iter()
        .flatten()
    {
        let path = folder.join(STORED);
        unasked(
            &path,
            outputs::write_whole(&path, told.for_shell().as_bytes()),
        );
    }
    if !asked.variables.is_empty() {
        let path = pipeline.variables_path.as_deref();
        let path = path.unwrap_or(Path::new("BITBUCKET_PIPELINES_VARIABLES_PATH"));
        if let Err(error) = outputs::append(path, &told.for_bitbucket(&asked.variables)) {
            tracing::warn!(
                "OUTPUT_VARIABLES: later steps get none, since `{}` cannot be written: {error}; use OUTPUT_FILE and an artifact",
                path.display()
            );
        }
    }
    Ok(())
}

fn asked_for(
    variable: &'static str,
    path: &Path,
    content: &[u8],
    finished: &Finished,
) -> Result<()> {
    outputs::write_whole(path, content).map_err(|source| {
        let names = finished.delivered.iter().flat_map(|image| &image.names);
        Failure::Output {
            variable,
            path: path.to_owned(),
            source,
            delivered: names.map(ToString::to_string).collect(),
        }
    })
}

/// Bitbucket names these places whether or not a pipe can write there.
fn unasked(path: &Path, written: std::io::Result<()>) {
    if let Err(error) = written {
        tracing::debug!("nothing is told in `{}`: {error}", path.display());
    }
}

fn told(plan: &Plan, build: &Build, finished: &Finished) -> Outputs {
    let mut told = Outputs::default();
    let known = finished.delivered.iter().flat_map(|image| {
        let digest = image.digest.as_deref();
        image.names.iter().map(move |name| (name, digest))
    });
    let mut known: Vec<_> = known.collect();
    // In the order in which they were asked for, whatever order they were pushed in; those at Depot come last.
    let asked = &plan.image.references;
    known.sort_by_key(|(name, _)| {
        let place = asked.iter().position(|asked| asked == *name);
        place.unwrap_or(asked.len())
    });
    if let Some((name, digest)) = known.first() {
        told.add("DEPOT_BUILD_IMAGE", name.to_string());
        let names: Vec<_> = known.iter().map(|(name, _)| name.to_string()).collect();
        told.add("DEPOT_BUILD_IMAGES", names.join(" "));
        if let Some(digest) = digest {
            told.add("DEPOT_BUILD_DIGEST", digest);
            let image = format!("{}/{}@{digest}", name.host(), name.repository());
            told.add("DEPOT_BUILD_IMAGE_DIGEST", image);
            // Registries that get other forms of the image have other manifests.
            let is_one = known.iter().all(|(_, other)| *other == Some(*digest));
            for (platform, digest) in finished.platforms.iter().filter(|_| is_one) {
                told.add(format!("DEPOT_BUILD_DIGEST_{}", shouted(platform)), digest);
            }
        }
    }
    if let Some(loaded) = &finished.loaded {
        told.add("DEPOT_BUILD_IMAGE_ID", &loaded.id);
    }
    told.add("DEPOT_BUILD_ID", build.id());
    if let Some(url) = build.url() {
        told.add("DEPOT_BUILD_URL", url);
    }
    told.add("DEPOT_BUILD_PROJECT_ID", build.project_id());
    told
}

/// A platform as part of a variable's name. What every machine of a kind runs has no variant in it.
fn shouted(platform: &docker::Platform) -> String {
    let variant = match (&*platform.architecture, platform.variant.as_deref()) {
        ("arm64", Some("v8")) | ("amd64", Some("v1")) | (_, None) => String::new(),
        (_, Some(variant)) => format!("_{variant}"),
    };
    let name = format!("{}_{}{variant}", platform.os, platform.architecture);
    let name = name.replace(|character: char| !character.is_ascii_alphanumeric(), "_");
    name.to_ascii_uppercase()
}

/// What the next command can call the image by: its id in the daemon, else the digest that a registry knows it by.
fn image_id(finished: &Finished) -> Option<&str> {
    let loaded = finished.loaded.as_ref().map(|loaded| loaded.id.as_str());
    let digests = finished.delivered.iter();
    let mut digests = digests.filter_map(|image| image.digest.as_deref());
    loaded.or_else(|| digests.next())
}

/// As `depot build --metadata-file` writes it: the exporter's answer, with JSON in base64 taken apart, and the build.
fn metadata(build: &Build, response: &HashMap<String, String>) -> Value {
    let mut metadata = Map::new();
    for (key, value) in response {
        // What Depot's builders tell for loads is large, and of no use to anybody else.
        if key.starts_with("depot/") {
            continue;
        }
        let decoded = STANDARD.decode(value).ok();
        let object = decoded.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let value = object
            .filter(Value::is_object)
            .unwrap_or_else(|| json!(value));
        metadata.insert(key.clone(), value);
    }
    let depot = json!({ "buildID": build.id(), "projectID": build.project_id() });
    metadata.insert("depot.build".into(), depot);
    Value::Object(metadata)
}
