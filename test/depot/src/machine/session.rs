//! The session within a call: a second HTTP/2 connection, on which the builder asks and the client answers.
//!
//! Both ends of it are ours here, so that each of its calls can be kept decoded.

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

/// The call that carries it.
pub(super) const SESSION: &str = "/moby.buildkit.v1.Control/Session";

/// What is held of each direction.
const PIPE_BYTES: usize = 256 << 10;

#[derive(Clone, PartialEq, prost::Message)]
struct BytesMessage {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
}

/// Opens the session at the builder, and keeps the calls that it makes.
pub(super) async fn overhear(
    sender: &Sender,
    request: Request<Body>,
    traffic: &Traffic,
    tasks: &Tasks,
) -> Result<Response<Body>, BoxError> {
    let (head, from_client) = request.into_parts();
    let (our_client, far_client) = tokio::io::duplex(PIPE_BYTES);
    let (our_builder, far_builder) = tokio::io::duplex(PIPE_BYTES);
    let (from_us, to_us) = tokio::io::split(far_builder);
    let request = Request::from_parts(head, enveloped(from_us, false));
    let (head, from_builder) = calls::pass(sender, request).await?.into_parts();
    tasks.spawn(unwrap(from_builder, to_us));
    let (from_us, to_us) = tokio::io::split(far_client);
    tasks.spawn(unwrap(from_client, to_us));
    let (traffic, serving) = (traffic.clone(), tasks.clone());
    tasks.spawn(async move {
        let ended = serve(our_client, our_builder, traffic, &serving).await;
        if let Err(error) = ended {
            tracing::debug!(%error, "a session broke");
        }
    });
    Ok(Response::from_parts(head, enveloped(from_us, true)))
}

/// Passes the builder's calls on to the client, until either has gone.
async fn serve(
    client: DuplexStream,
    builder: DuplexStream,
    traffic: Traffic,
    tasks: &Tasks,
) -> std::io::Result<()> {
    let (sender, connection) = calls::connect(client, tasks).await?;
    let serving = calls::answer(builder, tasks, move |request| {
        let (sender, traffic) = (sender.clone(), traffic.clone());
        async move {
            let call = format!("session {}", request.uri().path());
            let request = calls::kept_request(&traffic, &call, request.map(calls::boxed));
            let answered = calls::pass(&sender, request).await;
            let response = answered.unwrap_or_else(|error| {
                // 14: unavailable.
                Response::new(super::fork::trailers(&[], "14", &error.to_string()))
            });
            calls::kept_response(&traffic, &call, response)
        }
    });
    tokio::select! {
        served = serving => served,
        ended = connection => ended,
    }
}

/// Takes the bytes of one direction out of their messages.
async fn unwrap(body: Body, mut to: WriteHalf<DuplexStream>) {
    // Without a compression that was asked for, gRPC's messages are framed as Connect's are.
    let mut messages = Envelopes::new(body);
    while let Ok(Some(message)) = messages.next().await {
        let Ok(message) = BytesMessage::decode(message) else {
            break;
        };
        if to.write_all(&message.data).await.is_err() {
            break;
        }
    }
    let _gone = to.shutdown().await;
}

/// Bytes of one direction in messages, and at the end of an answer what gRPC ends one with.
fn enveloped(from: impl AsyncRead + Send + 'static, is_answer: bool) -> Body {
    let messages = ReaderStream::new(from).map(|piece| {
        let message = BytesMessage { data: piece? };
        Ok(Frame::data(framed(&message.encode_to_vec())))
    });
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let end = is_answer.then(|| Ok(Frame::trailers(trailers)));
    let frames = messages.chain(futures_util::stream::iter(end));
    StreamBody::new(frames).boxed_unsync()
}
