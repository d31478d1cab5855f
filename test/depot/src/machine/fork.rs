//! The extensions of Depot's fork of BuildKit that the load of an image uses.
//!
//! Two calls differ. With the exporter attribute `depot.export.image.version=2`, the response to a `Solve` also contains the
//! exported images (`depot/images.exported`: base64 of a JSON list of manifest and config, each in base64), and the SBOMs among
//! their attestations (`depot/sboms`: base64 of a JSON list of platform, digest and image). With
//! `depot.export.lease=true` it also contains the lease that keeps them (`depot/session.id`). `Leases/Delete` ends such a
//! lease. The released CLI's fast load uses these extensions.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use prost::Message;
use serde::Deserialize;
use serde_json::json;

use super::calls::{Body, BoxError, Sender};
use super::takes_one;
use crate::record::Recorder;

pub(crate) const SOLVE: &str = "/moby.buildkit.v1.Control/Solve";
const READ: &str = "/containerd.services.content.v1.Content/Read";
pub(super) const DELETE_LEASE: &str = "/containerd.services.leases.v1.Leases/Delete";

/// The fields of `SolveRequest` that are read here.
#[derive(Clone, PartialEq, prost::Message)]
struct SolveRequest {
    #[prost(map = "string, string", tag = "4")]
    exporter: HashMap<String, String>,
    #[prost(string, tag = "5")]
    session: String,
}

/// The fields of `SolveResponse` that are used here.
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
    platform: Option<Platform>,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
    #[serde(default)]
    variant: String,
}

impl Platform {
    /// Such as `linux/arm/v7`.
    fn formatted(&self) -> String {
        let parts = [&self.os, &self.architecture, &self.variant];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.map(String::as_str).collect::<Vec<_>>().join("/")
    }
}

/// The layers of a manifest of attestations.
#[derive(Deserialize)]
struct Attestations {
    #[serde(default)]
    layers: Vec<Named>,
}

/// Handles the calls that the fork extends.
#[derive(Clone)]
pub(super) struct Fork {
    pub(super) sender: Sender,
    pub(super) recorder: Arc<Recorder>,
    pub(super) confused_left: Arc<AtomicU32>,
}

impl Fork {
    pub(super) async fn solve(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (head, body) = request.into_parts();
        let message = body.collect().await?.to_bytes();
        if takes_one(&self.confused_left) {
            // 2: unknown.
            let error = "failed to solve: inconsistent graph state in edge merge";
            return Ok(response(trailers(&[], "2", error)));
        }
        let solve = SolveRequest::decode(message.get(5..).unwrap_or_default()).unwrap_or_default();
        let request = Request::from_parts(head, full(message));
        let template = head_of(&request);
        let response = self.sender.clone().send_request(request).await?;
        let (head, body) = response.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned();
        let bytes = collected.to_bytes();
        let Some(message) = bytes.get(5..).filter(|_| bytes.first() == Some(&0)) else {
            return Ok(Response::from_parts(head, with_trailers(bytes, trailers)));
        };
        let solved = SolveResponse::decode(message).unwrap_or_default();
        let is_set =
            |name: &str, value: &str| solve.exporter.get(name).is_some_and(|set| set == value);
        let mut extensions = HashMap::new();
        let digest = solved.exporter.get("containerimage.digest");
        if let Some(digest) = digest
            && is_set("depot.export.image.version", "2")
        {
            let images = self.images(&template, digest).await?;
            let images = serde_json::Value::from(images).to_string();
            extensions.insert("depot/images.exported".into(), STANDARD.encode(images));
            let name = solve.exporter.get("name").cloned().unwrap_or_default();
            let sboms = self.sboms(&template, digest, &name).await?;
            if !sboms.is_empty() {
                let sboms = serde_json::Value::from(sboms).to_string();
                extensions.insert("depot/sboms".into(), STANDARD.encode(sboms));
            }
        }
        if is_set("depot.export.lease", "true") {
            let lease = solve.session;
            self.recorder.add_lease(&lease);
            extensions.insert("depot/session.id".into(), lease);
        }
        // Two concatenated messages are one message with the fields of both.
        let extensions = SolveResponse {
            exporter: extensions,
        };
        let message = framed(&[message, &extensions.encode_to_vec()].concat());
        Ok(Response::from_parts(head, with_trailers(message, trailers)))
    }

    /// Manifest and config of every image of `digest`, a manifest or an index; attestations too.
    async fn images(
        &self,
        template: &Request<()>,
        digest: &str,
    ) -> Result<Vec<serde_json::Value>, BoxError> {
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

    /// The SBOMs in the attestations of an index. `name` is the name of the image.
    async fn sboms(
        &self,
        template: &Request<()>,
        digest: &str,
        name: &str,
    ) -> Result<Vec<serde_json::Value>, BoxError> {
        let top = self.read(template, digest).await?;
        let Ok(index) = serde_json::from_slice::<Document>(&top) else {
            return Ok(Vec::new());
        };
        let mut sboms = Vec::new();
        for entry in &index.manifests {
            let Some(subject) = entry.annotations.get("vnd.docker.reference.digest") else {
                continue;
            };
            let mut images = index.manifests.iter();
            let image = images.find(|image| image.digest == *subject);
            let platform = image.and_then(|image| image.platform.as_ref());
            let manifest = self.read(template, &entry.digest).await?;
            let Ok(manifest) = serde_json::from_slice::<Attestations>(&manifest) else {
                continue;
            };
            let layers = manifest.layers.iter().filter(|layer| {
                let kind = layer.annotations.get("in-toto.io/predicate-type");
                kind.is_some_and(|kind| kind == "https://spdx.dev/Document")
            });
            sboms.extend(layers.map(|layer| {
                json!({
                    "platform": platform.map(Platform::formatted),
                    "digest": layer.digest,
                    "image": { "name": name, "manifest_digest": subject },
                })
            }));
        }
        Ok(sboms)
    }

    /// Reads a small blob from the builder.
    async fn read(&self, template: &Request<()>, digest: &str) -> Result<Bytes, BoxError> {
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

    pub(super) async fn delete_lease(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Body>, BoxError> {
        let message = request.into_body().collect().await?.to_bytes();
        let delete =
            DeleteRequest::decode(message.get(5..).unwrap_or_default()).unwrap_or_default();
        let (code, error) = if self.recorder.delete_lease(&delete.id) {
            ("0", "")
        } else {
            ("5", "no such lease")
        };
        Ok(response(trailers(&framed(&[]), code, error)))
    }
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}

/// A copy of a request's head, as a template for other requests.
fn head_of(request: &Request<Body>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    head
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A gRPC message in its frame.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// A response body with a message and gRPC's status in the trailers.
pub(super) fn trailers(message: &[u8], code: &'static str, error: &str) -> Body {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    if let Ok(error) = HeaderValue::from_str(error) {
        trailers.insert("grpc-message", error);
    }
    with_trailers(Bytes::copy_from_slice(message), Some(trailers))
}

fn with_trailers(message: Bytes, trailers: Option<HeaderMap>) -> Body {
    let frames = [Some(Frame::data(message)), trailers.map(Frame::trailers)];
    let frames = frames.into_iter().flatten().map(Ok);
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}
