//! Builds that succeed, and a build with a failed step.

use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::registry::Registry;
use local_depot::{
    Architecture, BuildState, ConnectionState, CreateBuildAnswer, HostCredential, Method, Outcome,
    Record, Request, Scenario, TokenKind,
};
use serde_json::Value;

use crate::cli::{HERE, Trial};
use crate::ground::{Ground, ground};
use local_depot::released_cli::VERSION;

#[tokio::test]
async fn a_build_without_output_makes_every_call_of_a_build() {
    let Some(ground) = ground().await else { return };
    let trial = Trial::start(ground, Scenario::default()).await;
    let context = Context::on_busybox(&ground.busybox, "RUN echo said by a step").unwrap();

    let ran = trial.build(&context, &[]).await;

    ran.exits(0)
        .prints(&format!("[depot] launching {HERE} machine"))
        .prints(&format!("[depot] connecting to {HERE} machine"));
    ran.prints("said by a step")
        .prints(&ran.build().url)
        .finishes(&BuildState::Succeeded);
    trial.stand_in.check().unwrap();
    let record = &ran.record;
    let id = ran.build().id.clone();
    assert_eq!(tokens(record, Method::CreateBuild), [TokenKind::User]);
    for method in [
        Method::GetBuildKitConnection,
        Method::ReportBuildHealth,
        Method::FinishBuild,
    ] {
        assert_eq!(
            tokens(record, method),
            [TokenKind::Build(id.clone())],
            "{method}"
        );
    }
    assert_eq!(ran.build().health, [HERE]);
    for call in record.calls_of(Method::CreateBuild) {
        assert_eq!(
            (call.http_version, &*call.content_type),
            (http::Version::HTTP_2, "application/proto")
        );
        assert!(call.user_agent.contains(VERSION), "{}", call.user_agent);
        assert_eq!(call.outcome, Some(Outcome::Answered));
        let Some(Request::CreateBuild(request)) = &call.request else {
            panic!("{call:?}")
        };
        let commands: Vec<_> = request
            .options
            .iter()
            .map(|options| options.command)
            .collect();
        assert_eq!(commands, [local_depot::messages::Command::Build as i32]);
    }
    let connections: Vec<_> = record.connections_to(HERE).collect();
    assert!(!connections.is_empty(), "{record:#?}");
    for connection in connections {
        assert!(
            matches!(
                connection.state,
                ConnectionState::Open | ConnectionState::Closed
            ),
            "{connection:?}"
        );
        assert!(
            connection.received.get() > 0 && connection.sent.get() > 0,
            "{connection:?}"
        );
    }
    assert_eq!(
        record.connections.len(),
        record.connections_to(HERE).count()
    );
}

#[tokio::test]
async fn its_own_steps_are_reported_in_the_status_stream() {
    let Some(ground) = ground().await else { return };
    let trial = Trial::start(ground, Scenario::default()).await;
    // The CLI sends batches every second, so the build must take longer.
    let context = Context::on_busybox(&ground.busybox, "RUN sleep 2").unwrap();

    let ran = trial.build(&context, &["--no-cache"]).await;

    ran.exits(0).finishes(&BuildState::Succeeded);
    let named = |name: &str| {
        ran.build()
            .vertices
            .iter()
            .filter(|vertex| vertex.name == name)
            .count()
    };
    assert_eq!(
        named(&format!("[depot] launching {HERE} machine")),
        2,
        "one as it began and one as it ended: {ran:#?}"
    );
    let streams: Vec<_> = ran.record.calls_of(Method::ReportStatusStream).collect();
    assert!(
        streams
            .iter()
            .all(|call| call.content_type == "application/connect+proto"),
        "{streams:#?}"
    );
    trial.stand_in.check().unwrap();
}

#[tokio::test]
async fn a_pushed_image_can_be_read_back() {
    let Some(ground) = ground().await else { return };
    let trial = Trial::start(ground, Scenario::default()).await;
    let context = Context::on_busybox(&ground.busybox, "RUN echo pushed > /pushed").unwrap();
    let reference = format!("{}/cli/pushed:v1", ground.registry.host());

    let ran = trial
        .build(
            &context,
            &["--push", "--provenance", "false", "-t", &reference],
        )
        .await;

    ran.exits(0)
        .prints("pushing layers")
        .finishes(&BuildState::Succeeded);
    trial.stand_in.check().unwrap();
    let options = ran.build().options.first().unwrap();
    assert_eq!((options.push, &options.tags[..]), (true, &[reference][..]));
    let manifest = ground.registry.manifest("cli/pushed", "v1").await.unwrap();
    assert_eq!(
        read_image(ground, "cli/pushed", &manifest.json().unwrap()).await,
        (HERE.to_string(), 3)
    );
}

#[tokio::test]
async fn a_saved_image_is_pushed_to_the_registry_in_depots_response() {
    let Some(ground) = ground().await else { return };
    let registry = &ground.registry;
    // A registry whose login is in no configuration of the CLI, which must use Depot's.
    let kept = Registry::start(&state_folder()).await.unwrap();
    let scenario = Scenario::default().answer(CreateBuildAnswer {
        additional_tags: vec![format!("{}/kept:{{build_id}}", kept.host())],
        additional_credentials: vec![HostCredential {
            host: kept.host(),
            username: kept.username().to_owned(),
            password: kept.password().to_owned(),
        }],
        ..CreateBuildAnswer::default()
    });
    let trial = Trial::start(ground, scenario).await;
    let context = Context::on_busybox(&ground.busybox, "RUN echo saved > /saved").unwrap();
    let reference = format!("{}/cli/saved:v1", registry.host());

    let ran = trial
        .build(
            &context,
            &[
                "--save",
                "--save-tag",
                "nightly",
                "--push",
                "-t",
                &reference,
            ],
        )
        .await;

    ran.exits(0).finishes(&BuildState::Succeeded);
    trial.stand_in.check().unwrap();
    let options = ran.build().options.first().unwrap();
    assert!(options.save);
    assert_eq!(options.save_tags, ["nightly"]);
    kept.manifest("kept", &ran.build().id).await.unwrap();
    registry.manifest("cli/saved", "v1").await.unwrap();
    kept.stop().await.unwrap();
}

#[tokio::test]
async fn an_image_for_two_platforms_is_built_on_two_machines() {
    let Some(ground) = ground().await else { return };
    let trial = Trial::start(ground, Scenario::default()).await;
    // It runs no command, so one engine can build it for both platforms.
    let context = Context::new("FROM scratch\nCOPY Dockerfile /\n").unwrap();
    let repository = format!("{}/cli/platforms", ground.registry.host());
    // At Depot, each machine has its own images. Here both use one engine, where one of two concurrent exports that create
    // the same name fails with `already exists`. So the name must exist before.
    let output = format!("type=image,name={repository},push-by-digest=true,push=true");
    let before = Trial::start(ground, Scenario::default()).await;
    before
        .build(&context, &["--output", &output])
        .await
        .exits(0);

    let platforms = "linux/amd64,linux/arm64";
    let reference = format!("{repository}:v1");
    let arguments = [
        "--push",
        "--provenance",
        "false",
        "--platform",
        platforms,
        "-t",
        &reference,
    ];
    let ran = trial.build(&context, &arguments).await;

    ran.exits(0)
        .prints("[depot] launching amd64 machine")
        .prints("[depot] launching arm64 machine");
    ran.finishes(&BuildState::Succeeded);
    trial.stand_in.check().unwrap();
    for architecture in [Architecture::Amd64, Architecture::Arm64] {
        assert!(
            ran.record.connections_to(architecture).count() > 0,
            "{architecture}: {:#?}",
            ran.record
        );
        assert!(ran.build().health.contains(&architecture));
    }
    let index = ground
        .registry
        .manifest("cli/platforms", "v1")
        .await
        .unwrap()
        .json()
        .unwrap();
    let mut found = Vec::new();
    for entry in index.get("manifests").and_then(Value::as_array).unwrap() {
        let digest = entry.get("digest").and_then(Value::as_str).unwrap();
        let manifest = ground
            .registry
            .manifest("cli/platforms", digest)
            .await
            .unwrap();
        assert_eq!(manifest.digest, digest);
        let platform = entry
            .pointer("/platform/architecture")
            .and_then(Value::as_str)
            .unwrap()
            .to_owned();
        let (architecture, layers) =
            read_image(ground, "cli/platforms", &manifest.json().unwrap()).await;
        assert_eq!((&architecture, layers), (&platform, 1));
        found.push(platform);
    }
    found.sort();
    assert_eq!(found, ["amd64", "arm64"]);
}

#[tokio::test]
async fn a_failed_step_fails_the_build() {
    let Some(ground) = ground().await else { return };
    let trial = Trial::start(ground, Scenario::default()).await;
    let context = Context::on_busybox(&ground.busybox, "RUN echo going down && exit 7").unwrap();

    let ran = trial.build(&context, &[]).await;

    ran.exits(1).prints("going down").prints("exit code: 7");
    let BuildState::Failed(error) = &ran.build().state else {
        panic!("{ran:#?}")
    };
    assert!(
        error.contains("did not complete successfully: exit code: 7"),
        "{error}"
    );
    trial.stand_in.check().unwrap();
}

fn tokens(record: &Record, method: Method) -> Vec<TokenKind> {
    record
        .calls_of(method)
        .map(|call| call.token.clone())
        .collect()
}

/// Reads the config and every layer of an image, and checks the digests. Returns its architecture and its number of layers.
async fn read_image(ground: &Ground, repository: &str, manifest: &Value) -> (String, usize) {
    let digest = |descriptor: &Value| {
        descriptor
            .get("digest")
            .and_then(Value::as_str)
            .unwrap()
            .to_owned()
    };
    let config = ground
        .registry
        .blob(repository, &digest(manifest.get("config").unwrap()))
        .await
        .unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let layers = manifest.get("layers").and_then(Value::as_array).unwrap();
    for layer in layers {
        let blob = ground
            .registry
            .blob(repository, &digest(layer))
            .await
            .unwrap();
        assert_eq!(
            Some(blob.len() as u64),
            layer.get("size").and_then(Value::as_u64)
        );
    }
    (
        config
            .get("architecture")
            .and_then(Value::as_str)
            .unwrap()
            .to_owned(),
        layers.len(),
    )
}
