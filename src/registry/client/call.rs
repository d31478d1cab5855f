//! One call to a registry: retries, authentication, redirects, and reading the response.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue, LOCATION};
use reqwest::{Response, StatusCode};
use url::Url;

use super::error::{Cause, ClientError};
use super::request::{Call, Reply};
use super::{Client, MAX_MANIFEST_BYTES};
use crate::http::body::{self, BodyError};
use crate::http::retry::{Attempts, Policy, Transient};
use crate::registry::address::is_local_address;
use crate::registry::guard::ForbiddenAddress;
use crate::registry::transient::is_unavailable;

/// The limit for one exchange, body included.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(30);

/// The limits for all attempts. Generous: when manifests are pushed, the rest of the build is done.
const POLICY: Policy = Policy {
    retries: 3,
    total: Duration::from_mins(2),
    pauses: (Duration::from_millis(500), Duration::from_secs(10)),
};

/// How much of an error response is read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// The number of redirects of one call that are followed.
const MAX_REDIRECTS: usize = 3;

impl Client {
    /// Makes a call, retried after transient failures.
    pub(super) async fn exchange(&self, call: &Call<'_>) -> Result<Reply, ClientError> {
        self.attempts(call).await.0
    }

    /// The same; also returns whether the call was repeated.
    pub(super) async fn attempts(&self, call: &Call<'_>) -> (Result<Reply, ClientError>, bool) {
        let attempt = || async {
            let outcome = self.authenticated(call).await;
            let failure = match &outcome {
                Ok(reply) if is_unavailable(reply.status) => Some((
                    format!("HTTP {}", reply.status.as_u16()),
                    reply.header("retry-after").to_owned(),
                )),
                Err(error) if error.is_transient() => Some((error.cause_line(), String::new())),
                _ => None,
            };
            let transient = failure.map(|(reason, retry_after)| Transient {
                message: format!("the request to `{}` failed ({reason})", call.host),
                retry_after,
            });
            (outcome, transient)
        };
        let attempts = Attempts::new(POLICY);
        let outcome = attempts.run(attempt).await;
        (outcome, attempts.has_retried())
    }

    /// Makes one attempt with the cached authorization, and if that is missing or expired, with a new one.
    pub(super) async fn authenticated(&self, call: &Call<'_>) -> Result<Reply, ClientError> {
        let cached = self.cached_authorization(call);
        let reply = self.send(call, cached.as_ref()).await?;
        // The challenge of another host is not for this registry's login.
        if reply.status != StatusCode::UNAUTHORIZED || reply.is_foreign {
            return Ok(reply);
        }
        let value = self
            .new_authorization(call, &reply, cached.as_ref())
            .await?;
        let Some(value) = value else {
            return Ok(reply);
        };
        let reply = self.send(call, Some(&value)).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            self.cache_authorization(call, value);
        }
        Ok(reply)
    }

    /// Sends a call to the registry, and follows its redirects.
    async fn send(
        &self,
        call: &Call<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Reply, ClientError> {
        let attempt = |base: Url| async move { self.send_to(call, &base, authorization).await };
        let sent = self
            .tokens
            .reach
            .try_addresses(call.host, attempt, Cause::is_connect);
        let outcome = sent.await.unwrap_or_else(|| Err(Cause::invalid_host()));
        outcome.map_err(|cause| ClientError::new(call, cause))
    }

    async fn send_to(
        &self,
        call: &Call<'_>,
        base: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Reply, Cause> {
        let origin = base.join(&call.path()).map_err(|_| Cause::invalid_host())?;
        let mut url = origin.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self
                .tokens
                .reach
                .client_for_target(call.host, &url, true)
                .request(call.method.clone(), url.clone())
                .body(call.body.clone());
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            // Other hosts do not get the authorization.
            let authorization = authorization.filter(|_| url.origin() == origin.origin());
            if let Some(value) = authorization {
                request = request.header(AUTHORIZATION, value);
            }
            let sending = crate::http::trace::send(request);
            let sent = tokio::time::timeout(CALL_LIMIT, sending).await;
            let response = match sent.map_err(|_| Cause::Stalled)? {
                Ok(response) => response,
                Err(error) if ForbiddenAddress::is_cause_of(&error) => {
                    let to = url.host_str().unwrap_or_default().to_owned();
                    return Err(Cause::Redirected { to });
                }
                Err(error) => return Err(Cause::transport(error)),
            };
            let Some(next) = redirect_target(&response, &url) else {
                let is_foreign = url.origin() != origin.origin();
                let is_streamed = call.is_stream && response.status().is_success();
                let mut reply = if is_streamed {
                    streamed(response, is_foreign)
                } else {
                    let reading = read(response, is_foreign);
                    let read = tokio::time::timeout(CALL_LIMIT, reading).await;
                    read.map_err(|_| Cause::Stalled)??
                };
                reply.authorization = authorization.cloned();
                reply.url = Some(url);
                return Ok(reply);
            };
            let to = next.host_str().unwrap_or_default().to_owned();
            if !call.is_read() {
                return Err(Cause::Redirected { to });
            }
            // A registry elsewhere cannot cause requests to this machine.
            let is_unsafe = url.scheme() == "https" && next.scheme() != "https";
            if is_unsafe || (is_local_address(&next) && !is_local_address(&origin)) {
                return Err(Cause::Redirected { to });
            }
            url = next;
        }
        Err(Cause::Malformed(format!(
            "it redirects more than {MAX_REDIRECTS} times"
        )))
    }
}

/// The target of a redirect.
fn redirect_target(response: &Response, from: &Url) -> Option<Url> {
    if !response.status().is_redirection() {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let next = from.join(location).ok()?;
    matches!(next.scheme(), "http" | "https").then_some(next)
}

/// Reads a response. A success is limited to the size of a manifest. Of an error the status matters; its message may be
/// incomplete.
pub(super) async fn read(mut response: Response, is_foreign: bool) -> Result<Reply, Cause> {
    let body = if response.status().is_success() {
        let body = body::read(&mut response, MAX_MANIFEST_BYTES).await;
        body.map_err(|error| match error {
            BodyError::TooLarge => Cause::Malformed(format!(
                "the response is longer than {MAX_MANIFEST_BYTES} bytes"
            )),
            BodyError::Broken(source) => Cause::transport(source),
        })?
    } else {
        body::read_start(&mut response, MAX_ERROR_BYTES).await
    };
    Ok(Reply {
        status: response.status(),
        headers: response.headers().clone(),
        body,
        is_foreign,
        url: None,
        authorization: None,
        stream: None,
    })
}

/// A success whose body follows.
fn streamed(response: Response, is_foreign: bool) -> Reply {
    Reply {
        status: response.status(),
        headers: response.headers().clone(),
        body: Bytes::new(),
        is_foreign,
        url: None,
        authorization: None,
        stream: Some(response),
    }
}
