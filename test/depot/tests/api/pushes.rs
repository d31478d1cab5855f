//! Pushes of saved builds, and the blob service.

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::Full;
use local_depot::messages::{FinishPushRequest, StartPushRequest, StartPushResponse};
use local_depot::{LocalDepot, Method, PushState, Scenario};

use crate::client::{call, create_build, send, start};

#[tokio::test]
async fn a_push_is_started_and_finished_once() {
    let depot = start(Scenario::default()).await;
    let build_id = create_build(&depot).await.build_id;
    let request = |build_id: &str| StartPushRequest {
        tag: "r.example/app:1".to_owned(),
        build_id: build_id.to_owned(),
    };
    for (token, build_id, code) in [
        (depot.token(), "unknown", "not_found"),
        ("another", &build_id, "unauthenticated"),
    ] {
        let response = call(&depot, Method::StartPush, token, &request(build_id)).await;
        assert_eq!(response.code(), code);
    }
    let started = call(
        &depot,
        Method::StartPush,
        depot.token(),
        &request(&build_id),
    )
    .await;
    let push_id = started.message::<StartPushResponse>().push_id;
    let finish = FinishPushRequest {
        push_id: push_id.clone(),
        build_id,
        error: Some("denied".to_owned()),
    };
    let finished = call(&depot, Method::FinishPush, depot.token(), &finish).await;
    assert_eq!(finished.status, StatusCode::OK);
    let again = call(&depot, Method::FinishPush, depot.token(), &finish).await;
    assert_eq!(again.code(), "not_found");
    let record = depot.record();
    let [push] = &record.pushes[..] else {
        panic!("{record:#?}")
    };
    assert_eq!((&push.id, &*push.tag), (&push_id, "r.example/app:1"));
    assert_eq!(push.state, PushState::Failed("denied".to_owned()));
    depot.check().unwrap();
}

/// Sends a request to the blob service, and returns the status.
async fn blob(depot: &LocalDepot, path: &str, token: &str, body: &'static str) -> StatusCode {
    let request = Request::post(format!("{}{path}", depot.api_url()))
        .header("host", "blob.depot.dev")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap();
    send(depot, Version::HTTP_11, request).await.unwrap().status
}

#[tokio::test]
async fn the_blob_service_is_strict() {
    const TARGET: &str = r#"{"registryHost":"r.example","repositoryNamespace":"app","registryToken":"t","tokenScheme":"Bearer"}"#;
    let depot = start(Scenario::default()).await;
    let build_id = create_build(&depot).await.build_id;
    let path = format!("/blobs/{build_id}/sha256:0");
    let token = depot.token();
    assert_eq!(
        blob(&depot, &path, "another", TARGET).await,
        StatusCode::UNAUTHORIZED
    );
    // The build was not saved.
    assert_eq!(
        blob(&depot, &path, token, TARGET).await,
        StatusCode::NOT_FOUND
    );
    let unknown = "/blobs/unknown/sha256:0";
    assert_eq!(
        blob(&depot, unknown, token, TARGET).await,
        StatusCode::NOT_FOUND
    );
    depot.check().unwrap();

    assert_eq!(
        blob(&depot, "/blobs", token, TARGET).await,
        StatusCode::NOT_FOUND
    );
    let surplus = r#"{"registryHost":"r.example","repositoryNamespace":"app","registryToken":"t","tokenScheme":"Bearer","x":1}"#;
    for body in ["", surplus] {
        assert_eq!(
            blob(&depot, &path, token, body).await,
            StatusCode::BAD_REQUEST
        );
    }
    let found = depot.check().unwrap_err();
    assert_eq!(found.0.len(), 3, "{found}");
    let record = format!("{:?}", depot.record().blobs);
    assert!(
        record.contains("r.example/app") && !record.contains("\"t\""),
        "{record}"
    );
}
