//! The client with planned replies, and with a real moto.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use depot_ground::aws::{ACCOUNT, Moto};
use depot_ground::engine::state_folder;
use secrecy::ExposeSecret;
use url::Url;

use super::*;
use crate::registry::fake::{Fake, Reply};

const KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn http() -> reqwest::Client {
    let tls =
        crate::http::roots::client_config(&crate::http::roots::Authorities::default()).unwrap();
    crate::http::proxies::Proxies::default()
        .client(tls)
        .build()
        .unwrap()
}

/// The client, and the secrets that its listener received.
fn ecr(access: Access) -> (Ecr, Arc<Mutex<Vec<String>>>) {
    let secrets: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = Arc::clone(&secrets);
    let listener = Arc::new(move |secret: &str| listener.lock().unwrap().push(secret.into()));
    (Ecr::new(http(), http(), access, listener), secrets)
}

fn keys() -> Keys {
    Keys {
        id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret: KEY.into(),
        session: None,
        until: None,
    }
}

fn with_keys(endpoint: &str) -> Access {
    Access {
        keys: Some(keys()),
        endpoint: Some(Url::parse(endpoint).unwrap()),
        ..Access::default()
    }
}

fn registry(region: &str) -> (String, EcrHost) {
    let host = format!("{ACCOUNT}.dkr.ecr.{region}.amazonaws.com");
    let parsed = EcrHost::parse(&host).unwrap();
    (host, parsed)
}

/// A login that expires two seconds before `life` seconds have passed.
fn login(password: &str, life: u64) -> Reply {
    let token = STANDARD.encode(format!("AWS:{password}"));
    let end = SystemTime::now() - Duration::from_secs(2) + Duration::from_secs(life);
    let end = end
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    Reply::ok(&format!(
        r#"{{"authorizationData":[{{"authorizationToken":"{token}","expiresAt":{end}.5,"proxyEndpoint":"x"}}]}}"#
    ))
}

fn rejection(status: u16, code: &str) -> Reply {
    let body = format!(r#"{{"__type":"com.amazonaws.ecr#{code}","message":"because {code}"}}"#);
    Reply::Response(status, String::new(), body)
}

async fn password(ecr: &Ecr, region: &str) -> Result<String, EcrError> {
    let (name, host) = registry(region);
    let credential = ecr.credential(&name, &host).await?;
    assert_eq!(
        (credential.host(), credential.username()),
        (name.as_str(), "AWS")
    );
    Ok(credential.password().expose_secret().to_owned())
}

#[tokio::test]
async fn a_login_is_requested_once_and_again_before_it_expires() {
    let hours = 12 * 60 * 60;
    let fake = Fake::start([
        login("first", hours),
        login("second", 0),
        login("third", hours),
    ])
    .await;
    let (ecr, secrets) = ecr(with_keys(&fake.url("/")));
    let one = async || password(&ecr, "eu-central-1").await.unwrap();
    // Concurrently, and then from the cache.
    let (a, b) = tokio::join!(one(), one());
    assert_eq!(
        (a.as_str(), b.as_str(), one().await.as_str()),
        ("first", "first", "first")
    );
    assert_eq!(fake.seen().len(), 1);
    // Another region is another registry. An expired login is requested again.
    let other = async || password(&ecr, "us-east-1").await.unwrap();
    assert_eq!(other().await, "second");
    assert_eq!(other().await, "third");
    assert_eq!(other().await, "third");
    for seen in fake.seen() {
        let signed = seen.authorization.unwrap();
        assert!(
            signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/"),
            "{signed}"
        );
        assert!(!signed.contains(KEY));
    }
    let secrets = secrets.lock().unwrap().join(" ");
    assert!(
        ["first", "second", "third", KEY]
            .iter()
            .all(|secret| secrets.contains(secret)),
        "{secrets}"
    );
}

#[tokio::test]
async fn a_rejection_is_reported_and_not_retried() {
    for code in [
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "AccessDeniedException",
    ] {
        let fake = Fake::start([rejection(400, code)]).await;
        let (ecr, _) = ecr(with_keys(&fake.url("/")));
        let error = password(&ecr, "eu-central-1").await.unwrap_err();
        assert!(error.is_denied() && !error.is_transient());
        assert_eq!(error.code(), code);
        assert_eq!(
            error.to_string(),
            format!("AWS rejected GetAuthorizationToken (HTTP 400): {code}: because {code}")
        );
        assert_eq!(fake.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_transient_failure_is_retried() {
    let fake = Fake::start([
        rejection(400, "ThrottlingException"),
        Reply::Response(503, String::new(), "<html>".into()),
        login("password", 3600),
    ])
    .await;
    let (ecr, _) = ecr(with_keys(&fake.url("/")));
    assert_eq!(password(&ecr, "eu-central-1").await.unwrap(), "password");
    assert_eq!(fake.seen().len(), 3);
}

#[tokio::test]
async fn an_unusable_response_is_an_error() {
    for body in [
        "",
        "{}",
        r#"{"authorizationData":[]}"#,
        r#"{"authorizationData":[{"authorizationToken":"!"}]}"#,
    ] {
        let fake = Fake::start([Reply::ok(body)]).await;
        let (ecr, _) = ecr(with_keys(&fake.url("/")));
        let error = password(&ecr, "eu-central-1").await.unwrap_err();
        assert!(matches!(error, EcrError::Malformed { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_container_and_a_machine_have_their_own_keys() {
    let keys = r#"{"AccessKeyId":"ASIAEXAMPLEEXAMPLE00","SecretAccessKey":"k","Token":"s","Expiration":"2999-01-01T00:00:00Z"}"#;
    let fake = Fake::start([Reply::ok(keys), login("password", 3600)]).await;
    let container = Container {
        url: Url::parse(&fake.url("/keys")).unwrap(),
        authorization: Some(Authorization::Token("token".into())),
    };
    let (one, _) = ecr(Access {
        container: Some(container.clone()),
        endpoint: Some(Url::parse(&fake.url("/")).unwrap()),
        ..Access::default()
    });
    assert_eq!(password(&one, "eu-central-1").await.unwrap(), "password");
    assert_eq!(fake.seen()[0].authorization.as_deref(), Some("token"));

    let machine = Fake::start([
        Reply::ok("token-of-the-machine"),
        Reply::ok("role-of-the-machine\n"),
        Reply::ok(keys),
        login("password", 3600),
    ])
    .await;
    let (other, _) = ecr(Access {
        endpoint: Some(Url::parse(&machine.url("/")).unwrap()),
        metadata: Some(Url::parse(&machine.url("/")).unwrap()),
        ..Access::default()
    });
    assert_eq!(password(&other, "eu-central-1").await.unwrap(), "password");
    let requests: Vec<String> = machine
        .seen()
        .iter()
        .map(|seen| format!("{} {}", seen.method, seen.path))
        .collect();
    assert_eq!(
        requests,
        [
            "PUT /latest/api/token",
            "GET /latest/meta-data/iam/security-credentials/",
            "GET /latest/meta-data/iam/security-credentials/role-of-the-machine",
            "POST /",
        ]
    );
    // The authorization token is not sent to other hosts.
    let (foreign, _) = ecr(Access {
        container: Some(Container {
            url: Url::parse("http://192.0.2.1/keys").unwrap(),
            ..container
        }),
        ..Access::default()
    });
    let error = password(&foreign, "eu-central-1").await.unwrap_err();
    assert!(
        matches!(error, EcrError::ForeignContainer { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_containers_token_is_masked_before_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "token-of-the-container\n").unwrap();
    let rejection = r#"{"message":"bad token token-of-the-container"}"#;
    let fake = Fake::start([Reply::with_body(400, rejection)]).await;
    let (ecr, secrets) = ecr(Access {
        container: Some(Container {
            url: Url::parse(&fake.url("/keys")).unwrap(),
            authorization: Some(Authorization::File(path)),
        }),
        ..Access::default()
    });
    password(&ecr, "eu-central-1").await.unwrap_err();
    assert_eq!(*secrets.lock().unwrap(), ["token-of-the-container"]);
}

#[tokio::test]
async fn a_containers_token_is_read_only_from_a_regular_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    crate::io::bounded_file::make_fifo(&path);
    let (ecr, _) = ecr(Access {
        container: Some(Container {
            url: Url::parse("http://127.0.0.1:1/keys").unwrap(),
            authorization: Some(Authorization::File(path)),
        }),
        ..Access::default()
    });
    let error = password(&ecr, "eu-central-1").await.unwrap_err();
    assert!(matches!(error, EcrError::ContainerToken(_)), "{error}");
}

#[tokio::test]
async fn the_public_registry_has_its_own_api() {
    let token = STANDARD.encode("AWS:password");
    let body =
        format!(r#"{{"authorizationData":{{"authorizationToken":"{token}","expiresAt":9e9}}}}"#);
    let fake = Fake::start([
        Reply::ok(&body),
        rejection(400, "RepositoryNotFoundException"),
        Reply::ok("{}"),
    ])
    .await;
    let (ecr, _) = ecr(with_keys(&fake.url("/")));
    let host = EcrHost::parse("public.ecr.aws").unwrap();
    let credential = ecr.credential("public.ecr.aws", &host).await.unwrap();
    assert_eq!(credential.password().expose_secret(), "password");
    let ensured = ecr.ensure_repository(&host, "acme/team/app").await.unwrap();
    assert_eq!(ensured, Ensured::Created);
    let seen = fake.seen();
    let targets: Vec<_> = seen
        .iter()
        .filter_map(|seen| seen.header("x-amz-target"))
        .collect();
    assert_eq!(
        targets,
        [
            "GetAuthorizationToken",
            "DescribeRepositories",
            "CreateRepository"
        ]
        .map(|action| format!("SpencerFrontendService.{action}"))
    );
    // The alias of the account is not part of the repository's name.
    assert_eq!(seen[2].body, br#"{"repositoryName":"team/app"}"#);
    let signed = seen[0].authorization.as_deref().unwrap();
    assert!(
        signed.contains("/us-east-1/ecr-public/aws4_request"),
        "{signed}"
    );
}

#[tokio::test]
async fn missing_credentials_are_an_error() {
    let fake = Fake::start([Reply::Response(404, String::new(), String::new())]).await;
    let (ecr, _) = ecr(Access {
        metadata: Some(Url::parse(&fake.url("/")).unwrap()),
        ..Access::default()
    });
    let error = password(&ecr, "eu-central-1").await.unwrap_err();
    assert!(matches!(error, EcrError::NoIdentity), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_returns_logins_and_creates_repositories_and_rejects_strangers() {
    let Some(moto) = Moto::for_tests(&state_folder()).await.unwrap() else {
        return;
    };
    let (by_keys, _) = ecr(with_keys(&moto.endpoint()));
    let regions = ["eu-central-1", "us-west-2"];
    let logins = regions.map(|region| password(&by_keys, region));
    for login in futures_util::future::join_all(logins).await {
        assert_eq!(login.unwrap(), format!("{ACCOUNT}-auth-token"));
    }
    let (_, host) = registry("eu-central-1");
    let ensure = async || by_keys.ensure_repository(&host, "team/app").await.unwrap();
    assert_eq!(ensure().await, Ensured::Created);
    assert_eq!(ensure().await, Ensured::Existed);
    assert_eq!(
        moto.repositories("eu-central-1").await.unwrap(),
        ["team/app"]
    );

    let (by_role, secrets) = ecr(Access {
        role: Some(Role {
            arn: format!("arn:aws:iam::{ACCOUNT}:role/pipelines"),
            token: "signed-identity".into(),
            session_name: "depot-build-1".into(),
        }),
        endpoint: Some(Url::parse(&moto.endpoint()).unwrap()),
        ..Access::default()
    });
    assert_eq!(
        password(&by_role, "eu-central-1").await.unwrap(),
        format!("{ACCOUNT}-auth-token")
    );
    assert!(secrets.lock().unwrap().len() >= 3);
    // For other services: a session of the role, and nothing without an identity.
    let session = by_role.session_keys("us-west-2").await.unwrap().unwrap();
    assert!(session.session.is_some());
    let masked = secrets.lock().unwrap().clone();
    assert!(
        masked
            .iter()
            .any(|secret| secret == session.secret.expose_secret())
    );
    let (nobody, _) = ecr(Access::default());
    assert!(nobody.session_keys("us-west-2").await.unwrap().is_none());

    let user = moto.user("reader").await.unwrap();
    moto.check_signatures().await.unwrap();
    let error = password(&ecr(with_keys(&moto.endpoint())).0, "eu-central-1")
        .await
        .unwrap_err();
    // Amazon returns `UnrecognizedClientException`.
    assert_eq!(error.code(), "InvalidClientTokenId", "{error}");
    let as_user = |secret: &str| Access {
        keys: Some(Keys {
            id: user.id.clone(),
            secret: secret.into(),
            ..keys()
        }),
        ..with_keys(&moto.endpoint())
    };
    // The right key results in a valid signature, but the user has no permission.
    for (secret, code) in [
        (user.secret.as_str(), "AccessDenied"),
        ("another", "SignatureDoesNotMatch"),
    ] {
        let error = password(&ecr(as_user(secret)).0, "eu-central-1")
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(!error.to_string().contains(&user.secret), "{error}");
    }
    moto.stop().await.unwrap();
}
