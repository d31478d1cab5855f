//! One stream that is already open, for a gRPC channel.
//!
//! A channel connects by itself, and anew when a connection breaks. What ran over a broken one is gone with it, and a silent
//! second connection would only hide that: here it gets the one stream, and an error from then on.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;

/// Hands one stream to the channel, and an error to its tries to reconnect.
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
        // A poisoned lock cannot be: nothing panics while it is held.
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
