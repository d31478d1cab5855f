//! Why there is no engine, and what to do about it.

use std::io;

use super::{NotReady, PackagesError, RunFolderError};

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A Docker Engine or `buildkitd` is not there, or not one for us.
    #[error("the engine at {address} will not do: {reason}")]
    Unusable {
        /// Its address.
        address: String,
        /// What it lacks.
        reason: String,
    },
    /// Neither the machine's engine will do nor can one be started.
    #[error("{passed_over}; and none of our own can be started")]
    Nowhere {
        /// Why the machine's engine will not do.
        passed_over: String,
        /// Why there is none of our own.
        source: Box<EngineError>,
    },
    /// Only root can start an engine.
    #[error("an engine of our own needs root, for its namespaces, mounts and bridge")]
    NotRoot,
    /// Its packages are not there.
    #[error("the packages of the engine could not be had")]
    Packages(#[from] PackagesError),
    /// It has no folder to run in.
    #[error("the engine has no folder to run in")]
    RunFolder(#[from] RunFolderError),
    /// Its processes could not be started or asked.
    #[error("the engine could not be started")]
    Start(#[source] io::Error),
    /// It was started and never answered.
    #[error("the engine does not answer")]
    NotReady(#[source] NotReady),
    /// It runs on another machine, as Docker Desktop's does.
    #[error(
        "127.0.0.1 is another machine for {engine}, so it cannot push to the registry that tests start here: {told}"
    )]
    LoopbackElsewhere {
        /// The engine.
        engine: String,
        /// What it said when it was asked to look there.
        told: String,
    },
}

impl EngineError {
    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unusable { .. } => Some(
                "it must be Docker Engine 25 or later with the containerd image store switched on",
            ),
            Self::Nowhere { source, .. } => source.hint(),
            Self::NotRoot => Some(
                "run as root, or use a Docker Engine 25 or later with the containerd image store switched on",
            ),
            Self::Packages(error) => error.hint(),
            Self::NotReady(_) => Some("in a container, it must be a privileged one"),
            Self::LoopbackElsewhere { .. } => Some("on Linux, choose an engine of our own"),
            Self::RunFolder(_) | Self::Start(_) => None,
        }
    }
}
