//! The address of a daemon, and connections to it.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A stream of bytes in both directions, whatever carries it.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

/// An address as in `DOCKER_HOST`, without TLS or ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `unix:///path`
    Unix(PathBuf),
    /// `tcp://host:port`
    Tcp(String),
}

impl Address {
    /// The default address of Docker's daemon.
    pub(super) fn docker_default() -> Self {
        Self::Unix("/var/run/docker.sock".into())
    }

    /// Opens a connection. Cancel safe.
    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Duplex>> {
        let connect = async {
            Ok(match self {
                Self::Unix(path) => Box::new(UnixStream::connect(path).await?) as Box<dyn Duplex>,
                Self::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream)
                }
            })
        };
        tokio::time::timeout(CONNECT_LIMIT, connect)
            .await
            .unwrap_or_else(|late| Err(late.into()))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("tcp", address))
                if address.rsplit_once(':').is_some_and(|(host, port)| {
                    !host.is_empty() && port.parse::<u16>().is_ok()
                }) =>
            {
                Ok(Self::Tcp(address.to_owned()))
            }
            _ => Err(AddressError::of(text)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Self::Tcp(address) => write!(formatter, "tcp://{address}"),
        }
    }
}

/// A text that is not an address.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither `unix:///path` nor `tcp://host:port`")]
pub struct AddressError(String);

impl AddressError {
    pub(super) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_a_round_trip_through_text() {
        for text in [
            "unix:///var/run/docker.sock",
            "tcp://127.0.0.1:2375",
            "tcp://[::1]:2375",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn unsupported_addresses_are_rejected() {
        for text in [
            "",
            "ssh://host",
            "unix://",
            "unix://relative",
            "tcp://host",
            "tcp://:1",
            "tcp://host:70000",
            "/var/run/docker.sock",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
