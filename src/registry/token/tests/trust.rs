//! A password is sent only to the registry's own realm, and to a realm that the registry confirms.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::registry::fake::{Names, Reply};

#[tokio::test]
async fn a_realm_on_another_host_gets_the_password_if_the_registry_confirms_it() {
    let realm = Fake::start([Reply::token(), Reply::token()]).await;
    let registry = Fake::start([Reply::challenge(&realm.url("/token"))]).await;
    let tokens = tokens_for(&registry.host());
    // The registry is requested once, without the password.
    for query in ["", "?tenant=a"] {
        let address = realm.url(&format!("/token{query}"));
        tokens
            .fetch(&registry.host(), &address, "s", &scopes())
            .await
            .unwrap();
    }
    let [seen] = &registry.seen()[..] else {
        panic!("{:?}", registry.seen());
    };
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/v2/"));
    assert_eq!(seen.authorization, None);
    assert_eq!(realm.methods(), ["POST", "POST"]);
}

#[tokio::test]
async fn a_realm_outside_of_the_domain_of_a_password_gets_nothing() {
    // A request to it would fail the test.
    let foreign = Fake::start([]).await;
    let registry = Fake::start([]).await;
    let login = |host: &str| Credential::new(host, "me".into(), SecretString::from(PASSWORD));
    for (registry, realm) in [
        (&registry, foreign.url("/token")),
        (&foreign, foreign.url("/token")),
    ] {
        let host = registry.host();
        let tokens = tokens([login(&host).within("registry.example")]);
        let fetched = tokens.fetch(&host, &realm, "s", &scopes()).await;
        let error = fetched.unwrap_err().to_string();
        assert!(
            error.contains("outside of the domain that the password belongs to"),
            "{error}"
        );
    }
    assert!(registry.seen().is_empty());
}

#[tokio::test]
async fn a_realm_that_the_registry_does_not_name_gets_nothing() {
    // A request to it would fail the test.
    let foreign = Fake::start([]).await;
    let named = Fake::start([]).await;
    let basic = Reply::Response(
        401,
        format!(
            "WWW-Authenticate: Basic realm=\"{}\"\r\n",
            foreign.url("/token")
        ),
        String::new(),
    );
    for (reply, reason) in [
        (
            Reply::challenge(&named.url("/token")),
            "names another token server",
        ),
        (
            Reply::challenge(&foreign.url("/other")),
            "names another token server",
        ),
        (Reply::challenge("no address"), "names no token server"),
        (basic, "names no token server"),
        (Reply::status(200), "names no token server"),
        (
            // The target of a redirect does not speak for the registry.
            Reply::Response(
                302,
                format!("Location: {}\r\n", named.url("/v2/")),
                String::new(),
            ),
            "names no token server",
        ),
    ] {
        let registry = Fake::start([reply]).await;
        let tokens = tokens_for(&registry.host());
        let address = foreign.url("/token");
        let fetched = tokens
            .fetch(&registry.host(), &address, "s", &scopes())
            .await;
        let error = fetched.unwrap_err();
        assert!(matches!(error, TokenError::Realm { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(reason) && text.contains(&address), "{text}");
        assert!(!format!("{error:?} {tokens:?}").contains(PASSWORD));
    }
    // An unavailable registry has confirmed nothing, so the password is not sent.
    let registry = Fake::start([Reply::status(500), Reply::status(503)]).await;
    let mut tokens = tokens_for(&registry.host());
    tokens.limits.policy.retries = 0;
    let address = foreign.url("/token");
    let fetched = tokens
        .fetch(&registry.host(), &address, "s", &scopes())
        .await;
    let error = fetched.unwrap_err();
    assert!(error.is_transient() && !error.is_denied(), "{error}");
    let credential = tokens.credential_without_tokens(&registry.host()).await;
    assert!(credential.is_none());
}

#[tokio::test]
async fn a_registry_that_hangs_confirms_no_realm() {
    let foreign = Fake::start([]).await;
    let registry = Fake::start([Reply::Hang]).await;
    let mut tokens = tokens_for(&registry.host());
    tokens.limits = Limits {
        exchange: Duration::from_millis(200),
        policy: Policy {
            retries: 0,
            ..LIMITS.policy
        },
    };
    let fetched = tokens
        .fetch(&registry.host(), &foreign.url("/token"), "s", &scopes())
        .await;
    let Err(TokenError::Transport { at, .. }) = fetched else {
        panic!("{fetched:?}");
    };
    assert_eq!(at, registry.host());
}

/// A 401 with each challenge in its own header.
fn unauthorized(challenges: &[&str]) -> Reply {
    let headers = challenges
        .iter()
        .map(|challenge| format!("WWW-Authenticate: {challenge}\r\n"));
    Reply::Response(401, headers.collect(), String::new())
}

/// Whether a builder gets the password of a registry with these replies, one for each request.
async fn passes_password(replies: impl IntoIterator<Item = Reply>) -> bool {
    let registry = Fake::start(replies).await;
    let mut tokens = tokens_for(&registry.host());
    tokens.limits = Limits {
        exchange: Duration::from_millis(300),
        policy: Policy {
            pauses: (Duration::ZERO, Duration::ZERO),
            ..LIMITS.policy
        },
    };
    let credential = tokens.credential_without_tokens(&registry.host()).await;
    let anonymous = registry
        .seen()
        .iter()
        .all(|seen| seen.authorization.is_none());
    assert!(anonymous, "{:?}", registry.seen());
    credential.is_some_and(|credential| credential.username() == "me")
}

#[tokio::test]
async fn a_builder_gets_the_password_of_a_registry_that_requires_basic_authentication() {
    for challenges in [
        &[r#"Basic realm="x""#][..],
        &["basic"],
        &[r#"BASIC realm="a, Bearer realm=b", charset="UTF-8""#],
        &[r#"Negotiate, Basic realm="x""#],
        &["Negotiate", r#"Digest realm="x", nonce="y""#, "Basic"],
    ] {
        assert!(
            passes_password([unauthorized(challenges)]).await,
            "{challenges:?}"
        );
    }
    // With anonymous reads `/v2/` requires nothing, but a push does.
    assert!(passes_password([Reply::status(200), unauthorized(&["Basic"])]).await);
}

#[tokio::test]
async fn a_builder_gets_no_password_of_a_registry_that_does_not_require_it() {
    let bearer = r#"Bearer realm="https://a.example/t""#;
    for challenges in [
        &[][..],
        &[bearer],
        &[r#"Basic realm="x""#, bearer],
        &[r#"Basic realm="x", Bearer realm="https://a.example/t""#],
        &["Basic", "Bearer"],
        &[r#"Digest realm="Basic", nonce="y""#],
        &["Basically"],
        &["Negotiate"],
    ] {
        let passed = passes_password([unauthorized(challenges)]).await;
        assert!(!passed, "{challenges:?}");
    }
    let with_header = |status| {
        let header = "WWW-Authenticate: Basic realm=\"x\"\r\n";
        Reply::Response(status, header.into(), String::new())
    };
    for status in [301, 307, 400, 403, 404, 407, 410, 451, 501] {
        assert!(!passes_password([with_header(status)]).await, "{status}");
    }
    for status in [200, 202, 301, 400, 403, 404, 405, 501] {
        let replies = [Reply::status(200), with_header(status)];
        assert!(!passes_password(replies).await, "200, then {status}");
    }
    for status in [408, 429, 500, 502, 503, 504] {
        let replies = (0..=LIMITS.policy.retries).map(|_| with_header(status));
        assert!(!passes_password(replies).await, "{status}");
    }
    for broken in ["", "HTTP/1.1 401 X\r\nWWW-Authen", "SSH-2.0-x\r\n"] {
        let replies = (0..=LIMITS.policy.retries).map(|_| Reply::Raw(broken.into()));
        assert!(!passes_password(replies).await, "{broken:?}");
    }
    assert!(!passes_password((0..=LIMITS.policy.retries).map(|_| Reply::Hang)).await);

    // A registry without login is not requested.
    let registry = Fake::start([]).await;
    let tokens = tokens_for("registry.example.com");
    let credential = tokens.credential_without_tokens(&registry.host()).await;
    assert!(credential.is_none());
    // A port that refuses connections.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut tokens = tokens_for(&host);
    tokens.limits.policy.retries = 0;
    let credential = tokens.credential_without_tokens(&host).await;
    assert!(credential.is_none());
}

#[tokio::test]
async fn a_builder_gets_the_password_of_a_registry_that_requires_it_for_an_image_of_the_build() {
    let basic = || unauthorized(&["Basic realm=\"x\""]);
    let passed = async |replies: Vec<Reply>, images: &[(&str, bool)]| {
        let fake = Fake::start(replies).await;
        let host = fake.host();
        let of_build = images.iter().map(|&(repository, is_pushed)| NamedImage {
            host: host.clone(),
            repository: repository.to_owned(),
            is_pushed,
        });
        let elsewhere = NamedImage {
            host: "other.example".into(),
            repository: "x".into(),
            is_pushed: true,
        };
        let images = of_build.chain([elsewhere]);
        let tokens = tokens_for(&host).with_images(images);
        let credential = tokens.credential_without_tokens(&host).await;
        let paths = fake.seen().into_iter().map(|seen| {
            assert_eq!(seen.header("authorization"), None);
            let path = seen.path.split("/manifests/").next().unwrap_or_default();
            format!("{} {path}", seen.method)
        });
        (credential.is_some(), paths.collect::<Vec<_>>())
    };
    let (ok, missing) = (|| Reply::status(200), || Reply::status(404));
    let base = [("team/open", false), ("team/base", false)];
    for first in [ok(), missing()] {
        let (is_passed, paths) = passed(vec![first, missing(), basic()], &base).await;
        assert!(is_passed);
        assert_eq!(
            paths,
            ["GET /v2/", "GET /v2/team/open", "GET /v2/team/base"]
        );
    }
    let pushed = [("team/app", true)];
    let (is_passed, paths) = passed(vec![ok(), missing(), basic()], &pushed).await;
    assert!(is_passed);
    assert_eq!(paths, ["GET /v2/", "GET /v2/team/app", "PUT /v2/team/app"]);
    // No image of the build is protected.
    let (is_passed, paths) = passed(vec![ok(), missing(), Reply::status(400)], &base[..1]).await;
    assert!(!is_passed);
    assert_eq!(
        paths.last().map(String::as_str),
        Some("PUT /v2/probe/login")
    );
}

#[tokio::test]
async fn no_password_is_sent_without_tls_except_to_this_machine() {
    let tokens = tokens_for("registry.example.com");
    for realm in [
        "http://registry.example.com/token",
        "http://127.0.0.1:9/token",
    ] {
        let fetched = tokens.fetch("registry.example.com", realm, "s", &[]).await;
        let Err(TokenError::Realm { .. }) = fetched else {
            panic!("{fetched:?}");
        };
    }
}

/// Tokens with a resolver for these names, and with a login for each host.
fn tokens_resolving(names: &Arc<Names>, hosts: &[&str]) -> Tokens {
    let resolver: Arc<dyn reqwest::dns::Resolve> = Arc::clone(names) as _;
    let reach = Reach::resolving(&Proxies::default(), &tls(), |client| client, resolver);
    let credentials = hosts
        .iter()
        .map(|host| Credential::new(host, "me".into(), PASSWORD.into()));
    Tokens::new(reach.unwrap(), keyring(credentials))
}

#[tokio::test]
async fn a_realm_that_resolves_to_this_machine_is_not_requested() {
    // A request to it would fail the test.
    let here = Fake::start([]).await;
    let port = here.address.port();
    for address in [
        "127.0.0.1",
        "0.0.0.0",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "fd00:ec2::254",
    ] {
        let names = Arc::new(Names::new([
            ("realm.example", &[address][..]),
            ("stranger.example", &[address]),
        ]));
        let tokens = tokens_resolving(&names, &["other.example"]);
        for realm in ["realm.example", "stranger.example"] {
            let realm = format!("http://{realm}:{port}/token");
            let host = format!("stranger.example:{port}");
            let fetched = tokens.fetch(&host, &realm, "s", &scopes()).await;
            let error = fetched.unwrap_err();
            assert!(matches!(error, TokenError::Realm { .. }), "{error:?}");
            let text = error.to_string();
            assert!(
                text.contains("its name resolves to") && text.contains(&realm),
                "{text}"
            );
            assert!(!error.is_transient() && !error.is_denied());
        }
        // Each name was resolved once: the checked addresses are those of the connection.
        assert_eq!(names.queries.load(std::sync::atomic::Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_registry_on_this_machine_cannot_use_a_realm_there_unless_the_user_has_named_it() {
    let realm = Fake::start([Reply::token()]).await;
    let reach = Reach::new(&Proxies::default(), &tls(), |client| client).unwrap();
    let named = reach.naming(["LocalHost:5000", "registry.example"]);
    let tokens = Tokens::new(named, keyring([]));
    let address = realm.url("/any");
    for host in ["localhost:1", "127.0.0.1:5000", "[::1]:5000", "localhost"] {
        let error = tokens.fetch(host, &address, "s", &[]).await.unwrap_err();
        assert!(matches!(error, TokenError::Realm { .. }), "{error:?}");
    }
    assert!(realm.seen().is_empty());
    let fetched = tokens.fetch("localhost:5000", &address, "s", &[]);
    fetched.await.unwrap();
}

#[tokio::test]
async fn a_realm_may_be_on_this_machine_if_the_user_has_named_its_host() {
    let realm = Fake::start([Reply::token(), Reply::token()]).await;
    let port = realm.address.port();
    let names = Arc::new(Names::new([("realm.example", &["127.0.0.1"][..])]));
    // A registry on this machine, as before.
    let address = format!("http://realm.example:{port}/token");
    let tokens = tokens_resolving(&names, &[]);
    let fetched = tokens.fetch("localhost:5000", &address, "s", &[]);
    fetched.await.unwrap();
    // A host in the user's own `/etc/hosts`.
    let host = format!("realm.example:{port}");
    let trusted = [host.clone()];
    let resolver: Arc<dyn reqwest::dns::Resolve> = Arc::clone(&names) as _;
    let reach = Reach::resolving(&Proxies::default(), &tls(), |client| client, resolver).unwrap();
    let unchecked = Proxies::default().client(tls());
    let unchecked = unchecked.dns_resolver(Arc::clone(&names)).build().unwrap();
    let tokens = Tokens::new(reach.trusting(&trusted, unchecked), keyring([]));
    let fetched = tokens.fetch(&host, &address, "s", &[]);
    fetched.await.unwrap();
}

#[tokio::test]
async fn redirects_are_never_followed() {
    let elsewhere = Fake::start([]).await;
    for status in [301, 302, 303, 307, 308] {
        let redirect = || {
            let location = format!("Location: {}\r\n", elsewhere.url("/token"));
            Reply::Response(status, location, String::new())
        };
        for (planned, with_credential) in [
            (vec![redirect()], true),
            (vec![Reply::status(404), redirect()], true),
            (vec![redirect()], false),
        ] {
            let fake = Fake::start(planned).await;
            let tokens = if with_credential {
                tokens_for(&fake.host())
            } else {
                tokens([])
            };
            let error = fetch_of(&tokens, &fake).await.unwrap_err();
            let problem = format!("HTTP {status}, and redirects are not followed");
            assert!(error.to_string().ends_with(&problem), "{error}");
        }
    }
}

/// A TLS server for these names, and a client that trusts it and resolves them to it.
async fn on_the_internet(names: &[&str], planned: Vec<Reply>) -> (Fake, Reach) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names.clone()).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let fake = Fake::start_with(Some(TlsAcceptor::from(Arc::new(server))), planned).await;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Overrides have precedence over any resolver, so they also apply to guarded clients.
    let configure = |client: reqwest::ClientBuilder| {
        let names = names.iter();
        names.fold(client, |client, name| client.resolve(name, fake.address))
    };
    let reach = Reach::new(&Proxies::default(), &tls, configure).unwrap();
    (fake, reach)
}

#[tokio::test]
async fn docker_hubs_realm_gets_the_password_under_each_name_of_docker_hub() {
    let realm = "https://auth.docker.io/token";
    for configured in ["docker.io", "https://index.docker.io/v1/"] {
        let planned = vec![Reply::challenge(realm), Reply::token(), Reply::token()];
        let names = ["registry-1.docker.io", "auth.docker.io"];
        let (hub, reach) = on_the_internet(&names, planned).await;
        let credential = Credential::new(configured, "me".into(), PASSWORD.into());
        let tokens = Tokens::new(reach, keyring([credential]));
        // Builders use the first name. The scopes differ, because equal requests share a token.
        for (host, scope) in ["registry-1.docker.io", "docker.io"].iter().zip(scopes()) {
            tokens
                .fetch(host, realm, "registry.docker.io", &[scope])
                .await
                .unwrap();
        }
        let seen: Vec<_> = hub
            .seen()
            .iter()
            .map(|seen| format!("{} {}", seen.method, seen.path))
            .collect();
        assert_eq!(seen, ["GET /v2/", "POST /token", "POST /token"]);
    }
}

#[tokio::test]
async fn docker_hubs_password_is_not_sent_to_another_realm() {
    let planned = vec![Reply::challenge("https://auth.docker.io/token")];
    let names = ["registry-1.docker.io", "auth.docker.io.evil.example"];
    let (_hub, reach) = on_the_internet(&names, planned).await;
    let credential = Credential::new("docker.io", "me".into(), PASSWORD.into());
    let tokens = Tokens::new(reach, keyring([credential]));
    let fetched = tokens
        .fetch(
            "registry-1.docker.io",
            "https://auth.docker.io.evil.example/token",
            "registry.docker.io",
            &scopes(),
        )
        .await;
    assert!(
        matches!(fetched, Err(TokenError::Realm { .. })),
        "{fetched:?}"
    );
}

#[tokio::test]
async fn a_registry_with_a_port_confirms_its_realm() {
    let realm = "https://registry.example.com/token";
    let planned = vec![Reply::challenge(realm), Reply::token()];
    let (registry, reach) = on_the_internet(&["registry.example.com"], planned).await;
    let host = format!("registry.example.com:{}", registry.address.port());
    let credential = Credential::new(&host, "me".into(), PASSWORD.into());
    let tokens = Tokens::new(reach, keyring([credential]));
    tokens.fetch(&host, realm, "s", &scopes()).await.unwrap();
    assert_eq!(registry.methods(), ["GET", "POST"]);
}
