//! Records bytes of both directions, for protocols other than HTTP and for upgraded connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::{Growing, Side, Traffic};
use crate::tasks::Tasks;

/// A stream to a client that records its bytes.
#[derive(Debug)]
pub(crate) struct Tapped<S> {
    stream: S,
    pieces: Option<(Growing, Growing)>,
}

impl<S> Tapped<S> {
    /// Records bytes from the client as requests and bytes to it as responses; nothing without a `traffic`.
    pub(crate) fn new(stream: S, traffic: Option<&Traffic>, part: &str) -> Self {
        let pieces = traffic.map(|traffic| {
            let open = |side: Side| traffic.open(part, "", format!("{side} bytes"));
            (open(Side::Request), open(Side::Response))
        });
        Self { stream, pieces }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some((requests, _)) = &self.pieces {
            requests.push(buffer.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        if let Some((_, responses)) = &self.pieces {
            responses.push(bytes.get(..written).unwrap_or_default());
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A port in front of a server with any protocol. Dropping this closes it.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    tasks: Tasks,
}

impl Tap {
    /// Opens a port that leads to `server`, a host and a port. `part` is its name in the recording.
    ///
    /// # Errors
    /// If no port can be opened on loopback.
    pub async fn open(traffic: &Traffic, part: &'static str, server: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let tasks = Tasks::default();
        let (traffic, server, connections) = (traffic.clone(), server.to_owned(), tasks.clone());
        tasks.spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    // Most likely out of file descriptors.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let (mut client, server) =
                    (Tapped::new(client, Some(&traffic), part), server.clone());
                connections.spawn(async move {
                    let carried = async {
                        let mut server = TcpStream::connect(&server).await?;
                        tokio::io::copy_bidirectional(&mut client, &mut server).await
                    };
                    if let Err(error) = carried.await {
                        tracing::debug!(%error, "a connection through a tap broke");
                    }
                });
            }
        });
        Ok(Self { address, tasks })
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}
