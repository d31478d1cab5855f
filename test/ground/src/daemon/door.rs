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
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::engine::{Address, Duplex};
use crate::traffic::{Tapped, Traffic};
use crate::wire::ByteCount;

/// What a door does with what passes.
#[derive(Clone, Debug, Default)]
pub struct DoorPlan {
    /// Every connection is closed once so many bytes have gone to the daemon through it.
    pub cut_after: Option<u64>,
    /// A pause after each piece that goes to the daemon.
    pub pause: Option<Duration>,
    /// Mutual TLS.
    pub tls: Option<Certificates>,
    /// Requests that wait.
    pub hold: Option<Hold>,
    /// What is answered in the daemon's place to every connection whose first line holds the first text, such as
    /// `HTTP/1.1 403 Forbidden` and what follows. The connection stays open; with an empty answer it is closed.
    pub refusal: Option<(&'static str, &'static str)>,
    /// What is answered to a load in the daemon's place, with status 200, once all of the archive has come.
    pub load_answer: Option<&'static str>,
    /// Where what passes is kept, within TLS.
    pub traffic: Option<Traffic>,
}

/// Stops the first request whose first line holds a text, until it is let go. Clones are the same.
#[derive(Clone, Debug)]
pub struct Hold {
    text: &'static str,
    reached: Arc<Semaphore>,
    free: Arc<Semaphore>,
}

impl Hold {
    /// Nothing is held yet.
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

    /// Lets it go, and all that come later.
    pub fn let_go(&self) {
        self.free.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    async fn pass(&self, piece: &[u8]) {
        let line = piece
            .split(|&byte| byte == b'\n')
            .next()
            .unwrap_or_default();
        let is_it = line
            .windows(self.text.len())
            .any(|part| part == self.text.as_bytes());
        if is_it {
            self.reached.add_permits(1);
            let _never_closed = self.free.acquire().await;
        }
    }
}

/// What both sides need for mutual TLS. All PEM.
#[derive(Clone)]
pub struct Certificates {
    /// The authority of both.
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
    /// New ones, for a daemon at 127.0.0.1.
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
    /// Accepts connections; ended with the door.
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
                    let carried = carry(client, tls, &daemon, &plan, (&counted, &loads)).await;
                    if let Err(error) = carried {
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

    /// Where it is, as in `DOCKER_HOST`.
    #[must_use]
    pub fn docker_host(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// How many archives it was asked to load.
    #[must_use]
    pub fn loads(&self) -> usize {
        self.loads.load(Ordering::Relaxed)
    }

    /// How many bytes have gone to the daemon.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed.get()
    }
}

async fn carry(
    client: TcpStream,
    tls: Option<TlsAcceptor>,
    daemon: &Address,
    plan: &DoorPlan,
    (counted, loads): (&ByteCount, &AtomicUsize),
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let client: Box<dyn Duplex> = match tls {
        Some(tls) => Box::new(tls.accept(client).await?),
        None => Box::new(client),
    };
    let mut client = Tapped::new(client, plan.traffic.as_ref(), "daemon");
    let mut daemon = daemon.connect().await?;
    if let Some((text, answer)) = plan.refusal {
        let mut first = vec![0; 64 << 10];
        let length = client.read(&mut first).await?;
        let first = first.get(..length).unwrap_or_default();
        if holds(first, text) {
            client.write_all(answer.as_bytes()).await?;
            if !answer.is_empty() {
                // Until the client goes.
                tokio::io::copy(&mut client, &mut tokio::io::sink()).await?;
            }
            return Ok(());
        }
        counted.add(length);
        daemon.write_all(first).await?;
    }
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_daemon, mut to_daemon) = tokio::io::split(daemon);
    let upwards = async {
        let mut left = plan.cut_after.unwrap_or(u64::MAX);
        let mut buffer = vec![0; 64 << 10];
        let mut is_answering = false;
        loop {
            let length = from_client.read(&mut buffer).await?;
            if length == 0 {
                to_daemon.shutdown().await?;
                return std::future::pending::<io::Result<_>>().await;
            }
            let piece = buffer.get(..length).unwrap_or_default();
            let is_load = is_load(piece);
            if is_load {
                loads.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(answer) = plan.load_answer
                && (is_answering || is_load)
            {
                is_answering = true;
                // The last piece of a body that comes in pieces.
                if piece.ends_with(b"0\r\n\r\n") {
                    return Ok(Some(answer));
                }
                continue;
            }
            if let Some(hold) = &plan.hold {
                hold.pass(piece).await;
            }
            counted.add(length);
            to_daemon.write_all(piece).await?;
            left = left.saturating_sub(length as u64);
            if left == 0 {
                return Ok(None);
            }
            if let Some(pause) = plan.pause {
                tokio::time::sleep(pause).await;
            }
        }
    };
    let downwards = async {
        tokio::io::copy(&mut from_daemon, &mut to_client).await?;
        to_client.shutdown().await
    };
    let answer = tokio::select! {
        ended = upwards => ended?,
        ended = downwards => return ended,
    };
    let Some(answer) = answer else {
        return Ok(());
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        answer.len()
    );
    to_client.write_all(head.as_bytes()).await?;
    to_client.write_all(answer.as_bytes()).await?;
    to_client.shutdown().await
}

fn is_load(piece: &[u8]) -> bool {
    holds(piece, "/images/load")
}

/// Whether the first line of a request holds a text.
fn holds(piece: &[u8], text: &str) -> bool {
    let line = piece
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    line.windows(text.len()).any(|part| part == text.as_bytes())
}
