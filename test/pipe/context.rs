//! The entries of a directory that reach the builder, as seen in the image.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use depot_ground::fixtures::Context;
use local_depot::Scenario;

use super::place::{Place, with_place};
use super::program::{Program, Run};

/// Copies the whole context and lists it in the log, one entry per line: type, mode, owner, time, path, link.
const LIST: &str =
    "COPY . /context\nRUN cd /context && find . -exec stat -c 'entry %F %a %u:%g %Y %n %N' {} +";

async fn listed(place: &Place, context: &Context) -> Run {
    let depot = place.depot(Scenario::default()).await;
    let run = Program::of(&depot, context.path())
        .set("BITBUCKET_CLONE_DIR", context.path())
        .set("NO_CACHE", "true")
        .run()
        .await;
    depot.check().unwrap();
    run
}

#[test]
fn entries_keep_their_type_and_mode_and_lose_their_owner() {
    with_place(async |place| {
        let context = place.busybox_context(LIST);
        context.file("folder/script", "#!/bin/sh\n").unwrap();
        let script = context.path().join("folder/script");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o751)).unwrap();
        std::os::unix::fs::chown(&script, Some(1234), Some(1234)).unwrap();
        let moment = UNIX_EPOCH + Duration::from_secs(1_234_567_890);
        let file = fs::File::options().write(true).open(&script).unwrap();
        file.set_modified(moment).unwrap();
        symlink("/etc/passwd", context.path().join("outside")).unwrap();
        symlink("nowhere", context.path().join("dangling")).unwrap();
        symlink("loop", context.path().join("loop")).unwrap();
        let run = listed(place, &context).await;
        run.expect(
            0,
            &[
                "entry regular file 751 0:0 1234567890 ./folder/script",
                " ./outside './outside' -> '/etc/passwd'",
                " ./dangling './dangling' -> 'nowhere'",
                " ./loop './loop' -> 'loop'",
            ],
        );
    });
}

#[test]
fn a_fifo_is_sent_as_a_fifo_and_never_opened() {
    with_place(async |place| {
        let context = place.busybox_context(LIST);
        let made = Command::new("mkfifo")
            .arg(context.path().join("fifo"))
            .status()
            .unwrap();
        assert!(made.success());
        listed(place, &context)
            .await
            .expect(0, &["entry fifo", "./fifo"]);
    });
}

#[test]
fn dockerignore_excludes_matches_and_keeps_exceptions() {
    with_place(async |place| {
        let context = place.busybox_context(LIST);
        context
            .file(
                ".dockerignore",
                "# comment\nlogs\n*.tmp\n!keep.tmp\n**/deep/*\n!a/deep/wanted\n",
            )
            .unwrap();
        for name in [
            "logs/today",
            "gone.tmp",
            "keep.tmp",
            "a/deep/wanted",
            "a/deep/unwanted",
            "normal",
        ] {
            context.file(name, name).unwrap();
        }
        let run = listed(place, &context).await;
        run.expect(0, &[" ./keep.tmp ", " ./a/deep/wanted ", " ./normal "]);
        for name in ["./logs", "./gone.tmp", "unwanted"] {
            run.without(&format!(" {name} "));
        }
    });
}

#[test]
fn a_bad_pattern_in_dockerignore_is_named() {
    with_place(async |place| {
        let context = place.busybox_context(LIST);
        context.file(".dockerignore", "a[b\n").unwrap();
        listed(place, &context).await.expect(1, &["a[b"]);
    });
}

#[test]
fn files_of_other_pipes_are_never_sent() {
    with_place(async |place| {
        let context = place.busybox_context(LIST);
        let storage = ".bitbucket/pipelines/generated/pipeline/pipes/other/secret";
        context.file(storage, "hunter2").unwrap();
        context.file(".bitbucket/kept", "").unwrap();
        listed(place, &context)
            .await
            .expect(0, &[" ./.bitbucket/kept "])
            .without("generated");
    });
}

#[test]
fn a_file_that_cannot_be_read_ends_the_build_with_its_name() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = Context::new("FROM scratch\nCOPY . /\n").unwrap();
        context.file("secret/locked", "x").unwrap();
        let locked = context.path().join("secret/locked");
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(context.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Root can read the file regardless of its mode.
        let run = Program::of(&depot, context.path())
            .through(&[
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
            ])
            .run()
            .await;
        run.expect(1, &["secret/locked", "Permission denied"]);
    });
}

#[test]
fn any_number_of_links_is_followed_with_bounded_memory() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        for (links, target, code, text) in [
            (5_000, "../t".to_owned(), 0, "COPY l/* /x/"),
            (
                20_000,
                format!("../{}", "d/".repeat(2000)),
                1,
                "lead to too many",
            ),
        ] {
            let context = Context::new("FROM scratch\nCOPY l/* /x/\n").unwrap();
            fs::create_dir(context.path().join("l")).unwrap();
            context.file("t", "the target").unwrap();
            for index in 0..links {
                let link = context.path().join(format!("l/{index}"));
                symlink(&target, link).unwrap();
            }
            let mut log = Vec::new();
            let program = Program::of(&depot, context.path()).start();
            let passed = program.pass(|bytes| log.extend_from_slice(bytes)).await;
            let log = String::from_utf8_lossy(&log);
            assert!(log.contains(text), "{log}");
            assert_eq!(passed.code, code, "{log}");
            assert!(passed.peak_kib < 80 << 10, "{passed:?}");
        }
    });
}

/// A context with a login, keys, and the output files of an earlier run.
fn context_with_secrets_and_outputs(place: &Place) -> Context {
    let list = format!("{LIST}\nCOPY --from=extra . /extra\nRUN find /extra -type f");
    let context = place.busybox_context(&list);
    let login = r#"{"auths":{"registry.example.com":{"auth":"bWU6aHVudGVyMjI="}}}"#;
    context.file(".docker/config.json", login).unwrap();
    context.file(".docker/other", "").unwrap();
    context.file("extra/kept", "").unwrap();
    // The same file under another name.
    let config = context.path().join(".docker/config.json");
    fs::hard_link(&config, context.path().join("extra/login")).unwrap();
    for name in [
        ".docker/contexts/tls/x/key",
        "certs/key.pem",
        "certs/ca-key.pem",
    ] {
        context.file(name, "-----BEGIN PRIVATE KEY-----").unwrap();
    }
    context.file("certs/ours.pem", "").unwrap();
    for name in [
        "out/image.env",
        "metadata.json",
        "iid",
        "shared/depot-build.env",
        "vars",
    ] {
        context.file(name, "old").unwrap();
    }
    context
}

#[test]
fn files_with_secrets_and_outputs_are_never_sent() {
    with_place(async |place| {
        let context = context_with_secrets_and_outputs(place);
        let depot = place.depot(Scenario::default()).await;
        let run = Program::of(&depot, context.path())
            .set("BITBUCKET_CLONE_DIR", context.path())
            .set("NO_CACHE", "true")
            .set("BUILD_CONTEXTS", "extra=extra")
            .set("DOCKER_CONFIG", ".docker")
            .set("DOCKER_CERT_PATH", "certs")
            .set("OUTPUT_FILE", "out/image.env")
            .set("METADATA_FILE", "metadata.json")
            .set(
                "BITBUCKET_PIPE_SHARED_STORAGE_DIR",
                context.path().join("shared"),
            )
            .set(
                "BITBUCKET_PIPELINES_VARIABLES_PATH",
                context.path().join("vars"),
            )
            .run()
            .await;
        run.expect(
            0,
            &[
                " ./.docker/other ",
                " ./iid ",
                " ./certs/ours.pem ",
                "/extra/kept",
            ],
        );
        for name in [
            "config.json",
            "tls/x/key",
            "key.pem",
            "ca-key.pem",
            "login",
            "image.env",
            "metadata.json",
            "depot-build.env",
            "vars",
        ] {
            run.without(&format!("/{name} "))
                .without(&format!("/{name}\n"));
        }
    });
}
