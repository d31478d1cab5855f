//! What Depot's builders do beyond upstream's: their fork of BuildKit, as far as loading an image goes.
//!
//! Between the client and the builder every call passes as it is, but two. The answer to a `Solve` whose exporter was told
//! `depot.export.image.version=2` also holds the exported images (`depot/images.exported`: base64 of a JSON list of manifest and
//! config, each in base64), and with `depot.export.lease=true` the lease that keeps them (`depot/session.id`). `Leases/Delete`
//! ends such a lease. The released CLI's fast load runs on this.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prost::Message;
use serde::Deserialize;
use serde_json::json;

use super::{BuilderStream, takes_one};
use crate::record::Recorder;
use crate::tasks::Tasks;

const SOLVE: &str = "/moby.buildkit.v1.Control/Solve";
const READ: &str = "/containerd.services.content.v1.Content/Read";
const DELETE_LEASE: &str = "/containerd.services.leases.v1.Leases/Delete";

/// Room for both sides on every stream, and no more for all together: a stream that nobody reads holds up the others, as behind
/// many a proxy.
const WINDOW_BYTES: u32 = 8 << 20;

/// BuildKit puts whole Dockerfiles into the details of an error.
const HEADER_LIMIT_BYTES: u32 = 16 << 20;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// `SolveRequest`, as far as it is read here.
#[derive(Clone, PartialEq, prost::Message)]
struct SolveRequest {
    #[prost(map = "string, string", tag = "4")]
    exporter: HashMap<String, String>,
    #[prost(string, tag = "5")]
    session: String,
}

/// `SolveResponse`, as far as it is known here.
#[derive(Clone, PartialEq, prost::Message)]
struct SolveResponse {
    #[prost(map = "string, string", tag = "1")]
    exporter: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReadRequest {
    #[prost(string, tag = "1")]
    digest: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReadResponse {
    #[prost(bytes = "bytes", tag = "2")]
    data: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DeleteRequest {
    #[prost(string, tag = "1")]
    id: String,
}

/// An index or a manifest.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Vec<Named>,
    config: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    digest: String,
}

/// Serves one client on one connection to the builder, until either ends.
pub(super) async fn serve(
    client: impl BuilderStream + 'static,
    builder: impl BuilderStream + 'static,
    recorder: Arc<Recorder>,
    confused_left: Arc<AtomicU32>,
    tasks: Tasks,
) -> io::Result<()> {
    let (sender, connection) = client::Builder::new(tasks.clone())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(HEADER_LIMIT_BYTES)
        .handshake(TokioIo::new(builder))
        .await
        .map_err(io::Error::other)?;
    let fork = Fork {
        sender,
        recorder,
        confused_left,
    };
    let service = service_fn(move |request| {
        let fork = fork.clone();
        async move { Ok::<_, Infallible>(fork.call(request).await) }
    });
    let serving = server::Builder::new(tasks)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(HEADER_LIMIT_BYTES)
        .serve_connection(TokioIo::new(client), service);
    tokio::select! {
        served = serving => served.map_err(io::Error::other),
        ended = connection => ended.map_err(io::Error::other),
    }
}

#[derive(Clone)]
struct Fork {
    sender: client::SendRequest<Body>,
    recorder: Arc<Recorder>,
    confused_left: Arc<AtomicU32>,
}

impl Fork {
    async fn call(&self, request: Request<Incoming>) -> Response<Body> {
        let answered = match request.uri().path() {
            SOLVE => self.solve(request).await,
            DELETE_LEASE => self.delete_lease(request).await,
            _ => {
                let sent = self.sender.clone().send_request(request.map(boxed)).await;
                sent.map(|response| response.map(boxed))
            }
        };
        answered.unwrap_or_else(|error| {
            // 14: unavailable.
            let body = trailers(&[], "14", &error.to_string());
            Response::new(body)
        })
    }

    async fn solve(&self, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
        let (head, body) = request.into_parts();
        let sent = body.collect().await?.to_bytes();
        if takes_one(&self.confused_left) {
            // 2: unknown.
            let words = "failed to solve: inconsistent graph state in edge merge";
            return Ok(answer(trailers(&[], "2", words)));
        }
        let asked = SolveRequest::decode(sent.get(5..).unwrap_or_default()).unwrap_or_default();
        let request = Request::from_parts(head, full(sent));
        let template = head_of(&request);
        let response = self.sender.clone().send_request(request).await?;
        let (head, body) = response.into_parts();
        let collected = body.collect().await?;
        let told = collected.trailers().cloned();
        let answer = collected.to_bytes();
        let Some(message) = answer.get(5..).filter(|_| answer.first() == Some(&0)) else {
            return Ok(Response::from_parts(head, with_trailers(answer, told)));
        };
        let solved = SolveResponse::decode(message).unwrap_or_default();
        let is = |name: &str, value: &str| asked.exporter.get(name).is_some_and(|is| is == value);
        let mut more = HashMap::new();
        let digest = solved.exporter.get("containerimage.digest");
        if let Some(digest) = digest
            && is("depot.export.image.version", "2")
        {
            let images = self.images(&template, digest).await?;
            let images = serde_json::Value::from(images).to_string();
            more.insert("depot/images.exported".into(), STANDARD.encode(images));
        }
        if is("depot.export.lease", "true") {
            let lease = asked.session;
            self.recorder.lease_made(&lease);
            more.insert("depot/session.id".into(), lease);
        }
        // One message behind another is one with the fields of both.
        let more = SolveResponse { exporter: more }.encode_to_vec();
        let answer = framed(&[message, &more].concat());
        Ok(Response::from_parts(head, with_trailers(answer, told)))
    }

    /// Manifest and config of every image that `digest` is or leads to; attestations too.
    async fn images(
        &self,
        template: &Request<()>,
        digest: &str,
    ) -> Result<Vec<serde_json::Value>, hyper::Error> {
        let top = self.read(template, digest).await?;
        let Ok(document) = serde_json::from_slice::<Document>(&top) else {
            return Ok(Vec::new());
        };
        let mut manifests = Vec::new();
        if document.config.is_some() {
            manifests.push(top);
        }
        for named in document.manifests {
            manifests.push(self.read(template, &named.digest).await?);
        }
        let mut images = Vec::new();
        for manifest in manifests {
            let document = serde_json::from_slice::<Document>(&manifest).ok();
            if let Some(config) = document.and_then(|document| document.config) {
                let config = self.read(template, &config.digest).await?;
                images.push(json!({
                    "manifest": STANDARD.encode(manifest),
                    "config": STANDARD.encode(config),
                }));
            }
        }
        Ok(images)
    }

    /// Reads a small blob of the builder's.
    async fn read(&self, template: &Request<()>, digest: &str) -> Result<Bytes, hyper::Error> {
        let message = ReadRequest {
            digest: digest.to_owned(),
        };
        let mut request = Request::new(full(framed(&message.encode_to_vec())));
        *request.method_mut() = template.method().clone();
        *request.version_mut() = template.version();
        *request.headers_mut() = template.headers().clone();
        request.headers_mut().remove(header::CONTENT_LENGTH);
        let mut parts = template.uri().clone().into_parts();
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static(READ));
        *request.uri_mut() = http::Uri::from_parts(parts).unwrap_or_default();
        let response = self.sender.clone().send_request(request).await?;
        let mut rest = response.into_body().collect().await?.to_bytes();
        let mut blob = BytesMut::new();
        while let Some(length) = rest.get(1..5).and_then(|length| length.try_into().ok()) {
            let end = 5 + u32::from_be_bytes(length) as usize;
            let Some(message) = rest.get(5..end) else {
                break;
            };
            blob.extend_from_slice(&ReadResponse::decode(message).unwrap_or_default().data);
            rest = rest.slice(end..);
        }
        Ok(blob.freeze())
    }

    async fn delete_lease(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, hyper::Error> {
        let sent = request.into_body().collect().await?.to_bytes();
        let asked = DeleteRequest::decode(sent.get(5..).unwrap_or_default()).unwrap_or_default();
        let (code, words) = if self.recorder.lease_deleted(&asked.id) {
            ("0", "")
        } else {
            ("5", "no such lease")
        };
        Ok(answer(trailers(&framed(&[]), code, words)))
    }
}

fn answer(body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    let grpc = HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert(header::CONTENT_TYPE, grpc);
    answer
}

/// A request's head, for others like it.
fn head_of(request: &Request<Body>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    head
}

fn boxed(body: Incoming) -> Body {
    body.boxed_unsync()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A gRPC message in its frame.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

fn trailers(answer: &[u8], code: &'static str, words: &str) -> Body {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    if let Ok(words) = HeaderValue::from_str(words) {
        trailers.insert("grpc-message", words);
    }
    with_trailers(Bytes::copy_from_slice(answer), Some(trailers))
}

fn with_trailers(answer: Bytes, trailers: Option<HeaderMap>) -> Body {
    let frames = [Some(Frame::data(answer)), trailers.map(Frame::trailers)];
    let frames = frames.into_iter().flatten().map(Ok);
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}
