//! Where tokens are asked for: which places get a request at all, and which get a password.
//!
//! The realm comes from a registry, through a builder. Both may be anybody's: a `FROM` is enough to
//! have a stranger's registry name a realm. So nothing of the step's own machine is asked on behalf of
//! a registry elsewhere, and a password needs TLS and the word of the registry that it belongs to.

use url::Url;

use crate::registry::address::{is_here, is_loopback};
use crate::registry::credentials::canonical_host;

/// Reads the realm of a registry, and checks it as far as that is possible without a request. `is_local`: the registry is on this
/// machine, by a name that the user has written.
pub(crate) fn parse(realm: &str, is_local: bool, with_password: bool) -> Result<Url, &'static str> {
    let url = Url::parse(realm).map_err(|_| "that is not an address")?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !matches!(url.scheme(), "https" | "http") || has_user {
        return Err("only http and https addresses without a user are used");
    }
    if is_here(&url) && !is_local {
        return Err(
            "only a registry on this machine that the build names may name a place on this machine",
        );
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

/// Whether two addresses are one place; the query does not count.
pub(super) fn is_same(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin() && one.path() == other.path()
}

/// Host and port, the port only where it is not the scheme's own.
pub(super) fn authority(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let reason = |realm, is_local, with_password| {
            parse(realm, is_local, with_password).map_or_else(|reason| reason, |_| "")
        };
        for realm in ["", "token", "https://", "https://a b/"] {
            assert_eq!(
                reason(realm, false, false),
                "that is not an address",
                "{realm}"
            );
        }
        for realm in [
            "ftp://registry.example.com/token",
            "file:///etc/passwd",
            "https://user@registry.example.com/token",
            "https://:password@registry.example.com/token",
        ] {
            assert!(
                reason(realm, false, false).starts_with("only http and https"),
                "{realm}"
            );
        }
        for realm in [
            "http://registry.example.com/token",
            "http://192.0.2.1/token",
        ] {
            assert_eq!(reason(realm, false, false), "", "{realm}");
            assert!(
                reason(realm, false, true).contains("without TLS"),
                "{realm}"
            );
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
                reason(realm, false, false).contains("on this machine"),
                "{realm}"
            );
        }
        assert_eq!(reason("http://127.0.0.1:6000/token", true, true), "");
        assert_eq!(reason("https://auth.example.com/token", true, true), "");
    }
}
