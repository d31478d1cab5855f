//! The socket of another agent.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::frames::{LENGTH_BYTES, framed, length_of};
use super::message::{REQUEST_IDENTITIES, Request, failure};

/// How long the agent may take to accept a connection and to respond. It may query a hardware token.
const LIMIT: Duration = Duration::from_secs(30);

/// A connection to the agent. Only well-formed requests for identities and signatures are sent on it.
pub(super) struct SocketConnection {
    /// `None` after a failure: a late response would be read as that of the next request.
    stream: Option<UnixStream>,
}

impl SocketConnection {
    /// Connects. Cancel safe.
    pub(super) async fn open(path: &Path) -> io::Result<Self> {
        let stream = tokio::time::timeout(LIMIT, UnixStream::connect(path)).await??;
        let stream = Some(stream);
        Ok(Self { stream })
    }

    /// The agent's response; a failure if the request is not allowed, or if the agent does not respond.
    ///
    /// Not cancel safe: drop the connection with the future.
    pub(super) async fn respond(&mut self, message: &[u8]) -> Vec<u8> {
        let Some(request) = Request::parse(message) else {
            return failure();
        };
        let Some(mut stream) = self.stream.take() else {
            return failure();
        };
        let exchange = tokio::time::timeout(LIMIT, exchange(&mut stream, message)).await;
        let response = match exchange.unwrap_or_else(|late| Err(late.into())) {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!("the SSH agent did not respond: {error}");
                return failure();
            }
        };
        self.stream = Some(stream);
        if request.fits(&response) {
            response
        } else {
            failure()
        }
    }
}

async fn exchange(stream: &mut UnixStream, message: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(&framed(message)).await?;
    let mut length = [0; LENGTH_BYTES];
    stream.read_exact(&mut length).await?;
    let length = length_of(length);
    let length = length.ok_or_else(|| io::Error::other("its message is too long"))?;
    let mut response = vec![0; length];
    stream.read_exact(&mut response).await?;
    Ok(response)
}

/// Why the socket of an agent cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error("could not connect to the SSH agent at `{}`", path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("`{}` is not the socket of an SSH agent: it did not list its keys", path.display())]
    NotAnAgent { path: PathBuf },
}

/// Checks that an agent listens on a socket and lists its keys.
pub(super) async fn check(path: &Path) -> Result<(), SocketError> {
    let path = || path.to_owned();
    let connection = SocketConnection::open(&path()).await;
    let mut connection = connection.map_err(|source| SocketError::Connect {
        path: path(),
        source,
    })?;
    let message = [REQUEST_IDENTITIES];
    let response = connection.respond(&message).await;
    if Request::Identities.fits(&response) {
        Ok(())
    } else {
        Err(SocketError::NotAnAgent { path: path() })
    }
}
