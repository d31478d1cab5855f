//! Which proxy leads to Depot's machines.
//!
//! The HTTP clients look at the same variables by themselves; a builder's connection is no HTTP of theirs.

use std::fmt;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use secrecy::SecretString;

use super::environment::Environment;
use crate::buildkit::Proxy;

/// What the variables say, for each address that is asked for.
#[derive(Clone, Default)]
pub struct Proxies {
    matcher: Option<Arc<Matcher>>,
    password: Option<SecretString>,
}

/// The variables hold passwords.
impl fmt::Debug for Proxies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Proxies({})", self.matcher.is_some())
    }
}

impl Proxies {
    /// Reads `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in lower case first, as curl does.
    pub(super) fn read(environment: &Environment) -> Self {
        let given = |name: &str| {
            let lower = environment.lookup(&name.to_ascii_lowercase());
            let value = lower.or_else(|| environment.lookup(name))?.to_str()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let https = given("HTTPS_PROXY").or_else(|| given("ALL_PROXY"));
        let matcher = https.map(|https| {
            let no_proxy = given("NO_PROXY").unwrap_or_default();
            Arc::new(Matcher::builder().https(https).no(no_proxy).build())
        });
        let without_password = Self {
            matcher,
            password: None,
        };
        // Any host outside tells it.
        let proxy = without_password.for_host("machine.depot.dev", 443);
        Self {
            password: proxy.and_then(|proxy| Some(proxy.login?.1)),
            ..without_password
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
        let found = self.matcher.as_ref()?.intercept(&uri)?;
        let uri = found.uri();
        // A proxy that is spoken to with TLS, or in another way than HTTP, is passed by.
        if uri.scheme_str() != Some("http") {
            return None;
        }
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let login = found.basic_auth().and_then(|header| {
            let encoded = header.to_str().ok()?.strip_prefix("Basic ")?.to_owned();
            decoded(&encoded)
        });
        Some(Proxy {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(80),
            login,
        })
    }

    /// The proxy's password, for whoever keeps it out of the log.
    #[must_use]
    pub fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }
}

fn decoded(encoded: &str) -> Option<(String, SecretString)> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.into()))
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
        let login = proxy
            .login
            .map(|(username, password)| format!("{username}:{}@", password.expose_secret()));
        Some(format!(
            "{}{}:{}",
            login.unwrap_or_default(),
            proxy.host,
            proxy.port
        ))
    }

    #[test]
    fn a_machine_is_reached_through_the_proxy_that_the_variables_name() {
        let one = proxies(&[
            ("HTTPS_PROXY", "http://me:pa%3Ass@proxy.example:3128"),
            ("NO_PROXY", "internal.example,10.0.0.0/8"),
        ]);
        assert_eq!(
            shown(&one, "m1.depot.dev").as_deref(),
            Some("me:pa:ss@proxy.example:3128")
        );
        assert_eq!(one.password().unwrap().expose_secret(), "pa:ss");
        for near in [
            "a.internal.example",
            "10.1.2.3",
            "127.0.0.1",
            "localhost",
            "::1",
        ] {
            assert_eq!(shown(&one, near), None, "{near}");
        }
        let lower = proxies(&[
            ("https_proxy", "proxy:1"),
            ("HTTPS_PROXY", "http://other:2"),
        ]);
        assert_eq!(shown(&lower, "m1.depot.dev").as_deref(), Some("proxy:1"));
        assert_eq!(shown(&proxies(&[]), "m1.depot.dev"), None);
        assert_eq!(
            shown(&proxies(&[("HTTPS_PROXY", "")]), "m1.depot.dev"),
            None
        );
        let secure = proxies(&[("HTTPS_PROXY", "https://proxy:1")]);
        assert_eq!(shown(&secure, "m1.depot.dev"), None);
        assert!(!format!("{one:?}").contains("pa:ss"), "{one:?}");
    }
}
