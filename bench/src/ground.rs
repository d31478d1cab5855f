//! Everything that the cases use: both programs, two builders, a registry.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use depot_ground::engine::{Engine, EngineOptions, state_folder};
use depot_ground::fixtures::Busybox;
use depot_ground::registry::Registry;
use local_depot::released_cli::{self, Installed};
use local_depot::{LocalDepot, MachinePlan, Scenario};
use tempfile::TempDir;

use crate::subjects::{Failure, Place};

/// Started once for all groups.
pub(crate) struct Ground {
    engine: Arc<Engine>,
    // At Depot the two machines are separate.
    second: Arc<Engine>,
    registry: Registry,
    pub(crate) busybox: Busybox,
    pub(crate) pipe: PathBuf,
    pub(crate) cli: PathBuf,
    homes: TempDir,
}

impl Ground {
    /// Builds the pipe, fetches the CLI, and starts the rest.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let Installed::Cli(cli) = tokio::task::spawn_blocking(released_cli::install).await?? else {
            return Err("the released CLI is installed with npm, which is not on the PATH".into());
        };
        let pipe = build_pipe()?;
        let engine = Arc::new(Engine::start(&EngineOptions::of_this_machine()).await?);
        Ok(Self {
            registry: Registry::start_beside(&engine, &state_folder()).await?,
            busybox: Busybox::fetch_beside(&engine, &state_folder()).await?,
            second: Arc::new(Engine::start(&EngineOptions::of_this_machine()).await?),
            engine,
            pipe,
            cli,
            homes: tempfile::tempdir()?,
        })
    }

    /// A local Depot with this plan for its machines.
    pub(crate) async fn depot(&self, plan: MachinePlan) -> Result<LocalDepot, Failure> {
        let scenario = Scenario::default().machines(plan);
        let (first, second) = (self.engine.clone(), self.second.clone());
        Ok(LocalDepot::start_on(first, second, scenario).await?)
    }

    /// The place for both programs on this local Depot, without a daemon.
    pub(crate) fn place<'a>(&'a self, depot: &'a LocalDepot) -> Place<'a> {
        Place {
            engine: self.engine.clone(),
            depot,
            registry: &self.registry,
            docker_host: "unix:///nowhere/docker.sock",
            pipe: self.pipe.clone(),
            cli: self.cli.clone(),
            homes: self.homes.path(),
        }
    }
}

/// Builds the pipe as it is released: one static program.
fn build_pipe() -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", "depot-build"])
        // With an explicit target, the flags do not apply to procedural macros.
        .args(["--target", &target, "--message-format=json"])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("the pipe could not be built".into());
    }
    // The path depends on cargo's target folder.
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| {
            message
                .pointer("/target/name")
                .is_some_and(|name| name == "depot-build")
        })
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .ok_or_else(|| "cargo reported no executable".into())
}
