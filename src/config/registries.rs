//! Everything for registries: logins, identities for Amazon ECR, and settings.

use std::path::Path;

use secrecy::SecretString;

use super::amazon::{self, AmazonVariables, IdentityVariables};
use super::caches::{CachePlan, CachesPlan};
use super::findings::Findings;
use super::logins::{self, RegistryVariables};
use super::pipeline::PipelineVariables;
use super::read_boolean;
use crate::registry::credentials::Credentials;
use crate::registry::ecr::{Access, EcrHost};
use crate::registry::reference::Reference;

/// Logins and settings of registries.
#[derive(Debug, Clone, Default)]
pub(crate) struct RegistriesPlan {
    /// User names and passwords, by host.
    pub(crate) credentials: Credentials,
    /// Hosts whose certificate is not verified, in the form of [`canonical_host`]. They can also have no TLS.
    ///
    /// [`canonical_host`]: crate::registry::credentials::canonical_host
    pub(crate) insecure: Vec<String>,
    /// The identities for Amazon ECR.
    pub(crate) aws: Access,
    /// Whether repositories of the image that do not exist in Amazon ECR are created.
    pub(crate) create_repositories: bool,
}

/// All variables for registries.
pub(super) struct Variables {
    pub(super) registry: RegistryVariables,
    pub(super) amazon: AmazonVariables,
    pub(super) identity: IdentityVariables,
}

/// The parts of the build that use registries.
pub(super) struct Used<'a> {
    /// The names that the image is pushed under.
    pub(super) pushed: &'a [Reference],
    /// The image that is copied.
    pub(super) read: Option<&'a Reference>,
    /// The caches of each image.
    pub(super) caches: &'a [CachesPlan],
}

/// Reads the plan, and the secrets that it does not use. Paths are relative to `working_directory`.
pub(super) fn read(
    variables: Variables,
    pipeline: &PipelineVariables,
    used: &Used<'_>,
    working_directory: &Path,
    findings: &mut Findings,
) -> (RegistriesPlan, Vec<SecretString>) {
    let Variables {
        registry,
        amazon,
        identity,
    } = variables;
    let insecure = logins::insecure(registry.registry_insecure.as_deref(), findings);
    let (credentials, unused) = logins::read(registry, working_directory, used.pushed, findings);
    let create_repositories = read_boolean(
        "ECR_CREATE_REPOSITORY",
        amazon.ecr_create_repository.as_deref(),
        findings,
    );
    let mut secrets = amazon::tokens(&identity);
    secrets.extend(unused);
    let needs_amazon = needs_amazon(used, &credentials);
    let aws = amazon::read(amazon, identity, pipeline, needs_amazon, findings);
    let plan = RegistriesPlan {
        credentials,
        insecure,
        aws,
        create_repositories,
    };
    (plan, secrets)
}

/// Whether an image or a cache is in Amazon ECR and no other variable has a login for that registry, or a cache in S3 has no keys.
fn needs_amazon(used: &Used<'_>, credentials: &Credentials) -> bool {
    let hosts = used.pushed.iter().chain(used.read);
    let hosts = hosts.chain(used.caches.iter().flat_map(CachesPlan::references));
    let mut hosts = hosts.map(|name| (name.host(), name.repository()));
    let caches = used.caches.iter();
    let mut caches = caches.flat_map(|caches| caches.imports.iter().chain(&caches.exports));
    caches.any(CachePlan::lacks_keys)
        || hosts.any(|(host, repository)| {
            credentials.for_repository(host, repository).is_none() && EcrHost::parse(host).is_some()
        })
}
