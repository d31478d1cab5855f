//! Targets of bake definitions: the pipe's images, metadata and options, compared with those of `depot bake`.
#![expect(
    clippy::indexing_slicing,
    reason = "a member that JSON lacks is null, which the comparison shows"
)]

use std::collections::{BTreeMap, BTreeSet};

use depot_ground::daemon::{Daemon, Release};
use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::registry::Registry;
use local_depot::Scenario;
use serde_json::{Value, json};

use crate::cli::Trial;
use crate::ground::{Ground, ground};
use crate::saves::keeping_at;

const DEFINITION: &str = r#"
variable "REPOSITORY" {}
group "default" { targets = ["app", "service"] }
target "app" {
  tags   = ["${REPOSITORY}/app:1", "${REPOSITORY}/app:2"]
  labels = { team = "web, mobile" }
  args   = { VALUE = "a\"b" }
}
target "service" {
  name       = "service-${item}"
  matrix     = { item = ["one", "two"] }
  context    = "services"
  dockerfile = "${item}.Dockerfile"
  tags       = ["${REPOSITORY}/${item}:1"]
}
"#;

fn context() -> Context {
    let context =
        Context::new("FROM scratch\nARG VALUE\nLABEL value=$VALUE\nCOPY file /\n").unwrap();
    for (name, content) in [
        ("file", "content\n"),
        ("docker-bake.hcl", DEFINITION),
        ("services/one.Dockerfile", "FROM scratch\nCOPY one /\n"),
        ("services/two.Dockerfile", "FROM scratch\nCOPY one /two\n"),
        ("services/one", "1\n"),
    ] {
        context.file(name, content).unwrap();
    }
    // The CLI announces the times of files, which are part of the layers.
    context
}

/// The platforms of an image, each with the layers and the configuration of its containers.
async fn image(ground: &Ground, repository: &str, tag: &str) -> Value {
    let top = ground.registry.manifest(repository, tag).await.unwrap();
    let mut images = BTreeMap::new();
    for entry in top.json().unwrap()["manifests"].as_array().unwrap() {
        let platform = entry["platform"].to_string();
        if platform.contains("unknown") {
            continue;
        }
        let digest = entry["digest"].as_str().unwrap();
        let manifest = ground.registry.manifest(repository, digest).await.unwrap();
        let manifest = manifest.json().unwrap();
        let config = manifest["config"]["digest"].as_str().unwrap();
        let config = ground.registry.blob(repository, config).await.unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        images.insert(
            platform,
            json!({ "layers": manifest["layers"], "config": config["config"] }),
        );
    }
    json!(images)
}

/// The names of the members of each target's metadata.
fn form(metadata: &Value) -> BTreeMap<String, Vec<String>> {
    let targets = metadata.as_object().unwrap().iter();
    targets
        .map(|(target, members)| {
            let members = members.as_object().unwrap().keys();
            (target.clone(), members.cloned().collect())
        })
        .collect()
}

/// A definition with a target that is only the context of another one.
const LINKED: &str = r#"
variable "REPOSITORY" {}
target "default" {
  dockerfile-inline = <<EOT
FROM base
COPY --from=tools /file /tool
EOT
  contexts = { base = "target:base", tools = "target:tools" }
  tags     = ["${REPOSITORY}/app:1"]
}
target "base" {
  dockerfile-inline = <<EOT
FROM scratch
LABEL base=true
ENV NAME=value
COPY file /base
EOT
  tags = ["${REPOSITORY}/base:1"]
}
target "tools" {
  dockerfile-inline = "FROM scratch\nCOPY file /\n"
}
"#;

#[tokio::test]
async fn a_target_is_the_context_of_another_one_as_with_the_cli() {
    let Some(ground) = ground().await else { return };
    for platforms in ["linux/amd64", "linux/amd64,linux/arm64"] {
        let trial = if platforms.contains(',') {
            Trial::start_on_two(ground, Scenario::default()).await
        } else {
            Some(Trial::start(ground, Scenario::default()).await)
        };
        let Some(mut trial) = trial else { return };
        let context = context();
        context.file("docker-bake.hcl", LINKED).unwrap();
        let host = ground.registry.host();
        let suffix = platforms.len();
        let place = |owner: &str| format!("{host}/linked-{owner}-{suffix}");
        trial.variables = vec![("REPOSITORY".to_owned(), place("cli"))];
        let platform_list: Vec<String> = platforms
            .split(',')
            .map(|platform| format!("*.platform={platform}"))
            .collect();
        let mut arguments = vec![
            "bake",
            "--progress",
            "plain",
            "--push",
            "--provenance",
            "mode=min,inline-only=true",
        ];
        for platform in &platform_list {
            arguments.extend(["--set", platform]);
        }
        trial.run_in(context.path(), &arguments).await.exits(0);
        let ran = trial
            .pipe(
                context.path(),
                &[
                    ("BAKE_FILES", "docker-bake.hcl"),
                    ("BAKE_VARS", &format!("REPOSITORY={}", place("pipe"))),
                    ("PUSH", "true"),
                    ("PLATFORMS", platforms),
                    ("REGISTRY", &host),
                    ("REGISTRY_USERNAME", ground.registry.username()),
                    ("REGISTRY_PASSWORD", ground.registry.password()),
                ],
            )
            .await;
        ran.exits(0);
        let of =
            async |owner: &str| image(ground, &format!("linked-{owner}-{suffix}/app"), "1").await;
        let (pipe, cli) = (of("pipe").await, of("cli").await);
        assert_eq!(pipe, cli);
        assert_eq!(pipe.as_object().unwrap().len(), platform_list.len());
        for owner in ["pipe", "cli"] {
            let base = format!("linked-{owner}-{suffix}/base");
            assert_eq!(ground.registry.tags(&base).await.unwrap(), [""; 0]);
        }
        trial.stand_in.check().unwrap();
    }
}

#[tokio::test]
async fn targets_of_two_projects_have_the_builds_of_the_cli() {
    let Some(ground) = ground().await else { return };
    let scenario = Scenario::default().project("second");
    let mut trial = Trial::start(ground, scenario).await;
    let context = context();
    let definition = DEFINITION.replace("  matrix ", "  project_id = \"second\"\n  matrix ");
    context.file("docker-bake.hcl", definition).unwrap();
    let host = ground.registry.host();
    let place = |owner: &str| format!("{host}/projects-{owner}");
    trial.variables = vec![("REPOSITORY".to_owned(), place("cli"))];
    let arguments = ["bake", "--progress", "plain", "--push"];
    let cli = trial.run_in(context.path(), &arguments).await;
    cli.exits(0);
    let pipe = trial
        .pipe(
            context.path(),
            &[
                ("BAKE_VARS", &format!("REPOSITORY={}", place("pipe"))),
                ("PUSH", "true"),
                ("REGISTRY", &host),
                ("REGISTRY_USERNAME", ground.registry.username()),
                ("REGISTRY_PASSWORD", ground.registry.password()),
            ],
        )
        .await;
    pipe.exits(0);
    for (name, tag) in [("app", "1"), ("app", "2"), ("one", "1"), ("two", "1")] {
        let of = async |owner: &str| {
            let repository = format!("projects-{owner}/{name}");
            let top = ground.registry.manifest(&repository, tag).await.unwrap();
            top.json().unwrap()["manifests"].is_array()
        };
        assert!(of("pipe").await, "{name}:{tag}");
        assert!(of("cli").await, "{name}:{tag}");
    }
    let [first, second, third, fourth] = &pipe.record.builds[..] else {
        panic!("not two builds each: {:#?}", pipe.record)
    };
    // The order of the builds is that of a Go map, or of the responses.
    let by_project = |builds: [&local_depot::BuildRecord; 2]| -> BTreeMap<_, _> {
        let builds = builds.into_iter();
        builds
            .map(|build| {
                let names = build.options.iter();
                let names: BTreeSet<_> = names.map(|options| options.target_name.clone()).collect();
                (build.project_id.clone(), (names, build.state.clone()))
            })
            .collect()
    };
    assert_eq!(by_project([third, fourth]), by_project([first, second]));
    trial.stand_in.check().unwrap();
}

#[tokio::test]
async fn loaded_targets_are_those_of_the_cli() {
    let Some(ground) = ground().await else { return };
    let daemon = Daemon::start(Release::Docker26, &state_folder())
        .await
        .unwrap();
    let mut trial = Trial::start(ground, Scenario::default()).await;
    trial.docker_host = Some(daemon.docker_host());
    let context = context();
    let mut layers = Vec::new();
    for owner in ["cli", "pipe"] {
        let place = format!("acme/loaded-{owner}");
        if owner == "cli" {
            trial.variables = vec![("REPOSITORY".to_owned(), place.clone())];
            let arguments = ["bake", "--progress", "plain", "--load"];
            trial.run_in(context.path(), &arguments).await.exits(0);
        } else {
            let variables = [
                ("BAKE_VARS", &*format!("REPOSITORY={place}")),
                ("LOAD", "true"),
            ];
            trial.pipe(context.path(), &variables).await.exits(0);
        }
        let mut images = Vec::new();
        for name in ["app:1", "app:2", "one:1", "two:1"] {
            let image = daemon.image(&format!("{place}/{name}")).await.unwrap();
            let image = image.unwrap_or_else(|| panic!("{place}/{name} is not loaded"));
            let config = serde_json::to_value(&image.config.labels).unwrap();
            images.push((image.root_fs.layers, config));
        }
        layers.push(images);
    }
    assert_eq!(layers[0], layers[1]);

    // Services without a name have that of compose.
    trial.variables = Vec::new();
    let compose = "name: Shop.1\nservices:\n  web.api: {build: .}\n";
    context.file("compose.yml", compose).unwrap();
    std::fs::remove_file(context.path().join("docker-bake.hcl")).unwrap();
    let variables = [("BAKE_FILES", "compose.yml"), ("LOAD", "true")];
    trial.pipe(context.path(), &variables).await.exits(0);
    let image = || async { daemon.image("shop1-web.api").await.unwrap() };
    assert!(image().await.is_some());
    daemon.remove("shop1-web.api").await.unwrap();
    let arguments = ["bake", "--progress", "plain", "--load"];
    trial.run_in(context.path(), &arguments).await.exits(0);
    assert!(image().await.is_some());
    trial.stand_in.check().unwrap();
    daemon.stop().await.unwrap();
}

#[tokio::test]
async fn saved_targets_have_the_tags_of_the_cli() {
    let Some(ground) = ground().await else { return };
    let kept = Registry::start(&state_folder()).await.unwrap();
    let mut trial = Trial::start(ground, keeping_at(&kept, kept.password())).await;
    trial.variables = vec![("REPOSITORY".to_owned(), "acme".to_owned())];
    let context = context();
    let arguments = ["bake", "--progress", "plain", "--save"];
    let ran = trial.run_in(context.path(), &arguments).await;
    ran.exits(0);
    let variables = [("BAKE_VARS", "REPOSITORY=acme"), ("SAVE", "true")];
    let ran = trial.pipe(context.path(), &variables).await;
    ran.exits(0);
    let tags = kept.tags("kept").await.unwrap();
    let ids = ran.record.builds.iter().map(|build| &*build.id);
    let tags_of = |id: &str| -> Vec<String> {
        let mut of_build: Vec<_> = tags
            .iter()
            .filter_map(|tag| tag.strip_prefix(id))
            .map(str::to_owned)
            .collect();
        of_build.sort();
        of_build
    };
    let [cli, pipe] = ids.collect::<Vec<_>>()[..] else {
        panic!("not two builds: {:#?}", ran.record)
    };
    assert_eq!(tags_of(pipe), tags_of(cli));
    assert_eq!(tags_of(pipe).len(), 3, "{tags:?}");
    trial.stand_in.check().unwrap();
    kept.stop().await.unwrap();
}

#[tokio::test]
async fn pushed_targets_are_those_of_the_cli() {
    let Some(ground) = ground().await else { return };
    for platforms in ["linux/amd64", "linux/amd64,linux/arm64"] {
        let trial = if platforms.contains(',') {
            Trial::start_on_two(ground, Scenario::default()).await
        } else {
            Some(Trial::start(ground, Scenario::default()).await)
        };
        let Some(mut trial) = trial else { return };
        let context = context();
        let host = ground.registry.host();
        let suffix = platforms.len();
        let place = |owner: &str| format!("{host}/bake-{owner}-{suffix}");
        trial.variables = vec![("REPOSITORY".to_owned(), place("cli"))];
        let platform_list: Vec<String> = platforms
            .split(',')
            .map(|platform| format!("*.platform={platform}"))
            .collect();
        let mut arguments = vec![
            "bake",
            "--progress",
            "plain",
            "--push",
            "--metadata-file",
            "cli.json",
            // The pipe's default, which is that of `depot build`.
            "--provenance",
            "mode=min,inline-only=true",
        ];
        for platform in &platform_list {
            arguments.extend(["--set", platform]);
        }
        let ran = trial.run_in(context.path(), &arguments).await;
        ran.exits(0);
        let cli_options = ran.build().options.clone();
        let ran = trial
            .pipe(
                context.path(),
                &[
                    ("BAKE_VARS", &format!("REPOSITORY={}", place("pipe"))),
                    ("PUSH", "true"),
                    ("PLATFORMS", platforms),
                    ("METADATA_FILE", "pipe.json"),
                    ("REGISTRY", &host),
                    ("REGISTRY_USERNAME", ground.registry.username()),
                    ("REGISTRY_PASSWORD", ground.registry.password()),
                ],
            )
            .await;
        ran.exits(0);
        for (name, tag) in [("app", "1"), ("app", "2"), ("one", "1"), ("two", "1")] {
            let of = async |owner: &str| {
                image(ground, &format!("bake-{owner}-{suffix}/{name}"), tag).await
            };
            assert_eq!(of("pipe").await, of("cli").await, "{name}:{tag}");
        }
        let read = |name: &str| -> Value {
            let text = std::fs::read(context.path().join(name)).unwrap();
            serde_json::from_slice(&text).unwrap()
        };
        let (cli, mut pipe) = (read("cli.json"), read("pipe.json"));
        // An addition of the pipe.
        pipe.as_object_mut().unwrap().remove("depot.digests");
        assert_eq!(
            form(&pipe).keys().collect::<Vec<_>>(),
            form(&cli).keys().collect::<Vec<_>>()
        );
        assert_eq!(
            form(&pipe)["depot.build"],
            form(&cli)["depot.build"],
            "{pipe:#}"
        );
        for target in ["app", "service-one", "service-two"] {
            assert!(cli[target]["containerimage.digest"].is_string(), "{cli:#}");
            assert!(
                pipe[target]["containerimage.digest"].is_string(),
                "{pipe:#}"
            );
        }
        // The order of the CLI is that of a Go map.
        let by_target = |options: &[local_depot::messages::BuildOptions]| -> BTreeMap<_, _> {
            let options = options.iter();
            options
                .map(|options| {
                    let name = options.target_name.clone().unwrap();
                    (name, (options.command, options.push, options.save))
                })
                .collect()
        };
        let pipe_build = ran.record.builds.last().unwrap();
        assert_eq!(by_target(&pipe_build.options), by_target(&cli_options));
        trial.stand_in.check().unwrap();
    }
}
