//! One call of a registry: sent, let in, redirected, read.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use super::error::{ClientError, Trouble};
use super::{Client, MANIFEST_LIMIT_BYTES};
use crate::http::body::{self, BodyError};
use crate::http::retry::{Attempts, Policy, Transient};
use crate::registry::address::is_here;
use crate::registry::guard::Refused;
use crate::registry::retry::is_out_of_order;

/// One exchange with a registry, body included.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(30);

/// The limits for all attempts. Generous: when manifests are pushed, the rest of the build is done.
const POLICY: Policy = Policy {
    retries: 3,
    total: Duration::from_mins(2),
    pauses: (Duration::from_millis(500), Duration::from_secs(10)),
};

/// How much of a refusal is read.
const WORDS_LIMIT_BYTES: usize = 64 << 10;

/// Places that one call may be sent on to.
const REDIRECTS_LIMIT: usize = 3;

/// What is asked of a registry.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) host: &'a str,
    pub(super) repository: &'a str,
    /// `manifests` or `blobs`.
    pub(super) kind: &'static str,
    pub(super) reference: &'a str,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

/// What a registry answered, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// It is another place's, to which the registry sent us on.
    pub(super) is_foreign: bool,
    /// Where it came from.
    pub(super) url: Option<Url>,
    /// What was sent to be let in, which words of a refusal may repeat.
    pub(super) sent: Option<HeaderValue>,
}

impl Answer {
    /// A header's text; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

impl<'a> Call<'a> {
    pub(super) fn new(
        method: Method,
        host: &'a str,
        repository: &'a str,
        reference: &'a str,
    ) -> Self {
        Self {
            method,
            host,
            repository,
            kind: "manifests",
            reference,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn is_push(&self) -> bool {
        self.method != Method::GET
    }

    pub(super) fn error(&self, trouble: Trouble) -> ClientError {
        ClientError::new(self, trouble)
    }
}

impl Client {
    /// One call, repeated while that may help, until the registry has said yes or no.
    pub(super) async fn exchange(&self, call: &Call<'_>) -> Result<Answer, ClientError> {
        self.attempts(call).await.0
    }

    /// The same; also returns whether the call was repeated.
    pub(super) async fn attempts(&self, call: &Call<'_>) -> (Result<Answer, ClientError>, bool) {
        let attempt = || async {
            let answer = self.let_in(call).await;
            let failure = match &answer {
                Ok(answer) if is_out_of_order(answer.status) => Some((
                    format!("HTTP {}", answer.status.as_u16()),
                    answer.header("retry-after").to_owned(),
                )),
                Err(error) if error.is_transient() => Some((error.cause_line(), String::new())),
                _ => None,
            };
            let transient = failure.map(|(reason, retry_after)| Transient {
                message: format!("the request to `{}` failed ({reason})", call.host),
                retry_after,
            });
            (answer, transient)
        };
        let attempts = Attempts::new(POLICY);
        let answer = attempts.run(attempt).await;
        (answer, attempts.has_retried())
    }

    /// One call, with the access that let us in before, or that the registry now asks for.
    pub(super) async fn let_in(&self, call: &Call<'_>) -> Result<Answer, ClientError> {
        let known = self.known_access(call);
        let answer = self.send(call, known.as_ref()).await?;
        // What another place wants to be let in with is not what this registry wants.
        if answer.status != StatusCode::UNAUTHORIZED || answer.is_foreign {
            return Ok(answer);
        }
        // None yet, or it has ended.
        let Some(access) = self.new_access(call, &answer, known.as_ref()).await? else {
            return Ok(answer);
        };
        let answer = self.send(call, Some(&access)).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            self.remember(call, access);
        }
        Ok(answer)
    }

    /// Sends a call to where its registry is, and on to where that sends it.
    async fn send(
        &self,
        call: &Call<'_>,
        access: Option<&HeaderValue>,
    ) -> Result<Answer, ClientError> {
        let attempt = |place: Url| async move { self.send_to(call, &place, access).await };
        let asked = self
            .tokens
            .reach
            .ask(call.host, attempt, Trouble::is_connect);
        let nowhere = || Err(Trouble::Malformed("its name is not a host".into()));
        let answer = asked.await.unwrap_or_else(nowhere);
        answer.map_err(|trouble| call.error(trouble))
    }

    async fn send_to(
        &self,
        call: &Call<'_>,
        place: &Url,
        access: Option<&HeaderValue>,
    ) -> Result<Answer, Trouble> {
        let path = format!("{}/{}/{}", call.repository, call.kind, call.reference);
        let origin = place
            .join(&path)
            .map_err(|_| Trouble::Malformed("its name is not a host".into()))?;
        let mut url = origin.clone();
        for _ in 0..=REDIRECTS_LIMIT {
            let mut request = self
                .tokens
                .reach
                .named_by(call.host, &url, true)
                .request(call.method.clone(), url.clone())
                .timeout(CALL_LIMIT)
                .body(call.body.clone());
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            // Nobody else gets what lets us in here.
            let sent = access.filter(|_| url.origin() == origin.origin());
            if let Some(access) = sent {
                request = request.header(AUTHORIZATION, access);
            }
            let response = match crate::http::trace::send(request).await {
                Ok(response) => response,
                Err(error) if Refused::is_cause_of(&error) => {
                    let to = url.host_str().unwrap_or_default().to_owned();
                    return Err(Trouble::Redirected { to });
                }
                Err(error) => return Err(Trouble::transport(error)),
            };
            let Some(next) = redirection(&response, &url) else {
                let is_foreign = url.origin() != origin.origin();
                let mut answer = read(response, is_foreign).await?;
                answer.sent = sent.cloned();
                answer.url = Some(url);
                return Ok(answer);
            };
            let to = next.host_str().unwrap_or_default().to_owned();
            if call.is_push() {
                return Err(Trouble::Redirected { to });
            }
            // Nor is anything of this machine asked on behalf of a registry elsewhere.
            let is_unsafe = url.scheme() == "https" && next.scheme() != "https";
            if is_unsafe || (is_here(&next) && !is_here(&origin)) {
                return Err(Trouble::Redirected { to });
            }
            url = next;
        }
        Err(Trouble::Malformed(format!(
            "it redirects more than {REDIRECTS_LIMIT} times"
        )))
    }
}

/// Where an answer sends us on to.
fn redirection(response: &Response, from: &Url) -> Option<Url> {
    if !response.status().is_redirection() {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let next = from.join(location).ok()?;
    matches!(next.scheme(), "http" | "https").then_some(next)
}

/// Reads an answer to its end, which may not lie beyond what a manifest can have.
///
/// Of a refusal the status counts: its words may be cut.
pub(super) async fn read(mut response: Response, is_foreign: bool) -> Result<Answer, Trouble> {
    let body = if response.status().is_success() {
        let body = body::read(&mut response, MANIFEST_LIMIT_BYTES).await;
        body.map_err(|error| match error {
            BodyError::TooLarge => {
                Trouble::Malformed(format!("more than {MANIFEST_LIMIT_BYTES} bytes"))
            }
            BodyError::Broken(source) => Trouble::transport(source),
        })?
    } else {
        body::read_start(&mut response, WORDS_LIMIT_BYTES).await
    };
    Ok(Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body,
        is_foreign,
        url: None,
        sent: None,
    })
}
