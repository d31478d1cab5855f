//! These tests start a real registry and push to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode, header};

use super::*;
use crate::engine::containers::read_file;
use crate::engine::http::send;
use crate::engine::{EngineChoice, EngineOptions, state_folder};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Sends one request with or without the registry's password; returns the status and the location, empty if absent.
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
    let response = send(&Address::Tcp(registry.host()), request, 1 << 20)
        .await
        .unwrap();
    let location = response
        .headers()
        .get(header::LOCATION)
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    (response.status(), location)
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

/// Pushes an image without layers under each tag; returns its manifest and the digest of its config.
async fn push_image(registry: &Registry, config: &[u8], tags: &[&str]) -> (String, String) {
    let digest = push_blob(registry, "some/thing", config).await;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": config.len() },
        "layers": [],
    })
    .to_string();
    for tag in tags {
        let path = format!("/v2/some/thing/manifests/{tag}");
        let (status, _) = call(
            registry,
            Method::PUT,
            &path,
            Some(registry.password()),
            manifest.as_bytes(),
            MANIFEST_TYPE,
        )
        .await;
        assert_eq!(status, StatusCode::CREATED);
    }
    (manifest, digest)
}

#[tokio::test]
async fn a_pushed_image_can_be_read_back_by_tag_and_by_digest() {
    let registry = Registry::start(&state_folder()).await.unwrap();
    let blob = b"{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";
    let (manifest, config) = push_image(&registry, blob, &["second", "first"]).await;

    let by_tag = registry.manifest("some/thing", "first").await.unwrap();
    assert_eq!(
        (by_tag.media_type.as_str(), by_tag.bytes.as_ref()),
        (MANIFEST_TYPE, manifest.as_bytes())
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

/// Imports an image with the registry and a shell, from Debian's packages, into the engine.
async fn import_image(docker: &Address, image: &str) {
    const PREPARE: &str = r#"
        set -e
        mkdir bin tmp etc
        cp "$1" bin/registry
        cp "$2" bin/busybox
        ln -s busybox bin/sh
        ldd bin/registry | grep -o '/[^ ]*' | while read -r library; do
            mkdir -p ".${library%/*}"
            cp -L "$library" ".$library"
        done
        tar -c .
    "#;
    let registry = packages::fetch(&state_folder(), Set::Registry)
        .await
        .unwrap()
        .program("docker-registry")
        .unwrap();
    let busybox = packages::fetch(&state_folder(), Set::Busybox)
        .await
        .unwrap()
        .program("busybox")
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut prepare = std::process::Command::new("sh");
    prepare
        .args(["-c", PREPARE, "prepare"])
        .args([registry, busybox])
        .current_dir(folder.path());
    let archive = prepare.output().unwrap();
    assert!(
        archive.status.success(),
        "{}",
        String::from_utf8_lossy(&archive.stderr)
    );
    let (name, tag) = image.split_once(':').unwrap();
    let request = Request::post(format!("/images/create?fromSrc=-&repo={name}&tag={tag}"));
    let response = send(
        docker,
        request.body(archive.stdout.into()).unwrap(),
        1 << 20,
    )
    .await
    .unwrap();
    assert!(response.status().is_success(), "{response:?}");
}

/// The number of the engine's containers, running or not.
async fn containers(docker: &Address) -> usize {
    let request = Request::get("/containers/json?all=1")
        .body(bytes::Bytes::new())
        .unwrap();
    let response = send(docker, request, 1 << 20).await.unwrap();
    serde_json::from_slice::<Vec<Value>>(response.body())
        .unwrap()
        .len()
}

#[tokio::test]
async fn a_registry_in_a_container_is_reachable_for_the_engine_and_for_tests() {
    let options = EngineOptions {
        choice: EngineChoice::Own,
        ..EngineOptions::of_this_machine()
    };
    let engine = Engine::start(&options).await.unwrap();
    let docker = engine.docker().unwrap();
    import_image(docker, IMAGE).await;

    let registry = Registry::in_container(docker, IMAGE).await.unwrap();
    let digest = push_blob(&registry, "some/thing", b"content").await;
    assert_eq!(
        registry.blob("some/thing", &digest).await.unwrap(),
        "content"
    );
    // The engine reaches the same registry, which rejects it because it sends no password.
    let request = Request::get(format!("/distribution/{}/some/thing/json", registry.host()));
    let response = send(docker, request.body(bytes::Bytes::new()).unwrap(), 1 << 20)
        .await
        .unwrap();
    let message = String::from_utf8_lossy(response.body()).into_owned();
    assert!(message.contains("no basic auth credentials"), "{message}");

    assert_eq!(containers(docker).await, 1);
    registry.stop().await.unwrap();
    assert_eq!(containers(docker).await, 0);

    let busybox = read_file(docker, IMAGE, "/bin/busybox").await.unwrap();
    assert_eq!(busybox.get(..4), Some(b"\x7fELF".as_slice()));
    let missing = read_file(docker, IMAGE, "/bin/nothing").await.unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    assert_eq!(containers(docker).await, 0);
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_reported() {
    let options = EngineOptions {
        choice: EngineChoice::Own,
        ..EngineOptions::of_this_machine()
    };
    let engine = Engine::start(&options).await.unwrap();
    let error = Registry::in_container(engine.docker().unwrap(), "127.0.0.1:9/nothing:1")
        .await
        .unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("127.0.0.1:9"), "{source}");
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn every_request_without_the_password_is_rejected() {
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
fn the_address_is_not_read_from_an_incomplete_line() {
    let line =
        |rest: &str| format!("time=\"now\" level=info msg=\"listening on 127.0.0.1:4321{rest}");
    assert_eq!(
        listening_on(&line("\" version=2\n")),
        Some(([127, 0, 0, 1], 4321).into())
    );
    assert_eq!(listening_on(&line("")), None);
    assert_eq!(listening_on("level=info"), None);
}
