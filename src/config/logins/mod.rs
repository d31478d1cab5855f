//! Logins for registries: one for each host.
//!
//! Logins come from pairs of variables, from a list, and from a Docker configuration. If two of these have different logins
//! for one host, the more specific one is used, with a warning: Docker Hub's own variables, then the pair of `REGISTRY`, then
//! the list, then the Docker configuration. This is not a fault, because each can come from the workspace. Two different
//! logins for one host within the list are a fault.
//!
//! A login without a host is not used: a guess could send the password of one registry to another.

mod docker;
mod host;
mod list;
mod pair;
mod precedence;
mod proxies;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use host::with_prefix;

pub(super) use docker::secret_files as docker_config_files;
pub(super) use proxies::{ProxyArgument, read as proxies_of_steps};

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use pair::Registry;

use super::fault::Fault;
use super::findings::Findings;
use super::values::words;
use super::warning::Warning;
use crate::depot::is_registry;
use crate::http::zones::{Zone, host_zone};
use crate::registry::credentials::{Credential, Credentials, canonical_host};
use crate::registry::ecr::EcrHost;
use crate::registry::reference::{DOCKER_HUB, Reference};

/// The variables for logins.
#[derive(Default, Deserialize)]
pub(super) struct RegistryVariables {
    pub(super) dockerhub_username: Option<String>,
    pub(super) dockerhub_token: Option<String>,
    pub(super) bitbucket_packages_username: Option<String>,
    pub(super) bitbucket_packages_token: Option<String>,
    pub(super) registry: Option<String>,
    pub(super) registry_username: Option<String>,
    pub(super) registry_password: Option<String>,
    pub(super) registries: Option<String>,
    pub(super) docker_config: Option<String>,
    pub(super) registry_insecure: Option<String>,
}

/// Masks the passwords inside of variables in messages and in the log. Called before the first message.
pub(super) fn keep_secrets(
    variables: &RegistryVariables,
    working_directory: &Path,
    findings: &mut Findings,
) {
    if let Some(value) = variables.docker_config.as_deref() {
        docker::keep_secrets(value, working_directory, findings);
    }
    if let Some(value) = variables.registries.as_deref() {
        list::keep_secrets(value, findings);
    }
}

/// Reads every login, and the password without a host. The path of a Docker configuration is relative to
/// `working_directory`.
pub(super) fn read(
    mut variables: RegistryVariables,
    working_directory: &Path,
    pushed: &[Reference],
    findings: &mut Findings,
) -> (Credentials, Option<SecretString>) {
    let mut logins: Vec<Credential> = Vec::new();
    let docker_hub = pair::docker_hub(&mut variables, findings);
    let packages = pair::packages(&mut variables, pushed, findings);
    let registry = pair::registry(&mut variables, findings);
    let listed = variables
        .registries
        .as_deref()
        .map(|value| list::read(value, findings));
    let pair = match &registry {
        Registry::Login(login) => Some(login.clone()),
        _ => None,
    };
    let listed = without_conflicts(listed.into_iter().flatten(), findings);
    for login in docker_hub.into_iter().chain(pair).chain(listed) {
        add(&mut logins, login, findings);
    }
    if let Some(value) = variables.docker_config.as_deref() {
        let configuration = docker::read(value, working_directory, findings);
        for login in &configuration.logins {
            add(&mut logins, login.clone(), findings);
        }
        docker::report_helpers(&configuration, &logins, pushed, findings);
    }
    // A login that the user has set takes precedence over the one that Bitbucket sets.
    if let Some(login) = packages
        && logins.iter().all(|known| known.host() != login.host())
    {
        logins.push(login);
    }
    let logins: Credentials = logins.into_iter().collect();
    (
        logins.clone(),
        incomplete(registry, &logins, pushed, findings),
    )
}

/// Reports a login of which a part is missing: as a fault if this push cannot succeed without it, else as a warning, since
/// the variables may belong to other steps. Returns the password, if there is one.
fn incomplete(
    registry: Registry,
    logins: &Credentials,
    pushed: &[Reference],
    findings: &mut Findings,
) -> Option<SecretString> {
    let mut hosts = pushed.iter().map(Reference::host);
    let has_login =
        |host: &str| logins.for_host(host).is_some() || needs_no_login(&canonical_host(host));
    match registry {
        Registry::None | Registry::Login(_) => None,
        Registry::WithoutHost {
            password,
            value: None,
        } => {
            // Other registries may take a push without a login.
            if hosts.any(|host| host == DOCKER_HUB && !has_login(host)) {
                findings.fault(pair::without_host());
            } else {
                findings.warn(Warning::LoginWithoutHost);
            }
            Some(password)
        }
        Registry::WithoutHost {
            password,
            value: Some(value),
        } => {
            if hosts.any(|host| !has_login(host)) {
                findings.fault(pair::no_host(&value, findings));
            } else {
                let value = findings.shown(value.trim());
                findings.warn(Warning::RegistryWithoutHost { value });
            }
            Some(password)
        }
        Registry::WithoutLogin(value) => {
            let address = host::of_address(&value);
            if !address.is_some_and(|address| has_login(&address.host)) {
                findings.warn(Warning::HostWithoutLogin);
            }
            None
        }
    }
}

/// Whether the pipe has a login for `host` itself (Amazon ECR, Depot's registries), or the registry is on this machine, where most need none.
fn needs_no_login(host: &str) -> bool {
    EcrHost::parse(host).is_some() || is_registry(host) || is_on_this_machine(host)
}

fn is_on_this_machine(host: &str) -> bool {
    host_zone(host) == Zone::ThisMachine
}

/// Hosts whose certificate is not verified.
pub(super) fn insecure(value: Option<&str>, findings: &mut Findings) -> Vec<String> {
    let mut hosts = Vec::new();
    for word in value.into_iter().flat_map(words) {
        let host = host::read("REGISTRY_INSECURE", word, findings);
        let host = host.map(|host| canonical_host(&host));
        match host {
            Some(host) if host == DOCKER_HUB => findings.fault(Fault::new(
                "REGISTRY_INSECURE",
                "names Docker Hub, whose certificate is always verified",
                "write only your own registries",
            )),
            Some(host) if !hosts.contains(&host) => hosts.push(host),
            _ => {}
        }
    }
    hosts
}

/// Adds a login, or warns that another one is used for its host.
fn add(logins: &mut Vec<Credential>, login: Credential, findings: &mut Findings) {
    match logins.iter().find(|known| is_for_same(known, &login)) {
        None => logins.push(login),
        Some(known) if is_same(known, &login) || known.origin() == login.origin() => {}
        Some(known) => findings.warn(Warning::TwoLogins {
            host: findings.masked(login.host()),
            used: origin(known),
            ignored: origin(&login),
        }),
    }
}

/// The logins of a list. Two different logins for one host are a fault.
fn without_conflicts(
    listed: impl Iterator<Item = Credential>,
    findings: &mut Findings,
) -> Vec<Credential> {
    let mut logins: Vec<Credential> = Vec::new();
    for login in listed {
        match logins.iter().find(|known| is_for_same(known, &login)) {
            None => logins.push(login),
            Some(known) if is_same(known, &login) => {}
            Some(known) => {
                let host = findings.masked(login.host());
                findings.fault(Fault::new(
                    origin(&login),
                    format!("has a different login for `{host}` than {}", origin(known)),
                    "remove one of the two",
                ));
            }
        }
    }
    logins
}

/// Whether both are for the same repositories.
fn is_for_same(one: &Credential, other: &Credential) -> bool {
    one.host() == other.host() && one.prefix() == other.prefix()
}

fn is_same(one: &Credential, other: &Credential) -> bool {
    one.username() == other.username()
        && one.password().expose_secret() == other.password().expose_secret()
        && one.is_identity_token() == other.is_identity_token()
}

fn origin(login: &Credential) -> String {
    login.origin().unwrap_or("a variable").to_owned()
}
