//! A real registry on loopback, which requires a user and a password for everything.
//!
//! It is Debian's `docker-registry`, started for one test run: the system chooses its port, user and password are random,
//! and its storage is removed with it. It uses plain HTTP, which clients accept for loopback addresses.

mod client;
mod login;
pub mod tokens;

use std::net::SocketAddr;
use std::path::Path;
use std::{fmt, fs, io};

use serde_json::{Value, json};

pub use client::{Manifest, ReadError};
pub use login::Login;

use crate::engine::containers::{Container, Plan};
use crate::engine::{Address, Engine, EngineError};
pub use crate::packages::PackagesError;
use crate::packages::{self, Set};
use crate::process::{Kind, PROBE_PAUSE, READY_LIMIT, RunFolder, Supervised};
pub use crate::process::{NotReady, RunFolderError};
use client::Client;

/// The start of the log is searched for the registry's port; measured: within the first 2 KB.
const LOG_HEAD_BYTES: usize = 64 << 10;
/// The same registry, for machines without the packages.
const IMAGE: &str = "registry:2.8.3";
/// Ends when its standard input ends; see [`Container`].
const IN_CONTAINER: &str = r#"
printf '%s\n' "$SETTINGS" >/tmp/config.yml
printf '%s\n' "$USERS" >/tmp/htpasswd
registry serve /tmp/config.yml &
read -r _
kill -KILL $!
"#;

/// A running registry. It stops when this is dropped or this process ends.
pub struct Registry {
    keeper: Keeper,
    client: Client,
    login: Login,
}

/// The process or container that runs the registry.
enum Keeper {
    Process(Supervised),
    Container(Container),
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Registry")
            .field("host", &self.host())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Starts a registry that `engine` can push to. `state` is the folder for downloaded packages.
    ///
    /// On a machine without Debian's packages it runs in a container of the engine.
    pub async fn start_beside(engine: &Engine, state: &Path) -> Result<Self, RegistryError> {
        match (Self::start(state).await, engine.docker()) {
            (Err(RegistryError::Packages(error)), Some(docker)) if error.is_of_machine() => {
                Self::in_container(docker, IMAGE).await
            }
            (Ok(registry), _) => {
                engine.check_loopback().await?;
                Ok(registry)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Starts a registry as a process and waits until it responds.
    ///
    /// Cancel safe: dropping the future ends what was started.
    pub async fn start(state: &Path) -> Result<Self, RegistryError> {
        let login = Login::random().map_err(RegistryError::Start)?;
        Self::start_for(state, login).await
    }

    /// As [`Registry::start`], for a user and a password that the caller provides.
    pub async fn start_for(state: &Path, login: Login) -> Result<Self, RegistryError> {
        let folder = daemon_folder().await?;
        let [users, storage] = ["htpasswd", "storage"].map(|name| folder.path().join(name));
        fs::write(&users, login.htpasswd().map_err(RegistryError::Start)?)
            .map_err(RegistryError::Start)?;
        let settings = Settings {
            address: "127.0.0.1:0",
            storage: &storage,
            auth: htpasswd(&users),
        }
        .to_json();
        let (daemon, client) =
            start_daemon(state, folder, &settings, &login.authorization()).await?;
        Ok(Self {
            keeper: Keeper::Process(daemon),
            client,
            login,
        })
    }

    /// Starts a registry in a container of the Docker Engine at `docker`.
    async fn in_container(docker: &Address, image: &str) -> Result<Self, RegistryError> {
        let login = Login::random().map_err(RegistryError::Start)?;
        let settings = Settings {
            address: "0.0.0.0:5000",
            storage: "/tmp/storage".as_ref(),
            auth: htpasswd("/tmp/htpasswd".as_ref()),
        }
        .to_json();
        let plan = Plan {
            image,
            script: IN_CONTAINER,
            variables: &[
                format!("SETTINGS={settings}"),
                format!(
                    "USERS={}",
                    login.htpasswd().map_err(RegistryError::Start)?.trim_end()
                ),
            ],
            port: 5000,
        };
        let container = Container::start(docker, &plan)
            .await
            .map_err(RegistryError::Start)?;
        let port = container
            .published_port()
            .await
            .map_err(RegistryError::Start)?;
        let client = Client::new(([127, 0, 0, 1], port).into(), &login.authorization());
        let client =
            client.ok_or_else(|| RegistryError::Start(io::Error::other("invalid password")))?;
        let ready = async {
            while !client.is_ready().await {
                tokio::time::sleep(PROBE_PAUSE).await;
            }
        };
        if tokio::time::timeout(READY_LIMIT, ready).await.is_err() {
            let log = container
                .log()
                .await
                .unwrap_or_else(|error| error.to_string());
            return Err(RegistryError::Start(io::Error::other(format!(
                "its container does not respond: {log}"
            ))));
        }
        Ok(Self {
            keeper: Keeper::Container(container),
            client,
            login,
        })
    }

    /// The host and port, the first part of a reference to an image here.
    #[must_use]
    pub fn host(&self) -> String {
        self.client.address().to_string()
    }

    /// The only user, with the password.
    #[must_use]
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// The name of the only user.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.login.username
    }

    /// The user's password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.login.password
    }

    /// Reads a manifest or an index by tag or digest.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Manifest, ReadError> {
        self.client.manifest(repository, reference).await
    }

    /// Reads a blob and verifies its digest: an image's config, or a layer as it was pushed.
    pub async fn blob(&self, repository: &str, digest: &str) -> Result<bytes::Bytes, ReadError> {
        self.client.blob(repository, digest).await
    }

    /// The tags of a repository, sorted; empty if nothing was pushed there.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>, ReadError> {
        self.client.tags(repository).await
    }

    /// The end of the registry's log.
    pub async fn log_tail(&self) -> String {
        match &self.keeper {
            Keeper::Process(daemon) => daemon.log_tail(),
            Keeper::Container(container) => container
                .log()
                .await
                .unwrap_or_else(|error| error.to_string()),
        }
    }

    /// Stops the registry and waits until everything of it is removed.
    pub async fn stop(self) -> io::Result<()> {
        match self.keeper {
            Keeper::Process(daemon) => daemon.stop().await,
            Keeper::Container(container) => container.stop().await,
        }
    }
}

/// Claims a run folder for a registry.
async fn daemon_folder() -> Result<RunFolder, RegistryError> {
    let claimed = tokio::task::spawn_blocking(|| RunFolder::claim(Kind::Registry, None)).await;
    Ok(claimed.map_err(|error| RegistryError::Start(error.into()))??)
}

/// Starts Debian's registry in `folder` and waits until it accepts `authorization`.
async fn start_daemon(
    state: &Path,
    folder: RunFolder,
    settings: &str,
    authorization: &str,
) -> Result<(Supervised, Client), RegistryError> {
    let program = packages::fetch(state, Set::Registry)
        .await?
        .program("docker-registry")?;
    let written = folder.path().join("config.yml");
    fs::write(&written, settings).map_err(RegistryError::Start)?;
    // With an empty environment: variables that begin with `REGISTRY_` would override its settings.
    let command = [
        "env".as_ref(),
        "-i".as_ref(),
        program.as_os_str(),
        "serve".as_ref(),
        written.as_os_str(),
    ];
    let mut daemon = Supervised::start(folder, &command).map_err(RegistryError::Start)?;
    let ready = async |daemon: &Supervised| {
        let address = listening_on(&daemon.log_head(LOG_HEAD_BYTES).ok()?)?;
        let client = Client::new(address, authorization)?;
        client.is_ready().await.then_some(client)
    };
    let client = daemon
        .until_ready(ready)
        .await
        .map_err(RegistryError::NotReady)?;
    Ok((daemon, client))
}

/// The settings that differ between registries.
struct Settings<'a> {
    address: &'a str,
    storage: &'a Path,
    auth: Value,
}

impl Settings<'_> {
    /// JSON, which is YAML too.
    fn to_json(&self) -> String {
        json!({
            "version": "0.1",
            "log": { "level": "info" },
            "storage": {
                "filesystem": { "rootdirectory": self.storage },
                "delete": { "enabled": true },
            },
            "http": { "addr": self.address },
            "auth": self.auth,
        })
        .to_string()
    }
}

/// Authentication by a file of users.
fn htpasswd(users: &Path) -> Value {
    json!({ "htpasswd": { "realm": "depot-ground", "path": users } })
}

/// Finds the address in a log line with `listening on <address>`.
fn listening_on(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on ")?;
    // The address ends at the end of the message. The line may be incomplete.
    let (address, _) = rest.split_once(|end: char| end == '"' || end.is_whitespace())?;
    address.parse().ok()
}

/// Why no registry could be started.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Its package could not be fetched.
    #[error("the package of the registry could not be fetched")]
    Packages(#[from] PackagesError),
    /// No run folder could be claimed.
    #[error("no run folder for the registry")]
    RunFolder(#[from] RunFolderError),
    /// Its process could not be started.
    #[error("the registry could not be started")]
    Start(#[source] io::Error),
    /// It was started and did not respond in time.
    #[error("the registry does not respond")]
    NotReady(#[source] NotReady),
    /// The engine cannot reach it.
    #[error("the engine cannot reach the registry")]
    Engine(#[from] EngineError),
}

impl RegistryError {
    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Packages(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::RunFolder(_) | Self::Start(_) | Self::NotReady(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
