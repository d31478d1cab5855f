//! The real registry judges our tokens, and the strict server its clients.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode, header};
use serde_json::Value;

use super::*;
use crate::engine::{Address, http::send, state_folder};

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
    let answer = call(registry.host(), Method::GET, &path, &login, "").await;
    assert_eq!(answer.status(), StatusCode::OK, "{answer:?}");
    let answer: Value = serde_json::from_slice(answer.body()).unwrap();
    answer["token"].as_str().unwrap().to_owned()
}

/// What the registry answers to the start of an upload, or to a list of tags.
async fn tried(registry: &TokenRegistry, token: &str, method: Method, path: &str) -> StatusCode {
    let bearer = (header::AUTHORIZATION, format!("Bearer {token}"));
    let answer = call(registry.host(), method, path, &[bearer], "").await;
    if let Some(location) = answer.headers().get(header::LOCATION) {
        // Clients stay in front of the recorder.
        let ours = format!("http://{}/", registry.host());
        assert!(location.to_str().unwrap().starts_with(&ours));
    }
    answer.status()
}

#[tokio::test]
async fn each_user_may_what_the_registry_sees_in_the_token() {
    let registry = started(TokenPlan::default()).await;
    let private = "repository:some/thing:pull,push";
    let uploads = "/v2/some/thing/blobs/uploads/";
    let tags = "/v2/some/thing/tags/list";
    let refused = StatusCode::UNAUTHORIZED;

    let owner = token(&registry, Some(registry.owner()), private).await;
    assert_eq!(
        tried(&registry, &owner, Method::POST, uploads).await,
        StatusCode::ACCEPTED
    );
    // Nothing is there yet, which only those who may pull are told.
    assert_eq!(
        tried(&registry, &owner, Method::GET, tags).await,
        StatusCode::NOT_FOUND
    );
    let elsewhere = "/v2/some/other/tags/list";
    assert_eq!(
        tried(&registry, &owner, Method::GET, elsewhere).await,
        refused
    );

    let reader = token(&registry, Some(registry.reader()), private).await;
    assert_eq!(
        tried(&registry, &reader, Method::GET, tags).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        tried(&registry, &reader, Method::POST, uploads).await,
        refused
    );

    let nobody = token(&registry, None, private).await;
    assert_eq!(tried(&registry, &nobody, Method::GET, tags).await, refused);
    let public = token(&registry, None, "repository:public/thing:pull,push").await;
    let public_tags = "/v2/public/thing/tags/list";
    assert_eq!(
        tried(&registry, &public, Method::GET, public_tags).await,
        StatusCode::NOT_FOUND
    );
    let public_uploads = "/v2/public/thing/blobs/uploads/";
    assert_eq!(
        tried(&registry, &public, Method::POST, public_uploads).await,
        refused
    );

    // A signature of somebody else's counts for nothing.
    let forged = TokenServer::new(TokenPlan::default(), String::new()).unwrap();
    let forged = authorization(&forged, &[]).unwrap();
    let forged = forged.strip_prefix("Bearer ").unwrap();
    assert_eq!(tried(&registry, forged, Method::GET, "/v2/").await, refused);

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
async fn the_registry_takes_no_passwords_and_says_where_tokens_are() {
    let registry = started(TokenPlan::default().realm(Realm::OtherPort)).await;
    let owner = registry.owner();
    let login = basic(owner.username(), owner.password());
    let answer = call(registry.host(), Method::GET, "/v2/", &[login], "").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let challenge = answer.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
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
async fn a_form_gets_a_token_when_all_of_it_is_right() {
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
    let answer = call(host, Method::POST, "/token", &kind, &right).await;
    let answer: Value = serde_json::from_slice(answer.body()).unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let uploads = "/v2/some/thing/blobs/uploads/";
    assert_eq!(
        tried(&registry, token, Method::POST, uploads).await,
        StatusCode::ACCEPTED
    );

    let wrong = form("wrong", "password");
    let answer = call(host, Method::POST, "/token", &kind, &wrong).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(registry.record().unforeseen, Vec::<String>::new());

    registry.refuse(owner);
    let answer = call(host, Method::POST, "/token", &kind, &right).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);

    let implicit = form(owner.password(), "implicit");
    for (kind, form) in [(&kind[..], implicit.as_str()), (&[], right.as_str())] {
        let answer = call(host, Method::POST, "/token", kind, form).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(registry.record().unforeseen.len(), 2);
    registry.stop().await.unwrap();
}
