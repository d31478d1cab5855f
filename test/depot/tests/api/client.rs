//! A client that does just what it is told, over HTTP/1.1 or HTTP/2.

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

/// Long enough for a machine under load; nothing waits for it to pass.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answered {
    pub(crate) fn message<M: Message + Default>(&self) -> M {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        M::decode(self.body.clone()).unwrap()
    }

    /// Connect's code, from an error's JSON.
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

pub(crate) async fn stand_in(scenario: Scenario) -> LocalDepot {
    LocalDepot::start(Arc::new(NoBuilder), scenario)
        .await
        .unwrap()
}

pub(crate) async fn stand_in_on(builder: impl Builder, scenario: Scenario) -> LocalDepot {
    LocalDepot::start(Arc::new(builder), scenario)
        .await
        .unwrap()
}

/// Sends one request on a connection of its own. An error is one of the connection.
pub(crate) async fn send(
    depot: &LocalDepot,
    version: Version,
    request: Request<Full<Bytes>>,
) -> Result<Answered, hyper::Error> {
    let address = depot.api_url().strip_prefix("http://").unwrap();
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let answered = async |answer: http::Response<hyper::body::Incoming>| {
        let (head, body) = answer.into_parts();
        Ok(Answered {
            status: head.status,
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    };
    // The connection is driven by this very future, so that nothing outlives it.
    let exchange = async {
        if version == Version::HTTP_2 {
            let (mut sender, connection) =
                conn::http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::select! {
                biased;
                answer = async { answered(sender.send_request(request).await?).await } => answer,
                Err(error) = connection => Err(error),
            }
        } else {
            let (mut sender, connection) = conn::http1::handshake(stream).await?;
            tokio::select! {
                biased;
                answer = async { answered(sender.send_request(request).await?).await } => answer,
                Err(error) = connection => Err(error),
            }
        }
    };
    tokio::time::timeout(LIMIT, exchange)
        .await
        .unwrap_or_else(|_| panic!("no answer; seen: {:#?}", depot.record()))
}

/// A request as the CLI would send it.
pub(crate) fn request(
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
) -> Answered {
    send(
        depot,
        Version::HTTP_2,
        request(depot, method, token, message.encode_to_vec()),
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

/// Asks for a machine once.
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
    let answer = call(
        depot,
        Method::GetBuildKitConnection,
        &build.build_token,
        &request,
    )
    .await;
    answer
        .message::<GetBuildKitConnectionResponse>()
        .connection
        .unwrap()
}

/// Creates a build and asks for a machine, which has to be ready.
pub(crate) async fn machine(depot: &LocalDepot, architecture: Architecture) -> ActiveConnection {
    match connection(depot, &create_build(depot).await, architecture).await {
        Connection::Active(active) => active,
        Connection::Pending(pending) => panic!("{pending:?}"),
    }
}
