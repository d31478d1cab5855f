//! The proxy: `CONNECT`, TLS, and one request after the other.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
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

/// The longest head of a `CONNECT` that is read.
const HEAD_LIMIT_BYTES: u64 = 16 << 10;

/// Requests that are remembered; those of all tests together are some thousands.
const SEEN_LIMIT: usize = 100_000;

/// How long a client may take until it is connected.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// Takes connections until its task is ended.
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

/// Is the host that a tunnel is wanted to.
async fn connect(socket: TcpStream, world: Arc<World>) -> io::Result<()> {
    let accepted = tokio::time::timeout(CONNECT_LIMIT, accept(socket, &world)).await?;
    let Some((host, route, stream)) = accepted? else {
        return Ok(());
    };
    let service = service_fn(move |request| {
        let (world, host, route) = (Arc::clone(&world), host.clone(), route.clone());
        async move { answer(world, &host, &route, request).await }
    });
    let served = server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    served.map_err(io::Error::other)
}

/// Reads for which host a tunnel is wanted, and greets the client as that host; `None` where it leads nowhere.
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
        &world.known
    } else {
        &world.unknown
    };
    let tls = TlsAcceptor::from(authority.server(&host)?);
    let stream = tls.accept(socket).await?;
    Ok(Some((host, route, stream)))
}

/// What a connection that is to be cut ends with.
#[derive(Debug, thiserror::Error)]
#[error("cut as planned")]
struct Cut;

async fn answer(
    world: Arc<World>,
    host: &str,
    route: &Route,
    mut request: Request<Incoming>,
) -> Result<Answer, Cut> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let seen = Seen::new(host, &method, &path, request.headers());
    let media_type = seen.media_type.clone();
    let place = {
        let mut all = lock(&world.seen);
        if all.len() < SEEN_LIMIT {
            all.push(seen);
        }
        all.len() - 1
    };
    let fault = {
        let mut faults = lock(&world.faults);
        let planned = faults
            .iter_mut()
            .find(|fault| fault.fits(host, &method, &path, &media_type));
        planned.map(|planned| {
            planned.times -= 1;
            planned.fault.clone()
        })
    };
    let answer = match fault {
        Some(RegistryFault::Answer(status, headers)) => {
            let mut answer = plain(status);
            for (name, value) in headers {
                if let Ok(value) = HeaderValue::try_from(value) {
                    answer.headers_mut().insert(name, value);
                }
            }
            answer
        }
        Some(RegistryFault::RefuseOci(status)) => plain(status),
        Some(RegistryFault::Refuse(status, json)) => {
            let body = Full::new(Bytes::from_static(json.as_bytes()));
            let body = body.map_err(|never: Infallible| match never {});
            let mut answer = plain(status).map(|_| body.boxed());
            let json = HeaderValue::from_static("application/json");
            answer.headers_mut().insert("content-type", json);
            answer
        }
        Some(RegistryFault::LoseAnswer) => {
            let answer = passed_on(&world, host, route, request).await;
            if answer.status().is_success() {
                // Once the answer is whole, the registry is done.
                let _ended = answer.into_body().collect().await;
                return Err(Cut);
            }
            // Such as a challenge: the answer that counts is yet to come.
            let mut faults = lock(&world.faults);
            let met = |fault: &&mut Planned| {
                fault.host == host
                    && matches!(fault.fault, RegistryFault::LoseAnswer)
                    && path.contains(fault.path_part)
            };
            if let Some(planned) = faults.iter_mut().find(met) {
                planned.times += 1;
            }
            answer
        }
        Some(RegistryFault::CutAfter(limit)) => {
            let mut read = 0;
            while let Some(Ok(frame)) = request.body_mut().frame().await {
                read += frame.data_ref().map_or(0, |data| data.len() as u64);
                if read >= limit {
                    break;
                }
            }
            return Err(Cut);
        }
        Some(RegistryFault::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            passed_on(&world, host, route, request).await
        }
        None => passed_on(&world, host, route, request).await,
    };
    if let Some(seen) = lock(&world.seen).get_mut(place) {
        seen.status = Some(answer.status().as_u16());
    }
    Ok(answer)
}

async fn passed_on(world: &World, host: &str, route: &Route, request: Request<Incoming>) -> Answer {
    match forward(world, route, request).await {
        Ok(answer) => answer.map(BodyExt::boxed),
        Err(error) => {
            tracing::warn!(%error, host, "a registry on the internet does not answer");
            plain(502)
        }
    }
}

/// Over a connection of its own: nothing of one request is left for the next.
async fn forward(
    world: &World,
    route: &Route,
    mut request: Request<Incoming>,
) -> io::Result<Response<Incoming>> {
    // Registries make the addresses in their answers of these two.
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

fn plain(status: u16) -> Answer {
    let body = Full::new(Bytes::new()).map_err(|never: Infallible| match never {});
    let mut answer = Response::new(body.boxed());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    answer
}
