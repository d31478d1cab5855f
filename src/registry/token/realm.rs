//! Where tokens are asked for: which places get a request at all, and which get a password.
//!
//! The realm comes from a registry, through a builder. Both may be anybody's: a `FROM` is enough to
//! have a stranger's registry name a realm. So nothing of the step's own machine is asked on behalf of
//! a registry elsewhere, and a password needs TLS and the word of the registry that it belongs to.

use url::{Host, Url};

use crate::registry::credentials::canonical_host;
use crate::registry::reference::DOCKER_HUB;

/// The server that answers for Docker Hub; `docker.io` itself is a web site.
const DOCKER_HUB_SERVER: &str = "registry-1.docker.io";

/// Reads a realm that the registry `host` is said to have, and checks it as far as that goes without
/// asking anybody.
pub(super) fn parse(realm: &str, host: &str, with_password: bool) -> Result<Url, &'static str> {
    let url = Url::parse(realm).map_err(|_| "that is no address")?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !matches!(url.scheme(), "https" | "http") || has_user {
        return Err("only http and https addresses without a user are used");
    }
    if is_here(&url) && !registry_address(host).is_some_and(|registry| is_here(&registry)) {
        return Err("only a registry on this machine may name a place on this machine");
    }
    if with_password && url.scheme() == "http" && !is_loopback(&url) {
        return Err("a password is not sent without TLS");
    }
    Ok(url)
}

/// Whether the realm is on the registry's own host and port, so that nobody has to be asked.
pub(super) fn is_own(host: &str, realm: &Url) -> bool {
    authority(realm) == canonical_host(host)
}

/// Whether the realm is on the registry's own host, whatever the port.
pub(super) fn is_own_host(host: &str, realm: &Url) -> bool {
    registry_address(host).is_some_and(|registry| registry.host() == realm.host())
}

/// Whether two addresses are one place; the query does not count.
pub(super) fn is_same(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin() && one.path() == other.path()
}

/// Where the registry itself is asked: `https://host/v2/`, or with `http` on this machine, as
/// registries for development have it.
pub(in crate::registry) fn registry_address(host: &str) -> Option<Url> {
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

/// Host and port, the port only where it is not the scheme's own.
pub(super) fn authority(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Loopback in all its forms, and the addresses where clouds tell a machine who it is.
pub(in crate::registry) fn is_here(url: &Url) -> bool {
    let of_v4 = |address: std::net::Ipv4Addr| {
        address.is_loopback() || address.is_link_local() || address.is_unspecified()
    };
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => of_v4(address),
        Some(Host::Ipv6(address)) => match address.to_ipv4_mapped() {
            Some(address) => of_v4(address),
            None => {
                address.is_loopback() || address.is_unspecified() || address.is_unicast_link_local()
            }
        },
        None => false,
    }
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

    #[test]
    fn a_realm_of_the_same_host_and_port_is_the_registrys_own() {
        let own = |host, realm| is_own(host, &Url::parse(realm).unwrap());
        assert!(own("ghcr.io", "https://ghcr.io/token"));
        assert!(own("GHCR.io", "https://ghcr.IO:443/token"));
        assert!(own("a.example:5000", "https://a.example:5000/t?x=y"));
        assert!(own("[::1]:5000", "http://[::1]:5000/t"));
        // These are asked about.
        assert!(!own("a.example:5000", "https://a.example/t"));
        assert!(!own("a.example", "https://a.example:5000/t"));
        assert!(!own("a.example:443", "https://a.example/t"));
        assert!(!own("docker.io", "https://auth.docker.io/token"));
        assert!(!own("registry-1.docker.io", "https://auth.docker.io/token"));
        assert!(!own("a.example", "https://a.example.evil.example/t"));
        assert!(!own("a.example", "https://evil.example/a.example"));
    }

    #[test]
    fn bad_realms_are_refused_with_the_reason() {
        let reason = |realm, host, with_password| {
            parse(realm, host, with_password).map_or_else(|reason| reason, |_| "")
        };
        let host = "registry.example.com";
        for realm in ["", "token", "https://", "https://a b/"] {
            assert_eq!(reason(realm, host, false), "that is no address", "{realm}");
        }
        for realm in [
            "ftp://registry.example.com/token",
            "file:///etc/passwd",
            "https://user@registry.example.com/token",
            "https://:password@registry.example.com/token",
        ] {
            assert!(
                reason(realm, host, false).starts_with("only http and https"),
                "{realm}"
            );
        }
        for realm in [
            "http://registry.example.com/token",
            "http://192.0.2.1/token",
        ] {
            assert_eq!(reason(realm, host, false), "", "{realm}");
            assert!(reason(realm, host, true).contains("without TLS"), "{realm}");
        }
        for realm in [
            "http://127.0.0.1:29418/token",
            "https://localhost/token",
            "http://token.localhost./token",
            "http://0.0.0.0/token",
            "http://2130706433/token",
            "http://[::1]/token",
            "http://[::ffff:127.0.0.1]/token",
            "http://169.254.169.254/latest/meta-data/",
            "http://[fe80::1]/token",
        ] {
            assert!(
                reason(realm, host, false).contains("on this machine"),
                "{realm}"
            );
        }
        for host in ["127.0.0.1:5000", "localhost:5000", "[::1]:5000"] {
            assert_eq!(reason("http://127.0.0.1:6000/token", host, true), "");
            assert_eq!(reason("https://auth.example.com/token", host, true), "");
        }
    }
}
