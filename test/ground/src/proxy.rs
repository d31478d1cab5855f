//! A real HTTP proxy: tinyproxy, from Debian.

use std::fs;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::Path;

use tokio::net::TcpStream;

use crate::packages::{self, PackagesError, Set};
use crate::process::{Kind, NotReady, RunFolder, RunFolderError, Supervised};

/// What of its log is looked through.
const LOG_BYTES: usize = 256 << 10;

/// A running proxy that asks for a login. Dropping this ends it.
#[derive(Debug)]
pub struct Proxy {
    daemon: Supervised,
    port: u16,
}

/// What a proxy lets through, and where to.
#[derive(Clone, Debug, Default)]
pub struct ProxyPlan {
    /// Opens tunnels to this port alone.
    pub only: Option<u16>,
    /// Asks another proxy, at `host:port`, for every tunnel but those to the second, an address.
    pub upstream: Option<(String, IpAddr)>,
}

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Its package cannot be had.
    #[error("the package of tinyproxy could not be had")]
    Packages(#[from] PackagesError),
    /// It has no folder to run in.
    #[error("the proxy has no folder to run in")]
    RunFolder(#[from] RunFolderError),
    /// It could not be started.
    #[error("the proxy could not be started")]
    Io(#[from] io::Error),
    /// It never answered.
    #[error("the proxy does not answer")]
    NotReady(#[from] NotReady),
}

impl Proxy {
    /// Who may use it.
    pub const LOGIN: (&'static str, &'static str) = ("passer", "planted-by-the-proxy");

    /// Starts one. `state` is where downloaded packages are kept.
    ///
    /// # Errors
    /// When its package cannot be had, or it does not start.
    pub async fn start(state: &Path, plan: &ProxyPlan) -> Result<Self, ProxyError> {
        let program = packages::fetch(state, Set::Proxy)
            .await?
            .program("tinyproxy")?;
        let folder = tokio::task::spawn_blocking(|| RunFolder::claim(Kind::Proxy, None));
        let folder = folder.await.map_err(io::Error::other)??;
        // Free a moment ago; nobody else here binds ports of his own choice.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let settings = folder.path().join("tinyproxy.conf");
        let (username, password) = Self::LOGIN;
        let only = plan.only.map(|port| format!("ConnectPort {port}\n"));
        let upstream = plan
            .upstream
            .as_ref()
            .map(|(proxy, but)| format!("upstream http {proxy}\nupstream none \"{but}\"\n"));
        let written = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 600\nLogLevel Connect\nBasicAuth {username} {password}\n{}{}",
            only.unwrap_or_default(),
            upstream.unwrap_or_default()
        );
        fs::write(&settings, written)?;
        let command = [
            program.as_os_str(),
            "-d".as_ref(),
            "-c".as_ref(),
            settings.as_os_str(),
        ];
        let mut daemon = Supervised::start(folder, &command)?;
        daemon
            .until_ready(async |_| TcpStream::connect(("127.0.0.1", port)).await.ok())
            .await?;
        Ok(Self { daemon, port })
    }

    /// As in `HTTPS_PROXY`, login and all.
    #[must_use]
    pub fn address(&self) -> String {
        let (username, password) = Self::LOGIN;
        format!("http://{username}:{password}@127.0.0.1:{}", self.port)
    }

    /// How many tunnels to `authority` it was asked for.
    pub fn tunnels(&self, authority: &str) -> io::Result<usize> {
        let log = self.daemon.log_head(LOG_BYTES)?;
        Ok(log.matches(&format!("CONNECT {authority} ")).count())
    }
}
