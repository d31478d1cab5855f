//! What a run is to do: every value checked, every path resolved, nothing left of how it was typed.
//!
//! `Debug` on any of these shows no secret: the token, passwords and the values of build arguments are left out.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;
use url::Url;

use crate::{
    bitbucket::Pipeline,
    docker::Endpoint,
    http::{proxies::Proxies, roots::Authorities},
    platform::{Architecture, Platform},
    registry::{
        credentials::{Credential, Credentials},
        ecr::Access,
        reference::Reference,
    },
};

/// One run of the pipe.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who asks Depot for which project's build.
    pub depot: DepotPlan,
    /// The clone: all files of the builds are in it. Absolute and without links.
    pub clone: PathBuf,
    /// Files and folders that no builder gets, because they hold secrets or are outputs. They need not exist.
    pub withheld: Vec<PathBuf>,
    /// The images, at least one. Today's variables describe exactly one.
    pub images: Vec<ImagePlan>,
    /// The Docker daemon that images are loaded into; `None` if none is loaded.
    pub daemon: Option<Endpoint>,
    /// Who we are at registries, and what holds for them.
    pub registries: RegistriesPlan,
    /// Whom to trust beside the public authorities.
    pub authorities: Authorities,
    /// Secrets of the step that this run does not need, and that are kept out of the log all the same.
    pub other_secrets: Vec<SecretString>,
    /// Which files to write for the rest of the pipeline.
    pub outputs: OutputsPlan,
    /// The proxies for Depot's API, its machines, registries and Amazon.
    pub proxies: Proxies,
    /// How long the run may take; `None` for as long as it does.
    pub timeout: Option<Duration>,
    /// Which pipeline this is, as far as Bitbucket told.
    pub pipeline: Pipeline,
    /// Whether to log what helps to find a fault of the pipe.
    pub debug: bool,
}

impl Plan {
    /// Every secret in it, for whoever keeps them out of the log.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        let registries = &self.registries;
        let passwords = registries.credentials.iter().map(Credential::password);
        let builds = || self.images.iter().map(|image| &image.build);
        let contexts = builds().flat_map(|build| &build.contexts);
        std::iter::once(&self.depot.token)
            .chain(contexts.flat_map(NamedContext::logins))
            .chain(builds().flat_map(|build| &build.build_args.secrets))
            .chain(passwords)
            .chain(registries.aws.secrets())
            .chain(&self.other_secrets)
    }
}

/// Who asks Depot for which project's build.
#[derive(Debug, Clone)]
pub struct DepotPlan {
    /// The token for the first call: visible ASCII, so that it can stand in a header.
    pub token: SecretString,
    /// The project's id, which only Depot can check.
    pub project_id: String,
    /// Where the id stands.
    pub project_source: ProjectSource,
    /// The API's address: http or https, without login, query and fragment, ending in `/`.
    pub api_url: Url,
}

/// Where the project's id stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectSource {
    /// In `DEPOT_PROJECT_ID`.
    Variable,
    /// In this `depot.json`, `depot.yml` or `depot.yaml`.
    File(PathBuf),
}

/// What to build.
#[derive(Debug, Clone)]
pub struct BuildPlan {
    /// The context.
    pub context: FolderPlan,
    /// The Dockerfile. It may lie outside of the context.
    pub dockerfile: DockerfilePlan,
    /// The stage to build; `None` for the last one.
    pub target: Option<String>,
    /// In the order given, each name once.
    pub build_args: BuildArguments,
    /// What stands in place of stages and images that the Dockerfile names.
    pub contexts: Vec<NamedContext>,
    /// What to build for, each once, in the order given; empty for the platform of the machine that builds.
    pub platforms: Vec<Platform>,
    /// The one machine that builds for all of them; `None` where each has its own.
    pub machine: Option<Architecture>,
    /// Whether to run every step anew.
    pub no_cache: bool,
}

/// A directory that a builder may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderPlan {
    /// Absolute and without links.
    pub path: PathBuf,
    /// The file that its `.dockerignore` leads to, if that is a link. Absolute and without links.
    pub ignore_file: Option<PathBuf>,
}

/// A Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfilePlan {
    /// The last part of the path as typed, which may be a link.
    pub name: String,
    /// A file that is not empty. Absolute and without links.
    pub file: PathBuf,
    /// The ignore file beside the path as typed, if there is one. Absolute and without links.
    pub ignore_file: Option<PathBuf>,
}

/// What stands in place of a stage or an image that a Dockerfile names.
#[derive(Debug, Clone)]
pub enum NamedContext {
    /// Its name, and the directory.
    Directory(String, FolderPlan),
    /// Its name, the address that the builder reads it from, and the secrets in that: as they are written, and decoded.
    Address(String, SecretString, Vec<SecretString>),
}

impl NamedContext {
    /// The name in the Dockerfile.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Directory(name, _) | Self::Address(name, _, _) => name,
        }
    }

    fn logins(&self) -> &[SecretString] {
        match self {
            Self::Directory(..) => &[],
            Self::Address(_, _, logins) => logins,
        }
    }
}

/// One image: what to build, and the destinations.
#[derive(Debug, Clone)]
pub struct ImagePlan {
    /// The name that tells the images of a run apart, such as the name of a bake target. Unique in a plan.
    pub name: String,
    /// What to build.
    pub build: BuildPlan,
    /// The destinations of the image.
    pub destinations: Destinations,
}

/// The name of the only image of a run.
pub const DEFAULT_IMAGE: &str = "default";

/// The destinations of an image. Without any, it stays in the builder's cache.
#[derive(Debug, Clone, Default)]
pub struct Destinations {
    /// The names of the image, each once. Not empty if it is to be pushed.
    pub references: Vec<Reference>,
    /// Whether to push it under all of them.
    pub push: bool,
    /// Whether to load it into the Docker daemon, under the same names.
    pub load: bool,
    /// Whether Depot's registry keeps it, and under which tags; `None` if it does not.
    pub save: Option<SavePlan>,
}

/// How Depot's registry keeps an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavePlan {
    /// Tags of the user's; without any there is Depot's own, which is the build's id.
    pub tags: Vec<String>,
}

impl Destinations {
    /// The names that the image is pushed under.
    #[must_use]
    pub fn pushed(&self) -> &[Reference] {
        if self.push { &self.references } else { &[] }
    }
}

/// Files for the rest of the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputsPlan {
    /// Lines that a shell can source.
    pub shell: Option<PathBuf>,
    /// Which of these lines become variables of later steps.
    pub variables: Vec<String>,
    /// What the builder told of the image, as JSON.
    pub metadata: Option<PathBuf>,
    /// The image's digest, or its id in the daemon.
    pub image_id: Option<PathBuf>,
}

impl OutputsPlan {
    /// The files of the user's that are written.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.shell, &self.metadata, &self.image_id];
        files.into_iter().flatten().map(PathBuf::as_path)
    }
}

/// Who we are at registries, and what holds for them.
#[derive(Debug, Clone, Default)]
pub struct RegistriesPlan {
    /// User names and passwords, by host.
    pub credentials: Credentials,
    /// Hosts that may have any certificate, or none, in the form of [`canonical_host`].
    ///
    /// [`canonical_host`]: crate::registry::credentials::canonical_host
    pub insecure: Vec<String>,
    /// The identities for Amazon ECR.
    pub aws: Access,
    /// Whether repositories of the image that Amazon does not have are made.
    pub create_repositories: bool,
}

/// Build arguments, whose values may be secrets though they should not be.
#[derive(Clone, Default)]
pub struct BuildArguments {
    arguments: Vec<(String, String)>,
    /// The secrets in them, by their names and their looks.
    secrets: Vec<SecretString>,
}

impl BuildArguments {
    pub(super) fn new(arguments: Vec<(String, String)>, secrets: Vec<SecretString>) -> Self {
        Self { arguments, secrets }
    }

    /// Name and value of each, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.arguments
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arguments.is_empty()
    }
}

impl fmt::Debug for BuildArguments {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_map()
            .entries(self.arguments.iter().map(|(name, _)| (name, "***")))
            .finish()
    }
}
