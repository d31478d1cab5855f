//! What a daemon's containerd store has: asked of the store itself, blob by blob.
//!
//! The API has no call for it. But a daemon has a BuildKit inside, reached by `POST /grpc` and an upgrade to HTTP/2, and that serves
//! containerd's content service over the store that images are in (`containerd/api/services/content/v1`, `Content/Info`).

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::header::{CONNECTION, HOST, UPGRADE};
use http::uri::PathAndQuery;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::endpoint::Connector;
use crate::once::Once;

/// How long all of it may take. What is not known by then is sent.
const LIMIT: Duration = Duration::from_secs(10);

/// Blobs asked for at a time.
const AT_A_TIME: usize = 32;

/// `InfoRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct InfoRequest {
    #[prost(string, tag = "1")]
    digest: String,
}

/// `InfoResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct InfoResponse {
    #[prost(message, optional, tag = "1")]
    info: Option<Info>,
}

/// `Info`, as far as it matters here.
#[derive(Clone, PartialEq, prost::Message)]
struct Info {
    #[prost(string, tag = "1")]
    digest: String,
}

/// Those of `digests` that the store has; `None` if the daemon does not tell.
pub(super) async fn held(
    connector: &Connector,
    digests: HashSet<String>,
) -> Option<HashSet<String>> {
    let asking = async {
        let channel = open(connector).await?;
        let found = stream::iter(digests)
            .map(|digest| has(channel.clone(), digest))
            .buffer_unordered(AT_A_TIME)
            .filter_map(std::future::ready)
            .collect()
            .await;
        Ok::<_, io::Error>(found)
    };
    match tokio::time::timeout(LIMIT, asking).await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(error)) => {
            tracing::debug!("the Docker daemon does not tell which blobs it has: {error}");
            None
        }
        Err(_) => {
            let limit = LIMIT.as_secs();
            tracing::debug!("the Docker daemon did not tell within {limit} s which blobs it has");
            None
        }
    }
}

/// The digest, if the store has that blob.
async fn has(channel: Channel, digest: String) -> Option<String> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.ok()?;
    let path = PathAndQuery::from_static("/containerd.services.content.v1.Content/Info");
    let codec: ProstCodec<InfoRequest, InfoResponse> = ProstCodec::default();
    let request = InfoRequest {
        digest: digest.clone(),
    };
    let answer = client.unary(tonic::Request::new(request), path, codec);
    let told = answer.await.ok()?.into_inner().info?;
    (told.digest == digest).then_some(digest)
}

/// A channel to the BuildKit inside the daemon.
async fn open(connector: &Connector) -> io::Result<Channel> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(connector.connect().await?))
        .await
        .map_err(io::Error::other)?;
    let upgrading = async {
        let request = Request::post("/grpc")
            .header(HOST, "docker")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "h2c")
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = answer.status();
            return Err(io::Error::other(format!("it answered {status}")));
        }
        hyper::upgrade::on(answer).await.map_err(io::Error::other)
    };
    // The connection has to be driven until it is handed over. After a refusal it stays open, and is dropped.
    let mut upgrading = std::pin::pin!(upgrading);
    let upgraded = tokio::select! {
        upgraded = &mut upgrading => upgraded?,
        _ended = connection.with_upgrades() => upgrading.await?,
    };
    let stream: TokioIo<Upgraded> = TokioIo::new(upgraded);
    Endpoint::from_static("http://docker")
        .connect_with_connector(Once::new(stream))
        .await
        .map_err(io::Error::other)
}
