//! The pipe and the CLI write the same files of a result.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use depot_ground::fixtures::Context;
use local_depot::Scenario;
use tokio::process::Command;

use crate::cli::Trial;
use crate::ground::{Ground, ground};

const LIMIT: Duration = Duration::from_mins(1);

/// Runs the pipe in the context, with these outputs.
async fn pipe(trial: &Trial, context: &Path, variables: &[(&str, &str)]) {
    let output = Command::new(env!("CARGO_BIN_EXE_depot-build"))
        .env_clear()
        .env("NO_COLOR", "1")
        .env("DEPOT_API_URL", trial.stand_in.api_url())
        .env("DEPOT_TOKEN", &trial.token)
        .env("DEPOT_PROJECT_ID", &trial.project)
        .env("BITBUCKET_CLONE_DIR", context)
        .envs(variables.iter().copied())
        .current_dir(context)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, output).await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
}

/// Every entry below a directory: mode, time, names of the inode, and content or target. Directories without their time: the CLI sets
/// that before it writes their files.
fn entries(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let (mode, time, names) = (metadata.mode(), metadata.mtime(), metadata.nlink());
            let content = if metadata.is_symlink() {
                format!("{time} -> {}", fs::read_link(&path).unwrap().display())
            } else if metadata.is_dir() {
                folders.push(path.clone());
                format!("{mode:o}")
            } else {
                let content = fs::read(&path).unwrap();
                let digest = content.iter().fold(7_u64, |digest, byte| {
                    digest.wrapping_mul(31).wrapping_add(u64::from(*byte))
                });
                format!("{mode:o} {time} {names} {} {digest}", content.len())
            };
            let name = path.strip_prefix(root).unwrap().to_string_lossy();
            all.insert(name.into_owned(), content);
        }
    }
    all
}

/// Files of every kind except devices, fifos and programs that run as their owner, which the pipe does not write.
fn context(ground: &Ground) -> Context {
    let lines = "RUN mkdir -p /r/deep/er /r/closed && echo one > /r/deep/file && echo two > /r/deep/er/file \
         && ln /r/deep/file /r/hard && ln -s /etc/passwd /r/absolute && ln -s ../../up /r/up && ln -s deep/file /r/link \
         && echo three > /r/program && chmod 755 /r/program && chmod 1777 /r/deep/er && : > /r/empty \
         && echo four > /r/closed/file && chmod 500 /r/closed && head -c 300000 /dev/zero > /r/large \
         && touch -h -d '2020-01-02 03:04:05' /r/deep/file /r/link /r/deep && touch '/r/a b' '/r/é'\n\
         FROM scratch\nCOPY --from=0 /r /";
    let context = Context::on_busybox(&ground.busybox, lines).unwrap();
    context.file(".dockerignore", "ours*\ntheirs*\n").unwrap();
    context
}

fn list_of(archive: &Path) -> String {
    let output = std::process::Command::new("tar")
        .args(["--numeric-owner", "-tvf"])
        .arg(archive)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The index of a layout, without the times of its annotations.
fn index_of(archive: &Path) -> serde_json::Value {
    let output = std::process::Command::new("tar")
        .arg("-xOf")
        .arg(archive)
        .arg("index.json")
        .output()
        .unwrap();
    let mut index: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let manifests = index.get_mut("manifests").unwrap();
    for manifest in manifests.as_array_mut().unwrap() {
        let annotations = manifest.get_mut("annotations").unwrap();
        let annotations = annotations.as_object_mut().unwrap();
        annotations.remove("org.opencontainers.image.created");
    }
    index
}

#[tokio::test]
async fn a_directory_and_archives_of_the_result_are_the_same() {
    let Some(ground) = ground().await else { return };
    let trial = Trial::start(ground, Scenario::default()).await;
    let context = context(ground);
    let at = |name: &str| context.path().join(name);
    // Existing files: the CLI merges too.
    for side in ["ours", "theirs"] {
        context.file(&format!("{side}/kept"), "kept").unwrap();
        context
            .file(&format!("{side}/deep/er/kept"), "kept")
            .unwrap();
        context
            .file(&format!("{side}/program/was a directory"), "")
            .unwrap();
        let kept = at(side).join("kept");
        let kept = fs::File::open(kept).unwrap();
        kept.set_modified(std::time::UNIX_EPOCH).unwrap();
        let inner = fs::File::open(at(side).join("deep/er/kept")).unwrap();
        inner.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    let images = "acme/app:1\nacme/app:2";
    let outputs =
        "ours\ntype=tar,dest=ours.tar\ntype=oci,dest=ours.oci\ntype=docker,dest=ours.docker";
    pipe(
        &trial,
        context.path(),
        &[("OUTPUTS", outputs), ("IMAGE", images)],
    )
    .await;
    for (kind, name) in [
        ("local", "theirs"),
        ("tar", "theirs.tar"),
        ("oci", "theirs.oci"),
        ("docker", "theirs.docker"),
    ] {
        let output = format!("type={kind},dest={}", at(name).display());
        let tags = ["-t", "acme/app:1", "-t", "acme/app:2"];
        let ran = trial
            .build(&context, &[&["--output", &output], &tags[..]].concat())
            .await;
        ran.exits(0);
    }
    let (ours, theirs) = (entries(&at("ours")), entries(&at("theirs")));
    assert!(ours.len() > 12, "{ours:#?}");
    assert_eq!(ours, theirs);
    assert_eq!(list_of(&at("ours.tar")), list_of(&at("theirs.tar")));
    assert_eq!(list_of(&at("ours.docker")), list_of(&at("theirs.docker")));
    let (ours, theirs) = (index_of(&at("ours.oci")), index_of(&at("theirs.oci")));
    let named = |index: &serde_json::Value| {
        let manifests = index["manifests"].as_array().unwrap();
        let names = manifests.iter().map(|manifest| {
            let mut manifest = manifest.clone();
            // The provenance contains times.
            let fields = manifest.as_object_mut().unwrap();
            fields.retain(|name, _| name != "digest" && name != "size");
            manifest
        });
        names.collect::<Vec<_>>()
    };
    assert_eq!(named(&ours), named(&theirs));
}

#[tokio::test]
async fn two_machines_write_the_same_directories() {
    let Some(ground) = ground().await else { return };
    let Some(trial) = Trial::start_on_two(ground, Scenario::default()).await else {
        return;
    };
    let context =
        Context::new("FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\nCOPY links /\n")
            .unwrap();
    for name in ["amd64", "arm64"] {
        context.file(name, name).unwrap();
    }
    fs::create_dir(context.path().join("links")).unwrap();
    std::os::unix::fs::symlink("/arch", context.path().join("links/link")).unwrap();
    context.file(".dockerignore", "ours\ntheirs\n").unwrap();
    let platforms = "linux/amd64,linux/arm64";
    let variables = [("OUTPUTS", "ours"), ("PLATFORMS", platforms)];
    pipe(&trial, context.path(), &variables).await;
    let output = format!(
        "type=local,dest={}",
        context.path().join("theirs").display()
    );
    let ran = trial
        .build(&context, &["--output", &output, "--platform", platforms])
        .await;
    ran.exits(0);
    let (ours, theirs) = ["ours", "theirs"]
        .map(|side| entries(&context.path().join(side)))
        .into();
    assert_eq!(ours, theirs);
    assert!(ours.contains_key("linux_arm64/arch"), "{ours:#?}");
}
