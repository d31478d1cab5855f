//! The proxy: `CONNECT`, TLS, and one request after another.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Collected, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{client, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::fault::{Planned, RegistryFault};
use super::record::Seen;
use super::{Route, World, lock};

/// The longest head of a `CONNECT`.
const HEAD_LIMIT_BYTES: u64 = 16 << 10;

/// The most requests that are recorded; all tests together send some thousands.
const SEEN_LIMIT: usize = 100_000;

/// How long a client may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

type BoxedResponse = Response<BoxBody<Bytes, hyper::Error>>;

/// Accepts connections until its task is stopped.
pub(super) async fn serve(listener: TcpListener, world: Arc<World>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let connection = Arc::clone(&world);
                world.tasks.spawn(async move {
                    if let Err(error) = connect(socket, connection).await {
                        tracing::debug!(%error, "a connection to the internet broke");
                    }
                });
            }
            // Most likely out of file descriptors.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Serves one tunnel as the requested host.
async fn connect(socket: TcpStream, world: Arc<World>) -> io::Result<()> {
    let accepted = tokio::time::timeout(CONNECT_LIMIT, accept(socket, &world)).await?;
    let Some((host, route, stream)) = accepted? else {
        return Ok(());
    };
    let service = service_fn(move |request| {
        let (world, host, route) = (Arc::clone(&world), host.clone(), route.clone());
        async move { respond(world, &host, &route, request).await }
    });
    let served = server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    served.map_err(io::Error::other)
}

/// Reads the requested host and performs the TLS handshake as that host; `None` if it has no route.
async fn accept(
    socket: TcpStream,
    world: &World,
) -> io::Result<Option<(String, Route, TlsStream<BufReader<TcpStream>>)>> {
    socket.set_nodelay(true)?;
    let mut socket = BufReader::new(socket);
    let mut head = String::new();
    let mut limited = (&mut socket).take(HEAD_LIMIT_BYTES);
    while !head.ends_with("\r\n\r\n") {
        if limited.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let host = head
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split_once(':'))
        .map_or_else(|| head.clone(), |(host, _)| host.to_owned());
    let route = lock(&world.routes).get(&host).cloned();
    let Some(route) = route else {
        lock(&world.nowhere).insert(host);
        socket.write_all(b"HTTP/1.1 502 Nowhere\r\n\r\n").await?;
        return Ok(None);
    };
    socket.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    let authority = if route.is_trusted {
        &world.trusted
    } else {
        &world.untrusted
    };
    let tls = TlsAcceptor::from(authority.server(&host)?);
    let stream = tls.accept(socket).await?;
    Ok(Some((host, route, stream)))
}

/// The error that ends a connection on purpose.
#[derive(Debug, thiserror::Error)]
#[error("cut as planned")]
struct Cut;

/// Records a request and responds to it, with the planned fault if one applies.
async fn respond(
    world: Arc<World>,
    host: &str,
    route: &Route,
    request: Request<Incoming>,
) -> Result<BoxedResponse, Cut> {
    let seen = Seen::new(
        host,
        request.method(),
        request.uri().path(),
        request.headers(),
    );
    let fault = take_fault(&world, &seen);
    let index = {
        let mut all = lock(&world.seen);
        if all.len() < SEEN_LIMIT {
            all.push(seen);
        }
        all.len() - 1
    };
    let response = match fault {
        Some(fault) => faulty(&world, host, route, request, fault).await?,
        None => forwarded(&world, host, route, request).await,
    };
    if let Some(seen) = lock(&world.seen).get_mut(index) {
        seen.status = Some(response.status().as_u16());
    }
    Ok(response)
}

/// The first planned fault that applies to a request, used up by one.
fn take_fault(world: &World, request: &Seen) -> Option<RegistryFault> {
    let mut faults = lock(&world.faults);
    let planned = faults.iter_mut().find(|fault| fault.applies_to(request))?;
    planned.times -= 1;
    Some(planned.fault.clone())
}

/// Responds to a request with a fault.
async fn faulty(
    world: &World,
    host: &str,
    route: &Route,
    mut request: Request<Incoming>,
    fault: RegistryFault,
) -> Result<BoxedResponse, Cut> {
    let response = match fault {
        RegistryFault::Answer(status, headers) => {
            let mut response = empty(status);
            for (name, value) in headers {
                if let Ok(value) = HeaderValue::try_from(value) {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
        RegistryFault::RefuseOci(status) => empty(status),
        RegistryFault::Refuse(status, json) => {
            let body = Full::new(Bytes::from_static(json.as_bytes()));
            let body = body.map_err(|never: Infallible| match never {});
            let mut response = empty(status).map(|_| body.boxed());
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert("content-type", json);
            response
        }
        RegistryFault::LoseAnswer => return lost(world, host, route, request).await,
        RegistryFault::CutAfter(limit) => {
            let mut read = 0;
            while let Some(Ok(frame)) = request.body_mut().frame().await {
                read += frame.data_ref().map_or(0, |data| data.len() as u64);
                if read >= limit {
                    break;
                }
            }
            return Err(Cut);
        }
        RegistryFault::CutAnswerAfter(limit) => {
            let path = request.uri().path().to_owned();
            let response = forwarded(world, host, route, request).await;
            if !response.status().is_success() {
                renew(world, host, &path, &RegistryFault::CutAnswerAfter(limit));
                return Ok(response);
            }
            cut_after(response, limit).await
        }
        RegistryFault::Delay(delay) => {
            tokio::time::sleep(delay).await;
            forwarded(world, host, route, request).await
        }
    };
    Ok(response)
}

/// Forwards a request and drops its response if that is a success. Other responses are passed on, and do not use the fault up.
async fn lost(
    world: &World,
    host: &str,
    route: &Route,
    request: Request<Incoming>,
) -> Result<BoxedResponse, Cut> {
    let path = request.uri().path().to_owned();
    let response = forwarded(world, host, route, request).await;
    if response.status().is_success() {
        // After the whole response the registry has finished its work.
        let _ended = response.into_body().collect().await;
        return Err(Cut);
    }
    // A challenge, for example: the response to be lost is yet to come.
    renew(world, host, &path, &RegistryFault::LoseAnswer);
    Ok(response)
}

/// Plans a fault once more, because a request did not use it up.
fn renew(world: &World, host: &str, path: &str, fault: &RegistryFault) {
    let mut faults = lock(&world.faults);
    let is_same = |planned: &&mut Planned| {
        planned.host == host
            && std::mem::discriminant(&planned.fault) == std::mem::discriminant(fault)
            && path.contains(planned.path_part)
    };
    if let Some(planned) = faults.iter_mut().find(is_same) {
        planned.times += 1;
    }
}

/// The response with a body that ends after this many bytes, although its header has a larger length. So the connection ends.
async fn cut_after(response: BoxedResponse, limit: usize) -> BoxedResponse {
    let (head, body) = response.into_parts();
    let whole = body.collect().await.map(Collected::to_bytes);
    let mut start = whole.unwrap_or_default();
    start.truncate(limit);
    let frame: Result<_, hyper::Error> = Ok(Frame::data(start));
    let body = StreamBody::new(futures_util::stream::iter([frame]));
    Response::from_parts(head, body.boxed())
}

async fn forwarded(
    world: &World,
    host: &str,
    route: &Route,
    request: Request<Incoming>,
) -> BoxedResponse {
    match forward(world, route, request).await {
        Ok(response) => response.map(BodyExt::boxed),
        Err(error) => {
            tracing::warn!(%error, host, "a registry of the test internet does not respond");
            empty(502)
        }
    }
}

/// Uses a new connection for each request, so that requests do not affect each other.
async fn forward(
    world: &World,
    route: &Route,
    mut request: Request<Incoming>,
) -> io::Result<Response<Incoming>> {
    // Registries build the addresses in their responses from this header and `Host`.
    let https = HeaderValue::from_static("https");
    request.headers_mut().insert("x-forwarded-proto", https);
    let socket = TcpStream::connect(&route.to).await?;
    socket.set_nodelay(true)?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .map_err(io::Error::other)?;
    world.tasks.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection behind the internet broke");
        }
    });
    sender.send_request(request).await.map_err(io::Error::other)
}

fn empty(status: u16) -> BoxedResponse {
    let body = Full::new(Bytes::new()).map_err(|never: Infallible| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
}
