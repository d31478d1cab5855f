//! A real `BuildKit` on this machine, and connections to it.
//!
//! In order: the engine that the caller names; the machine's Docker Engine if it keeps images in containerd's store (its
//! `POST /grpc` *is* a `BuildKit`); a private Docker Engine, started here (`own.rs`).

mod address;
pub(crate) mod containers;
pub(crate) mod docker;
mod error;
pub(crate) mod http;
mod memory;
mod options;
pub(crate) mod own;

use std::time::{Duration, Instant};
use std::{fmt, io};

use ::http::{Request, StatusCode};
use bytes::Bytes;
use tokio::io::BufReader;
use tokio::net::TcpListener;

pub use address::{Address, AddressError, Duplex};
pub use error::EngineError;
pub use options::{EngineChoice, EngineOptions, Grants, state_folder};

pub use crate::packages::PackagesError;
use crate::packages::Set;
use crate::process::Supervised;
pub use crate::process::{NotReady, RunFolderError};

/// A connection to a `BuildKit`: HTTP/2 without TLS, from the first byte on.
pub type BuildkitStream = BufReader<Box<dyn Duplex>>;

/// The largest response to a request for an image.
const DISTRIBUTION_LIMIT_BYTES: usize = 1 << 20;

/// Pruning deletes the files of builds; the response names each.
const PRUNE_LIMIT: Duration = Duration::from_mins(1);
const PRUNE_RESPONSE_LIMIT_BYTES: usize = 4 << 20;

/// A `BuildKit` that responds. A private engine stops when this is dropped or this process ends.
#[derive(Debug)]
pub struct Engine {
    door: Door,
    info: EngineInfo,
    /// Present if the engine is private.
    daemon: Option<Supervised>,
}

/// The connection to the `BuildKit`.
#[derive(Debug)]
enum Door {
    Docker(Address),
    Buildkitd(Address),
}

/// A description of an engine, for messages.
#[derive(Clone, Debug)]
pub struct EngineInfo {
    /// Its name, release and address.
    pub description: String,
    /// Why the machine's Docker Engine is not used, if one was looked for.
    pub passed_over: Option<String>,
    /// How long it took to find or to start, downloads included.
    pub started_in: Duration,
}

impl fmt::Display for EngineInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}, ready after {:.1} s",
            self.description,
            self.started_in.as_secs_f64()
        )
    }
}

impl Engine {
    /// Finds or starts an engine and verifies that its `BuildKit` responds.
    ///
    /// Cancel safe: dropping the future ends what was started.
    pub async fn start(options: &EngineOptions) -> Result<Self, EngineError> {
        let begun = Instant::now();
        let mut engine = match &options.choice {
            EngineChoice::Docker(address) => Self::of_docker(address.clone()).await?,
            EngineChoice::Buildkitd(address) => Self::of_buildkitd(address.clone()).await?,
            EngineChoice::Own => Self::own(options).await?,
            EngineChoice::Automatic => match Self::of_machine(options.docker_host.as_deref()).await
            {
                Ok(engine) => engine,
                Err(machines) => {
                    let passed_over = machines.to_string();
                    match Self::own(options).await {
                        Ok(mut engine) => {
                            engine.info.passed_over = Some(passed_over);
                            engine
                        }
                        Err(own) => {
                            return Err(EngineError::Nowhere {
                                passed_over,
                                source: Box::new(own),
                            });
                        }
                    }
                }
            },
        };
        engine.info.started_in = begun.elapsed();
        Ok(engine)
    }

    /// Opens a connection to the `BuildKit`. Each serves one HTTP/2 client. Cancel safe.
    pub async fn connect_buildkit(&self) -> io::Result<BuildkitStream> {
        match &self.door {
            Door::Docker(address) => docker::connect_buildkit(address).await,
            Door::Buildkitd(address) => address.connect().await.map(BufReader::new),
        }
    }

    /// Whether the engine is private, and so has the requested environment.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.daemon.is_some()
    }

    /// Its description, for messages.
    #[must_use]
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// The address of Docker's API, as in `DOCKER_HOST`; `None` for a bare `buildkitd`.
    #[must_use]
    pub fn docker_host(&self) -> Option<String> {
        self.docker().map(ToString::to_string)
    }

    /// Removes everything that a private engine has built, contexts included, so that a comparison starts without a cache.
    ///
    /// Any other engine is left alone: it may belong to someone's other work.
    ///
    /// # Errors
    /// If the engine returns an error.
    pub async fn forget_builds(&self) -> io::Result<()> {
        let (Some(address), Some(_)) = (self.docker(), &self.daemon) else {
            return Ok(());
        };
        let request = Request::post("/build/prune?all=true")
            .body(Bytes::new())
            .map_err(io::Error::other)?;
        let response =
            http::send_within(PRUNE_LIMIT, address, request, PRUNE_RESPONSE_LIMIT_BYTES).await?;
        if response.status() == StatusCode::OK {
            Ok(())
        } else {
            Err(io::Error::other(format!(
                "the engine returned {}",
                response.status()
            )))
        }
    }

    /// Removes an image by name from a private engine.
    ///
    /// # Errors
    /// If the engine returns an error.
    pub async fn forget_image(&self, name: &str) -> io::Result<()> {
        let (Some(address), Some(_)) = (self.docker(), &self.daemon) else {
            return Ok(());
        };
        let request = Request::delete(format!("/images/{name}?force=true"))
            .body(Bytes::new())
            .map_err(io::Error::other)?;
        let response =
            http::send_within(PRUNE_LIMIT, address, request, PRUNE_RESPONSE_LIMIT_BYTES).await?;
        match response.status() {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            status => Err(io::Error::other(format!("the engine returned {status}"))),
        }
    }

    /// The address of Docker's API.
    pub(crate) fn docker(&self) -> Option<&Address> {
        match &self.door {
            Door::Docker(address) => Some(address),
            Door::Buildkitd(_) => None,
        }
    }

    /// Verifies that `127.0.0.1`, the address of the tests' registries, is the same machine for this engine.
    ///
    /// The engine is sent a request for an image there; the check succeeds if it opens a connection. A bare `buildkitd` is
    /// not checked.
    pub async fn check_loopback(&self) -> Result<(), EngineError> {
        let Door::Docker(address) = &self.door else {
            return Ok(());
        };
        let unreachable = |response: String| EngineError::LoopbackElsewhere {
            engine: self.info.description.clone(),
            response,
        };
        let probe = async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let image = format!("/distribution/{}/probe/json", listener.local_addr()?);
            let request = Request::get(image)
                .body(Bytes::new())
                .map_err(io::Error::other)?;
            tokio::select! {
                biased;
                connection = listener.accept() => connection.map(|_| None),
                response = http::send(address, request, DISTRIBUTION_LIMIT_BYTES) => {
                    response.map(|response| Some(String::from_utf8_lossy(response.body()).trim().to_owned()))
                }
            }
        };
        match probe.await {
            Ok(None) => Ok(()),
            Ok(Some(response)) => Err(unreachable(response)),
            Err(error) => Err(unreachable(error.to_string())),
        }
    }

    /// Stops a private engine and waits until everything of it is removed; leaves any other engine alone.
    pub async fn stop(self) -> io::Result<()> {
        match self.daemon {
            Some(daemon) => daemon.stop().await,
            None => Ok(()),
        }
    }

    /// The end of a private engine's log, for messages about unexpected failures.
    #[must_use]
    pub fn log_tail(&self) -> Option<String> {
        self.daemon.as_ref().map(Supervised::log_tail)
    }

    async fn of_machine(docker_host: Option<&str>) -> Result<Self, EngineError> {
        let address = match docker_host {
            None => Address::docker_default(),
            Some(text) => text
                .parse()
                .map_err(|error: AddressError| EngineError::Unusable {
                    address: text.to_owned(),
                    reason: error.to_string(),
                })?,
        };
        Self::of_docker(address).await
    }

    async fn of_docker(address: Address) -> Result<Self, EngineError> {
        let unusable = |reason: String| EngineError::Unusable {
            address: address.to_string(),
            reason,
        };
        let info = docker::info(&address)
            .await
            .map_err(|error| unusable(error.to_string()))?;
        if let Some(objection) = info.objection() {
            return Err(unusable(objection));
        }
        docker::connect_buildkit(&address)
            .await
            .map_err(|error| unusable(error.to_string()))?;
        let description = format!(
            "Docker Engine {} ({}) at {address}",
            info.server_version, info.operating_system
        );
        Ok(Self::new(Door::Docker(address), description, None))
    }

    async fn of_buildkitd(address: Address) -> Result<Self, EngineError> {
        let unusable = |error: io::Error| EngineError::Unusable {
            address: address.to_string(),
            reason: error.to_string(),
        };
        address.connect().await.map_err(unusable)?;
        let description = format!("buildkitd at {address}");
        Ok(Self::new(Door::Buildkitd(address), description, None))
    }

    async fn own(options: &EngineOptions) -> Result<Self, EngineError> {
        let plan = own::Plan {
            set: Set::Engine,
            containerd: true,
            environment: options.environment.clone(),
            grants: options.grants,
            disk: None,
        };
        let (daemon, address) = own::start(&options.state, &plan).await?;
        let info = docker::info(&address).await.map_err(EngineError::Start)?;
        let description = format!("private Docker Engine {} at {address}", info.server_version);
        Ok(Self::new(Door::Docker(address), description, Some(daemon)))
    }

    fn new(door: Door, description: String, daemon: Option<Supervised>) -> Self {
        let info = EngineInfo {
            description,
            passed_over: None,
            started_in: Duration::ZERO,
        };
        Self { door, info, daemon }
    }
}

#[cfg(test)]
mod tests;
