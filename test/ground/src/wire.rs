//! Wrappers of sockets: they reset a connection, count its bytes, or cut it. One HTTP request is here too.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::engine::{Address, http as client};

/// Sends `request` to `address`, such as `127.0.0.1:5000`, over a connection of its own without TLS. Returns the response with
/// its whole body, which may have `limit` bytes.
///
/// # Errors
/// If there is no complete response within 30 seconds, or a longer one.
pub async fn send(
    address: &str,
    request: Request<Bytes>,
    limit: usize,
) -> io::Result<Response<Bytes>> {
    client::send(&Address::Tcp(address.to_owned()), request, limit).await
}

/// Makes a connection end with a reset instead of an orderly close.
#[derive(Clone, Debug, Default)]
pub struct ResetSwitch(Arc<AtomicBool>);

impl ResetSwitch {
    /// Makes dropping the socket reset the connection.
    pub fn arm(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Makes dropping the socket close the connection in order.
    pub fn disarm(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// A socket that is reset, not closed, if its switch is armed when it is dropped.
#[derive(Debug)]
pub struct Resettable {
    socket: TcpStream,
    switch: ResetSwitch,
}

impl Resettable {
    /// Wraps `socket`; `switch` decides how it ends.
    #[must_use]
    pub fn new(socket: TcpStream, switch: ResetSwitch) -> Self {
        Self { socket, switch }
    }
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.switch.0.load(Ordering::SeqCst) {
            // If this fails, the peer sees an orderly close in the middle of its call, which is as good.
            let _closed_instead = self.socket.set_zero_linger();
        }
    }
}

/// The number of bytes in one direction. Clones share the counter.
#[derive(Clone, Debug, Default)]
pub struct ByteCount(Arc<AtomicU64>);

impl ByteCount {
    /// The number of bytes until now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds `bytes` to the count.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Counts the bytes of a stream and, with a limit, fails it after that many bytes in both directions together.
#[derive(Debug)]
pub struct Counted<S> {
    stream: S,
    received: ByteCount,
    sent: ByteCount,
    limit: Option<u64>,
}

impl<S> Counted<S> {
    /// Counts bytes read from `stream` in `received` and bytes written to it in `sent`. `limit` is for both together.
    pub fn new(stream: S, received: ByteCount, sent: ByteCount, limit: Option<u64>) -> Self {
        Self {
            stream,
            received,
            sent,
            limit,
        }
    }

    /// Whether the limit was reached.
    pub fn is_cut(&self) -> bool {
        self.limit
            .is_some_and(|limit| self.received.get() + self.sent.get() >= limit)
    }

    fn check(&self) -> io::Result<()> {
        if self.is_cut() {
            Err(io::ErrorKind::ConnectionReset.into())
        } else {
            Ok(())
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.received.add(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.sent.add(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
