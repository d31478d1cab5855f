//! An image contains the files as they are on disk, regardless of the builder's files from earlier builds.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use depot_ground::fixtures::Context;
use local_depot::Scenario;

use super::place::{Place, with_place};
use super::program::{Program, Run};

/// Each test has its own repository, so that the builder has no files of other tests.
fn build(context: &Context, depot: &local_depot::LocalDepot) -> Program {
    let name = context.path().file_name().unwrap().to_string_lossy();
    Program::of(depot, context.path())
        .set("BITBUCKET_CLONE_DIR", context.path())
        .set("BITBUCKET_REPO_FULL_NAME", format!("acme/{name}"))
}

async fn run(place: &Place, context: &Context, variables: &[(&str, &str)]) -> Run {
    let depot = place.depot(Scenario::default()).await;
    let mut program = build(context, &depot);
    for (name, value) in variables {
        program = program.set(name, value);
    }
    let run = program.run().await;
    depot.check().unwrap();
    run
}

/// Sets the modification time, as `touch -d @SECONDS` does.
fn touch(path: &Path, seconds: u64) {
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_file_that_keeps_its_size_and_time_is_sent_again_when_its_content_changes() {
    with_place(async |place| {
        let lines = "COPY version.txt /c/\nCOPY --from=extra . /extra\nARG ROUND\n\
                     RUN echo \"round $ROUND: now $(cat /c/version.txt) and $(cat /extra/data)\"";
        let context = place.busybox_context(lines);
        let variables = [("BUILD_CONTEXTS", "extra=extra")];
        let version = context.path().join("version.txt");
        let data = context.path().join("extra/data");
        let contents = [
            ("1.0.1\n", false),
            ("1.0.2\n", false),
            ("1.0.3\n", true),
            ("1.0.1\n", false),
        ];
        for (round, (content, no_cache)) in contents.into_iter().enumerate() {
            context.file("version.txt", content).unwrap();
            context.file("extra/data", content).unwrap();
            touch(&version, 1_577_836_800);
            touch(&data, 1_577_836_800);
            // The last step runs in each round, whatever is cached.
            let round = format!("ROUND={round}");
            let mut variables = variables.to_vec();
            variables.push(("BUILD_ARGS", &round));
            if no_cache {
                variables.push(("NO_CACHE", "true"));
            }
            let version = content.trim();
            let seen = run(place, &context, &variables).await;
            seen.expect(0, &[&format!("now {version} and {version}")]);
        }
    });
}

#[test]
fn further_names_and_attributes_of_a_file_change_with_it() {
    with_place(async |place| {
        let context =
            place.busybox_context("COPY d /c\nRUN echo \"now $(cat /c/a) and $(cat /c/b)\"");
        let (a, b) = (context.path().join("d/a"), context.path().join("d/b"));
        context.file("d/a", "one").unwrap();
        fs::hard_link(&a, &b).unwrap();
        for content in ["one", "two"] {
            fs::write(&a, content).unwrap();
            touch(&a, 1_577_836_800);
            run(place, &context, &[])
                .await
                .expect(0, &[&format!("now {content} and {content}")]);
        }
    });
}

#[test]
fn the_mode_of_a_directory_or_a_file_is_the_one_on_disk() {
    with_place(async |place| {
        let context = place
            .busybox_context("COPY . /c\nRUN cd /c && stat -c 'mode of %n: %a' conf conf/file");
        context.file("conf/file", "x").unwrap();
        let (directory, file) = (
            context.path().join("conf"),
            context.path().join("conf/file"),
        );
        for (directory_mode, file_mode) in [(0o755, 0o644), (0o700, 0o644), (0o700, 0o600)] {
            fs::set_permissions(&directory, fs::Permissions::from_mode(directory_mode)).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(file_mode)).unwrap();
            run(place, &context, &[]).await.expect(
                0,
                &[
                    &format!("mode of conf: {directory_mode:o}"),
                    &format!("mode of conf/file: {file_mode:o}"),
                ],
            );
        }
    });
}

#[test]
fn changed_extended_attributes_of_files_and_directories_are_detected() {
    with_place(async |place| {
        let context = place.busybox_context("COPY d /d\nRUN echo copied $((1 + 1)) times");
        context.file("d/sub/file", "x").unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        let set = |path: &str, value: &[u8]| {
            rustix::fs::setxattr(context.path().join(path), "user.depot", value, flags)
        };
        if set("d/sub/file", b"0").is_err() {
            return; // The file system of this machine does not support them.
        }
        for (path, value) in [
            ("d/sub/file", b"1"),
            ("d/sub/file", b"2"),
            ("d/sub", b"1"),
            ("d/sub", b"2"),
        ] {
            set(path, value).unwrap();
            run(place, &context, &[])
                .await
                .expect(0, &["copied 2 times"]);
            // Without a change, everything is cached.
            let again = run(place, &context, &[]).await;
            again.expect(0, &["CACHED"]).without("copied 2 times");
        }
    });
}

#[test]
fn two_directories_never_share_a_key() {
    with_place(async |place| {
        let context = Context::new("").unwrap();
        for (name, content) in [("早", "morning"), ("晚", "evening")] {
            let lines = place.busybox_context("COPY f /f\nRUN echo \"it is $(cat /f)\"");
            let dockerfile = fs::read(lines.path().join("Dockerfile")).unwrap();
            for entry in fs::read_dir(lines.path()).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    let to = context.path().join(name).join(entry.file_name());
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    fs::copy(entry.path(), to).unwrap();
                }
            }
            context
                .file(&format!("{name}/Dockerfile"), dockerfile)
                .unwrap();
            context.file(&format!("{name}/f"), content).unwrap();
            touch(&context.path().join(name).join("f"), 1_577_836_800);
            run(place, &context, &[("CONTEXT", name)])
                .await
                .expect(0, &[&format!("it is {content}")]);
        }
    });
}

#[test]
fn a_named_context_that_refers_to_another_directory_is_a_different_context() {
    with_place(async |place| {
        let context = place.busybox_context("COPY --from=src f /f\nRUN echo \"it is $(cat /f)\"");
        for (name, content) in [("one", "1.0.1"), ("two", "1.0.2")] {
            context.file(&format!("brands/{name}/f"), content).unwrap();
        }
        // Files that were written in the same tick of the clock.
        let first = context.path().join("brands/one/f");
        let time = fs::metadata(&first).unwrap().modified().unwrap();
        let second = File::open(context.path().join("brands/two/f")).unwrap();
        second.set_modified(time).unwrap();
        for (name, content) in [("one", "1.0.1"), ("two", "1.0.2")] {
            let contexts = format!("src=brands/{name}");
            run(place, &context, &[("BUILD_CONTEXTS", &contexts)])
                .await
                .expect(0, &[&format!("it is {content}")]);
        }
    });
}

#[test]
fn an_ignore_file_behind_a_link_is_used() {
    let list = "COPY . /context\nRUN cd /context && find . -type f | sort";
    with_place(async |place| {
        // Next to the Dockerfile, a link within the directory.
        let context = place.busybox_context(list);
        let dockerfile = fs::read(context.path().join("Dockerfile")).unwrap();
        context.file("web.Dockerfile", &dockerfile).unwrap();
        context.file("common.ignore", "secrets\n").unwrap();
        context.file("secrets/key", "hunter2").unwrap();
        context.file("kept", "").unwrap();
        symlink(
            "common.ignore",
            context.path().join("web.Dockerfile.dockerignore"),
        )
        .unwrap();
        run(place, &context, &[("DOCKERFILE", "web.Dockerfile")])
            .await
            .expect(0, &["./kept"])
            .without("secrets/key");

        // Next to a link to the Dockerfile.
        let context = place.busybox_context(list);
        let dockerfile = context.path().join("Dockerfile");
        fs::create_dir(context.path().join("docker")).unwrap();
        fs::rename(&dockerfile, context.path().join("docker/Dockerfile.prod")).unwrap();
        symlink("docker/Dockerfile.prod", &dockerfile).unwrap();
        context
            .file("Dockerfile.dockerignore", "secrets\n")
            .unwrap();
        context.file("secrets/key", "hunter2").unwrap();
        run(place, &context, &[])
            .await
            .expect(0, &["./docker/Dockerfile.prod"])
            .without("secrets/key");

        // The ignore file of the context, outside of the context but in the clone.
        let clone = Context::new("").unwrap();
        clone.file("shared/ignore", "secrets\n").unwrap();
        let service = place.busybox_context(list);
        let within = clone.path().join("service");
        fs::create_dir(&within).unwrap();
        for entry in fs::read_dir(service.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), within.join(entry.file_name())).unwrap();
        }
        clone.file("service/secrets/key", "hunter2").unwrap();
        clone.file("service/kept", "").unwrap();
        symlink("../shared/ignore", within.join(".dockerignore")).unwrap();
        run(place, &clone, &[("CONTEXT", "service")])
            .await
            .expect(0, &["./kept"])
            .without("secrets/key");
    });
}

#[test]
fn a_lower_case_dockerfile_is_built() {
    with_place(async |place| {
        for dockerfile in [None, Some("Dockerfile")] {
            let context = place.busybox_context("RUN echo built in lower case");
            fs::rename(
                context.path().join("Dockerfile"),
                context.path().join("dockerfile"),
            )
            .unwrap();
            let variables: Vec<_> = dockerfile
                .map(|name| ("DOCKERFILE", name))
                .into_iter()
                .collect();
            let depot_run = run(place, &context, &variables).await;
            assert_eq!(depot_run.code, 0, "{}", depot_run.log);
        }
    });
}

#[test]
fn a_name_that_is_not_utf_8_reaches_the_image() {
    with_place(async |place| {
        let context = place.busybox_context("COPY d /d\nRUN find /d -type f | cat -v");
        fs::create_dir(context.path().join("d")).unwrap();
        let name = OsStr::from_bytes(b"caf\xe9");
        fs::write(context.path().join("d").join(name), "").unwrap();
        // Builders before BuildKit 0.14, such as Depot's, accept any bytes.
        run(place, &context, &[]).await.expect(0, &["cafM-i"]);
    });
}

#[test]
fn a_file_dated_2300_is_not_reported_as_changing() {
    with_place(async |place| {
        let context = place.busybox_context("COPY f /f");
        context.file("f", "x").unwrap();
        touch(&context.path().join("f"), 10_413_792_000);
        run(place, &context, &[])
            .await
            .expect(0, &[])
            .without("changed");
    });
}

/// A clone in another container: the same files with new times.
fn clone_of(context: &Context) -> Context {
    let clone = Context::new("").unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(context.path().join("."))
        .arg(clone.path())
        .status();
    assert!(copied.unwrap().success());
    clone
}

#[test]
fn times_of_content_send_only_changed_files_of_a_new_clone() {
    with_place(async |place| {
        let lines = "COPY data /data\nARG ROUND\nRUN echo \"round $ROUND: $(cat /data/*)\"";
        let first = place.busybox_context(lines);
        for name in ["one", "two"] {
            first.file(&format!("data/{name}"), name).unwrap();
        }
        let repository = first
            .path()
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let built = async |context: &Context, times: &str, round: &str| {
            let depot = place.depot(Scenario::default()).await;
            let run = Program::of(&depot, context.path())
                .set("BITBUCKET_CLONE_DIR", context.path())
                .set("BITBUCKET_REPO_FULL_NAME", format!("acme/{repository}"))
                .set("CONTEXT_TIMES", times)
                .set("BUILD_ARGS", format!("ROUND={round}"))
                .run()
                .await;
            depot.check().unwrap();
            run
        };
        built(&first, "content", "1")
            .await
            .expect(0, &["sent     1.9MB of the context", "round 1: onetwo"]);
        let second = clone_of(&first);
        built(&second, "content", "2").await.expect(
            0,
            &[
                "sent     0B of the context",
                "COPY data /data\n#",
                "round 2: onetwo",
            ],
        );
        // The same size, and another content.
        let third = clone_of(&second);
        third.file("data/two", "TWO").unwrap();
        fs::remove_file(third.path().join("data/one")).unwrap();
        built(&third, "content", "3")
            .await
            .expect(0, &["sent     3B of the context", "round 3: TWO"]);
        // With the times of the clone, everything is sent again.
        built(&clone_of(&third), "clone", "4")
            .await
            .expect(0, &["sent     1.9MB of the context", "round 4: TWO"]);
    });
}

#[test]
fn times_of_content_with_a_cache_mount_cause_a_warning() {
    with_place(async |place| {
        let context =
            place.busybox_context("RUN --mount=type=cache,target=/cache echo built > /cache/file");
        let times = [("CONTEXT_TIMES", "content")];
        let run = run(place, &context, &times).await;
        run.expect(
            0,
            &["WARNING: CONTEXT_TIMES is `content`, and the Dockerfile mounts a cache"],
        );
        let run = self::run(place, &context, &[("CONTEXT_TIMES", "now")]).await;
        run.expect(
            2,
            &["CONTEXT_TIMES: `now` is neither `clone` nor `content`"],
        );
    });
}
