//! Detects that a server rejected the client certificate. A retry does not help then.
//!
//! Any other alert, such as `unrecognized_name` or `internal_error`, may come from a gateway that has not registered the
//! builder yet, and is temporary.
//!
//! With TLS 1.3 a client has finished its handshake before the server reads its certificate (RFC 8446, section 2): the alert
//! arrives with the first bytes after it. HTTP/2 keeps only the text of the error that broke its connection, so the stream
//! below it stores the alert.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The alert with which the server rejected the client certificate, if any. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::buildkit) struct Rejection(Arc<OnceLock<AlertDescription>>);

impl Rejection {
    /// The alert as an error, if any.
    pub(in crate::buildkit) fn error(&self) -> Option<io::Error> {
        let alert = *self.0.get()?;
        Some(io::Error::new(
            io::ErrorKind::InvalidData,
            rustls::Error::AlertReceived(alert),
        ))
    }

    fn record(&self, error: &io::Error) {
        if let Some(alert) = client_certificate_alert(error) {
            // Only the first alert closes the connection.
            let _later = self.0.set(alert);
        }
    }
}

/// The alert in `error`, if it is about the client certificate (RFC 8446, section 6.2).
pub(in crate::buildkit) fn client_certificate_alert(error: &io::Error) -> Option<AlertDescription> {
    use AlertDescription as Alert;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(&rustls::Error::AlertReceived(alert)) = inner else {
        return None;
    };
    let is_rejection = matches!(
        alert,
        Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
            | Alert::CertificateRequired
    );
    is_rejection.then_some(alert)
}

/// A TLS stream that stores a rejection.
#[derive(Debug)]
pub(in crate::buildkit) struct RejectionStream<Stream> {
    stream: Stream,
    rejection: Rejection,
}

impl<Stream> RejectionStream<Stream> {
    pub(in crate::buildkit) fn new(stream: Stream, rejection: &Rejection) -> Self {
        Self {
            stream,
            rejection: rejection.clone(),
        }
    }

    fn record<Output>(&self, polled: Poll<io::Result<Output>>) -> Poll<io::Result<Output>> {
        if let Poll::Ready(Err(error)) = &polled {
            self.rejection.record(error);
        }
        polled
    }
}

impl<Stream: AsyncRead + Unpin> AsyncRead for RejectionStream<Stream> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.record(polled)
    }
}

impl<Stream: AsyncWrite + Unpin> AsyncWrite for RejectionStream<Stream> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.record(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.record(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.record(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.record(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
