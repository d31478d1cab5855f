//! Invalid variables: all are reported at once, before the build starts.

use std::fs;
use std::process::Command;

use depot_ground::fixtures::Context;
use local_depot::{LocalDepot, Scenario};

use super::loading::{layers, noise};
use super::place::{small_context, with_place};
use super::program::Program;

/// Fails the test if Depot got a request.
#[track_caller]
fn untouched(depot: &LocalDepot) {
    assert!(depot.record().calls.is_empty(), "{:#?}", depot.record());
}

#[test]
fn a_missing_token_is_reported_with_a_hint() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        for value in [None, Some(""), Some("$DEPOT_TOKEN"), Some("${DEPOT_TOKEN}")] {
            let program = Program::of(&depot, context.path());
            let program = match value {
                Some(value) => program.set("DEPOT_TOKEN", value),
                None => program.unset("DEPOT_TOKEN"),
            };
            program.run().await.expect(2, &["DEPOT_TOKEN"]);
        }
        untouched(&depot);
    });
}

#[test]
fn all_invalid_variables_are_reported_at_once() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .unset("DEPOT_TOKEN")
            .unset("DEPOT_PROJECT_ID")
            .set(
                "IMAGE",
                "registry.example.com/App:1\nregistry.example.com/app:1:2",
            )
            .set("PUSH", "maybe")
            .set("CONTEXT", "nowhere")
            .set("PLATFORMS", "plan9/pdp11")
            .set("REGISTRY_PASSWORD", "hunter2-alone")
            .set("DOCKER_FILE", "x")
            .run()
            .await;
        run.expect(
            2,
            &[
                "DEPOT_TOKEN",
                "DEPOT_PROJECT_ID",
                "registry.example.com/app:1",
                "app:1:2",
                "PUSH",
                "maybe",
                "CONTEXT",
                "nowhere",
                "plan9",
                "REGISTRY_USERNAME",
                "DOCKERFILE",
            ],
        )
        .without("hunter2-alone");
        untouched(&depot);
    });
}

#[test]
fn spaces_around_a_reference_are_accepted_and_a_push_requires_a_reference() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let image = place.image("spaces");
        let run = Program::of(&depot, context.path())
            .push(&format!("  {image} \n"), &place.registry)
            .run()
            .await;
        run.expect(0, &[&image]);
        let run = Program::of(&depot, context.path())
            .set("PUSH", "true")
            .run()
            .await;
        run.expect(2, &["IMAGE", "PUSH"]);
    });
}

#[test]
fn a_context_must_be_a_directory_inside_the_clone() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let clone = small_context();
        let elsewhere = small_context();
        for context in ["nowhere", "file", elsewhere.path().to_str().unwrap()] {
            let run = Program::of(&depot, clone.path())
                .set("BITBUCKET_CLONE_DIR", clone.path())
                .set("CONTEXT", context)
                .run()
                .await;
            run.expect(2, &["CONTEXT", context]);
        }
        untouched(&depot);
    });
}

#[test]
fn a_dockerfile_must_be_a_file_that_is_not_empty() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = Context::new("FROM scratch\n").unwrap();
        context.file("empty", "").unwrap();
        fs::create_dir(context.path().join("folder")).unwrap();
        for dockerfile in ["nowhere", "empty", "folder"] {
            let run = Program::of(&depot, context.path())
                .set("DOCKERFILE", dockerfile)
                .run()
                .await;
            run.expect(2, &["DOCKERFILE", dockerfile]);
        }
        untouched(&depot);
    });
}

#[test]
fn the_project_is_found_in_a_file_above_the_context() {
    with_place(async |place| {
        for name in ["depot.json", "depot.yml", "depot.yaml"] {
            let depot = place.depot(Scenario::default()).await;
            let clone = small_context();
            clone
                .file("deep/er/Dockerfile", "FROM scratch\nCOPY file /\n")
                .unwrap();
            clone.file("deep/er/file", "content").unwrap();
            clone
                .file(name, format!("{{\"id\": \"{}\"}}", depot.project_id()))
                .unwrap();
            let run = Program::of(&depot, clone.path())
                .unset("DEPOT_PROJECT_ID")
                .set("CONTEXT", "deep/er")
                .run()
                .await;
            run.expect(0, &[]);
        }
    });
}

/// Programs with an error in their YAML, each with its exit code and expected texts.
fn errors_in_the_yaml(
    program: impl Fn() -> Program,
) -> [(Program, i32, &'static [&'static str]); 6] {
    let role = "arn:aws:iam::123456789012:role/pipelines";
    let ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:1";
    [
        (
            program().unset("DEPOT_TOKEN"),
            2,
            &[
                "hint: store DEPOT_TOKEN as a secured variable",
                "\n  variables:\n    DEPOT_TOKEN: $",
            ],
        ),
        (
            program().set("DEPOT_TOKEN", "$MY_TOKEN"),
            2,
            &[
                "DEPOT_TOKEN is treated as unset: it refers to a variable that is not set in this pipeline",
            ],
        ),
        (
            program().set("CONTEXT", "services/web"),
            2,
            &[
                "hint: the clone directory contains no clone of the repository",
                "\n  clone:\n    enabled: false\n",
            ],
        ),
        (
            program().set("CONTEXT", "/etc"),
            2,
            &[
                "is outside of the clone directory",
                "hint: a pipe can read only the clone directory of its step",
            ],
        ),
        (
            program()
                .set("IMAGE", ecr)
                .set("PUSH", "true")
                .set("AWS_OIDC_ROLE_ARN", role),
            2,
            &[
                "it lacks `oidc: true`",
                "hint: add to the step, next to `script:`\n  oidc: true\n",
            ],
        ),
        (
            program()
                .set("LOAD", "true")
                .set("DOCKER_HOST", "unix:///nowhere.sock"),
            7,
            &[
                "hint: LOAD needs the step's Docker daemon",
                "\n  services:\n    - docker\n",
            ],
        ),
    ]
}

#[test]
fn errors_in_the_yaml_are_reported_with_a_snippet() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let clone = Context::new("FROM scratch\n").unwrap();
        let program = || Program::of(&depot, clone.path()).set("BITBUCKET_CLONE_DIR", clone.path());
        for (program, code, texts) in errors_in_the_yaml(program) {
            program.run().await.expect(code, texts);
        }
        untouched(&depot);
    });
}

#[test]
fn debug_logs_requests_without_secrets() {
    with_place(async |place| {
        let daemon = place.daemon(depot_ground::daemon::Release::Docker26).await;
        let depot = place.depot(Scenario::default()).await;
        let context = layers(&[("file", noise("story", 1000))]);
        let image = place.image("story");
        let run = Program::of(&depot, context.path())
            .push(&image, &place.registry)
            .load(&image, &daemon.docker_host())
            .set("BUILD_ARGS", "SECRET=planted-argument")
            .set("DEBUG", "true")
            .run()
            .await;
        let api = depot.api_url();
        run.expect(
            0,
            &[
                &format!("DEBUG: POST {api}/depot.cli.v1.BuildService/CreateBuild: 200 in "),
                "/depot.cli.v1.BuildService/FinishBuild: 200 in ",
                "DEBUG: Docker: GET /version: 200 in ",
                "POST /v1.45/images/load: 200 in ",
                "DEBUG: solving with attest:provenance, build-arg:DEPOT_TARGET, build-arg:SECRET, filename; export as image ",
                "DEBUG: reading sha256:",
                "DEBUG: the solve ended after ",
            ],
        );
        for secret in [depot.token(), place.registry.password(), "planted-argument"] {
            run.without(secret);
        }
    });
}

#[test]
fn a_login_in_the_url_of_a_context_is_not_printed() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = Context::new("FROM scratch\nCOPY --from=lib / /\n").unwrap();
        let run = Program::of(&depot, context.path())
            .set(
                "BUILD_CONTEXTS",
                "lib=https://me:planted-word@127.0.0.1:1/lib.tar",
            )
            .set("DEBUG", "true")
            .run()
            .await;
        run.expect(1, &["127.0.0.1:1/lib.tar"])
            .without("planted-word");
    });
}

#[test]
fn files_that_are_not_regular_are_rejected_at_once() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        fs::create_dir(context.path().join("docker")).unwrap();
        for name in ["fifo", "docker/config.json", "docker/ca.pem", "depot.json"] {
            let made = Command::new("mkfifo")
                .arg(context.path().join(name))
                .status();
            assert!(made.unwrap().success());
        }
        for (variable, value) in [
            ("SSL_CERT_FILE", "fifo"),
            ("SSL_CERT_FILE", "/dev/zero"),
            ("DOCKER_CONFIG", "docker"),
            ("DOCKER_CONFIG", "fifo"),
            ("DOCKERFILE", "fifo"),
            ("DOCKER_CERT_PATH", "docker"),
        ] {
            let run = Program::of(&depot, context.path())
                .load("app", "tcp://127.0.0.1:1")
                .set(variable, value)
                .run()
                .await;
            run.expect(2, &[variable, "regular file"]);
        }
        let run = Program::of(&depot, context.path())
            .unset("DEPOT_PROJECT_ID")
            .run()
            .await;
        run.expect(
            2,
            &[
                "DEPOT_PROJECT_ID",
                "depot.json` cannot be read: it is not a regular file",
            ],
        );
        untouched(&depot);
    });
}

#[test]
fn a_fifo_instead_of_bitbuckets_file_delays_nothing() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let fifo = context.path().join("fifo");
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        let run = Program::of(&depot, context.path())
            .set("OUTPUT_VARIABLES", "DEPOT_BUILD_ID")
            .set("BITBUCKET_PIPELINES_VARIABLES_PATH", &fifo)
            .run()
            .await;
        run.expect(
            0,
            &[
                "OUTPUT_VARIABLES: no variables are passed to later steps",
                "it is not a regular file",
            ],
        );
    });
}
