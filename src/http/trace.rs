//! The story on the wire, for `DEBUG`: which request went where, what came back, and how long it took.
//!
//! What could let somebody in is in headers, bodies, queries and the user part of addresses: none of these is told.

use std::time::Instant;

use reqwest::{RequestBuilder, Response};
use url::Url;

/// Sends a request, and tells of it.
pub(crate) async fn send(request: RequestBuilder) -> reqwest::Result<Response> {
    told(request, |url| {
        format!("{}{}", url.origin().ascii_serialization(), url.path())
    })
    .await
}

/// The same where the path itself may let somebody in, as that of a container's credentials.
pub(crate) async fn send_without_path(request: RequestBuilder) -> reqwest::Result<Response> {
    told(request, |url| url.origin().ascii_serialization()).await
}

async fn told(
    request: RequestBuilder,
    shown: impl Fn(&Url) -> String,
) -> reqwest::Result<Response> {
    let (client, request) = request.build_split();
    let request = request?;
    let line = format!("{} {}", request.method(), shown(request.url()));
    let begun = Instant::now();
    let answer = client.execute(request).await;
    let took = begun.elapsed().as_millis();
    match &answer {
        Ok(answer) => tracing::debug!("{line}: {} in {took} ms", answer.status().as_u16()),
        Err(error) => tracing::debug!(
            "{line}: nothing in {took} ms: {}",
            crate::text::cause::one_line(&WithoutUrl(error))
        ),
    }
    answer
}

/// An error whose words do not repeat the address, query and all.
#[derive(Debug)]
struct WithoutUrl<'a>(&'a reqwest::Error);

impl std::fmt::Display for WithoutUrl<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.0 {
            error if error.is_timeout() => "it took too long",
            error if error.is_connect() => "no connection",
            error if error.is_body() => "the body broke off",
            _ => "the exchange failed",
        };
        formatter.write_str(kind)
    }
}

impl std::error::Error for WithoutUrl<'_> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.0)
    }
}
