//! The client with planned replies, and with real registries.

use bytes::Bytes;
use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use depot_ground::engine::state_folder;
use depot_ground::registry::Registry;
use depot_ground::registry::tokens::{TokenPlan, TokenRegistry};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use secrecy::SecretString;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;

use super::*;
use crate::http::proxies::Proxies;
use crate::registry::copy::copy_index;
use crate::registry::credentials::Credential;
use crate::registry::ecr::EcrError;
use crate::registry::fake::{Fake, Names, Reply};
use crate::registry::keyring::{CredentialSource, Keyring, SourceError};
use crate::registry::manifest::OCI_INDEX;
use crate::registry::publish::publish;
use crate::registry::reach::Reach;
use crate::registry::reference::Reference;
use crate::text::digest::sha256;

const PASSWORD: &str = "pa$$ \"word'";

fn tls() -> rustls::ClientConfig {
    crate::http::roots::client_config(&crate::http::roots::Authorities::default()).unwrap()
}

fn client_with(reach: Reach, logins: &[(&str, &str, &str)]) -> Client {
    let login = |(host, user, password): &(&str, &str, &str)| {
        Credential::new(host, (*user).to_owned(), SecretString::from(*password))
    };
    let keyring = Arc::new(Keyring::new(logins.iter().map(login).collect()));
    Client::new(Arc::new(Tokens::new(reach, keyring)))
}

pub(in crate::registry) fn client(logins: &[(&str, &str, &str)]) -> Client {
    let reach = Reach::new(&Proxies::default(), &tls(), |client| client);
    client_with(reach.unwrap(), logins)
}

fn index() -> Manifest {
    Manifest::new(
        OCI_INDEX,
        Bytes::from_static(br#"{"schemaVersion":2,"manifests":[]}"#),
    )
}

pub(in crate::registry) fn served(manifest: &Manifest) -> Reply {
    let headers = format!("Content-Type: {}\r\n", manifest.media_type);
    Reply::Response(
        200,
        headers,
        String::from_utf8(manifest.bytes.to_vec()).unwrap(),
    )
}

fn challenge(scheme: &str) -> Reply {
    Reply::Response(
        401,
        format!("WWW-Authenticate: {scheme}\r\n"),
        String::new(),
    )
}

pub(in crate::registry) fn seen(fake: &Fake) -> Vec<String> {
    let seen = fake.seen().into_iter();
    seen.map(|seen| format!("{} {}", seen.method, seen.path))
        .collect()
}

#[tokio::test]
async fn a_blob_is_sent_to_no_other_host_and_is_verified() {
    let blob = Bytes::from_static(b"blob");
    let elsewhere = "Location: http://127.0.0.1:1/upload\r\n";
    for location in [elsewhere, "Location: https://other.example/x\r\n", ""] {
        let reply = Reply::Response(202, location.into(), String::new());
        let fake = Fake::start([reply]).await;
        let put = client(&[])
            .put_blob(&fake.host(), "app", blob.clone())
            .await;
        assert!(put.is_err(), "{location}");
    }
    let location = "Location: /v2/app/blobs/uploads/1?state=a\r\n";
    let reply = Reply::Response(202, location.into(), String::new());
    let fake = Fake::start([reply, Reply::status(201)]).await;
    let put = client(&[])
        .put_blob(&fake.host(), "app", blob.clone())
        .await;
    put.unwrap();
    let [_, upload] = &fake.seen()[..] else {
        panic!("{:?}", seen(&fake));
    };
    assert_eq!(
        (upload.method.as_str(), &upload.body[..]),
        ("PUT", &blob[..])
    );
    let query = [
        ("state".to_owned(), "a".to_owned()),
        ("digest".to_owned(), sha256(&blob)),
    ];
    assert_eq!(upload.query, query);

    let fake = Fake::start([Reply::with_body(200, "something else")]).await;
    let read = client(&[]).blob(&fake.host(), "app", &sha256(&blob)).await;
    assert!(read.is_err());
}

#[tokio::test]
async fn an_index_is_copied_only_if_only_attestations_differ() {
    let entry = |digit: &str, annotation: &str| {
        let digest = digit.repeat(64);
        format!("{{\"digest\":\"sha256:{digest}\",\"annotations\":{annotation}}}")
    };
    let index = |entries: &[String]| {
        let json = format!("{{\"manifests\":[{}]}}", entries.join(","));
        Manifest::new(OCI_INDEX, Bytes::from(json))
    };
    let attestation = r#"{"vnd.docker.reference.type":"attestation-manifest"}"#;
    let (image, other) = (entry("1", "{}"), entry("2", "{}"));
    let wanted = index(&[image.clone(), entry("3", attestation)]);
    let strange = r#"{"digest":"../../x","annotations":{"vnd.docker.reference.type":"x"}}"#;
    for (wanted, present, why) in [
        (&wanted, index(&[other]), "the images differ"),
        (
            &index(&[image.clone(), strange.to_owned()]),
            index(&[image]),
            "a manifest is malformed",
        ),
    ] {
        let fake = Fake::start([served(wanted), served(&present)]).await;
        let name = Reference::parse(&format!("{}/app:1", fake.host())).unwrap();
        let client = client(&[]);
        let copied = copy_index(&client, (&name, &wanted.digest), (&name, &present.digest)).await;
        assert_eq!(copied.unwrap_err().to_string(), why);
        assert_eq!(fake.seen().len(), 2);
    }
}

const IMMUTABLE: &str = r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists and cannot be overwritten because the tag is immutable."}]}"#;

/// Pushes the index of [`index`] to a registry with these replies.
async fn put(replies: Vec<Reply>) -> (Result<(), ClientError>, Vec<String>) {
    let fake = Fake::start(replies).await;
    let put = client(&[])
        .put_manifest(&fake.host(), "acme/app", "1", &index())
        .await;
    (put, seen(&fake))
}

#[tokio::test]
async fn a_rejected_retry_is_a_success_if_the_tag_has_the_same_digest() {
    let path = "/v2/acme/app/manifests/1";
    let (put_it, get_it) = (format!("PUT {path}"), format!("GET {path}"));
    let lost = || Reply::Raw(String::new());
    let rejections = [
        Reply::with_body(400, IMMUTABLE),
        Reply::status(409),
        Reply::with_body(403, r#"{"errors":[{"code":"TAG_IMMUTABLE"}]}"#),
    ];
    for rejection in rejections {
        let (outcome, seen) = put(vec![lost(), rejection, served(&index())]).await;
        outcome.unwrap();
        assert_eq!(seen, [&*put_it, &*put_it, &*get_it]);
    }
    // The registry is unavailable when the tag is read.
    for failure in [Reply::status(503), lost()] {
        let rejection = Reply::with_body(400, IMMUTABLE);
        let (outcome, seen) = put(vec![lost(), rejection, failure, served(&index())]).await;
        outcome.unwrap();
        assert_eq!(seen, [&*put_it, &*put_it, &*get_it, &*get_it]);
    }
    // From an earlier run with the same image.
    let (outcome, seen) = put(vec![Reply::with_body(400, IMMUTABLE), served(&index())]).await;
    outcome.unwrap();
    assert_eq!(seen, [&*put_it, &*get_it]);
}

#[tokio::test]
async fn an_immutable_tag_of_another_image_is_an_error() {
    let other = Manifest::new(OCI_INDEX, Bytes::from_static(b"{\"manifests\":[]}"));
    let rejection = || Reply::with_body(400, IMMUTABLE);
    for reply in [served(&other), Reply::status(404)] {
        let (outcome, _) = put(vec![rejection(), reply]).await;
        let error = outcome.unwrap_err();
        assert!(error.is_immutable_tag(), "{error:?}");
    }
    // After another error the tag is not read.
    let (outcome, seen) = put(vec![Reply::status(400)]).await;
    assert!(!outcome.unwrap_err().is_immutable_tag());
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn one_token_is_enough_for_many_tags() {
    let fake = Fake::start([]).await;
    let bearer = format!("Bearer realm=\"{}\",service=\"s\"", fake.url("/token"));
    fake.plan([
        challenge(&bearer),
        Reply::token(),
        Reply::status(201),
        Reply::status(201),
    ]);
    let client = client(&[(&fake.host(), "me", PASSWORD)]);
    for tag in ["1", "2"] {
        client
            .put_manifest(&fake.host(), "acme/app", tag, &index())
            .await
            .unwrap();
    }
    let put = |tag: &str| format!("PUT /v2/acme/app/manifests/{tag}");
    assert_eq!(
        seen(&fake),
        [put("1"), "POST /token".into(), put("1"), put("2")]
    );
    let requests = fake.seen();
    assert_eq!(
        requests[1].field("scope"),
        Some("repository:acme/app:pull,push")
    );
    assert_eq!(requests[1].field("password"), Some(PASSWORD));
    for put in &requests[2..] {
        assert_eq!(put.authorization.as_deref(), Some("Bearer the-token"));
        assert_eq!(put.header("content-type"), Some(OCI_INDEX));
        assert_eq!(put.body, index().bytes);
    }
}

#[tokio::test]
async fn a_token_is_passed_to_the_listener() {
    let fake = Fake::start([]).await;
    let bearer = format!("Bearer realm=\"{}\",service=\"s\"", fake.url("/token"));
    fake.plan([challenge(&bearer), Reply::token(), served(&index())]);
    let tokens: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = Arc::clone(&tokens);
    let reach = Reach::new(&Proxies::default(), &tls(), |client| client);
    let keyring = Arc::new(Keyring::new(std::iter::empty().collect()));
    let fetcher =
        Tokens::new(reach.unwrap(), keyring).with_listener(Arc::new(move |token: &str| {
            listener.lock().unwrap().push(token.into());
        }));
    let client = Client::new(Arc::new(fetcher));
    client.manifest(&fake.host(), "app", "1").await.unwrap();
    assert_eq!(*tokens.lock().unwrap(), ["the-token"]);
}

#[tokio::test]
async fn user_and_password_are_sent_to_a_registry_that_requires_them() {
    let fake = Fake::start([challenge("Basic realm=\"x\""), served(&index())]).await;
    let client = client(&[
        (&fake.host(), "me", PASSWORD),
        ("other.example", "you", "no"),
    ]);
    let manifest = client.manifest(&fake.host(), "app", "1").await.unwrap();
    assert_eq!(manifest, index());
    let requests = fake.seen();
    assert_eq!(requests[0].authorization, None);
    assert_eq!(requests[1].basic(), Some(("me".into(), PASSWORD.into())));
}

#[tokio::test]
async fn a_rejection_is_reported_with_its_message_and_not_retried() {
    let body = r#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#;
    let fake = Fake::start([Reply::with_body(403, body)]).await;
    let error = client(&[])
        .put_manifest(&fake.host(), "app", "1", &index())
        .await
        .unwrap_err();
    assert!(error.is_denied() && !error.is_transient());
    let line = crate::text::cause::one_line(&error);
    assert!(line.ends_with("HTTP 403: DENIED: not yours"), "{line}");

    // Without a login the call is not repeated.
    let fake = Fake::start([challenge("Basic realm=\"x\"")]).await;
    let error = client(&[])
        .manifest(&fake.host(), "app", "1")
        .await
        .unwrap_err();
    assert!(error.is_denied());
    assert_eq!(error.status(), Some(401));
}

#[tokio::test]
async fn a_message_that_repeats_the_authorization_is_shown_without_it() {
    let basic = STANDARD.encode(format!("me:{PASSWORD}"));
    let mut digits = String::new();
    for byte in PASSWORD.bytes() {
        write!(digits, "{byte:02x}").unwrap();
    }
    let body = serde_json::json!({
        "errors": [{ "code": "DENIED", "message": format!("{basic} is {PASSWORD}, or {digits}") }],
    });
    let rejection = Reply::with_body(403, body.to_string());
    let fake = Fake::start([challenge("Basic realm=\"x\""), rejection]).await;
    let client = client(&[(&fake.host(), "me", PASSWORD)]);
    let error = client.manifest(&fake.host(), "app", "1").await.unwrap_err();
    let line = crate::text::cause::one_line(&error);
    assert!(
        line.ends_with("HTTP 403: DENIED: *** is ***, or ***"),
        "{line}"
    );
    // The status is reported although the message is incomplete.
    let cut = "HTTP/1.1 403 X\r\nContent-Length: 100\r\n\r\n{".to_owned();
    let fake = Fake::start([Reply::Raw(cut)]).await;
    let error = self::client(&[])
        .manifest(&fake.host(), "app", "1")
        .await
        .unwrap_err();
    assert!(error.is_denied(), "{error:?}");
}

#[tokio::test]
async fn a_transient_failure_is_retried() {
    let later = Reply::Response(429, "Retry-After: 1\r\n".into(), String::new());
    let fake = Fake::start([later, Reply::status(500), Reply::status(201)]).await;
    let begun = std::time::Instant::now();
    client(&[])
        .put_manifest(&fake.host(), "app", "1", &index())
        .await
        .unwrap();
    assert!(begun.elapsed() >= std::time::Duration::from_secs(1));
    assert_eq!(fake.seen().len(), 3);

    // After the last attempt the tag is read: it may have been successful.
    let fake = Fake::start([(); 5].map(|()| Reply::status(500))).await;
    let error = client(&[])
        .put_manifest(&fake.host(), "app", "1", &index())
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(500));
}

#[tokio::test]
async fn an_unavailable_token_server_is_requested_again() {
    let fake = Fake::start([]).await;
    let bearer = format!("Bearer realm=\"{}\",service=\"s\"", fake.url("/token"));
    fake.plan([
        challenge(&bearer),
        Reply::status(503),
        challenge(&bearer),
        Reply::token(),
        Reply::status(201),
    ]);
    let client = client(&[(&fake.host(), "me", PASSWORD)]);
    client
        .put_manifest(&fake.host(), "app", "1", &index())
        .await
        .unwrap();
}

#[tokio::test]
async fn no_authorization_follows_a_redirect_to_another_host() {
    let other = Fake::start([served(&index())]).await;
    let there = format!("Location: {}\r\n", other.url("/elsewhere"));
    let fake = Fake::start([
        challenge("Basic realm=\"x\""),
        Reply::Response(307, there.clone(), String::new()),
    ])
    .await;
    let reader = client(&[
        (&fake.host(), "me", PASSWORD),
        (&other.host(), "you", "other"),
    ]);
    assert_eq!(
        reader.manifest(&fake.host(), "app", "1").await.unwrap(),
        index()
    );
    assert_eq!(other.seen()[0].authorization, None);
    assert_eq!(other.seen()[0].path, "/elsewhere");

    // The challenge of the other host is not answered.
    let guarded = Fake::start([challenge("Basic realm=\"x\"")]).await;
    let onwards = format!("Location: {}\r\n", guarded.url("/elsewhere"));
    let sender = Fake::start([Reply::Response(307, onwards, String::new())]).await;
    let reader = client(&[(&sender.host(), "me", PASSWORD)]);
    let error = reader
        .manifest(&sender.host(), "app", "1")
        .await
        .unwrap_err();
    assert!(error.is_denied(), "{error:?}");

    let fake = Fake::start([Reply::Response(307, there, String::new())]).await;
    let error = client(&[])
        .put_manifest(&fake.host(), "app", "1", &index())
        .await
        .unwrap_err();
    assert!(
        crate::text::cause::one_line(&error).contains("which is not followed"),
        "{error}"
    );
}

#[tokio::test]
async fn unexpected_content_is_an_error() {
    let wrong = format!("sha256:{}", "0".repeat(64));
    let fake = Fake::start([served(&index())]).await;
    let error = client(&[])
        .manifest(&fake.host(), "app", &wrong)
        .await
        .unwrap_err();
    assert!(
        crate::text::cause::one_line(&error).contains("the content has the digest"),
        "{error}"
    );

    let header = format!("Docker-Content-Digest: {wrong}\r\n");
    let fake = Fake::start([Reply::Response(201, header, String::new())]).await;
    let error = client(&[])
        .put_manifest(&fake.host(), "app", "1", &index())
        .await
        .unwrap_err();
    assert!(
        crate::text::cause::one_line(&error).contains("it stored the digest"),
        "{error}"
    );

    // Each response is interrupted.
    let cut = "HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{".to_owned();
    let fake = Fake::start([(); 4].map(|()| Reply::Raw(cut.clone()))).await;
    let error = client(&[])
        .manifest(&fake.host(), "app", "1")
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error}");

    let large = "x".repeat(MAX_MANIFEST_BYTES + 1);
    let fake = Fake::start([Reply::ok(&large)]).await;
    let error = client(&[])
        .manifest(&fake.host(), "app", "1")
        .await
        .unwrap_err();
    assert!(
        crate::text::cause::one_line(&error).contains("longer than"),
        "{error}"
    );
}

/// A registry with a certificate that is not trusted.
async fn unknown_authority(planned: Vec<Reply>) -> Fake {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["registry.test".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    Fake::start_with(Some(TlsAcceptor::from(Arc::new(server))), planned).await
}

/// Resolves the names of the tests to this machine.
fn reach() -> Reach {
    let names = ["registry.test", "storage.test"].map(|name| (name, &["127.0.0.1"][..]));
    let resolver = Arc::new(Names::new(names));
    Reach::resolving(&Proxies::default(), &tls(), |client| client, resolver).unwrap()
}

/// The same without verification of these hosts' certificates.
fn trusting(hosts: &[String]) -> Reach {
    let resolver = Names::new([("registry.test", &["127.0.0.1"][..])]);
    let tls = crate::http::roots::unchecked_client_config().unwrap();
    let unchecked = Proxies::default().client(tls).dns_resolver(resolver);
    reach().trusting(hosts, unchecked.build().unwrap())
}

#[tokio::test]
async fn a_redirect_to_a_name_that_resolves_to_this_machine_is_not_followed() {
    let storage = Fake::start([]).await;
    for name in ["storage.test", "127.0.0.1", "localhost"] {
        let location = format!("Location: https://{name}:{}/x\r\n", storage.address.port());
        let redirect = Reply::Response(307, location, String::new());
        let fake = unknown_authority(vec![redirect]).await;
        let host = format!("registry.test:{}", fake.address.port());
        let client = client_with(trusting(std::slice::from_ref(&host)), &[]);
        let error = client.manifest(&host, "app", "1").await.unwrap_err();
        let line = crate::text::cause::one_line(&error);
        let expected = format!("it redirects to `{name}`, which is not followed");
        assert!(line.contains(&expected), "{line}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn an_unknown_certificate_is_rejected_unless_the_host_is_trusted() {
    let fake = unknown_authority(vec![challenge("Basic realm=\"x\""), served(&index())]).await;
    let host = format!("registry.test:{}", fake.address.port());
    let login = (host.as_str(), "me", PASSWORD);

    let error = client_with(reach(), &[login])
        .manifest(&host, "app", "1")
        .await
        .unwrap_err();
    assert!(error.is_certificate() && !error.is_transient(), "{error:?}");
    assert_eq!(fake.seen().len(), 0);
    // Trust in another host changes nothing.
    let client = client_with(trusting(&["other.test".to_owned()]), &[login]);
    assert!(
        client
            .manifest(&host, "app", "1")
            .await
            .unwrap_err()
            .is_certificate()
    );

    let client = client_with(trusting(std::slice::from_ref(&host)), &[login]);
    assert_eq!(client.manifest(&host, "app", "1").await.unwrap(), index());
    assert_eq!(fake.seen()[1].basic(), Some(("me".into(), PASSWORD.into())));
}

/// A source for every registry, without an identity.
#[derive(Debug)]
struct NoIdentity;

#[tonic::async_trait]
impl CredentialSource for NoIdentity {
    fn covers(&self, _host: &str) -> bool {
        true
    }

    fn is_named(&self, _host: &str) -> bool {
        true
    }

    fn accepts_tokens(&self, _host: &str) -> Option<bool> {
        Some(false)
    }

    async fn credential(&self, _host: &str) -> Result<Option<Credential>, SourceError> {
        Err(SourceError {
            denied: true,
            cause: Box::new(EcrError::NoIdentity),
        })
    }
}

#[tokio::test]
async fn the_reason_for_a_missing_login_is_kept() {
    let fake = Fake::start([challenge("Basic realm=\"x\"")]).await;
    let reach = Reach::new(&Proxies::default(), &tls(), |client| client).unwrap();
    let keyring = Keyring::default().with_source(Arc::new(NoIdentity));
    let client = Client::new(Arc::new(Tokens::new(reach, Arc::new(keyring))));
    let error = client.manifest(&fake.host(), "app", "1").await.unwrap_err();
    assert!(error.is_denied());
    assert!(
        matches!(error.login_cause(), Some(EcrError::NoIdentity)),
        "{error:?}"
    );
    assert!(error.login_cause::<std::io::Error>().is_none());
}

#[tokio::test]
async fn an_unknown_host_is_reported() {
    let error = client(&[])
        .manifest("no-such-host.invalid", "app", "1")
        .await
        .unwrap_err();
    let line = crate::text::cause::one_line(&error);
    assert!(
        line.contains("no-such-host.invalid") && line.contains("it could not be reached"),
        "{line}"
    );
}

/// An empty index, for which a real registry requires no blobs.
#[tokio::test(flavor = "multi_thread")]
async fn real_registries_return_what_was_pushed() {
    let registry = Registry::start(&state_folder()).await.unwrap();
    let host = registry.host();
    let owner = client(&[(&host, registry.username(), registry.password())]);
    let names = ["app:1", "app:latest", "other/app:1"];
    let names = names.map(|name| Reference::parse(&format!("{host}/{name}")).unwrap());
    for (name, result) in publish(&owner, &index(), &names, |_| {}).await {
        result.unwrap();
        let read = owner
            .manifest(&host, name.repository(), name.tag())
            .await
            .unwrap();
        assert_eq!(read, index());
    }
    let blob = Bytes::from_static(b"of an attestation");
    owner
        .put_blob(&host, "other/app", blob.clone())
        .await
        .unwrap();
    let digest = sha256(&blob);
    assert_eq!(owner.blob(&host, "other/app", &digest).await.unwrap(), blob);
    let stranger = client(&[(&host, registry.username(), "wrong")]);
    let rejected = stranger.put_blob(&host, "other/app", blob.clone()).await;
    assert!(rejected.unwrap_err().is_denied());
    let results = publish(&stranger, &index(), &names, |_| {}).await;
    assert!(
        results
            .iter()
            .all(|(_, result)| result.as_ref().is_err_and(ClientError::is_denied))
    );
    registry.stop().await.unwrap();

    let registry = TokenRegistry::start(&state_folder(), TokenPlan::default())
        .await
        .unwrap();
    let host = registry.host();
    let user = |login: &depot_ground::registry::Login| {
        client(&[(host, login.username(), login.password())])
    };
    let owner = user(registry.owner());
    owner.put_blob(host, "app", blob.clone()).await.unwrap();
    assert_eq!(owner.blob(host, "app", &digest).await.unwrap(), blob);
    owner
        .put_manifest(host, "app", "1", &index())
        .await
        .unwrap();
    assert_eq!(
        owner.manifest(host, "app", &index().digest).await.unwrap(),
        index()
    );
    let reader = user(registry.reader());
    assert_eq!(reader.manifest(host, "app", "1").await.unwrap(), index());
    let error = reader
        .put_manifest(host, "app", "2", &index())
        .await
        .unwrap_err();
    assert!(error.is_denied(), "{error:?}");
    registry.stop().await.unwrap();
}
