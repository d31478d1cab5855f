//! A client for arbitrary requests, over HTTP/1.1 or HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use local_depot::messages::{
    ActiveConnection, BuildOptions, Connection, CreateBuildRequest, CreateBuildResponse,
    GetBuildKitConnectionRequest, GetBuildKitConnectionResponse,
};
use local_depot::{Architecture, Builder, LocalDepot, Method, NoBuilder, Scenario};
use prost::Message;
use tokio::net::TcpStream;

/// A limit for hanging tests; long enough for a machine under load.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A complete response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Response {
    pub(crate) fn message<M: Message + Default>(&self) -> M {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        M::decode(self.body.clone()).unwrap()
    }

    /// The code in the JSON of a Connect error.
    pub(crate) fn code(&self) -> String {
        let error: serde_json::Value =
            serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"));
        error
            .get("code")
            .and_then(serde_json::Value::as_str)
            .unwrap()
            .to_owned()
    }
}

pub(crate) async fn start(scenario: Scenario) -> LocalDepot {
    LocalDepot::start(Arc::new(NoBuilder), scenario)
        .await
        .unwrap()
}

pub(crate) async fn start_on(builder: impl Builder, scenario: Scenario) -> LocalDepot {
    LocalDepot::start(Arc::new(builder), scenario)
        .await
        .unwrap()
}

/// Sends one request over a new connection. Only errors of the connection are returned as errors.
pub(crate) async fn send(
    depot: &LocalDepot,
    version: Version,
    request: Request<Full<Bytes>>,
) -> Result<Response, hyper::Error> {
    let address = depot.api_url().strip_prefix("http://").unwrap();
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let read = async |response: http::Response<hyper::body::Incoming>| {
        let (head, body) = response.into_parts();
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    };
    // This future polls the connection, so that no task outlives it.
    let exchange = async {
        if version == Version::HTTP_2 {
            let (mut sender, connection) =
                conn::http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::select! {
                biased;
                response = async { read(sender.send_request(request).await?).await } => response,
                Err(error) = connection => Err(error),
            }
        } else {
            let (mut sender, connection) = conn::http1::handshake(stream).await?;
            tokio::select! {
                biased;
                response = async { read(sender.send_request(request).await?).await } => response,
                Err(error) = connection => Err(error),
            }
        }
    };
    tokio::time::timeout(LIMIT, exchange)
        .await
        .unwrap_or_else(|_| panic!("no response; the record: {:#?}", depot.record()))
}

/// A request as the CLI sends it.
pub(crate) fn http_request(
    depot: &LocalDepot,
    method: Method,
    token: &str,
    body: Vec<u8>,
) -> Request<Full<Bytes>> {
    let content_type = if method == Method::ReportStatusStream {
        "application/connect+proto"
    } else {
        "application/proto"
    };
    Request::post(format!("{}{}", depot.api_url(), method.path()))
        .header("content-type", content_type)
        .header("connect-protocol-version", "1")
        .header("authorization", format!("Bearer {token}"))
        .header("user-agent", "test/1.0")
        .body(Full::new(body.into()))
        .unwrap()
}

/// Calls `method` over HTTP/2, as the CLI does.
pub(crate) async fn call(
    depot: &LocalDepot,
    method: Method,
    token: &str,
    message: &impl Message,
) -> Response {
    send(
        depot,
        Version::HTTP_2,
        http_request(depot, method, token, message.encode_to_vec()),
    )
    .await
    .unwrap()
}

pub(crate) fn create_build_request(project: &str) -> CreateBuildRequest {
    let options = BuildOptions {
        command: 1,
        tags: vec!["image:tag".to_owned()],
        ..BuildOptions::default()
    };
    CreateBuildRequest {
        project_id: Some(project.to_owned()),
        options: vec![options],
        required_engine: None,
    }
}

pub(crate) async fn create_build(depot: &LocalDepot) -> CreateBuildResponse {
    call(
        depot,
        Method::CreateBuild,
        depot.token(),
        &create_build_request(depot.project_id()),
    )
    .await
    .message()
}

/// Requests a machine once.
pub(crate) async fn connection(
    depot: &LocalDepot,
    build: &CreateBuildResponse,
    architecture: Architecture,
) -> Connection {
    let platform = match architecture {
        Architecture::Amd64 => 1,
        Architecture::Arm64 => 2,
    };
    let request = GetBuildKitConnectionRequest {
        build_id: build.build_id.clone(),
        platform,
    };
    let response = call(
        depot,
        Method::GetBuildKitConnection,
        &build.build_token,
        &request,
    )
    .await;
    response
        .message::<GetBuildKitConnectionResponse>()
        .connection
        .unwrap()
}

/// Creates a build and requests a machine, which must be ready.
pub(crate) async fn machine(depot: &LocalDepot, architecture: Architecture) -> ActiveConnection {
    match connection(depot, &create_build(depot).await, architecture).await {
        Connection::Active(active) => active,
        Connection::Pending(pending) => panic!("{pending:?}"),
    }
}
