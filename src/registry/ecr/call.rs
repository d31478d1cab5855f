//! Calls to Amazon's APIs: signing, retries, and errors.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use super::access::Keys;
use super::error::EcrError;
use super::host::EcrHost;
use super::xml;
use crate::http::body::{self, BodyError};
use crate::http::header;
use crate::http::retry::{Attempts, Policy, Transient};
use crate::text::cause::one_line;
use crate::text::cut::printable;

/// The limit for one exchange.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// The limits for all attempts: a build waits for the login.
const POLICY: Policy = Policy {
    retries: 3,
    total: Duration::from_secs(20),
    pauses: (Duration::from_millis(300), Duration::from_secs(5)),
};

/// The longest reply that is read: tokens have a few KiB.
const MAX_REPLY_BYTES: usize = 1 << 20;

/// How much of a message is shown, in characters. One of Amazon's messages repeats the whole request.
const MAX_MESSAGE_CHARS: usize = 300;

const JSON: &str = "application/x-amz-json-1.1";

/// A complete reply.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// The error code in a header; empty if absent.
    pub(crate) kind: String,
    pub(crate) body: String,
}

/// Makes one signed call to a registry's API. `http` must not follow redirects.
pub(super) async fn signed(
    http: &reqwest::Client,
    host: &EcrHost,
    endpoint: Option<&Url>,
    keys: &Keys,
    action: &'static str,
    body: &Value,
) -> Result<Value, EcrError> {
    let url = address(endpoint, &host.api(), action)?;
    let body = body.to_string();
    let target = format!("{}.{action}", host.target());
    let build = || {
        let headers = signature(host, &url, keys, &target, &body);
        let headers = headers.ok_or(EcrError::Unsigned { action })?;
        let mut request = http.post(url.clone()).header(CONTENT_TYPE, JSON);
        request = request.header("x-amz-target", &target);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Ok(request.body(body.clone()))
    };
    let reply = exchange_with_retries(action, &url, build).await?;
    serde_json::from_str(&reply.body).map_err(|_| EcrError::Malformed {
        action,
        problem: "it is not JSON".into(),
    })
}

/// The address of a call: Amazon's own, unless another one is configured.
pub(super) fn address(
    endpoint: Option<&Url>,
    own: &str,
    action: &'static str,
) -> Result<Url, EcrError> {
    endpoint
        .cloned()
        .or_else(|| Url::parse(own).ok())
        .ok_or_else(|| EcrError::Malformed {
            action,
            problem: "the region has no valid address".into(),
        })
}

/// The headers that sign a call, by Signature Version 4.
fn signature(
    host: &EcrHost,
    url: &Url,
    keys: &Keys,
    target: &str,
    body: &str,
) -> Option<Vec<(String, HeaderValue)>> {
    let session = keys.session.as_ref();
    let identity = Credentials::new(
        &keys.id,
        keys.secret.expose_secret(),
        session.map(|session| session.expose_secret().to_owned()),
        None,
        env!("CARGO_PKG_NAME"),
    )
    .into();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(host.region())
        .name(host.service())
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .ok()?
        .into();
    let headers = [("content-type", JSON), ("x-amz-target", target)];
    let request = SignableRequest::new(
        "POST",
        url.as_str(),
        headers.into_iter(),
        SignableBody::Bytes(body.as_bytes()),
    );
    let (instructions, _) = sign(request.ok()?, &parameters).ok()?.into_parts();
    let header = |(name, value): (&str, &str)| {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some((name.to_owned(), value))
    };
    instructions.headers().map(header).collect()
}

/// Makes a call, retried after transient failures. `build` creates the request for each attempt, because a signature
/// contains the time.
pub(super) async fn exchange_with_retries(
    action: &'static str,
    url: &Url,
    build: impl Fn() -> Result<RequestBuilder, EcrError>,
) -> Result<Reply, EcrError> {
    let attempt = || async {
        let outcome = match build() {
            Ok(request) => exchange(action, url, request).await,
            Err(error) => Err(error),
        };
        let outcome = match outcome {
            Ok(reply) if !reply.status.is_success() => Err(reply.rejection(action)),
            outcome => outcome,
        };
        let failure = outcome.as_ref().err().filter(|error| error.is_transient());
        let transient = failure.map(|error| Transient::without_response(one_line(error)));
        (outcome, transient)
    };
    Attempts::new(POLICY).run(attempt).await
}

/// Makes one attempt.
pub(super) async fn exchange(
    action: &'static str,
    url: &Url,
    request: RequestBuilder,
) -> Result<Reply, EcrError> {
    let transport = |source: reqwest::Error| EcrError::Transport {
        action,
        at: url.host_str().unwrap_or_default().to_owned(),
        source: source.without_url(),
    };
    let sent = crate::http::trace::send_without_path(request.timeout(CALL_LIMIT)).await;
    let mut response = sent.map_err(transport)?;
    let kind = header(response.headers(), "x-amzn-errortype").to_owned();
    let body = body::read(&mut response, MAX_REPLY_BYTES).await;
    let body = body.map_err(|error| match error {
        BodyError::TooLarge => EcrError::Malformed {
            action,
            problem: format!("it is longer than {MAX_REPLY_BYTES} bytes"),
        },
        BodyError::Broken(source) => transport(source),
    })?;
    Ok(Reply {
        status: response.status(),
        kind,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

impl Reply {
    /// The error in a reply: JSON from newer services, XML from older ones.
    pub(crate) fn rejection(&self, action: &'static str) -> EcrError {
        let json: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        let code = text("__type")
            .or_else(|| text("code"))
            .or_else(|| Some(self.kind.clone()).filter(|kind| !kind.is_empty()))
            .or_else(|| xml::text(&self.body, "Code"))
            .unwrap_or_default();
        // `com.amazonaws.ecr#AccessDeniedException`, and in headers `AccessDeniedException:http://…`.
        let code = code.rsplit('#').next().unwrap_or_default();
        let code = code.split(':').next().unwrap_or_default();
        let message = text("message")
            .or_else(|| text("Message"))
            .or_else(|| xml::text(&self.body, "Message"))
            // The rest repeats the request.
            .map(|message| {
                message
                    .split("The Canonical String")
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            })
            .map(|message| printable(message.trim(), MAX_MESSAGE_CHARS))
            .filter(|message| !message.is_empty());
        EcrError::Refused {
            action,
            status: self.status.as_u16(),
            code: printable(code, 100),
            message: message
                .map(|message| format!(": {message}"))
                .unwrap_or_default(),
        }
    }
}
