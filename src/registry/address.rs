//! Where registries are, and which addresses are of this machine.

use url::{Host, Url};

use super::credentials::canonical_host;
use super::reference::DOCKER_HUB;
use crate::http::zones::{Zone, named_zone};

/// The server that answers for Docker Hub; `docker.io` itself is a web site.
const DOCKER_HUB_SERVER: &str = "registry-1.docker.io";

/// Where the registry itself is asked: `https://host/v2/`, or with `http` on this machine, as
/// registries for development have it.
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

/// Whether an address is on the registry's own host, whatever the port.
pub(super) fn is_own_host(host: &str, url: &Url) -> bool {
    registry_address(host).is_some_and(|registry| registry.host() == url.host())
}

/// Whether nothing sent there leaves this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether an address is of this machine or of its own link, as far as it says so itself.
pub(super) fn is_here(url: &Url) -> bool {
    named_zone(url) != Zone::Elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_is_asked_at_the_host_that_answers() {
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
