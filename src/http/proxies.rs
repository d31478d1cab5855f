//! The HTTP proxy for each destination.
//!
//! Requests to this machine and to link-local addresses never use a proxy, regardless of the settings. The proxy would see
//! passwords that are sent without TLS because they do not leave this machine, and it would connect to its own loopback.
//!
//! No client reads proxies from the environment. All clients use [`Proxies`].

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use percent_encoding::percent_decode_str;
use reqwest::ClientBuilder;
use secrecy::SecretString;
use url::Url;

use super::authority;
use super::tunnel::Proxy;
use super::zones::{Zone, named_zone};

/// The proxies, and the destinations that use them.
#[derive(Clone, Default)]
pub(crate) struct Proxies(Option<Arc<Matcher>>);

/// The settings hold passwords.
impl fmt::Debug for Proxies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Proxies")
    }
}

impl Proxies {
    /// Proxies for `https` and `http` destinations; `all` replaces either if it is empty. The destinations in `no` use no
    /// proxy. The syntax is that of curl's variables of the same names; empty values are ignored.
    #[must_use]
    pub(crate) fn new(https: &str, http: &str, all: &str, no: &str) -> Self {
        let matcher = Matcher::builder()
            .https(https.to_owned())
            .http(http.to_owned())
            .all(all.to_owned())
            .no(no.to_owned())
            .build();
        Self(Some(Arc::new(matcher)))
    }

    /// The proxy for a request to `url`.
    fn find(&self, url: &Url) -> Option<Intercept> {
        let matcher = self.0.as_ref()?;
        if named_zone(url) != Zone::Elsewhere {
            return None;
        }
        matcher.intercept(&url.as_str().parse().ok()?)
    }

    /// Whether `https` requests to other hosts have a proxy with a usable address.
    #[must_use]
    pub(crate) fn is_usable(&self) -> bool {
        let matcher = self.0.iter();
        let destination = http::Uri::from_static("https://proxied.example/");
        let mut proxies = matcher.filter_map(|matcher| matcher.intercept(&destination));
        proxies.any(|proxy| {
            let address = address(&proxy);
            address.is_some_and(|address| {
                // The client supports no other kind of proxy.
                matches!(address.scheme(), "http" | "https") && address.has_host()
            })
        })
    }

    /// Whether a request to `url` uses a proxy.
    #[must_use]
    pub(crate) fn has_proxy(&self, url: &Url) -> bool {
        self.find(url).is_some()
    }

    /// The proxy that tunnels a TLS connection to a host. `None` without a proxy, or if the connection to the proxy itself
    /// would need TLS.
    #[must_use]
    pub(crate) fn tunnel(&self, host: &str, port: u16) -> Option<Proxy> {
        let authority = authority(host, port);
        let proxy = self.find(&Url::parse(&format!("https://{authority}/")).ok()?)?;
        let uri = proxy.uri();
        if uri.scheme_str() != Some("http") {
            return None;
        }
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let authorization = proxy.basic_auth().and_then(|header| header.to_str().ok());
        Some(Proxy {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(80),
            authorization: authorization.map(Into::into),
        })
    }

    /// An HTTP client that uses these proxies and none from the environment. It does not follow redirects: each caller
    /// decides which hosts may receive its requests.
    ///
    /// Every HTTP client of this program is created here.
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place that creates clients"
    )]
    pub(crate) fn client(&self, tls: rustls::ClientConfig) -> ClientBuilder {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if self.0.is_none() {
            return client;
        }
        let proxies = self.clone();
        client.proxy(reqwest::Proxy::custom(move |url| {
            proxies.find(url).as_ref().and_then(address)
        }))
    }
}

/// A proxy's address with its login.
fn address(proxy: &Intercept) -> Option<Url> {
    let mut url = Url::parse(&proxy.uri().to_string()).ok()?;
    if let Some(login) = proxy.basic_auth() {
        let login = login.to_str().ok()?.strip_prefix("Basic ")?;
        let login = String::from_utf8(STANDARD.decode(login).ok()?).ok()?;
        let (user, password) = login.split_once(':')?;
        url.set_username(user).ok()?;
        url.set_password((!password.is_empty()).then_some(password))
            .ok()?;
    }
    Some(url)
}

/// The password in a proxy's address, as it is written there and decoded, even if the address is invalid. Without a
/// password, the user is the secret.
pub(crate) fn passwords(address: &str) -> Vec<SecretString> {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let login = address.rsplit_once('@').map_or("", |(login, _)| login);
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let written = if password.is_empty() { user } else { password };
    if written.is_empty() {
        return Vec::new();
    }
    let decoded = percent_decode_str(written).decode_utf8_lossy();
    vec![written.into(), (*decoded).into()]
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn shown(proxies: &Proxies, host: &str) -> Option<String> {
        let proxy = proxies.tunnel(host, 443)?;
        let login = proxy.authorization;
        let login = login.map(|login| format!("{} at ", login.expose_secret()));
        let login = login.unwrap_or_default();
        Some(format!("{login}{}:{}", proxy.host, proxy.port))
    }

    #[test]
    fn a_tunnel_uses_the_proxy_of_its_destination() {
        let no = "internal.example,10.0.0.0/8";
        let one = Proxies::new("http://me:pa%3Ass@proxy.example:3128", "", "", no);
        assert_eq!(
            shown(&one, "builder.example").as_deref(),
            Some("Basic bWU6cGE6c3M= at proxy.example:3128")
        );
        for near in ["a.internal.example", "10.1.2.3"] {
            assert_eq!(shown(&one, near), None, "{near}");
        }
        let all = Proxies::new("", "", "proxy:1", "");
        assert_eq!(shown(&all, "builder.example").as_deref(), Some("proxy:1"));
        assert_eq!(shown(&Proxies::default(), "builder.example"), None);
        assert_eq!(
            shown(&Proxies::new("", "", "", ""), "builder.example"),
            None
        );
        let secure = Proxies::new("https://proxy:1", "", "", "");
        assert_eq!(shown(&secure, "builder.example"), None);
    }

    #[test]
    fn requests_to_this_machine_and_its_link_use_no_proxy() {
        for no in ["", "other.example"] {
            let proxies = Proxies::new("proxy:1", "proxy:2", "proxy:3", no);
            for host in [
                "localhost",
                "localhost.",
                "a.localhost",
                "127.0.0.1",
                "127.1.2.3",
                "0.0.0.0",
                "[::1]",
                "[::]",
                "[::ffff:127.0.0.1]",
                "169.254.169.254",
                "169.254.170.2",
                "[fd00:ec2::254]",
            ] {
                for scheme in ["http", "https"] {
                    let url = Url::parse(&format!("{scheme}://{host}:5000/v2/")).unwrap();
                    assert!(!proxies.has_proxy(&url), "{url}");
                }
            }
            for host in ["10.1.2.3", "registry.example.com", "localhost.example.com"] {
                let url = Url::parse(&format!("http://{host}/")).unwrap();
                assert!(proxies.has_proxy(&url), "{url}");
            }
        }
    }

    #[test]
    fn the_password_of_a_proxy_is_found_in_every_form_of_its_address() {
        for (address, expected) in [
            (
                "https://me:pa%3Ass@proxy.example:3128",
                &["pa%3Ass", "pa:ss"][..],
            ),
            ("me:plain@proxy.example:3128", &["plain", "plain"]),
            ("token@proxy.example:1", &["token", "token"]),
            ("me:@proxy.example:1", &["me", "me"]),
            // Invalid addresses: these characters must be escaped.
            ("http://me:a#b/c@proxy.example", &["a#b/c", "a#b/c"]),
            ("http://me:a@b@proxy.example", &["a@b", "a@b"]),
            ("http://proxy.example:3128", &[]),
            ("", &[]),
        ] {
            let found = passwords(address);
            let found: Vec<_> = found.iter().map(ExposeSecret::expose_secret).collect();
            assert_eq!(found, expected, "{address}");
        }
    }

    #[test]
    fn debug_output_shows_no_password() {
        let proxies = Proxies::new("http://me:hunter2@proxy.example:3128", "", "", "");
        assert_eq!(format!("{proxies:?}"), "Proxies");
    }

    #[tokio::test]
    async fn a_client_authenticates_to_its_proxy_and_bypasses_it_for_this_machine() {
        async fn head(listener: &TcpListener) -> String {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let answer = b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            String::from_utf8(head).unwrap().to_ascii_lowercase()
        }
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://m%40:p%3A%2F%25@{}", proxy.local_addr().unwrap());
        let proxies = Proxies::new(&address, &address, "", "");
        let tls =
            crate::http::roots::client_config(&crate::http::roots::Authorities::default()).unwrap();
        let client = proxies.client(tls).build().unwrap();

        let request = client.get("http://registry.example/v2/").send();
        let (request, head_seen) = tokio::join!(request, head(&proxy));
        assert_eq!(request.unwrap().status(), 204);
        assert!(head_seen.starts_with("get http://registry.example/v2/ http/1.1\r\n"));
        let login = STANDARD.encode("m@:p:/%").to_ascii_lowercase();
        let login = format!("proxy-authorization: basic {login}\r\n");
        assert!(head_seen.contains(&login), "{head_seen}");

        let url = format!("http://{}/v2/", server.local_addr().unwrap());
        let (request, head_seen) = tokio::join!(client.get(url).send(), head(&server));
        assert_eq!(request.unwrap().status(), 204);
        assert!(
            head_seen.starts_with("get /v2/ http/1.1\r\n"),
            "{head_seen}"
        );
        assert!(!head_seen.contains("proxy-authorization"), "{head_seen}");
    }
}
