//! A connector for a gRPC channel that returns one open stream.
//!
//! A channel connects by itself, and reconnects when its connection breaks. Everything that ran over the broken connection is
//! lost, and a silent second connection would only hide that. So this connector returns its stream once, and then errors.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;

/// Returns the stream to the first connection attempt of the channel, and an error to every later one.
pub(crate) struct Once<Stream>(Mutex<Option<Stream>>);

impl<Stream> Once<Stream> {
    pub(crate) fn new(stream: Stream) -> Self {
        Self(Mutex::new(Some(stream)))
    }
}

impl<Stream: Send + 'static> tower_service::Service<Uri> for Once<Stream> {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        // The lock is never poisoned: nothing panics while it is held.
        let stream = self.0.get_mut().ok().and_then(Option::take);
        Box::pin(async move {
            stream.map(TokioIo::new).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    "the connection to the builder was lost",
                )
            })
        })
    }
}
