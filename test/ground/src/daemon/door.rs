//! A port in front of a daemon.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::engine::{Address, Duplex};
use crate::traffic::{Tapped, Traffic};
use crate::wire::ByteCount;

/// The size of one read from a client.
const READ_BYTES: usize = 64 << 10;

/// The treatment of connections by a door.
#[derive(Clone, Debug, Default)]
pub struct DoorPlan {
    /// Closes every connection after it has carried this many bytes to the daemon.
    pub cut_after: Option<u64>,
    /// A pause after each read that is passed to the daemon.
    pub pause: Option<Duration>,
    /// Mutual TLS.
    pub tls: Option<Certificates>,
    /// A request to hold.
    pub hold: Option<Hold>,
    /// A text and a response: a connection whose first line contains the text gets this response instead of the daemon's,
    /// such as `HTTP/1.1 403 Forbidden` and what follows. Then it stays open; with an empty response it is closed.
    pub refusal: Option<(&'static str, &'static str)>,
    /// The body of a 200 response to a load, sent instead of the daemon's after the whole archive has arrived.
    pub load_answer: Option<&'static str>,
    /// Records everything that passes, decrypted.
    pub traffic: Option<Traffic>,
}

/// Holds requests whose first line contains a text, until they are released. Clones share their state.
#[derive(Clone, Debug)]
pub struct Hold {
    text: &'static str,
    reached: Arc<Semaphore>,
    free: Arc<Semaphore>,
}

impl Hold {
    /// Creates a hold for requests whose first line contains `text`.
    #[must_use]
    pub fn at(text: &'static str) -> Self {
        Self {
            text,
            reached: Arc::new(Semaphore::new(0)),
            free: Arc::new(Semaphore::new(0)),
        }
    }

    /// Waits until a request is held.
    pub async fn reached(&self) {
        let _never_closed = self
            .reached
            .acquire()
            .await
            .map(tokio::sync::SemaphorePermit::forget);
    }

    /// Releases held requests, and all that arrive later.
    pub fn let_go(&self) {
        self.free.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    async fn pass(&self, piece: &[u8]) {
        if first_line_contains(piece, self.text) {
            self.reached.add_permits(1);
            let _never_closed = self.free.acquire().await;
        }
    }
}

/// Keys and certificates of both sides for mutual TLS, in PEM.
#[derive(Clone)]
pub struct Certificates {
    /// The authority of both sides.
    pub authority: String,
    /// The client's certificate.
    pub certificate: String,
    /// The client's key.
    pub key: String,
    server: (String, String),
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Certificates")
            .finish_non_exhaustive()
    }
}

impl Certificates {
    /// Creates certificates for a daemon at 127.0.0.1.
    pub fn new() -> io::Result<Self> {
        let failed = io::Error::other::<rcgen::Error>;
        let key = || KeyPair::generate().map_err(failed);
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = key()?;
        let own = authority.self_signed(&authority_key).map_err(failed)?;
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let of_authority = |name: &str| {
            let key = key()?;
            let params = CertificateParams::new([name.to_owned()]).map_err(failed)?;
            let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
            Ok::<_, io::Error>((certificate.pem(), key.serialize_pem()))
        };
        let (certificate, key) = of_authority("client")?;
        Ok(Self {
            authority: own.pem(),
            certificate,
            key,
            server: of_authority("127.0.0.1")?,
        })
    }

    fn acceptor(&self) -> io::Result<TlsAcceptor> {
        let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes());
        let mut roots = RootCertStore::empty();
        roots
            .add(certificate(&self.authority).map_err(io::Error::other)?)
            .map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let key = PrivateKeyDer::from_pem_slice(self.server.1.as_bytes());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_client_cert_verifier(verifier.map_err(io::Error::other)?)
            .with_single_cert(
                vec![certificate(&self.server.0).map_err(io::Error::other)?],
                key.map_err(io::Error::other)?,
            )
            .map_err(io::Error::other)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// A port in front of a daemon. Dropping it closes it.
#[derive(Debug)]
pub struct Door {
    port: u16,
    passed: ByteCount,
    loads: Arc<AtomicUsize>,
    /// Accepts connections; ends with the door.
    _accepting: JoinSet<()>,
}

impl Door {
    pub(super) async fn open(daemon: Address, port: u16, plan: DoorPlan) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        let tls = plan.tls.as_ref().map(Certificates::acceptor).transpose()?;
        let passed = ByteCount::default();
        let counted = passed.clone();
        let loads = Arc::<AtomicUsize>::default();
        let counted_loads = Arc::clone(&loads);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (daemon, plan) = (daemon.clone(), plan.clone());
                let (tls, counted) = (tls.clone(), counted.clone());
                let loads = Arc::clone(&counted_loads);
                connections.spawn(async move {
                    let passage = Passage {
                        plan: &plan,
                        passed: &counted,
                        loads: &loads,
                    };
                    if let Err(error) = passage.carry(client, tls, &daemon).await {
                        tracing::debug!(%error, "a connection to a daemon broke");
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            port,
            passed,
            loads,
            _accepting: accepting,
        })
    }

    /// Its address, as in `DOCKER_HOST`.
    #[must_use]
    pub fn docker_host(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// The number of archives that were sent to be loaded.
    #[must_use]
    pub fn loads(&self) -> usize {
        self.loads.load(Ordering::Relaxed)
    }

    /// The number of bytes that were passed to the daemon.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed.get()
    }
}

/// One connection through a door.
struct Passage<'a> {
    plan: &'a DoorPlan,
    passed: &'a ByteCount,
    loads: &'a AtomicUsize,
}

impl Passage<'_> {
    /// Carries bytes in both directions until either side ends or the plan ends the connection.
    async fn carry(
        &self,
        client: TcpStream,
        tls: Option<TlsAcceptor>,
        daemon: &Address,
    ) -> io::Result<()> {
        client.set_nodelay(true)?;
        let client: Box<dyn Duplex> = match tls {
            Some(tls) => Box::new(tls.accept(client).await?),
            None => Box::new(client),
        };
        let mut client = Tapped::new(client, self.plan.traffic.as_ref(), "daemon");
        let mut daemon = daemon.connect().await?;
        if let Some((text, response)) = self.plan.refusal
            && self
                .refuse(text, response, &mut client, &mut daemon)
                .await?
        {
            return Ok(());
        }
        let (from_client, mut to_client) = tokio::io::split(client);
        let (mut from_daemon, to_daemon) = tokio::io::split(daemon);
        let downwards = async {
            tokio::io::copy(&mut from_daemon, &mut to_client).await?;
            to_client.shutdown().await
        };
        let response = tokio::select! {
            ended = self.upwards(from_client, to_daemon) => ended?,
            ended = downwards => return ended,
        };
        match response {
            Some(body) => respond(&mut to_client, body).await,
            None => Ok(()),
        }
    }

    /// Sends `response` if the first line from the client contains `text`; otherwise passes the bytes to the daemon. Returns
    /// whether the connection was refused.
    async fn refuse(
        &self,
        text: &str,
        response: &str,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        daemon: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<bool> {
        let mut first = vec![0; READ_BYTES];
        let length = client.read(&mut first).await?;
        let first = first.get(..length).unwrap_or_default();
        if !first_line_contains(first, text) {
            self.passed.add(length);
            daemon.write_all(first).await?;
            return Ok(false);
        }
        client.write_all(response.as_bytes()).await?;
        if !response.is_empty() {
            // Until the client ends the connection.
            tokio::io::copy(client, &mut tokio::io::sink()).await?;
        }
        Ok(true)
    }

    /// Passes bytes to the daemon until the plan ends the connection; never returns if the client ends it first. Returns the
    /// planned response to a load, or `None` if the connection is cut.
    async fn upwards(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<Option<&'static str>> {
        let mut left = self.plan.cut_after.unwrap_or(u64::MAX);
        let mut buffer = vec![0; READ_BYTES];
        let mut is_discarding = false;
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                to.shutdown().await?;
                return std::future::pending().await;
            }
            let piece = buffer.get(..length).unwrap_or_default();
            let is_load = first_line_contains(piece, "/images/load");
            if is_load {
                self.loads.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(response) = self.plan.load_answer
                && (is_discarding || is_load)
            {
                is_discarding = true;
                // The last chunk of a chunked body.
                if piece.ends_with(b"0\r\n\r\n") {
                    return Ok(Some(response));
                }
                continue;
            }
            if let Some(hold) = &self.plan.hold {
                hold.pass(piece).await;
            }
            self.passed.add(length);
            to.write_all(piece).await?;
            left = left.saturating_sub(length as u64);
            if left == 0 {
                return Ok(None);
            }
            if let Some(pause) = self.plan.pause {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Sends a JSON response with status 200 and ends the connection.
async fn respond(client: &mut (impl AsyncWrite + Unpin), body: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).await?;
    client.write_all(body.as_bytes()).await?;
    client.shutdown().await
}

/// Whether the first line of a request contains a text.
fn first_line_contains(piece: &[u8], text: &str) -> bool {
    let line = piece
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    line.windows(text.len()).any(|part| part == text.as_bytes())
}
