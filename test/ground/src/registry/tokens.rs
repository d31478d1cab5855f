//! A real registry on loopback that accepts only tokens.
//!
//! It is Debian's `docker-registry` with token authentication. A token server in this process issues its tokens. It has two
//! users: the owner may pull and push, the reader may pull. Everyone may pull repositories below `public/`. Registry and
//! token server record their requests and how clients authenticated.

mod front;
mod plan;
mod record;
mod server;
mod signer;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, fs, io};

use serde_json::json;

pub use plan::{Realm, TokenAnswer, TokenPlan};
pub use record::{Authorization, PasswordSeen, RegistryRequest, TokenRecord, TokenRequest};

use super::client::Client;
use super::{Login, Manifest, ReadError, RegistryError, Settings, daemon_folder, start_daemon};
use crate::process::Supervised;
use crate::tasks::Tasks;
use front::{Port, TOKEN_PATH};
use server::{SERVICE, TokenServer};
use signer::{Access, ISSUER};

/// A running registry with its token server. Both stop when this is dropped or this process ends.
pub struct TokenRegistry {
    daemon: Supervised,
    /// A client of the registry itself, without the recorder.
    behind: Client,
    host: String,
    realm: String,
    tokens: Arc<TokenServer>,
    ports: Ports,
}

/// The tasks that serve the ports. They end when this is dropped.
struct Ports(Tasks);

impl Drop for Ports {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl fmt::Debug for TokenRegistry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenRegistry")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl TokenRegistry {
    /// Starts it and waits until it responds. `state` is the folder for downloaded packages.
    ///
    /// Must be called within a tokio runtime, which runs its tasks. Cancel safe: dropping the future ends what was started.
    pub async fn start(state: &Path, plan: TokenPlan) -> Result<Self, RegistryError> {
        let realm = plan.realm;
        let port = Port::open().await.map_err(RegistryError::Start)?;
        let other = Port::open().await.map_err(RegistryError::Start)?;
        let host = port.address.to_string();
        let elsewhere = format!("http://{}{TOKEN_PATH}", other.address);
        let tokens = TokenServer::new(plan, elsewhere.clone()).map_err(RegistryError::Start)?;
        let tokens = Arc::new(tokens);
        let realm = match realm {
            Realm::WithRegistry => format!("http://{host}{TOKEN_PATH}"),
            Realm::OtherPort => elsewhere,
            Realm::Nowhere => format!("http://{host}/nowhere"),
            Realm::At(address) => address.to_owned(),
        };
        let folder = daemon_folder().await?;
        let certificate = folder.path().join("certificate.pem");
        fs::write(&certificate, tokens.signer.certificate()).map_err(RegistryError::Start)?;
        let settings = Settings {
            address: "127.0.0.1:0",
            storage: &folder.path().join("storage"),
            auth: json!({ "token": {
                "realm": &realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": certificate,
            } }),
        }
        .to_json();
        let authorization = authorization(&tokens, &[]).map_err(RegistryError::Start)?;
        let (daemon, behind) = start_daemon(state, folder, &settings, &authorization).await?;

        let ports = Ports(Tasks::default());
        port.serve(&tokens, Some(behind.address()), &ports.0);
        other.serve(&tokens, None, &ports.0);
        Ok(Self {
            daemon,
            behind,
            host,
            realm,
            tokens,
            ports,
        })
    }

    /// The host and port, the first part of a reference to an image here.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address of the token server, as its challenge reports it.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The user who may pull and push.
    #[must_use]
    pub fn owner(&self) -> &Login {
        &self.tokens.owner
    }

    /// The user who may pull.
    #[must_use]
    pub fn reader(&self) -> &Login {
        &self.tokens.reader
    }

    /// From now on this user gets no token, even with the right password.
    pub fn refuse(&self, user: &Login) {
        self.tokens.refuse(user.username());
    }

    /// The requests until now, except those of the reading methods below.
    #[must_use]
    pub fn record(&self) -> TokenRecord {
        self.tokens.recorder.snapshot()
    }

    /// Waits until the record satisfies `predicate`; `None` once `limit` has passed.
    pub async fn wait_for(
        &self,
        limit: Duration,
        predicate: impl FnMut(&TokenRecord) -> bool,
    ) -> Option<TokenRecord> {
        let mut record = self.tokens.recorder.subscribe();
        let satisfied = tokio::time::timeout(limit, record.wait_for(predicate)).await;
        satisfied.ok()?.ok().map(|record| record.clone())
    }

    /// Reads a manifest or an index by tag or digest.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Manifest, ReadError> {
        let client = self.reader_of(repository)?;
        client.manifest(repository, reference).await
    }

    /// The tags of a repository, sorted; empty if nothing was pushed there.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>, ReadError> {
        self.reader_of(repository)?.tags(repository).await
    }

    /// The end of the registry's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.daemon.log_tail()
    }

    /// Stops both and waits until everything of them is removed.
    pub async fn stop(self) -> io::Result<()> {
        self.ports.0.end().await;
        self.daemon.stop().await
    }

    /// A client with a token for this repository, which no request obtained.
    fn reader_of(&self, repository: &str) -> Result<Client, ReadError> {
        let access = Access {
            kind: "repository".to_owned(),
            name: repository.to_owned(),
            actions: vec!["pull".to_owned()],
        };
        let unsigned = |source| ReadError::Connection {
            what: repository.to_owned(),
            source,
        };
        let authorization = authorization(&self.tokens, &[access]).map_err(unsigned)?;
        Client::new(self.behind.address(), &authorization)
            .ok_or_else(|| unsigned(io::Error::other("invalid token")))
    }
}

/// An authorization header without a user.
fn authorization(tokens: &TokenServer, access: &[Access]) -> io::Result<String> {
    let life = Duration::from_mins(1);
    let token = tokens.signer.token(SERVICE, "", access, life)?;
    Ok(format!("Bearer {token}"))
}
