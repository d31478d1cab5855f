//! Writes the output files for the rest of the pipeline, after everything else is done.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Result;
use super::building::ProjectBuild;
use super::delivered::Finished;
use super::failure::Failure;
use crate::bitbucket::variables::VARIABLES_PATH;
use crate::bitbucket::whole_file::write_whole;
use crate::bitbucket::{Outputs, outputs};
use crate::config::Plan;
use crate::config::plan::Destinations;
use crate::depot::fork;
use crate::ordered::IntoOrdered;
use crate::platform::Platform;
use crate::registry::reference::Reference;

/// The name of the file in the pipe's storage folders.
const STORED: &str = "depot-build.env";

/// Writes every requested file, and those in Bitbucket's storage folders.
/// `builds` is empty if nothing was built.
///
/// The values of several images are those of the first one, except for the lists of names and the metadata, which cover all.
pub(super) fn write(plan: &Plan, builds: &[ProjectBuild<'_>], finished: &[Finished]) -> Result<()> {
    let values = values(plan, builds, finished);
    let requested = &plan.outputs;
    if let Some(path) = &requested.shell {
        write_requested(
            plan,
            "OUTPUT_FILE",
            path,
            values.for_shell().as_bytes(),
            finished,
        )?;
    }
    if let Some(path) = &requested.metadata {
        let metadata = metadata(plan, builds, finished);
        let text = serde_json::to_string_pretty(&metadata).unwrap_or_default();
        write_requested(plan, "METADATA_FILE", path, text.as_bytes(), finished)?;
    }
    if let Some(path) = &requested.image_id
        && let Some(id) = image_id(plan, finished)
    {
        write_requested(plan, "IID_FILE", path, id.as_bytes(), finished)?;
    }
    write_sboms(plan, finished)?;
    let pipeline = &plan.pipeline;
    for folder in [&pipeline.storage_dir, &pipeline.shared_storage_dir]
        .into_iter()
        .flatten()
    {
        let path = folder.join(STORED);
        log_failure(
            &path,
            store(&plan.clone, folder, &path, values.for_shell().as_bytes()),
        );
    }
    if !requested.variables.is_empty() {
        let lines = values.for_bitbucket(&requested.variables);
        let why = match pipeline.variables_path.as_deref() {
            None => Some(format!("Bitbucket did not set {VARIABLES_PATH}")),
            Some(path) => outputs::append(path, &lines)
                .err()
                .map(|error| format!("`{}` cannot be written: {error}", path.display())),
        };
        if let Some(why) = why {
            tracing::warn!(
                "OUTPUT_VARIABLES: no variables are passed to later steps, because {why}; use OUTPUT_FILE and an artifact"
            );
        }
    }
    Ok(())
}

/// Writes the SBOMs, each to the file that the released CLI would write.
fn write_sboms(plan: &Plan, finished: &[Finished]) -> Result<()> {
    let Some(folder) = &plan.outputs.sboms else {
        return Ok(());
    };
    let is_only = plan.images.len() == 1 && !plan.is_bake();
    for (image, finished_image) in plan.images.iter().zip(finished) {
        let image = (!is_only).then_some(image.name.as_str());
        let has_several = finished_image.sboms.len() > 1;
        for sbom in &finished_image.sboms {
            let platform = has_several.then_some(sbom.platform.as_str());
            let path = folder.file(image, platform);
            write_requested(plan, "SBOM_DIR", &path, &sbom.document, finished)?;
            let shown = path.strip_prefix(&plan.clone).unwrap_or(&path);
            tracing::info!("SBOM for {}: `{}`", sbom.platform, shown.display());
        }
    }
    Ok(())
}

/// Bitbucket's storage folders are in the clone, where links are not followed. Folders elsewhere are trusted.
fn store(clone: &Path, folder: &Path, path: &Path, content: &[u8]) -> std::io::Result<()> {
    if folder.starts_with(clone) {
        return write_whole(clone, path, content);
    }
    std::fs::create_dir_all(folder)?;
    write_whole(folder, path, content)
}

pub(super) fn write_requested(
    plan: &Plan,
    variable: &'static str,
    path: &Path,
    content: &[u8],
    finished: &[Finished],
) -> Result<()> {
    write_whole(&plan.clone, path, content).map_err(|source| Failure::Output {
        variable,
        path: path.to_owned(),
        source,
        delivered: finished.iter().flat_map(Finished::names).collect(),
    })
}

/// Logs a failure: Bitbucket provides these folders even if a pipe cannot write to them.
fn log_failure(path: &Path, written: std::io::Result<()>) {
    if let Err(error) = written {
        tracing::debug!("`{}` was not written: {error}", path.display());
    }
}

/// Every name with its digest, in the order of the plan, regardless of the order in which they were pushed. Names at Depot come
/// last.
fn names<'a>(plan: &Plan, finished: &'a [Finished]) -> Vec<(&'a Reference, Option<&'a str>)> {
    let images = plan.destinations().zip(finished);
    images
        .flat_map(|(destinations, finished)| names_of(destinations, finished))
        .collect()
}

/// The names of one image.
pub(super) fn names_of<'a>(
    destinations: &Destinations,
    finished: &'a Finished,
) -> Vec<(&'a Reference, Option<&'a str>)> {
    let names = finished.delivered.iter().flat_map(|image| {
        let digest = image.digest.as_deref();
        image.names.iter().map(move |name| (name, digest))
    });
    let mut names: Vec<_> = names.collect();
    let references = &destinations.references;
    names.sort_by_key(|(name, _)| {
        let position = references.iter().position(|reference| reference == *name);
        position.unwrap_or(references.len())
    });
    names
}

fn values(plan: &Plan, builds: &[ProjectBuild<'_>], finished: &[Finished]) -> Outputs {
    let mut values = Outputs::default();
    let all = names(plan, finished);
    // The values of one image are those of the first one.
    let first = finished.get(..1).unwrap_or_default();
    let known = names(plan, first);
    if let Some((name, digest)) = known.first() {
        values.add("DEPOT_BUILD_IMAGE", name.to_string());
        let names: Vec<_> = all.iter().map(|(name, _)| name.to_string()).collect();
        values.add("DEPOT_BUILD_IMAGES", names.join(" "));
        if let Some(digest) = digest {
            values.add("DEPOT_BUILD_DIGEST", digest);
            let image = format!("{}/{}@{digest}", name.host(), name.repository());
            values.add("DEPOT_BUILD_IMAGE_DIGEST", image);
            let images = all.iter();
            let images = images.filter_map(|(name, digest)| Some(format!("{name}@{}", (*digest)?)));
            values.add(
                "DEPOT_BUILD_IMAGE_DIGESTS",
                images.collect::<Vec<_>>().join(" "),
            );
            // A registry that got another form of the image has other manifests.
            let is_one = known.iter().all(|(_, other)| *other == Some(*digest));
            let platforms = first.iter().flat_map(|image| &image.platforms);
            for image in platforms.filter(|_| is_one) {
                values.add(
                    format!("DEPOT_BUILD_DIGEST_{}", variable_suffix(&image.platform)),
                    &image.digest,
                );
            }
        }
    }
    let saved = known.iter().find_map(|(name, digest)| {
        let is_saved = |image: &Finished| image.saved.contains(&name.to_string());
        let digest = digest.filter(|_| first.iter().any(is_saved))?;
        Some(format!("{}/{}@{digest}", name.host(), name.repository()))
    });
    if let Some(saved) = saved {
        values.add("DEPOT_BUILD_SAVED_IMAGE_DIGEST", saved);
    }
    if let Some(loaded) = first.iter().find_map(|image| image.loaded.as_ref()) {
        values.add("DEPOT_BUILD_IMAGE_ID", &loaded.id);
    }
    if let Some(ProjectBuild { build, .. }) = builds.first() {
        values.add("DEPOT_BUILD_ID", build.id());
        if let Some(url) = build.url() {
            values.add("DEPOT_BUILD_URL", url);
        }
        values.add("DEPOT_BUILD_PROJECT_ID", build.project_id());
    }
    if plan.is_bake() {
        add_targets(plan, finished, &mut values);
    }
    values
}

/// Adds the values of each target. Of two targets whose names differ only in characters that a variable cannot have, the first is used.
fn add_targets(plan: &Plan, finished: &[Finished], values: &mut Outputs) {
    let mut known = BTreeSet::new();
    for (target, image) in plan.images.iter().zip(finished) {
        let name = target.name.to_ascii_uppercase();
        let name = name.replace(|character: char| !character.is_ascii_alphanumeric(), "_");
        if !known.insert(name.clone()) {
            continue;
        }
        let prefix = format!("DEPOT_BUILD_{name}");
        if let Some((reference, digest)) = names_of(&target.destinations, image).first() {
            values.add(format!("{prefix}_IMAGE"), reference.to_string());
            if let Some(digest) = digest {
                let image = format!("{}/{}@{digest}", reference.host(), reference.repository());
                values.add(format!("{prefix}_DIGEST"), digest);
                values.add(format!("{prefix}_IMAGE_DIGEST"), image);
            }
        }
        if let Some(loaded) = &image.loaded {
            values.add(format!("{prefix}_IMAGE_ID"), &loaded.id);
        }
    }
}

/// A platform as part of a variable's name. The default variant of an architecture is omitted.
fn variable_suffix(platform: &Platform) -> String {
    let variant = match (&*platform.architecture, platform.variant.as_deref()) {
        ("arm64", Some("v8")) | ("amd64", Some("v1")) | (_, None) => String::new(),
        (_, Some(variant)) => format!("_{variant}"),
    };
    let name = format!("{}_{}{variant}", platform.os, platform.architecture);
    let name = name.replace(|character: char| !character.is_ascii_alphanumeric(), "_");
    name.to_ascii_uppercase()
}

/// The ID for the next command: the image's ID in the daemon, or its digest in a registry.
fn image_id<'a>(plan: &Plan, finished: &'a [Finished]) -> Option<&'a str> {
    let finished = finished.get(..1).unwrap_or_default();
    let mut loaded = finished.iter().filter_map(|image| image.loaded.as_ref());
    let loaded = loaded.next().map(|loaded| loaded.id.as_str());
    let first = names(plan, finished)
        .into_iter()
        .find_map(|(_, digest)| digest);
    let mut unnamed = finished.iter().flat_map(|image| &image.delivered);
    loaded
        .or(first)
        .or_else(|| unnamed.find_map(|image| image.digest.as_deref()))
}

/// The same content as `depot build --metadata-file`, or with several images as `depot bake --metadata-file`: the exporter's
/// response of each image with base64-encoded JSON decoded, and the build.
///
/// Adds the digest of each name, because the response covers only the names of one push.
fn metadata(plan: &Plan, builds: &[ProjectBuild<'_>], finished: &[Finished]) -> Value {
    let mut metadata = match finished {
        [image] if !plan.is_bake() => response(image),
        images => {
            let images = plan.images.iter().zip(images);
            let images =
                images.map(|(plan, image)| (plan.name.clone(), Value::Object(response(image))));
            images.into_ordered()
        }
    };
    let mut depot = builds.iter().map(metadata_of_build);
    metadata.extend(depot.next().map(|first| ("depot.build".into(), first)));
    if builds.len() > 1 {
        let all = builds.iter().map(metadata_of_build).collect();
        metadata.insert("depot.builds".into(), all);
    }
    let digests = names(plan, finished).into_iter();
    let digests = digests.filter_map(|(name, digest)| Some((name.to_string(), json!(digest?))));
    let digests: Map<String, Value> = digests.into_ordered();
    if !digests.is_empty() {
        metadata.insert("depot.digests".into(), Value::Object(digests));
    }
    Value::Object(metadata)
}

fn metadata_of_build(begun: &ProjectBuild<'_>) -> Value {
    let (build, plan) = (&begun.build, begun.part.plan());
    let mut depot = json!({ "buildID": build.id(), "projectID": build.project_id() });
    if plan.is_bake()
        && let Some(depot) = depot.as_object_mut()
    {
        let targets: Vec<&str> = plan
            .images
            .iter()
            .map(|image| image.name.as_str())
            .collect();
        depot.insert("targets".into(), json!(targets));
    }
    depot
}

/// The exporter's response.
fn response(finished: &Finished) -> Map<String, Value> {
    let mut metadata = Map::new();
    for (key, value) in &finished.response {
        if key.starts_with(fork::RESPONSE_PREFIX) {
            continue;
        }
        let decoded = STANDARD.decode(value).ok();
        let object = decoded.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let value = object
            .filter(Value::is_object)
            .unwrap_or_else(|| json!(value));
        metadata.insert(key.clone(), value);
    }
    metadata
}
