//! Planned faults of the API.

use std::time::Duration;

use http::{StatusCode, Version};
use local_depot::messages::{Empty, FinishBuildRequest, FinishResult, ListProjectsRequest};
use local_depot::{BuildState, Code, Fault, Method, Outcome, Scenario};
use prost::Message as _;

use crate::client::{LIMIT, call, create_build, http_request, send, start};

const LIST: Method = Method::ListProjects;

#[tokio::test]
async fn the_first_calls_fail_and_the_next_succeeds() {
    let unavailable = Fault::error(Code::Unavailable, "later");
    let depot = start(Scenario::default().first(2, LIST, unavailable).first(
        1,
        LIST,
        Fault::Html { status: 502 },
    ))
    .await;
    for _ in 0..2 {
        assert!(depot.check().is_err(), "the fault has not occurred yet");
        let response = call(&depot, LIST, depot.token(), &ListProjectsRequest {}).await;
        assert_eq!(
            (response.status, &*response.code()),
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        );
        assert_eq!(
            response.headers.get("content-type").unwrap(),
            "application/json"
        );
    }
    let response = call(&depot, LIST, depot.token(), &ListProjectsRequest {}).await;
    assert_eq!(
        (
            response.status,
            response.headers.get("content-type").unwrap().as_bytes()
        ),
        (StatusCode::BAD_GATEWAY, &b"text/html"[..])
    );
    assert!(response.body.starts_with(b"<html>"));
    assert_eq!(
        call(&depot, LIST, depot.token(), &ListProjectsRequest {})
            .await
            .status,
        StatusCode::OK
    );
    depot.check().unwrap();
}

#[tokio::test]
async fn a_reset_breaks_the_connection() {
    for (fault, was_read) in [
        (Fault::ResetBeforeReading, false),
        (Fault::ResetAfterReading, true),
    ] {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let depot = start(Scenario::default().first(1, LIST, fault.clone())).await;
            let broken = send(
                &depot,
                version,
                http_request(&depot, LIST, depot.token(), Vec::new()),
            )
            .await;
            assert!(broken.is_err(), "{fault:?} over {version:?}: {broken:?}");
            let call = depot.record().calls.pop().unwrap();
            assert_eq!(
                (call.outcome, call.request.is_some()),
                (Some(Outcome::Reset), was_read)
            );
            depot.check().unwrap();
        }
    }
}

#[tokio::test]
async fn a_call_with_a_lost_response_takes_effect() {
    let depot = start(Scenario::default().first(1, Method::FinishBuild, Fault::LoseAnswer)).await;
    let build = create_build(&depot).await;
    let finish = FinishBuildRequest {
        build_id: build.build_id,
        result: Some(FinishResult::Canceled(Empty {})),
    };
    let request = http_request(
        &depot,
        Method::FinishBuild,
        &build.build_token,
        finish.encode_to_vec(),
    );
    assert!(send(&depot, Version::HTTP_2, request).await.is_err());
    assert_eq!(
        depot.record().last_build().unwrap().state,
        BuildState::Canceled
    );
}

#[tokio::test]
async fn a_hanging_call_gets_no_response() {
    let depot = start(Scenario::default().always(LIST, Fault::Hang)).await;
    let hanging = send(
        &depot,
        Version::HTTP_2,
        http_request(&depot, LIST, depot.token(), Vec::new()),
    );
    tokio::select! {
        response = hanging => panic!("{response:?}"),
        seen = depot.wait_for("the call", LIMIT, |record| record.calls.iter().any(|call| call.request.is_some())) => {
            assert_eq!(seen.unwrap().calls.first().unwrap().outcome, None);
        }
    }
    depot.check().unwrap();
}

#[tokio::test]
async fn a_delayed_response_arrives_after_the_delay() {
    let delay = Duration::from_millis(300);
    let depot = start(Scenario::default().first(1, LIST, Fault::Delay(delay))).await;
    let begun = std::time::Instant::now();
    assert_eq!(
        call(&depot, LIST, depot.token(), &ListProjectsRequest {})
            .await
            .status,
        StatusCode::OK
    );
    assert!(begun.elapsed() >= delay);
}

#[tokio::test]
async fn a_failed_stream_ends_with_an_error_and_status_200() {
    let fault = Fault::error(Code::Internal, "no");
    let depot = start(Scenario::default().always(Method::ReportStatusStream, fault)).await;
    let build = create_build(&depot).await;
    let request = http_request(
        &depot,
        Method::ReportStatusStream,
        &build.build_token,
        Vec::new(),
    );
    let response = send(&depot, Version::HTTP_2, request).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    let (_, end) = response.body.split_at(5);
    assert_eq!(end, br#"{"error":{"code":"internal","message":"no"}}"#);
}

#[tokio::test]
async fn a_stopped_local_depot_closes_its_ports() {
    let depot = start(Scenario::default().always(LIST, Fault::Hang)).await;
    let address = depot.api_url().strip_prefix("http://").unwrap().to_owned();
    let open = tokio::net::TcpStream::connect(&address).await.unwrap();
    tokio::time::timeout(LIMIT, depot.stop()).await.unwrap();
    assert!(tokio::net::TcpStream::connect(&address).await.is_err());
    let mut byte = [0];
    let end = tokio::io::AsyncReadExt::read(&mut { open }, &mut byte).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}
