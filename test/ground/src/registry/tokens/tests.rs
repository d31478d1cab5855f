//! The real registry verifies the tokens, and the strict token server its clients.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode, header};
use serde_json::Value;

use super::*;
use crate::engine::http::send;
use crate::engine::{Address, state_folder};

async fn started(plan: TokenPlan) -> TokenRegistry {
    TokenRegistry::start(&state_folder(), plan).await.unwrap()
}

async fn call(
    address: &str,
    method: Method,
    path: &str,
    headers: &[(HeaderName, String)],
    body: &str,
) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Bytes::copy_from_slice(body.as_bytes()));
    let address = Address::Tcp(address.to_owned());
    send(&address, request.unwrap(), 1 << 20).await.unwrap()
}

fn basic(user: &str, password: &str) -> (HeaderName, String) {
    let login = STANDARD.encode(format!("{user}:{password}"));
    (header::AUTHORIZATION, format!("Basic {login}"))
}

/// A token by GET.
async fn token(registry: &TokenRegistry, user: Option<&Login>, scope: &str) -> String {
    let path = format!("/token?service=registry+of+depot-ground&scope={scope}");
    let login: Vec<_> = user
        .map(|user| basic(user.username(), user.password()))
        .into_iter()
        .collect();
    let response = call(registry.host(), Method::GET, &path, &login, "").await;
    assert_eq!(response.status(), StatusCode::OK, "{response:?}");
    let response: Value = serde_json::from_slice(response.body()).unwrap();
    response["token"].as_str().unwrap().to_owned()
}

/// Sends a request with a token, the start of an upload or a list of tags, and asserts the registry's status.
async fn expect(
    registry: &TokenRegistry,
    token: &str,
    method: Method,
    path: &str,
    status: StatusCode,
) {
    let bearer = (header::AUTHORIZATION, format!("Bearer {token}"));
    let response = call(registry.host(), method, path, &[bearer], "").await;
    if let Some(location) = response.headers().get(header::LOCATION) {
        // Clients must stay on the recorded port.
        let origin = format!("http://{}/", registry.host());
        assert!(location.to_str().unwrap().starts_with(&origin));
    }
    assert_eq!(response.status(), status, "{path}");
}

#[tokio::test]
async fn the_registry_grants_each_user_the_permissions_of_the_token() {
    let registry = started(TokenPlan::default()).await;
    let private = "repository:some/thing:pull,push";
    let uploads = "/v2/some/thing/blobs/uploads/";
    let tags = "/v2/some/thing/tags/list";
    let refused = StatusCode::UNAUTHORIZED;

    let accepted = StatusCode::ACCEPTED;

    let owner = token(&registry, Some(registry.owner()), private).await;
    expect(&registry, &owner, Method::POST, uploads, accepted).await;
    // The repository does not exist yet; only users with permission to pull get a 404.
    let missing = StatusCode::NOT_FOUND;
    expect(&registry, &owner, Method::GET, tags, missing).await;
    let elsewhere = "/v2/some/other/tags/list";
    expect(&registry, &owner, Method::GET, elsewhere, refused).await;

    let reader = token(&registry, Some(registry.reader()), private).await;
    expect(&registry, &reader, Method::GET, tags, missing).await;
    expect(&registry, &reader, Method::POST, uploads, refused).await;

    let anonymous = token(&registry, None, private).await;
    expect(&registry, &anonymous, Method::GET, tags, refused).await;
    let public = token(&registry, None, "repository:public/thing:pull,push").await;
    let public_tags = "/v2/public/thing/tags/list";
    expect(&registry, &public, Method::GET, public_tags, missing).await;
    let public_uploads = "/v2/public/thing/blobs/uploads/";
    expect(&registry, &public, Method::POST, public_uploads, refused).await;

    // A token of another signer is rejected.
    let forged = TokenServer::new(TokenPlan::default(), String::new()).unwrap();
    let forged = authorization(&forged, &[]).unwrap();
    let forged = forged.strip_prefix("Bearer ").unwrap();
    expect(&registry, forged, Method::GET, "/v2/", refused).await;

    let record = registry.record();
    assert_eq!(record.unforeseen, Vec::<String>::new());
    let seen: Vec<_> = record
        .token_requests
        .iter()
        .map(|request| request.password)
        .collect();
    let (right, absent) = (PasswordSeen::Right, PasswordSeen::Absent);
    assert_eq!(seen, [right, right, absent, absent]);
    let shown = format!("{record:?} {registry:?} {:?}", registry.owner());
    assert!(!shown.contains(registry.owner().password()), "{shown}");
    registry.stop().await.unwrap();
}

#[tokio::test]
async fn the_registry_rejects_passwords_and_names_the_token_server() {
    let registry = started(TokenPlan::default().realm(Realm::OtherPort)).await;
    let owner = registry.owner();
    let login = basic(owner.username(), owner.password());
    let response = call(registry.host(), Method::GET, "/v2/", &[login], "").await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenge = response.headers()[header::WWW_AUTHENTICATE]
        .to_str()
        .unwrap();
    let realm = format!("Bearer realm=\"{}\"", registry.realm());
    assert!(challenge.starts_with(&realm), "{challenge}");
    assert!(!registry.realm().contains(registry.host()));
    let [request] = &registry.record().registry_requests[..] else {
        panic!("{:?}", registry.record());
    };
    assert_eq!(request.authorization, Authorization::Basic);
    assert_eq!(request.status, Some(401));
    registry.stop().await.unwrap();
}

#[tokio::test]
async fn only_a_correct_form_gets_a_token() {
    let registry = started(TokenPlan::default()).await;
    let owner = registry.owner();
    let form = |password: &str, grant: &str| {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", grant)
            .append_pair("client_id", "test")
            .append_pair("service", SERVICE)
            .append_pair("scope", "repository:some/thing:pull,push")
            .append_pair("username", owner.username())
            .append_pair("password", password)
            .finish()
    };
    let kind = "application/x-www-form-urlencoded".to_owned();
    let kind = [(header::CONTENT_TYPE, kind)];
    let right = form(owner.password(), "password");
    let host = registry.host();
    let response = call(host, Method::POST, "/token", &kind, &right).await;
    let response: Value = serde_json::from_slice(response.body()).unwrap();
    let token = response["access_token"].as_str().unwrap();
    let uploads = "/v2/some/thing/blobs/uploads/";
    expect(
        &registry,
        token,
        Method::POST,
        uploads,
        StatusCode::ACCEPTED,
    )
    .await;

    let wrong = form("wrong", "password");
    let response = call(host, Method::POST, "/token", &kind, &wrong).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(registry.record().unforeseen, Vec::<String>::new());

    registry.refuse(owner);
    let response = call(host, Method::POST, "/token", &kind, &right).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);

    let implicit = form(owner.password(), "implicit");
    for (kind, form) in [(&kind[..], implicit.as_str()), (&[], right.as_str())] {
        let response = call(host, Method::POST, "/token", kind, form).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(registry.record().unforeseen.len(), 2);
    registry.stop().await.unwrap();
}
