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

/// The file in the pipe's storage folders.
const STORED: &str = "depot-build.env";

/// Writes every file that was asked for, and those that Bitbucket has a place for.
pub(super) fn write(plan: &Plan, build: &Build, finished: &Finished) -> Result<()> {
    let told = told(build, finished);
    let asked = &plan.outputs;
    if let Some(path) = &asked.shell {
        asked_for("OUTPUT_FILE", path, told.for_shell().as_bytes())?;
    }
    if let Some(path) = &asked.metadata {
        let metadata = metadata(build, &finished.response);
        let text = serde_json::to_string_pretty(&metadata).unwrap_or_default();
        asked_for("METADATA_FILE", path, text.as_bytes())?;
    }
    if let Some(path) = &asked.image_id
        && let Some(id) = image_id(finished)
    {
        asked_for("IID_FILE", path, id.as_bytes())?;
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
    if let Some(path) = &pipeline.variables_path {
        unasked(path, outputs::append(path, &told.for_bitbucket()));
    }
    Ok(())
}

fn asked_for(variable: &'static str, path: &Path, content: &[u8]) -> Result<()> {
    outputs::write_whole(path, content).map_err(|source| Failure::Output {
        variable,
        path: path.to_owned(),
        source,
    })
}

/// Bitbucket names these places whether or not a pipe can write there.
fn unasked(path: &Path, written: std::io::Result<()>) {
    if let Err(error) = written {
        tracing::debug!("nothing is told in `{}`: {error}", path.display());
    }
}

fn told(build: &Build, finished: &Finished) -> Outputs {
    let mut told = Outputs::default();
    let known = finished.delivered.iter().flat_map(|image| {
        let digest = image.digest.as_deref();
        image.names.iter().map(move |name| (name, digest))
    });
    let known: Vec<_> = known.collect();
    if let Some((name, digest)) = known.first() {
        told.add("DEPOT_BUILD_IMAGE", name.to_string());
        let names: Vec<_> = known.iter().map(|(name, _)| name.to_string()).collect();
        told.add("DEPOT_BUILD_IMAGES", names.join(" "));
        if let Some(digest) = digest {
            told.add("DEPOT_BUILD_DIGEST", digest);
            let image = format!("{}/{}@{digest}", name.host(), name.repository());
            told.add("DEPOT_BUILD_IMAGE_DIGEST", image);
            for (platform, digest) in &finished.platforms {
                let platform = platform.to_string().to_ascii_uppercase();
                let name = platform.replace(|byte: char| !byte.is_ascii_alphanumeric(), "_");
                told.add(format!("DEPOT_BUILD_DIGEST_{name}"), digest);
            }
        }
    }
    if let Some(loaded) = &finished.loaded {
        told.add("DEPOT_BUILD_IMAGE_ID", &loaded.id);
    }
    told.add("DEPOT_BUILD_ID", build.id());
    told.add("DEPOT_BUILD_URL", build.url());
    told.add("DEPOT_BUILD_PROJECT_ID", build.project_id());
    told
}

/// The digest that a registry knows the image by, else its id in the daemon.
fn image_id(finished: &Finished) -> Option<&str> {
    let digests = finished.delivered.iter();
    let mut digests = digests.filter_map(|image| image.digest.as_deref());
    let loaded = finished.loaded.as_ref();
    digests
        .next()
        .or_else(|| loaded.map(|loaded| loaded.id.as_str()))
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
