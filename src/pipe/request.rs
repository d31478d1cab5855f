//! Converts the plan to the requests for Depot and the builder.

use std::collections::HashMap;

use secrecy::ExposeSecret;

use super::contexts;
use super::failure::Failure;
use super::round::Round;
use super::target::Target;
use crate::buildkit::{Address, Export, MutualTls, Solve};
use crate::config::Plan;
use crate::config::plan::NamedContext;
use crate::config::platform::Platform;
use crate::depot::messages::{BuildOptions, BuildOutput, Command};
use crate::depot::{self, Build};
use crate::registry::reference::Reference;

/// The options that Depot records for the build.
pub(super) fn build_options(plan: &Plan) -> BuildOptions {
    let save = plan.image.save.as_ref();
    let names: Vec<String> = plan
        .image
        .pushed()
        .iter()
        .map(ToString::to_string)
        .collect();
    let output = BuildOutput {
        kind: "image".into(),
        attributes: HashMap::from([
            ("name".into(), names.join(",")),
            ("push".into(), "true".into()),
        ]),
    };
    BuildOptions {
        command: Command::Build.into(),
        tags: plan
            .image
            .references
            .iter()
            .map(ToString::to_string)
            .collect(),
        outputs: plan.image.push.then_some(output).into_iter().collect(),
        push: plan.image.push,
        load: plan.image.load.is_some(),
        save: save.is_some(),
        save_tags: save.map(|save| save.tags.clone()).unwrap_or_default(),
    }
}

/// The names at Depot that exist only so that a daemon can pull the image. They come last among all names.
pub(super) fn passing_names(plan: &Plan, build: &Build) -> Vec<Reference> {
    let image = &plan.image;
    if image.load.is_none() || image.save.is_some() || !build.loads_by_registry() {
        return Vec::new();
    }
    let kept = build.saved().references.iter();
    let kept = kept.filter_map(|name| Reference::parse_push_target(name).ok());
    kept.filter(|name| !plan.image.pushed().contains(name))
        .collect()
}

/// Every permanent name of the image in a registry: those of the user, and those under which Depot saves it.
pub(super) fn names(plan: &Plan, build: &Build) -> Result<Vec<Reference>, Failure> {
    let mut names: Vec<Reference> = plan.image.pushed().to_vec();
    let kept = plan
        .image
        .save
        .is_some()
        .then_some(&build.saved().references);
    for reference in kept.into_iter().flatten() {
        let name =
            Reference::parse_push_target(reference).map_err(|source| Failure::SavedReference {
                reference: reference.clone(),
                source,
            })?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Every name of the image in a Docker daemon: those of the user, or a default name.
pub(super) fn loaded_names(plan: &Plan, build: &Build) -> Vec<Reference> {
    if !plan.image.references.is_empty() {
        return plan.image.references.clone();
    }
    let tag: String = build.id().chars().take(100).collect();
    let defaults = [format!("depot-build:{tag}"), "depot-build:latest".into()];
    let mut defaults = defaults
        .iter()
        .filter_map(|name| Reference::parse(name).ok());
    defaults.next().into_iter().collect()
}

/// The destination of a solve's result. By default it stays in the builder's cache.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Destination<'a> {
    /// Push it under these names.
    pub(super) round: Option<&'a Round>,
    /// Push it without tags, as a part of an image that is merged later.
    pub(super) by_digest: bool,
    /// Load it into a daemon under these names: the builder must keep its content.
    pub(super) loaded: Option<&'a [Reference]>,
    /// Its manifests are read afterwards: the builder must keep them.
    pub(super) reads_manifests: bool,
}

/// The solve for the builder of `target`.
pub(super) fn solve(plan: &Plan, target: &Target, destination: Destination<'_>) -> Solve {
    let round = destination.round;
    let mut attributes = frontend(plan, &target.platforms);
    if !round.is_some_and(|round| round.docker_form) {
        // As in the released CLI. Docker manifests cannot hold attestations.
        attributes.insert(
            "attest:provenance".into(),
            "mode=min,inline-only=true".into(),
        );
    }
    if destination.by_digest {
        // An index even for one platform, so that all parts have the same form.
        attributes.insert("multi-platform".into(), "true".into());
    }
    Solve {
        frontend_attributes: attributes,
        export: export(destination),
        // A builder keeps the manifests of builds in its history; Depot's builder does so because of the lease.
        internal: destination.loaded.is_none() && !destination.reads_manifests,
    }
}

/// The same image as an archive for a daemon, sent over the session. It is in the builder's cache.
///
/// `gzip`: the daemon supports no other compression.
pub(super) fn archive(
    plan: &Plan,
    platform: Option<&Platform>,
    names: &[Reference],
    gzip: bool,
) -> Solve {
    let mut attributes = HashMap::from([("name".into(), joined(names))]);
    if gzip {
        attributes.insert("compression".into(), "gzip".into());
        attributes.insert("force-compression".into(), "true".into());
    }
    let mut frontend = frontend(plan, platform.map(std::slice::from_ref).unwrap_or_default());
    // The image is already built and must not be built again.
    frontend.remove("no-cache");
    Solve {
        frontend_attributes: frontend,
        export: Some(Export {
            kind: "docker".into(),
            attributes,
        }),
        internal: true,
    }
}

/// The attributes for the frontend.
fn frontend(plan: &Plan, platforms: &[Platform]) -> HashMap<String, String> {
    let build = &plan.build;
    let mut attributes = HashMap::from([
        ("filename".into(), build.dockerfile.name.clone()),
        // As in the released CLI: Depot's builders read it.
        ("build-arg:DEPOT_TARGET".into(), "default".into()),
    ]);
    for (name, value) in build.build_args.iter() {
        attributes.insert(format!("build-arg:{name}"), value.to_owned());
    }
    for context in &build.contexts {
        let source = match context {
            NamedContext::Directory(name, _) => format!("local:{}", contexts::directory_name(name)),
            NamedContext::Address(_, address, _) => address.expose_secret().to_owned(),
        };
        attributes.insert(format!("context:{}", context.name()), source);
    }
    if !build.contexts.is_empty() {
        // A frontend without named contexts would ignore them silently; with this the builder refuses it. `+forward`
        // lets the builder's own frontend pass the request on to that of a `# syntax=` line.
        let capability = "moby.buildkit.frontend.contexts+forward";
        attributes.insert("frontend.caps".into(), capability.into());
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
    attributes
}

fn export(destination: Destination<'_>) -> Option<Export> {
    let mut attributes = HashMap::new();
    match (destination.round, destination.loaded) {
        (Some(round), _) => {
            attributes.insert(
                "name".into(),
                round.exported(destination.by_digest).join(","),
            );
            attributes.insert("push".into(), "true".into());
            if destination.by_digest {
                attributes.insert("push-by-digest".into(), "true".into());
            }
            if round.insecure {
                attributes.insert("registry.insecure".into(), "true".into());
            }
            if round.docker_form {
                attributes.insert("oci-mediatypes".into(), "false".into());
            }
        }
        // With a name, the builder keeps all layers, including those of base images.
        (None, Some(names)) => {
            attributes.insert("name".into(), joined(names));
        }
        (None, None) => return None,
    }
    attributes.insert("depot.export.image.version".into(), "2".into());
    if destination.loaded.is_some() {
        attributes.insert("depot.export.lease".into(), "true".into());
    }
    Some(Export {
        kind: "image".into(),
        attributes,
    })
}

fn joined(names: &[Reference]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(",")
}

/// The address of a machine, for [`crate::buildkit::Connection::open`].
pub(super) fn address(plan: &Plan, machine: depot::Machine) -> Address {
    let endpoint = &machine.endpoint;
    Address {
        proxy: plan.proxies.tunnel(&endpoint.host, endpoint.port),
        host: machine.endpoint.host,
        port: machine.endpoint.port,
        tls: machine.tls.map(|tls| MutualTls {
            server_name: tls.server_name,
            authority: tls.authority,
            certificate: tls.certificate,
            key: tls.key,
        }),
        gzip: machine.gzip,
    }
}
