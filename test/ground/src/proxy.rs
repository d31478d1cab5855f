//! A real HTTP proxy: tinyproxy, from Debian.

use std::fs;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::Path;

use tokio::net::TcpStream;

use crate::packages::{self, PackagesError, Set};
use crate::process::{Kind, NotReady, RunFolder, RunFolderError, Supervised};

/// How much of the log is searched.
const LOG_BYTES: usize = 256 << 10;

/// A running proxy that requires a login. Dropping this stops it.
#[derive(Debug)]
pub struct Proxy {
    daemon: Supervised,
    port: u16,
}

/// Which tunnels a proxy opens, and through which other proxy.
#[derive(Clone, Debug, Default)]
pub struct ProxyPlan {
    /// The only port that tunnels may lead to.
    pub only: Option<u16>,
    /// Another proxy, at `host:port`, that every tunnel goes through, except tunnels to the second value, an address.
    pub upstream: Option<(String, IpAddr)>,
}

/// Why no proxy could be started.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Its package could not be fetched.
    #[error("the package of tinyproxy could not be fetched")]
    Packages(#[from] PackagesError),
    /// No run folder could be claimed.
    #[error("no run folder for the proxy")]
    RunFolder(#[from] RunFolderError),
    /// It could not be started.
    #[error("the proxy could not be started")]
    Io(#[from] io::Error),
    /// It did not accept connections in time.
    #[error("the proxy does not accept connections")]
    NotReady(#[from] NotReady),
}

impl Proxy {
    /// The username and password that it accepts.
    pub const LOGIN: (&'static str, &'static str) = ("passer", "planted-by-the-proxy");

    /// Starts a proxy. `state` is the folder for downloaded packages.
    ///
    /// # Errors
    /// If its package cannot be fetched, or it does not start.
    pub async fn start(state: &Path, plan: &ProxyPlan) -> Result<Self, ProxyError> {
        let program = packages::fetch(state, Set::Proxy)
            .await?
            .program("tinyproxy")?;
        let folder = tokio::task::spawn_blocking(|| RunFolder::claim(Kind::Proxy, None));
        let folder = folder.await.map_err(io::Error::other)??;
        // Free a moment ago; nothing else here binds a port of its own choice.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let settings = folder.path().join("tinyproxy.conf");
        let (username, password) = Self::LOGIN;
        let only = plan.only.map(|port| format!("ConnectPort {port}\n"));
        let upstream = plan
            .upstream
            .as_ref()
            .map(|(proxy, direct)| format!("upstream http {proxy}\nupstream none \"{direct}\"\n"));
        let content = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 600\nLogLevel Connect\nBasicAuth {username} {password}\n{}{}",
            only.unwrap_or_default(),
            upstream.unwrap_or_default()
        );
        fs::write(&settings, content)?;
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

    /// The value for `HTTPS_PROXY`, login included.
    #[must_use]
    pub fn address(&self) -> String {
        let (username, password) = Self::LOGIN;
        format!("http://{username}:{password}@127.0.0.1:{}", self.port)
    }

    /// The number of tunnels to `authority` that were requested.
    pub fn tunnels(&self, authority: &str) -> io::Result<usize> {
        let log = self.daemon.log_head(LOG_BYTES)?;
        Ok(log.matches(&format!("CONNECT {authority} ")).count())
    }
}
