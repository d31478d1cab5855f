//! Who we are at the registry.
//!
//! User name and password go together; the host may be left out and is Docker Hub then. The user name is trimmed; a
//! password loses line ends at its end, which come from copying, and nothing else.

use secrecy::SecretString;

use super::{fault::Fault, findings::Findings, variables::RegistryVariables};
use crate::registry::{
    credentials::{Credential, Credentials, canonical_host},
    reference::{DOCKER_HUB, Reference},
};

/// How Docker's configuration names Docker Hub, and many a pipeline with it.
const DOCKER_HUB_ADDRESS: &str = "https://index.docker.io/v1";
const PASSWORD_HINT: &str = "keep REGISTRY_PASSWORD as a secured variable of the repository or the workspace; pull requests from \
                             forks get no secured variables";

/// Reads the one login that there can be.
pub(super) fn read(variables: RegistryVariables, findings: &mut Findings) -> Credentials {
    let host = variables
        .registry
        .as_deref()
        .map(|value| host(value, findings));
    let login = match (variables.registry_username, variables.registry_password) {
        (Some(username), Some(password)) => Some((username, password)),
        (Some(_), None) => {
            let problem = "not given, though REGISTRY_USERNAME is";
            let advice = "give the password or token of that user, or neither";
            findings
                .fault(Fault::new("REGISTRY_PASSWORD", problem, advice).with_hint(PASSWORD_HINT));
            None
        }
        (None, Some(_)) => {
            let problem = "not given, though REGISTRY_PASSWORD is";
            findings.fault(Fault::new(
                "REGISTRY_USERNAME",
                problem,
                "give the user that the password is of, or neither",
            ));
            None
        }
        (None, None) => {
            if host.is_some() {
                let problem = "given without REGISTRY_USERNAME and REGISTRY_PASSWORD";
                let fault = Fault::new(
                    "REGISTRY",
                    problem,
                    "give all three, or none where no login is needed",
                );
                findings.fault(fault.with_hint(PASSWORD_HINT));
            }
            None
        }
    };
    let Some((username, password)) = login else {
        return Credentials::default();
    };
    let username = username.trim();
    if username.contains(|character: char| character == ':' || character.is_control()) {
        // Not shown: what stands behind the colon is most likely the password.
        let problem = "holds a colon or a line break, and no user name does";
        findings.fault(Fault::new(
            "REGISTRY_USERNAME",
            problem,
            "write the user name alone",
        ));
        return Credentials::default();
    }
    let host = host.unwrap_or_else(|| Some(DOCKER_HUB.to_owned()));
    let password = SecretString::from(password.trim_end_matches(['\r', '\n']));
    host.map(|host| Credential::new(&host, username.to_owned(), password))
        .into_iter()
        .collect()
}

fn host(value: &str, findings: &mut Findings) -> Option<String> {
    let value = value.trim();
    if value
        .trim_end_matches('/')
        .eq_ignore_ascii_case(DOCKER_HUB_ADDRESS)
    {
        return Some(DOCKER_HUB.to_owned());
    }
    // A host is what can stand before a repository.
    let is_host = |text: &str| {
        let reference = Reference::parse(&format!("{text}/a/a"));
        reference.is_ok_and(|reference| {
            reference.host() == canonical(text) && !reference.host_is_bare_word()
        })
    };
    if is_host(value) && !value.contains('/') {
        return Some(value.to_owned());
    }
    let meant = canonical_host(value);
    let advice = if is_host(&meant) && !value.contains('@') {
        format!("write just the host, `{}`", findings.masked(&meant))
    } else {
        "write just the host, such as `registry.example.com`".to_owned()
    };
    findings.fault(Fault::new(
        "REGISTRY",
        format!("{} is no host", findings.shown(value)),
        advice,
    ));
    None
}

/// Docker Hub's older name reads as its newer one.
fn canonical(host: &str) -> &str {
    if host == "index.docker.io" {
        DOCKER_HUB
    } else {
        host
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn login(
        registry: Option<&str>,
        username: Option<&str>,
        password: Option<&str>,
    ) -> Result<Vec<[String; 3]>, String> {
        let mut findings = Findings::default();
        let variables = RegistryVariables {
            registry: registry.map(Into::into),
            registry_username: username.map(Into::into),
            registry_password: password.map(Into::into),
        };
        let credentials = read(variables, &mut findings);
        if !findings.is_faultless() {
            return Err(findings.into_error().to_string());
        }
        let shown = |one: &Credential| {
            [
                one.host().into(),
                one.username().into(),
                one.password().expose_secret().into(),
            ]
        };
        Ok(credentials.iter().map(shown).collect())
    }

    #[test]
    fn a_login_is_for_docker_hub_unless_a_host_is_given() {
        assert_eq!(login(None, None, None), Ok(vec![]));
        for (registry, host) in [
            (None, "docker.io"),
            (Some("docker.io"), "docker.io"),
            (Some("index.docker.io"), "docker.io"),
            (Some("registry-1.docker.io"), "docker.io"),
            (Some("https://index.docker.io/v1/"), "docker.io"),
            (Some("https://index.docker.io/v1"), "docker.io"),
            (
                Some(" Registry.Example.com:5000 "),
                "registry.example.com:5000",
            ),
            (Some("localhost:5000"), "localhost:5000"),
            (Some("localhost"), "localhost"),
            (Some("[::1]:5000"), "[::1]:5000"),
        ] {
            let expected = [host, "me", " p: w "].map(str::to_owned);
            assert_eq!(
                login(registry, Some(" me\n"), Some(" p: w \r\n")),
                Ok(vec![expected]),
                "{registry:?}"
            );
        }
    }

    #[test]
    fn half_a_login_is_told() {
        for (registry, username, password, fault) in [
            (
                None,
                Some("me"),
                None,
                "REGISTRY_PASSWORD: not given, though REGISTRY_USERNAME is; ",
            ),
            (
                None,
                None,
                Some("word"),
                "REGISTRY_USERNAME: not given, though REGISTRY_PASSWORD is; ",
            ),
            (
                Some("a.example"),
                None,
                None,
                "REGISTRY: given without REGISTRY_USERNAME and REGISTRY_PASSWORD; ",
            ),
            (
                Some("a.example"),
                Some("me"),
                None,
                "REGISTRY_PASSWORD: not given, though REGISTRY_USERNAME is; ",
            ),
            (
                None,
                Some("me:word"),
                Some("word"),
                "REGISTRY_USERNAME: holds a colon or a line break, and no user name does; ",
            ),
        ] {
            let error = login(registry, username, password).unwrap_err();
            assert!(
                error.starts_with(fault) && error.lines().count() == 1,
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_no_host_is_told_with_the_host_in_it() {
        for (registry, fault) in [
            (
                "https://a.example",
                "REGISTRY: `https://a.example` is no host; write just the host, `a.example`",
            ),
            (
                "http://a.example:80/",
                "REGISTRY: `http://a.example:80/` is no host; write just the host, `a.example:80`",
            ),
            (
                "a.example/acme",
                "REGISTRY: `a.example/acme` is no host; write just the host, `a.example`",
            ),
            (
                "a.example/",
                "REGISTRY: `a.example/` is no host; write just the host, `a.example`",
            ),
            (
                "Acme",
                "REGISTRY: `Acme` is no host; write just the host, such as `registry.example.com`",
            ),
            (
                "acme",
                "REGISTRY: `acme` is no host; write just the host, such as `registry.example.com`",
            ),
            (
                "a.example b.example",
                "REGISTRY: `a.example b.example` is no host; write just the host, such as",
            ),
            (
                "a.example:99999",
                "REGISTRY: `a.example:99999` is no host; write just the host, such as",
            ),
            (
                "https://me:word@a.example",
                "REGISTRY: `***@a.example` is no host; write just the host, such as",
            ),
        ] {
            assert!(
                login(Some(registry), Some("me"), Some("word"))
                    .unwrap_err()
                    .starts_with(fault),
                "{registry}"
            );
        }
    }
}
