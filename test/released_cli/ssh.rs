//! The pipe and the CLI build the same image with an SSH key. Only the agent of the CLI lets a step remove the key.
#![expect(
    clippy::indexing_slicing,
    reason = "a member that JSON lacks is null, which the comparison shows"
)]

use std::fs;

use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::ssh::SshTools;
use local_depot::{BuildState, Scenario};
use serde_json::Value;
use tokio::process::Command;

use crate::cli::Trial;
use crate::ground::{Ground, ground};

const LINES: &str = "COPY tools /\n\
     RUN mkdir -p /root && printf 'root:x:0:0::/root:/bin/sh\\n' > /etc/passwd\n\
     RUN --mount=type=ssh,required=true ssh-add -l; ssh-add -D; echo \"left: $(ssh-add -l | grep -c SHA256)\"";

/// The config of the image, without times and without the digests of layers, which contain times.
async fn config(ground: &Ground, repository: &str) -> Value {
    let registry = &ground.registry;
    let index = registry.manifest(repository, "1").await.unwrap();
    let index = index.json().unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest = registry.manifest(repository, digest).await.unwrap();
    let manifest = manifest.json().unwrap();
    let digest = manifest["config"]["digest"].as_str().unwrap();
    let blob = registry.blob(repository, digest).await.unwrap();
    let mut config: Value = serde_json::from_slice(&blob).unwrap();
    config["created"] = Value::Null;
    config["rootfs"] = Value::Null;
    for entry in config["history"].as_array_mut().unwrap() {
        entry["created"] = Value::Null;
    }
    config
}

/// The line of `ssh-add -l` without its number and time.
fn listed(log: &str) -> &str {
    let line = log.lines().find(|line| line.contains(" SHA256:"));
    let (_, line) = line
        .unwrap_or_else(|| panic!("{log}"))
        .split_once("256 ")
        .unwrap();
    line
}

#[tokio::test]
async fn a_build_with_an_ssh_key_gives_the_same_image() {
    let Some(ground) = ground().await else { return };
    let tools = SshTools::fetch(&state_folder()).await.unwrap();
    let context = Context::on_busybox(&ground.busybox, LINES).unwrap();
    tools.copy_into(&context.path().join("tools")).unwrap();
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("deploy");
    tools.make_key(&key, &["ed25519"]).unwrap();
    let host = ground.registry.host();

    let trial = Trial::start(ground, Scenario::default()).await;
    let tag = format!("{host}/ssh-by-cli:1");
    let ssh = format!("default={}", key.display());
    let arguments = ["--ssh", &ssh, "--no-cache", "--push", "--tag", &tag];
    let theirs = trial.build(&context, &arguments).await;
    theirs.exits(0).finishes(&BuildState::Succeeded);

    // The pipe takes keys of the clone only.
    fs::copy(&key, context.path().join("deploy")).unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_depot-build"))
        .env_clear()
        .env("DEPOT_API_URL", trial.stand_in.api_url())
        .env("DEPOT_TOKEN", &trial.token)
        .env("DEPOT_PROJECT_ID", &trial.project)
        .env("SSH", "deploy")
        .env("NO_CACHE", "true")
        .env("IMAGE", format!("{host}/ssh-by-pipe:1"))
        .env("PUSH", "true")
        .env("REGISTRY", &host)
        .env("REGISTRY_USERNAME", ground.registry.username())
        .env("REGISTRY_PASSWORD", ground.registry.password())
        .current_dir(context.path())
        .output();
    let ran = ran.await.unwrap();
    let log = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{log}");

    assert_eq!(listed(&log), listed(&theirs.stderr));
    assert_eq!(
        config(ground, "ssh-by-pipe").await,
        config(ground, "ssh-by-cli").await
    );
    assert!(theirs.stderr.contains("left: 0"), "{}", theirs.stderr);
    assert!(log.contains("left: 1"), "{log}");
}
