//! `depot pull` and `depot push` of saved builds, and the same with `SOURCE_IMAGE: depot:BUILD_ID` of the pipe.

use depot_ground::daemon::{Daemon, Release};
use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::internet::{Internet, variables};
use depot_ground::registry::Registry;
use depot_ground::registry::tokens::{Realm, TokenPlan, TokenRegistry};
use local_depot::{
    CreateBuildAnswer, HostCredential, Method, PullInfo, PushState, Scenario, TokenKind,
};
use serde_json::Value;

use crate::cli::{Ran, Trial};
use crate::ground::ground;

/// The name of the registry of saved images.
const SAVED: &str = "registry.saved.depot.dev";

/// A target whose registry accepts passwords.
const FAR: &str = "far.promotes.example.com";

/// A target whose registry accepts tokens.
const TOKENS: &str = "tokens.promotes.example.com";

/// Its token server.
const TOKEN_SERVER: &str = "https://tokens.promotes.example.com/token";

/// A context that needs no emulator for another platform.
fn context() -> Context {
    let context = Context::new("FROM scratch\nCOPY Dockerfile /\nCOPY file /\n").unwrap();
    context.file("file", "content\n").unwrap();
    context
}

/// A Depot that saves images in `kept`, and returns `host` as its host for pulls.
fn keeping_at(kept: &Registry, host: &str) -> Scenario {
    Scenario::default()
        .answer(CreateBuildAnswer {
            additional_tags: vec![format!("{}/{{project_id}}:{{build_id}}", kept.host())],
            additional_credentials: vec![HostCredential {
                host: kept.host(),
                username: kept.username().to_owned(),
                password: kept.password().to_owned(),
            }],
            ..CreateBuildAnswer::default()
        })
        .pull(PullInfo {
            reference: format!("{host}/{{project_id}}:{{build_id}}"),
            username: kept.username().to_owned(),
            password: kept.password().to_owned(),
        })
}

/// The targets, and the internet on which every host has a name.
struct Scene {
    internet: Internet,
    kept: Registry,
    far: Registry,
    tokens: TokenRegistry,
}

impl Scene {
    async fn start() -> Self {
        let internet = Internet::start().await.unwrap();
        let kept = Registry::start(&state_folder()).await.unwrap();
        let far = Registry::start(&state_folder()).await.unwrap();
        let state = state_folder();
        let plan = TokenPlan {
            realm: Realm::At(TOKEN_SERVER),
            ..TokenPlan::default()
        };
        let tokens = TokenRegistry::start(&state, plan);
        let tokens = tokens.await.unwrap();
        internet.route(SAVED, &kept.host());
        internet.route(FAR, &far.host());
        internet.route(TOKENS, tokens.host());
        Self {
            internet,
            kept,
            far,
            tokens,
        }
    }

    /// A Depot whose blob service finds these registries.
    fn scenario(&self) -> Scenario {
        keeping_at(&self.kept, SAVED)
            .registry_at(SAVED, &self.kept.host())
            .registry_at(FAR, &self.far.host())
            .registry_at(TOKENS, self.tokens.host())
    }

    /// Adds the internet and the logins to a trial.
    fn enter(&self, trial: &mut Trial) {
        let api = trial.stand_in.api_url().trim_start_matches("http://");
        self.internet.route("blob.depot.dev", api);
        let proxy = variables(&self.internet.proxy(), &self.internet.authority());
        trial.variables = proxy.map(|(name, value)| (name.to_owned(), value)).into();
        trial.logins = vec![
            (FAR.to_owned(), self.far.login().clone()),
            (TOKENS.to_owned(), self.tokens.owner().clone()),
        ];
    }

    /// The value of `REGISTRIES` of the pipe.
    fn logins(&self) -> String {
        let entries = [(FAR, self.far.login()), (TOKENS, self.tokens.owner())];
        let entries = entries.map(|(host, login)| {
            let (user, password) = (login.username(), login.password());
            format!("- registry: {host}\n  username: {user}\n  password: '{password}'\n")
        });
        entries.concat()
    }

    /// Pushes the only build of the trial with the CLI and with the pipe, to both targets. All must have the digest of the saved image.
    async fn compare(&self, trial: &Trial) {
        let id = trial.stand_in.record().last_build().unwrap().id.clone();
        let names = [FAR, TOKENS].map(|host| format!("{host}/theirs/app:1"));
        let [one, two] = &names;
        let ran = trial
            .run(&["push", "--progress", "plain", "-t", one, "-t", two, &id])
            .await;
        ran.exits(0).prints("Pushing manifest sha256:");
        let ours = [FAR, TOKENS].map(|host| format!("{host}/ours/app:1"));
        let run = trial
            .pipe(
                &std::env::temp_dir(),
                &[
                    ("SOURCE_IMAGE", &format!("depot:{id}")),
                    ("IMAGE", &ours.join(" ")),
                    ("REGISTRIES", &self.logins()),
                ],
            )
            .await;
        run.exits(0).prints("copied one image as 2 references");

        let saved = self.kept.manifest(trial.stand_in.project_id(), &id).await;
        let saved = saved.unwrap();
        for repository in ["theirs/app", "ours/app"] {
            let copies = [
                self.far.manifest(repository, "1").await.unwrap(),
                self.tokens.manifest(repository, "1").await.unwrap(),
            ];
            for copy in copies {
                assert_eq!(
                    (copy.digest, copy.bytes),
                    (saved.digest.clone(), saved.bytes.clone())
                );
            }
        }
        let record = &ran.record;
        let pushes = record.pushes.iter();
        let pushes: Vec<_> = pushes
            .map(|push| (&push.tag, &push.build_id, &push.state))
            .collect();
        let expected = names
            .each_ref()
            .map(|name| (name, &id, &PushState::Succeeded));
        assert_eq!(pushes, expected);
        assert!(
            record.blobs.iter().all(|blob| blob.status == 200),
            "{record:#?}"
        );
        for (host, scheme) in [(FAR, "Basic"), (TOKENS, "Bearer")] {
            let target = format!("{host}/theirs/app");
            let mut blobs = record.blobs.iter().filter(|blob| blob.target == target);
            let first = blobs.next().unwrap();
            assert_eq!((&*first.scheme, &first.build_id), (scheme, &id));
            assert!(blobs.count() >= 2, "a config and two layers: {record:#?}");
        }
        let calls = [Method::GetPullInfo, Method::StartPush, Method::FinishPush];
        for call in calls.into_iter().flat_map(|method| record.calls_of(method)) {
            assert_eq!(call.token, TokenKind::User, "{call:#?}");
        }
        trial.stand_in.check().unwrap();
        assert_eq!(self.internet.nowhere(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_saved_build_has_the_same_digest_after_a_push_of_the_cli_and_of_the_pipe() {
    let Some(ground) = ground().await else { return };
    let scene = Scene::start().await;
    let mut trial = Trial::start(ground, scene.scenario()).await;
    let ran = trial.build(&context(), &["--save"]).await;
    ran.exits(0);

    scene.enter(&mut trial);
    scene.compare(&trial).await;
}

#[tokio::test]
async fn two_platforms_and_their_attestations_are_pushed_unchanged() {
    let Some(ground) = ground().await else { return };
    let scene = Scene::start().await;
    let Some(mut trial) = Trial::start_on_two(ground, scene.scenario()).await else {
        return;
    };
    let context = context();
    let run = trial
        .pipe(
            context.path(),
            &[
                ("SAVE", "true"),
                ("PLATFORMS", "linux/amd64,linux/arm64"),
                ("PROVENANCE", "max"),
            ],
        )
        .await;
    run.exits(0).prints("built and saved");

    scene.enter(&mut trial);
    scene.compare(&trial).await;
    let index = scene.far.manifest("theirs/app", "1").await.unwrap();
    let index = index.json().unwrap();
    let entries = index.pointer("/manifests").and_then(Value::as_array);
    assert_eq!(entries.unwrap().len(), 4, "{index}");
}

#[tokio::test]
async fn refused_pushes_are_reported_to_depot() {
    let Some(ground) = ground().await else { return };
    let scene = Scene::start().await;
    let mut trial = Trial::start(ground, scene.scenario()).await;
    trial.build(&context(), &["--save"]).await.exits(0);
    scene.enter(&mut trial);
    let id = trial.stand_in.record().last_build().unwrap().id.clone();
    let name = format!("{FAR}/theirs/app:1");
    let push = async |trial: &Trial, id: &str| -> Ran {
        let arguments = ["push", "--progress", "plain", "-t", &name, id];
        trial.run(&arguments).await
    };

    push(&trial, "unknown").await.exits(1).prints("not found");
    // The login of another user.
    let other = scene.kept.login().clone();
    trial.logins = vec![(FAR.to_owned(), other)];
    let ran = push(&trial, &id).await;
    ran.exits(1).prints("unexpected status code: 424");

    let [refused] = &ran.record.pushes[..] else {
        panic!("{ran:#?}")
    };
    assert!(
        matches!(&refused.state, PushState::Failed(error) if error.contains("424")),
        "{ran:#?}"
    );
    assert_eq!(
        scene.far.tags("theirs/app").await.unwrap(),
        Vec::<String>::new()
    );
    trial.stand_in.check().unwrap();
}

#[tokio::test]
async fn a_saved_build_is_pulled_as_the_pipe_loads_it() {
    let Some(ground) = ground().await else { return };
    let kept = Registry::start(&state_folder()).await.unwrap();
    let state = state_folder();
    let daemon = Daemon::start(Release::Docker26, &state).await.unwrap();
    let host = kept.host();
    let mut trial = Trial::start(ground, keeping_at(&kept, &host)).await;
    trial.docker_host = Some(daemon.docker_host());
    let build = ["--save", "-t", "acme/named:1"];
    trial.build(&context(), &build).await.exits(0);
    let id = trial.stand_in.record().last_build().unwrap().id.clone();

    let pull = ["pull", "--progress", "plain"];
    let ran = trial
        .run(&[&pull[..], &["-t", "acme/theirs:1", &id]].concat())
        .await;
    ran.exits(0).prints("pulling acme/theirs:1");
    // Without a name, the names of the build are used.
    trial.run(&[&pull[..], &[&id]].concat()).await.exits(0);
    let run = trial
        .pipe(
            &std::env::temp_dir(),
            &[
                ("SOURCE_IMAGE", &format!("depot:{id}")),
                ("IMAGE", "acme/ours:1"),
                ("LOAD", "true"),
                ("PUSH", "false"),
            ],
        )
        .await;
    run.exits(0).prints("loaded sha256:");

    let mut ids = Vec::new();
    for name in ["acme/theirs:1", "acme/named:1", "acme/ours:1"] {
        let image = daemon.image(name).await.unwrap();
        ids.push(image.unwrap_or_else(|| panic!("no {name}: {ran:#?}")).id);
    }
    let repository = trial.stand_in.project_id();
    let index = kept.manifest(repository, &id).await.unwrap();
    let index = index.json().unwrap();
    let digest = index.pointer("/manifests/0/digest").and_then(Value::as_str);
    let manifest = kept.manifest(repository, digest.unwrap()).await.unwrap();
    let manifest = manifest.json().unwrap();
    let config = manifest.pointer("/config/digest").and_then(Value::as_str);
    assert_eq!(ids, [config.unwrap(); 3]);
    assert_eq!(run.record.calls_of(Method::GetPullInfo).count(), 3);
    trial.stand_in.check().unwrap();
    daemon.stop().await.unwrap();
    kept.stop().await.unwrap();
}
