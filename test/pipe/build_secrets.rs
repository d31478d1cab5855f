//! Secrets in steps that mount them.

use std::time::Duration;

use depot_ground::fixtures::Context;
use local_depot::{MachinePlan, Scenario};
use uuid::Uuid;

use super::place::{Place, with_place};
use super::program::{Program, Run};

/// Runs a build with these variables.
async fn run(place: &Place, context: &Context, variables: &[(&str, &str)]) -> Run {
    let depot = place.depot(Scenario::default()).await;
    let program = Program::of(&depot, context.path());
    let variables = variables.iter();
    let program = variables.fold(program, |program, (name, value)| program.set(name, value));
    let run = program.run().await;
    depot.check().unwrap();
    run
}

/// A step that mounts a secret and prints its size and digest.
fn measure(id: &str) -> String {
    format!(
        "RUN --mount=type=secret,id={id},required=true wc -c < /run/secrets/{id} > /{id}.size; \\\n\
         \x20   echo \"{id} has $(cat /{id}.size) bytes, $(sha256sum < /run/secrets/{id} | cut -c 1-16)\"\n"
    )
}

fn measured(id: &str, content: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    let hex: String = hex.collect();
    format!("{id} has {} bytes, {}", content.len(), &hex[..16])
}

#[test]
fn a_step_gets_exactly_the_secret_that_it_mounts() {
    with_place(async |place| {
        let ids = [
            "token",
            "inherited",
            "key",
            "empty",
            "file",
            "binary",
            "generated",
        ];
        let steps: String = ids.into_iter().map(measure).collect();
        let lines = steps
            + "RUN --mount=type=secret,id=token,target=/a/b,mode=0444 echo \"$(stat -c %a /a/b) is its mode\"\n\
               RUN --mount=type=secret,id=absent echo \"mounted: $(ls /run/secrets | wc -l)\"\n\
               RUN echo \"left: $(ls -R /run/secrets /a 2>/dev/null | grep -c token)\"\n\
               COPY . /context\n\
               RUN echo \"context: $(cd /context; find . -type f | sort | tr '\\n' ' ')\"\n";
        let context = place.busybox_context(&lines);
        let binary: Vec<u8> = (0..500 * 1024_u32)
            .map(|byte| (byte % 251).to_le_bytes()[0])
            .collect();
        let generated = ".bitbucket/pipelines/generated/pipeline/pipes/key";
        context.file("keys/file", "one\ntwo\r\n").unwrap();
        context.file("keys/binary", &binary).unwrap();
        context.file(generated, "from a pipe").unwrap();
        context.file("keys/other", "not a secret").unwrap();
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n";
        let files = format!("file=keys/file\nbinary=keys/binary\ngenerated={generated}");
        let variables = [
            (
                "SECRETS",
                "token= npm_0123= \"x\" \nKEY_OF_ENV\ninherited=y\nempty=",
            ),
            ("SECRET_FILES", &*files),
            ("KEY_OF_ENV", key),
        ];
        let lines = lines
            .replace("id=key,", "id=KEY_OF_ENV,")
            .replace("secrets/key", "secrets/KEY_OF_ENV");
        context
            .file(
                "Dockerfile",
                format!("{}{lines}", depot_ground::fixtures::BUSYBOX_BASE),
            )
            .unwrap();
        let run = run(place, &context, &variables).await;
        run.expect(
            0,
            &[
                &measured("token", b" npm_0123= \"x\" "),
                &measured("inherited", b"y"),
                &measured("key", key.as_bytes()),
                &measured("empty", b""),
                &measured("file", b"one\ntwo\r\n"),
                &measured("binary", &binary),
                &measured("generated", b"from a pipe"),
                "444 is its mode",
                "mounted: 0",
                "left: 0",
                "context: ./Dockerfile ./busybox ./keys/other ",
            ],
        );
    });
}

#[test]
fn a_secret_of_several_lines_is_masked_line_by_line() {
    with_place(async |place| {
        let context = place.busybox_context(
            "RUN --mount=type=secret,id=key cat /run/secrets/key; base64 /run/secrets/key; sed -n 2p /run/secrets/key; exit 3",
        );
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIBAQ\n-----END KEY-----\n";
        let mapping = format!("key: |\n  {}", key.replace('\n', "\n  "));
        context.file("key.pem", key).unwrap();
        for variables in [("SECRETS", &*mapping), ("SECRET_FILES", "key=key.pem")] {
            let run = run(place, &context, &[variables]).await;
            run.expect(1, &["***", "exit code: 3"]);
            for line in [
                "MIIEvQIBADANBgkqhkiG9w0BAQ",
                "EFAASCBKcwggSjAgEAAoIBAQ",
                "TUlJRXZRSUJBREFOQmdrcWhraUc5dzBCQV",
            ] {
                run.without(line);
            }
        }
    });
}

#[test]
fn a_changed_secret_does_not_run_the_step_again() {
    with_place(async |place| {
        let context = place.busybox_context(
            "RUN --mount=type=secret,id=token,required=true cat /proc/sys/kernel/random/uuid > /id\n\
             RUN echo \"ran-$((40 + 2)) as $(cat /id)\"",
        );
        let first = run(place, &context, &[("SECRETS", "token=first-secret")]).await;
        first.expect(0, &["ran-42 as "]);
        let second = run(place, &context, &[("SECRETS", "token=second-secret")]).await;
        second.expect(0, &["CACHED"]).without("ran-42 as ");
    });
}

#[test]
fn a_file_that_vanishes_before_its_use_is_named_in_the_error() {
    with_place(async |place| {
        // The cache must not have the step.
        let line = format!("RUN --mount=type=secret,id=token echo {}", Uuid::new_v4());
        let context = place.busybox_context(&line);
        context.file("keys/token", "some-secret").unwrap();
        let plan = MachinePlan::default().pending(2, Duration::from_secs(1));
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let mut running = Program::of(&depot, context.path())
            .set("SECRET_FILES", "token=keys/token")
            .start();
        running.until("/builds/").await;
        std::fs::remove_file(context.path().join("keys/token")).unwrap();
        running.end().await.expect(
            1,
            &[
                "the secret `token` (`keys/token` in SECRET_FILES) cannot be read: No such file or directory",
                "hint: the file must exist, unchanged, until the build has ended",
            ],
        );
    });
}

#[test]
fn a_secret_file_cannot_be_copied() {
    with_place(async |place| {
        let context = place.busybox_context("COPY keys/token /token");
        context.file("keys/token", "some-secret").unwrap();
        let run = run(place, &context, &[("SECRET_FILES", "token=keys/token")]).await;
        run.expect(
            1,
            &["/keys/token", "not found", "it is not in SECRET_FILES"],
        );
    });
}
