//! A port in front of an HTTP server: records the parts of every request and response, and can respond instead of the
//! server, for example as one that echoes its input. Both HTTP/1.1 and HTTP/2 are supported.
//!
//! Requests keep their `Host`, from which registries build the addresses in their responses.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};

use super::{Side, Traffic};
use crate::tasks::Tasks;

type BoxedResponse = Response<BoxBody<Bytes, hyper::Error>>;

/// A response instead of the server's.
#[derive(Clone, Copy, Debug)]
pub struct Instead {
    /// Selects the requests.
    pub applies_to: fn(&Parts) -> bool,
    /// Builds the response from the request and its body.
    pub answer: fn(&Parts, &[u8]) -> Response<Bytes>,
}

/// A port in front of a server. Dropping this closes it.
#[derive(Debug)]
pub struct HttpDoor {
    address: SocketAddr,
    server: Arc<OnceLock<String>>,
    tasks: Tasks,
}

impl HttpDoor {
    /// Opens a port. `part` is its name in the recording.
    ///
    /// # Errors
    /// If no port can be opened on loopback.
    pub async fn open(traffic: &Traffic, part: &str, instead: Option<Instead>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let tasks = Tasks::default();
        let door = Passage {
            traffic: traffic.clone(),
            part: part.to_owned(),
            server: Arc::default(),
            instead,
            tasks: tasks.clone(),
        };
        let server = Arc::clone(&door.server);
        tasks.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((socket, _)) => door.tasks.spawn(door.clone().connection(socket)),
                    // Most likely out of file descriptors.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        Ok(Self {
            address,
            server,
            tasks,
        })
    }

    /// Sets the server, a host and a port, once. Until then every request without a response of `instead` gets a 502.
    #[must_use]
    pub fn to(self, server: &str) -> Self {
        let _set_before = self.server.set(server.to_owned());
        self
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for HttpDoor {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

#[derive(Clone)]
struct Passage {
    traffic: Traffic,
    part: String,
    server: Arc<OnceLock<String>>,
    instead: Option<Instead>,
    tasks: Tasks,
}

impl Passage {
    async fn connection(self, socket: TcpStream) {
        let tasks = self.tasks.clone();
        let service = service_fn(move |request| {
            let door = self.clone();
            async move { Ok::<_, Infallible>(door.respond(request).await) }
        });
        let mut http = auto::Builder::new(tasks);
        http.http1().timer(TokioTimer::new());
        let served = http.serve_connection(TokioIo::new(socket), service).await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection through a door broke");
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> BoxedResponse {
        let (head, body) = request.into_parts();
        let (traffic, part) = (&self.traffic, self.part.as_str());
        let call = format!("{} {}", head.method, head.uri.path());
        let target = traffic.open(part, &call, "request target".to_owned());
        target.push(head.uri.to_string().as_bytes());
        traffic.headers(part, &call, Side::Request, "header", &head.headers);
        let body = traffic.body(part, &call, Side::Request, body);
        let instead = self.instead.filter(|instead| (instead.applies_to)(&head));
        let response = match instead {
            Some(instead) => {
                let body = body
                    .collect()
                    .await
                    .map(http_body_util::Collected::to_bytes);
                let response = (instead.answer)(&head, &body.unwrap_or_default());
                response.map(|body| Full::new(body).map_err(|never| match never {}).boxed())
            }
            None => {
                let response = self.forward(Request::from_parts(head, body.boxed())).await;
                response.map_or_else(
                    |_| unreachable_server(),
                    |response| response.map(BodyExt::boxed),
                )
            }
        };
        let (head, body) = response.into_parts();
        traffic.headers(part, &call, Side::Response, "header", &head.headers);
        let body = traffic.body(part, &call, Side::Response, body);
        Response::from_parts(head, BodyExt::boxed(body))
    }

    /// Uses a new connection for each request, so that requests do not affect each other.
    async fn forward(
        &self,
        request: Request<BoxBody<Bytes, hyper::Error>>,
    ) -> io::Result<Response<Incoming>> {
        let server = self.server.get().map(String::as_str).unwrap_or_default();
        let socket = TcpStream::connect(server).await?;
        socket.set_nodelay(true)?;
        let socket = TokioIo::new(socket);
        let broke = |error| tracing::debug!(%error, "a connection behind a door broke");
        if request.version() == Version::HTTP_2 {
            let http = client::conn::http2::Builder::new(self.tasks.clone());
            let (mut sender, connection) =
                http.handshake(socket).await.map_err(io::Error::other)?;
            self.tasks
                .spawn(async move { connection.await.unwrap_or_else(broke) });
            return sender.send_request(request).await.map_err(io::Error::other);
        }
        let (mut sender, connection) = client::conn::http1::handshake(socket)
            .await
            .map_err(io::Error::other)?;
        self.tasks
            .spawn(async move { connection.await.unwrap_or_else(broke) });
        sender.send_request(request).await.map_err(io::Error::other)
    }
}

fn unreachable_server() -> BoxedResponse {
    let body = Full::new(Bytes::new()).map_err(|never: Infallible| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
