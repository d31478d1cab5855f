//! The ports that clients see: the registry's, with a recorder in front of it, and the token server's.
//!
//! The registry itself listens on a port that clients do not learn: requests keep their `Host`, from which the registry
//! builds the addresses in its responses.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{client, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::record::{Authorization, RegistryRequest};
use super::server::TokenServer;
use crate::tasks::Tasks;

/// The path of the token server, on either port.
pub(super) const TOKEN_PATH: &str = "/token";

type BoxedResponse = Response<BoxBody<Bytes, hyper::Error>>;

/// An open port.
#[derive(Debug)]
pub(super) struct Port {
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Port {
    /// Opens a port on loopback. Clients that connect wait until it is served.
    pub(super) async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Serves tokens, and the registry at `upstream` if set, with tasks of `tasks`.
    pub(super) fn serve(
        self,
        tokens: &Arc<TokenServer>,
        upstream: Option<SocketAddr>,
        tasks: &Tasks,
    ) {
        let front = Front {
            tokens: Arc::clone(tokens),
            upstream,
            tasks: tasks.clone(),
        };
        let connections = tasks.clone();
        tasks.spawn(async move {
            loop {
                match self.listener.accept().await {
                    Ok((socket, _)) => connections.spawn(front.clone().connection(socket)),
                    // Most likely out of file descriptors.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
    }
}

#[derive(Clone)]
struct Front {
    tokens: Arc<TokenServer>,
    upstream: Option<SocketAddr>,
    tasks: Tasks,
}

impl Front {
    async fn connection(self, socket: TcpStream) {
        let service = service_fn(move |request| {
            let front = self.clone();
            async move { Ok::<_, Infallible>(front.respond(request).await) }
        });
        let served = server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(socket), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to a registry with tokens broke");
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> BoxedResponse {
        let path = request.uri().path().to_owned();
        if path == TOKEN_PATH {
            return boxed(self.tokens.respond(request).await);
        }
        let (true, Some(upstream)) = (path.starts_with("/v2/"), self.upstream) else {
            return plain(StatusCode::NOT_FOUND);
        };
        let agent = request.headers().get(header::USER_AGENT);
        let index = self.tokens.recorder.registry_request(RegistryRequest {
            method: request.method().clone(),
            path,
            authorization: Authorization::of(request.headers()),
            user_agent: agent
                .and_then(|agent| agent.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            status: None,
        });
        match self.forward(upstream, request).await {
            Ok(response) => {
                let status = response.status().as_u16();
                self.tokens.recorder.registry_status(index, status);
                response.map(BodyExt::boxed)
            }
            Err(error) => {
                tracing::warn!(%error, "a registry with tokens does not respond");
                plain(StatusCode::BAD_GATEWAY)
            }
        }
    }

    /// Uses a new connection for each request, so that requests do not affect each other.
    async fn forward(
        &self,
        upstream: SocketAddr,
        request: Request<Incoming>,
    ) -> io::Result<Response<Incoming>> {
        let socket = TcpStream::connect(upstream).await?;
        socket.set_nodelay(true)?;
        let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .map_err(io::Error::other)?;
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection behind a registry with tokens broke");
            }
        });
        sender.send_request(request).await.map_err(io::Error::other)
    }
}

fn plain(status: StatusCode) -> BoxedResponse {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    boxed(response)
}

fn boxed(response: Response<Full<Bytes>>) -> BoxedResponse {
    response.map(|body| body.map_err(|never| match never {}).boxed())
}
