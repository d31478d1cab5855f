//! What the rest of the pipeline is told of a run: files, once all else is done.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Result;
use super::failure::Failure;
use super::machines::Finished;
use crate::bitbucket::whole_file::write_whole;
use crate::bitbucket::{Outputs, outputs};
use crate::config::Plan;
use crate::depot::Build;
use crate::docker;
use crate::registry::reference::Reference;

/// The file in the pipe's storage folders.
const STORED: &str = "depot-build.env";

/// Writes every file that was asked for, and those that Bitbucket has a place for.
pub(super) fn write(plan: &Plan, build: &Build, finished: &Finished) -> Result<()> {
    let told = told(plan, build, finished);
    let asked = &plan.outputs;
    if let Some(path) = &asked.shell {
        asked_for(
            plan,
            "OUTPUT_FILE",
            path,
            told.for_shell().as_bytes(),
            finished,
        )?;
    }
    if let Some(path) = &asked.metadata {
        let metadata = metadata(plan, build, finished);
        let text = serde_json::to_string_pretty(&metadata).unwrap_or_default();
        asked_for(plan, "METADATA_FILE", path, text.as_bytes(), finished)?;
    }
    if let Some(path) = &asked.image_id
        && let Some(id) = image_id(plan, finished)
    {
        asked_for(plan, "IID_FILE", path, id.as_bytes(), finished)?;
    }
    let pipeline = &plan.pipeline;
    for folder in [&pipeline.storage_dir, &pipeline.shared_storage_dir]
        .into_iter()
        .flatten()
    {
        let path = folder.join(STORED);
        unasked(
            &path,
            store(
                &plan.build.clone,
                folder,
                &path,
                told.for_shell().as_bytes(),
            ),
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

/// Bitbucket has the storage folders in the clone, and links in there are not followed. Elsewhere they are trusted.
fn store(clone: &Path, folder: &Path, path: &Path, content: &[u8]) -> std::io::Result<()> {
    if folder.starts_with(clone) {
        return write_whole(clone, path, content);
    }
    std::fs::create_dir_all(folder)?;
    write_whole(folder, path, content)
}

fn asked_for(
    plan: &Plan,
    variable: &'static str,
    path: &Path,
    content: &[u8],
    finished: &Finished,
) -> Result<()> {
    write_whole(&plan.build.clone, path, content).map_err(|source| {
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

/// Every name with its digest, in the order in which they were asked for, whatever order they were pushed in; those at Depot
/// come last.
fn names<'a>(plan: &Plan, finished: &'a Finished) -> Vec<(&'a Reference, Option<&'a str>)> {
    let names = finished.delivered.iter().flat_map(|image| {
        let digest = image.digest.as_deref();
        image.names.iter().map(move |name| (name, digest))
    });
    let mut names: Vec<_> = names.collect();
    let asked = &plan.image.references;
    names.sort_by_key(|(name, _)| {
        let place = asked.iter().position(|asked| asked == *name);
        place.unwrap_or(asked.len())
    });
    names
}

fn told(plan: &Plan, build: &Build, finished: &Finished) -> Outputs {
    let mut told = Outputs::default();
    let known = names(plan, finished);
    if let Some((name, digest)) = known.first() {
        told.add("DEPOT_BUILD_IMAGE", name.to_string());
        let names: Vec<_> = known.iter().map(|(name, _)| name.to_string()).collect();
        told.add("DEPOT_BUILD_IMAGES", names.join(" "));
        if let Some(digest) = digest {
            told.add("DEPOT_BUILD_DIGEST", digest);
            let image = format!("{}/{}@{digest}", name.host(), name.repository());
            told.add("DEPOT_BUILD_IMAGE_DIGEST", image);
            let images = known.iter();
            let images = images.filter_map(|(name, digest)| Some(format!("{name}@{}", (*digest)?)));
            told.add(
                "DEPOT_BUILD_IMAGE_DIGESTS",
                images.collect::<Vec<_>>().join(" "),
            );
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
fn image_id<'a>(plan: &Plan, finished: &'a Finished) -> Option<&'a str> {
    let loaded = finished.loaded.as_ref().map(|loaded| loaded.id.as_str());
    let first = names(plan, finished)
        .into_iter()
        .find_map(|(_, digest)| digest);
    let mut unnamed = finished.delivered.iter();
    loaded
        .or(first)
        .or_else(|| unnamed.find_map(|image| image.digest.as_deref()))
}

/// As `depot build --metadata-file` writes it: the exporter's answer, with JSON in base64 taken apart, and the build. Also
/// the digest of each name, which the answer has only for the names of one push.
fn metadata(plan: &Plan, build: &Build, finished: &Finished) -> Value {
    let mut metadata = Map::new();
    for (key, value) in &finished.response {
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
    let digests = names(plan, finished).into_iter();
    let digests = digests.filter_map(|(name, digest)| Some((name.to_string(), json!(digest?))));
    let digests: Map<String, Value> = digests.collect();
    if !digests.is_empty() {
        metadata.insert("depot.digests".into(), Value::Object(digests));
    }
    Value::Object(metadata)
}
