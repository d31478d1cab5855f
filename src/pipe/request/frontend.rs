//! The attributes of the Dockerfile frontend.

use std::collections::HashMap;

use secrecy::ExposeSecret;

use super::steps;
use crate::buildkit::{self, Solve, TextFile};
use crate::config::plan::{ContextPlan, ImagePlan, NamedContext};
use crate::depot::fork;
use crate::pipe::contexts::{self, ImageFiles};
use crate::platform::Platform;

/// The key of the input that is the directory of the Dockerfile, instead of the one that the builder requests.
const DOCKERFILE_INPUT: &str = "dockerfile";

/// A solve with the attributes and the Dockerfile of a build for `platforms`.
///
/// The request has the Dockerfile and the patterns of ignored files, which saves up to five round trips: a frontend requests each of
/// them by a transfer of its own before that of the context. An old frontend in a `# syntax=` line requests them nevertheless.
pub(super) fn solve(plan: &ImagePlan, files: &ImageFiles, platforms: &[Platform]) -> Solve {
    let mut solve = Solve {
        frontend_attributes: attributes(plan, files, platforms),
        ..Solve::default()
    };
    if let ContextPlan::Directory(_, dockerfile) = &plan.build.context
        && let Some(definition) = files
            .contexts
            .definition(&files.dockerfile, &dockerfile.name)
        // Without the attribute that names its directory, a frontend that does not know the input would read another Dockerfile.
        && (files.dockerfile == contexts::DOCKERFILE || !has_own_frontend(plan, &definition))
    {
        // With this attribute, a frontend ignores the input.
        solve.frontend_attributes.remove("dockerfilekey");
        let name = format!("[internal] load build definition from {}", dockerfile.name);
        let definition = buildkit::directory(definition, &name);
        solve.inputs.insert(DOCKERFILE_INPUT.into(), definition);
    }
    solve
}

/// Whether an image of a registry is the frontend: `# syntax=…`, or the build argument of that name.
fn has_own_frontend(plan: &ImagePlan, definition: &[TextFile]) -> bool {
    let is_syntax = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        line.trim_start().starts_with(['#', '/']) && line.contains("syntax")
    };
    let dockerfile = definition.first();
    let mut lines = dockerfile
        .into_iter()
        .flat_map(|file| file.content.split(|byte| *byte == b'\n'));
    let mut arguments = plan.build.build_args.iter();
    arguments.any(|(name, _)| name == "BUILDKIT_SYNTAX") || lines.any(is_syntax)
}

/// The attributes of a build for `platforms`.
fn attributes(
    plan: &ImagePlan,
    files: &ImageFiles,
    platforms: &[Platform],
) -> HashMap<String, String> {
    let build = &plan.build;
    let mut attributes = HashMap::from([(fork::TARGET_ATTRIBUTE.into(), plan.name.clone())]);
    match &build.context {
        ContextPlan::Directory(_, dockerfile) => {
            attributes.insert("filename".into(), dockerfile.name.clone());
        }
        ContextPlan::Git(context) => {
            attributes.insert("filename".into(), context.dockerfile.clone());
            let address = context.address.expose_secret();
            attributes.insert("context".into(), address.to_owned());
        }
    }
    if files.dockerfile != contexts::DOCKERFILE {
        attributes.insert("dockerfilekey".into(), files.dockerfile.clone());
    }
    for (name, value) in build.build_args.iter() {
        attributes.insert(format!("build-arg:{name}"), value.to_owned());
    }
    for context in &build.contexts {
        let source = match context {
            NamedContext::Directory(name, _) => format!("local:{}", contexts::directory_name(name)),
            NamedContext::Address(_, address, _) => address.expose_secret().to_owned(),
            // Added when its result is known.
            NamedContext::Image(..) => continue,
        };
        attributes.insert(format!("context:{}", context.name()), source);
    }
    if !build.contexts.is_empty() {
        // A frontend without named contexts would ignore them silently; with this the builder refuses it. `+forward`
        // lets the builder's own frontend pass the request on to that of a `# syntax=` line.
        let capability = "moby.buildkit.frontend.contexts+forward";
        attributes.insert("frontend.caps".into(), capability.into());
    }
    for (name, value) in &plan.metadata.labels {
        attributes.insert(format!("label:{name}"), value.clone());
    }
    if let Some(target) = &build.target {
        attributes.insert("target".into(), target.clone());
    }
    if !platforms.is_empty() {
        let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
        attributes.insert("platform".into(), platforms.join(","));
    }
    if build.no_cache {
        attributes.insert("no-cache".into(), String::new());
    }
    steps::add_attributes(&mut attributes, build);
    attributes
}
