//! The plan of a run: every value is validated and every path resolved, however the variables were written.
//!
//! Each part is defined next to the reader of its variables. `Debug` of all parts omits secrets: the token, passwords
//! and the values of build arguments.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

pub(crate) use super::build::{BuildPlan, ContextPlan};
pub(crate) use super::caches::{CachePlan, CachesPlan};
pub(crate) use super::compression::{Algorithm, Compression};
pub(crate) use super::context_times::ContextTimes;
pub(crate) use super::contexts::NamedContext;
pub(crate) use super::depot::DepotPlan;
pub(crate) use super::exports::{ExportKind, ExportPlan};
pub(crate) use super::images::{Destinations, ImagePlan};
pub(crate) use super::metadata::MetadataPlan;
pub(crate) use super::outputs::OutputsPlan;
pub(crate) use super::paths::{DockerfilePlan, DockerfileSource, FolderPlan};
pub(crate) use super::project::ProjectSource;
pub(crate) use super::promotion::{PromotionPlan, PromotionSource, SavedBuild};
pub(crate) use super::registries::RegistriesPlan;
pub(crate) use super::secrets::SecretsPlan;
pub(crate) use super::steps::{Network, StepsPlan};
use crate::bitbucket::Pipeline;
use crate::bitbucket::insights::Insights;
use crate::docker::Endpoint;
use crate::http::proxies::Proxies;
use crate::http::roots::Authorities;
use crate::registry::credentials::Credential;

/// One run of the pipe.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The token, the project and the API; `None` if nothing is built.
    pub(crate) depot: Option<DepotPlan>,
    /// The clone, which contains all files of the builds. Absolute and without links.
    pub(crate) clone: PathBuf,
    /// Files and directories that are never sent to a builder, because they contain secrets or are outputs. They may not exist.
    pub(crate) withheld: Vec<PathBuf>,
    /// The images to build: one, the targets of a definition, or none if an image is copied.
    pub(crate) images: Vec<ImagePlan>,
    /// The images that are only named contexts of others: built, but never delivered.
    pub(crate) inputs: Vec<ImagePlan>,
    /// The Docker daemon that images are loaded into; `None` if none is loaded.
    pub(crate) daemon: Option<Endpoint>,
    /// Logins and settings of registries.
    pub(crate) registries: RegistriesPlan,
    /// Certificates to trust in addition to the public authorities.
    pub(crate) authorities: Authorities,
    /// Secrets that are only masked in the log: the run does not use them, or they are part of other values.
    pub(crate) other_secrets: Vec<SecretString>,
    /// Files for the rest of the pipeline.
    pub(crate) outputs: OutputsPlan,
    /// Where a report on the commit is published, if it is requested.
    pub(crate) insights: Option<Insights>,
    /// The proxies for Depot's API, its machines, registries and AWS.
    pub(crate) proxies: Proxies,
    /// The limit for the run; `None` for no limit.
    pub(crate) timeout: Option<Duration>,
    /// The pipeline of this run.
    pub(crate) pipeline: Pipeline,
    /// The image that is copied, if nothing is built.
    pub(crate) promotion: Option<PromotionPlan>,
    /// Whether nothing is built if every name of every image exists.
    pub(crate) skip_if_exists: bool,
    /// Where the images are described.
    pub(crate) description: Description,
    /// The definition to print instead of a build.
    pub(crate) printed: Option<String>,
    /// Whether to log details.
    pub debug: bool,
}

/// Where the images of a plan are described.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Description {
    /// In the pipe's variables.
    #[default]
    Variables,
    /// In a definition, whose targets they are.
    Definition,
    /// In a definition with targets of several projects. The plan has those of one project.
    Project,
}

impl Plan {
    /// Whether the images are targets of a definition.
    pub(crate) fn is_bake(&self) -> bool {
        self.description != Description::Variables
    }

    /// The destinations of each image, built or copied.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &Destinations> {
        let copied = self.promotion.iter().map(|image| &image.destinations);
        let built = self.images.iter().map(|image| &image.destinations);
        copied.chain(built)
    }

    /// Whether the run builds a single image.
    pub(crate) fn has_one_image(&self) -> bool {
        self.images.len() == 1 && self.description != Description::Project
    }

    /// The images that are built, also those that are only inputs of others.
    pub(crate) fn built(&self) -> impl Iterator<Item = &ImagePlan> + Clone {
        self.images.iter().chain(&self.inputs)
    }

    /// The token of Depot; `None` if a copy needs none.
    pub(crate) fn depot_token(&self) -> Option<&SecretString> {
        let of_copy = || self.promotion.as_ref()?.token.as_ref();
        let of_build = self.depot.as_ref().map(|depot| &depot.token);
        of_build.or_else(of_copy)
    }

    /// All secrets, which must be masked in the log.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        let registries = &self.registries;
        let passwords = registries.credentials.iter().map(Credential::password);
        let builds = || self.built().map(|image| &image.build);
        let contexts = builds().flat_map(|build| &build.contexts);
        let promotion = self.promotion.iter();
        let copies = promotion.filter_map(|promotion| promotion.token.as_ref());
        let depot = self.depot.iter().map(|depot| &depot.token);
        depot
            .chain(copies)
            .chain(builds().flat_map(|build| build.context.logins()))
            .chain(contexts.flat_map(NamedContext::logins))
            .chain(builds().flat_map(|build| build.build_args.secrets()))
            .chain(builds().flat_map(|build| build.secrets.secrets()))
            .chain(self.built().flat_map(|image| &image.caches.secrets))
            .chain(passwords)
            .chain(registries.aws.secrets())
            .chain(&self.other_secrets)
    }
}
