//! After a rejected login: the variables that the login came from, or those that would provide one.

use super::PACKAGES_TOKEN;
use crate::bitbucket::variables::PACKAGES_HOST;
use crate::buildkit::ErrorKind;
use crate::config::Plan;
use crate::depot::is_registry;
use crate::registry::client::ClientError;
use crate::registry::credentials::{Credential, canonical_host};
use crate::registry::ecr::EcrHost;
use crate::registry::reference::{DOCKER_HUB, Reference};

/// The password of the pair for any registry.
const PAIR_PASSWORD: &str = "REGISTRY_PASSWORD";

/// The purpose of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Pull,
    Push,
    /// Any part of a build.
    Build,
}

/// A part of a registry that rejected a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Canonical; empty if it is not known.
    host: String,
    /// Empty if it is not known.
    repository: String,
    purpose: Purpose,
}

impl Place {
    /// Of a failed call.
    pub(super) fn of(error: &ClientError, purpose: Purpose) -> Self {
        Self {
            host: canonical_host(error.host()),
            repository: error.repository().to_owned(),
            purpose,
        }
    }

    /// Of a reference that a build uses. It can be a part of one, or empty.
    pub(super) fn in_build(reference: &str) -> Self {
        let host = reference.split('/').next().unwrap_or_default();
        let parsed = Reference::parse(reference).ok();
        let parsed = parsed.filter(|parsed| canonical_host(parsed.host()) == canonical_host(host));
        Self {
            host: canonical_host(host),
            repository: parsed.map_or_else(String::new, |parsed| parsed.repository().to_owned()),
            purpose: Purpose::Build,
        }
    }

    /// Of the registry in an error of a builder.
    pub(super) fn of_kind(kind: &ErrorKind) -> Self {
        Self::in_build(match kind {
            ErrorKind::Registry { reference, .. } => reference,
            _ => "",
        })
    }

    /// The configured login that was used.
    fn credential<'a>(&self, plan: &'a Plan) -> Option<&'a Credential> {
        let credentials = &plan.registries.credentials;
        if self.repository.is_empty() {
            credentials.for_host(&self.host)
        } else {
            credentials.for_repository(&self.host, &self.repository)
        }
    }
}

/// The variables to set or to check after a rejected login.
pub(super) fn login_hint(place: &Place, plan: &Plan) -> String {
    let Place {
        host,
        repository,
        purpose,
    } = place;
    let origin = place.credential(plan).and_then(Credential::origin);
    match (&**host, origin) {
        (PACKAGES_HOST, Some(PACKAGES_TOKEN)) => format!(
            "the login in BITBUCKET_PACKAGES_USERNAME and {PACKAGES_TOKEN} applies only to packages that are linked to this repository: \
             link the package in its settings, or add an entry for `{host}` in REGISTRIES"
        ),
        (PACKAGES_HOST, None) => format!(
            "Bitbucket sets BITBUCKET_PACKAGES_USERNAME and {PACKAGES_TOKEN} in the steps of workspaces with Packages; elsewhere, \
             add an entry for `{host}` in REGISTRIES"
        ),
        (host, None) if is_registry(host) && plan.depot_token().is_none() => {
            format!("set DEPOT_TOKEN, which is the login for `{host}`")
        }
        (host, None) if is_registry(host) => format!(
            "check DEPOT_TOKEN: it must belong to the project or the organization of the repository at `{host}`"
        ),
        ("", _) => {
            "check the logins: REGISTRY_USERNAME and REGISTRY_PASSWORD, or REGISTRIES".into()
        }
        (host, Some(origin)) => {
            let variables = match origin {
                "DOCKERHUB_TOKEN" => "DOCKERHUB_USERNAME and DOCKERHUB_TOKEN",
                PAIR_PASSWORD => "REGISTRY_USERNAME and REGISTRY_PASSWORD",
                origin => origin,
            };
            let permission = match purpose {
                Purpose::Pull => "permission to pull",
                Purpose::Push => "permission to push",
                Purpose::Build => "the permissions that the build needs",
            };
            format!(
                "check {variables}: the login must belong to `{host}` and have {permission} there"
            )
        }
        (host, None) if EcrHost::parse(host).is_some() => {
            let identity =
                "the identity in AWS_OIDC_ROLE_ARN or AWS_ACCESS_KEY_ID must be allowed to";
            match purpose {
                Purpose::Pull => format!("{identity} pull from the repository at `{host}`"),
                Purpose::Push | Purpose::Build => format!(
                    "{identity} use the repository at `{host}`; ECR_CREATE_REPOSITORY: 'true' creates a missing one"
                ),
            }
        }
        (DOCKER_HUB, None) => {
            "set DOCKERHUB_USERNAME and DOCKERHUB_TOKEN as secured variables".into()
        }
        (host, None) if plan.registries.credentials.for_host(host).is_some() => format!(
            "no entry of REGISTRIES for `{host}` covers the repository `{repository}`: add one for `{host}`, or for the start of the \
             repository's name"
        ),
        (host, None) if is_pair_in_use(plan) => format!("add an entry for `{host}` in REGISTRIES"),
        (host, None) => format!(
            "set REGISTRY: {host}, REGISTRY_USERNAME and REGISTRY_PASSWORD, or add an entry for `{host}` in REGISTRIES"
        ),
    }
}

/// Whether the pair for any registry is already a login, for another registry.
fn is_pair_in_use(plan: &Plan) -> bool {
    let mut logins = plan.registries.credentials.iter();
    logins.any(|login| login.origin() == Some(PAIR_PASSWORD))
}

#[cfg(test)]
mod tests;
