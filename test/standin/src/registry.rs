//! A real registry on loopback, which wants a user and a password for everything.
//!
//! It is Debian's `docker-registry`, started for one test run: its port is the system's choice, user and password are
//! random, and its storage goes away with it. It speaks plain HTTP, which clients accept for loopback addresses.

mod client;

use std::{fmt, fs, io, net::SocketAddr, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;

pub use client::{Manifest, ReadError};

pub use crate::{
    packages::PackagesError,
    process::{NotReady, RunFolderError},
};
use crate::{
    packages::{self, Set},
    process::{Kind, RunFolder, Supervised},
};
use client::Client;

/// bcrypt's lowest cost. The password has 144 random bits and lives for a test run; each request has it checked.
const BCRYPT_COST: u32 = 4;
/// Where in the log the registry says which port it got; measured: within the first 2 KB.
const LOG_HEAD_BYTES: usize = 64 << 10;

/// A running registry. Dropping this ends it, and so does the end of this process.
pub struct Registry {
    daemon: Supervised,
    client: Client,
    username: String,
    password: String,
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
    /// Starts a registry and waits until it answers. `state` is where downloaded packages are kept.
    ///
    /// Cancel safe: dropping the future ends what was started.
    pub async fn start(state: &Path) -> Result<Self, RegistryError> {
        let program = packages::fetch(state, Set::Registry)
            .await?
            .program("docker-registry")?;
        let folder = tokio::task::spawn_blocking(|| RunFolder::claim(Kind::Registry, None))
            .await
            .map_err(|error| RegistryError::Start(error.into()))??;
        let (username, password) = (random_word("user-")?, random_word("")?);
        let settings = folder.path().join("config.yml");
        let users = folder.path().join("htpasswd");
        let hash = bcrypt::hash(&password, BCRYPT_COST)
            .map_err(|error| RegistryError::Start(io::Error::other(error)))?;
        fs::write(&users, format!("{username}:{hash}\n")).map_err(RegistryError::Start)?;
        let written = json!({ // also YAML
            "version": "0.1",
            "log": { "level": "info" },
            "storage": {
                "filesystem": { "rootdirectory": folder.path().join("storage") },
                "delete": { "enabled": true },
            },
            "http": { "addr": "127.0.0.1:0" },
            "auth": { "htpasswd": { "realm": "depot-standin", "path": users } },
        });
        fs::write(&settings, written.to_string()).map_err(RegistryError::Start)?;

        // Without our environment: variables that begin with `REGISTRY_` would override its settings.
        let command = [
            "env".as_ref(),
            "-i".as_ref(),
            program.as_os_str(),
            "serve".as_ref(),
            settings.as_os_str(),
        ];
        let mut daemon = Supervised::start(folder, &command).map_err(RegistryError::Start)?;
        let authorization = format!(
            "Basic {}",
            STANDARD.encode(format!("{username}:{password}"))
        );
        let ready = async |daemon: &Supervised| {
            let client = Client::new(
                listening_on(&daemon.log_head(LOG_HEAD_BYTES).ok()?)?,
                &authorization,
            )?;
            client.is_ready().await.then_some(client)
        };
        let client = daemon
            .until_ready(ready)
            .await
            .map_err(RegistryError::NotReady)?;
        Ok(Self {
            daemon,
            client,
            username,
            password,
        })
    }

    /// What stands before the first slash of a reference to an image here.
    #[must_use]
    pub fn host(&self) -> String {
        self.client.address().to_string()
    }

    /// The only user.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The user's password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Reads a manifest or an index by tag or digest.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Manifest, ReadError> {
        self.client.manifest(repository, reference).await
    }

    /// Reads a blob and checks it against its digest: an image's config, or a layer as it was pushed.
    pub async fn blob(&self, repository: &str, digest: &str) -> Result<bytes::Bytes, ReadError> {
        self.client.blob(repository, digest).await
    }

    /// The tags of a repository, sorted; none when nothing has been pushed there.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>, ReadError> {
        self.client.tags(repository).await
    }

    /// Ends the registry and waits until nothing of it is left.
    pub async fn stop(self) -> io::Result<()> {
        self.daemon.stop().await
    }

    /// The end of the registry's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.daemon.log_tail()
    }
}

/// Finds the address in a line that says `listening on <address>`.
fn listening_on(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on ")?;
    // Up to the end of the message, which may have been written in part only.
    let (address, _) = rest.split_once(|end: char| end == '"' || end.is_whitespace())?;
    address.parse().ok()
}

/// 144 random bits behind `prefix`, as letters and digits.
fn random_word(prefix: &str) -> Result<String, RegistryError> {
    let mut bytes = [0; 18];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| RegistryError::Start(io::Error::other("the system has no random bytes")))?;
    Ok(bytes
        .iter()
        .fold(prefix.to_owned(), |word, byte| format!("{word}{byte:02x}")))
}

/// Why there is no registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Its package is not there.
    #[error("the package of the registry could not be had")]
    Packages(#[from] PackagesError),
    /// It has no folder to run in.
    #[error("the registry has no folder to run in")]
    RunFolder(#[from] RunFolderError),
    /// Its process could not be started.
    #[error("the registry could not be started")]
    Start(#[source] io::Error),
    /// It was started and never answered.
    #[error("the registry does not answer")]
    NotReady(#[source] NotReady),
}

impl RegistryError {
    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Packages(error) => error.hint(),
            Self::RunFolder(_) | Self::Start(_) | Self::NotReady(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
