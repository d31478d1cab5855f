//! A real `BuildKit`, wherever this machine has one, and the way to it.
//!
//! In order: the one that is named; a Docker Engine of the machine that keeps images in containerd's store,
//! whose `POST /grpc` *is* a `BuildKit`; else a Docker Engine of our own (`own.rs`).

mod address;
pub(crate) mod containers;
pub(crate) mod docker;
mod error;
pub(crate) mod http;
mod memory;
mod options;
pub(crate) mod own;

use std::{
    fmt, io,
    time::{Duration, Instant},
};

use ::http::{Request, StatusCode};
use bytes::Bytes;
use tokio::{io::BufReader, net::TcpListener};

pub use address::{Address, AddressError, Duplex};
pub use error::EngineError;
pub use options::{EngineChoice, EngineOptions, state_folder};

use crate::packages::Set;
use crate::process::Supervised;
pub use crate::{
    packages::PackagesError,
    process::{NotReady, RunFolderError},
};

/// A connection to a `BuildKit`: HTTP/2 without TLS, from the first byte on.
pub type BuildkitStream = BufReader<Box<dyn Duplex>>;

/// What a refused image may be told with.
const DISTRIBUTION_LIMIT: usize = 1 << 20;

/// Forgetting builds deletes their files; the answer names each.
const PRUNE_LIMIT: Duration = Duration::from_mins(1);
const PRUNE_ANSWER_LIMIT: usize = 4 << 20;

/// A `BuildKit` that answers. When it is one of our own, dropping this ends it, and so does the end of this process.
#[derive(Debug)]
pub struct Engine {
    door: Door,
    info: EngineInfo,
    /// Present when the engine is our own.
    daemon: Option<Supervised>,
}

/// How one gets to the `BuildKit`.
#[derive(Debug)]
enum Door {
    Docker(Address),
    Buildkitd(Address),
}

/// What an engine is, for messages.
#[derive(Clone, Debug)]
pub struct EngineInfo {
    /// What it is and where it listens.
    pub description: String,
    /// Why the machine's Docker Engine is not used, where one was looked for.
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
    /// Finds or starts an engine and sees that its `BuildKit` answers.
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

    /// Whether it is one of our own, and so has the environment that it was to have.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.daemon.is_some()
    }

    /// What it is, for messages.
    #[must_use]
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// Where Docker's API is, as in `DOCKER_HOST`; `None` for a bare `buildkitd`.
    #[must_use]
    pub fn docker_host(&self) -> Option<String> {
        self.docker().map(ToString::to_string)
    }

    /// Makes an engine of our own forget all that it has built, contexts included, so that a comparison can begin anew.
    ///
    /// An engine that was there before us keeps what it has: it is not ours to empty.
    ///
    /// # Errors
    /// The engine did not do it.
    pub async fn forget_builds(&self) -> io::Result<()> {
        let (Some(address), Some(_)) = (self.docker(), &self.daemon) else {
            return Ok(());
        };
        let request = Request::post("/build/prune?all=true")
            .body(Bytes::new())
            .map_err(io::Error::other)?;
        let answer = http::send_within(PRUNE_LIMIT, address, request, PRUNE_ANSWER_LIMIT).await?;
        if answer.status() == StatusCode::OK {
            Ok(())
        } else {
            Err(io::Error::other(format!(
                "the engine answered {}",
                answer.status()
            )))
        }
    }

    /// Makes an engine of our own forget an image that it was told to name.
    ///
    /// # Errors
    /// The engine did not do it.
    pub async fn forget_image(&self, name: &str) -> io::Result<()> {
        let (Some(address), Some(_)) = (self.docker(), &self.daemon) else {
            return Ok(());
        };
        let request = Request::delete(format!("/images/{name}?force=true"))
            .body(Bytes::new())
            .map_err(io::Error::other)?;
        let answer = http::send_within(PRUNE_LIMIT, address, request, PRUNE_ANSWER_LIMIT).await?;
        match answer.status() {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            status => Err(io::Error::other(format!("the engine answered {status}"))),
        }
    }

    /// Where Docker's API is.
    pub(crate) fn docker(&self) -> Option<&Address> {
        match &self.door {
            Door::Docker(address) => Some(address),
            Door::Buildkitd(_) => None,
        }
    }

    /// Sees that this engine and we mean the same by `127.0.0.1`, where our registry listens.
    ///
    /// It is asked for an image there; whether a connection comes is the answer. A bare `buildkitd` is not asked.
    pub async fn check_loopback(&self) -> Result<(), EngineError> {
        let Door::Docker(address) = &self.door else {
            return Ok(());
        };
        let unreachable = |told: String| EngineError::LoopbackElsewhere {
            engine: self.info.description.clone(),
            told,
        };
        let ask = async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let image = format!("/distribution/{}/probe/json", listener.local_addr()?);
            let request = Request::get(image)
                .body(Bytes::new())
                .map_err(io::Error::other)?;
            tokio::select! {
                biased;
                connection = listener.accept() => connection.map(|_| None),
                answer = http::send(address, request, DISTRIBUTION_LIMIT) => {
                    answer.map(|answer| Some(String::from_utf8_lossy(answer.body()).trim().to_owned()))
                }
            }
        };
        match ask.await {
            Ok(None) => Ok(()),
            Ok(Some(told)) => Err(unreachable(told)),
            Err(error) => Err(unreachable(error.to_string())),
        }
    }

    /// Ends an engine of our own and waits until nothing of it is left; leaves any other alone.
    pub async fn stop(self) -> io::Result<()> {
        match self.daemon {
            Some(daemon) => daemon.stop().await,
            None => Ok(()),
        }
    }

    /// The end of the log of an engine of our own, for messages about a build that failed in a strange way.
    #[must_use]
    pub fn log_tail(&self) -> Option<String> {
        self.daemon.as_ref().map(Supervised::log_tail)
    }

    async fn of_machine(docker_host: Option<&str>) -> Result<Self, EngineError> {
        let address = match docker_host {
            None => Address::of_machines_docker(),
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
            disk: None,
        };
        let (daemon, address) = own::start(&options.state, &plan).await?;
        let info = docker::info(&address).await.map_err(EngineError::Start)?;
        let description = format!(
            "Docker Engine {} of our own at {address}",
            info.server_version
        );
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
