//! Sends `bollard`'s requests over this crate's connections, with the negotiated version of the API.
//!
//! `bollard` could connect by itself, but it would trust every public authority in addition to the daemon's own, and need a
//! second TLS client.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bollard::BollardRequest;
use bollard::errors::Error;
use http::Uri;
use http::uri::PathAndQuery;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::endpoint::{Connector, Duplex};

/// The body of `bollard`'s requests.
type Body = <BollardRequest as RequestBody>::Body;

trait RequestBody {
    type Body;
}

impl<T> RequestBody for http::Request<T> {
    type Body = T;
}

/// Sends requests to one daemon.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    client: Client<Dial, Body>,
    /// Such as `/v1.43`; empty before a version is negotiated.
    prefix: Arc<str>,
}

impl Transport {
    pub(super) fn new(connector: Connector) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build(Dial(connector)),
            prefix: "".into(),
        }
    }

    /// The same transport for a version of the API.
    pub(super) fn of_version(&self, version: &bollard::ClientVersion) -> Self {
        Self {
            client: self.client.clone(),
            prefix: format!("/v{version}").into(),
        }
    }
}

type ResponseFuture = Pin<Box<dyn Future<Output = Result<http::Response<Incoming>, Error>> + Send>>;

impl Transport {
    /// Sends one request.
    pub(super) fn send(&self, mut request: BollardRequest) -> ResponseFuture {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", PathAndQuery::as_str);
        let path = if path.starts_with("/v1.") {
            path.to_owned()
        } else {
            format!("{}{path}", self.prefix)
        };
        let client = self.client.clone();
        // For the debug log; the query is omitted.
        let line = format!(
            "{} {}",
            request.method(),
            path.split('?').next().unwrap_or("/")
        );
        Box::pin(async move {
            let begun = Instant::now();
            let mut uri = request.uri().clone().into_parts();
            uri.path_and_query = Some(PathAndQuery::try_from(path).map_err(http::Error::from)?);
            *request.uri_mut() = Uri::from_parts(uri).map_err(http::Error::from)?;
            let response = client.request(request).await;
            let took = begun.elapsed().as_millis();
            match &response {
                Ok(response) => {
                    let status = response.status().as_u16();
                    tracing::debug!("Docker: {line}: {status} in {took} ms");
                }
                Err(error) => tracing::debug!("Docker: {line}: failed after {took} ms: {error}"),
            }
            response.map_err(|error| io::Error::other(error).into())
        })
    }
}

/// Connects to the daemon, regardless of the request's address.
#[derive(Clone)]
struct Dial(Connector);

impl tower_service::Service<Uri> for Dial {
    type Response = TokioIo<Dialed>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(Dialed(connector.connect().await?))) })
    }
}

/// A connection in the client's pool.
struct Dialed(Box<dyn Duplex>);

impl Connection for Dialed {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Dialed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Dialed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
