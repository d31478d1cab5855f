//! Logins of two variables each: a user name and a password, which go together.
//!
//! The user name is trimmed; a password loses line ends at its end, which come from copying, and nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::Value;

use super::host;
use crate::config::{fault::Fault, findings::Findings, variables::RegistryVariables};
use crate::registry::{credentials::Credential, reference::DOCKER_HUB};

const HUB_USERNAME: &str = "DOCKERHUB_USERNAME";
const HUB_PASSWORD: &str = "DOCKERHUB_TOKEN";
const USERNAME: &str = "REGISTRY_USERNAME";
const PASSWORD: &str = "REGISTRY_PASSWORD";

/// Google's user name for a key that is sent as it is: JSON.
const GOOGLE_KEY_USER: &str = "_json_key";

/// The login of Docker Hub's own two variables.
pub(super) fn docker_hub(
    variables: &mut RegistryVariables,
    findings: &mut Findings,
) -> Option<Credential> {
    let given = (
        variables.dockerhub_username.take(),
        variables.dockerhub_token.take(),
    );
    let (username, password) = both(given, (HUB_USERNAME, HUB_PASSWORD), findings)?;
    credential(
        DOCKER_HUB,
        &username,
        &password,
        (HUB_USERNAME, HUB_PASSWORD),
        findings,
    )
}

/// The login of the three variables for any registry. The host may be left out and is Docker Hub then.
pub(super) fn registry(
    variables: &mut RegistryVariables,
    findings: &mut Findings,
) -> Option<Credential> {
    let host = variables
        .registry
        .as_deref()
        .map(|value| host::read("REGISTRY", value, findings));
    let given = (
        variables.registry_username.take(),
        variables.registry_password.take(),
    );
    if let (Some(_), (None, None)) = (&host, &given) {
        let fault = Fault::new(
            "REGISTRY",
            "given without REGISTRY_USERNAME and REGISTRY_PASSWORD",
            "give all three, or none where no login is needed",
        );
        findings.fault(fault.with_hint(hint(PASSWORD)));
    }
    let (username, password) = both(given, (USERNAME, PASSWORD), findings)?;
    // Also where the host is none, so that all faults are told.
    let credential = |host: &str, findings: &mut Findings| {
        credential(host, &username, &password, (USERNAME, PASSWORD), findings)
    };
    match host {
        Some(Some(host)) => credential(&host, findings),
        Some(None) => {
            credential(DOCKER_HUB, findings);
            None
        }
        None => credential(DOCKER_HUB, findings),
    }
}

/// A login whose parts came from `names`, checked.
pub(super) fn credential(
    host: &str,
    username: &str,
    password: &str,
    names: (&str, &str),
    findings: &mut Findings,
) -> Option<Credential> {
    let username = username.trim();
    if username.contains(|character: char| character == ':' || character.is_control()) {
        // Not shown: what stands behind the colon is most likely the password.
        let problem = "holds a colon or a line break, and no user name does";
        findings.fault(Fault::new(names.0, problem, "write the user name alone"));
        return None;
    }
    let password = password.trim_end_matches(['\r', '\n']);
    findings.keep_secret(password);
    let password = if username == GOOGLE_KEY_USER {
        let Some(key) = google_key(password) else {
            let problem = "no key of a service account, which is what `_json_key` goes with";
            let advice = "give the key's JSON, as it is or in base64";
            findings.fault(Fault::new(names.1, problem, advice));
            return None;
        };
        findings.keep_secret(&key);
        key
    } else {
        password.to_owned()
    };
    let password = SecretString::from(password);
    Some(Credential::new(host, username.to_owned(), password).from_origin(names.1))
}

/// A key as Google wants it: JSON, which many keep in base64, since it has several lines.
fn google_key(password: &str) -> Option<String> {
    let is_key = |text: &str| {
        let key = serde_json::from_str(text);
        key.is_ok_and(|key: Value| key.get("private_key").is_some_and(Value::is_string))
    };
    if is_key(password) {
        return Some(password.to_owned());
    }
    let packed: String = password.split_whitespace().collect();
    let decoded = String::from_utf8(STANDARD.decode(packed).ok()?).ok()?;
    is_key(&decoded).then_some(decoded)
}

fn both(
    given: (Option<String>, Option<String>),
    names: (&'static str, &'static str),
    findings: &mut Findings,
) -> Option<(String, String)> {
    match given {
        (Some(username), Some(password)) => Some((username, password)),
        (Some(_), None) => {
            let problem = format!("not given, though {} is", names.0);
            let advice = "give the password or token of that user, or neither";
            findings.fault(Fault::new(names.1, problem, advice).with_hint(hint(names.1)));
            None
        }
        (None, Some(_)) => {
            let problem = format!("not given, though {} is", names.1);
            let advice = "give the user that the password is of, or neither";
            findings.fault(Fault::new(names.0, problem, advice));
            None
        }
        (None, None) => None,
    }
}

fn hint(password: &str) -> &'static str {
    if password == HUB_PASSWORD {
        "keep DOCKERHUB_TOKEN as a secured variable of the repository or the workspace; pull requests from forks get no \
         secured variables"
    } else {
        "keep REGISTRY_PASSWORD as a secured variable of the repository or the workspace; pull requests from forks get no \
         secured variables"
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
        let mut variables = RegistryVariables {
            registry: registry.map(Into::into),
            registry_username: username.map(Into::into),
            registry_password: password.map(Into::into),
            ..RegistryVariables::default()
        };
        let credentials = super::registry(&mut variables, &mut findings);
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
    fn docker_hub_has_variables_of_its_own() {
        let read = |username: Option<&str>, token: Option<&str>| {
            let mut variables = RegistryVariables {
                dockerhub_username: username.map(Into::into),
                dockerhub_token: token.map(Into::into),
                ..RegistryVariables::default()
            };
            let mut findings = Findings::default();
            let credential = docker_hub(&mut variables, &mut findings);
            (credential, findings.into_error().to_string())
        };
        let (credential, error) = read(Some("me"), Some("token"));
        let credential = credential.unwrap();
        assert_eq!(credential.host(), "docker.io");
        assert_eq!(credential.origin(), Some("DOCKERHUB_TOKEN"));
        assert_eq!(error, "");
        let (credential, error) = read(Some("me"), None);
        assert!(credential.is_none());
        assert!(error.starts_with("DOCKERHUB_TOKEN: not given, though DOCKERHUB_USERNAME is; "));
    }

    #[test]
    fn a_google_key_is_json_or_that_in_base64() {
        let key = r#"{"type":"service_account","private_key":"k\n"}"#;
        let packed = STANDARD.encode(key);
        let (head, tail) = packed.split_at(20);
        for password in [key, &packed, &format!("{head}\n{tail}\n")] {
            let login = login(
                Some("europe-docker.pkg.dev"),
                Some("_json_key"),
                Some(password),
            );
            assert_eq!(login.unwrap()[0][2], key);
        }
        let error = login(Some("gcr.io"), Some("_json_key"), Some("hunter2")).unwrap_err();
        assert!(
            error.starts_with("REGISTRY_PASSWORD: no key of a service account"),
            "{error}"
        );
        assert!(!error.contains("hunter2"));
        let untouched = login(Some("gcr.io"), Some("_json_key_base64"), Some(&packed));
        assert_eq!(untouched.unwrap()[0][2], packed);
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
