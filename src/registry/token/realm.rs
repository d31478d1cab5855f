//! Checks of realms: the addresses of token servers.
//!
//! A realm comes from a registry, through a builder, and neither is trusted: a `FROM` with any registry is enough. So a
//! registry elsewhere cannot cause requests to the step's own machine, and a password is sent only over TLS, and only to
//! a realm that is confirmed by the registry of the password.

use url::Url;

use crate::registry::address::{is_local_address, is_loopback};
use crate::registry::credentials::canonical_host;

/// Parses the realm of a registry, with all checks that need no request. `is_local`: the registry is on this machine, and the user
/// has named it.
pub(crate) fn parse(realm: &str, is_local: bool, with_password: bool) -> Result<Url, &'static str> {
    let url = Url::parse(realm).map_err(|_| "it is not a URL")?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !matches!(url.scheme(), "https" | "http") || has_user {
        return Err("only http and https URLs without a user are allowed");
    }
    if is_local_address(&url) && !is_local {
        return Err(
            "only a registry on this machine that the build names may use a token server on this machine",
        );
    }
    if with_password && url.scheme() == "http" && !is_loopback(&url) {
        return Err("a password is not sent without TLS");
    }
    Ok(url)
}

/// Whether the realm is on the registry's own host and port, and needs no confirmation.
pub(super) fn is_own(host: &str, realm: &Url) -> bool {
    authority(realm) == canonical_host(host)
}

/// Whether two addresses are equal except for the query.
pub(super) fn is_same(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin() && one.path() == other.path()
}

/// Host and port; without the port if it is the default of the scheme.
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
        // These need a confirmation.
        assert!(!own("a.example:5000", "https://a.example/t"));
        assert!(!own("a.example", "https://a.example:5000/t"));
        assert!(!own("a.example:443", "https://a.example/t"));
        assert!(!own("docker.io", "https://auth.docker.io/token"));
        assert!(!own("registry-1.docker.io", "https://auth.docker.io/token"));
        assert!(!own("a.example", "https://a.example.evil.example/t"));
        assert!(!own("a.example", "https://evil.example/a.example"));
    }

    #[test]
    fn bad_realms_are_rejected_with_the_reason() {
        let reason = |realm, is_local, with_password| {
            parse(realm, is_local, with_password).map_or_else(|reason| reason, |_| "")
        };
        for realm in ["", "token", "https://", "https://a b/"] {
            assert_eq!(reason(realm, false, false), "it is not a URL", "{realm}");
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
