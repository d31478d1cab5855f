//! The host of a registry, as people write it into variables.

use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::registry::credentials::canonical_host;
use crate::registry::reference::{DOCKER_HUB, Reference};

/// How Docker's configuration names Docker Hub, and many a pipeline with it.
const DOCKER_HUB_ADDRESS: &str = "https://index.docker.io/v1";

/// Reads the host in `variable`, or tells what to write there instead.
pub(super) fn read(variable: &str, value: &str, findings: &mut Findings) -> Option<String> {
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
        variable,
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
