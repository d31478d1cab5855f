//! The pipe's own image: built by the pipe from its own Dockerfile, loaded into a daemon, and run as by Bitbucket.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use depot_ground::daemon::{Daemon, PipeRun, Release};
use local_depot::Scenario;

use super::attestations::{images, predicates, read};
use super::pipeline::{self, Line};
use super::place::{Place, with_place};
use super::program::{Program, Run};
use super::sboms::{SPDX, scanner};

/// The name of the pipe in a pipeline.
pub const NAME: &str = concat!("org/depot-build:", env!("CARGO_PKG_VERSION"));

/// Builds the static program as the Dockerfile does. CI uses the release profile; elsewhere the build is faster.
pub fn static_program() -> PathBuf {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "build",
            "--locked",
            "--package",
            "depot-build",
            "--target",
            &target,
        ])
        .args(["--bin", "depot-build", "--message-format=json"])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    if is_released() {
        cargo.arg("--release");
    }
    let built = cargo.output().unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}");
    String::from_utf8_lossy(&built.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .unwrap()
}

/// Whether the image has the release profile, so that its size is checked.
pub fn is_released() -> bool {
    std::env::var_os("CI").is_some()
}

/// Builds the image with the pipe on a local Depot and loads it into `daemon`.
pub async fn build(place: &Place, daemon: &Daemon) -> Run {
    let program = tokio::task::spawn_blocking(static_program).await.unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A folder with the compiled program replaces the stage that compiles.
    let out = root.join("target/own-image/out");
    std::fs::create_dir_all(&out).unwrap();
    std::fs::copy(program, out.join("depot-build")).unwrap();
    let depot = place.depot(Scenario::default()).await;
    Program::of(&depot, root)
        .load(NAME, &daemon.docker_host())
        .set("BITBUCKET_CLONE_DIR", root)
        .set("BUILD_CONTEXTS", "builder=target/own-image")
        .run()
        .await
}

/// A run of the image, as Bitbucket starts a pipe in a step.
pub struct InStep<'a> {
    pub daemon: &'a Daemon,
    pub clone: &'a Path,
    pub variables: BTreeMap<String, String>,
    /// Further folders that it can read.
    pub mounts: Vec<PathBuf>,
}

impl InStep<'_> {
    pub async fn run(&self) -> Run {
        let clone = self.clone.display().to_string();
        let mut mounts = vec![(clone.clone(), true)];
        let others = self.mounts.iter().map(|path| path.display().to_string());
        mounts.extend(others.map(|path| (path, false)));
        let storage = format!("{clone}/.bitbucket/pipelines/generated/pipeline/pipes");
        let of_bitbucket = [
            ("CI", "true".to_owned()),
            ("BITBUCKET_CLONE_DIR", clone.clone()),
            (
                "BITBUCKET_PIPE_STORAGE_DIR",
                format!("{storage}/org/depot-build"),
            ),
            ("BITBUCKET_PIPE_SHARED_STORAGE_DIR", storage.clone()),
            ("BITBUCKET_WORKSPACE", "acme".to_owned()),
            ("BITBUCKET_REPO_SLUG", "app".to_owned()),
            ("BITBUCKET_BUILD_NUMBER", "7".to_owned()),
            (
                "BITBUCKET_GIT_HTTP_ORIGIN",
                "http://bitbucket.org/acme/app".to_owned(),
            ),
            ("BITBUCKET_TAG", "v1.2.3".to_owned()),
            // Not mounted into pipes.
            (
                "BITBUCKET_PIPELINES_VARIABLES_PATH",
                "/opt/atlassian/pipelines/agent/tmp/pipeline-variables.env".to_owned(),
            ),
        ];
        // The step's variables take precedence over Bitbucket's.
        let mut variables: BTreeMap<&str, &str> = of_bitbucket
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        variables.extend(
            self.variables
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let pipe = PipeRun {
            image: NAME.into(),
            variables: variables
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            directory: clone,
            mounts,
        };
        let (code, log) = self.daemon.run_pipe(&pipe).await.unwrap();
        assert!(!log.contains("panicked"), "{log}");
        Run {
            code,
            log,
            stdout: String::new(),
        }
    }
}

#[test]
fn the_pipe_builds_its_own_image_which_is_small_and_reports_a_missing_token() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        place.own_image().await;
        let image = daemon.image(NAME).await.unwrap().unwrap();
        assert_eq!(image.user(), "", "pipes run as root");
        if is_released() {
            assert!(image.size <= 11_200_000, "{} bytes", image.size);
        }
        let files = daemon.files(NAME).await.unwrap();
        for file in [
            "LICENSE",
            "README.md",
            "pipe.yml",
            "depot-build",
            "etc/nsswitch.conf",
        ] {
            assert!(files.iter().any(|name| name == file), "{files:?}");
        }
        // No shell, no other program, no library.
        let programs = files.iter().filter(|name| !name.ends_with('/'));
        assert_eq!(programs.count(), 5, "{files:?}");

        let clone = tempfile::tempdir().unwrap();
        let step = InStep {
            daemon,
            clone: clone.path(),
            variables: BTreeMap::new(),
            mounts: Vec::new(),
        };
        let run = step.run().await;
        run.expect(2, &["\x1b[", "DEPOT_TOKEN: not set"]);
        let plain = BTreeMap::from([("NO_COLOR".to_owned(), "1".to_owned())]);
        let step = InStep {
            variables: plain,
            ..step
        };
        step.run()
            .await
            .expect(2, &["ERROR: DEPOT_TOKEN"])
            .without("\x1b[");
    });
}

/// The variables that the pipeline sets that releases the pipe. None is a list.
fn release_variables() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read_to_string(root.join("bitbucket-pipelines.yml")).unwrap();
    let lines = pipeline::steps(&file)
        .into_iter()
        .flat_map(|step| step.script);
    let mut calls = lines.filter_map(|line| match line {
        Line::Pipe(call) => Some(call),
        Line::Command(_) => None,
    });
    let call = calls.next().unwrap();
    assert!(calls.next().is_none());
    let repository = BTreeMap::from([("BITBUCKET_TAG", "9.9.9".to_owned())]);
    let mut variables = pipeline::environment(&call, &repository);
    variables.retain(|name, _| call.variables.contains_key(name));
    variables
}

#[test]
fn a_release_of_the_pipe_names_its_commit_and_lists_its_software() {
    with_place(async |place| {
        let scanner = scanner(place, "scanner-of-release", "").await;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let clone = tempfile::tempdir().unwrap();
        for file in ["Dockerfile", "LICENSE", "README.md", "pipe.yml"] {
            std::fs::copy(root.join(file), clone.path().join(file)).unwrap();
        }
        let out = clone.path().join("builder/out");
        std::fs::create_dir_all(&out).unwrap();
        std::fs::write(out.join("depot-build"), "program").unwrap();
        let depot = place.depot_of_two(Scenario::default()).await;
        let mut program = Program::of(&depot, clone.path());
        for (name, value) in release_variables() {
            program = program.set(&name, value);
        }
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let run = program
            .push(&place.image("own-release"), &place.registry)
            .set("BUILD_CONTEXTS", "builder=builder")
            // The default scanner is on Docker Hub.
            .set("SBOM", format!("generator={scanner}"))
            .set(
                "BITBUCKET_GIT_HTTP_ORIGIN",
                "http://bitbucket.org/org/depot-build",
            )
            .set("BITBUCKET_COMMIT", commit)
            .set("BITBUCKET_TAG", "9.9.9")
            .run()
            .await;
        run.expect(0, &["built and pushed"]).without("WARNING");

        let index = read(place, "own-release", "test").await;
        let images = images(place, "own-release", &index).await;
        assert_eq!(images.len(), 2, "{index:#}");
        for (_, _, config) in images {
            let labels = &config["config"]["Labels"];
            assert_eq!(labels["org.opencontainers.image.revision"], commit);
            assert_eq!(labels["org.opencontainers.image.version"], "9.9.9");
            let source = &labels["org.opencontainers.image.source"];
            assert_eq!(source, "https://bitbucket.org/org/depot-build");
            assert_eq!(labels["org.opencontainers.image.title"], "depot-build");
        }
        let provenance = predicates(place, "own-release", &index, "https://slsa.dev/").await;
        assert_eq!(provenance.len(), 2);
        for predicate in provenance {
            let text = predicate.to_string();
            assert!(
                text.contains(commit) && text.contains("llbDefinition"),
                "{predicate:#}"
            );
        }
        let sboms = predicates(place, "own-release", &index, SPDX).await;
        assert!(sboms.len() >= 2, "{index:#}");
        for platform in ["linux_amd64", "linux_arm64"] {
            let file = clone.path().join(format!("sbom/{platform}.spdx.json"));
            let text = std::fs::read_to_string(file).unwrap();
            assert!(text.contains("depot-build"), "{text}");
        }
    });
}
