//! One HTTP/1.1 request over one connection, to probe a daemon or read a registry.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{self, Either};
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::address::Address;

/// How long a request may take, the response's body included.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// Sends `request` to `address` and returns the response with its whole body, which may have `limit` bytes.
///
/// Cancel safe: the connection is closed on every way out.
pub(crate) async fn send(
    address: &Address,
    request: Request<Bytes>,
    limit: usize,
) -> io::Result<Response<Bytes>> {
    send_within(REQUEST_LIMIT, address, request, limit).await
}

/// As [`send`], for a request that may take up to `time_limit`.
pub(crate) async fn send_within(
    time_limit: Duration,
    address: &Address,
    mut request: Request<Bytes>,
    limit: usize,
) -> io::Result<Response<Bytes>> {
    let host = match address {
        Address::Tcp(address) => HeaderValue::try_from(address).map_err(io::Error::other)?,
        Address::Unix(_) => HeaderValue::from_static("localhost"),
    };
    request.headers_mut().insert(header::HOST, host);
    request
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));

    let exchange = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(address.connect().await?))
            .await
            .map_err(io::Error::other)?;
        let response = async {
            let (head, mut body) = sender
                .send_request(request.map(Full::new))
                .await
                .map_err(io::Error::other)?
                .into_parts();
            let mut whole = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame.map_err(io::Error::other)?.into_data() else {
                    continue;
                };
                if whole.len() + data.len() > limit {
                    return Err(io::Error::other(format!(
                        "the response has more than {limit} bytes"
                    )));
                }
                whole.extend_from_slice(&data);
            }
            Ok(Response::from_parts(head, whole.freeze()))
        };
        // The connection must be polled for the response to arrive, and may end before the response has been read.
        match future::select(Box::pin(response), connection).await {
            Either::Left((response, _)) => response,
            Either::Right((Ok(()), response)) => response.await,
            Either::Right((Err(error), _)) => Err(io::Error::other(error)),
        }
    };
    tokio::time::timeout(time_limit, exchange)
        .await
        .unwrap_or_else(|late| Err(late.into()))
}
