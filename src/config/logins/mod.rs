//! Who we are at registries: every login that variables give, one for each host.
//!
//! Logins come from pairs of variables, from a list, and from a Docker configuration. If two of these have different logins
//! for one host, the more specific one is used, with a warning: Docker Hub's own variables, then the pair of `REGISTRY`, then
//! the list, then the Docker configuration. It is no fault, because each may come from the workspace. Two different logins
//! for one host within the list are a fault.
//!
//! A login without a host is used for no host at all: a guess could send the password of one registry to another.

mod docker;
mod host;
mod list;
mod pair;
mod precedence;

pub(super) use docker::secret_files as docker_config_files;

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use pair::Registry;

use super::{
    fault::Fault, findings::Findings, values::words, variables::RegistryVariables, warning::Warning,
};
use crate::http::zones::{Zone, host_zone};
use crate::registry::credentials::{Credential, Credentials, canonical_host};
use crate::registry::ecr::EcrHost;
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

/// Reads every login, and the passwords that are for no known host. `working_directory` is what a Docker configuration's
/// path is relative to.
pub(super) fn read(
    mut variables: RegistryVariables,
    working_directory: &Path,
    pushed: &[Reference],
    findings: &mut Findings,
) -> (Credentials, Option<SecretString>) {
    let mut logins: Vec<Credential> = Vec::new();
    let docker_hub = pair::docker_hub(&mut variables, findings);
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
        docker::tell_of_helpers(&configuration, &logins, pushed, findings);
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
        |host: &str| logins.for_host(host).is_some() || needs_no_given_login(&canonical_host(host));
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

/// Whether the pipe obtains the login for `host` itself, as for Amazon's registries, or the registry is on this machine, where
/// few need one.
fn needs_no_given_login(host: &str) -> bool {
    EcrHost::parse(host).is_some() || is_on_this_machine(host)
}

fn is_on_this_machine(host: &str) -> bool {
    host_zone(host) == Zone::ThisMachine
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

/// Adds a login, or warns that another one is used for its host.
fn add(logins: &mut Vec<Credential>, login: Credential, findings: &mut Findings) {
    match logins.iter().find(|known| known.host() == login.host()) {
        None => logins.push(login),
        Some(known) if is_same(known, &login) || known.origin() == login.origin() => {}
        Some(known) => findings.warn(Warning::TwoLogins {
            host: findings.masked(login.host()),
            used: origin(known),
            ignored: origin(&login),
        }),
    }
}

/// The logins of a list, of which two different ones for one host are a fault.
fn without_conflicts(
    listed: impl Iterator<Item = Credential>,
    findings: &mut Findings,
) -> Vec<Credential> {
    let mut logins: Vec<Credential> = Vec::new();
    for login in listed {
        match logins.iter().find(|known| known.host() == login.host()) {
            None => logins.push(login),
            Some(known) if is_same(known, &login) => {}
            Some(known) => {
                let host = findings.masked(login.host());
                findings.fault(Fault::new(
                    origin(&login),
                    format!("another login for `{host}` than that of {}", origin(known)),
                    "remove one of the two",
                ));
            }
        }
    }
    logins
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
        let (logins, _) = read(variables, Path::new("/"), &[], &mut findings);
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
    fn two_logins_for_one_host_in_the_list_are_a_fault_and_the_same_twice_is_one() {
        let list = "- {registry: a.example, username: robot, password: word}\n\
                    - {registry: a.example, username: robot, password: word}\n\
                    - {registry: A.Example, username: robot, password: other}\n";
        let same = RegistryVariables {
            registries: Some(list.into()),
            ..variables()
        };
        let (logins, error) = outcome(same);
        assert_eq!(logins.len(), 2);
        assert_eq!(
            error,
            "entry 3 of REGISTRIES: another login for `a.example` than that of entry 1 of REGISTRIES; remove one of the two"
        );
    }

    #[test]
    fn the_login_of_the_more_specific_variable_is_used() {
        let two = |used: &str, ignored: &str| Warning::TwoLogins {
            host: "docker.io".into(),
            used: used.into(),
            ignored: ignored.into(),
        };
        let list = "- {registry: index.docker.io, username: listed, password: other}";
        let with = |registry: Option<&str>, registries: Option<&str>| RegistryVariables {
            registry: registry.map(Into::into),
            registries: registries.map(Into::into),
            ..variables()
        };
        let (hosts, error, warnings) = of_push(with(Some("docker.io"), None), &["acme/app"]);
        assert_eq!((hosts.len(), error.as_str()), (1, ""));
        assert_eq!(warnings, [two("DOCKERHUB_TOKEN", "REGISTRY_PASSWORD")]);
        let (logins, error) = outcome(with(Some("docker.io"), Some(list)));
        assert_eq!((logins, error.as_str()), (vec!["me@docker.io".into()], ""));
        let without_hub = RegistryVariables {
            dockerhub_username: None,
            dockerhub_token: None,
            ..with(Some("docker.io"), Some(list))
        };
        let (_, error, warnings) = of_push(without_hub, &["acme/app"]);
        assert_eq!(error, "");
        assert_eq!(
            warnings,
            [two("REGISTRY_PASSWORD", "entry 1 of REGISTRIES")]
        );
    }

    /// The hosts with a login, the faults and the warnings of a push to these names.
    fn of_push(
        variables: RegistryVariables,
        names: &[&str],
    ) -> (Vec<String>, String, Vec<Warning>) {
        let names = names.iter().map(|name| Reference::parse(name).unwrap());
        let names: Vec<_> = names.collect();
        let mut findings = Findings::default();
        let (logins, password) = read(variables, Path::new("/"), &names, &mut findings);
        let hosts = logins.iter().map(|login| login.host().to_owned()).collect();
        let password = password.map(|password| password.expose_secret().to_owned());
        let (faults, warnings) = if findings.is_faultless() {
            (String::new(), findings.into_warnings())
        } else {
            (findings.into_error().to_string(), Vec::new())
        };
        assert!(!faults.contains("word") && password.is_none_or(|password| password == "word"));
        (hosts, faults, warnings)
    }

    #[test]
    fn a_login_without_a_host_is_sent_to_none() {
        let hostless = || RegistryVariables {
            registry_username: Some("robot".into()),
            registry_password: Some("word".into()),
            ..RegistryVariables::default()
        };
        for names in [
            &[][..],
            &["localhost:5000/app"],
            &[
                "127.0.0.1:5000/app",
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app",
            ],
            // The registry may take pushes without a login, or get one from Depot.
            &["a.example/app"],
            &["registry.depot.dev/project:1"],
        ] {
            let warning = vec![Warning::LoginWithoutHost];
            assert_eq!(of_push(hostless(), names), (vec![], String::new(), warning));
        }
        let (hosts, error, _) = of_push(hostless(), &["acme/app"]);
        assert_eq!(hosts.len(), 0);
        assert!(
            error.starts_with(
                "REGISTRY: not set, though REGISTRY_USERNAME and REGISTRY_PASSWORD are, and the push to `docker.io` has no \
                 login; set it to the host that they are for"
            ),
            "{error}"
        );
        // Another login for that host.
        let with_hub = RegistryVariables {
            dockerhub_username: Some("me".into()),
            dockerhub_token: Some("hub-token".into()),
            registries: Some("- {registry: a.example, username: u, password: p}".into()),
            ..hostless()
        };
        let (hosts, error, warnings) = of_push(with_hub, &["acme/app", "a.example/app"]);
        assert_eq!(hosts, ["docker.io", "a.example"]);
        assert_eq!(
            (error.as_str(), &warnings[..]),
            ("", &[Warning::LoginWithoutHost][..])
        );
    }

    #[test]
    fn a_host_without_a_login_is_no_fault() {
        let host = |host: &str, registries: Option<&str>| RegistryVariables {
            registry: Some(host.into()),
            registries: registries.map(Into::into),
            ..RegistryVariables::default()
        };
        for registry in ["a.example", "https://a.example/team", "acme"] {
            for names in [&[][..], &["b.example/app"], &["a.example/app"]] {
                let warning = vec![Warning::HostWithoutLogin];
                let outcome = of_push(host(registry, None), names);
                assert_eq!(outcome, (vec![], String::new(), warning));
            }
        }
        for registry in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "public.ecr.aws",
            "localhost:5000",
            "http://127.0.0.1:5000/",
            "[::1]:5000",
        ] {
            let name = format!(
                "{}/app",
                registry.trim_matches('/').rsplit('/').next().unwrap()
            );
            let outcome = of_push(host(registry, None), &[&name]);
            assert_eq!(outcome, (vec![], String::new(), vec![]), "{registry}");
        }
        let listed = "- {registry: a.example, username: u, password: p}";
        for registry in ["a.example", "https://A.example/team"] {
            let (hosts, error, warnings) =
                of_push(host(registry, Some(listed)), &["a.example/app"]);
            assert_eq!((hosts.len(), error.as_str(), warnings.len()), (1, "", 0));
        }
    }

    #[test]
    fn the_host_of_an_address_in_registry_is_used() {
        let with = |registry: &str| RegistryVariables {
            registry: Some(registry.into()),
            registry_username: Some("robot".into()),
            registry_password: Some("word".into()),
            ..RegistryVariables::default()
        };
        let (hosts, error, warnings) = of_push(with("https://a.example/"), &["a.example/app"]);
        assert_eq!(hosts, ["a.example"]);
        assert_eq!((error.as_str(), warnings.len()), ("", 0));
        for names in [&[][..], &["a.example/team/app"]] {
            let (hosts, error, warnings) = of_push(with("a.example/team"), names);
            assert_eq!((hosts, error.as_str()), (vec!["a.example".to_owned()], ""));
            let value = "`a.example/team`".into();
            let host = "a.example".into();
            assert_eq!(warnings, [Warning::RegistryWithPath { value, host }]);
        }
    }

    #[test]
    fn a_registry_without_a_host_is_a_fault_if_a_push_may_need_the_login() {
        let with = |registry: &str| RegistryVariables {
            registry: Some(registry.into()),
            registry_username: Some("robot".into()),
            registry_password: Some("word".into()),
            ..RegistryVariables::default()
        };
        for names in [&[][..], &["localhost:5000/app"]] {
            let (hosts, error, warnings) = of_push(with("acme"), names);
            assert_eq!((hosts.len(), error.as_str()), (0, ""));
            let value = "`acme`".into();
            assert_eq!(warnings, [Warning::RegistryWithoutHost { value }]);
        }
        for (registry, fault) in [
            (
                "acme",
                "REGISTRY: `acme` is not a host; write just the host, such as",
            ),
            (
                "https://me:word@a.example",
                "REGISTRY: `***@a.example` is not a host; write just the host, such as",
            ),
        ] {
            let (_, error, _) = of_push(with(registry), &["acme/app"]);
            assert!(error.starts_with(fault), "{error}");
        }
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
