//! A real registry on loopback that takes tokens and nothing else.
//!
//! Debian's `docker-registry` again, with its token authentication. Its tokens come from a server of ours, in this
//! process, which knows two users: the owner may pull and push, the reader may pull. Anybody may pull what lies below
//! `public/`. Both note what they are asked, and how the registry's clients proved who they are.

mod front;
mod plan;
mod record;
mod server;
mod signer;
#[cfg(test)]
mod tests;

use std::{fmt, fs, io, path::Path, sync::Arc, time::Duration};

use serde_json::json;

pub use plan::{Realm, TokenAnswer, TokenPlan};
pub use record::{Authorization, PasswordSeen, RegistryRequest, TokenRecord, TokenRequest};

use super::{
    Login, Manifest, ReadError, RegistryError, Settings, client::Client, daemon_folder,
    start_daemon,
};
use crate::{process::Supervised, tasks::Tasks};
use front::{Port, TOKEN_PATH};
use server::{SERVICE, TokenServer};
use signer::{Access, ISSUER};

/// A running registry with its token server. Dropping this ends both, and so does the end of this process.
pub struct TokenRegistry {
    daemon: Supervised,
    /// The registry itself, without the recorder.
    behind: Client,
    host: String,
    realm: String,
    tokens: Arc<TokenServer>,
    ports: Ports,
}

/// The tasks that serve our ports. They end when this is dropped.
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
    /// Starts it and waits until it answers. `state` is where downloaded packages are kept.
    ///
    /// Must be called within a tokio runtime, and lives on it. Cancel safe: dropping the future ends what was started.
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
        .written();
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

    /// What stands before the first slash of a reference to an image here.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where it says that its tokens are given out.
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

    /// From now on this user gets no tokens, whatever the password.
    pub fn refuse(&self, user: &Login) {
        self.tokens.refuse(user.username());
    }

    /// What was asked until now. Reading by the methods below is left out.
    #[must_use]
    pub fn record(&self) -> TokenRecord {
        self.tokens.notes.snapshot()
    }

    /// Waits until the record satisfies `predicate`; `None` once `limit` has passed.
    pub async fn wait_for(
        &self,
        limit: Duration,
        predicate: impl FnMut(&TokenRecord) -> bool,
    ) -> Option<TokenRecord> {
        let mut record = self.tokens.notes.subscribe();
        let satisfied = tokio::time::timeout(limit, record.wait_for(predicate)).await;
        satisfied.ok()?.ok().map(|record| record.clone())
    }

    /// Reads a manifest or an index by tag or digest.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Manifest, ReadError> {
        let client = self.reader_of(repository)?;
        client.manifest(repository, reference).await
    }

    /// The tags of a repository, sorted; none when nothing has been pushed there.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>, ReadError> {
        self.reader_of(repository)?.tags(repository).await
    }

    /// The end of the registry's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.daemon.log_tail()
    }

    /// Ends both and waits until nothing of them is left.
    pub async fn stop(self) -> io::Result<()> {
        self.ports.0.end().await;
        self.daemon.stop().await
    }

    /// With a token for this repository that was asked for nowhere.
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
            .ok_or_else(|| unsigned(io::Error::other("the token is none")))
    }
}

/// The header of a reader that needs no user.
fn authorization(tokens: &TokenServer, access: &[Access]) -> io::Result<String> {
    let life = Duration::from_mins(1);
    let token = tokens.signer.token(SERVICE, "", access, life)?;
    Ok(format!("Bearer {token}"))
}
