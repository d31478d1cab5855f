//! The order of several entries of a Docker configuration for one registry.

use crate::registry::credentials::canonical_host;
use crate::registry::reference::DOCKER_HUB;

/// The key of Docker Hub's login in `auths`.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// How an entry of `auths` matches a registry, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    /// It is the key that Docker looks up.
    Exact,
    /// Its host is the registry's. Docker uses it if no exact entry exists, in undefined order.
    Hostname,
    /// Docker does not use it: other letter case, or another name of Docker Hub.
    Lenient,
}

/// The order in which Docker's client uses entries for one registry (`GetAuthConfig` and the file store of docker/cli).
///
/// Entries of the same kind have a fixed order here, `https` first, so that every run uses the same login.
pub(super) fn precedence(address: &str) -> (Match, bool, &str) {
    let host = canonical_host(address);
    let key = if host == DOCKER_HUB {
        DOCKER_HUB_KEY
    } else {
        &*host
    };
    let kind = if address == key {
        Match::Exact
    } else if is_hostname(address, &host) {
        Match::Hostname
    } else {
        Match::Lenient
    };
    (kind, address.starts_with("http://"), address)
}

/// Whether Docker's fallback uses the entry for `host`. It uses none for Docker Hub, whose key is an address.
pub(super) fn is_hostname(address: &str, host: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    host != DOCKER_HUB && rest.split('/').next() == Some(host)
}
