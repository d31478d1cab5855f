//! Everything for registries: logins, identities for Amazon ECR, and settings.

use std::path::Path;

use secrecy::SecretString;

use super::amazon::{self, AmazonVariables, IdentityVariables};
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

/// Reads the plan, and the secrets that it does not use.
///
/// `pushed` are the names that the image is pushed under. Paths are relative to `working_directory`.
pub(super) fn read(
    variables: Variables,
    pipeline: &PipelineVariables,
    pushed: &[Reference],
    working_directory: &Path,
    findings: &mut Findings,
) -> (RegistriesPlan, Vec<SecretString>) {
    let Variables {
        registry,
        amazon,
        identity,
    } = variables;
    let insecure = logins::insecure(registry.registry_insecure.as_deref(), findings);
    let (credentials, unused) = logins::read(registry, working_directory, pushed, findings);
    let create_repositories = read_boolean(
        "ECR_CREATE_REPOSITORY",
        amazon.ecr_create_repository.as_deref(),
        findings,
    );
    let mut secrets = amazon::tokens(&identity);
    secrets.extend(unused);
    let needs_amazon = needs_amazon(pushed, &credentials);
    let aws = amazon::read(amazon, identity, pipeline, needs_amazon, findings);
    let plan = RegistriesPlan {
        credentials,
        insecure,
        aws,
        create_repositories,
    };
    (plan, secrets)
}

/// Whether an image is pushed to Amazon ECR and no other variable has a login for that registry.
fn needs_amazon(pushed: &[Reference], credentials: &Credentials) -> bool {
    let mut hosts = pushed.iter().map(Reference::host);
    hosts.any(|host| credentials.for_host(host).is_none() && EcrHost::parse(host).is_some())
}
