//! Why no engine is available, and what to do about it.

use std::io;

use super::{NotReady, PackagesError, RunFolderError};

/// Why no engine is available.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A Docker Engine or `buildkitd` does not respond or is not supported.
    #[error("the engine at {address} cannot be used: {reason}")]
    Unusable {
        /// Its address.
        address: String,
        /// The reason.
        reason: String,
    },
    /// The machine's engine cannot be used, and no private one can be started.
    #[error("{passed_over}; and a private engine cannot be started")]
    Nowhere {
        /// Why the machine's engine cannot be used.
        passed_over: String,
        /// Why no private engine can be started.
        source: Box<EngineError>,
    },
    /// Only root can start an engine.
    #[error("a private engine requires root, for its namespaces, mounts and bridge")]
    NotRoot,
    /// Its packages could not be fetched.
    #[error("the packages of the engine could not be fetched")]
    Packages(#[from] PackagesError),
    /// No run folder could be claimed.
    #[error("no run folder for the engine")]
    RunFolder(#[from] RunFolderError),
    /// Its processes could not be started or queried.
    #[error("the engine could not be started")]
    Start(#[source] io::Error),
    /// It was started and did not respond in time.
    #[error("the engine does not respond")]
    NotReady(#[source] NotReady),
    /// It runs on another machine, as Docker Desktop's does.
    #[error(
        "127.0.0.1 is another machine for {engine}, so it cannot push to the registry that tests start here: {response}"
    )]
    LoopbackElsewhere {
        /// The engine.
        engine: String,
        /// Its response to a request for an image at 127.0.0.1.
        response: String,
    },
}

impl EngineError {
    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unusable { .. } => {
                Some("it must be Docker Engine 25 or later with the containerd image store enabled")
            }
            Self::Nowhere { source, .. } => source.hint(),
            Self::NotRoot => Some(
                "run as root, or use Docker Engine 25 or later with the containerd image store enabled",
            ),
            Self::Packages(error) => error.hint(),
            Self::NotReady(_) => Some("in a container, the engine requires a privileged one"),
            Self::LoopbackElsewhere { .. } => {
                Some("on Linux, use a private engine (`--engine own`)")
            }
            Self::RunFolder(_) | Self::Start(_) => None,
        }
    }
}
