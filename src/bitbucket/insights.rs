//! Code Insights: a report on the commit, with annotations at lines of files.
//!
//! Bitbucket runs an HTTP proxy for each step. It adds the authorization of the step to requests for Bitbucket's API, which are sent
//! without TLS (Bitbucket's "Code Insights"; REST API, "Reports"). So no login is needed, and none is sent.
//!
//! A report is replaced in three calls: `DELETE`, because a replaced report keeps its annotations, `PUT`, and `POST` for the annotations.

mod body;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use crate::http::body::read_start;
use crate::http::proxies::Proxies;

pub(crate) use body::{Annotation, Fact, MAX_DETAILS, MAX_LINE, Report, Severity};

/// The proxy of a step, as a pipe reaches it.
const PROXY: &str = "http://host.docker.internal:29418";

/// Bitbucket's API. The proxy adds TLS.
const API: &str = "http://api.bitbucket.org/2.0";

/// The limit for one call with its retry.
const CALL_LIMIT: Duration = Duration::from_secs(2);

/// The limit for all calls of a report.
const TOTAL_LIMIT: Duration = Duration::from_secs(5);

/// The pause before the retry of a call.
const PAUSE: Duration = Duration::from_millis(200);

/// The bytes that are read of an error.
const ERROR_BYTES: usize = 2048;

/// The characters of a path that are not encoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The commit that reports are about, and the way to Bitbucket's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Insights {
    workspace: String,
    repository: String,
    commit: String,
    proxy: String,
}

/// Why a report was not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InsightsError {
    /// The client cannot be set up.
    #[error("an HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
    /// No response.
    #[error("{method} of the report failed")]
    Call {
        method: Method,
        #[source]
        source: reqwest::Error,
    },
    /// Bitbucket rejected the call.
    #[error("Bitbucket responded to {method} of the report with {status}: {body}")]
    Rejected {
        method: Method,
        status: StatusCode,
        body: String,
    },
    /// One call, or all calls together, took too long.
    #[error("Bitbucket did not respond in time")]
    TimedOut,
}

impl Insights {
    /// Reports on a commit. `repository` is `workspace/repository`.
    ///
    /// `None` if it is not such a name, or if the commit is not hexadecimal.
    pub(crate) fn new(repository: &str, commit: &str) -> Option<Self> {
        let (workspace, repository) = repository.split_once('/')?;
        let is_name = |name: &str| !name.is_empty() && !matches!(name, "." | "..");
        let is_commit = commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_name(workspace) && is_name(repository) && is_commit).then(|| Self {
            workspace: workspace.to_owned(),
            repository: repository.to_owned(),
            commit: commit.to_owned(),
            proxy: PROXY.to_owned(),
        })
    }

    /// Uses another proxy.
    #[cfg(test)]
    pub(crate) fn through(mut self, proxy: String) -> Self {
        self.proxy = proxy;
        self
    }

    /// Replaces the report with this id and its annotations. Takes at most five seconds.
    ///
    /// # Errors
    /// Bitbucket did not accept one of the calls.
    pub(crate) async fn publish(
        &self,
        tls: rustls::ClientConfig,
        report: &Report,
    ) -> Result<(), InsightsError> {
        let publishing = self.replace(tls, report);
        let published = tokio::time::timeout(TOTAL_LIMIT, publishing).await;
        published.unwrap_or(Err(InsightsError::TimedOut))
    }

    async fn replace(
        &self,
        tls: rustls::ClientConfig,
        report: &Report,
    ) -> Result<(), InsightsError> {
        let proxies = Proxies::new("", &self.proxy, "", "");
        let client = proxies.client(tls).build();
        let client = client.map_err(InsightsError::Client)?;
        let url = self.url(&report.id);
        match call(&client, Method::DELETE, &url, None).await {
            // There is no earlier report, or only its annotations remain.
            Ok(()) | Err(InsightsError::Rejected { .. }) => {}
            Err(error) => return Err(error),
        }
        call(&client, Method::PUT, &url, Some(report.body())).await?;
        if report.annotations.is_empty() {
            return Ok(());
        }
        let url = format!("{url}/annotations");
        call(&client, Method::POST, &url, Some(report.annotations_body())).await
    }

    fn url(&self, id: &str) -> String {
        let [workspace, repository, commit, id] =
            [&self.workspace, &self.repository, &self.commit, id]
                .map(|part| utf8_percent_encode(part, PLAIN).to_string());
        format!("{API}/repositories/{workspace}/{repository}/commit/{commit}/reports/{id}")
    }
}

/// Makes a call, and repeats it once if the failure may be transient.
async fn call(
    client: &Client,
    method: Method,
    url: &str,
    body: Option<Value>,
) -> Result<(), InsightsError> {
    let calling = async {
        let first = once(client, &method, url, body.as_ref()).await;
        match first {
            Err(error) if is_transient(&error) => {
                tokio::time::sleep(PAUSE).await;
                once(client, &method, url, body.as_ref()).await
            }
            ended => ended,
        }
    };
    let called = tokio::time::timeout(CALL_LIMIT, calling).await;
    called.unwrap_or(Err(InsightsError::TimedOut))
}

async fn once(
    client: &Client,
    method: &Method,
    url: &str,
    body: Option<&Value>,
) -> Result<(), InsightsError> {
    let mut request = client.request(method.clone(), url);
    if let Some(body) = body {
        request = request
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body.to_string());
    }
    let sent = request.send().await;
    let mut response = sent.map_err(|source| InsightsError::Call {
        method: method.clone(),
        source,
    })?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let body = read_start(&mut response, ERROR_BYTES).await;
    Err(InsightsError::Rejected {
        method: method.clone(),
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn is_transient(error: &InsightsError) -> bool {
    match error {
        InsightsError::Call { .. } => true,
        InsightsError::Rejected { status, .. } => {
            status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
        }
        InsightsError::Client(_) | InsightsError::TimedOut => false,
    }
}
