//! The two programs, started for the same work.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use depot_ground::engine::Engine;
use depot_ground::registry::Registry;
use local_depot::{LocalDepot, Scenario};
use tokio::process::Command;

use crate::cases::Input;
use crate::measure::{Figures, WORD};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One build.
pub(crate) struct Work<'a> {
    pub(crate) context: &'a Path,
    /// The reference of the push, if any.
    pub(crate) push: Option<&'a str>,
    /// The name of the load, if any.
    pub(crate) load: Option<&'a str>,
    /// The platforms, separated by commas; the machine's platform if `None`.
    pub(crate) platforms: Option<&'a str>,
    pub(crate) input: Input,
    /// Whether the pipe derives the times of files from their content.
    pub(crate) has_times_of_content: bool,
    /// The key of the builder's copy of the context: a run with the same key can reuse files of an earlier run.
    pub(crate) identity: &'a str,
}

/// Everything that both programs use.
pub(crate) struct Place<'a> {
    pub(crate) engine: Arc<Engine>,
    pub(crate) depot: &'a LocalDepot,
    pub(crate) registry: &'a Registry,
    /// The step's Docker daemon, as in `DOCKER_HOST`.
    pub(crate) docker_host: &'a str,
    pub(crate) pipe: PathBuf,
    pub(crate) cli: PathBuf,
    /// The parent of the CLI's home folders.
    pub(crate) homes: &'a Path,
}

impl Place<'_> {
    /// A local Depot with another scenario on the same engine.
    pub(crate) async fn depot(&self, scenario: Scenario) -> Result<LocalDepot, Failure> {
        Ok(LocalDepot::start(self.engine.clone(), scenario).await?)
    }

    /// The same place with another local Depot and a daemon.
    pub(crate) fn with<'b>(&'b self, depot: &'b LocalDepot, docker_host: &'b str) -> Place<'b> {
        Place {
            engine: self.engine.clone(),
            depot,
            registry: self.registry,
            docker_host,
            pipe: self.pipe.clone(),
            cli: self.cli.clone(),
            homes: self.homes,
        }
    }

    /// Runs the pipe.
    pub(crate) async fn run_pipe(&self, work: &Work<'_>) -> Result<Figures, Failure> {
        let mut variables = self.common();
        variables.push(("BITBUCKET_REPO_FULL_NAME", work.identity.into()));
        if let Some(reference) = work.push {
            variables.extend([
                ("IMAGE", reference.into()),
                ("PUSH", "true".into()),
                ("REGISTRY", self.registry.host().into()),
                ("REGISTRY_USERNAME", self.registry.username().into()),
                ("REGISTRY_PASSWORD", self.registry.password().into()),
            ]);
        }
        if let Some(name) = work.load {
            variables.extend([("IMAGE", name.into()), ("LOAD", "true".into())]);
        }
        if let Some(platforms) = work.platforms {
            variables.push(("PLATFORMS", platforms.into()));
        }
        if work.has_times_of_content {
            variables.push(("CONTEXT_TIMES", "content".into()));
        }
        match work.input {
            Input::Dockerfile => {}
            // All default files, as the CLI reads them.
            Input::Definition => variables.push(("TARGETS", "default".into())),
            Input::Printed => variables.push(("BAKE_PRINT", "true".into())),
        }
        let before = self.line_bytes();
        let figures = run(self.pipe.as_os_str(), &[], &variables, work.context).await?;
        Ok(self.with_line_bytes(before, figures))
    }

    /// Runs the released CLI.
    pub(crate) async fn run_cli(&self, work: &Work<'_>) -> Result<Figures, Failure> {
        // The home contains the random id by which the CLI identifies a context.
        let home = self.homes.join(work.identity.replace('/', "-"));
        std::fs::create_dir_all(&home)?;
        let login = STANDARD.encode(format!(
            "{}:{}",
            self.registry.username(),
            self.registry.password()
        ));
        let config = serde_json::json!({ "auths": { self.registry.host(): { "auth": login } } });
        std::fs::write(home.join("config.json"), config.to_string())?;
        let mut variables = self.common();
        variables.extend([
            ("HOME", home.clone().into()),
            ("XDG_CONFIG_HOME", home.clone().into()),
            ("DOCKER_CONFIG", home.into()),
            ("DEPOT_ERROR_TELEMETRY", "0".into()),
            ("DEPOT_NO_UPDATE_NOTIFIER", "1".into()),
        ]);
        let mut words = match work.input {
            Input::Dockerfile => vec!["build", "--progress", "plain"],
            Input::Definition => vec!["bake", "--progress", "plain"],
            Input::Printed => vec!["bake", "--print"],
        };
        if let Some(reference) = work.push {
            words.extend(["--push", "-t", reference]);
        }
        if let Some(name) = work.load {
            words.extend(["--load", "-t", name]);
        }
        if let Some(platforms) = work.platforms {
            words.extend(["--platform", platforms]);
        }
        if work.input == Input::Dockerfile {
            words.push(".");
        }
        let before = self.line_bytes();
        let figures = run(self.cli.as_os_str(), &words, &variables, work.context).await?;
        Ok(self.with_line_bytes(before, figures))
    }

    /// Bytes over the machines' connections until now.
    fn line_bytes(&self) -> u64 {
        let connections = self.depot.record().connections;
        let bytes = connections
            .iter()
            .map(|connection| connection.received.get() + connection.sent.get());
        bytes.sum()
    }

    fn with_line_bytes(&self, before: u64, figures: Figures) -> Figures {
        Figures {
            line_bytes: self.line_bytes() - before,
            ..figures
        }
    }

    fn common(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("DEPOT_API_URL", self.depot.api_url().into()),
            ("DEPOT_TOKEN", self.depot.token().into()),
            ("DEPOT_PROJECT_ID", self.depot.project_id().into()),
            ("DOCKER_HOST", self.docker_host.into()),
        ]
    }
}

async fn run(
    program: &OsStr,
    words: &[&str],
    variables: &[(&'static str, OsString)],
    directory: &Path,
) -> Result<Figures, Failure> {
    let output = Command::new(std::env::current_exe()?)
        .arg(WORD)
        .arg(program)
        .args(words)
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .await?;
    let log = || String::from_utf8_lossy(&output.stderr).into_owned();
    let figures: Figures = serde_json::from_slice(&output.stdout).map_err(|_| log())?;
    if figures.code != 0 {
        let program = program.to_string_lossy();
        return Err(format!("{program} exited with code {}:\n{}", figures.code, log()).into());
    }
    Ok(figures)
}
