//! The one connection to a builder.
//!
//! It is opened here, over mutual TLS or in plain text for local development, and handed to gRPC
//! once. When it breaks it stays broken: the session that ran over it is gone with it, and a silent
//! second connection would only hide that.

use std::io;
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::ListWorkersRequest;
use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};

use super::proxy::Proxy;
use super::rejection::{Noting, Rejection, alert_about_us};
use super::tls::{MutualTls, TlsError};
use crate::once::Once;

/// gRPC messages up to this size are read: BuildKit's own limit.
pub(super) const MESSAGE_LIMIT_BYTES: usize = 16 << 20;

/// Headers up to this size are read. BuildKit puts whole Dockerfiles into the details of an error
/// and long lists of patterns into metadata; Go's limit is the same.
pub(super) const HEADER_LIMIT_BYTES: u32 = 16 << 20;

/// How much may be on its way to us on one stream. At 40 ms a smaller window would hold back a line
/// of 1 Gbit/s.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;

/// The same for all streams together: one that is not read for a while must leave room for two that are.
const CONNECTION_WINDOW_BYTES: u32 = 3 * STREAM_WINDOW_BYTES;

/// One try to reach the builder, TLS and its first answer included.
const TRY_LIMIT: Duration = Duration::from_secs(10);

/// Each of the two ways, through a proxy and past it, TLS included. Whoever has a proxy mostly lets nothing past it, without a word.
const WAY_LIMIT: Duration = Duration::from_millis(4500);

/// How long a builder may take until it listens: a fresh machine still starts its daemon.
pub const CONNECT_LIMIT: Duration = Duration::from_mins(5);

/// The pause between two tries, growing from the first to the second.
const PAUSE_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// A builder is asked for a sign of life after the first of these without a word, and is gone when
/// none has come within the second.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(10));

/// Where a builder is and how to trust it.
#[derive(Debug)]
pub struct Address {
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Mutual TLS; absent for plain text.
    pub tls: Option<MutualTls>,
    /// Compress what is sent.
    pub gzip: bool,
    /// The way there, if not a direct one.
    pub proxy: Option<Proxy>,
}

impl Address {
    /// `host:port`, as requests and messages have it.
    fn shown(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Why there is no connection to a builder.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The certificates that came with the address cannot be used.
    #[error("the certificates for the builder cannot be used")]
    Tls(#[source] TlsError),
    /// The builder is not who it should be; trying again does not help.
    #[error("cannot verify that the builder at {address} is `{name}`")]
    Untrusted {
        /// Where it listens.
        address: String,
        /// The name that was to be proved.
        name: String,
        /// What the check said.
        #[source]
        source: io::Error,
    },
    /// The builder does not accept our certificate; trying again does not help.
    #[error("the builder at {address} rejected the client certificate")]
    Rejected {
        /// Where it listens.
        address: String,
        /// The alert.
        #[source]
        source: io::Error,
    },
    /// Nothing there has answered in all the time.
    #[error("the builder at {address} could not be reached within {} s", .within.as_secs())]
    Unreachable {
        /// Where it should listen.
        address: String,
        /// How long it was tried.
        within: Duration,
        /// What the last try said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An open connection to a builder that answers. Clones share it.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(super) channel: Channel,
    pub(super) compression: Option<CompressionEncoding>,
}

/// Why one try failed.
#[derive(Debug, thiserror::Error)]
enum TryError {
    /// The builder may not be up yet.
    #[error("{0}")]
    Later(Box<dyn std::error::Error + Send + Sync>),
    /// It is the wrong one.
    #[error("{0}")]
    Untrusted(io::Error),
    /// It does not accept our certificate.
    #[error("{0}")]
    Rejected(io::Error),
}

impl Connection {
    /// Connects to a builder, and waits while it starts to listen and to answer, for as long as `within`.
    ///
    /// Cancel safe: dropping the future closes what was opened.
    pub async fn open(address: &Address, within: Duration) -> Result<Self, ConnectError> {
        let tls = address
            .tls
            .as_ref()
            .map(MutualTls::client_config)
            .transpose()
            .map_err(ConnectError::Tls)?
            .map(|(config, name)| (TlsConnector::from(config), name));
        let shown = address.shown();
        let deadline = tokio::time::Instant::now() + within;
        let mut pause = PAUSE_BOUNDS.0;
        loop {
            let one_try = async {
                let rejection = Rejection::default();
                let stream = open_stream(address, tls.as_ref(), &rejection).await?;
                let answering = Self::answering(stream, address.gzip).await;
                answering.map_err(|error| rejection.error().map_or(error, TryError::Rejected))
            };
            let source = match tokio::time::timeout(TRY_LIMIT, one_try).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(TryError::Untrusted(source))) => {
                    let name = address.tls.as_ref().map(|tls| tls.server_name.clone());
                    return Err(ConnectError::Untrusted {
                        address: shown,
                        name: name.unwrap_or_default(),
                        source,
                    });
                }
                Ok(Err(TryError::Rejected(source))) => {
                    return Err(ConnectError::Rejected {
                        address: shown,
                        source,
                    });
                }
                Ok(Err(TryError::Later(source))) => source,
                Err(_) => format!("no answer within {} s", TRY_LIMIT.as_secs()).into(),
            };
            if tokio::time::Instant::now() + pause >= deadline {
                return Err(ConnectError::Unreachable {
                    address: shown,
                    within,
                    source,
                });
            }
            tracing::debug!("the builder at {shown} is not ready yet: {source}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_BOUNDS.1);
        }
    }

    /// Speaks gRPC on `stream` and waits for the first answer.
    async fn answering(stream: Stream, gzip: bool) -> Result<Self, TryError> {
        let endpoint = Endpoint::from_static("http://builder")
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_header_list_size(HEADER_LIMIT_BYTES)
            .http2_keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1)
            .user_agent(concat!("depot-build/", env!("CARGO_PKG_VERSION")));
        let channel = endpoint
            .map_err(|error| TryError::Later(error.into()))?
            .connect_with_connector(Once::new(stream))
            .await
            .map_err(|error| TryError::Later(error.into()))?;
        let connection = Self {
            channel,
            compression: gzip.then_some(CompressionEncoding::Gzip),
        };
        connection
            .control()
            .list_workers(ListWorkersRequest::default())
            .await
            .map_err(|status| TryError::Later(status.into()))?;
        Ok(connection)
    }

    /// Keeps the connection in use while nothing comes from it, until dropped.
    ///
    /// A builder takes our signs of life for a nuisance, and hangs up, when it has sent nothing itself between a few of them.
    pub async fn keep_in_use<Never>(&self) -> Never {
        loop {
            tokio::time::sleep(KEEPALIVE.0).await;
            let mut control = self.control();
            // Whoever reads from it hears of a connection that is gone.
            let _answer = control.list_workers(ListWorkersRequest::default()).await;
        }
    }

    /// A client of the builder's control service.
    pub(super) fn control(&self) -> ControlClient<Channel> {
        let client = ControlClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
            .accept_compressed(CompressionEncoding::Gzip);
        match self.compression {
            Some(encoding) => client.send_compressed(encoding),
            None => client,
        }
    }
}

trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}
type Stream = Box<dyn ReadWrite>;

type Tls = (TlsConnector, rustls::pki_types::ServerName<'static>);

/// A connection that leads to the builder, through the proxy where there is one. Where that does not lead there, it is tried without:
/// many proxies open no tunnel to a port but 443, and some look into it, which a builder's certificate forbids.
async fn open_stream(
    address: &Address,
    tls: Option<&Tls>,
    rejection: &Rejection,
) -> Result<Stream, TryError> {
    let Some(proxy) = &address.proxy else {
        return open_way(address, None, tls, rejection).await;
    };
    let way = async |proxy| {
        let opening = open_way(address, proxy, tls, rejection);
        let opened = tokio::time::timeout(WAY_LIMIT, opening).await;
        opened.unwrap_or_else(|_| Err(TryError::Later("no answer".into())))
    };
    let refused = match way(Some(proxy)).await {
        Ok(stream) => return Ok(stream),
        Err(refused) => refused,
    };
    tracing::debug!("{proxy:?} does not reach the builder: {refused}");
    let direct = match way(None).await {
        Ok(stream) => return Ok(stream),
        Err(direct) => direct,
    };
    let (host, port) = (&proxy.host, proxy.port);
    let both = format!("through the proxy {host}:{port}: {refused}; directly: {direct}");
    // The wrong one on one way is final where the other way leads nowhere, not where the builder may just not be up yet.
    Err(match (refused, direct) {
        (TryError::Untrusted(_) | TryError::Rejected(_), TryError::Later(why))
            if is_refused(&*why) =>
        {
            TryError::Later(both.into())
        }
        (TryError::Later(_), _) => TryError::Later(both.into()),
        (TryError::Untrusted(_), _) => TryError::Untrusted(io::Error::other(both)),
        (TryError::Rejected(_), _) => TryError::Rejected(io::Error::other(both)),
    })
}

/// Whether the host is there, and nothing listens.
fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The same one way.
async fn open_way(
    address: &Address,
    proxy: Option<&Proxy>,
    tls: Option<&Tls>,
    rejection: &Rejection,
) -> Result<Stream, TryError> {
    let later = |error: io::Error| TryError::Later(error.into());
    let stream = match proxy {
        Some(proxy) => proxy.tunnel(&address.shown()).await.map_err(later)?,
        None => {
            let direct = TcpStream::connect((&*address.host, address.port)).await;
            let stream = direct.map_err(later)?;
            stream.set_nodelay(true).map_err(later)?;
            stream
        }
    };
    let Some((connector, name)) = tls else {
        return Ok(Box::new(stream));
    };
    match connector.connect(name.clone(), stream).await {
        Ok(stream) => Ok(Box::new(Noting::new(stream, rejection))),
        Err(error) if is_untrusted(&error) => Err(TryError::Untrusted(error)),
        Err(error) if alert_about_us(&error).is_some() => Err(TryError::Rejected(error)),
        Err(error) => Err(later(error)),
    }
}

/// Whether the handshake failed because of who the other side is, rather than on its way.
fn is_untrusted(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_builder_that_never_listens_ends_in_an_error_after_minutes() {
        // Bound and closed again: nothing listens on this port.
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = unused.local_addr().unwrap().port();
        drop(unused);
        let started = tokio::time::Instant::now();
        let address = Address {
            host: "127.0.0.1".into(),
            port,
            tls: None,
            gzip: false,
            proxy: None,
        };
        let error = Connection::open(&address, CONNECT_LIMIT).await.unwrap_err();
        assert!(started.elapsed() + 2 * PAUSE_BOUNDS.1 > CONNECT_LIMIT);
        assert!(started.elapsed() < CONNECT_LIMIT + TRY_LIMIT);
        assert_eq!(
            error.to_string(),
            format!("the builder at 127.0.0.1:{port} could not be reached within 300 s")
        );
    }

    use std::sync::Arc;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::AlertDescription;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::server::WebPkiClientVerifier;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const NAME: &str = "builder.example";

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn address(port: u16, authority: &CertifiedIssuer<'static, KeyPair>) -> Address {
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["us".into()]).unwrap();
        let own = own.signed_by(&key, authority).unwrap();
        Address {
            host: "127.0.0.1".into(),
            port,
            tls: Some(MutualTls {
                server_name: NAME.into(),
                authority: authority.pem(),
                certificate: own.pem(),
                key: key.serialize_pem().into(),
            }),
            gzip: false,
            proxy: None,
        }
    }

    /// What one try comes to at a server that answers each hello with this alert.
    async fn after_alert(alert: AlertDescription) -> ConnectError {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut hello = [0; 4096];
                let _length = stream.read(&mut hello).await.unwrap();
                // A record of TLS 1.2 with a fatal alert.
                let record = [21, 3, 3, 0, 2, 2, u8::from(alert)];
                stream.write_all(&record).await.unwrap();
                // Its end comes after the client's.
                let _length = stream.read(&mut hello).await;
            }
        };
        let address = address(port, &authority());
        tokio::select! {
            opened = Connection::open(&address, Duration::ZERO) => opened.unwrap_err(),
            never = serving => never,
        }
    }

    #[tokio::test]
    async fn only_an_alert_about_our_certificate_is_final() {
        for alert in 0..=255 {
            let alert = AlertDescription::from(alert);
            let error = after_alert(alert).await;
            let is_final = matches!(error, ConnectError::Rejected { .. });
            let expected = [42, 43, 44, 45, 46, 48, 49, 51, 116].contains(&u8::from(alert));
            assert_eq!(is_final, expected, "{alert:?}: {error:?}");
            let is_retried = matches!(error, ConnectError::Unreachable { .. });
            assert_eq!(is_retried, !expected, "{alert:?}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_rejection_after_the_handshake_is_final() {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let (ours, theirs) = (authority(), authority());
            let key = KeyPair::generate().unwrap();
            let own = CertificateParams::new(vec![NAME.into()]).unwrap();
            let own = own.signed_by(&key, &ours).unwrap();
            let mut roots = rustls::RootCertStore::empty();
            roots.add(theirs.der().clone()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
                    .build()
                    .unwrap();
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            let mut config = rustls::ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .with_client_cert_verifier(verifier)
                .with_single_cert(vec![own.der().clone()], key)
                .unwrap();
            config.alpn_protocols = vec![b"h2".to_vec()];
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let serving = async {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let _rejected = acceptor.accept(stream).await;
                }
            };
            let address = address(port, &ours);
            let error = tokio::select! {
                opened = Connection::open(&address, CONNECT_LIMIT) => opened.unwrap_err(),
                never = serving => never,
            };
            assert!(
                matches!(error, ConnectError::Rejected { .. }),
                "{version:?}: {error:?}"
            );
        }
    }
}
