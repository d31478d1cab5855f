//! A gRPC proxy between a client and a builder, for machines that do more than pass bytes.
//!
//! Calls pass unchanged, except the two that Depot's fork of BuildKit extends. If a test records, every call is recorded,
//! including the builder's calls to the client within a session.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use depot_ground::tasks::Tasks;
use depot_ground::traffic::{Side, Traffic};
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::fork::{self, Fork};
use super::{BuilderStream, session};
use crate::MachinePlan;
use crate::record::Recorder;

/// The flow-control window of each stream, and of the whole connection: a stream that is not read blocks the others, as
/// behind many proxies.
const WINDOW_BYTES: u32 = 8 << 20;

/// BuildKit includes whole Dockerfiles in the details of an error.
const HEADER_LIMIT_BYTES: u32 = 16 << 20;

/// The builder's name in a recording.
const PART: &str = "builder";

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Sends calls to the peer of a connection.
pub(super) type Sender = client::SendRequest<Body>;

/// Serves one client over one connection to the builder, until either ends.
pub(super) async fn serve(
    client: impl BuilderStream + 'static,
    builder: impl BuilderStream + 'static,
    plan: &MachinePlan,
    recorder: Arc<Recorder>,
    confused_left: Arc<AtomicU32>,
    tasks: Tasks,
) -> io::Result<()> {
    let (sender, connection) = connect(builder, &tasks).await?;
    let fork = plan.is_fork.then(|| Fork {
        sender: sender.clone(),
        recorder,
        confused_left,
    });
    let calls = Calls {
        sender,
        fork,
        traffic: plan.traffic.clone(),
        tasks: tasks.clone(),
    };
    let serving = serve_calls(client, &tasks, move |request| {
        let calls = calls.clone();
        async move { calls.call(request).await }
    });
    tokio::select! {
        served = serving => served,
        ended = connection => ended,
    }
}

/// The client side of HTTP/2: the sender of calls, and a future to poll meanwhile.
pub(super) async fn connect<S: BuilderStream + 'static>(
    stream: S,
    tasks: &Tasks,
) -> io::Result<(Sender, impl Future<Output = io::Result<()>> + use<S>)> {
    let (sender, connection) = client::Builder::new(tasks.clone())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(HEADER_LIMIT_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    Ok((sender, async { connection.await.map_err(io::Error::other) }))
}

/// The server side of HTTP/2.
pub(super) async fn serve_calls<F>(
    stream: impl BuilderStream + 'static,
    tasks: &Tasks,
    call: impl Fn(Request<Incoming>) -> F + Send + 'static,
) -> io::Result<()>
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let response = call(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    server::Builder::new(tasks.clone())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(HEADER_LIMIT_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}

#[derive(Clone)]
struct Calls {
    sender: Sender,
    fork: Option<Fork>,
    traffic: Option<Traffic>,
    tasks: Tasks,
}

impl Calls {
    async fn call(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let request = request.map(boxed);
        let request = match &self.traffic {
            Some(traffic) => record_request(traffic, &path, request),
            None => request,
        };
        let response = match (path.as_str(), &self.fork, &self.traffic) {
            (fork::SOLVE, Some(fork), _) => fork.solve(request).await,
            (fork::DELETE_LEASE, Some(fork), _) => fork.delete_lease(request).await,
            (session::SESSION, _, Some(traffic)) => {
                session::record(&self.sender, request, traffic, &self.tasks).await
            }
            _ => pass(&self.sender, request).await,
        };
        let response = response.unwrap_or_else(|error| {
            // 14: unavailable.
            Response::new(fork::trailers(&[], "14", &error.to_string()))
        });
        match &self.traffic {
            Some(traffic) => record_response(traffic, &path, response),
            None => response,
        }
    }
}

/// Passes a call unchanged.
pub(super) async fn pass(
    sender: &Sender,
    request: Request<Body>,
) -> Result<Response<Body>, BoxError> {
    let response = sender.clone().send_request(request).await?;
    Ok(response.map(boxed))
}

pub(super) fn record_request(
    traffic: &Traffic,
    call: &str,
    request: Request<Body>,
) -> Request<Body> {
    traffic.headers(PART, call, Side::Request, "header", request.headers());
    request.map(|body| record_body(traffic, call, Side::Request, body))
}

pub(super) fn record_response(
    traffic: &Traffic,
    call: &str,
    response: Response<Body>,
) -> Response<Body> {
    traffic.headers(PART, call, Side::Response, "header", response.headers());
    response.map(|body| record_body(traffic, call, Side::Response, body))
}

/// Records a body. The bytes of a session are recorded as separate calls instead.
fn record_body(traffic: &Traffic, call: &str, side: Side, body: Body) -> Body {
    if call == session::SESSION {
        return body;
    }
    traffic.body(PART, call, side, body).boxed_unsync()
}

pub(super) fn boxed(body: Incoming) -> Body {
    body.map_err(BoxError::from).boxed_unsync()
}
