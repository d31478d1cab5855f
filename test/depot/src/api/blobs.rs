//! Depot's blob service, which `depot push` uses: it copies a blob of a saved image to another registry.
//!
//! The host is `blob.depot.dev`. Each request is `POST /blobs/BUILD/DIGEST` with the user's token, and JSON with the target and
//! the authorization for it. The service is on the API's port, and is selected by the host of the request, so a test routes
//! `blob.depot.dev` there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use depot_ground::wire::send;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;

use super::Api;
use crate::connect::{self, ApiResponse};
use crate::record::{BlobRecord, TokenKind};

/// The name of the service.
const HOST: &str = "blob.depot.dev";

/// The largest blob; images of tests are far smaller.
const BLOB_LIMIT_BYTES: usize = 512 << 20;

/// The longest request, and the longest other response of a registry.
const TEXT_LIMIT_BYTES: usize = 1 << 20;

/// The body of a request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Target {
    registry_host: String,
    repository_namespace: String,
    registry_token: String,
    token_scheme: String,
}

/// A response other than success: the status, and a reason.
type Refusal = (StatusCode, String);

/// Whether a request is for this service.
pub(super) fn is_for<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(header::HOST);
    host.is_some_and(|host| host.as_bytes() == HOST.as_bytes())
}

/// Responds to one request.
pub(super) async fn exchange(api: &Api, request: Request<Incoming>) -> ApiResponse {
    let (status, message) = match copy(api, request).await {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(refusal) => refusal,
    };
    connect::response(
        status,
        HeaderValue::from_static("text/plain"),
        message.into(),
    )
}

async fn copy(api: &Api, request: Request<Incoming>) -> Result<(), Refusal> {
    let (head, body) = request.into_parts();
    let parts = head.uri.path().strip_prefix("/blobs/");
    let parts = parts.and_then(|path| path.split_once('/'));
    let Some((build_id, digest)) = parts.filter(|_| head.method == Method::POST) else {
        let request = format!("{} https://{HOST}{}", head.method, head.uri.path());
        api.recorder.unforeseen(request);
        return Err((StatusCode::NOT_FOUND, "no such path".into()));
    };
    if api.token_kind(head.headers.get(header::AUTHORIZATION)) != TokenKind::User {
        return Err((
            StatusCode::UNAUTHORIZED,
            "the user's token is needed".into(),
        ));
    }
    let bad = |problem: String| {
        api.recorder
            .unforeseen(format!("a request to https://{HOST}: {problem}"));
        (StatusCode::BAD_REQUEST, problem)
    };
    let body = Limited::new(body, TEXT_LIMIT_BYTES).collect().await;
    let body = body.map_err(|error| bad(error.to_string()))?.to_bytes();
    let target: Target = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    let copied = copy_blob(api, build_id, digest, &target).await;
    let status = copied
        .as_ref()
        .err()
        .map_or(StatusCode::OK, |(status, _)| *status);
    api.recorder.blob(BlobRecord {
        build_id: build_id.to_owned(),
        digest: digest.to_owned(),
        target: format!("{}/{}", target.registry_host, target.repository_namespace),
        scheme: target.token_scheme,
        status: status.as_u16(),
    });
    copied
}

/// Reads the blob from the registry of saved images and uploads it, unless the target has it.
async fn copy_blob(
    api: &Api,
    build_id: &str,
    digest: &str,
    target: &Target,
) -> Result<(), Refusal> {
    let saved = api
        .saved_image(build_id)
        .map_err(|error| (StatusCode::NOT_FOUND, error.message))?;
    let place = saved.reference.split_once('/').and_then(|(host, rest)| {
        let (repository, _tag) = rest.rsplit_once(':')?;
        Some((host, repository))
    });
    let (host, repository) = place.ok_or_else(|| failed("the reference has no tag"))?;
    let login = STANDARD.encode(format!("{}:{}", saved.username, saved.password));
    let source = Registry::new(api, host, &format!("Basic {login}"))?;
    let scheme = format!("{} {}", target.token_scheme, target.registry_token);
    let registry = Registry::new(api, &target.registry_host, &scheme)?;
    let blobs = format!("/v2/{}/blobs/", target.repository_namespace);
    let exists = registry
        .send(Method::HEAD, &format!("{blobs}{digest}"), Bytes::new())
        .await?;
    if exists.status() == StatusCode::OK {
        return Ok(());
    }
    let path = format!("/v2/{repository}/blobs/{digest}");
    let blob = source.send(Method::GET, &path, Bytes::new()).await?;
    let blob = expect(blob, StatusCode::OK)?.into_body();
    let begun = registry
        .send(Method::POST, &format!("{blobs}uploads/"), Bytes::new())
        .await?;
    let begun = expect(begun, StatusCode::ACCEPTED)?;
    let location = begun.headers().get(header::LOCATION);
    let location = location.and_then(|value| value.to_str().ok()?.parse::<Uri>().ok());
    let location = location.ok_or_else(|| failed("the upload has no address"))?;
    let separator = if location.query().is_some() { '&' } else { '?' };
    let path = location.path_and_query().map_or("/", |path| path.as_str());
    let path = format!("{path}{separator}digest={digest}");
    let put = registry.send(Method::PUT, &path, blob).await?;
    expect(put, StatusCode::CREATED).map(|_| ())
}

/// A registry on loopback, and the authorization for it.
struct Registry {
    address: String,
    authorization: HeaderValue,
}

impl Registry {
    fn new(api: &Api, host: &str, authorization: &str) -> Result<Self, Refusal> {
        let addresses = &api.scenario.addresses;
        let authorization = HeaderValue::try_from(authorization);
        Ok(Self {
            address: addresses.get(host).cloned().unwrap_or_else(|| host.into()),
            authorization: authorization.map_err(|_| failed("invalid authorization"))?,
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<http::Response<Bytes>, Refusal> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(body)
            .map_err(|error| failed(&error.to_string()))?;
        let sent = send(&self.address, request, BLOB_LIMIT_BYTES).await;
        sent.map_err(|error| failed(&format!("{}: {error}", self.address)))
    }
}

fn expect(
    response: http::Response<Bytes>,
    status: StatusCode,
) -> Result<http::Response<Bytes>, Refusal> {
    if response.status() == status {
        return Ok(response);
    }
    Err(failed(&format!(
        "the registry returned {}",
        response.status()
    )))
}

/// A failure of a registry. The status is below 500, because the CLI repeats requests after others.
fn failed(message: &str) -> Refusal {
    (StatusCode::FAILED_DEPENDENCY, message.to_owned())
}
