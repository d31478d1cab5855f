//! Who we are at registries: every login that variables give, one for each host.
//!
//! Logins come from pairs of variables, from a list, and from a Docker configuration. Two different ones for one host
//! are a fault where variables give both, since nobody could tell which is meant. But Docker Hub's own variables beat
//! those for any registry that name no host, and a variable beats the Docker configuration: those are often shared by many
//! builds.

mod docker;
mod host;
mod list;
mod pair;
mod precedence;

pub(super) use docker::place as docker_config_file;

use std::path::Path;

use secrecy::ExposeSecret;

use super::{
    fault::Fault, findings::Findings, values::words, variables::RegistryVariables, warning::Warning,
};
use crate::registry::credentials::{Credential, Credentials, canonical_host};
use crate::registry::reference::{DOCKER_HUB, Reference};

/// Keeps the passwords inside of variables out of what is said of others; to be called before anything is said.
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

/// Reads every login. `working_directory` is what a Docker configuration's path is relative to.
pub(super) fn read(
    mut variables: RegistryVariables,
    working_directory: &Path,
    pushed: &[Reference],
    findings: &mut Findings,
) -> Credentials {
    let mut logins: Vec<Credential> = Vec::new();
    let is_default = variables.registry.is_none();
    let pairs = [
        pair::docker_hub(&mut variables, findings),
        pair::registry(&mut variables, findings),
    ];
    let listed = variables
        .registries
        .as_deref()
        .map(|value| list::read(value, findings));
    for login in pairs
        .into_iter()
        .flatten()
        .chain(listed.into_iter().flatten())
    {
        add(&mut logins, login, is_default, findings);
    }
    if let Some(value) = variables.docker_config.as_deref() {
        let configuration = docker::read(value, working_directory, findings);
        for login in &configuration.logins {
            match logins.iter().find(|known| known.host() == login.host()) {
                Some(known) if is_same(known, login) || known.origin() == login.origin() => {}
                Some(known) => findings.warn(Warning::TwoLogins {
                    host: login.host().to_owned(),
                    used: origin(known),
                    ignored: origin(login),
                }),
                None => logins.push(login.clone()),
            }
        }
        docker::tell_of_helpers(&configuration, &logins, pushed, findings);
    }
    logins.into_iter().collect()
}

/// Hosts that are trusted without check.
pub(super) fn insecure(value: Option<&str>, findings: &mut Findings) -> Vec<String> {
    let mut hosts = Vec::new();
    for word in value.into_iter().flat_map(words) {
        let host = host::read("REGISTRY_INSECURE", word, findings);
        let host = host.map(|host| canonical_host(&host));
        match host {
            Some(host) if host == DOCKER_HUB => findings.fault(Fault::new(
                "REGISTRY_INSECURE",
                "names Docker Hub, whose certificate is always checked",
                "name only registries of your own",
            )),
            Some(host) if !hosts.contains(&host) => hosts.push(host),
            _ => {}
        }
    }
    hosts
}

/// Adds a login that a variable gives, unless there is another one for its host.
///
/// `is_default`: whether the host of `REGISTRY_USERNAME` was left out, and so is Docker Hub.
fn add(logins: &mut Vec<Credential>, login: Credential, is_default: bool, findings: &mut Findings) {
    let Some(known) = logins.iter().find(|known| known.host() == login.host()) else {
        logins.push(login);
        return;
    };
    if is_same(known, &login) {
        return;
    }
    if login.host() == DOCKER_HUB && origin(&login) == "REGISTRY_PASSWORD" && is_default {
        // Both may be variables of the whole workspace, and this one named no host.
        findings.warn(Warning::TwoLogins {
            host: login.host().to_owned(),
            used: origin(known),
            ignored: origin(&login),
        });
        return;
    }
    let host = findings.masked(login.host());
    findings.fault(Fault::new(
        origin(&login),
        format!("another login for `{host}` than that of {}", origin(known)),
        "give one of the two",
    ));
}

fn is_same(one: &Credential, other: &Credential) -> bool {
    one.username() == other.username()
        && one.password().expose_secret() == other.password().expose_secret()
        && one.is_identity_token() == other.is_identity_token()
}

fn origin(login: &Credential) -> String {
    login.origin().unwrap_or("a variable").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> RegistryVariables {
        RegistryVariables {
            dockerhub_username: Some("me".into()),
            dockerhub_token: Some("hub-token".into()),
            registry: Some("a.example".into()),
            registry_username: Some("robot".into()),
            registry_password: Some("word".into()),
            ..RegistryVariables::default()
        }
    }

    fn outcome(variables: RegistryVariables) -> (Vec<String>, String) {
        let mut findings = Findings::default();
        let logins = read(variables, Path::new("/"), &[], &mut findings);
        let shown = |login: &Credential| format!("{}@{}", login.username(), login.host());
        (
            logins.iter().map(shown).collect(),
            findings.into_error().to_string(),
        )
    }

    #[test]
    fn all_logins_count_at_once() {
        let list = "- {registry: b.example, username: u, password: p}\n";
        let all = RegistryVariables {
            registries: Some(list.into()),
            ..variables()
        };
        let (logins, error) = outcome(all);
        assert_eq!(logins, ["me@docker.io", "robot@a.example", "u@b.example"]);
        assert_eq!(error, "");
    }

    #[test]
    fn two_logins_for_one_host_are_told_and_the_same_twice_is_one() {
        let twice = RegistryVariables {
            registry: None,
            ..variables()
        };
        assert_eq!(
            outcome(twice),
            (vec!["me@docker.io".to_owned()], String::new())
        );
        let list = "- {registry: a.example, username: robot, password: word}\n\
                    - {registry: A.Example, username: robot, password: other}\n";
        let same = RegistryVariables {
            registries: Some(list.into()),
            ..variables()
        };
        let (logins, error) = outcome(same);
        assert_eq!(logins.len(), 2);
        assert_eq!(
            error,
            "entry 2 of REGISTRIES: another login for `a.example` than that of REGISTRY_PASSWORD; give one of the two"
        );
    }

    #[test]
    fn hosts_to_trust_are_hosts_and_never_docker_hub() {
        let mut findings = Findings::default();
        let hosts = insecure(
            Some("A.example:5000, b.example a.example:5000"),
            &mut findings,
        );
        assert_eq!(hosts, ["a.example:5000", "b.example"]);
        assert!(findings.is_faultless());
        insecure(Some("https://c.example/x docker.io"), &mut findings);
        let error = findings.into_error().to_string();
        assert_eq!(error.lines().count(), 2, "{error}");
        assert!(
            error.contains("Docker Hub, whose certificate is always checked"),
            "{error}"
        );
    }
}
