//! Both machines at once, each with a separate engine, as at Depot.

use depot_ground::fixtures::Context;
use local_depot::{Architecture, BuildState, Scenario};
use serde_json::Value;

use crate::cli::Trial;
use crate::ground::ground;

#[tokio::test]
async fn two_engines_push_to_one_name_at_once() {
    let Some(ground) = ground().await else { return };
    let Some(trial) = Trial::start_on_two(ground, Scenario::default()).await else {
        return;
    };
    // It runs no command, so each engine can build it for its platform.
    let context = Context::new("FROM scratch\nCOPY Dockerfile /\n").unwrap();
    let reference = format!("{}/cli/two-engines:v1", ground.registry.host());
    let platforms = "linux/amd64,linux/arm64";

    let arguments = ["--push", "--platform", platforms, "-t", &reference];
    let ran = trial.build(&context, &arguments).await;

    ran.exits(0).finishes(&BuildState::Succeeded);
    trial.stand_in.check().unwrap();
    for architecture in [Architecture::Amd64, Architecture::Arm64] {
        let mut connections = ran.record.connections_to(architecture);
        assert!(
            connections.any(|connection| connection.received.get() > 0),
            "{architecture}: {:#?}",
            ran.record
        );
    }
    let index = ground.registry.manifest("cli/two-engines", "v1").await;
    let index = index.unwrap().json().unwrap();
    let entries = index.get("manifests").and_then(Value::as_array).unwrap();
    let mut found: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.pointer("/platform/architecture")?.as_str())
        .filter(|architecture| *architecture != "unknown") // an attestation's
        .collect();
    found.sort_unstable();
    assert_eq!(found, ["amd64", "arm64"]);
    // Both are complete: the registry has every manifest of the index.
    for entry in entries {
        let digest = entry.get("digest").and_then(Value::as_str).unwrap();
        let manifest = ground.registry.manifest("cli/two-engines", digest).await;
        assert_eq!(manifest.unwrap().digest, digest);
    }
}
