//! Which engine to use, and where things are on this machine.

use std::{
    env,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{Address, AddressError};

/// Which `BuildKit` to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The machine's Docker Engine if it will do, else one of our own.
    #[default]
    Automatic,
    /// An engine of our own, whatever the machine has.
    Own,
    /// The Docker Engine there.
    Docker(Address),
    /// The `buildkitd` that listens there, without TLS.
    Buildkitd(Address),
}

impl FromStr for EngineChoice {
    type Err = AddressError;

    /// `auto`, `own`, `docker=unix:///path` or `buildkitd=tcp://host:port`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('=') {
            None if text == "auto" => Self::Automatic,
            None if text == "own" => Self::Own,
            Some(("docker", address)) => Self::Docker(address.parse()?),
            Some(("buildkitd", address)) => Self::Buildkitd(address.parse()?),
            _ => return Err(AddressError::of(text)),
        })
    }
}

/// What an engine is started with.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Which one.
    pub choice: EngineChoice,
    /// Where the machine's Docker Engine is, as in `DOCKER_HOST`; `None` for Docker's own default.
    pub docker_host: Option<String>,
    /// Where downloaded packages are kept.
    pub state: PathBuf,
    /// What an engine of our own is told of the way to the internet, as variables of its environment.
    pub environment: Vec<(&'static str, String)>,
}

impl EngineOptions {
    /// Whatever this machine has. Reads `DOCKER_HOST`.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self {
            choice: EngineChoice::Automatic,
            docker_host: env::var_os("DOCKER_HOST")
                .filter(|host| !host.is_empty())
                .map(|host| host.to_string_lossy().into_owned()),
            state: state_folder(),
            environment: Vec::new(),
        }
    }
}

/// The folder of this clone for what is downloaded and not committed.
#[must_use]
pub fn state_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ground")
}
