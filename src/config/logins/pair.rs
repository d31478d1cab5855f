//! Logins of two variables each: a user name and a password.
//!
//! The user name is trimmed. Of a password only line ends at the end are removed, which come from copying.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::Value;

use super::{RegistryVariables, host};
use crate::bitbucket::secured_variable;
use crate::bitbucket::variables::PACKAGES_HOST;
use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::warning::Warning;
use crate::registry::credentials::Credential;
use crate::registry::reference::{DOCKER_HUB, Reference};

const HUB_USERNAME: &str = "DOCKERHUB_USERNAME";
const HUB_PASSWORD: &str = "DOCKERHUB_TOKEN";
const PACKAGES_USERNAME: &str = "BITBUCKET_PACKAGES_USERNAME";
const PACKAGES_TOKEN: &str = "BITBUCKET_PACKAGES_TOKEN";
const REGISTRY: &str = "REGISTRY";
const USERNAME: &str = "REGISTRY_USERNAME";
const PASSWORD: &str = "REGISTRY_PASSWORD";

/// Google's user name for a service account key in JSON.
const GOOGLE_KEY_USER: &str = "_json_key";

/// The login of Docker Hub's own two variables.
pub(super) fn docker_hub(
    variables: &mut RegistryVariables,
    findings: &mut Findings,
) -> Option<Credential> {
    let login = (
        variables.dockerhub_username.take(),
        variables.dockerhub_token.take(),
    );
    let (username, password) = both(login, (HUB_USERNAME, HUB_PASSWORD), findings)?;
    credential(
        DOCKER_HUB,
        &username,
        &password,
        (HUB_USERNAME, HUB_PASSWORD),
        findings,
    )
}

/// The login of Bitbucket Packages, which Bitbucket sets in every step. So half a login is a fault only for an image that is pushed there.
pub(super) fn packages(
    variables: &mut RegistryVariables,
    pushed: &[Reference],
    findings: &mut Findings,
) -> Option<Credential> {
    let login = (
        variables.bitbucket_packages_username.take(),
        variables.bitbucket_packages_token.take(),
    );
    let names = (PACKAGES_USERNAME, PACKAGES_TOKEN);
    let is_used = pushed.iter().any(|name| name.host() == PACKAGES_HOST);
    if !is_used && (login.0.is_none() || login.1.is_none()) {
        return None;
    }
    let (username, password) = both(login, names, findings)?;
    let login = credential(PACKAGES_HOST, &username, &password, names, findings)?;
    Some(login.automatic())
}

/// The three variables for any registry. Each of them arrives by default from the variables of
/// the repository or the workspace.
#[derive(Debug)]
pub(super) enum Registry {
    /// Unset, or faulty.
    None,
    /// All three.
    Login(Credential),
    /// User name and password without a host. The password is sent to no registry.
    WithoutHost {
        password: SecretString,
        /// The value of `REGISTRY` in which no host was found.
        value: Option<String>,
    },
    /// This value of `REGISTRY` alone.
    WithoutLogin(String),
}

/// Reads the three variables for any registry. No host is assumed. Pipelines also use `REGISTRY` in names of images, so it
/// may be an address; its host is used.
pub(super) fn registry(variables: &mut RegistryVariables, findings: &mut Findings) -> Registry {
    let host = variables.registry.take();
    let login = (
        variables.registry_username.take(),
        variables.registry_password.take(),
    );
    if let (Some(host), (None, None)) = (&host, &login) {
        return Registry::WithoutLogin(host.trim().to_owned());
    }
    let Some((username, password)) = both(login, (USERNAME, PASSWORD), findings) else {
        return Registry::None;
    };
    let address = host.as_deref().and_then(host::of_address);
    // Also without a host, so that all faults are reported.
    let place = address.as_ref().map(|address| address.host.as_str());
    let names = (USERNAME, PASSWORD);
    let login = credential(
        place.unwrap_or_default(),
        &username,
        &password,
        names,
        findings,
    );
    let Some(login) = login else {
        return Registry::None;
    };
    let Some(address) = address else {
        return Registry::WithoutHost {
            password: login.password().clone(),
            value: host,
        };
    };
    if address.has_path {
        findings.warn(Warning::RegistryWithPath {
            value: findings.shown(host.unwrap_or_default().trim()),
            host: findings.masked(&address.host),
        });
    }
    Registry::Login(login)
}

/// The fault of a value of `REGISTRY` without a host, if this push may need the login.
pub(super) fn no_host(value: &str, findings: &Findings) -> Fault {
    host::no_host(REGISTRY, value, None, findings)
}

/// The fault of a password without a host in a build that pushes to Docker Hub, which requires a login.
pub(super) fn without_host() -> Fault {
    let problem = format!(
        "not set, though REGISTRY_USERNAME and REGISTRY_PASSWORD are, and the push to `{DOCKER_HUB}` has no login"
    );
    let advice = "set it to the host that they belong to";
    Fault::new(REGISTRY, problem, advice).with_hint(
        "for Docker Hub set DOCKERHUB_USERNAME and DOCKERHUB_TOKEN, or `REGISTRY: docker.io`",
    )
}

/// Validates a login. `names` are the variables of the user name and of the password.
pub(super) fn credential(
    host: &str,
    username: &str,
    password: &str,
    names: (&str, &str),
    findings: &mut Findings,
) -> Option<Credential> {
    let username = username.trim();
    if username.contains(|character: char| character == ':' || character.is_control()) {
        // Not shown: the part after the colon is probably the password.
        let problem = "contains a colon or a line break, which is not allowed in a user name";
        findings.fault(Fault::new(names.0, problem, "write only the user name"));
        return None;
    }
    let password = password.trim_end_matches(['\r', '\n']);
    findings.keep_secret(password);
    let password = if username == GOOGLE_KEY_USER {
        let Some(key) = google_key(password) else {
            let problem = "is not the key of a service account, which `_json_key` requires";
            let advice = "set it to the JSON of the key, as it is or in base64";
            findings.fault(Fault::new(names.1, problem, advice));
            return None;
        };
        findings.keep_secret(&key);
        key
    } else {
        password.to_owned()
    };
    let password = SecretString::from(password);
    Some(Credential::new(host, username.to_owned(), password).with_origin(names.1))
}

/// The JSON of a service account key. It has several lines, so it is often stored in base64.
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
    login: (Option<String>, Option<String>),
    names: (&'static str, &'static str),
    findings: &mut Findings,
) -> Option<(String, String)> {
    match login {
        (Some(username), Some(password)) => Some((username, password)),
        (Some(_), None) => {
            let problem = format!("not set, but {} is set", names.0);
            let advice = "set both, or neither";
            findings
                .fault(Fault::new(names.1, problem, advice).with_hint(secured_variable(names.1)));
            None
        }
        (None, Some(_)) => {
            let problem = format!("not set, but {} is set", names.1);
            let advice = "set both, or neither";
            findings.fault(Fault::new(names.0, problem, advice));
            None
        }
        (None, None) => None,
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
        let registry = super::registry(&mut variables, &mut findings);
        if !findings.is_faultless() {
            return Err(findings.into_error().to_string());
        }
        Ok(match registry {
            Registry::None => Vec::new(),
            Registry::Login(login) => vec![[
                login.host().into(),
                login.username().into(),
                login.password().expose_secret().into(),
            ]],
            Registry::WithoutHost { password, value } => {
                let value = value.unwrap_or_default();
                vec![[value, String::new(), password.expose_secret().into()]]
            }
            Registry::WithoutLogin(host) => vec![[host, String::new(), String::new()]],
        })
    }

    #[test]
    fn a_login_is_for_the_host_that_is_set_and_for_no_other() {
        assert_eq!(login(None, None, None), Ok(vec![]));
        let hostless = login(None, Some("me"), Some("word"));
        assert_eq!(hostless, Ok(vec![["", "", "word"].map(str::to_owned)]));
        let alone = login(Some(" a.example\n"), None, None);
        assert_eq!(alone, Ok(vec![["a.example", "", ""].map(str::to_owned)]));
        for (registry, host) in [
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
            (Some("https://a.example"), "a.example"),
            (Some("http://a.example:80/"), "a.example:80"),
            (Some("a.example/"), "a.example"),
            (Some("a.example/acme"), "a.example"),
            (Some("https://A.example:5000/acme/team/"), "a.example:5000"),
            (Some("docker.io/acme"), "docker.io"),
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
        assert!(error.starts_with("DOCKERHUB_TOKEN: not set, but DOCKERHUB_USERNAME is set; "));
    }

    #[test]
    fn bitbucket_packages_has_a_login_that_bitbucket_sets() {
        let read = |username: Option<&str>, token: Option<&str>, pushed: &[&str]| {
            let mut variables = RegistryVariables {
                bitbucket_packages_username: username.map(Into::into),
                bitbucket_packages_token: token.map(Into::into),
                ..RegistryVariables::default()
            };
            let pushed: Vec<_> = pushed.iter().map(|name| name.parse().unwrap()).collect();
            let mut findings = Findings::default();
            let credential = packages(&mut variables, &pushed, &mut findings);
            (credential, findings.into_error().to_string())
        };
        let there = ["acme/app", "crg.apkg.io/acme/app:1"];
        for pushed in [&there[..], &[]] {
            let (credential, error) = read(Some("me"), Some("token"), pushed);
            let credential = credential.unwrap();
            assert_eq!(credential.host(), "crg.apkg.io");
            assert!(credential.is_automatic());
            assert_eq!(error, "");
        }
        for (username, token) in [(Some("me"), None), (None, Some("token")), (None, None)] {
            let (credential, error) = read(username, token, &["acme/app"]);
            assert!(credential.is_none() && error.is_empty(), "{error}");
        }
        let (_, error) = read(Some("me"), None, &there);
        assert!(
            error.starts_with(
                "BITBUCKET_PACKAGES_TOKEN: not set, but BITBUCKET_PACKAGES_USERNAME is set; "
            ),
            "{error}"
        );
        assert_eq!(read(None, None, &there).1, "");
    }

    #[test]
    fn a_google_key_is_json_or_its_base64() {
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
            error.starts_with("REGISTRY_PASSWORD: is not the key of a service account"),
            "{error}"
        );
        assert!(!error.contains("hunter2"));
        let untouched = login(Some("gcr.io"), Some("_json_key_base64"), Some(&packed));
        assert_eq!(untouched.unwrap()[0][2], packed);
    }

    #[test]
    fn half_a_login_is_reported() {
        for (registry, username, password, fault) in [
            (
                None,
                Some("me"),
                None,
                "REGISTRY_PASSWORD: not set, but REGISTRY_USERNAME is set; ",
            ),
            (
                None,
                None,
                Some("word"),
                "REGISTRY_USERNAME: not set, but REGISTRY_PASSWORD is set; ",
            ),
            (
                Some("a.example"),
                Some("me"),
                None,
                "REGISTRY_PASSWORD: not set, but REGISTRY_USERNAME is set; ",
            ),
            (
                None,
                Some("me:word"),
                Some("word"),
                "REGISTRY_USERNAME: contains a colon or a line break, which is not allowed in a user name; ",
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
    fn a_value_without_a_host_is_not_used_for_a_login() {
        for registry in [
            "Acme",
            "acme",
            "acme/team",
            "a.example b.example",
            "a.example:99999",
            "https://me:word@a.example",
            "https://",
            "",
        ] {
            let expected = [registry, "", "word"].map(str::to_owned);
            assert_eq!(
                login(Some(registry), Some("me"), Some("word")),
                Ok(vec![expected])
            );
        }
    }
}
