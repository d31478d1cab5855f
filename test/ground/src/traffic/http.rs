//! A port in front of a server that speaks HTTP, of either version: keeps every request and every answer in their parts, and can answer in the server's
//! place, as a server would that repeats what it was sent.
//!
//! What passes keeps its `Host`, from which registries make the addresses in their answers.

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

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// What is answered in the server's place.
#[derive(Clone, Copy, Debug)]
pub struct Instead {
    /// To which requests.
    pub wants: fn(&Parts) -> bool,
    /// Made of the request and its body.
    pub answer: fn(&Parts, &[u8]) -> Response<Bytes>,
}

/// A port in front of a server. Dropping it closes it.
#[derive(Debug)]
pub struct HttpDoor {
    address: SocketAddr,
    server: Arc<OnceLock<String>>,
    tasks: Tasks,
}

impl HttpDoor {
    /// Opens a port. In the recording it is called `part`.
    ///
    /// # Errors
    /// When loopback has no port left.
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

    /// Leads to `server` from now on, a host and a port; once. Before that every request that is not answered here gets a 502.
    #[must_use]
    pub fn to(self, server: &str) -> Self {
        let _as_it_was = self.server.set(server.to_owned());
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
            async move { Ok::<_, Infallible>(door.answer(request).await) }
        });
        let mut http = auto::Builder::new(tasks);
        http.http1().timer(TokioTimer::new());
        let served = http.serve_connection(TokioIo::new(socket), service).await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection through a door broke");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let (traffic, part) = (&self.traffic, self.part.as_str());
        let call = format!("{} {}", head.method, head.uri.path());
        let target = traffic.open(part, &call, "request target".to_owned());
        target.push(head.uri.to_string().as_bytes());
        traffic.headers(part, &call, Side::Request, "header", &head.headers);
        let body = traffic.body(part, &call, Side::Request, body);
        let instead = self.instead.filter(|instead| (instead.wants)(&head));
        let answer = match instead {
            Some(instead) => {
                let body = body
                    .collect()
                    .await
                    .map(http_body_util::Collected::to_bytes);
                let answer = (instead.answer)(&head, &body.unwrap_or_default());
                answer.map(|body| Full::new(body).map_err(|never| match never {}).boxed())
            }
            None => {
                let sent = self.forward(Request::from_parts(head, body.boxed())).await;
                sent.map_or_else(
                    |_| unreachable_server(),
                    |answer| answer.map(BodyExt::boxed),
                )
            }
        };
        let (head, body) = answer.into_parts();
        traffic.headers(part, &call, Side::Response, "header", &head.headers);
        let body = traffic.body(part, &call, Side::Response, body);
        Response::from_parts(head, BodyExt::boxed(body))
    }

    /// Over a connection of its own: nothing of one request is left for the next.
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

fn unreachable_server() -> Answer {
    let body = Full::new(Bytes::new()).map_err(|never: Infallible| match never {});
    let mut answer = Response::new(body.boxed());
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}
