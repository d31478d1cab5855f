//! The pipe and the CLI build the same image from a private Git repository, with secrets.
#![expect(
    clippy::indexing_slicing,
    reason = "a member that JSON lacks is null, which the comparison shows"
)]

use depot_ground::fixtures::Context;
use depot_ground::git::GitServer;
use local_depot::{BuildState, Scenario};
use serde_json::Value;
use tokio::process::Command;

use crate::cli::Trial;
use crate::ground::{Ground, ground};

/// `x-access-token:git-token`, as BuildKit sends a token.
const AUTHORIZATION: &str = "basic eC1hY2Nlc3MtdG9rZW46Z2l0LXRva2Vu";

const KEY: &str = "first line\nsecond line\n";

/// The config of the image, and the statement about its provenance.
async fn image(ground: &Ground, repository: &str) -> [Value; 2] {
    let registry = &ground.registry;
    let index = registry.manifest(repository, "1").await.unwrap();
    let index = index.json().unwrap();
    let mut documents = Vec::new();
    for (entry, part) in [(0, "/config/digest"), (1, "/layers/0/digest")] {
        let digest = index["manifests"][entry]["digest"].as_str().unwrap();
        let manifest = registry.manifest(repository, digest).await.unwrap();
        let manifest = manifest.json().unwrap();
        let digest = manifest.pointer(part).and_then(Value::as_str).unwrap();
        let blob = registry.blob(repository, digest).await.unwrap();
        documents.push(serde_json::from_slice(&blob).unwrap());
    }
    documents.try_into().unwrap()
}

#[tokio::test]
async fn a_repository_with_secrets_gives_the_same_image() {
    let Some(ground) = ground().await else { return };
    let lines = "RUN --mount=type=secret,id=key,required=true wc -l < /run/secrets/key > /lines\n\
                 RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent\n";
    let files = Context::on_busybox(&ground.busybox, lines).unwrap();
    let server = GitServer::start(files.path(), Some(AUTHORIZATION))
        .await
        .unwrap();
    let context = format!("{}#main", server.url());
    let folder = Context::new("").unwrap();
    folder.file("key", KEY).unwrap();
    folder.file("token", "git-token").unwrap();
    let host = ground.registry.host();

    let trial = Trial::start(ground, Scenario::default()).await;
    let secret = |id: &str, file: &str| {
        let path = folder.path().join(file);
        format!("id={id},src={}", path.display())
    };
    let (key, token) = (secret("key", "key"), secret("GIT_AUTH_TOKEN", "token"));
    let tag = format!("{host}/secrets-by-cli:1");
    let arguments = [
        "--secret", &key, "--secret", &token, "--push", "--tag", &tag,
    ];
    let ran = trial.build_of(&context, &arguments).await;
    ran.exits(0).finishes(&BuildState::Succeeded);

    let ran = Command::new(env!("CARGO_BIN_EXE_depot-build"))
        .env_clear()
        .env("DEPOT_API_URL", trial.stand_in.api_url())
        .env("DEPOT_TOKEN", &trial.token)
        .env("DEPOT_PROJECT_ID", &trial.project)
        .env("CONTEXT", &context)
        .env("SECRET_FILES", "key=key")
        .env("GIT_AUTH_TOKEN", "git-token")
        .env("IMAGE", format!("{host}/secrets-by-pipe:1"))
        .env("PUSH", "true")
        .env("REGISTRY", &host)
        .env("REGISTRY_USERNAME", ground.registry.username())
        .env("REGISTRY_PASSWORD", ground.registry.password())
        .current_dir(folder.path())
        .output();
    let ran = ran.await.unwrap();
    let log = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{log}");
    // A secret is not part of the cache key, and neither is its source.
    assert!(log.contains("CACHED"), "{log}");

    let [ours, our_provenance] = image(ground, "secrets-by-pipe").await;
    let [theirs, their_provenance] = image(ground, "secrets-by-cli").await;
    assert_eq!(ours, theirs);
    for member in ["materials", "buildType"] {
        let of = |statement: &Value| statement["predicate"][member].clone();
        assert_eq!(of(&our_provenance), of(&their_provenance), "{member}");
    }
    for document in [ours, our_provenance] {
        let text = document.to_string();
        assert!(
            !text.contains("git-token") && !text.contains("second line"),
            "{text}"
        );
    }
}
