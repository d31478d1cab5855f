//! Which proxy leads to Depot's machines.
//!
//! The HTTP clients look at the same variables by themselves; a builder's connection is no HTTP of theirs.

use std::fmt;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use secrecy::SecretString;

use super::environment::Environment;
use crate::buildkit::Proxy;

/// What the variables say, for each address that is asked for.
#[derive(Clone)]
pub struct Proxies {
    matcher: Arc<Matcher>,
    passwords: Vec<SecretString>,
}

/// The variables hold passwords.
impl fmt::Debug for Proxies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Proxies")
    }
}

impl Proxies {
    /// Reads `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper case first, as the HTTP clients do.
    pub(super) fn read(environment: &Environment) -> Self {
        let given = |name: &str| {
            let upper = environment.lookup(name);
            let value = upper.or_else(|| environment.lookup(&name.to_ascii_lowercase()));
            value.and_then(|value| value.to_str()).unwrap_or_default()
        };
        let (https, http, all) = (
            given("HTTPS_PROXY"),
            given("HTTP_PROXY"),
            given("ALL_PROXY"),
        );
        let matcher = Matcher::builder()
            .https(https.to_owned())
            .all(all.to_owned())
            .no(given("NO_PROXY").to_owned())
            .build();
        Self {
            matcher: Arc::new(matcher),
            // Those of the HTTP clients' proxies are as secret.
            passwords: [https, http, all].into_iter().flat_map(passwords).collect(),
        }
    }

    /// The proxy for a host, if there is one. This machine is reached without.
    #[must_use]
    pub fn for_host(&self, host: &str, port: u16) -> Option<Proxy> {
        let is_here = host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        if is_here {
            return None;
        }
        let authority = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let uri = format!("https://{authority}/").parse().ok()?;
        let found = self.matcher.intercept(&uri)?;
        let uri = found.uri();
        // A proxy that is spoken to with TLS, or in another way than HTTP, is passed by.
        if uri.scheme_str() != Some("http") {
            return None;
        }
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let authorization = found.basic_auth().and_then(|header| header.to_str().ok());
        Some(Proxy {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(80),
            authorization: authorization.map(Into::into),
        })
    }

    /// The proxies' passwords, for whoever keeps them out of the log.
    pub fn passwords(&self) -> impl Iterator<Item = &SecretString> {
        self.passwords.iter()
    }
}

/// The password in a proxy's address, as it is written there and as it is meant.
fn passwords(address: &str) -> Vec<SecretString> {
    let with_scheme = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    let Ok(url) = Url::parse(&with_scheme) else {
        return Vec::new();
    };
    // One without a password has its secret for a user.
    let written = url.password().unwrap_or(url.username());
    if written.is_empty() {
        return Vec::new();
    }
    let meant = percent_decode_str(written).decode_utf8_lossy();
    vec![written.into(), (*meant).into()]
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::config::findings::Findings;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        Proxies::read(&Environment::read(variables, &mut Findings::default()))
    }

    fn shown(proxies: &Proxies, host: &str) -> Option<String> {
        let proxy = proxies.for_host(host, 443)?;
        let login = proxy.authorization;
        let login = login.map(|login| format!("{} at ", login.expose_secret()));
        let login = login.unwrap_or_default();
        Some(format!("{login}{}:{}", proxy.host, proxy.port))
    }

    fn shown_passwords(proxies: &Proxies) -> Vec<&str> {
        proxies
            .passwords()
            .map(ExposeSecret::expose_secret)
            .collect()
    }

    #[test]
    fn a_machine_is_reached_through_the_proxy_that_the_variables_name() {
        let one = proxies(&[
            ("HTTPS_PROXY", "http://me:pa%3Ass@proxy.example:3128"),
            ("NO_PROXY", "internal.example,10.0.0.0/8"),
        ]);
        assert_eq!(
            shown(&one, "m1.depot.dev").as_deref(),
            Some("Basic bWU6cGE6c3M= at proxy.example:3128")
        );
        for near in [
            "a.internal.example",
            "10.1.2.3",
            "127.0.0.1",
            "localhost",
            "::1",
        ] {
            assert_eq!(shown(&one, near), None, "{near}");
        }
        let both = proxies(&[
            ("https_proxy", "http://other:2"),
            ("HTTPS_PROXY", "proxy:1"),
        ]);
        assert_eq!(shown(&both, "m1.depot.dev").as_deref(), Some("proxy:1"));
        let lower = proxies(&[("all_proxy", "http://lower:3")]);
        assert_eq!(shown(&lower, "m1.depot.dev").as_deref(), Some("lower:3"));
        assert_eq!(shown(&proxies(&[]), "m1.depot.dev"), None);
        assert_eq!(
            shown(&proxies(&[("HTTPS_PROXY", "")]), "m1.depot.dev"),
            None
        );
        let secure = proxies(&[("HTTPS_PROXY", "https://proxy:1")]);
        assert_eq!(shown(&secure, "m1.depot.dev"), None);
    }

    #[test]
    fn the_passwords_of_all_proxies_are_known() {
        let all = proxies(&[
            ("HTTPS_PROXY", "https://me:pa%3Ass@proxy.example:3128"),
            ("http_proxy", "me:plain@proxy.example:3128"),
            ("ALL_PROXY", "token@proxy.example:1"),
            ("NO_PROXY", "*"),
        ]);
        assert_eq!(
            shown_passwords(&all),
            ["pa%3Ass", "pa:ss", "plain", "plain", "token", "token"]
        );
        let debug = format!("{all:?}");
        assert!(!debug.contains("ss") && !debug.contains("plain"), "{debug}");
    }
}
