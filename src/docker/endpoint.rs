//! The address of a daemon, and connections to it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// The limit for connecting, TLS included. A daemon is on this machine or near it.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The address of a daemon.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A TCP port, with TLS if certificates are configured.
    Tcp {
        /// A name or an address; an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
        /// The certificates; `None` for plain text.
        tls: Option<EndpointTls>,
    },
}

/// Mutual TLS to a daemon. All PEM.
#[derive(Clone, Debug)]
pub(crate) struct EndpointTls {
    /// The trusted authorities; no others are trusted.
    pub authorities: String,
    /// The client certificate, with its chain.
    pub certificate: String,
    /// The client's private key.
    pub key: SecretString,
}

/// In the form of `DOCKER_HOST`.
impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Self::Tcp { host, port, .. } => {
                write!(formatter, "tcp://{}", crate::http::authority(host, *port))
            }
        }
    }
}

impl EndpointTls {
    /// The TLS configuration for connections.
    ///
    /// # Errors
    /// A message for users: which of the three files cannot be used, and why.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, String> {
        let certificates = |what: &str, pem: &str| {
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            match found {
                Ok(found) if !found.is_empty() => Ok(found),
                Ok(_) => Err(format!("{what} contains no certificate")),
                Err(error) => Err(format!("{what} is not valid PEM: {error}")),
            }
        };
        let mut roots = RootCertStore::empty();
        for authority in certificates("ca.pem", &self.authorities)? {
            roots
                .add(authority)
                .map_err(|error| format!("ca.pem cannot be trusted: {error}"))?;
        }
        let own = certificates("cert.pem", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose_secret().as_bytes())
            .map_err(|error| format!("key.pem contains no usable key: {error}"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_client_auth_cert(own, key)
            .map_err(|error| format!("cert.pem and key.pem cannot be used: {error}"))
    }
}

/// A bidirectional byte stream.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Opens connections to one endpoint.
#[derive(Clone)]
pub(super) struct Connector {
    endpoint: Arc<Endpoint>,
    tls: Option<TlsConnector>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Connector")
            .field(&self.endpoint)
            .finish()
    }
}

impl Connector {
    pub(super) fn new(endpoint: Endpoint) -> Result<Self, String> {
        let tls = match &endpoint {
            Endpoint::Tcp { tls: Some(tls), .. } => {
                Some(TlsConnector::from(Arc::new(tls.client_config()?)))
            }
            Endpoint::Tcp { tls: None, .. } | Endpoint::Unix(_) => None,
        };
        Ok(Self {
            endpoint: Arc::new(endpoint),
            tls,
        })
    }

    /// Opens a connection. Cancel safe.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Duplex>> {
        let connecting = async {
            let (host, port) = match &*self.endpoint {
                Endpoint::Unix(path) => {
                    let stream: Box<dyn Duplex> = Box::new(UnixStream::connect(path).await?);
                    return Ok(stream);
                }
                Endpoint::Tcp { host, port, .. } => (host, *port),
            };
            let stream = TcpStream::connect((&**host, port)).await?;
            stream.set_nodelay(true)?;
            let Some(tls) = &self.tls else {
                let stream: Box<dyn Duplex> = Box::new(stream);
                return Ok(stream);
            };
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let stream: Box<dyn Duplex> = Box::new(tls.connect(name, stream).await?);
            Ok(stream)
        };
        match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
            Ok(connected) => connected,
            Err(late) => Err(late.into()),
        }
    }
}
