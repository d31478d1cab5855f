//! The one connection to a builder.
//!
//! It is opened here, over mutual TLS or in plain text for local development, and used by one gRPC
//! channel. A broken connection is not reopened: its session is lost as well, and a silent second
//! connection would only hide that.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::ListWorkersRequest;
use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};

use super::error::rejection::{Rejection, RejectionStream, client_certificate_alert};
use super::tls::{MutualTls, TlsError};
use super::version;
use crate::http::authority;
use crate::http::tunnel::Proxy;
use crate::io::one_stream::Once;
use crate::text::cause::is_untrusted_server;

/// gRPC messages up to this size are read: BuildKit's own limit.
pub(super) const MESSAGE_LIMIT_BYTES: usize = 16 << 20;

/// Headers up to this size are read. BuildKit puts whole Dockerfiles into the details of an error
/// and long lists of patterns into metadata; Go's limit is the same.
pub(super) const HEADER_LIMIT_BYTES: u32 = 16 << 20;

/// The receive window of one stream. At 40 ms latency, a smaller window would slow down a 1 Gbit/s
/// line.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;

/// The receive window of all streams together. A stream that is not read must leave room for two others.
const CONNECTION_WINDOW_BYTES: u32 = 3 * STREAM_WINDOW_BYTES;

/// The limit of one attempt to reach the builder, including TLS and its first response.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);

/// The limit of each route, through a proxy or direct, including TLS. Networks with a proxy often drop direct connections silently.
const ROUTE_LIMIT: Duration = Duration::from_millis(4500);

/// How long a builder may take until it accepts connections: a new machine first starts its daemon.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_mins(5);

/// The pause between two attempts, which grows from the first value to the second.
const PAUSE_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// HTTP/2 keepalive: a ping after the first duration without data. The connection is lost if no
/// response arrives within the second.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(10));

/// The address of a builder, and how to authenticate it.
#[derive(Debug)]
pub(crate) struct Address {
    /// A name or an address; an IPv6 address without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// Mutual TLS; absent for plain text.
    pub(crate) tls: Option<MutualTls>,
    /// Compress what is sent.
    pub(crate) gzip: bool,
    /// The proxy to use, if any.
    pub(crate) proxy: Option<Proxy>,
}

impl Address {
    /// `host:port`, for requests and messages.
    fn shown(&self) -> String {
        authority(&self.host, self.port)
    }
}

/// Why there is no connection to a builder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The certificates for the builder are not valid.
    #[error("the certificates for the builder cannot be used")]
    Tls(#[source] TlsError),
    /// The builder's identity could not be verified; a retry does not help.
    #[error("cannot verify that the builder at {address} is `{name}`")]
    Untrusted {
        /// Where it listens.
        address: String,
        /// The expected name.
        name: String,
        /// The error of the verification.
        #[source]
        source: io::Error,
    },
    /// The builder does not accept the client certificate; a retry does not help.
    #[error("the builder at {address} rejected the client certificate")]
    Rejected {
        /// Where it listens.
        address: String,
        /// The alert.
        #[source]
        source: io::Error,
    },
    /// No attempt succeeded within the limit.
    #[error("the builder at {address} could not be reached within {} s", .within.as_secs())]
    Unreachable {
        /// Where it should listen.
        address: String,
        /// The limit.
        within: Duration,
        /// The error of the last attempt.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An open connection to a builder. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(super) channel: Channel,
    pub(super) compression: Option<CompressionEncoding>,
    /// Set once the builder has responded to a call.
    has_responded: Arc<AtomicBool>,
}

/// When a new connection is known to lead to a builder that responds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    /// Before it is used, which takes a round trip.
    AtOnce,
    /// With the first call that uses it.
    ByFirstCall,
}

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    /// The builder may not be ready yet.
    #[error("{0}")]
    Later(Box<dyn std::error::Error + Send + Sync>),
    /// The builder's identity could not be verified.
    #[error("{0}")]
    Untrusted(io::Error),
    /// The builder does not accept the client certificate.
    #[error("{0}")]
    Rejected(io::Error),
}

impl Connection {
    /// Connects to a builder. Retries until the connection is verified, or until `within` has passed. With
    /// [`Verification::ByFirstCall`], the handshake of TLS is enough.
    ///
    /// Cancel safe: dropping the future closes the connection.
    pub(crate) async fn open(
        address: &Address,
        within: Duration,
        verification: Verification,
    ) -> Result<Self, ConnectError> {
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
            let attempt = async {
                let rejection = Rejection::default();
                let stream = open_stream(address, tls.as_ref(), &rejection).await?;
                let started = Self::start(stream, address.gzip, verification).await;
                started.map_err(|error| rejection.error().map_or(error, AttemptError::Rejected))
            };
            let source = match tokio::time::timeout(ATTEMPT_LIMIT, attempt).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(AttemptError::Untrusted(source))) => {
                    let name = address.tls.as_ref().map(|tls| tls.server_name.clone());
                    return Err(ConnectError::Untrusted {
                        address: shown,
                        name: name.unwrap_or_default(),
                        source,
                    });
                }
                Ok(Err(AttemptError::Rejected(source))) => {
                    return Err(ConnectError::Rejected {
                        address: shown,
                        source,
                    });
                }
                Ok(Err(AttemptError::Later(source))) => source,
                Err(_) => format!("no response within {} s", ATTEMPT_LIMIT.as_secs()).into(),
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

    /// Starts gRPC on `stream`, and verifies that the builder responds.
    async fn start(
        stream: Stream,
        gzip: bool,
        verification: Verification,
    ) -> Result<Self, AttemptError> {
        let endpoint = Endpoint::from_static("http://builder")
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_header_list_size(HEADER_LIMIT_BYTES)
            .http2_keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1)
            .user_agent(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            ));
        let channel = endpoint
            .map_err(|error| AttemptError::Later(error.into()))?
            .connect_with_connector(Once::new(stream))
            .await
            .map_err(|error| AttemptError::Later(error.into()))?;
        let connection = Self {
            channel,
            compression: gzip.then_some(CompressionEncoding::Gzip),
            has_responded: Arc::default(),
        };
        if verification == Verification::ByFirstCall {
            return Ok(connection);
        }
        let workers = connection
            .control()
            .list_workers(ListWorkersRequest::default())
            .await
            .map_err(|status| AttemptError::Later(status.into()))?;
        tracing::debug!("{}", version::described(workers.get_ref()));
        connection.note_response();
        Ok(connection)
    }

    /// Records a response of the builder.
    pub(super) fn note_response(&self) {
        self.has_responded.store(true, Ordering::Relaxed);
    }

    /// Whether the builder has responded to a call. If it has not, it may not have been ready yet.
    pub(crate) fn has_responded(&self) -> bool {
        self.has_responded.load(Ordering::Relaxed)
    }

    /// A connection over an open stream without TLS.
    #[cfg(test)]
    pub(super) async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, impl std::error::Error> {
        Self::start(Box::new(stream), false, Verification::AtOnce).await
    }

    /// Keeps an idle connection in use until the future is dropped.
    ///
    /// A builder treats repeated pings as abuse, and closes the connection, if it has sent no data itself between them.
    pub(crate) async fn keep_in_use<Never>(&self) -> Never {
        loop {
            tokio::time::sleep(KEEPALIVE.0).await;
            let mut control = self.control();
            // The reader of the connection reports a loss.
            let _response = control.list_workers(ListWorkersRequest::default()).await;
        }
    }

    /// The channel, for other services of the builder.
    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
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

/// Opens a connection to the builder, through the proxy if there is one. If that fails, it connects directly: many proxies
/// open tunnels only to port 443, and some intercept TLS, which fails the verification of the builder's certificate.
async fn open_stream(
    address: &Address,
    tls: Option<&Tls>,
    rejection: &Rejection,
) -> Result<Stream, AttemptError> {
    let Some(proxy) = &address.proxy else {
        return open_route(address, None, tls, rejection).await;
    };
    let route = async |proxy| {
        let opening = open_route(address, proxy, tls, rejection);
        let opened = tokio::time::timeout(ROUTE_LIMIT, opening).await;
        opened.unwrap_or_else(|_| Err(AttemptError::Later("no response".into())))
    };
    let refused = match route(Some(proxy)).await {
        Ok(stream) => return Ok(stream),
        Err(refused) => refused,
    };
    tracing::debug!("{proxy:?} does not reach the builder: {refused}");
    let direct = match route(None).await {
        Ok(stream) => return Ok(stream),
        Err(direct) => direct,
    };
    let (host, port) = (&proxy.host, proxy.port);
    let both = format!("through the proxy {host}:{port}: {refused}; directly: {direct}");
    // A failed verification on one route is final unless the builder may just not be ready yet on the other route.
    Err(match (refused, direct) {
        (AttemptError::Untrusted(_) | AttemptError::Rejected(_), AttemptError::Later(why))
            if is_refused(&*why) =>
        {
            AttemptError::Later(both.into())
        }
        (AttemptError::Later(_), _) => AttemptError::Later(both.into()),
        (AttemptError::Untrusted(_), _) => AttemptError::Untrusted(io::Error::other(both)),
        (AttemptError::Rejected(_), _) => AttemptError::Rejected(io::Error::other(both)),
    })
}

/// Whether the host is reachable, but the port is closed.
fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Opens a connection on one route.
async fn open_route(
    address: &Address,
    proxy: Option<&Proxy>,
    tls: Option<&Tls>,
    rejection: &Rejection,
) -> Result<Stream, AttemptError> {
    let later = |error: io::Error| AttemptError::Later(error.into());
    let stream = match proxy {
        Some(proxy) => proxy.open(&address.shown()).await.map_err(later)?,
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
        Ok(stream) => Ok(Box::new(RejectionStream::new(stream, rejection))),
        Err(error) if is_untrusted_server(&error) => Err(AttemptError::Untrusted(error)),
        Err(error) if client_certificate_alert(&error).is_some() => {
            Err(AttemptError::Rejected(error))
        }
        Err(error) => Err(later(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_unreachable_builder_is_an_error_after_minutes() {
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
        let error = Connection::open(&address, CONNECT_LIMIT, Verification::AtOnce)
            .await
            .unwrap_err();
        assert!(started.elapsed() + 2 * PAUSE_BOUNDS.1 > CONNECT_LIMIT);
        assert!(started.elapsed() < CONNECT_LIMIT + ATTEMPT_LIMIT);
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

    /// The result of one attempt at a server that responds to each hello with this alert.
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
            opened = Connection::open(&address, Duration::ZERO, Verification::AtOnce) => opened.unwrap_err(),
            never = serving => never,
        }
    }

    #[tokio::test]
    async fn only_an_alert_about_the_client_certificate_is_final() {
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
                opened = Connection::open(&address, CONNECT_LIMIT, Verification::AtOnce) => opened.unwrap_err(),
                never = serving => never,
            };
            assert!(
                matches!(error, ConnectError::Rejected { .. }),
                "{version:?}: {error:?}"
            );
        }
    }
}
