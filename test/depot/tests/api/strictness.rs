//! What the stand-in does not take.

use http::{StatusCode, Version};
use local_depot::messages::{
    FinishBuildRequest, GetBuildKitConnectionRequest, GetBuildRequest, GetPullInfoRequest,
    ReportBuildHealthRequest,
};
use local_depot::{Method, Outcome, Scenario, TokenKind};
use prost::Message as _;

use crate::client::{call, create_build, create_build_request, request, send, stand_in};

#[tokio::test]
async fn a_wrong_token_is_unauthenticated() {
    let depot = stand_in(Scenario::default()).await;
    let asked = create_build_request(depot.project_id());
    let answer = call(&depot, Method::CreateBuild, "wrong", &asked).await;
    assert_eq!(
        (answer.status, &*answer.code()),
        (StatusCode::UNAUTHORIZED, "unauthenticated")
    );
    let build = create_build(&depot).await;
    // The tokens are not interchangeable.
    let answer = call(&depot, Method::CreateBuild, &build.build_token, &asked).await;
    assert_eq!(answer.code(), "unauthenticated");
    let health = ReportBuildHealthRequest {
        build_id: build.build_id.clone(),
        platform: 1,
    };
    let answer = call(&depot, Method::ReportBuildHealth, depot.token(), &health).await;
    assert_eq!(answer.code(), "unauthenticated");
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
async fn no_token_and_half_a_token_are_unauthenticated() {
    let depot = stand_in(Scenario::default()).await;
    for (header, kind) in [
        (None, TokenKind::Absent),
        (Some("Basic x"), TokenKind::Malformed),
    ] {
        let mut asked = request(&depot, Method::ListProjects, "", Vec::new());
        asked.headers_mut().remove("authorization");
        if let Some(header) = header {
            asked
                .headers_mut()
                .insert("authorization", header.parse().unwrap());
        }
        assert_eq!(
            send(&depot, Version::HTTP_2, asked).await.unwrap().code(),
            "unauthenticated"
        );
        assert_eq!(depot.record().calls.last().unwrap().token, kind);
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let depot = stand_in(Scenario::default()).await;
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
    let answer = call(
        &depot,
        Method::GetBuildKitConnection,
        &build.build_token,
        &machine,
    )
    .await;
    assert_eq!(
        answer.code(),
        "not_found",
        "a build's token opens no other build"
    );
}

#[tokio::test]
async fn requests_that_make_no_sense_are_invalid() {
    let depot = stand_in(Scenario::default()).await;
    let build = create_build(&depot).await;
    let machine = GetBuildKitConnectionRequest {
        build_id: build.build_id.clone(),
        platform: 9,
    };
    let answer = call(
        &depot,
        Method::GetBuildKitConnection,
        &build.build_token,
        &machine,
    )
    .await;
    assert_eq!(answer.code(), "invalid_argument");
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
    let broken = request(&depot, Method::CreateBuild, depot.token(), vec![0xff; 3]);
    assert_eq!(
        send(&depot, Version::HTTP_2, broken).await.unwrap().code(),
        "invalid_argument"
    );
}

#[tokio::test]
async fn a_method_that_depot_does_not_have_is_unforeseen() {
    let depot = stand_in(Scenario::default()).await;
    let mut asked = request(&depot, Method::GetBuild, depot.token(), Vec::new());
    *asked.uri_mut() = format!("{}/depot.cli.v1.BuildService/Invented", depot.api_url())
        .parse()
        .unwrap();
    let answer = send(&depot, Version::HTTP_2, asked).await.unwrap();
    assert_eq!(
        (answer.status, &*answer.code()),
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
async fn other_verbs_and_content_types_are_unforeseen() {
    let depot = stand_in(Scenario::default()).await;
    let mut asked = request(&depot, Method::GetBuild, depot.token(), Vec::new());
    *asked.method_mut() = http::Method::PUT;
    let answer = send(&depot, Version::HTTP_11, asked).await.unwrap();
    assert_eq!(
        (
            answer.status,
            answer.headers.get("allow").unwrap().as_bytes()
        ),
        (StatusCode::METHOD_NOT_ALLOWED, &b"POST"[..])
    );
    let mut asked = request(&depot, Method::GetBuild, depot.token(), Vec::new());
    asked
        .headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(
        send(&depot, Version::HTTP_2, asked).await.unwrap().status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(depot.check().unwrap_err().0.len(), 2);
}

#[tokio::test]
async fn connect_s_own_headers_are_checked() {
    let depot = stand_in(Scenario::default()).await;
    let cases = [
        ("connect-protocol-version", None, "invalid_argument"),
        ("connect-protocol-version", Some("2"), "invalid_argument"),
        ("connect-timeout-ms", Some("soon"), "invalid_argument"),
        ("content-encoding", Some("gzip"), "unimplemented"),
    ];
    for (name, value, code) in cases {
        let mut asked = request(&depot, Method::ListProjects, depot.token(), Vec::new());
        match value {
            Some(value) => asked.headers_mut().insert(name, value.parse().unwrap()),
            None => asked.headers_mut().remove(name),
        };
        assert_eq!(
            send(&depot, Version::HTTP_2, asked).await.unwrap().code(),
            code,
            "{name}: {value:?}"
        );
    }
}

#[tokio::test]
async fn a_field_that_depot_does_not_have_is_answered_and_unforeseen() {
    let depot = stand_in(Scenario::default()).await;
    let mut body = create_build_request(depot.project_id()).encode_to_vec();
    body.extend([0x7a, 1, b'x']); // field 15
    let answer = send(
        &depot,
        Version::HTTP_2,
        request(&depot, Method::CreateBuild, depot.token(), body),
    )
    .await;
    assert_eq!(answer.unwrap().status, StatusCode::OK);
    assert!(
        depot
            .check()
            .unwrap_err()
            .to_string()
            .contains("fields that Depot does not know")
    );
}

#[tokio::test]
async fn a_message_of_17_mib_is_too_long() {
    let depot = stand_in(Scenario::default()).await;
    let asked = request(
        &depot,
        Method::CreateBuild,
        depot.token(),
        vec![0; 17 << 20],
    );
    let answer = send(&depot, Version::HTTP_2, asked).await.unwrap();
    assert_eq!(
        (answer.status, &*answer.code()),
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
