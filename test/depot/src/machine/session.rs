//! The session within a call: a second HTTP/2 connection, on which the builder is the client.
//!
//! This module terminates both of its ends, so that each call can be recorded decoded.

use bytes::Bytes;
use depot_ground::tasks::Tasks;
use depot_ground::traffic::Traffic;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, WriteHalf};
use tokio_util::io::ReaderStream;

use super::calls::{self, Body, BoxError, Sender};
use super::fork::framed;
use crate::envelope::Envelopes;

/// The call that carries the session.
pub(super) const SESSION: &str = "/moby.buildkit.v1.Control/Session";

/// The buffer of each direction.
const PIPE_BYTES: usize = 256 << 10;

#[derive(Clone, PartialEq, prost::Message)]
struct BytesMessage {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
}

/// Opens the session at the builder, and records the calls in it.
pub(super) async fn record(
    sender: &Sender,
    request: Request<Body>,
    traffic: &Traffic,
    tasks: &Tasks,
) -> Result<Response<Body>, BoxError> {
    let (head, from_client) = request.into_parts();
    let (near_client, far_client) = tokio::io::duplex(PIPE_BYTES);
    let (near_builder, far_builder) = tokio::io::duplex(PIPE_BYTES);
    let (read, write) = tokio::io::split(far_builder);
    let request = Request::from_parts(head, wrap(read, false));
    let (head, from_builder) = calls::pass(sender, request).await?.into_parts();
    tasks.spawn(unwrap(from_builder, write));
    let (read, write) = tokio::io::split(far_client);
    tasks.spawn(unwrap(from_client, write));
    let (traffic, serving) = (traffic.clone(), tasks.clone());
    tasks.spawn(async move {
        let ended = serve(near_client, near_builder, traffic, &serving).await;
        if let Err(error) = ended {
            tracing::debug!(%error, "a session broke");
        }
    });
    Ok(Response::from_parts(head, wrap(read, true)))
}

/// Passes the builder's calls to the client, until either ends.
async fn serve(
    client: DuplexStream,
    builder: DuplexStream,
    traffic: Traffic,
    tasks: &Tasks,
) -> std::io::Result<()> {
    let (sender, connection) = calls::connect(client, tasks).await?;
    let serving = calls::serve_calls(builder, tasks, move |request| {
        let (sender, traffic) = (sender.clone(), traffic.clone());
        async move {
            let call = format!("session {}", request.uri().path());
            let request = calls::record_request(&traffic, &call, request.map(calls::boxed));
            let response = calls::pass(&sender, request).await;
            let response = response.unwrap_or_else(|error| {
                // 14: unavailable.
                Response::new(super::fork::trailers(&[], "14", &error.to_string()))
            });
            calls::record_response(&traffic, &call, response)
        }
    });
    tokio::select! {
        served = serving => served,
        ended = connection => ended,
    }
}

/// Reads the messages of one direction and writes their bytes.
async fn unwrap(body: Body, mut to: WriteHalf<DuplexStream>) {
    // Without compression, gRPC's messages have the same frames as Connect's.
    let mut messages = Envelopes::new(body);
    while let Ok(Some(message)) = messages.next().await {
        let Ok(message) = BytesMessage::decode(message) else {
            break;
        };
        if to.write_all(&message.data).await.is_err() {
            break;
        }
    }
    let _closed = to.shutdown().await;
}

/// Wraps the bytes of one direction in messages. A response ends with gRPC's trailers.
fn wrap(from: impl AsyncRead + Send + 'static, is_response: bool) -> Body {
    let messages = ReaderStream::new(from).map(|piece| {
        let message = BytesMessage { data: piece? };
        Ok(Frame::data(framed(&message.encode_to_vec())))
    });
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let end = is_response.then(|| Ok(Frame::trailers(trailers)));
    let frames = messages.chain(futures_util::stream::iter(end));
    StreamBody::new(frames).boxed_unsync()
}
