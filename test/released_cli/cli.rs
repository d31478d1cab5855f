//! Runs the CLI, and the pipe beside it, against a local Depot, in a separate environment.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use depot_ground::fixtures::Context;
use depot_ground::registry::Login;
use local_depot::{Architecture, BuildRecord, BuildState, LocalDepot, Record, Scenario};
use tempfile::TempDir;
use tokio::process::Command;

use crate::ground::Ground;

/// The CLI's default architecture: that of this machine.
pub(crate) const HERE: Architecture = if cfg!(target_arch = "aarch64") {
    Architecture::Arm64
} else {
    Architecture::Amd64
};

/// Maximum time of a run. A program that hangs is killed.
const LIMIT: Duration = Duration::from_mins(2);

/// One local Depot, and a home folder for the CLI.
pub(crate) struct Trial {
    ground: &'static Ground,
    pub(crate) stand_in: LocalDepot,
    pub(crate) token: String,
    pub(crate) project: String,
    home: TempDir,
    /// The value of `DOCKER_HOST`. A missing socket if the test has no daemon.
    pub(crate) docker_host: Option<String>,
    /// Logins besides that of the shared registry, each with its host.
    pub(crate) logins: Vec<(String, Login)>,
    /// Further variables, such as those of a proxy.
    pub(crate) variables: Vec<(String, String)>,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The record of the local Depot.
    pub(crate) record: Record,
}

impl Trial {
    /// Starts a local Depot with this scenario.
    pub(crate) async fn start(ground: &'static Ground, scenario: Scenario) -> Self {
        let engine = Arc::clone(&ground.engine);
        let stand_in = LocalDepot::start(engine, scenario).await.unwrap();
        Self::with(ground, stand_in)
    }

    /// Like [`Self::start`], with another engine for ARM64, because Depot has separate machines. `None` without another engine.
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
            logins: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Runs `depot build` on `context`, with these further arguments.
    pub(crate) async fn build(&self, context: &Context, arguments: &[&str]) -> Ran {
        self.build_of(context.path(), arguments).await
    }

    /// The same with a path or an address as the context.
    pub(crate) async fn build_of(&self, context: impl AsRef<OsStr>, arguments: &[&str]) -> Ran {
        let start = ["build", "--progress", "plain"];
        let arguments = start.iter().chain(arguments).map(AsRef::as_ref);
        let arguments: Vec<&OsStr> = arguments.chain([context.as_ref()]).collect();
        self.run(&arguments).await
    }

    /// Runs any command of the CLI, such as `pull`.
    pub(crate) async fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Ran {
        self.run_in(self.home.path(), arguments).await
    }

    /// The same in a directory, such as that of a definition.
    pub(crate) async fn run_in(&self, directory: &Path, arguments: &[impl AsRef<OsStr>]) -> Ran {
        // The registries' credentials, where `docker login` stores them.
        let registry = &self.ground.registry;
        let logins = self.logins.iter().map(|(host, login)| (&**host, login));
        let shared = registry.host();
        let logins = logins.chain([(&*shared, registry.login())]);
        let auths: serde_json::Map<_, _> = logins
            .map(|(host, login)| {
                let login = STANDARD.encode(format!("{}:{}", login.username(), login.password()));
                (host.to_owned(), serde_json::json!({ "auth": login }))
            })
            .collect();
        let config = serde_json::json!({ "auths": auths });
        std::fs::write(self.home.path().join("config.json"), config.to_string()).unwrap();

        let nowhere = format!("unix://{}/no-docker.sock", self.home.path().display());
        let mut command = Command::new(&self.ground.cli);
        command
            .args(arguments)
            .env_clear() // it detects CI systems by their variables, and would report errors to its vendor
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
            .envs(self.variables.iter().cloned());
        self.finish(command, directory).await
    }

    /// Runs the pipe in `directory` with the same variables, and these.
    pub(crate) async fn pipe(&self, directory: &Path, variables: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_depot-build"));
        command
            .env_clear()
            .env("NO_COLOR", "1")
            .env("DEPOT_API_URL", self.stand_in.api_url())
            .env("DEPOT_TOKEN", &self.token)
            .env("DEPOT_PROJECT_ID", &self.project)
            .env("BITBUCKET_CLONE_DIR", directory)
            .envs(self.docker_host.iter().map(|host| ("DOCKER_HOST", host)))
            .envs(self.variables.iter().cloned())
            .envs(variables.iter().copied());
        self.finish(command, directory).await
    }

    /// Runs a command in `directory` to its end.
    async fn finish(&self, mut command: Command, directory: &Path) -> Ran {
        let child = command
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
        let record = self.stand_in.record();
        let output = ended
            .unwrap_or_else(|_| panic!("the program hangs; the local Depot saw: {record:#?}"))
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

    /// Asserts that it printed this, on any stream.
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

    /// The only build that it created.
    #[track_caller]
    pub(crate) fn build(&self) -> &BuildRecord {
        let [build] = &self.record.builds[..] else {
            panic!("not one build: {self:#?}")
        };
        build
    }

    /// Asserts the final state of its only build.
    #[track_caller]
    pub(crate) fn finishes(&self, state: &BuildState) -> &Self {
        assert_eq!(&self.build().state, state, "{self:#?}");
        self
    }
}
