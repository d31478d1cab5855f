//! Converts the plan to the requests for Depot and the builder.

mod annotations;
mod attestations;
mod compression;
mod exporter;
mod frontend;
mod steps;

use std::collections::HashMap;

use super::caches;
use super::contexts::ImageFiles;
use super::export::{Export, Retention};
use super::job::Job;
use super::round::Form;
use super::target::Target;
use crate::buildkit::{self, Address, MutualTls, Solve};
use crate::config::Plan;
use crate::config::plan::{ExportKind, ImagePlan};
use crate::depot;
use crate::depot::messages::{BuildOptions, BuildOutput, Command};
use crate::platform::Platform;
use crate::registry::reference::Reference;

/// The options that Depot records for each image of the build.
pub(super) fn build_options(plan: &Plan) -> Vec<BuildOptions> {
    let images = plan.images.iter();
    images
        .map(|image| {
            let options = options_of(image);
            if !plan.is_bake() {
                return options;
            }
            BuildOptions {
                command: Command::Bake.into(),
                target_name: Some(image.name.clone()),
                ..options
            }
        })
        .collect()
}

fn options_of(image: &ImagePlan) -> BuildOptions {
    let destinations = &image.destinations;
    let save = destinations.save.as_ref();
    let output = BuildOutput {
        kind: "image".into(),
        attributes: HashMap::from([
            ("name".into(), exporter::joined(destinations.pushed())),
            ("push".into(), "true".into()),
        ]),
    };
    let files = image.exports.iter().map(|export| BuildOutput {
        kind: export.kind.name().into(),
        attributes: export.attributes.iter().cloned().collect(),
    });
    let outputs = destinations.push.then_some(output).into_iter().chain(files);
    let tags = destinations.references.iter();
    BuildOptions {
        command: Command::Build.into(),
        tags: tags.map(ToString::to_string).collect(),
        outputs: outputs.collect(),
        push: destinations.push,
        load: destinations.load,
        target_name: None,
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
    let mut solve = frontend::solve(job.plan, &job.files, &target.platforms);
    let attributes = &mut solve.frontend_attributes;
    let has_attestations = match export {
        // Docker manifests cannot hold attestations.
        Export::Push(round) => !round.docker_form,
        Export::Files(plan) => plan.kind != ExportKind::Docker,
        Export::Cache | Export::Store(_) => true,
    };
    if has_attestations {
        attributes.extend(attestations::attributes(&job.plan.metadata));
    }
    let has_folder = matches!(export, Export::Files(plan) if plan.has_platform_folder);
    if job.form == Form::Part || has_folder {
        // An index even for one platform, so that all parts have the same form.
        attributes.insert("multi-platform".into(), "true".into());
    }
    Solve {
        export: exporter::of(job, target, export, retention),
        entitlements: steps::entitlements(&job.plan.build),
        internal: retention == Retention::Nothing,
        ..solve
    }
}

/// The solve whose result is an input of other builds.
pub(super) fn input(plan: &ImagePlan, files: &ImageFiles, platforms: &[Platform]) -> Solve {
    Solve {
        entitlements: steps::entitlements(&plan.build),
        ..frontend::solve(plan, files, platforms)
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
    let mut attributes = HashMap::from([("name".into(), exporter::joined(names))]);
    if gzip {
        compression::add_gzip(&mut attributes);
    } else {
        // A daemon with containerd's store must get the layers that were pushed.
        compression::add(&mut attributes, job.plan.compression, false);
    }
    let mut solve = frontend::solve(
        job.plan,
        &job.files,
        platform.map(std::slice::from_ref).unwrap_or_default(),
    );
    // The image is already built and must not be built again.
    solve.frontend_attributes.remove("no-cache");
    Solve {
        export: Some(buildkit::Export {
            kind: "docker".into(),
            attributes,
        }),
        // The steps are part of the request, although none of them runs.
        entitlements: steps::entitlements(&job.plan.build),
        internal: true,
        // The loaded image has the same configuration as the pushed one.
        cache_exports: job
            .plan
            .caches
            .inline
            .then(caches::inline)
            .into_iter()
            .collect(),
        ..solve
    }
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
