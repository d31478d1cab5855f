//! The choice of an engine, and the folder for downloads.

use std::env;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Address, AddressError};

/// The `BuildKit` to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The machine's Docker Engine if it is supported, else a private one.
    #[default]
    Automatic,
    /// A private engine, whatever the machine has.
    Own,
    /// The Docker Engine at this address.
    Docker(Address),
    /// The `buildkitd` at this address, without TLS.
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

/// Options to find or start an engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The choice.
    pub choice: EngineChoice,
    /// The address of the machine's Docker Engine, as in `DOCKER_HOST`; `None` for Docker's default.
    pub docker_host: Option<String>,
    /// The folder for downloaded packages.
    pub state: PathBuf,
    /// Variables of a private engine's environment, such as proxies.
    pub environment: Vec<(&'static str, String)>,
    /// The privileges that a private engine grants to steps.
    pub grants: Grants,
}

/// The privileges that an engine grants to steps of a Dockerfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grants {
    /// `network.host`.
    pub network_host: bool,
    /// `security.insecure`.
    pub security_insecure: bool,
}

/// Docker's default.
impl Default for Grants {
    fn default() -> Self {
        Self {
            network_host: true,
            security_insecure: false,
        }
    }
}

impl EngineOptions {
    /// The machine's engine or a private one. Reads `DOCKER_HOST`.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self {
            choice: EngineChoice::Automatic,
            docker_host: env::var_os("DOCKER_HOST")
                .filter(|host| !host.is_empty())
                .map(|host| host.to_string_lossy().into_owned()),
            state: state_folder(),
            environment: Vec::new(),
            grants: Grants::default(),
        }
    }
}

/// The folder of this clone for downloads, which git ignores.
#[must_use]
pub fn state_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ground")
}
