//! Every example of the README, as it stands there, run as Bitbucket runs it.

use std::collections::BTreeMap;

use depot_standin::aws::{ACCOUNT, Moto};
use depot_standin::daemon::Release;
use depot_standin::engine::state_folder;
use depot_standin::fixtures::Context;
use depot_standin::internet::Internet;
use depot_standin::registry::tokens::TokenRegistry;
use depot_standin::registry::{Login, Registry};
use depot_standin::{BuildState, CreateBuildAnswer, HostCredential, Scenario, StandIn};

use super::pipeline::{Call, Line, Step, environment, examples, expanded};
use super::place::{Place, with_place};
use super::program::Program;

const AMAZON: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

/// What no log may hold.
const SECRETS: [&str; 5] = [
    "token-of-ghcr",
    "pass: word #1",
    "secret/of+the+key",
    "-auth-token",
    "signed-identity-of-the-step",
];

/// A clone that all examples can be run in.
fn clone() -> Context {
    let context = Context::new("FROM scratch\nCOPY file /file\n").unwrap();
    context.file("file", "content\n").unwrap();
    std::fs::create_dir_all(context.path().join("services/api/docker")).unwrap();
    context.file("services/api/api", "api\n").unwrap();
    let dockerfile = "FROM scratch AS release\nARG VERSION\nARG BITBUCKET_COMMIT\nLABEL version=$VERSION\nCOPY api /api\n\
                      FROM scratch\nCOPY missing /\n";
    context
        .file("services/api/docker/Dockerfile", dockerfile)
        .unwrap();
    context
}

/// What the examples need: the registries that they name, and an Amazon.
struct Scene<'a> {
    place: &'a Place,
    internet: &'a Internet,
    hub: &'a TokenRegistry,
    registries: BTreeMap<&'static str, Registry>,
    moto: Moto,
}

impl<'a> Scene<'a> {
    /// `None` where there is no local Amazon.
    async fn set(place: &'a Place, internet: &'a Internet) -> Option<Self> {
        let moto = Moto::for_tests(&state_folder()).await.unwrap()?;
        let logins = [
            (AMAZON, Login::of("AWS", &format!("{ACCOUNT}-auth-token"))),
            ("ghcr.io", Login::of("acme", "token-of-ghcr")),
            ("registry.example.com", Login::of("robot", "pass: word #1")),
        ];
        let mut registries = BTreeMap::new();
        for (host, login) in logins {
            let registry = Registry::start_for(&state_folder(), login).await.unwrap();
            internet.route(host, &registry.host());
            registries.insert(host, registry);
        }
        Some(Self {
            place,
            internet,
            hub: place.docker_hub(internet).await,
            registries,
            moto,
        })
    }

    /// The variables of a repository whose pipelines call the pipe so: the logins that they name, and what all have.
    fn repository(&self, depot: &StandIn, call: &Call) -> BTreeMap<&'static str, String> {
        let named = format!("{:?}", call.variables);
        let is_there = |name: &&str| {
            let common = ["DEPOT_", "DOCKERHUB_", "BITBUCKET_"];
            common.iter().any(|prefix| name.starts_with(prefix)) || named.contains(name)
        };
        [
            ("DEPOT_TOKEN", depot.token()),
            ("DEPOT_PROJECT_ID", depot.project_id()),
            ("DOCKERHUB_USERNAME", self.hub.owner().username()),
            ("DOCKERHUB_TOKEN", self.hub.owner().password()),
            ("REGISTRY_USERNAME", "robot"),
            ("REGISTRY_PASSWORD", "pass: word #1"),
            ("ROBOT_TOKEN", "pass: word #1"),
            ("GHCR_TOKEN", "token-of-ghcr"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret/of+the+key"),
            ("BITBUCKET_COMMIT", "0123456789ab"),
            ("BITBUCKET_TAG", "v1.2.3"),
            ("BITBUCKET_BRANCH", "main"),
        ]
        .into_iter()
        .filter(|(name, _)| is_there(name))
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
    }

    /// A command that runs an image finds it in the step's daemon. What is in the image does not run: it is made of files.
    async fn command(&self, words: &str, step: &Step, command: &str) {
        assert_eq!(step.services, ["docker"], "{words}");
        let image = command.strip_prefix("docker run --rm ").unwrap();
        let image = image.split(' ').next().unwrap();
        let commit = BTreeMap::from([("BITBUCKET_COMMIT", "0123456789ab".to_owned())]);
        let daemon = self.place.daemon(Release::Docker26).await;
        let found = daemon.image(&expanded(image, &commit)).await.unwrap();
        assert!(found.is_some(), "{words}");
    }

    async fn run(&self, words: &str, step: &Step, call: &Call) {
        let kept = &self.place.registry;
        let scenario = Scenario::default().answer(CreateBuildAnswer {
            additional_tags: vec![format!("{}/kept:{{build_id}}", kept.host())],
            additional_credentials: vec![HostCredential {
                host: kept.host(),
                username: kept.username().into(),
                password: kept.password().into(),
            }],
            ..CreateBuildAnswer::default()
        });
        let depot = self.place.depot_of_two(scenario).await;
        let context = clone();
        let mut program = Program::of(&depot, context.path())
            .on(self.internet)
            .set("BITBUCKET_CLONE_DIR", context.path())
            .set("BITBUCKET_COMMIT", "0123456789ab")
            .set("AWS_ENDPOINT_URL", self.moto.endpoint());
        for (name, value) in environment(call, &self.repository(&depot, call)) {
            // The one default that leads out of this machine.
            if name != "DEPOT_API_URL" {
                program = program.set(&name, value);
            }
        }
        if step.services.iter().any(|service| service == "docker") {
            let daemon = self.place.daemon(Release::Docker26).await;
            program = program.set("DOCKER_HOST", daemon.docker_host());
        }
        if step.oidc {
            program = program.set("BITBUCKET_STEP_OIDC_TOKEN", "signed-identity-of-the-step");
        }
        let run = program.run().await;
        assert_eq!(run.code, 0, "{words}\n{}", run.log);
        assert!(!run.log.contains("WARNING"), "{words}\n{}", run.log);
        for secret in SECRETS {
            run.without(secret);
        }
        let record = depot.record();
        assert_eq!(
            record.last_build().unwrap().state,
            BuildState::Succeeded,
            "{words}"
        );
        depot.check().unwrap();
    }
}

#[test]
fn every_example_of_the_readme_does_what_it_says() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let Some(scene) = Scene::set(place, internet).await else {
            return;
        };
        let examples = examples();
        assert!(examples.len() >= 7, "{examples:#?}");
        for (words, step) in &examples {
            for line in &step.script {
                match line {
                    Line::Pipe(call) => {
                        assert!(call.pipe.starts_with("org/depot-build:"), "{words}");
                        scene.run(words, step, call).await;
                    }
                    Line::Command(command) => scene.command(words, step, command).await,
                }
            }
        }
        // What they say is there is there.
        for (host, repository, tag) in [
            (AMAZON, "acme/app", "0123456789ab"),
            ("ghcr.io", "acme/app", "v1.2.3"),
            ("registry.example.com", "acme/app", "v1.2.3"),
            ("registry.example.com", "acme/api", "v1.2.3"),
            ("registry.example.com", "acme/api", "latest"),
        ] {
            scene.registries[host]
                .manifest(repository, tag)
                .await
                .unwrap();
        }
        for tag in ["0123456789ab", "v1.2.3"] {
            scene.hub.manifest("acme/app", tag).await.unwrap();
        }
        let made = scene.moto.repositories("eu-west-1").await.unwrap();
        assert_eq!(made, ["acme/app"]);
        scene.moto.stop().await.unwrap();
    });
}
