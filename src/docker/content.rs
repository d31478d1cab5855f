//! The blobs in a daemon's containerd store, queried one by one.
//!
//! The daemon's API has no call for this. But the daemon embeds BuildKit, which is reached by `POST /grpc` and an upgrade to HTTP/2
//! and serves containerd's content service for the image store (`containerd/api/services/content/v1`, `Content/Info`).

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
use crate::io::one_stream::Once;

/// The limit for all queries. On expiry the caller falls back to other information.
const LIMIT: Duration = Duration::from_secs(10);

/// Concurrent queries.
const MAX_CONCURRENT_QUERIES: usize = 32;

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

/// `Info`, reduced to the digest.
#[derive(Clone, PartialEq, prost::Message)]
struct Info {
    #[prost(string, tag = "1")]
    digest: String,
}

/// Those of `digests` that the store has; `None` if they cannot be queried.
pub(super) async fn held(
    connector: &Connector,
    digests: HashSet<String>,
) -> Option<HashSet<String>> {
    let querying = async {
        let channel = open(connector).await?;
        let found = stream::iter(digests)
            .map(|digest| has(channel.clone(), digest))
            .buffer_unordered(MAX_CONCURRENT_QUERIES)
            .filter_map(std::future::ready)
            .collect()
            .await;
        Ok::<_, io::Error>(found)
    };
    match tokio::time::timeout(LIMIT, querying).await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(error)) => {
            tracing::debug!("cannot query the blobs of the Docker daemon: {error}");
            None
        }
        Err(_) => {
            let limit = LIMIT.as_secs();
            tracing::debug!(
                "cannot query the blobs of the Docker daemon: no response within {limit} s"
            );
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
    let call = client.unary(tonic::Request::new(request), path, codec);
    let info = call.await.ok()?.into_inner().info?;
    (info.digest == digest).then_some(digest)
}

/// A channel to the daemon's embedded BuildKit.
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
        let response = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            return Err(io::Error::other(format!("it returned {status}")));
        }
        hyper::upgrade::on(response).await.map_err(io::Error::other)
    };
    // The connection must be driven until the upgrade. After a refusal it stays open and is dropped.
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
