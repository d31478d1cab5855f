//! These start the registry for real and push to it by hand.

use http::{Method, Request, StatusCode, header};

use super::*;
use crate::engine::{Address, http::send, state_folder};

/// One request with or without the registry's password; returns the status and, where there is one, the location.
async fn call(
    registry: &Registry,
    method: Method,
    path: &str,
    password: Option<&str>,
    body: &[u8],
    kind: &str,
) -> (StatusCode, String) {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, kind);
    if let Some(password) = password {
        let login = STANDARD.encode(format!("{}:{password}", registry.username()));
        request = request.header(header::AUTHORIZATION, format!("Basic {login}"));
    }
    let request = request.body(bytes::Bytes::copy_from_slice(body)).unwrap();
    let answer = send(&Address::Tcp(registry.host()), request, 1 << 20)
        .await
        .unwrap();
    let location = answer
        .headers()
        .get(header::LOCATION)
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    (answer.status(), location)
}

/// Pushes one blob and returns its digest.
async fn push_blob(registry: &Registry, repository: &str, blob: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, blob);
    let digest = digest
        .as_ref()
        .iter()
        .fold("sha256:".to_owned(), |text, byte| {
            format!("{text}{byte:02x}")
        });
    let password = Some(registry.password());
    let (status, location) = call(
        registry,
        Method::POST,
        &format!("/v2/{repository}/blobs/uploads/"),
        password,
        b"",
        "",
    )
    .await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let location: http::Uri = location.parse().unwrap();
    let place = format!("{}&digest={digest}", location.path_and_query().unwrap());
    let (status, _) = call(
        registry,
        Method::PUT,
        &place,
        password,
        blob,
        "application/octet-stream",
    )
    .await;
    assert_eq!(status, StatusCode::CREATED);
    digest
}

#[tokio::test]
async fn what_is_pushed_can_be_read_back_by_tag_and_by_digest() {
    let registry = Registry::start(&state_folder()).await.unwrap();
    let blob = b"{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";
    let config = push_blob(&registry, "some/thing", blob).await;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": kind,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": blob.len() },
        "layers": [],
    })
    .to_string();
    for tag in ["second", "first"] {
        let path = format!("/v2/some/thing/manifests/{tag}");
        let (status, _) = call(
            &registry,
            Method::PUT,
            &path,
            Some(registry.password()),
            manifest.as_bytes(),
            kind,
        )
        .await;
        assert_eq!(status, StatusCode::CREATED);
    }

    let by_tag = registry.manifest("some/thing", "first").await.unwrap();
    assert_eq!(
        (by_tag.media_type.as_str(), by_tag.bytes.as_ref()),
        (kind, manifest.as_bytes())
    );
    assert_eq!(
        registry
            .manifest("some/thing", &by_tag.digest)
            .await
            .unwrap(),
        by_tag
    );
    let json = by_tag.json().unwrap();
    assert_eq!(json.pointer("/config/digest").unwrap(), &json!(config));
    assert_eq!(
        registry.blob("some/thing", &config).await.unwrap().as_ref(),
        blob
    );
    assert_eq!(
        registry.tags("some/thing").await.unwrap(),
        ["first", "second"]
    );

    assert!(matches!(
        registry.manifest("some/thing", "third").await,
        Err(ReadError::Missing { .. })
    ));
    assert!(matches!(
        registry
            .blob("some/thing", &by_tag.digest.replace(':', ":0"))
            .await,
        Err(ReadError::Status { .. } | ReadError::Missing { .. })
    ));
    assert_eq!(
        registry.tags("nothing").await.unwrap(),
        Vec::<String>::new()
    );
    registry.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_gets_in_without_the_password() {
    let registry = Registry::start(&state_folder()).await.unwrap();
    for password in [None, Some("wrong")] {
        for (method, path) in [
            (Method::GET, "/v2/"),
            (Method::POST, "/v2/some/thing/blobs/uploads/"),
        ] {
            let (status, _) = call(&registry, method, path, password, b"", "").await;
            assert_eq!(status, StatusCode::UNAUTHORIZED);
        }
    }
    assert!(!format!("{registry:?}").contains(registry.password()));
    registry.stop().await.unwrap();
}

#[test]
fn the_address_is_not_taken_from_half_a_line() {
    let line =
        |rest: &str| format!("time=\"now\" level=info msg=\"listening on 127.0.0.1:4321{rest}");
    assert_eq!(
        listening_on(&line("\" version=2\n")),
        Some(([127, 0, 0, 1], 4321).into())
    );
    assert_eq!(listening_on(&line("")), None);
    assert_eq!(listening_on("level=info"), None);
}
