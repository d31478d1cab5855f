//! The pipe and the CLI send the same files to the builder, entry by entry.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, UNIX_EPOCH};

use depot_ground::fixtures::Context;
use local_depot::Scenario;
use tokio::process::Command;

use crate::cli::Trial;
use crate::ground::ground;

/// Copies the context and lists it in the log: kind, mode, size, links, time, path, target.
const LIST: &str = "COPY . /context\n\
     RUN cd /context && find . -exec stat -c 'entry %F %a %s %h %Y %N' {} + | cat -v";

/// Runs the pipe in the context and returns its log.
async fn pipe(trial: &Trial, context: &Path, dockerfile: Option<&str>) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_depot-build"))
        .env_clear()
        .env("NO_COLOR", "1")
        .env("DEPOT_API_URL", trial.stand_in.api_url())
        .env("DEPOT_TOKEN", &trial.token)
        .env("DEPOT_PROJECT_ID", &trial.project)
        .env("BITBUCKET_CLONE_DIR", context)
        .env("NO_CACHE", "true")
        .envs(dockerfile.map(|name| ("DOCKERFILE", name)))
        .current_dir(context)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_mins(1), output);
    let output = output.await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    log
}

/// The listed entries of a log, without the directory that the build itself creates.
fn entries(log: &str) -> BTreeSet<&str> {
    let lines = log.lines();
    lines
        .filter_map(|line| line.find("entry ").and_then(|start| line.get(start..)))
        .filter(|line| !line.contains("stat -c") && !line.contains("%F") && !line.ends_with(" ."))
        .collect()
}

/// Compares both lists, and returns the list of the pipe.
async fn compare(context: &Context, dockerfile: Option<&str>) -> String {
    let ground = ground().await.unwrap();
    let trial = Trial::start(ground, Scenario::default()).await;
    let file = dockerfile.map(|name| context.path().join(name).display().to_string());
    let mut arguments = vec!["--no-cache"];
    if let Some(file) = &file {
        arguments.extend(["--file", file]);
    }
    let ran = trial.build(context, &arguments).await;
    ran.exits(0);
    let log = pipe(&trial, context.path(), dockerfile).await;
    let (ours, theirs) = (entries(&log), entries(&ran.stderr));
    assert!(theirs.len() >= 3, "{ran:#?}");
    assert_eq!(ours, theirs);
    log
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn links_modes_times_and_unusual_names_are_the_same() {
    let Some(ground) = ground().await else { return };
    let context = Context::on_busybox(&ground.busybox, LIST).unwrap();
    let at = |name: &str| context.path().join(name);
    for name in [
        "d/deep/er/file",
        "d/private",
        "script",
        "empty",
        ".hidden",
        " spaces ",
        "new\nline",
    ] {
        context
            .file(name, if name == "empty" { "" } else { name })
            .unwrap();
    }
    fs::create_dir(at("d/nothing")).unwrap();
    mode(&at("d/private"), 0o600);
    mode(&at("script"), 0o4755);
    mode(&at("d/deep"), 0o1777);
    mode(&at("d/nothing"), 0o700);
    fs::hard_link(at("script"), at("d/another-name")).unwrap();
    for (target, link) in [
        ("d", "to-directory"),
        ("script", "to-file"),
        ("nowhere", "to-nothing"),
        ("to-itself", "to-itself"),
        ("/etc/passwd", "to-outside"),
        ("../../..", "upwards"),
    ] {
        symlink(target, at(link)).unwrap();
    }
    let odd = OsStr::from_bytes(b"d/caf\xe9");
    fs::write(context.path().join(odd), "odd").unwrap();
    symlink(OsStr::from_bytes(b"\xff\xfe"), at("to-odd")).unwrap();
    for (name, seconds) in [("d/deep/er/file", 1), ("empty", 1_577_836_800)] {
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        File::open(at(name)).unwrap().set_modified(time).unwrap();
    }
    let log = compare(&context, None).await;
    assert!(
        log.contains("cafM-i") && log.contains("d/another-name"),
        "{log}"
    );
}

#[tokio::test]
async fn ignore_files_select_the_same_files() {
    let Some(ground) = ground().await else { return };
    for (ignore, hidden) in [
        ("secrets\n!secrets/public\n*.tmp\n", "secrets/key"),
        ("# comment\n**/key\n/kept\n", "secrets/key"),
        ("*\n!busybox\n!kept\n!secrets/p*\n", "secrets/key"),
        ("secrets/*\n!secrets/public\n \n./a.tmp\n", "a.tmp"),
    ] {
        // The ignore file of the context, that of the Dockerfile, which takes precedence, and links to both.
        for (name, is_link, dockerfile) in [
            (".dockerignore", false, None),
            (".dockerignore", true, None),
            ("web.Dockerfile.dockerignore", false, Some("web.Dockerfile")),
            ("web.Dockerfile.dockerignore", true, Some("web.Dockerfile")),
        ] {
            let context = Context::on_busybox(&ground.busybox, LIST).unwrap();
            for file in ["secrets/key", "secrets/public", "kept", "a.tmp"] {
                context.file(file, file).unwrap();
            }
            if let Some(dockerfile) = dockerfile {
                let text = fs::read(context.path().join("Dockerfile")).unwrap();
                context.file(dockerfile, text).unwrap();
                context.file(".dockerignore", "kept\n").unwrap();
            }
            if is_link {
                context.file("common.ignore", ignore).unwrap();
                symlink("common.ignore", context.path().join(name)).unwrap();
            } else {
                context.file(name, ignore).unwrap();
            }
            let log = compare(&context, dockerfile).await;
            assert!(!log.contains(&format!("./{hidden}")), "{name}: {log}");
        }
    }
}

#[tokio::test]
async fn dockerfiles_behind_links_and_in_lower_case_are_the_same() {
    let Some(ground) = ground().await else { return };
    // The ignore file next to the link is used, not the one next to the file.
    let context = Context::on_busybox(&ground.busybox, LIST).unwrap();
    let at = |name: &str| context.path().join(name);
    fs::create_dir(at("docker")).unwrap();
    fs::rename(at("Dockerfile"), at("docker/Dockerfile.prod")).unwrap();
    symlink("docker/Dockerfile.prod", at("Dockerfile")).unwrap();
    context
        .file("Dockerfile.dockerignore", "secrets\n")
        .unwrap();
    context
        .file("docker/Dockerfile.prod.dockerignore", "kept\n")
        .unwrap();
    context.file("secrets/key", "hunter2").unwrap();
    context.file("kept", "").unwrap();
    let log = compare(&context, None).await;
    assert!(
        !log.contains("secrets/key") && log.contains("./kept"),
        "{log}"
    );

    let context = Context::on_busybox(&ground.busybox, LIST).unwrap();
    let at = |name: &str| context.path().join(name);
    fs::rename(at("Dockerfile"), at("dockerfile")).unwrap();
    context
        .file("dockerfile.dockerignore", "secrets\n")
        .unwrap();
    context.file("secrets/key", "hunter2").unwrap();
    let log = compare(&context, None).await;
    assert!(!log.contains("secrets/key"), "{log}");
}
