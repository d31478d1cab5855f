//! The life of a build, with a correct client.

use http::{StatusCode, Version};
use local_depot::messages::{
    BuildError, BuildStep, Dockerfile, FinishBuildRequest, FinishResult, GetBuildRequest,
    GetBuildResponse, GetPullInfoRequest, GetPullInfoResponse, ListProjectsRequest,
    ListProjectsResponse, ReportBuildContextRequest, ReportBuildHealthRequest,
    ReportBuildHealthResponse, ReportStatusStreamRequest, ReportTimingsRequest, StatusResponse,
    Vertex,
};
use local_depot::{
    Architecture, BuildState, CreateBuildAnswer, HostCredential, LocalDepot, Method, Outcome,
    PullInfo, Request, Scenario, TokenKind,
};
use prost::Message as _;

use crate::client::{
    LIMIT, call, connection, create_build, create_build_request, http_request, machine, send, start,
};

#[tokio::test]
async fn a_build_is_created_and_finished() {
    let depot = start(Scenario::default()).await;
    let build = create_build(&depot).await;
    assert_eq!(build.project_id, depot.project_id());
    assert!(build.build_url.contains(&build.build_id), "{build:?}");
    assert_eq!(
        depot.record().last_build().unwrap().state,
        BuildState::Created
    );

    let active = machine(&depot, Architecture::Arm64).await;
    assert_eq!(
        active.endpoint,
        format!("tcp://{}", depot.machine(Architecture::Arm64).address())
    );

    let error = FinishResult::Error(BuildError {
        error: "it broke".to_owned(),
    });
    let finish = FinishBuildRequest {
        build_id: build.build_id.clone(),
        result: Some(error),
    };
    assert_eq!(
        call(&depot, Method::FinishBuild, &build.build_token, &finish)
            .await
            .body,
        ""
    );
    let record = depot.record();
    let finished = record
        .builds
        .iter()
        .find(|other| other.id == build.build_id)
        .unwrap();
    assert_eq!(finished.state, BuildState::Failed("it broke".to_owned()));
    let call = record.calls_of(Method::FinishBuild).next().unwrap();
    assert_eq!(call.token, TokenKind::Build(build.build_id));
    assert_eq!(call.request, Some(Request::FinishBuild(finish)));
    assert_eq!(
        (call.http_version, &*call.user_agent),
        (Version::HTTP_2, "test/1.0")
    );
    assert_eq!(call.outcome, Some(Outcome::Answered));
    depot.check().unwrap();
}

#[tokio::test]
async fn http_1_and_json_are_supported() {
    let depot = start(Scenario::default()).await;
    let body = format!(
        r#"{{"projectId": "{}", "options": [{{"command": "COMMAND_BUILD"}}]}}"#,
        depot.project_id()
    );
    let mut request = http_request(
        &depot,
        Method::CreateBuild,
        depot.token(),
        body.into_bytes(),
    );
    request
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    let response = send(&depot, Version::HTTP_11, request).await.unwrap();
    assert_eq!(
        response.headers.get("content-type").unwrap(),
        "application/json"
    );
    let json: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(
        json.get("projectId").and_then(serde_json::Value::as_str),
        Some(depot.project_id()),
        "{json}"
    );
    assert_eq!(
        depot.record().calls.first().unwrap().http_version,
        Version::HTTP_11
    );
    depot.check().unwrap();
}

#[tokio::test]
async fn a_status_stream_takes_effect_message_by_message() {
    let depot = start(Scenario::default()).await;
    let build = create_build(&depot).await;
    let mut body = Vec::new();
    for name in ["launching", "connecting"] {
        let vertex = Vertex {
            name: name.to_owned(),
            digest: format!("sha256:{name}"),
            ..Vertex::default()
        };
        let status = StatusResponse {
            vertexes: vec![vertex],
            ..StatusResponse::default()
        };
        let message = ReportStatusStreamRequest {
            build_id: build.build_id.clone(),
            statuses: vec![status],
            ..ReportStatusStreamRequest::default()
        };
        let message = message.encode_to_vec();
        body.push(0);
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(message);
    }
    let request = http_request(&depot, Method::ReportStatusStream, &build.build_token, body);
    let response = send(&depot, Version::HTTP_2, request).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(
        &response.body[..],
        b"\0\0\0\0\0\x02\0\0\0\x02{}",
        "an empty message and an orderly end"
    );
    let record = depot.record();
    let names: Vec<_> = record
        .last_build()
        .unwrap()
        .vertices
        .iter()
        .map(|vertex| &*vertex.name)
        .collect();
    assert_eq!(names, ["launching", "connecting"]);
    depot.check().unwrap();
}

#[tokio::test]
async fn a_status_stream_requires_the_token_of_its_build() {
    let depot = start(Scenario::default()).await;
    let request = http_request(
        &depot,
        Method::ReportStatusStream,
        depot.token(),
        Vec::new(),
    );
    let response = send(&depot, Version::HTTP_2, request).await.unwrap();
    let (header, end) = response.body.split_at(5);
    assert_eq!(
        (response.status, header.first()),
        (StatusCode::OK, Some(&2))
    );
    let end: serde_json::Value = serde_json::from_slice(end).unwrap();
    assert_eq!(end.pointer("/error/code").unwrap(), "unauthenticated");
}

#[tokio::test]
async fn reports_are_recorded_with_their_build() {
    let depot = start(Scenario::default()).await;
    let build = create_build(&depot).await;
    let step = BuildStep {
        name: "step".to_owned(),
        duration_ms: 7,
        ..BuildStep::default()
    };
    let timings = ReportTimingsRequest {
        build_id: build.build_id.clone(),
        build_steps: vec![step.clone()],
    };
    call(&depot, Method::ReportTimings, &build.build_token, &timings).await;
    let dockerfile = Dockerfile {
        contents: "FROM scratch".to_owned(),
        ..Dockerfile::default()
    };
    let context = ReportBuildContextRequest {
        build_id: build.build_id.clone(),
        dockerfiles: vec![dockerfile.clone()],
    };
    call(
        &depot,
        Method::ReportBuildContext,
        &build.build_token,
        &context,
    )
    .await;
    let record = depot.record();
    let build = record.last_build().unwrap();
    assert_eq!(
        (&build.timings[..], &build.dockerfiles[..]),
        (&[step][..], &[dockerfile][..])
    );
}

#[tokio::test]
async fn the_planned_health_report_requests_the_end_of_the_build() {
    let depot = start(Scenario::default().cancel_at_health_report(2)).await;
    let build = create_build(&depot).await;
    let report = ReportBuildHealthRequest {
        build_id: build.build_id.clone(),
        platform: 1,
    };
    let mut ends = Vec::new();
    for _ in 0..3 {
        let response = call(
            &depot,
            Method::ReportBuildHealth,
            &build.build_token,
            &report,
        )
        .await;
        ends.push(response.message::<ReportBuildHealthResponse>().cancels_at);
    }
    let [None, Some(second), Some(_)] = &ends[..] else {
        panic!("{ends:?}")
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(
        u64::try_from(second.seconds).unwrap() < now,
        "{second:?} is not in the past"
    );
}

#[tokio::test]
async fn cancel_builds_requests_the_end_of_every_build() {
    let depot = start(Scenario::default()).await;
    let build = create_build(&depot).await;
    depot.cancel_builds();
    let report = ReportBuildHealthRequest {
        build_id: build.build_id.clone(),
        platform: 1,
    };
    let response = call(
        &depot,
        Method::ReportBuildHealth,
        &build.build_token,
        &report,
    )
    .await;
    assert!(
        response
            .message::<ReportBuildHealthResponse>()
            .cancels_at
            .is_some()
    );
}

/// A local Depot that saves images as `registry.test/another:<build id>`, for the user `u` with the password `p`.
async fn start_saving() -> LocalDepot {
    let reference = "registry.test/{project_id}:{build_id}".to_owned();
    let credential = HostCredential {
        host: "registry.test".to_owned(),
        username: "u".to_owned(),
        password: "p".to_owned(),
    };
    let response = CreateBuildAnswer {
        project_id: Some("another".to_owned()),
        additional_tags: vec![reference.clone()],
        additional_credentials: vec![credential],
        load_using_registry: true,
        ..CreateBuildAnswer::default()
    };
    let pull = PullInfo {
        reference,
        username: "u".to_owned(),
        password: "p".to_owned(),
    };
    start(Scenario::default().answer(response).pull(pull)).await
}

#[tokio::test]
async fn a_saved_image_has_tags_credentials_and_a_reference_to_pull() {
    let depot = start_saving().await;
    let mut request = create_build_request(depot.project_id());
    request
        .options
        .iter_mut()
        .for_each(|options| options.save = true);
    let build: local_depot::messages::CreateBuildResponse =
        call(&depot, Method::CreateBuild, depot.token(), &request)
            .await
            .message();
    let reference = format!("registry.test/another:{}", build.build_id);
    assert_eq!(
        build
            .additional_tags
            .first()
            .map(|tag| (&*tag.tag, tag.push)),
        Some((&*reference, true))
    );
    assert_eq!(
        build
            .additional_credentials
            .first()
            .map(|credential| &*credential.token),
        Some("dTpw")
    );
    assert!(build.registry.as_ref().unwrap().load_using_registry);
    let id = build.build_id.clone();
    let info: GetPullInfoResponse = call(
        &depot,
        Method::GetPullInfo,
        depot.token(),
        &GetPullInfoRequest {
            build_id: id.clone(),
        },
    )
    .await
    .message();
    assert_eq!((info.reference, info.password), (reference, "p".to_owned()));
    // The response for a build that is not saved contains none of it.
    assert!(create_build(&depot).await.additional_credentials.is_empty());
    let joined: GetBuildResponse = call(
        &depot,
        Method::GetBuild,
        depot.token(),
        &GetBuildRequest { build_id: id },
    )
    .await
    .message();
    assert_eq!(joined.build_url, build.build_url);
}

#[tokio::test]
async fn projects_are_listed_for_a_user() {
    let depot = start(Scenario::default()).await;
    let list: ListProjectsResponse = call(
        &depot,
        Method::ListProjects,
        depot.token(),
        &ListProjectsRequest {},
    )
    .await
    .message();
    assert_eq!(list.projects.first().unwrap().id, depot.project_id());
}

#[tokio::test]
async fn calls_of_a_finished_build_fail() {
    let depot = start(Scenario::default()).await;
    let build = create_build(&depot).await;
    let success = Some(FinishResult::Success(local_depot::messages::Empty {}));
    let finish = FinishBuildRequest {
        build_id: build.build_id.clone(),
        result: success,
    };
    call(&depot, Method::FinishBuild, &build.build_token, &finish).await;
    let again = call(&depot, Method::FinishBuild, &build.build_token, &finish).await;
    assert_eq!(
        (again.status, &*again.code()),
        (StatusCode::BAD_REQUEST, "failed_precondition")
    );
    let report = ReportBuildHealthRequest {
        build_id: build.build_id.clone(),
        platform: 1,
    };
    let health = call(
        &depot,
        Method::ReportBuildHealth,
        &build.build_token,
        &report,
    )
    .await;
    assert_eq!(health.code(), "failed_precondition");
}

#[tokio::test]
async fn a_wait_ends_when_the_record_satisfies_it() {
    let depot = start(Scenario::default()).await;
    let waiting = depot.wait_for("a build", LIMIT, |record| !record.builds.is_empty());
    let (record, build) = tokio::join!(waiting, create_build(&depot));
    assert_eq!(record.unwrap().last_build().unwrap().id, build.build_id);
    let timeout = depot
        .wait_for("two builds", std::time::Duration::ZERO, |record| {
            record.builds.len() == 2
        })
        .await;
    assert!(
        timeout
            .unwrap_err()
            .to_string()
            .contains("waited 0ns for two builds")
    );
    let _active = connection(&depot, &build, Architecture::Amd64).await;
}
