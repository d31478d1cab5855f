//! The addresses of registries, and checks for addresses of this machine.

use url::{Host, Url};

use super::credentials::canonical_host;
use super::reference::DOCKER_HUB;
use crate::http::zones::{Zone, named_zone};

/// The server of Docker Hub's registry; `docker.io` itself is a web site.
const DOCKER_HUB_SERVER: &str = "registry-1.docker.io";

/// The address of the registry's API: `https://host/v2/`, or `http` for a registry on loopback, where registries for
/// development have no TLS.
pub(super) fn registry_address(host: &str) -> Option<Url> {
    let host = canonical_host(host);
    let server = if host == DOCKER_HUB {
        DOCKER_HUB_SERVER
    } else {
        &host
    };
    let url = Url::parse(&format!("https://{server}/v2/")).ok()?;
    if is_loopback(&url) {
        Url::parse(&format!("http://{server}/v2/")).ok()
    } else {
        Some(url)
    }
}

/// Whether an address is on the registry's own host, on any port.
pub(super) fn is_own_host(host: &str, url: &Url) -> bool {
    registry_address(host).is_some_and(|registry| registry.host() == url.host())
}

/// Whether requests to this address do not leave this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether an address is of this machine or of its own link, without resolving names.
pub(super) fn is_local_address(url: &Url) -> bool {
    named_zone(url) != Zone::Elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_docker_hub_is_its_server() {
        let address = |host| registry_address(host).unwrap().to_string();
        for name in ["docker.io", "registry-1.docker.io", "index.docker.io"] {
            assert_eq!(address(name), "https://registry-1.docker.io/v2/");
        }
        assert_eq!(address("ghcr.io"), "https://ghcr.io/v2/");
        assert_eq!(address("ghcr.io:443"), "https://ghcr.io/v2/");
        assert_eq!(
            address("Registry.example.com:5000"),
            "https://registry.example.com:5000/v2/"
        );
        assert_eq!(address("127.0.0.1:5000"), "http://127.0.0.1:5000/v2/");
        assert_eq!(address("[::1]:5000"), "http://[::1]:5000/v2/");
    }
}
