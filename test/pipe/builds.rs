//! Successful builds, and builds that fail because of their own errors.

use depot_ground::fixtures::Context;
use local_depot::{BuildState, Method, Request, Scenario, TokenKind};
use serde_json::Value;

use super::place::{Place, small_context, with_place};
use super::program::Program;

/// The manifest of an image for one platform: as with the released CLI, it is part of an index, together
/// with its provenance.
async fn image_manifest(place: &Place, repository: &str) -> Value {
    let top = place.registry.manifest(repository, "test").await.unwrap();
    let index = top.json().unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let [image, provenance] = &entries[..] else {
        panic!("{index:#}");
    };
    assert_eq!(image["platform"]["architecture"], "amd64");
    assert_eq!(provenance["platform"]["architecture"], "unknown");
    let digest = image["digest"].as_str().unwrap();
    let manifest = place.registry.manifest(repository, digest).await.unwrap();
    assert_eq!(manifest.digest, digest);
    manifest.json().unwrap()
}

#[test]
fn a_step_gets_the_secrets_that_it_mounts_and_no_log_shows_them() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let step = "RUN --mount=type=secret,id=key,required --mount=type=secret,id=absent \
                    cat /run/secrets/key && test ! -e /run/secrets/absent && \
                    grep -qx second-word /run/secrets/key";
        let context = place.busybox_context(step);
        let run = Program::of(&depot, context.path())
            .set("SECRETS_COUNT", "1")
            .set("SECRETS_0", "key=first-word\nsecond-word\n")
            .run()
            .await;
        run.expect(0, &["***"]);
        for word in ["first-word", "second-word"] {
            assert!(!run.log.contains(word), "{}", run.log);
        }
    });
}

#[test]
fn an_image_is_built_and_pushed_and_every_blob_of_it_can_be_read_back() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN echo hello from the build > /hello");
        let image = place.image("main-job");
        let run = Program::of(&depot, context.path())
            .push(&image, &place.registry)
            .run()
            .await;
        run.expect(0, &["hello", "DONE", &image]);

        let manifest = place.registry.manifest("main-job", "test").await.unwrap();
        assert!(run.log.contains(&manifest.digest), "{}", run.log);
        let json = image_manifest(place, "main-job").await;
        let mut blobs = vec![json["config"].clone()];
        blobs.extend(json["layers"].as_array().unwrap().iter().cloned());
        assert!(blobs.len() >= 4, "{json:#}");
        for blob in &blobs {
            // The digest is checked by the reader.
            let bytes = place
                .registry
                .blob("main-job", blob["digest"].as_str().unwrap())
                .await
                .unwrap();
            assert_eq!(blob["size"], Value::from(bytes.len()));
        }

        let record = depot.record();
        let build = record.last_build().unwrap();
        assert_eq!(build.state, BuildState::Succeeded);
        // The URL of the build is printed first and last.
        let lines: Vec<&str> = run.log.lines().collect();
        assert!(lines.first().unwrap().contains(&build.url), "{}", run.log);
        assert!(lines.last().unwrap().contains(&build.url), "{}", run.log);
        assert!(!run.log.contains(place.registry.password()), "{}", run.log);
        assert!(!run.log.contains(depot.token()), "{}", run.log);
        depot.check().unwrap();
    });
}

#[test]
fn every_state_of_a_build_is_reported_to_depot() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(0, &["built in"]);

        let record = depot.record();
        let build = record.last_build().unwrap();
        assert_eq!(build.state, BuildState::Succeeded);
        assert!(!build.health.is_empty(), "no health report");
        // The start and the end of each of our own steps, but no steps of the builder.
        let steps: Vec<(&str, bool)> = build
            .vertices
            .iter()
            .map(|vertex| (vertex.name.as_str(), vertex.completed.is_some()))
            .collect();
        assert_eq!(
            steps,
            [
                ("[depot] launching amd64 machine", false),
                ("[depot] launching amd64 machine", true),
                ("[depot] connecting to amd64 machine", false),
                ("[depot] connecting to amd64 machine", true),
            ]
        );
        // The user's token for the creation, then the build's own token.
        for call in &record.calls {
            let expected = if call.method == Method::CreateBuild {
                TokenKind::User
            } else {
                TokenKind::Build(build.id.clone())
            };
            assert_eq!(call.token, expected, "{:?}", call.method);
            assert!(
                call.user_agent.starts_with("depot-build/"),
                "{}",
                call.user_agent
            );
        }
        // One connection for everything.
        assert_eq!(record.connections.len(), 1);
        depot.check().unwrap();
    });
}

#[test]
fn the_variables_reach_the_frontend() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = Context::new("FROM scratch\n").unwrap();
        context
            .file(
                "docker/app.Dockerfile",
                "FROM scratch AS base\nARG GREETING\nARG FROM_ENVIRONMENT\nLABEL greeting=$GREETING environment=$FROM_ENVIRONMENT\n\
                 COPY file /file\nFROM base AS other\nLABEL stage=other\n",
            )
            .unwrap();
        context.file("src/file", "content").unwrap();
        let image = place.image("frontend");
        let run = Program::of(&depot, context.path())
            .push(&image, &place.registry)
            .set("CONTEXT", "src")
            .set("DOCKERFILE", "docker/app.Dockerfile")
            .set("TARGET", "base")
            .set("BUILD_ARGS", "GREETING=a=b $x\nFROM_ENVIRONMENT")
            .set("FROM_ENVIRONMENT", "of the step")
            .set("PLATFORMS", "linux/amd64")
            .run()
            .await;
        run.expect(0, &[]);
        let manifest = image_manifest(place, "frontend").await;
        let config = manifest["config"]["digest"].clone();
        let config = place
            .registry
            .blob("frontend", config.as_str().unwrap())
            .await
            .unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        let labels = &config["config"]["Labels"];
        assert_eq!(labels["greeting"], "a=b $x");
        assert_eq!(labels["environment"], "of the step");
        assert_eq!(
            labels["stage"],
            Value::Null,
            "TARGET was not the stage built"
        );
        let Some(Request::CreateBuild(request)) = depot
            .record()
            .calls_of(Method::CreateBuild)
            .next()
            .and_then(|call| call.request.clone())
        else {
            panic!("CreateBuild was not read");
        };
        assert!(request.options[0].push);
        assert_eq!(request.options[0].tags, [image]);
    });
}

#[test]
fn a_second_build_is_cached_and_no_cache_builds_again() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN echo unique to the cache test");
        let build = || Program::of(&depot, context.path());
        build().run().await.expect(0, &["unique to the cache test"]);
        build().run().await.expect(0, &["CACHED"]);
        let again = build().set("NO_CACHE", "yes").run().await;
        again.expect(0, &[" unique to the cache test"]);
        assert!(!again.log.contains("CACHED"), "{}", again.log);
    });
}

#[test]
fn a_failing_step_is_shown_with_its_tail_and_its_lines() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN echo the last words && exit 7");
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(
            1,
            &[
                "the last words",
                "exit code: 7",
                "ERROR",
                "Dockerfile:5",
                ">>> RUN echo the last words",
            ],
        );
        let record = depot.record();
        let BuildState::Failed(error) = &record.last_build().unwrap().state else {
            panic!("{record:#?}");
        };
        assert!(error.contains("exit code: 7"), "{error}");
    });
}

#[test]
fn a_dockerfile_that_does_not_parse_names_its_line() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = Context::new("FROM scratch\nCOPPY a b\n").unwrap();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(1, &["COPPY", "Dockerfile:2", "ERROR"]);
    });
}

#[test]
fn a_missing_file_is_named_with_a_hint() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = Context::new("FROM scratch\nCOPY nowhere /\n").unwrap();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(1, &["nowhere", "hint: ", ".dockerignore"]);
    });
}

#[test]
fn the_next_container_of_a_repository_sends_only_what_has_changed() {
    with_place(async |place| {
        let context = small_context();
        let bytes = 3 << 20;
        let noise: Vec<u8> = (0_u32..bytes)
            .map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[1])
            .collect();
        context.file("file", &noise).unwrap();
        let mut sent = Vec::new();
        for repository in ["acme/one", "acme/one", "acme/other"] {
            let depot = place.depot(Scenario::default()).await;
            let run = Program::of(&depot, context.path())
                .set("BITBUCKET_REPO_FULL_NAME", repository)
                .run()
                .await;
            run.expect(0, &[]);
            sent.push(depot.record().connections[0].received.get());
        }
        assert!(sent[0] > u64::from(bytes), "{sent:?}");
        assert!(sent[1] < u64::from(bytes) / 10, "{sent:?}");
        assert!(sent[2] > u64::from(bytes), "{sent:?}");
    });
}

#[test]
fn a_secret_in_a_failing_command_is_masked_in_the_log_and_for_depot() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let secret = place.registry.password();
        let context = place.busybox_context(&format!("RUN echo {secret}; exit 1"));
        let run = Program::of(&depot, context.path())
            .push(&place.image("masked"), &place.registry)
            .run()
            .await;
        run.expect(1, &["***"]).without(secret);
        let record = depot.record();
        let BuildState::Failed(error) = &record.last_build().unwrap().state else {
            panic!("{record:#?}");
        };
        assert!(error.contains("***") && !error.contains(secret), "{error}");
    });
}
