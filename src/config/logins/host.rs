//! The host of a registry, as it is written in variables.

use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::registry::credentials::canonical_host;
use crate::registry::reference::{DOCKER_HUB, Reference};

/// The name of Docker Hub in Docker's configuration, which many pipelines also use.
const DOCKER_HUB_ADDRESS: &str = "https://index.docker.io/v1";

/// Reads the host in `variable`, or reports a fault with the correct form.
pub(super) fn read(variable: &str, value: &str, findings: &mut Findings) -> Option<String> {
    match of_address(value) {
        Some(Address {
            host,
            is_host: true,
            ..
        }) => Some(host),
        address => {
            let host = address.map(|address| address.host);
            findings.fault(no_host(variable, value, host.as_deref(), findings));
            None
        }
    }
}

/// Reads `HOST/PREFIX`, such as `registry.example.com/team`: a host, and the start of the names of repositories there. `None` if
/// it has another form, such as that of an address.
pub(crate) fn with_prefix(value: &str) -> Option<(String, String)> {
    let (host, prefix) = value.trim().split_once('/')?;
    let prefix = prefix.trim_end_matches('/');
    let is_api = matches!(prefix.split('/').next(), Some("v1" | "v2"));
    let reference = Reference::parse(&format!("{host}/{prefix}")).ok()?;
    let is_whole = reference.digest().is_none()
        && !reference.host_is_bare_word()
        && reference.host() == canonical(host)
        && prefix.bytes().all(|byte| byte != b':' && byte != b'@');
    (is_whole && !is_api && !prefix.is_empty()).then(|| (host.to_owned(), prefix.to_owned()))
}

/// The fault of a value that is not a host. `meant`: the host in it, if there is one.
pub(super) fn no_host(
    variable: &str,
    value: &str,
    meant: Option<&str>,
    findings: &Findings,
) -> Fault {
    let advice = match meant {
        Some(host) => format!("write just the host, `{}`", findings.masked(host)),
        None => "write just the host, such as `registry.example.com`".to_owned(),
    };
    let problem = format!("{} is not a host", findings.shown(value.trim()));
    Fault::new(variable, problem, advice)
}

/// The host in an address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// With its port.
    pub(super) host: String,
    /// Nothing else is in the text.
    pub(super) is_host: bool,
    /// A path follows the host.
    pub(super) has_path: bool,
}

/// Reads a host, or an address with a scheme or a path. `None` if no host is in it, or a login.
pub(super) fn of_address(value: &str) -> Option<Address> {
    let value = value.trim();
    let address = |host: &str, is_host, has_path| {
        Some(Address {
            host: host.to_owned(),
            is_host,
            has_path,
        })
    };
    if value
        .trim_end_matches('/')
        .eq_ignore_ascii_case(DOCKER_HUB_ADDRESS)
    {
        return address(DOCKER_HUB, true, false);
    }
    // A text is a host if a reference that starts with it is valid.
    let is_host = |text: &str| {
        let reference = Reference::parse(&format!("{text}/a/a"));
        reference.is_ok_and(|reference| {
            reference.host() == canonical(text) && !reference.host_is_bare_word()
        })
    };
    if is_host(value) && !value.contains('/') {
        return address(value, true, false);
    }
    let host = canonical_host(value);
    if !is_host(&host) || value.contains('@') {
        return None;
    }
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    address(&host, false, !path.trim_matches('/').is_empty())
}

/// Replaces Docker Hub's older name.
fn canonical(host: &str) -> &str {
    if host == "index.docker.io" {
        DOCKER_HUB
    } else {
        host
    }
}
