//! Who we are at registries: every login that variables give, one for each host.
//!
//! Logins come from pairs of variables, from a list, and from a Docker configuration. Two different ones for one host
//! are a fault where variables give both, since nobody could tell which is meant. But a variable beats the Docker
//! configuration, which is often shared by many builds.
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
use url::Url;

use pair::Registry;

use super::{
    fault::Fault, findings::Findings, values::words, variables::RegistryVariables, warning::Warning,
};
use crate::network::{Zone, named_zone};
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
    let given = docker_hub.into_iter().chain(pair);
    for login in given.chain(listed.into_iter().flatten()) {
        add(&mut logins, login, findings);
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
    let logins: Credentials = logins.into_iter().collect();
    (
        logins.clone(),
        incomplete(registry, &logins, pushed, findings),
    )
}

/// Reports a login of which a part is missing: as a fault if a push may need it, else as a warning, since the variables
/// may belong to other steps. Returns the password, if that is there.
fn incomplete(
    registry: Registry,
    logins: &Credentials,
    pushed: &[Reference],
    findings: &mut Findings,
) -> Option<SecretString> {
    let mut hosts = pushed.iter().map(Reference::host);
    match registry {
        Registry::None | Registry::Login(_) => None,
        Registry::WithoutHost(password) => {
            // Logins of Amazon's registries are made, and a registry on this machine mostly takes none.
            let needs_login = |host: &&str| {
                logins.for_host(host).is_none()
                    && EcrHost::parse(host).is_none()
                    && !is_on_this_machine(host)
            };
            match hosts.find(needs_login) {
                Some(host) => findings.fault(pair::without_host(host)),
                None => findings.warn(Warning::LoginWithoutHost),
            }
            Some(password)
        }
        Registry::WithoutLogin(host) => {
            let host = canonical_host(&host);
            match logins.for_host(&host) {
                // Some other variable has its login.
                Some(_) => {}
                None if hosts.any(|pushed| pushed == host) => {
                    findings.fault(pair::without_login());
                }
                None => findings.warn(Warning::HostWithoutLogin),
            }
            None
        }
    }
}

fn is_on_this_machine(host: &str) -> bool {
    let url = Url::parse(&format!("http://{host}/"));
    url.is_ok_and(|url| named_zone(&url) == Zone::ThisMachine)
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
fn add(logins: &mut Vec<Credential>, login: Credential, findings: &mut Findings) {
    let Some(known) = logins.iter().find(|known| known.host() == login.host()) else {
        logins.push(login);
        return;
    };
    if is_same(known, &login) {
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
    fn two_logins_for_one_host_are_told_and_the_same_twice_is_one() {
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
        let (hosts, error, _) = of_push(hostless(), &["localhost/app", "a.example/app"]);
        assert_eq!(hosts.len(), 0);
        assert!(
            error.contains("the push to `a.example` has no login"),
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
    fn a_host_without_a_login_is_a_fault_if_the_push_goes_there() {
        let host = |registries: Option<&str>| RegistryVariables {
            registry: Some("a.example".into()),
            registries: registries.map(Into::into),
            ..RegistryVariables::default()
        };
        for names in [&[][..], &["b.example/app"]] {
            let warning = vec![Warning::HostWithoutLogin];
            assert_eq!(of_push(host(None), names), (vec![], String::new(), warning));
        }
        let (_, error, _) = of_push(host(None), &["a.example/app"]);
        assert!(
            error.starts_with("REGISTRY: set without REGISTRY_USERNAME and REGISTRY_PASSWORD"),
            "{error}"
        );
        let listed = host(Some("- {registry: a.example, username: u, password: p}"));
        let (hosts, error, warnings) = of_push(listed, &["a.example/app"]);
        assert_eq!((hosts.len(), error.as_str(), warnings.len()), (1, "", 0));
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
