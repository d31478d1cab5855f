//! Labels, annotations and attestations of the pipe's images, compared with those of the CLI on the same context.
#![expect(
    clippy::indexing_slicing,
    reason = "a member that JSON lacks is null, which the comparison shows"
)]

use std::collections::BTreeMap;
use std::path::Path;

use depot_ground::fixtures::Context;
use depot_ground::registry::Registry;
use local_depot::{BuildState, MachinePlan, Scenario};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::cli::Trial;
use crate::ground::{Ground, ground};

const BOTH: &str = "linux/amd64,linux/arm64";

/// Runs the pipe for one image on the same local Depot, and fails the test unless it succeeds.
async fn pipe(trial: &Trial, registry: &Registry, context: &Context, variables: &[(&str, &str)]) {
    let ran = Command::new(env!("CARGO_BIN_EXE_depot-build"))
        .env_clear()
        .env("DEPOT_API_URL", trial.stand_in.api_url())
        .env("DEPOT_TOKEN", &trial.token)
        .env("DEPOT_PROJECT_ID", &trial.project)
        .env("REGISTRY", registry.host())
        .env("REGISTRY_USERNAME", registry.username())
        .env("REGISTRY_PASSWORD", registry.password())
        .env("PUSH", "true")
        .envs(variables.iter().copied())
        .current_dir(context.path())
        .output()
        .await
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

async fn document(ground: &Ground, repository: &str, reference: &str) -> Value {
    let manifest = ground.registry.manifest(repository, reference).await;
    manifest.unwrap().json().unwrap()
}

/// Removes everything that two builds of one image cannot share: digests and sizes of attestations, times, ids and names.
fn shared(value: &Value) -> Value {
    const OWN: [&str; 8] = [
        "digestMapping",
        "buildInvocationID",
        "buildStartedOn",
        "buildFinishedOn",
        "created",
        "vnd.docker.reference.digest",
        "subject",
        "build-arg:DEPOT_TARGET",
    ];
    match value {
        Value::Object(members) => {
            let kept = members
                .iter()
                .filter(|(name, _)| !OWN.contains(&name.as_str()));
            kept.map(|(name, value)| (name.clone(), of_member(name, value)))
                .collect()
        }
        Value::Array(entries) => entries.iter().map(shared).collect(),
        other => other.clone(),
    }
}

/// Removes the origin of the Dockerfile: the pipe's request has its content, and the CLI's builder requests it.
fn of_member(name: &str, value: &Value) -> Value {
    let mut value = shared(value);
    if let ("locals" | "infos", Value::Array(entries)) = (name, &mut value) {
        entries.retain(|entry| entry["name"] != "dockerfile");
        for entry in entries {
            if let Some(source) = entry.as_object_mut() {
                source.remove("llbDefinition");
            }
        }
    }
    value
}

/// Everything that an image has: its index, its manifests with their configs, and its attestations by type.
async fn image(ground: &Ground, repository: &str) -> Value {
    let top = ground.registry.manifest(repository, "v1").await.unwrap();
    let (media_type, top) = (top.media_type.clone(), top.json().unwrap());
    let mut parts = vec![json!({ "type": media_type, "annotations": top["annotations"] })];
    let entries = match top["manifests"].as_array() {
        Some(entries) => entries.clone(),
        None => vec![json!({ "digest": "v1" })],
    };
    let mut entries_by_platform = BTreeMap::new();
    for entry in entries {
        let key = format!(
            "{} {}",
            entry["platform"], entry["annotations"]["vnd.docker.reference.type"]
        );
        let manifest = document(ground, repository, entry["digest"].as_str().unwrap()).await;
        let mut layers = BTreeMap::new();
        for layer in manifest["layers"].as_array().unwrap() {
            let digest = layer["digest"].as_str().unwrap();
            let kind = layer["annotations"]["in-toto.io/predicate-type"].as_str();
            let content = match kind {
                Some(_) => {
                    let bytes = ground.registry.blob(repository, digest).await.unwrap();
                    shared(&serde_json::from_slice(&bytes).unwrap())
                }
                None => digest.into(),
            };
            layers.insert(kind.unwrap_or(digest).to_owned(), content);
        }
        let config = manifest["config"]["digest"].as_str().unwrap();
        let config = ground.registry.blob(repository, config).await.unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        let is_image = entry["platform"]["os"] != "unknown";
        entries_by_platform
            .entry(key)
            .or_insert_with(Vec::new)
            .push(json!({
                "type": entry["mediaType"],
                // With two machines, the CLI also annotates the entries of attestations; with one, neither BuildKit nor the CLI does.
            "entry": if is_image { entry["annotations"].clone() } else { Value::Null },
                "manifest": manifest["annotations"],
                "manifest type": manifest["mediaType"],
                "config": if is_image { config["config"].clone() } else { Value::Null },
                "layers": layers,
            }));
    }
    parts.push(json!(entries_by_platform));
    Value::from(parts)
}

#[tokio::test]
async fn labels_annotations_and_provenance_are_those_of_the_cli() {
    let Some(ground) = ground().await else { return };
    let context =
        Context::new("FROM scratch\nARG WHO=none\nLABEL own=1 who=$WHO\nCOPY Dockerfile /\n")
            .unwrap();
    for (index, (arguments, variables)) in [
        (
            vec![
                "--label",
                "team=core",
                "--label",
                "bare",
                "--label",
                "own=2",
            ],
            vec![("LABELS", "team=core\nbare\nown=2")],
        ),
        (vec!["--provenance=false"], vec![("PROVENANCE", "false")]),
        (
            vec![
                "--provenance=mode=max,builder-id=https://acme.example/ci",
                "--build-arg",
                "WHO=me",
            ],
            vec![
                ("PROVENANCE", "mode=max,builder-id=https://acme.example/ci"),
                ("BUILD_ARGS", "WHO=me"),
            ],
        ),
        (vec!["--provenance=true"], vec![("PROVENANCE", "true")]),
        (
            vec![
                "--annotation",
                "a=1, 2",
                "--annotation",
                "index,manifest-descriptor:b=3",
                "--annotation",
                "manifest[linux/amd64]:c=4",
            ],
            vec![(
                "ANNOTATIONS",
                "a=1, 2\nindex,manifest-descriptor:b=3\nmanifest[linux/amd64]:c=4",
            )],
        ),
        (
            vec!["--provenance=false", "--annotation", "manifest:a=1"],
            vec![("PROVENANCE", "false"), ("ANNOTATIONS", "manifest:a=1")],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        for platforms in ["linux/amd64", BOTH] {
            let Some(trial) = Trial::start_on_two(ground, Scenario::default()).await else {
                return;
            };
            let several = platforms.contains(',');
            let name = |who: &str| format!("{who}/metadata-{index}-{several}");
            let reference = |who: &str| format!("{}/{}:v1", ground.registry.host(), name(who));
            let cli = reference("cli");
            let mut all = vec!["--push", "--platform", platforms, "-t", &cli];
            all.extend(&arguments);
            let ran = trial.build(&context, &all).await;
            ran.exits(0).finishes(&BuildState::Succeeded);

            let ours = reference("pipe");
            let mut all = vec![("IMAGE", ours.as_str()), ("PLATFORMS", platforms)];
            all.extend(&variables);
            pipe(&trial, &ground.registry, &context, &all).await;
            let (cli, ours) = (
                image(ground, &name("cli")).await,
                image(ground, &name("pipe")).await,
            );
            assert_eq!(
                ours, cli,
                "{arguments:?} {platforms}\nours: {ours:#}\nCLI: {cli:#}"
            );
        }
    }
}

/// Pushes a scanner that writes one SPDX document.
async fn scanner(ground: &'static Ground) -> String {
    let document = "printf '{\"_type\":\"https://in-toto.io/Statement/v0.1\",\"predicateType\":\"https://spdx.dev/Document\",\"predicate\":{\"spdxVersion\": \"SPDX-2.3\",\"name\":\"<%s>\"}}' \"$(busybox ls $BUILDKIT_SCAN_SOURCE)\" > $BUILDKIT_SCAN_DESTINATION/sbom.spdx.json\n";
    let context = Context::on_busybox(
        &ground.busybox,
        "COPY scan /scan\nENTRYPOINT [\"/bin/busybox\", \"sh\", \"/scan\"]",
    )
    .unwrap();
    context.file("scan", document).unwrap();
    let trial = Trial::start(ground, Scenario::default()).await;
    let image = format!("{}/cli/scanner:v1", ground.registry.host());
    let arguments = ["--push", "--provenance", "false", "-t", &image];
    trial.build(&context, &arguments).await.exits(0);
    image
}

/// The files of a folder with their content.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let file = |entry: std::fs::DirEntry| {
        let content = std::fs::read_to_string(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap(), content)
    };
    entries.map(file).collect()
}

#[tokio::test]
async fn sboms_and_their_files_are_those_of_the_cli() {
    let Some(ground) = ground().await else { return };
    let scanner = scanner(ground).await;
    let generator = format!("generator={scanner}");
    for platforms in ["linux/amd64", "linux/amd64,linux/386", BOTH] {
        let machine = MachinePlan::default().fork();
        let scenario = Scenario::default().machines(machine);
        let Some(trial) = Trial::start_on_two(ground, scenario).await else {
            return;
        };
        // Another folder for each, so that the files of one are not in the context of the other.
        let contexts =
            ["cli", "pipe"].map(|_| Context::new("FROM scratch\nCOPY Dockerfile /\n").unwrap());
        let out = tempfile::tempdir().unwrap();
        let name = |who: &str| format!("{who}/sbom-{}", platforms.replace([',', '/'], "-"));
        let reference = |who: &str| format!("{}/{}:v1", ground.registry.host(), name(who));
        let (cli, folder) = (reference("cli"), out.path().display().to_string());
        let arguments = [
            "--push",
            "--platform",
            platforms,
            "-t",
            &cli,
            "--sbom",
            &generator,
            "--sbom-dir",
            &folder,
        ];
        trial.build(&contexts[0], &arguments).await.exits(0);
        let ours = reference("pipe");
        let variables = [
            ("IMAGE", &*ours),
            ("PLATFORMS", platforms),
            ("SBOM", &*generator),
            ("SBOM_DIR", "out"),
        ];
        pipe(&trial, &ground.registry, &contexts[1], &variables).await;
        let written = files(&contexts[1].path().join("out"));
        assert_eq!(written, files(out.path()), "{platforms}");
        assert_eq!(written.len(), platforms.split(',').count());
        let (cli, ours) = (
            image(ground, &name("cli")).await,
            image(ground, &name("pipe")).await,
        );
        assert_eq!(ours, cli, "{platforms}\nours: {ours:#}\nCLI: {cli:#}");
    }
}
