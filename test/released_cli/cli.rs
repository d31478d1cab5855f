//! Runs the CLI against a stand-in, in surroundings of its own.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use depot_ground::fixtures::Context;
use local_depot::{Architecture, BuildRecord, BuildState, LocalDepot, Record, Scenario};
use tempfile::TempDir;
use tokio::process::Command;

use crate::ground::Ground;

/// Where the CLI builds when nothing is said of platforms: on a machine like the one that it runs on.
pub(crate) const HERE: Architecture = if cfg!(target_arch = "aarch64") {
    Architecture::Arm64
} else {
    Architecture::Amd64
};

/// Far longer than any build here takes; a CLI that hangs is killed.
const LIMIT: Duration = Duration::from_mins(2);

/// One stand-in, and a home folder for the CLI.
pub(crate) struct Trial {
    ground: &'static Ground,
    pub(crate) stand_in: LocalDepot,
    pub(crate) token: String,
    pub(crate) project: String,
    home: TempDir,
    /// A Docker daemon, as in `DOCKER_HOST`; a socket that is not there without one.
    pub(crate) docker_host: Option<String>,
}

/// How a run of the CLI ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// What the stand-in saw.
    pub(crate) record: Record,
}

impl Trial {
    /// Starts a stand-in that behaves as `scenario` says.
    pub(crate) async fn start(ground: &'static Ground, scenario: Scenario) -> Self {
        let engine = Arc::clone(&ground.engine);
        let stand_in = LocalDepot::start(engine, scenario).await.unwrap();
        Self::with(ground, stand_in)
    }

    /// The same with another engine for ARM64, as Depot has separate machines; `None` where there is no other.
    pub(crate) async fn start_on_two(ground: &'static Ground, scenario: Scenario) -> Option<Self> {
        let (amd64, arm64) = (Arc::clone(&ground.engine), ground.second_engine().await?);
        let stand_in = LocalDepot::start_on(amd64, arm64, scenario).await.unwrap();
        Some(Self::with(ground, stand_in))
    }

    fn with(ground: &'static Ground, stand_in: LocalDepot) -> Self {
        let home = tempfile::Builder::new()
            .prefix("depot-home-")
            .tempdir()
            .unwrap();
        let (token, project) = (
            stand_in.token().to_owned(),
            stand_in.project_id().to_owned(),
        );
        Self {
            ground,
            stand_in,
            token,
            project,
            home,
            docker_host: None,
        }
    }

    /// Runs `depot build` on `context`, with these further arguments.
    pub(crate) async fn build(&self, context: &Context, arguments: &[&str]) -> Ran {
        // The registry's credentials, where `docker login` would have put them.
        let registry = &self.ground.registry;
        let login = STANDARD.encode(format!("{}:{}", registry.username(), registry.password()));
        let config = serde_json::json!({ "auths": { registry.host(): { "auth": login } } });
        std::fs::write(self.home.path().join("config.json"), config.to_string()).unwrap();

        let nowhere = format!("unix://{}/no-docker.sock", self.home.path().display());
        let child = Command::new(&self.ground.cli)
            .args(["build", "--progress", "plain"])
            .args(arguments)
            .arg(context.path())
            .env_clear() // it looks for a CI system in its environment, and would report errors to its makers
            .env("DEPOT_ERROR_TELEMETRY", "0")
            .env("DEPOT_NO_UPDATE_NOTIFIER", "1")
            .env("DEPOT_API_URL", self.stand_in.api_url())
            .env("DEPOT_TOKEN", &self.token)
            .env("DEPOT_PROJECT_ID", &self.project)
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("TMPDIR", self.home.path())
            .env("DOCKER_CONFIG", self.home.path())
            .env("DOCKER_HOST", self.docker_host.as_ref().unwrap_or(&nowhere))
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
        let record = self.stand_in.record();
        let output = ended
            .unwrap_or_else(|_| panic!("the CLI hangs; the stand-in saw: {record:#?}"))
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            record,
        }
    }
}

impl Ran {
    /// Asserts an exit code.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts that it printed this, on whichever stream.
    #[track_caller]
    pub(crate) fn prints(&self, text: &str) -> &Self {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "no `{text}` in {}{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// The one build that it created.
    #[track_caller]
    pub(crate) fn build(&self) -> &BuildRecord {
        let [build] = &self.record.builds[..] else {
            panic!("not one build: {self:#?}")
        };
        build
    }

    /// Asserts how the one build that it created was finished.
    #[track_caller]
    pub(crate) fn finishes(&self, state: &BuildState) -> &Self {
        assert_eq!(&self.build().state, state, "{self:#?}");
        self
    }
}
