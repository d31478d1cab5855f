//! Targets of bake definitions.

use std::fs;

use depot_ground::daemon::Release;
use depot_ground::fixtures::Context;
use local_depot::messages::Command;
use local_depot::{Architecture, BuildState, LocalDepot, Method, Scenario};
use serde_json::Value;

use super::on_internet::saving_at;
use super::place::{Place, with_place};
use super::program::Program;

/// Three services in one repository, which share their context.
const DEFINITION: &str = r#"
variable "VERSION" { default = "dev" }
variable "REPOSITORY" {}
group "default" { targets = ["services", "tools"] }
target "base" {
  args = { VERSION = VERSION }
  labels = { "org.example.version" = VERSION }
}
target "services" {
  name     = "service-${item}"
  matrix   = { item = ["api", "web"] }
  inherits = ["base"]
  target   = item
  tags     = ["${REPOSITORY}-${item}:${VERSION}"]
}
target "tools" {
  dockerfile-inline = <<EOT
FROM scratch
COPY tool /tool
EOT
  tags   = ["${REPOSITORY}-tools:${VERSION}"]
  output = ["type=image,push=true", "type=local,dest=out/tools"]
}
"#;

fn services() -> Context {
    let dockerfile = "FROM scratch AS api\nARG VERSION\nLABEL build=$VERSION\nCOPY file /api\n\
                      FROM scratch AS web\nCOPY file /web\n";
    let context = Context::new(dockerfile).unwrap();
    context.file("file", "content\n").unwrap();
    context.file("tool", "tool\n").unwrap();
    context.file("docker-bake.hcl", DEFINITION).unwrap();
    context
}

fn program(place: &Place, depot: &LocalDepot, context: &Context) -> Program {
    let registry = &place.registry;
    Program::of(depot, context.path())
        .set("BITBUCKET_CLONE_DIR", context.path())
        .set("REGISTRY", registry.host())
        .set("REGISTRY_USERNAME", registry.username())
        .set("REGISTRY_PASSWORD", registry.password())
}

#[test]
fn the_targets_of_a_group_are_built_and_pushed_in_one_build() {
    with_place(async |place| {
        let depot = place.depot_of_two(Scenario::default()).await;
        let context = services();
        let repository = format!("{}/bake-pushed", place.registry.host());
        let run = program(place, &depot, &context)
            .set("BAKE_VARS", format!("REPOSITORY={repository}\nVERSION=1.2"))
            .set("PUSH", "true")
            .set("PLATFORMS", "linux/amd64, linux/arm64")
            .set("OUTPUT_FILE", "image.env")
            .set("METADATA_FILE", "metadata.json")
            .run()
            .await;
        run.expect(
            0,
            &[
                "[service-api linux/amd64",
                "[service-web linux/arm64",
                &format!("{repository}-api:1.2@sha256:"),
                &format!("{repository}-tools:1.2@sha256:"),
            ],
        );
        let record = depot.record();
        let [build] = &record.builds[..] else {
            panic!("{record:#?}");
        };
        let targets = build.options.iter().map(|options| {
            assert_eq!(options.command, i32::from(Command::Bake));
            options.target_name.as_deref().unwrap()
        });
        assert_eq!(
            targets.collect::<Vec<_>>(),
            ["service-api", "service-web", "tools"]
        );
        assert_eq!(record.calls_of(Method::CreateBuild).count(), 1);
        let metadata = fs::read(context.path().join("metadata.json")).unwrap();
        let metadata: Value = serde_json::from_slice(&metadata).unwrap();
        let values = fs::read_to_string(context.path().join("image.env")).unwrap();
        for (target, name) in [
            ("service-api", "api"),
            ("service-web", "web"),
            ("tools", "tools"),
        ] {
            let image = format!("bake-pushed-{name}");
            let index = place.registry.manifest(&image, "1.2").await.unwrap();
            assert_eq!(
                index.json().unwrap()["manifests"].as_array().unwrap().len(),
                4,
                "two platforms with attestations"
            );
            assert_eq!(
                metadata[target]["containerimage.digest"],
                index.digest.as_str(),
                "{metadata:#}"
            );
            let variable = target.replace('-', "_").to_uppercase();
            let line = format!("DEPOT_BUILD_{variable}_DIGEST='{}'", index.digest);
            assert!(values.contains(&line), "{values}");
        }
        assert_eq!(metadata["depot.build"]["targets"][2], "tools");
        assert!(context.path().join("out/tools/linux_arm64/tool").exists());
        depot.check().unwrap();
    });
}

#[test]
fn services_of_a_compose_file_are_loaded_and_saved() {
    with_place(async |place| {
        let scenario = saving_at(&place.registry.host(), &place.registry);
        let depot = place.depot(scenario).await;
        let context = services();
        fs::remove_file(context.path().join("docker-bake.hcl")).unwrap();
        let compose = "services:\n  api:\n    image: acme/bake-api:1\n    build:\n      context: .\n      target: api\n      \
                       args:\n        VERSION: ${BITBUCKET_TAG:-none}\n  web:\n    image: acme/bake-web:1\n    build:\n      context: .\n      \
                       target: web\n  db:\n    image: postgres\n";
        context.file("compose.yml", compose).unwrap();
        let daemon = place.daemon(Release::Docker26).await;
        let run = program(place, &depot, &context)
            .set("TARGETS", "api, web")
            .set("BITBUCKET_TAG", "v3")
            .set("LOAD", "true")
            .set("SAVE", "true")
            .set("DOCKER_HOST", daemon.docker_host())
            .run()
            .await;
        run.expect(
            0,
            &["docker.io/acme/bake-api:1", "docker.io/acme/bake-web:1"],
        );
        let image = daemon.image("acme/bake-api:1").await.unwrap().unwrap();
        let labels = image.config.labels.unwrap();
        assert_eq!(labels["build"], "v3");
        assert!(daemon.image("acme/bake-web:1").await.unwrap().is_some());
        let record = depot.record();
        let id = &record.last_build().unwrap().id;
        for target in ["api", "web"] {
            let tag = format!("{id}-{target}");
            place
                .registry
                .manifest(depot.project_id(), &tag)
                .await
                .unwrap();
        }
        for name in ["acme/bake-api:1", "acme/bake-web:1"] {
            daemon.remove(name).await.unwrap();
        }
        depot.check().unwrap();
    });
}

#[test]
fn a_failing_target_cancels_the_others_and_is_named() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN exit 3");
        let definition = "target \"good\" {\n  dockerfile-inline = \"FROM scratch\\nCOPY busybox /\\n\"\n}\n\
                          target \"bad\" {}\n";
        context.file("docker-bake.hcl", definition).unwrap();
        let run = program(place, &depot, &context)
            .set("TARGETS", "good bad")
            .run()
            .await;
        run.expect(1, &["[bad ", "RUN exit 3", "`bad`"]);
        depot.check().unwrap();
    });
}

#[test]
fn a_target_has_secrets_of_its_own_and_those_of_the_run() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context(
            "RUN --mount=type=secret,id=npm,required=true --mount=type=secret,id=shared,required=true \
             test \"$(cat /run/secrets/npm)$(cat /run/secrets/shared)\" = own-secretshared-secret",
        );
        let definition = "target \"default\" { secret = [\"id=npm,env=NPM_TOKEN\"] }\n";
        context.file("docker-bake.hcl", definition).unwrap();
        let run = program(place, &depot, &context)
            .set("BAKE_FILES", "docker-bake.hcl")
            .set("NPM_TOKEN", "own-secret")
            .set("SECRETS", "shared=shared-secret\nnpm=not-used")
            .run()
            .await;
        run.expect(0, &[]);
        run.without("own-secret").without("shared-secret");
        let missing = program(place, &depot, &context)
            .set("BAKE_FILES", "docker-bake.hcl")
            .run()
            .await;
        missing.expect(
            2,
            &["target `default`: secret: the secret `npm` is in the variable NPM_TOKEN, which the pipe does not have; add `NPM_TOKEN: $NPM_TOKEN`"],
        );
    });
}

#[test]
fn a_definition_is_printed_without_a_token() {
    with_place(async |_place| {
        let context = services();
        let run = Program::in_directory(context.path())
            .set("BAKE_PRINT", "true")
            .set("BAKE_VARS", "REPOSITORY=acme/app")
            .set("BITBUCKET_COMMIT", "0123456789ab")
            .set("BAKE_SET", "*.args.COMMIT=1")
            .run()
            .await;
        assert_eq!(run.code, 0, "{run:?}");
        let printed: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(
            printed["group"]["services"]["targets"][1], "service-web",
            "{printed:#}"
        );
        let target = &printed["target"]["service-api"];
        assert_eq!(target["tags"][0], "acme/app-api:dev");
        assert_eq!(target["args"]["COMMIT"], "1");
    });
}

#[test]
fn faults_of_definitions_are_reported_before_a_build() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let fault = async |definition: &str, variables: &[(&str, &str)], expected: &[&str]| {
            let context = services();
            context.file("docker-bake.hcl", definition).unwrap();
            let program = program(place, &depot, &context).set("TARGETS", "default");
            let set = variables.iter();
            let program = set.fold(program, |program, (name, value)| program.set(name, value));
            program.run().await.expect(2, expected);
        };
        fault(
            "target \"default\" {\n  tags = [nope(1)]\n}\n",
            &[],
            &["docker-bake.hcl:2:11: ", "nope", "    tags = [nope(1)]"],
        )
        .await;
        fault(
            "target \"default\" {\n  tags = [\n",
            &[],
            &["docker-bake.hcl:"],
        )
        .await;
        fault(
            "target \"default\" { inherits = [\"default\"] }\ntarget \"x\" {}\n",
            &[("TARGETS", "missing")],
            &["missing"],
        )
        .await;
        fault(
            "target \"default\" {\n  platforms = [\"windows-amd64\"]\n  tags = [\"acme/App:1\"]\n  context = \"nowhere\"\n}\n",
            &[("PUSH", "true")],
            &[
                "target `default`: platforms: `windows-amd64`",
                "target `default`: tags: `acme/App:1`",
                "target `default`: context: ",
            ],
        )
        .await;
        fault(
            "target \"default\" {}\n",
            &[("PUSH", "true"), ("IMAGE", "acme/app"), ("BUILD_ARGS", "A=1")],
            &[
                "IMAGE: describes a single image",
                "BUILD_ARGS: describes a single image, but the images are those of a bake definition; write it in the definition, or \
                 `TARGET.args.NAME=VALUE` in BAKE_SET",
            ],
        )
        .await;
        assert_eq!(depot.record().builds.len(), 0);
    });
}

#[test]
fn a_target_is_the_named_context_of_others_on_each_machine() {
    with_place(async |place| {
        let depot = place.depot_of_two(Scenario::default()).await;
        let context = place.busybox_context("RUN echo base > /base");
        let busybox = context.path().join("busybox");
        fs::create_dir_all(context.path().join("app")).unwrap();
        fs::copy(&busybox, context.path().join("app/busybox")).unwrap();
        context.file("app/file", "content\n").unwrap();
        let repository = format!("{}/bake-linked", place.registry.host());
        let definition = format!(
            r#"
target "base" {{ tags = ["{repository}-base:1"] }}
target "middle" {{
  dockerfile-inline = "FROM base\nRUN echo middle > /middle\n"
  contexts = {{ base = "target:base" }}
  tags = ["{repository}-middle:1"]
}}
target "app" {{
  name = "app-${{item}}"
  matrix = {{ item = ["one", "two"] }}
  context = "app"
  dockerfile-inline = "FROM context\nCOPY file /\nRUN cat /base /middle /file\n"
  contexts = {{ context = "target:middle" }}
  tags = ["{repository}-${{item}}:1"]
}}
"#
        );
        context.file("docker-bake.hcl", definition).unwrap();
        for platforms in ["linux/amd64", "linux/amd64, linux/arm64"] {
            let run = program(place, &depot, &context)
                .set("TARGETS", "app-one app-two")
                .set("PUSH", "true")
                .set("PLATFORMS", platforms)
                .run()
                .await;
            run.expect(
                0,
                &[
                    &format!("{repository}-one:1@sha256:"),
                    "RUN echo base > /base",
                ],
            );
            for (name, is_pushed) in [
                ("one", true),
                ("two", true),
                ("middle", false),
                ("base", false),
            ] {
                let image = format!("bake-linked-{name}");
                let found = place.registry.manifest(&image, "1").await;
                assert_eq!(found.is_ok(), is_pushed, "{name}");
            }
        }
        depot.check().unwrap();
    });
}

/// The layers of the part of an image for linux/amd64.
async fn layers(place: &Place, repository: &str) -> Value {
    let top = place.registry.manifest(repository, "1").await.unwrap();
    let mut manifest = top.json().unwrap();
    if let Some(parts) = manifest["manifests"].as_array() {
        let mut parts = parts.iter();
        let part = parts.find(|part| part["platform"]["architecture"] == "amd64");
        let digest = part.unwrap()["digest"].as_str().unwrap().to_owned();
        let part = place.registry.manifest(repository, &digest).await.unwrap();
        manifest = part.json().unwrap();
    }
    manifest["layers"].take()
}

/// Without a cache, a requested target and those that use it still have the same result.
#[test]
fn a_linked_target_runs_once() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN cat /proc/sys/kernel/random/uuid > /once");
        let repository = format!("{}/bake-once", place.registry.host());
        let definition = format!(
            r#"
target "base" {{
  tags = ["{repository}-base:1"]
  platforms = ["linux/amd64", "linux/386"]
}}
target "app" {{
  name = "app-${{item}}"
  matrix = {{ item = ["one", "two"] }}
  dockerfile-inline = "FROM base\nLABEL app=${{item}}\n"
  contexts = {{ base = "target:base" }}
  tags = ["{repository}-${{item}}:1"]
}}
"#
        );
        context.file("docker-bake.hcl", definition).unwrap();
        for platforms in ["", "linux/amd64"] {
            let run = program(place, &depot, &context)
                .set("TARGETS", "base app")
                .set("PUSH", "true")
                .set("NO_CACHE", "true")
                .set("PLATFORMS", platforms)
                .run()
                .await;
            run.expect(0, &["RUN cat /proc/sys"]).without("CACHED");
            let base = layers(place, "bake-once-base").await;
            assert_eq!(base, layers(place, "bake-once-one").await);
            assert_eq!(base, layers(place, "bake-once-two").await);
        }
        depot.check().unwrap();
    });
}

#[test]
fn a_target_without_the_platform_of_its_user_is_an_error() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("");
        let definition = r#"
target "base" { platforms = ["linux/amd64", "linux/arm64"] }
target "default" {
  platforms = ["linux/amd64", "linux/386"]
  contexts = { base = "target:base" }
}
"#;
        context.file("docker-bake.hcl", definition).unwrap();
        let run = program(place, &depot, &context)
            .set("BAKE_FILES", "docker-bake.hcl")
            .run()
            .await;
        run.expect(
            2,
            &[
                "target `default` links to `base`, which lacks some of its platforms: linux/amd64, linux/386 is not in \
                 linux/amd64, linux/arm64",
            ],
        );
        assert_eq!(depot.record().builds.len(), 0);
    });
}

#[test]
fn a_machine_that_is_lost_while_it_builds_a_linked_target_is_connected_again() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context =
            place.busybox_context("RUN echo waiting for the cut; sleep 2; echo over > /over");
        let definition = r#"
target "base" {}
target "app" {
  name = "app-${item}"
  matrix = { item = ["one", "two"] }
  dockerfile-inline = "FROM base\nRUN cat /over\n"
  contexts = { base = "target:base" }
}
"#;
        context.file("docker-bake.hcl", definition).unwrap();
        let mut running = program(place, &depot, &context)
            .set("TARGETS", "app")
            .start();
        running.until(" waiting for the cut").await;
        depot.machine(Architecture::Amd64).cut();
        let run = running.end().await;
        run.expect(0, &["lost the amd64 machine; connecting again (1 of 2)"]);
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Succeeded);
    });
}

#[test]
fn a_signal_stops_a_linked_target() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN echo waiting; while :; do :; done");
        let definition = r#"
target "base" {}
target "app" {
  name = "app-${item}"
  matrix = { item = ["one", "two"] }
  dockerfile-inline = "FROM base\n"
  contexts = { base = "target:base" }
}
"#;
        context.file("docker-bake.hcl", definition).unwrap();
        let mut running = program(place, &depot, &context)
            .set("TARGETS", "app")
            .start();
        running.until(" waiting\n").await;
        running.signal("TERM").await;
        running.end().await.expect(143, &["SIGTERM"]);
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);
        depot.check().unwrap();
    });
}

#[test]
fn a_failed_step_of_a_linked_target_fails_the_run() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN exit 7");
        let definition = "target \"base\" {}\ntarget \"default\" {\n  dockerfile-inline = \"FROM base\\n\"\n  \
                          contexts = { base = \"target:base\" }\n}\n";
        context.file("docker-bake.hcl", definition).unwrap();
        let run = program(place, &depot, &context)
            .set("BAKE_FILES", "docker-bake.hcl")
            .run()
            .await;
        run.expect(1, &["RUN exit 7", "exit code: 7"]);
        depot.check().unwrap();
    });
}

/// Two targets of two projects; `base` is built in both.
fn of_two_projects(context: &Context, repository: &str) {
    let definition = format!(
        r#"
group "default" {{ targets = ["one", "two"] }}
target "base" {{ dockerfile-inline = "FROM scratch\nCOPY file /base\n" }}
target "one" {{
  dockerfile-inline = "FROM base\nCOPY file /one\n"
  contexts = {{ base = "target:base" }}
  tags = ["{repository}-one:1"]
}}
target "two" {{
  inherits = ["one"]
  project_id = "second"
  dockerfile-inline = "FROM base\nCOPY file /two\n"
  tags = ["{repository}-two:1"]
}}
"#
    );
    context.file("docker-bake.hcl", definition).unwrap();
}

#[test]
fn each_project_has_a_build_of_its_own() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default().project("second")).await;
        let context = services();
        let repository = format!("{}/bake-projects", place.registry.host());
        of_two_projects(&context, &repository);
        let daemon = place.daemon(Release::Docker26).await;
        let run = program(place, &depot, &context)
            .set("BAKE_FILES", "docker-bake.hcl")
            .set("PUSH", "true")
            .set("LOAD", "true")
            .set("DOCKER_HOST", daemon.docker_host())
            .set("METADATA_FILE", "metadata.json")
            .set("OUTPUT_FILE", "outputs.env")
            .set("SUMMARY_FILE", "summary.json")
            .run()
            .await;
        let record = depot.record();
        let [one, two] = &record.builds[..] else {
            panic!("not two builds: {record:#?}")
        };
        let (one, two) = if one.project_id == "second" {
            (two, one)
        } else {
            (one, two)
        };
        run.expect(
            0,
            &[
                "built, pushed and loaded 2 images in ",
                &format!("\n  one  {repository}-one:1@"),
                &format!("\n  two  {repository}-two:1@"),
                &one.url,
                &two.url,
            ],
        );
        assert_eq!(one.project_id, depot.project_id());
        for (build, target) in [(one, "one"), (two, "two")] {
            assert_eq!(build.state, BuildState::Succeeded);
            let names = build.options.iter().map(|options| &options.target_name);
            assert_eq!(names.collect::<Vec<_>>(), [&Some(target.to_owned())]);
            let image = format!("{repository}-{target}:1");
            daemon.image(&image).await.unwrap().unwrap();
            daemon.remove(&image).await.unwrap();
        }
        let read = |name: &str| fs::read_to_string(context.path().join(name)).unwrap();
        let metadata: Value = serde_json::from_str(&read("metadata.json")).unwrap();
        assert!(metadata["one"]["containerimage.digest"].is_string());
        assert!(metadata["two"]["containerimage.digest"].is_string());
        assert_eq!(metadata["depot.build"]["buildID"], *one.id);
        assert_eq!(metadata["depot.builds"][1]["projectID"], "second");
        assert_eq!(metadata["depot.builds"][1]["targets"][0], "two");
        let outputs = read("outputs.env");
        assert!(outputs.contains("DEPOT_BUILD_ONE_DIGEST="), "{outputs}");
        assert!(outputs.contains("DEPOT_BUILD_TWO_DIGEST="), "{outputs}");
        let summary: Value = serde_json::from_str(&read("summary.json")).unwrap();
        assert_eq!(summary["builds"][1]["id"], *two.id);
        depot.check().unwrap();
    });
}

#[test]
fn a_failure_in_one_project_ends_the_builds_of_all() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default().project("second")).await;
        let context = place.busybox_context("");
        let definition = r#"
target "slow" { dockerfile-inline = "FROM scratch\nCOPY busybox /bin/sh\nRUN while :; do :; done\n" }
target "bad" {
  project_id = "second"
  dockerfile-inline = "FROM scratch\nCOPY busybox /bin/sh\nRUN exit 3\n"
}
"#;
        context.file("docker-bake.hcl", definition).unwrap();
        let run = program(place, &depot, &context)
            .set("TARGETS", "slow bad")
            .run()
            .await;
        run.expect(1, &["[bad ", "RUN exit 3", "`bad`"]);
        let states: Vec<_> = depot
            .record()
            .builds
            .into_iter()
            .map(|build| (build.project_id == "second", build.state))
            .collect();
        assert_eq!(states.len(), 2);
        for (is_second, state) in states {
            if is_second {
                assert!(matches!(state, BuildState::Failed(_)), "{state:?}");
            } else {
                assert_eq!(state, BuildState::Canceled);
            }
        }
        depot.check().unwrap();
    });
}

#[test]
fn an_unknown_project_ends_the_builds_of_the_others() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = services();
        of_two_projects(&context, "example.test/app");
        let run = program(place, &depot, &context)
            .set("BAKE_FILES", "docker-bake.hcl")
            .run()
            .await;
        run.expect(
            3,
            &["project `second` (from `project_id` in the definition)"],
        );
        let record = depot.record();
        let states: Vec<_> = record.builds.iter().map(|build| &build.state).collect();
        assert_eq!(states, [&BuildState::Canceled]);
        depot.check().unwrap();
    });
}

#[test]
fn a_context_of_another_project_is_an_error() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = services();
        let definition = r#"
target "base" { project_id = "first" }
target "default" {
  project_id = "no project"
  contexts = { base = "target:base" }
}
"#;
        context.file("docker-bake.hcl", definition).unwrap();
        let run = program(place, &depot, &context)
            .set("BAKE_FILES", "docker-bake.hcl")
            .run()
            .await;
        run.expect(
            2,
            &[
                "target `default`: contexts: the target `base` belongs to another project",
                "target `default`: project_id: `no project` is not a project id",
            ],
        );
        assert_eq!(depot.record().builds.len(), 0);
    });
}
