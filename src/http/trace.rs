//! The log of requests for `DEBUG`: method, address, status and duration.
//!
//! Headers, bodies, queries and the user part of addresses can hold credentials, so none of them is logged.

use std::time::Instant;

use reqwest::{RequestBuilder, Response};
use url::Url;

use crate::text::cause::one_line;

/// Sends a request and logs the exchange.
pub(crate) async fn send(request: RequestBuilder) -> reqwest::Result<Response> {
    send_logged(request, |url| {
        format!("{}{}", url.origin().ascii_serialization(), url.path())
    })
    .await
}

/// The same without the path, which can be a credential, such as the path to a container's keys.
pub(crate) async fn send_without_path(request: RequestBuilder) -> reqwest::Result<Response> {
    send_logged(request, |url| url.origin().ascii_serialization()).await
}

async fn send_logged(
    request: RequestBuilder,
    shown: impl Fn(&Url) -> String,
) -> reqwest::Result<Response> {
    let (client, request) = request.build_split();
    let request = request?;
    let line = format!("{} {}", request.method(), shown(request.url()));
    let begun = Instant::now();
    let outcome = client.execute(request).await;
    let millis = begun.elapsed().as_millis();
    match &outcome {
        Ok(response) => tracing::debug!("{line}: {} in {millis} ms", response.status().as_u16()),
        Err(error) => {
            let reason = one_line(&WithoutUrl(error));
            tracing::debug!("{line}: no response after {millis} ms: {reason}");
        }
    }
    outcome
}

/// An error whose message omits the address and its query.
#[derive(Debug)]
struct WithoutUrl<'a>(&'a reqwest::Error);

impl std::fmt::Display for WithoutUrl<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.0 {
            error if error.is_timeout() => "timed out",
            error if error.is_connect() => "cannot connect",
            error if error.is_body() => "the body was interrupted",
            _ => "the request failed",
        };
        formatter.write_str(kind)
    }
}

impl std::error::Error for WithoutUrl<'_> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.0)
    }
}
