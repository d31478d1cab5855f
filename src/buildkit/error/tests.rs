use bollard_buildkit_proto::google::protobuf::Any;
use bollard_buildkit_proto::google::rpc;
use prost::Message;
use tonic::{Code, Status};

use super::*;

#[test]
fn the_failing_lines_are_read_from_the_details() {
    let source =
        br#"{"info":{"filename":"Dockerfile","data":"RlJPTSBzY3JhdGNo","language":"Dockerfile"},
        "ranges":[{"start":{"line":3},"end":{"line":4}},{"start":{},"end":{}}]}"#;
    let details = rpc::Status {
        code: 2,
        message: String::new(),
        details: vec![
            Any {
                type_url: "github.com/moby/buildkit/errdefs.Vertex+json".into(),
                value: br#"{"digest":"sha256:aa"}"#.to_vec(),
            },
            Any {
                type_url: "github.com/moby/buildkit/errdefs.Source+json".into(),
                value: source.to_vec(),
            },
            Any {
                type_url: "github.com/moby/buildkit/errdefs.Source+json".into(),
                value: b"not json".to_vec(),
            },
        ],
    };
    let status = Status::with_details(
        Code::Unknown,
        "rpc error: code = Unknown desc = process did not complete",
        details.encode_to_vec().into(),
    );
    let error = SolveError::from_status(&status);
    assert_eq!(error.message, "process did not complete");
    assert_eq!(error.vertex.as_deref(), Some("sha256:aa"));
    assert_eq!(
        error.sources,
        [Source {
            filename: "Dockerfile".into(),
            data: b"FROM scratch".to_vec(),
            lines: vec![(3, 4)],
        }]
    );
    assert_eq!(error.kind, ErrorKind::Build);
}

#[test]
fn failures_of_registries_and_of_steps_are_distinguished() {
    let kind = |message: &str| SolveError::from_status(&Status::unknown(message)).kind;
    assert_eq!(
        kind(
            "failed to push localhost:5000/app:1: server message: insufficient_scope: authorization failed"
        ),
        ErrorKind::Registry {
            reference: "localhost:5000/app:1".into(),
            denied: true,
            action: RegistryAction::Push,
        }
    );
    assert_eq!(
        kind(
            "base: failed to resolve source metadata for docker.io/library/nope:latest: not found"
        ),
        ErrorKind::Registry {
            reference: "docker.io/library/nope:latest".into(),
            denied: false,
            action: RegistryAction::Pull,
        }
    );
    assert_eq!(
        kind("failed to push localhost:40153/app:1: connection refused"),
        ErrorKind::Registry {
            reference: "localhost:40153/app:1".into(),
            denied: false,
            action: RegistryAction::Push,
        }
    );
    assert_eq!(
        kind(
            "failed to push r.example/app:1: unexpected status from PUT request to https://r.example/v2/app/manifests/1: 415 Unsupported Media Type"
        ),
        ErrorKind::Registry {
            reference: "r.example/app:1".into(),
            denied: false,
            action: RegistryAction::PushRefusedForm,
        }
    );
    let action = |message: &str| match kind(message) {
        ErrorKind::Registry { action, .. } => action,
        other => panic!("{other:?}"),
    };
    let put = "https://r.example/v2/p/immutable/manifests/1: 400 Bad Request: manifest invalid";
    let push = format!(
        "failed to push r.example/p/immutable:1: unexpected status from PUT request to {put}"
    );
    assert_eq!(action(&push), RegistryAction::PushRefusedForm);
    let words = "cannot update tag 1. The repository has enabled tag immutability";
    assert_eq!(action(&format!("{push}: {words}")), RegistryAction::Push);
    assert_eq!(
        kind("process \"/bin/sh -c exit 1\" did not complete"),
        ErrorKind::Build
    );
    assert_eq!(
        kind(
            "process \"sh -c echo failed to push x: denied; exit 1\" did not complete successfully: exit code: 1"
        ),
        ErrorKind::Build
    );
    for status in [
        Status::unavailable("closing"),
        Status::cancelled("context canceled"),
        Status::from_error(Box::new(std::io::Error::other("reset"))),
    ] {
        let kind = SolveError::from_status(&status).kind;
        assert_eq!(kind, ErrorKind::Connection, "{status}");
    }
}

#[test]
fn invalid_details_are_ignored() {
    let status = Status::with_details(Code::Unknown, "text", vec![0xff; 64].into());
    assert_eq!(SolveError::from_status(&status).message, "text");
}

#[test]
fn only_the_builders_own_inconsistent_state_is_reported_as_such() {
    let kind = |status: Status| SolveError::from_status(&status).kind;
    for message in [
        "failed to solve: inconsistent graph state in edge merge",
        "failed to get state for index 0 on [2/2] RUN make",
        "failed to push r.example/app:1: inconsistent graph state",
    ] {
        let statuses = [Status::unknown(message), Status::unavailable(message)];
        for status in statuses {
            assert_eq!(kind(status), ErrorKind::InconsistentState, "{message}");
        }
    }
    let step = "process \"grep 'inconsistent graph state' log\" did not complete successfully: exit code: 1";
    assert_eq!(kind(Status::unknown(step)), ErrorKind::Build);
    assert_eq!(
        kind(Status::unknown("failed to solve: make")),
        ErrorKind::Build
    );
}

#[test]
fn a_failed_export_of_a_cache_is_recognised_by_the_builders_text() {
    let is_export = |status: Status| SolveError::from_status(&status).is_of_cache_export();
    for message in [
        "error writing layer blob: failed to authorize: failed to fetch oauth token: denied",
        "error writing manifest blob: unexpected status from PUT request to https://r.example/v2/app/manifests/c: 400 Bad Request",
        "error writing manifest: buildkit-linux-amd64: AccessDenied",
        "failed to configure registry cache exporter: invalid reference format",
        "unknown cache exporter: \"s3\"",
    ] {
        assert!(is_export(Status::unknown(message)), "{message}");
    }
    for message in [
        "process \"sh -c echo error writing layer blob\" did not complete successfully: exit code: 1",
        "failed to push r.example/app:1: error writing manifest blob",
        "failed to configure registry cache importer: r.example/app:c: not found",
        "failed to solve: make",
    ] {
        assert!(!is_export(Status::unknown(message)), "{message}");
    }
    let reset = Status::from_error(Box::new(std::io::Error::other("error writing layer blob")));
    assert!(!is_export(reset));
}
