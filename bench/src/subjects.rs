//! The two programs, started with the same wish.

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

use crate::measure::{Figures, WORD};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is to be built.
pub(crate) struct Wish<'a> {
    pub(crate) context: &'a Path,
    /// Pushed under this reference, if there is one.
    pub(crate) push: Option<&'a str>,
    /// Loaded under this name, if there is one.
    pub(crate) load: Option<&'a str>,
    /// Built for these platforms, with commas between; for the machine's own without any.
    pub(crate) platforms: Option<&'a str>,
    /// What each program knows a builder's copy of the context by: a run with the same text may find
    /// what an earlier one left.
    pub(crate) identity: &'a str,
}

/// Where and as whom they build.
pub(crate) struct Place<'a> {
    pub(crate) engine: Arc<Engine>,
    pub(crate) depot: &'a LocalDepot,
    pub(crate) registry: &'a Registry,
    /// The step's Docker daemon, as in `DOCKER_HOST`.
    pub(crate) docker_host: &'a str,
    pub(crate) pipe: PathBuf,
    pub(crate) cli: PathBuf,
    /// A folder for homes of the CLI.
    pub(crate) homes: &'a Path,
}

impl Place<'_> {
    /// A Depot of another kind on the same engine.
    pub(crate) async fn depot(&self, scenario: Scenario) -> Result<LocalDepot, Failure> {
        Ok(LocalDepot::start(self.engine.clone(), scenario).await?)
    }

    /// The same place with another Depot and a daemon.
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
    pub(crate) async fn ours(&self, wish: &Wish<'_>) -> Result<Figures, Failure> {
        let mut variables = self.common();
        variables.push(("BITBUCKET_REPO_FULL_NAME", wish.identity.into()));
        if let Some(reference) = wish.push {
            variables.extend([
                ("IMAGE", reference.into()),
                ("PUSH", "true".into()),
                ("REGISTRY", self.registry.host().into()),
                ("REGISTRY_USERNAME", self.registry.username().into()),
                ("REGISTRY_PASSWORD", self.registry.password().into()),
            ]);
        }
        if let Some(name) = wish.load {
            variables.extend([("IMAGE", name.into()), ("LOAD", "true".into())]);
        }
        if let Some(platforms) = wish.platforms {
            variables.push(("PLATFORMS", platforms.into()));
        }
        let before = self.line_bytes();
        let figures = run(self.pipe.as_os_str(), &[], &variables, wish.context).await?;
        Ok(self.counted(before, figures))
    }

    /// Runs the released CLI.
    pub(crate) async fn theirs(&self, wish: &Wish<'_>) -> Result<Figures, Failure> {
        // The home holds the random id that the CLI knows a context by.
        let home = self.homes.join(wish.identity.replace('/', "-"));
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
        let mut words = vec!["build", "--progress", "plain"];
        if let Some(reference) = wish.push {
            words.extend(["--push", "-t", reference]);
        }
        if let Some(name) = wish.load {
            words.extend(["--load", "-t", name]);
        }
        if let Some(platforms) = wish.platforms {
            words.extend(["--platform", platforms]);
        }
        words.push(".");
        let before = self.line_bytes();
        let figures = run(self.cli.as_os_str(), &words, &variables, wish.context).await?;
        Ok(self.counted(before, figures))
    }

    /// What has gone over the machines' lines so far.
    fn line_bytes(&self) -> u64 {
        let connections = self.depot.record().connections;
        let bytes = connections
            .iter()
            .map(|connection| connection.received.get() + connection.sent.get());
        bytes.sum()
    }

    fn counted(&self, before: u64, figures: Figures) -> Figures {
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
        return Err(format!("{program} ended with {}:\n{}", figures.code, log()).into());
    }
    Ok(figures)
}
