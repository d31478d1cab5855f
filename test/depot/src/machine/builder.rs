//! The builder behind a machine.

use std::io;
use std::pin::Pin;

use depot_ground::engine::Engine;
use tokio::io::{AsyncRead, AsyncWrite};

/// A stream to a builder.
pub trait BuilderStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> BuilderStream for S {}

/// A future connection to a builder.
pub type Connecting<'a> =
    Pin<Box<dyn Future<Output = io::Result<Box<dyn BuilderStream>>> + Send + 'a>>;

/// The server behind a machine's port. It serves BuildKit's gRPC over HTTP/2 without TLS.
pub trait Builder: Send + Sync + 'static {
    /// Opens a connection for one client.
    fn connect(&self) -> Connecting<'_>;
}

impl Builder for Engine {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async {
            let stream = self.connect_buildkit().await?;
            Ok(Box::new(stream) as Box<dyn BuilderStream>)
        })
    }
}

/// No builder, for tests that do not use a machine. Connections are closed after the TLS handshake.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBuilder;

impl Builder for NoBuilder {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async {
            Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "this local Depot has no builder",
            ))
        })
    }
}
