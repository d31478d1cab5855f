//! Caches and compressions of the pipe, compared with those of the CLI on the same context.

use depot_ground::fixtures::Context;
use local_depot::{BuildState, Scenario};
use serde_json::Value;
use tokio::process::Command;

use crate::cli::Trial;
use crate::ground::{Ground, ground};

/// Runs the pipe on the same local Depot, and fails the test unless it succeeds.
async fn pipe(trial: &Trial, ground: &Ground, context: &Context, variables: &[(&str, &str)]) {
    let ran = Command::new(env!("CARGO_BIN_EXE_depot-build"))
        .env_clear()
        .env("DEPOT_API_URL", trial.stand_in.api_url())
        .env("DEPOT_TOKEN", &trial.token)
        .env("DEPOT_PROJECT_ID", &trial.project)
        .env("REGISTRY", ground.registry.host())
        .env("REGISTRY_USERNAME", ground.registry.username())
        .env("REGISTRY_PASSWORD", ground.registry.password())
        .envs(variables.iter().copied())
        .current_dir(context.path())
        .output()
        .await
        .unwrap();
    let log = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{log}");
}

async fn document(ground: &Ground, repository: &str, reference: &str) -> Value {
    let manifest = ground.registry.manifest(repository, reference).await;
    manifest.unwrap().json().unwrap()
}

/// The layers in a list of blobs, with their media types. Annotations can contain times.
fn blobs(list: Option<&Value>) -> Vec<(Option<String>, Option<String>)> {
    let text = |blob: &Value, name: &str| Some(blob.get(name)?.as_str()?.to_owned());
    let list = list.and_then(Value::as_array).into_iter().flatten();
    let blobs = list.map(|blob| (text(blob, "mediaType"), text(blob, "digest")));
    let layers = blobs.filter(|(kind, _)| {
        kind.as_deref()
            .is_some_and(|kind| !kind.contains("buildkit"))
    });
    let mut layers: Vec<_> = layers.collect();
    layers.sort();
    layers
}

/// A context with a stage that is not part of the image.
fn context() -> Context {
    Context::new("FROM scratch AS first\nCOPY Dockerfile /first\nFROM scratch\nCOPY --from=first /first /cached\n")
        .unwrap()
}

#[tokio::test]
async fn exported_caches_are_those_of_the_cli() {
    let Some(ground) = ground().await else { return };
    let trial = Trial::start(ground, Scenario::default()).await;
    let context = context();
    for (index, attributes) in [
        "mode=max",
        "mode=min,oci-mediatypes=false",
        "mode=max,image-manifest=true,compression=zstd,force-compression=true",
    ]
    .into_iter()
    .enumerate()
    {
        let repository = format!("cli/caches-{index}");
        let host = ground.registry.host();
        let entry = |tag: &str| format!("type=registry,ref={host}/{repository}:{tag},{attributes}");
        let ran = trial.build(&context, &["--cache-to", &entry("cli")]).await;
        ran.exits(0);
        pipe(&trial, ground, &context, &[("CACHE_TO", &entry("pipe"))]).await;
        let theirs = document(ground, &repository, "cli").await;
        let ours = document(ground, &repository, "pipe").await;
        assert_eq!(
            ours.get("mediaType"),
            theirs.get("mediaType"),
            "{attributes}"
        );
        for list in ["manifests", "layers"] {
            assert_eq!(
                blobs(ours.get(list)),
                blobs(theirs.get(list)),
                "{attributes}"
            );
        }
        let kind = |manifest: &Value| manifest.pointer("/config/mediaType").cloned();
        assert_eq!(kind(&ours), kind(&theirs), "{attributes}");
    }
    let builds = trial.stand_in.record().builds;
    assert!(
        builds
            .iter()
            .all(|build| build.state == BuildState::Succeeded)
    );
}

#[tokio::test]
async fn compressed_layers_and_inline_caches_are_those_of_the_cli() {
    let Some(ground) = ground().await else { return };
    let trial = Trial::start(ground, Scenario::default()).await;
    let context = context();
    for (compression, level) in [("zstd", "3"), ("estargz", "9"), ("uncompressed", "")] {
        let repository = format!("cli/compressed-{compression}");
        let name = |tag: &str| format!("{}/{repository}:{tag}", ground.registry.host());
        let output =
            format!("type=image,push=true,compression={compression},force-compression=true");
        let output = match level {
            "" => output,
            level => format!("{output},compression-level={level}"),
        };
        let theirs = name("cli");
        let ran = trial
            .build(
                &context,
                &[
                    "--output",
                    &output,
                    "-t",
                    &theirs,
                    "--cache-to",
                    "type=inline",
                ],
            )
            .await;
        ran.exits(0);
        pipe(
            &trial,
            ground,
            &context,
            &[
                ("IMAGE", &name("pipe")),
                ("PUSH", "true"),
                ("CACHE_TO", "type=inline"),
                ("COMPRESSION", compression),
                ("COMPRESSION_LEVEL", level),
            ],
        )
        .await;
        let mut images = Vec::new();
        for tag in ["cli", "pipe"] {
            let index = document(ground, &repository, tag).await;
            let digest = index
                .pointer("/manifests/0/digest")
                .and_then(Value::as_str)
                .unwrap();
            let manifest = document(ground, &repository, digest).await;
            let config = manifest
                .pointer("/config/digest")
                .and_then(Value::as_str)
                .unwrap();
            let config = ground.registry.blob(&repository, config).await.unwrap();
            let config: Value = serde_json::from_slice(&config).unwrap();
            let has_cache = config.get("moby.buildkit.cache.v0").is_some();
            images.push((
                manifest.get("mediaType").cloned(),
                blobs(manifest.get("layers")),
                has_cache,
            ));
        }
        let [theirs, ours] = &images[..] else {
            panic!("{images:?}")
        };
        assert_eq!(ours, theirs, "{compression}");
        assert!(ours.2, "{compression}: no inline cache");
    }
}
