//! The ports that clients see: the registry's, with a recorder in front of it, and the token server's.
//!
//! The registry itself stands behind, on a port that nobody is told of. What passes keeps its `Host`, from which the
//! registry makes the addresses in its answers, so that clients stay on this side.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, client, server, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::{
    record::{Authorization, RegistryRequest},
    server::TokenServer,
};
use crate::tasks::Tasks;

/// Where tokens are given out, on either port.
pub(super) const TOKEN_PATH: &str = "/token";

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// What one port leads to.
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

    /// Serves tokens, and the registry at `upstream` if there is one, with tasks of `tasks`.
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
            async move { Ok::<_, Infallible>(front.answer(request).await) }
        });
        let served = server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(socket), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to a registry with tokens broke");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        if path == TOKEN_PATH {
            return boxed(self.tokens.answer(request).await);
        }
        let (true, Some(upstream)) = (path.starts_with("/v2/"), self.upstream) else {
            return plain(StatusCode::NOT_FOUND);
        };
        let agent = request.headers().get(header::USER_AGENT);
        let place = self.tokens.notes.registry_request(RegistryRequest {
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
            Ok(answer) => {
                let status = answer.status().as_u16();
                self.tokens.notes.registry_answered(place, status);
                answer.map(BodyExt::boxed)
            }
            Err(error) => {
                tracing::warn!(%error, "a registry with tokens does not answer");
                plain(StatusCode::BAD_GATEWAY)
            }
        }
    }

    /// Over a connection of its own: nothing of one request is left for the next.
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

fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = status;
    boxed(answer)
}

fn boxed(answer: Response<Full<Bytes>>) -> Answer {
    answer.map(|body| body.map_err(|never| match never {}).boxed())
}
