//! Every example of the README, unchanged, as run by Bitbucket: in a container of the pipe's own image.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use depot_ground::aws::{ACCOUNT, Moto};
use depot_ground::daemon::{Daemon, Door, DoorPlan, Release};
use depot_ground::engine::state_folder;
use depot_ground::fixtures::{BUSYBOX_BASE, Context};
use depot_ground::internet::{Internet, variables};
use depot_ground::registry::tokens::TokenRegistry;
use depot_ground::registry::{Login, Registry};
use depot_ground::schema;
use local_depot::{BuildState, CreateBuildAnswer, LocalDepot, Scenario};
use tempfile::TempDir;

use super::own_image::InStep;
use super::pipeline::{Call, Example, Line, Step, environment, examples, expanded};
use super::place::{Place, with_place};

const AMAZON: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

/// The registry in which Depot keeps images.
const DEPOTS_REGISTRY: &str = "examples.registry.depot.dev";

/// The secrets that no log may contain.
const SECRETS: [&str; 6] = [
    "npm-token-of-example",
    "token-of-ghcr",
    "pass: word #1",
    "secret/of+the+key",
    "-auth-token",
    "signed-identity-of-the-step",
];

/// Bitbucket's variables of a step. No build has both a tag and a branch; each example requires one of them.
const CONTEXT: [(&str, &str); 5] = [
    ("BITBUCKET_COMMIT", "0123456789ab"),
    ("BITBUCKET_TAG", "v1.2.3"),
    ("BITBUCKET_BRANCH", "feature/ABC-12"),
    ("BITBUCKET_PR_ID", "7"),
    ("BITBUCKET_BUILD_NUMBER", "42"),
];

/// The variables that the earlier lines of a script have exported. A call of a pipe can refer to them.
fn exported(shell: &str, clone: &Path) -> BTreeMap<String, String> {
    let lines = shell.lines().filter(|line| line.starts_with("export "));
    let names: Vec<&str> = lines
        .filter_map(|line| line.strip_prefix("export ")?.split('=').next())
        .collect();
    let printed = names.iter().map(|name| format!("printenv {name}\n"));
    let script = shell.to_owned() + &printed.collect::<String>();
    let mut command_line = Command::new("sh");
    command_line.args(["-c", &script]).current_dir(clone);
    command_line.envs(CONTEXT);
    let ran = command_line.output().unwrap();
    assert!(ran.status.success(), "{script}: {ran:?}");
    let values = String::from_utf8(ran.stdout).unwrap();
    // The output of the earlier lines comes first.
    let values: Vec<&str> = values.lines().collect();
    let values = &values[values.len() - names.len()..];
    let pairs = names.iter().zip(values);
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A clone for all examples. Its owner is another user than that of the pipe, as on Bitbucket.
fn clone(place: &Place, internet: &Internet) -> Context {
    let context = Context::new("FROM scratch\nCOPY file /file\n").unwrap();
    for (name, content) in [
        ("file", "content\n"),
        ("services/api/api", "api\n"),
        (
            "services/api/docker/Dockerfile",
            "FROM scratch AS release\nARG VERSION\nARG BITBUCKET_COMMIT\nLABEL version=$VERSION\nCOPY api /api\n\
             FROM scratch\nCOPY missing /\n",
        ),
        ("services/web/page", "page\n"),
        ("services/web/Dockerfile", "FROM scratch\nCOPY page /page\n"),
        ("services/worker/job", "job\n"),
        (
            "services/worker/Dockerfile",
            "FROM scratch\nCOPY job /job\n",
        ),
        (
            "Dockerfile.test",
            "FROM scratch AS test\nCOPY file /app/reports/tests.xml\n\
             FROM scratch AS reports\nCOPY --from=test /app/reports /\nFROM scratch\nCOPY missing /\n",
        ),
        (
            "services/packaged/Dockerfile",
            "FROM scratch\nCOPY --from=dist app /app\n",
        ),
    ] {
        context.file(name, content).unwrap();
    }
    // Its step compares the token, because `npm` is not available.
    let lines = "RUN --mount=type=secret,id=npm,required=true test \"$(cat /run/secrets/npm)\" = npm-token-of-example\n";
    let site = format!("{BUSYBOX_BASE}{lines}");
    context.file("services/site/Dockerfile", site).unwrap();
    std::fs::copy(
        place.busybox.path(),
        context.path().join("services/site/busybox"),
    )
    .unwrap();
    // Its step only finds the agent, because neither `git` nor Bitbucket is available.
    let lines = "RUN --mount=type=ssh,required=true test -S \"$SSH_AUTH_SOCK\"\n";
    let portal = format!("{BUSYBOX_BASE}{lines}");
    context.file("services/portal/Dockerfile", portal).unwrap();
    let busybox = context.path().join("services/portal/busybox");
    std::fs::copy(place.busybox.path(), busybox).unwrap();
    let lines = "RUN grep -q '^203.0.113.7.*mirror.example.com$' /etc/hosts\n\
                 RUN test \"$(ulimit -Sn) $(ulimit -Hn)\" = '4096 8192' && df -m /dev/shm | grep -q ' 256 '\n";
    let crawler = format!("{BUSYBOX_BASE}{lines}");
    context
        .file("services/crawler/Dockerfile", crawler)
        .unwrap();
    let busybox = context.path().join("services/crawler/busybox");
    std::fs::copy(place.busybox.path(), busybox).unwrap();
    let authority = std::fs::read(internet.authority()).unwrap();
    context.file("certs/company.pem", authority).unwrap();
    own(context.path());
    context
}

/// A Depot that keeps images in its registry. The token of Depot is the login.
fn saving() -> Scenario {
    Scenario::default().answer(CreateBuildAnswer {
        additional_tags: vec![format!("{DEPOTS_REGISTRY}/{{project_id}}:{{build_id}}")],
        ..CreateBuildAnswer::default()
    })
}

/// Changes the owner of a folder and of everything in it.
fn own(path: &Path) {
    chown(path, Some(1000), Some(1000)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            own(&entry.unwrap().path());
        }
    }
}

/// Everything that the examples require: their registries, an Amazon, and the step's daemon.
struct Scene<'a> {
    place: &'a Place,
    internet: &'a Internet,
    hub: &'a TokenRegistry,
    packages: &'a Registry,
    registries: BTreeMap<&'static str, Registry>,
    moto: Moto,
    daemon: &'a Daemon,
    door: Door,
    /// The folder with the SSH key of the step.
    ssh: TempDir,
}

impl<'a> Scene<'a> {
    /// `None` without a local Amazon.
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
        place.own_image().await;
        let ssh = TempDir::new().unwrap();
        let key = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ssh/samples/rsa_pem");
        std::fs::copy(key, ssh.path().join("id_rsa")).unwrap();
        let daemon = place.daemon(Release::Docker26).await;
        Some(Self {
            place,
            internet,
            hub: place.docker_hub(internet).await,
            packages: place.packages(internet).await,
            registries,
            moto,
            daemon,
            // A step on Bitbucket has no socket.
            door: daemon.door(DoorPlan::default()).await.unwrap(),
            ssh,
        })
    }

    /// The variables of a repository with this call: its logins, and the variables of every repository.
    fn repository<'b>(&self, depot: &LocalDepot, call: &Call) -> BTreeMap<&'b str, String> {
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
            ("BITBUCKET_PACKAGES_USERNAME", self.packages.username()),
            ("BITBUCKET_PACKAGES_TOKEN", self.packages.password()),
            ("NPM_TOKEN", "npm-token-of-example"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret/of+the+key"),
        ]
        .into_iter()
        .chain(CONTEXT)
        .filter(|(name, _)| is_there(name))
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
    }

    /// Runs an example with a Depot of its own, whose registry accepts the token of Depot.
    async fn example(&self, example: &Example) {
        let depot = self.place.depot_of_two(saving()).await;
        let login = Login::of("x-token", depot.token());
        let kept = Registry::start_for(&state_folder(), login).await.unwrap();
        self.internet.route(DEPOTS_REGISTRY, &kept.host());
        let artifacts = TempDir::new().unwrap();
        for step in &example.steps {
            self.step(example, step, &depot, artifacts.path()).await;
        }
        depot.check().unwrap();
    }

    /// Runs a step's script in a separate clone, to which the artifacts of earlier steps are added.
    async fn step(&self, example: &Example, step: &Step, depot: &LocalDepot, artifacts: &Path) {
        let title = &example.title;
        let clone = clone(self.place, self.internet);
        if let Some((name, content)) = &example.definition {
            clone.file(name, content).unwrap();
        }
        for artifact in std::fs::read_dir(artifacts).unwrap() {
            let artifact = artifact.unwrap();
            std::fs::copy(artifact.path(), clone.path().join(artifact.file_name())).unwrap();
        }
        let mut shell = String::from("set -e\n");
        for line in &step.script {
            match line {
                Line::Pipe(call) => {
                    let exported = exported(&shell, clone.path());
                    let call = (depot, call);
                    self.pipe(title, step, call, clone.path(), &exported).await;
                }
                Line::Command(command) if command.starts_with("docker run --rm ") => {
                    self.docker_run(title, step, command).await;
                }
                Line::Command(command) => {
                    // One shell runs all lines of a step.
                    shell.push_str(command);
                    shell.push('\n');
                    let mut command_line = Command::new("sh");
                    command_line.args(["-c", &shell]).current_dir(clone.path());
                    command_line.envs(CONTEXT);
                    let ran = command_line.output().unwrap();
                    assert!(ran.status.success(), "{title}: {command}: {ran:?}");
                    let printed = String::from_utf8_lossy(&ran.stdout);
                    let is_printed = !command.contains("DEPOT_BUILD_IMAGE_DIGEST")
                        || printed.contains("docker.io/acme/app@sha256:");
                    assert!(is_printed, "{title}: {printed}");
                }
            }
        }
        for artifact in step
            .artifacts
            .iter()
            .filter(|path| !path.contains(['*', '/']))
        {
            std::fs::copy(clone.path().join(artifact), artifacts.join(artifact)).unwrap();
        }
    }

    /// Checks that the image of a command exists in the step's daemon. The image has only files, so it cannot run.
    async fn docker_run(&self, title: &str, step: &Step, command: &str) {
        assert_eq!(step.services, ["docker"], "{title}");
        let image = command.strip_prefix("docker run --rm ").unwrap();
        let variables = BTreeMap::from([("BITBUCKET_COMMIT", "0123456789ab".to_owned())]);
        let image = expanded(image.split(' ').next().unwrap(), &variables);
        let found = self.daemon.image(&image).await.unwrap();
        assert!(found.is_some(), "{title}");
        self.daemon.remove(&image).await.unwrap();
    }

    /// `exported`: the variables of the step's shell.
    async fn pipe(
        &self,
        title: &str,
        step: &Step,
        (depot, call): (&LocalDepot, &Call),
        clone: &Path,
        exported: &BTreeMap<String, String>,
    ) {
        assert_eq!(call.pipe, super::own_image::NAME, "{title}");
        let earlier_builds = depot.record().builds.len();
        let in_step = InStep {
            daemon: self.daemon,
            clone,
            variables: self.environment(depot, step, call, exported),
            mounts: vec![
                self.internet.authority().parent().unwrap().to_owned(),
                self.ssh.path().to_owned(),
            ],
        };
        let run = in_step.run().await;
        assert_eq!(run.code, 0, "{title}\n{}", run.log);
        assert!(!run.log.contains("WARNING"), "{title}\n{}", run.log);
        for secret in SECRETS {
            run.without(secret);
        }
        run.without(self.packages.password());
        let record = depot.record();
        if call.variables.contains_key("SOURCE_IMAGE") {
            assert_eq!(record.builds.len(), earlier_builds, "{title}");
            return;
        }
        assert_eq!(record.builds.len(), earlier_builds + 1, "{title}");
        let build = record.last_build().unwrap();
        assert_eq!(build.state, BuildState::Succeeded, "{title}");
        let stored =
            ".bitbucket/pipelines/generated/pipeline/pipes/org/depot-build/depot-build.env";
        let stored = std::fs::read_to_string(clone.join(stored)).unwrap();
        assert!(
            stored.contains(&format!("DEPOT_BUILD_ID='{}'\n", build.id)),
            "{stored}"
        );
    }

    /// The environment of the pipe in a step.
    fn environment(
        &self,
        depot: &LocalDepot,
        step: &Step,
        call: &Call,
        exported: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let authority = self.internet.authority();
        let internet = variables(&self.internet.proxy(), &authority);
        let mut variables: BTreeMap<String, String> = internet
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        variables.insert("BITBUCKET_COMMIT".into(), "0123456789ab".into());
        variables.insert("AWS_ENDPOINT_URL".into(), self.moto.endpoint());
        variables.insert("NO_COLOR".into(), "1".into());
        let key = self.ssh.path().join("id_rsa").display().to_string();
        variables.insert("BITBUCKET_SSH_KEY_FILE".into(), key);
        let mut referable = self.repository(depot, call);
        let exported = exported.iter();
        referable.extend(exported.map(|(name, value)| (name.as_str(), value.clone())));
        variables.extend(environment(call, &referable));
        // The only default that refers to another machine.
        variables.insert("DEPOT_API_URL".into(), depot.api_url().into());
        if step.services.iter().any(|service| service == "docker") {
            let host = self.door.docker_host();
            let host = host.replace("127.0.0.1", "host.docker.internal");
            variables.insert("DOCKER_HOST".into(), host);
        }
        if step.oidc {
            let identity = "signed-identity-of-the-step";
            variables.insert("BITBUCKET_STEP_OIDC_TOKEN".into(), identity.into());
        }
        variables
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
        assert!(examples.len() >= 15, "{examples:#?}");
        for example in &examples {
            scene.example(example).await;
            let line = format!("README, {}: passed\n", example.title);
            let _not_shown = std::io::stderr().write_all(line.as_bytes());
        }
        // The promised results exist.
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
        for tag in ["0123456", "feature-ABC-12", "v1.2.3"] {
            scene.packages.manifest("acme/app", tag).await.unwrap();
        }
        for (repository, tag) in [
            ("acme/app", "0123456789ab"),
            ("acme/app", "v1.2.3"),
            ("acme/app", "1.2.3"),
            ("acme/app", "1.2"),
            ("acme/app", "1"),
            ("acme/app", "latest"),
            ("acme/app", "sha-0123456"),
            ("acme/app", "pr-7"),
            ("acme/app", "feature-ABC-12-42"),
            ("acme/app", "feature-ABC-12"),
            ("acme/app", "self-hosted"),
            ("acme/app", "labelled"),
            ("acme/web", "v1.2.3"),
            ("acme/web", "0123456789ab"),
            ("acme/site", "0123456789ab"),
            ("acme/portal", "0123456789ab"),
            ("acme/worker", "0123456789ab"),
            ("acme/app", "42"),
            ("acme/app", "released"),
        ] {
            scene.hub.manifest(repository, tag).await.unwrap();
        }
        // Lambda accepts only a single manifest.
        let lambda = scene.registries[AMAZON].manifest("acme/app", "lambda-0123456789ab");
        assert!(lambda.await.unwrap().json().unwrap()["layers"].is_array());
        assert_labelled(scene.hub).await;
        let made = scene.moto.repositories("eu-west-1").await.unwrap();
        assert_eq!(made, ["acme/app"]);
        scene.moto.stop().await.unwrap();
    });
}

/// Checks the labels and annotations of the example about them.
async fn assert_labelled(hub: &TokenRegistry) {
    let index = hub.manifest("acme/app", "labelled").await.unwrap();
    let annotations = index.json().unwrap()["annotations"].clone();
    for (name, value) in [
        ("source", "https://bitbucket.org/acme/app"),
        ("revision", "0123456789ab"),
        ("ref.name", "v1.2.3"),
        ("description", "The API, and its jobs"),
    ] {
        let name = format!("org.opencontainers.image.{name}");
        assert_eq!(annotations[&name], value, "{annotations:#}");
    }
}

#[test]
fn every_example_is_valid_for_bitbucket() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("bitbucket-pipelines.yml")];
    for (index, example) in examples().iter().enumerate() {
        let file = folder.path().join(format!("{index}.yml"));
        std::fs::write(&file, &example.file).unwrap();
        files.push(file);
    }
    // A value that is not a text is rejected, which proves that the checker works.
    let wrong = folder.path().join("wrong.yml");
    let file = examples()[0].file.replace("PUSH: 'true'", "PUSH: true");
    std::fs::write(&wrong, file).unwrap();
    for file in files {
        match schema::check_pipelines(&state_folder(), &file) {
            Ok(true) => {}
            Ok(false) => return,
            Err(why) => panic!("{why}\n{}", std::fs::read_to_string(file).unwrap()),
        }
    }
    let refused = schema::check_pipelines(&state_folder(), &wrong).unwrap_err();
    assert!(refused.contains("is not of type 'string'"), "{refused}");
}
