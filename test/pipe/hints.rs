//! Failed builds with a hint.

use depot_ground::fixtures::Context;
use depot_ground::internet::{Planned, RegistryFault};
use http::Method;
use local_depot::Scenario;

use super::place::{Place, small_context, with_place};
use super::program::{Program, Run};

/// Runs a build of these lines, which fails.
async fn failing(place: &Place, lines: &str) -> Run {
    let depot = place.depot(Scenario::default()).await;
    let context = place.busybox_context(lines);
    let run = Program::of(&depot, context.path()).run().await;
    run.expect(1, &["ERROR: failed to build: "]);
    run
}

#[test]
fn a_step_that_needs_a_secret_gets_a_hint() {
    with_place(async |place| {
        let hint =
            "hint: the step mounts the secret `npm`, which is not set: add `npm=$NAME` to SECRETS";
        let run = failing(
            place,
            "RUN --mount=type=secret,id=npm,required=true cat /run/secrets/npm",
        )
        .await;
        run.expect(1, &["secret npm: not found", hint]);
        // Without `required` the step runs, and the file is missing.
        let run = failing(
            place,
            "RUN --mount=type=secret,id=npm \\\n  cat /run/secrets/npm",
        )
        .await;
        run.expect(1, &["No such file", hint]);
        let run = failing(place, "RUN false").await;
        run.without("hint: ");
        // A secret that is set is not the cause.
        let context = place.busybox_context("RUN --mount=type=secret,id=npm false");
        let depot = place.depot(Scenario::default()).await;
        let program = Program::of(&depot, context.path()).set("SECRETS", "npm=npm-secret");
        program.run().await.expect(1, &[]).without("hint: ");
    });
}

#[test]
fn a_step_that_needs_an_ssh_key_gets_a_hint() {
    with_place(async |place| {
        let hint = "hint: the build needs an SSH key (`--mount=type=ssh`, or a Git repository over SSH): set `SSH: 'true'`";
        let run = failing(place, "RUN --mount=type=ssh,required=true true").await;
        run.expect(1, &["no SSH key", hint]);
        let run = failing(place, "RUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\"").await;
        run.expect(1, &[hint]);
        let run = failing(place, "RUN --mount=type=ssh,id=lib,required=true true").await;
        run.expect(
            1,
            &["hint: the step mounts the SSH key `lib`, which is not set: add `lib=PATH` to SSH"],
        );
        let rejected = "git@bitbucket.org: Permission denied (publickey).";
        let run = failing(place, &format!("RUN echo '{rejected}'; false")).await;
        run.expect(
            1,
            &["hint: the step has no SSH key: add `--mount=type=ssh` to its RUN"],
        );
        let unknown = "Host key verification failed.";
        let run = failing(
            place,
            &format!("RUN --mount=type=ssh echo '{unknown}'; false"),
        )
        .await;
        run.expect(
            1,
            &[
                "hint: the host key of the SSH server is not among the known hosts of the step",
                "; also, the build needs an SSH key",
            ],
        );
        // A key that is set is not the cause.
        for (line, hint) in [
            ("RUN --mount=type=ssh false".to_owned(), None),
            (
                format!("RUN --mount=type=ssh echo '{rejected}'; false"),
                Some("hint: the SSH server rejected the keys in SSH"),
            ),
        ] {
            let context = place.busybox_context(&line);
            let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ssh/samples/ed25519");
            context
                .file("deploy", std::fs::read(sample).unwrap())
                .unwrap();
            let depot = place.depot(Scenario::default()).await;
            let program = Program::of(&depot, context.path()).set("SSH", "deploy");
            let run = program.run().await;
            match hint {
                Some(hint) => run.expect(1, &[hint]),
                None => run.expect(1, &[]).without("hint: "),
            };
        }
    });
}

#[test]
fn a_full_disk_of_a_builder_gets_a_hint() {
    with_place(async |place| {
        let full = "RUN --mount=type=tmpfs,target=/full,size=1m dd if=/dev/zero of=/full/file bs=1M count=4";
        let run = failing(place, full).await;
        run.expect(
            1,
            &[
                "No space left on device",
                "hint: the disk of the builder is full",
            ],
        );
    });
}

#[test]
fn a_repository_over_ssh_needs_a_key() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set("CONTEXT", "git@bitbucket.org:acme/app.git")
            .set("BUILD_CONTEXTS", "lib=ssh://git@bitbucket.org/acme/lib.git")
            .run()
            .await;
        run.expect(
            2,
            &[
                "CONTEXT: `git@bitbucket.org:acme/app.git` is the address of a Git repository over SSH",
                "BUILD_CONTEXTS: entry 1 is the address of a Git repository over SSH, but SSH has no default key; set `SSH: 'true'`",
                "write `https://bitbucket.org/acme/lib.git`",
            ],
        );
    });
}

#[test]
fn hidden_characters_are_escaped() {
    with_place(async |place| {
        let lines = "# a\u{202e}comment\nRUN printf 'out\u{202e}put \u{1f469}\u{200d}\u{1f4bb} in\u{200b}visible\\n' && cat /no\u{2066}where";
        let run = failing(place, lines).await;
        run.expect(
            1,
            &[
                "out\\u{202e}put \u{1f469}\u{200d}\u{1f4bb} in\\u{200b}visible",
                "# a\\u{202e}comment",
                "'/no\\u{2066}where'",
            ],
        );
        for hidden in ['\u{202e}', '\u{2066}', '\u{200b}'] {
            assert!(!run.log.contains(hidden), "{hidden:?}: {}", run.log);
        }

        let depot = place.depot(Scenario::default()).await;
        let run = Program::of(&depot, small_context().path())
            .set("CONTEXT", "do\u{202e}cs")
            .set("TARGET", "re\u{200b}lease 1")
            .run()
            .await;
        run.expect(2, &["do\\u{202e}cs", "re\\u{200b}lease"]);
    });
}

/// Runs a build with a base image from Docker Hub, whose rate limit is reached.
async fn limited(place: &Place, message: &'static str, login: bool) -> Option<Run> {
    let internet = place.internet()?;
    let hub = place.docker_hub(internet).await;
    internet.plan(Planned {
        host: "registry-1.docker.io".into(),
        method: Method::HEAD,
        path_part: "/library/limited/",
        times: 100,
        fault: RegistryFault::Answer(429, Vec::new()),
    });
    internet.plan(Planned {
        host: "registry-1.docker.io".into(),
        method: Method::GET,
        path_part: "/library/limited/",
        times: 100,
        fault: RegistryFault::Refuse(429, message),
    });
    let depot = place.depot(Scenario::default()).await;
    let context = Context::new("FROM limited:1\n").unwrap();
    let mut program = Program::of(&depot, context.path()).on(internet);
    if login {
        program = program
            .set("DOCKERHUB_USERNAME", hub.owner().username())
            .set("DOCKERHUB_TOKEN", hub.owner().password());
    }
    Some(program.run().await)
}

#[test]
fn the_pull_limit_of_docker_hub_gets_a_hint() {
    with_place(async |place| {
        let message = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
        for (login, hint) in [
            (
                false,
                "hint: Docker Hub's pull rate limit without a login is reached",
            ),
            (
                true,
                "hint: Docker Hub's pull rate limit for the account in DOCKERHUB_TOKEN is reached",
            ),
        ] {
            let Some(run) = limited(place, message, login).await else {
                return;
            };
            run.expect(5, &["429", hint]);
        }
    });
}

#[test]
fn a_frontend_without_named_contexts_gets_a_hint() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        // To a builder, any image without the label for named contexts is an old frontend.
        let image = place.image("old-frontend");
        let built = small_context();
        let run = Program::of(&depot, built.path())
            .push(&image, &place.registry)
            .run()
            .await;
        run.expect(0, &[]);

        let dockerfile = format!("# syntax={image}\nFROM scratch\nCOPY --from=other / /\n");
        let context = Context::new(&dockerfile).unwrap();
        context.file("other/file", "x").unwrap();
        let run = Program::of(&depot, context.path())
            .push(&place.image("of-old-frontend"), &place.registry)
            .set("BUILD_CONTEXTS", "other=other")
            .run()
            .await;
        run.expect(
            1,
            &[
                "unsupported frontend capability moby.buildkit.frontend.contexts",
                "hint: the frontend in the `# syntax=` line of the Dockerfile is too old for BUILD_CONTEXTS",
            ],
        );
    });
}
