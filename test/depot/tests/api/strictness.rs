//! Requests that the local Depot rejects.

use http::{StatusCode, Version};
use local_depot::messages::{
    FinishBuildRequest, GetBuildKitConnectionRequest, GetBuildRequest, GetPullInfoRequest,
    ReportBuildHealthRequest,
};
use local_depot::{Method, Outcome, Scenario, TokenKind};
use prost::Message as _;

use crate::client::{call, create_build, create_build_request, http_request, send, start};

#[tokio::test]
async fn a_wrong_token_is_unauthenticated() {
    let depot = start(Scenario::default()).await;
    let request = create_build_request(depot.project_id());
    let response = call(&depot, Method::CreateBuild, "wrong", &request).await;
    assert_eq!(
        (response.status, &*response.code()),
        (StatusCode::UNAUTHORIZED, "unauthenticated")
    );
    let build = create_build(&depot).await;
    // The tokens are not interchangeable.
    let response = call(&depot, Method::CreateBuild, &build.build_token, &request).await;
    assert_eq!(response.code(), "unauthenticated");
    let health = ReportBuildHealthRequest {
        build_id: build.build_id.clone(),
        platform: 1,
    };
    let response = call(&depot, Method::ReportBuildHealth, depot.token(), &health).await;
    assert_eq!(response.code(), "unauthenticated");
    let kinds: Vec<_> = depot
        .record()
        .calls
        .into_iter()
        .map(|call| call.token)
        .collect();
    let build_kind = TokenKind::Build(build.build_id);
    assert_eq!(
        kinds,
        [
            TokenKind::Unknown,
            TokenKind::User,
            build_kind,
            TokenKind::User
        ]
    );
}

#[tokio::test]
async fn missing_and_malformed_tokens_are_unauthenticated() {
    let depot = start(Scenario::default()).await;
    for (header, kind) in [
        (None, TokenKind::Absent),
        (Some("Basic x"), TokenKind::Malformed),
    ] {
        let mut request = http_request(&depot, Method::ListProjects, "", Vec::new());
        request.headers_mut().remove("authorization");
        if let Some(header) = header {
            request
                .headers_mut()
                .insert("authorization", header.parse().unwrap());
        }
        assert_eq!(
            send(&depot, Version::HTTP_2, request).await.unwrap().code(),
            "unauthenticated"
        );
        assert_eq!(depot.record().calls.last().unwrap().token, kind);
    }
}

#[tokio::test]
async fn unknown_projects_and_builds_are_not_found() {
    let depot = start(Scenario::default()).await;
    let build = create_build(&depot).await;
    let unknown_project = call(
        &depot,
        Method::CreateBuild,
        depot.token(),
        &create_build_request("unknown"),
    )
    .await;
    assert_eq!(
        (unknown_project.status, &*unknown_project.code()),
        (StatusCode::NOT_FOUND, "not_found")
    );
    let unknown = "unknown".to_owned();
    let get = GetBuildRequest {
        build_id: unknown.clone(),
    };
    assert_eq!(
        call(&depot, Method::GetBuild, depot.token(), &get)
            .await
            .code(),
        "not_found"
    );
    let pull = GetPullInfoRequest {
        build_id: unknown.clone(),
    };
    assert_eq!(
        call(&depot, Method::GetPullInfo, depot.token(), &pull)
            .await
            .code(),
        "not_found"
    );
    let machine = GetBuildKitConnectionRequest {
        build_id: unknown,
        platform: 1,
    };
    let response = call(
        &depot,
        Method::GetBuildKitConnection,
        &build.build_token,
        &machine,
    )
    .await;
    assert_eq!(
        response.code(),
        "not_found",
        "a build's token is valid for no other build"
    );
}

#[tokio::test]
async fn invalid_requests_are_rejected() {
    let depot = start(Scenario::default()).await;
    let build = create_build(&depot).await;
    let machine = GetBuildKitConnectionRequest {
        build_id: build.build_id.clone(),
        platform: 9,
    };
    let response = call(
        &depot,
        Method::GetBuildKitConnection,
        &build.build_token,
        &machine,
    )
    .await;
    assert_eq!(response.code(), "invalid_argument");
    let finish = FinishBuildRequest {
        build_id: build.build_id.clone(),
        result: None,
    };
    assert_eq!(
        call(&depot, Method::FinishBuild, &build.build_token, &finish)
            .await
            .code(),
        "invalid_argument"
    );
    let broken = http_request(&depot, Method::CreateBuild, depot.token(), vec![0xff; 3]);
    assert_eq!(
        send(&depot, Version::HTTP_2, broken).await.unwrap().code(),
        "invalid_argument"
    );
}

#[tokio::test]
async fn an_unknown_method_is_unforeseen() {
    let depot = start(Scenario::default()).await;
    let mut request = http_request(&depot, Method::GetBuild, depot.token(), Vec::new());
    *request.uri_mut() = format!("{}/depot.cli.v1.BuildService/Invented", depot.api_url())
        .parse()
        .unwrap();
    let response = send(&depot, Version::HTTP_2, request).await.unwrap();
    assert_eq!(
        (response.status, &*response.code()),
        (StatusCode::NOT_IMPLEMENTED, "unimplemented")
    );
    assert!(
        depot
            .check()
            .unwrap_err()
            .to_string()
            .contains("POST /depot.cli.v1.BuildService/Invented")
    );
}

#[tokio::test]
async fn other_http_methods_and_content_types_are_unforeseen() {
    let depot = start(Scenario::default()).await;
    let mut request = http_request(&depot, Method::GetBuild, depot.token(), Vec::new());
    *request.method_mut() = http::Method::PUT;
    let response = send(&depot, Version::HTTP_11, request).await.unwrap();
    assert_eq!(
        (
            response.status,
            response.headers.get("allow").unwrap().as_bytes()
        ),
        (StatusCode::METHOD_NOT_ALLOWED, &b"POST"[..])
    );
    let mut request = http_request(&depot, Method::GetBuild, depot.token(), Vec::new());
    request
        .headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(
        send(&depot, Version::HTTP_2, request).await.unwrap().status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(depot.check().unwrap_err().0.len(), 2);
}

#[tokio::test]
async fn the_headers_of_connect_are_checked() {
    let depot = start(Scenario::default()).await;
    let cases = [
        ("connect-protocol-version", None, "invalid_argument"),
        ("connect-protocol-version", Some("2"), "invalid_argument"),
        ("connect-timeout-ms", Some("soon"), "invalid_argument"),
        ("content-encoding", Some("gzip"), "unimplemented"),
    ];
    for (name, value, code) in cases {
        let mut request = http_request(&depot, Method::ListProjects, depot.token(), Vec::new());
        match value {
            Some(value) => request.headers_mut().insert(name, value.parse().unwrap()),
            None => request.headers_mut().remove(name),
        };
        assert_eq!(
            send(&depot, Version::HTTP_2, request).await.unwrap().code(),
            code,
            "{name}: {value:?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_field_is_accepted_and_unforeseen() {
    let depot = start(Scenario::default()).await;
    let mut body = create_build_request(depot.project_id()).encode_to_vec();
    body.extend([0x7a, 1, b'x']); // field 15
    let response = send(
        &depot,
        Version::HTTP_2,
        http_request(&depot, Method::CreateBuild, depot.token(), body),
    )
    .await;
    assert_eq!(response.unwrap().status, StatusCode::OK);
    assert!(
        depot
            .check()
            .unwrap_err()
            .to_string()
            .contains("fields that Depot's API does not have")
    );
}

#[tokio::test]
async fn a_message_of_17_mib_is_too_long() {
    let depot = start(Scenario::default()).await;
    let request = http_request(
        &depot,
        Method::CreateBuild,
        depot.token(),
        vec![0; 17 << 20],
    );
    let response = send(&depot, Version::HTTP_2, request).await.unwrap();
    assert_eq!(
        (response.status, &*response.code()),
        (StatusCode::TOO_MANY_REQUESTS, "resource_exhausted")
    );
    let call = depot.record().calls.pop().unwrap();
    assert_eq!(
        (call.request, call.outcome),
        (
            None,
            Some(Outcome::Refused(local_depot::Code::ResourceExhausted))
        )
    );
}
