//! Converts the plan to the requests for Depot and the builder.

use std::collections::HashMap;

use secrecy::ExposeSecret;

use super::contexts;
use super::export::{Export, Retention};
use super::job::Job;
use super::round::Form;
use super::target::Target;
use crate::buildkit::{self, Address, MutualTls, Solve};
use crate::config::Plan;
use crate::config::plan::{ImagePlan, NamedContext};
use crate::depot::messages::{BuildOptions, BuildOutput, Command};
use crate::depot::{self, fork};
use crate::platform::Platform;
use crate::registry::reference::Reference;

/// The options that Depot records for each image of the build.
pub(super) fn build_options(plan: &Plan) -> Vec<BuildOptions> {
    plan.images.iter().map(options_of).collect()
}

fn options_of(image: &ImagePlan) -> BuildOptions {
    let destinations = &image.destinations;
    let save = destinations.save.as_ref();
    let output = BuildOutput {
        kind: "image".into(),
        attributes: HashMap::from([
            ("name".into(), joined(destinations.pushed())),
            ("push".into(), "true".into()),
        ]),
    };
    let tags = destinations.references.iter();
    BuildOptions {
        command: Command::Build.into(),
        tags: tags.map(ToString::to_string).collect(),
        outputs: destinations.push.then_some(output).into_iter().collect(),
        push: destinations.push,
        load: destinations.load,
        save: save.is_some(),
        save_tags: save.map(|save| save.tags.clone()).unwrap_or_default(),
    }
}

/// The solve that builds `target` and exports the result.
pub(super) fn solve(
    job: &Job<'_>,
    target: &Target,
    export: Export<'_>,
    retention: Retention,
) -> Solve {
    let mut attributes = frontend(job, &target.platforms);
    if !matches!(export, Export::Push(round) if round.docker_form) {
        // As in the released CLI. Docker manifests cannot hold attestations.
        attributes.insert(
            "attest:provenance".into(),
            "mode=min,inline-only=true".into(),
        );
    }
    if job.form == Form::Part {
        // An index even for one platform, so that all parts have the same form.
        attributes.insert("multi-platform".into(), "true".into());
    }
    Solve {
        frontend_attributes: attributes,
        export: exporter(export, job.form, retention),
        internal: retention == Retention::Nothing,
    }
}

/// The same image as an archive for a daemon, sent over the session. It is in the builder's cache.
///
/// `gzip`: the daemon supports no other compression.
pub(super) fn archive(
    job: &Job<'_>,
    platform: Option<&Platform>,
    names: &[Reference],
    gzip: bool,
) -> Solve {
    let mut attributes = HashMap::from([("name".into(), joined(names))]);
    if gzip {
        attributes.insert("compression".into(), "gzip".into());
        attributes.insert("force-compression".into(), "true".into());
    }
    let mut frontend = frontend(job, platform.map(std::slice::from_ref).unwrap_or_default());
    // The image is already built and must not be built again.
    frontend.remove("no-cache");
    Solve {
        frontend_attributes: frontend,
        export: Some(buildkit::Export {
            kind: "docker".into(),
            attributes,
        }),
        internal: true,
    }
}

/// The attributes for the frontend.
fn frontend(job: &Job<'_>, platforms: &[Platform]) -> HashMap<String, String> {
    let build = &job.plan.build;
    let mut attributes = HashMap::from([
        ("filename".into(), build.dockerfile.name.clone()),
        (fork::TARGET_ATTRIBUTE.into(), job.plan.name.clone()),
    ]);
    if job.files.dockerfile != contexts::DOCKERFILE {
        attributes.insert("dockerfilekey".into(), job.files.dockerfile.clone());
    }
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

fn exporter(export: Export<'_>, form: Form, retention: Retention) -> Option<buildkit::Export> {
    let mut attributes = HashMap::new();
    match export {
        Export::Cache => return None,
        // With a name, the builder keeps all layers, including those of base images.
        Export::Store(names) => {
            attributes.insert("name".into(), joined(names));
        }
        Export::Push(round) => {
            attributes.insert("name".into(), round.exported(form).join(","));
            attributes.insert("push".into(), "true".into());
            if form == Form::Part {
                attributes.insert("push-by-digest".into(), "true".into());
            }
            if round.insecure {
                attributes.insert("registry.insecure".into(), "true".into());
            }
            if round.docker_form {
                attributes.insert("oci-mediatypes".into(), "false".into());
            }
        }
    }
    attributes.extend([attribute(fork::EXPORT_IMAGES)]);
    if retention == Retention::Content {
        attributes.extend([attribute(fork::EXPORT_LEASE)]);
    }
    Some(buildkit::Export {
        kind: "image".into(),
        attributes,
    })
}

fn attribute((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
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
