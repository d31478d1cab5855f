//! The commands of `local-depot`.

mod arguments;
mod demo;
mod pipe;
mod read_back;
mod serve;

use std::io;
use std::sync::Arc;

use depot_ground::engine::{Engine, EngineError, EngineOptions, state_folder};
use depot_ground::fixtures::BusyboxError;
use depot_ground::registry::{ReadError, Registry, RegistryError};
use local_depot::{LocalDepot, Scenario, StartError};

pub(crate) use arguments::{Arguments, Verb};
pub(crate) use demo::demo;
pub(crate) use serve::serve;

/// Everything that a pipe connects to.
struct World {
    engine: Arc<Engine>,
    registry: Registry,
    depot: LocalDepot,
}

impl World {
    /// Starts a builder, a registry, and a local Depot without faults.
    async fn start(arguments: &Arguments) -> Result<Self, CommandError> {
        let options = EngineOptions {
            choice: arguments.engine.clone(),
            ..EngineOptions::of_this_machine()
        };
        let engine = Arc::new(Engine::start(&options).await?);
        let registry = Registry::start_beside(&engine, &state_folder()).await?;
        let depot = LocalDepot::start(Arc::clone(&engine) as _, Scenario::default()).await?;
        Ok(Self {
            engine,
            registry,
            depot,
        })
    }

    /// The pipe's variables for this world, each with whether it is a secret.
    fn variables(&self) -> [(&'static str, String, bool); 6] {
        [
            ("DEPOT_API_URL", self.depot.api_url().to_owned(), false),
            ("DEPOT_TOKEN", self.depot.token().to_owned(), true),
            (
                "DEPOT_PROJECT_ID",
                self.depot.project_id().to_owned(),
                false,
            ),
            ("REGISTRY", self.registry.host(), false),
            (
                "REGISTRY_USERNAME",
                self.registry.username().to_owned(),
                false,
            ),
            (
                "REGISTRY_PASSWORD",
                self.registry.password().to_owned(),
                true,
            ),
        ]
    }

    /// Stops everything and waits until it is removed.
    async fn stop(self) -> Result<(), CommandError> {
        self.depot.stop().await;
        self.registry.stop().await.map_err(CommandError::Stop)?;
        // The last handle: the machines, which held the others, have ended.
        match Arc::into_inner(self.engine) {
            Some(engine) => engine.stop().await.map_err(CommandError::Stop),
            None => Ok(()),
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("the async runtime could not be started")]
    Runtime(#[source] io::Error),
    #[error("no builder is available")]
    Engine(#[from] EngineError),
    #[error("no registry is available")]
    Registry(#[from] RegistryError),
    #[error("the local Depot did not start")]
    Depot(#[from] StartError),
    #[error("the builder or the registry could not be stopped")]
    Stop(#[source] io::Error),
    #[error("signals cannot be handled")]
    Signal(#[source] io::Error),
    #[error("standard output or standard error cannot be written")]
    Print(#[source] io::Error),
    #[error("no busybox is available for the demo image")]
    Busybox(#[from] BusyboxError),
    #[error("the build context could not be written")]
    Context(#[source] io::Error),
    #[error("cargo could not be started")]
    Cargo(#[source] io::Error),
    #[error("cargo could not build the pipe")]
    NotBuilt,
    #[error("the pipe could not be started")]
    Pipe(#[source] io::Error),
    #[error("the image could not be read back")]
    ReadBack(#[from] ReadError),
    #[error("the pushed image is wrong: {0}")]
    Wrong(String),
    #[error("the pipe succeeded, but the local Depot recorded: {0}")]
    Unfinished(String),
}

impl CommandError {
    /// The next thing to do.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::Busybox(error) => error.hint(),
            _ => None,
        }
    }
}
