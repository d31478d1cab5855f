//! From the plan to what Depot and the builder are asked for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::authorizer::RegistryAuthorizer;
use super::failure::Failure;
use crate::buildkit::session::{Directory, FileSync, Services};
use crate::buildkit::{Address, Export, MutualTls, Solve};
use crate::config::Plan;
use crate::config::platform::{Machine, Platform};
use crate::context::Tree;
use crate::depot::messages::{BuildOptions, BuildOutput, Command};
use crate::depot::{self, BuilderPlatform};
use crate::registry::token::Tokens;

/// Where the other pipes of a step keep their files, below the clone directory. Those may hold
/// secrets, so they are never part of a context.
const PIPE_STORAGE: &str = ".bitbucket/pipelines/generated";

/// The machine to build on: the platform's, or without one that of our own architecture.
pub(super) fn builder_platform(plan: &Plan) -> BuilderPlatform {
    let machine = plan.build.platforms.first().map(Platform::machine);
    match machine.or_else(Machine::of_this_program) {
        Some(Machine::Arm64) => BuilderPlatform::Arm64,
        Some(Machine::Amd64) | None => BuilderPlatform::Amd64,
    }
}

/// What Depot notes of the build.
pub(super) fn build_options(plan: &Plan) -> BuildOptions {
    BuildOptions {
        command: Command::Build.into(),
        tags: references(plan),
        outputs: export(plan)
            .map(|export| BuildOutput {
                kind: export.kind,
                attributes: export.attributes,
            })
            .into_iter()
            .collect(),
        push: plan.image.push,
        load: false,
    }
}

/// What the builder is to solve.
pub(super) fn solve(plan: &Plan) -> Solve {
    let build = &plan.build;
    let mut attributes = HashMap::from([
        ("filename".into(), file_name(&build.dockerfile)),
        // As the released CLI: Depot's builders read the first, and provenance without an index of
        // its own is what BuildKit adds by itself.
        ("build-arg:DEPOT_TARGET".into(), "default".into()),
        (
            "attest:provenance".into(),
            "mode=min,inline-only=true".into(),
        ),
    ]);
    for (name, value) in build.build_args.iter() {
        attributes.insert(format!("build-arg:{name}"), value.to_owned());
    }
    if let Some(target) = &build.target {
        attributes.insert("target".into(), target.clone());
    }
    if let Some(platform) = build.platforms.first() {
        attributes.insert("platform".into(), platform.to_string());
    }
    if build.no_cache {
        attributes.insert("no-cache".into(), String::new());
    }
    Solve {
        frontend_attributes: attributes,
        export: export(plan),
        internal: true,
    }
}

fn export(plan: &Plan) -> Option<Export> {
    plan.image.push.then(|| Export {
        kind: "image".into(),
        attributes: HashMap::from([
            ("name".into(), references(plan).join(",")),
            ("push".into(), "true".into()),
            ("depot.export.image.version".into(), "2".into()),
        ]),
    })
}

/// The names of the image, in full.
pub(super) fn references(plan: &Plan) -> Vec<String> {
    let references = &plan.image.references;
    references.iter().map(ToString::to_string).collect()
}

/// What the builder may ask us for.
pub(super) fn services(plan: &Plan) -> Result<Services, Failure> {
    let context = &plan.build.context;
    let dockerfile = &plan.build.dockerfile;
    let name = file_name(dockerfile);
    let beside = dockerfile.parent().unwrap_or(Path::new("/"));
    let files = FileSync::default()
        .with(
            "context",
            Directory {
                tree: open(context, &never_sent(plan))?,
                only: None,
            },
        )
        // The frontend looks for both there. Whatever else lies beside them is not the builder's.
        .with(
            "dockerfile",
            Directory {
                tree: open(beside, &[])?,
                only: Some(vec![name.clone(), format!("{name}.dockerignore")]),
            },
        );
    let tls = crate::roots::client_config().map_err(Failure::Tls)?;
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(std::time::Duration::from_secs(10))
        .build()
        .map_err(Failure::Client)?;
    let tokens = Tokens::new(http, plan.registries.credentials.clone());
    Ok(Services {
        shared_key: shared_key(plan),
        files,
        authorizer: Arc::new(RegistryAuthorizer(tokens)),
    })
}

fn open(directory: &Path, never: &[PathBuf]) -> Result<Tree, Failure> {
    Tree::new(directory, never).map_err(Failure::Directory)
}

/// The same for the same context of the same repository, whichever container builds it, so that the
/// builder asks only for the files that changed since the last build.
fn shared_key(plan: &Plan) -> String {
    let context = &plan.build.context;
    let clone = plan.pipeline.clone_dir.as_deref();
    let within = clone
        .and_then(|clone| clone.canonicalize().ok())
        .and_then(|clone| context.strip_prefix(clone).ok().map(Path::to_owned));
    let repository = plan.pipeline.repository();
    format!(
        "{}:{}",
        repository.as_deref().unwrap_or("local"),
        within.as_deref().unwrap_or(context).display()
    )
}

/// Folders that no builder gets, whatever it asks for.
fn never_sent(plan: &Plan) -> Vec<PathBuf> {
    let clone = plan.pipeline.clone_dir.as_deref();
    [Some(plan.build.context.as_path()), clone]
        .into_iter()
        .flatten()
        .map(|directory| directory.join(PIPE_STORAGE))
        .collect()
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The builder as its client wants it.
pub(super) fn address(machine: depot::Machine) -> Address {
    Address {
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
