//! Depot's API over the Connect protocol: unary calls and the one client stream.
//!
//! A unary call is one HTTP POST with one encoded message in each direction. The protocol is small
//! enough for this file, and the crates for it add a second protobuf runtime. `http://` addresses use
//! HTTP/2 with prior knowledge and no proxy, like the released CLI, so that a local Depot can be used;
//! `https://` addresses use the proxy if one is configured.
//!
//! Every unary call is bounded: its duration by its [`Call`], its response by [`MAX_RESPONSE_BYTES`].
//! The client stream lasts as long as the build.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use prost::Message;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::http::body::{self, BodyError};
use crate::http::header;
use crate::http::proxies::Proxies;
use crate::text::cause::one_line;
use crate::text::cut::cut;

use super::error::{ApiError, Code};
use super::retry::Call;
use crate::http::retry::{Attempts, Retry, Transient};

/// The limit for connecting to the API.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The largest response that is read. The largest known, `CreateBuild`'s, has a few KiB.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// How much of a server's error message is shown.
const MAX_MESSAGE_CHARS: usize = 2000;

/// How much of a page that is not Depot's is read, and shown.
const EXCERPT_BYTES: usize = 400;
const EXCERPT_CHARS: usize = 120;

/// The flag of a stream's last envelope, whose message is JSON.
const END_OF_STREAM: u8 = 0b10;

/// A client of Depot's API. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: Url,
}

impl Api {
    /// Creates a client for the API at `base`, without connecting.
    ///
    /// # Errors
    /// The TLS configuration cannot be used.
    pub(crate) fn new(
        base: Url,
        tls: rustls::ClientConfig,
        proxies: &Proxies,
    ) -> Result<Self, reqwest::Error> {
        let user_agent = format!(
            "depot-build/{}/{}/{}/ci",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                other => other,
            }
        );
        let builder = proxies
            .client(tls)
            .user_agent(user_agent)
            .connect_timeout(CONNECT_LIMIT)
            // Health reports are sent every few seconds. A connection that a middlebox dropped must be
            // detected before the next report waits for it.
            .http2_keep_alive_interval(Duration::from_secs(15))
            .http2_keep_alive_timeout(Duration::from_secs(10));
        let builder = if base.scheme() == "http" {
            builder.http2_prior_knowledge().no_proxy()
        } else {
            builder
        };
        Ok(Self {
            http: builder.build()?,
            base,
        })
    }

    /// The address for messages: scheme, host and port.
    #[must_use]
    pub(crate) fn address(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// Makes a unary call, retried after transient failures within the limits of `call`.
    ///
    /// Cancel safe: dropping the future cancels the call.
    pub(crate) async fn unary<Request, Response>(
        &self,
        call: Call,
        token: &SecretString,
        request: &Request,
    ) -> Result<Response, ApiError>
    where
        Request: Message,
        Response: Message + Default,
    {
        let never = std::future::pending();
        self.unary_until(call, token, request, never).await
    }

    /// Like [`Self::unary`], but no attempt starts once `stopped` is ready. A running attempt is completed.
    pub(crate) async fn unary_until<Request, Response>(
        &self,
        call: Call,
        token: &SecretString,
        request: &Request,
        stopped: impl Future<Output = ()>,
    ) -> Result<Response, ApiError>
    where
        Request: Message,
        Response: Message + Default,
    {
        let attempts = Attempts::new(call.policy);
        let body = Bytes::from(request.encode_to_vec());
        let attempt = || async {
            let limit = call.once.min(attempts.left());
            let mut retry_after = String::new();
            let outcome = self.once(call.method, token, body.clone(), limit, &mut retry_after);
            let outcome = outcome.await;
            let failure = outcome.as_ref().err().filter(|error| error.is_transient());
            let transient = failure.map(|error| Transient {
                message: one_line(error),
                retry_after,
            });
            (outcome, transient)
        };
        let log = |retry: &Retry| {
            tracing::warn!("{retry} ({} of {})", retry.number, call.policy.retries);
        };
        attempts.run_until(stopped, attempt, log).await
    }

    /// Makes one attempt. `retry_after` receives the value of the header `Retry-After`, or stays empty.
    async fn once<Response: Message + Default>(
        &self,
        method: &'static str,
        token: &SecretString,
        body: Bytes,
        limit: Duration,
        retry_after: &mut String,
    ) -> Result<Response, ApiError> {
        let exchange = async {
            let request = self.post(method, token, "application/proto").body(body);
            let response = crate::http::trace::send(request)
                .await
                .map_err(|source| self.transport(method, source))?;
            let status = response.status();
            let content_type = header(response.headers(), CONTENT_TYPE).to_owned();
            header(response.headers(), RETRY_AFTER).clone_into(retry_after);
            let body = self.read_bounded(method, response).await?;
            if !status.is_success() {
                return Err(refusal(method, status.as_u16(), &body));
            }
            // A login page or a proxy's own page can also have status 200.
            if media_type(&content_type) != "application/proto" {
                return Err(foreign(method, status.as_u16(), &body));
            }
            Response::decode(body).map_err(|source| ApiError::Malformed { method, source })
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ApiError::TooSlow {
                method,
                address: self.address(),
                limit,
            }),
        }
    }

    /// Sends `messages` on a client stream and reads the single response, which has no content.
    ///
    /// The call ends when `messages` end. It is not retried.
    pub(crate) async fn client_stream<Request: Message>(
        &self,
        method: &'static str,
        token: &SecretString,
        messages: impl Stream<Item = Request> + Send + 'static,
    ) -> Result<(), ApiError> {
        let body = messages.map(|message| Ok::<_, std::convert::Infallible>(envelope(&message)));
        let request = self
            .post(method, token, "application/connect+proto")
            .body(reqwest::Body::wrap_stream(body));
        let response = crate::http::trace::send(request)
            .await
            .map_err(|source| self.transport(method, source))?;
        let status = response.status().as_u16();
        let content_type = header(response.headers(), CONTENT_TYPE);
        let is_stream = media_type(content_type) == "application/connect+proto";
        let body = self.read_bounded(method, response).await?;
        if status != 200 {
            return Err(refusal(method, status, &body));
        }
        if !is_stream {
            return Err(foreign(method, status, &body));
        }
        stream_refusal(method, body).map_or(Ok(()), Err)
    }

    fn post(
        &self,
        method: &'static str,
        token: &SecretString,
        content_type: &'static str,
    ) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(["depot.cli.v1.BuildService", method]);
        }
        let request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, content_type)
            .header("Connect-Protocol-Version", "1");
        match HeaderValue::try_from(format!("Bearer {}", token.expose_secret())) {
            Ok(mut value) => {
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
            // Such a token was rejected when the variables were read. Without one the API reports
            // that it is missing.
            Err(_) => request,
        }
    }

    async fn read_bounded(
        &self,
        method: &'static str,
        mut response: reqwest::Response,
    ) -> Result<Bytes, ApiError> {
        let body = body::read(&mut response, MAX_RESPONSE_BYTES).await;
        body.map_err(|error| match error {
            BodyError::TooLarge => ApiError::TooLarge {
                method,
                limit: MAX_RESPONSE_BYTES,
            },
            BodyError::Broken(source) => self.transport(method, source),
        })
    }

    fn transport(&self, method: &'static str, source: reqwest::Error) -> ApiError {
        ApiError::Transport {
            method,
            address: self.address(),
            // The message of this error names the address; the source would repeat it with the path.
            source: source.without_url(),
        }
    }
}

/// A `Content-Type` without parameters, in lower case.
fn media_type(content_type: &str) -> String {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

/// An error of the Connect protocol, without its details.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The last message of a stream.
#[derive(Deserialize)]
struct EndOfStream {
    error: Option<ErrorBody>,
}

/// The error in the response to a client stream, if any.
pub(crate) fn stream_refusal(method: &'static str, body: Bytes) -> Option<ApiError> {
    let error = stream_error(body)?;
    Some(ApiError::Refused {
        method,
        code: Code::parse(&error.code),
        message: shorten(&error.message),
    })
}

pub(crate) fn refusal(method: &'static str, status: u16, body: &[u8]) -> ApiError {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(error) => ApiError::Refused {
            method,
            code: if error.code.is_empty() {
                Code::from_http(status)
            } else {
                Code::parse(&error.code)
            },
            message: shorten(&error.message),
        },
        Err(_) => foreign(method, status, body),
    }
}

pub(crate) fn foreign(method: &'static str, status: u16, body: &[u8]) -> ApiError {
    let text = String::from_utf8_lossy(body.get(..EXCERPT_BYTES).unwrap_or(body));
    let visible: Vec<&str> = text.split_whitespace().collect();
    let visible = visible.join(" ");
    // In a page that was cut, the last word may be half a token, which would not be masked.
    let limit = if body.len() > EXCERPT_BYTES {
        EXCERPT_CHARS.min(visible.chars().count().saturating_sub(1))
    } else {
        EXCERPT_CHARS
    };
    let begin = cut(&visible, limit);
    ApiError::Foreign {
        method,
        status,
        excerpt: if begin.is_empty() {
            String::new()
        } else {
            format!(" and a page that starts with `{}`", printable(begin))
        },
    }
}

fn shorten(message: &str) -> String {
    printable(cut(message, MAX_MESSAGE_CHARS))
}

/// Replaces control characters, which could rewrite the log.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' => '\n',
            other if other.is_control() => ' ',
            other => other,
        })
        .collect()
}

/// Wraps a message in an envelope: one byte of flags, four bytes of length, the message.
fn envelope(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(5 + length);
    bytes.put_u8(0);
    // Status messages have a few KiB; none reaches 4 GiB.
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes.freeze()
}

/// The error in a stream's last envelope, if any. A truncated envelope is ignored: the response has no
/// content that is needed.
fn stream_error(mut body: Bytes) -> Option<ErrorBody> {
    while body.len() >= 5 {
        let flags = body.get_u8();
        let length = usize::try_from(body.get_u32()).unwrap_or(usize::MAX);
        if length > body.len() {
            return None;
        }
        let message = body.split_to(length);
        if flags & END_OF_STREAM != 0 {
            return serde_json::from_slice::<EndOfStream>(&message).ok()?.error;
        }
    }
    None
}

#[cfg(test)]
mod tests;
