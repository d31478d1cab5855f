//! The Docker daemon that an image is loaded into.
//!
//! These variables are Docker's own. Bitbucket sets them in a step with the service `docker`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::fault::Fault;
use super::findings::Findings;
use super::values;
use crate::docker::{Endpoint, EndpointTls};
use crate::io::bounded_file;

/// Docker's variables for the address of the daemon.
#[derive(Default, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "`envy` finds variables by the names of fields"
)]
pub(super) struct DockerVariables {
    pub(super) docker_host: Option<String>,
    pub(super) docker_tls_verify: Option<String>,
    pub(super) docker_cert_path: Option<String>,
}

/// The socket of a daemon if no variable is set.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Docker's ports, without and with TLS.
const DEFAULT_PORTS: (u16, u16) = (2375, 2376);

/// Ten times the size of a certificate with its chain.
const SIZE_LIMIT_BYTES: u64 = 1 << 20;

const HOST_ADVICE: &str = "write the address of a Docker daemon, such as `tcp://host.docker.internal:2375`, or add the service `docker` to the step, which sets it";

const CERTIFICATES_ADVICE: &str =
    "write the path of a directory with `ca.pem`, `cert.pem` and `key.pem`";

/// Reads the address of the daemon. Paths are relative to `directory`.
pub(super) fn read(
    variables: &DockerVariables,
    directory: &Path,
    findings: &mut Findings,
) -> Endpoint {
    let tls = tls(variables, directory, findings);
    let default = || Endpoint::Unix(DEFAULT_SOCKET.into());
    let Some(host) = variables.docker_host.as_deref().map(str::trim) else {
        return default();
    };
    endpoint(host, tls).unwrap_or_else(|problem| {
        let problem = format!("{} {problem}", findings.shown(host));
        findings.fault(Fault::new("DOCKER_HOST", problem, HOST_ADVICE));
        default()
    })
}

fn endpoint(text: &str, tls: Option<EndpointTls>) -> Result<Endpoint, &'static str> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("is not the address of a daemon")?;
    match scheme {
        "unix" if rest.starts_with('/') => return Ok(Endpoint::Unix(PathBuf::from(rest))),
        "unix" => return Err("is not the absolute path of a socket"),
        "tcp" | "http" | "https" => {}
        "ssh" => return Err("uses SSH, which is not supported"),
        _ => return Err("has a scheme that is neither `tcp` nor `unix`"),
    }
    if scheme == "https" && tls.is_none() {
        return Err("requires TLS, but DOCKER_CERT_PATH is not set");
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let default = if tls.is_some() {
        DEFAULT_PORTS.1
    } else {
        DEFAULT_PORTS.0
    };
    let (host, port) = host_and_port(authority).ok_or("is not the address of a daemon")?;
    Ok(Endpoint::Tcp {
        host: host.to_owned(),
        port: port.unwrap_or(default),
        tls,
    })
}

/// Splits `host`, `host:1`, `[::1]` and `[::1]:1`.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':')?),
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || "-._:%".contains(character))
    };
    if !is_name(host) {
        return None;
    }
    match port {
        None => Some((host, None)),
        Some(port) => Some((host, Some(port.parse().ok().filter(|&port| port > 0)?))),
    }
}

/// The private keys that can be in the directory `DOCKER_CERT_PATH`: the key of the client, and those that Docker's manual
/// creates in the same directory.
pub(super) fn key_files(folder: &str, directory: &Path) -> Vec<PathBuf> {
    let folder = directory.join(folder.trim());
    let names = ["key.pem", "ca-key.pem", "server-key.pem"];
    names.map(|name| folder.join(name)).into()
}

/// The certificates in the directory `DOCKER_CERT_PATH`, if it is set. The daemon is then always verified.
fn tls(
    variables: &DockerVariables,
    directory: &Path,
    findings: &mut Findings,
) -> Option<EndpointTls> {
    let Some(path) = variables.docker_cert_path.as_deref() else {
        // Like Docker: every value except "no" means TLS.
        let verify = variables.docker_tls_verify.as_deref();
        if verify.is_some_and(|text| values::boolean(text) != Some(false)) {
            findings.fault(Fault::new(
                "DOCKER_CERT_PATH",
                "not set, but DOCKER_TLS_VERIFY is set",
                CERTIFICATES_ADVICE,
            ));
        }
        return None;
    };
    let folder = directory.join(path.trim());
    let mut problem = None;
    let mut text = |name: &str| {
        let read = bounded_file::read_text(&folder.join(name), SIZE_LIMIT_BYTES);
        read.map_err(|error| {
            problem.get_or_insert_with(|| format!("has a `{name}` that cannot be read: {error}"));
        })
        .unwrap_or_default()
    };
    let (authorities, certificate, key) = (text("ca.pem"), text("cert.pem"), text("key.pem"));
    let tls = EndpointTls {
        authorities,
        certificate,
        key: key.into(),
    };
    let problem = problem.or_else(|| {
        let unusable = tls.client_config().err();
        unusable.map(|unusable| format!("cannot be used: {unusable}"))
    });
    if let Some(problem) = problem {
        let shown = findings.shown(&folder.display().to_string());
        findings.fault(Fault::new(
            "DOCKER_CERT_PATH",
            format!("{shown} {problem}"),
            CERTIFICATES_ADVICE,
        ));
    }
    Some(tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(host: Option<&str>, verify: Option<&str>, path: Option<&str>) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let certificate = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        for (place, key) in [
            ("good", certificate.signing_key.serialize_pem()),
            ("bad", "x".into()),
        ] {
            let place = folder.path().join(place);
            std::fs::create_dir(&place).unwrap();
            for (name, content) in [
                ("ca.pem", certificate.cert.pem()),
                ("cert.pem", certificate.cert.pem()),
                ("key.pem", key),
            ] {
                std::fs::write(place.join(name), content).unwrap();
            }
        }
        std::fs::create_dir(folder.path().join("fifo")).unwrap();
        bounded_file::make_fifo(&folder.path().join("fifo/ca.pem"));
        let variables = DockerVariables {
            docker_host: host.map(Into::into),
            docker_tls_verify: verify.map(Into::into),
            docker_cert_path: path.map(Into::into),
        };
        let mut findings = Findings::default();
        let plan = read(&variables, folder.path(), &mut findings);
        assert!(!format!("{plan:?}").contains("PRIVATE KEY"));
        let tls = matches!(plan, Endpoint::Tcp { tls: Some(_), .. });
        let error = findings.into_error().to_string();
        let place = folder.path().display().to_string();
        (
            format!("{}{}", plan, if tls { " with TLS" } else { "" }),
            error.replace(&place, "FOLDER"),
        )
    }

    #[test]
    fn a_daemon_is_where_docker_finds_it() {
        for (host, verify, path, daemon) in [
            (None, None, None, "unix:///var/run/docker.sock"),
            (Some("unix:///run/d.sock"), None, None, "unix:///run/d.sock"),
            (
                Some("tcp://host.docker.internal:2375"),
                None,
                None,
                "tcp://host.docker.internal:2375",
            ),
            (
                Some("tcp://10.0.0.1"),
                Some("0"),
                None,
                "tcp://10.0.0.1:2375",
            ),
            (Some("http://docker:1/"), None, None, "tcp://docker:1"),
            (Some("tcp://[::1]:7"), None, None, "tcp://[::1]:7"),
            (
                Some("tcp://docker"),
                Some("1"),
                Some("good"),
                "tcp://docker:2376 with TLS",
            ),
            (
                Some("https://docker:2375"),
                None,
                Some("good"),
                "tcp://docker:2375 with TLS",
            ),
        ] {
            assert_eq!(
                read_from(host, verify, path),
                (daemon.to_owned(), String::new())
            );
        }
    }

    #[test]
    fn an_invalid_address_is_reported() {
        for (host, problem) in [
            ("ssh://host", "uses SSH, which is not supported"),
            ("docker", "is not the address of a daemon"),
            ("tcp://", "is not the address of a daemon"),
            ("tcp://host:0", "is not the address of a daemon"),
            ("tcp://host:x", "is not the address of a daemon"),
            ("tcp://a b:1", "is not the address of a daemon"),
            ("tcp://[::1:1", "is not the address of a daemon"),
            ("unix://relative", "is not the absolute path of a socket"),
            (
                "npipe:////./pipe/docker",
                "has a scheme that is neither `tcp` nor `unix`",
            ),
            (
                "https://docker",
                "requires TLS, but DOCKER_CERT_PATH is not set",
            ),
        ] {
            let (_, error) = read_from(Some(host), None, None);
            assert_eq!(
                error,
                format!("DOCKER_HOST: `{host}` {problem}; {HOST_ADVICE}")
            );
        }
    }

    #[test]
    fn unusable_certificates_are_reported() {
        let host = Some("tcp://docker");
        for (verify, path, error) in [
            (
                Some("1"),
                None,
                "DOCKER_CERT_PATH: not set, but DOCKER_TLS_VERIFY is set",
            ),
            (
                None,
                Some("none"),
                "DOCKER_CERT_PATH: `FOLDER/none` has a `ca.pem` that cannot be read",
            ),
            (
                None,
                Some("fifo"),
                "DOCKER_CERT_PATH: `FOLDER/fifo` has a `ca.pem` that cannot be read: it is not a regular file",
            ),
            (
                None,
                Some("bad"),
                "DOCKER_CERT_PATH: `FOLDER/bad` cannot be used: key.pem contains no usable key",
            ),
        ] {
            let (_, error_text) = read_from(host, verify, path);
            assert!(error_text.starts_with(error), "{error_text}");
            assert!(error_text.ends_with(CERTIFICATES_ADVICE), "{error_text}");
        }
    }
}
