//! A request to a registry, and its response.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::http::header;
use crate::text::forms;

/// A request to a registry.
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
    /// The authorization must be valid for a push. Set also for reads of a repository that is pushed to, so that both need one
    /// token.
    pub(super) is_push: bool,
    /// The digest of a blob to mount, and the repository of the same registry that has it.
    pub(super) mount: Option<(&'a str, &'a str)>,
    /// The body of a success is not read: see [`Reply::stream`].
    pub(super) is_stream: bool,
}

/// A response of a registry.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// It is from another host, to which the registry redirected.
    pub(super) is_foreign: bool,
    /// The address that returned it.
    pub(super) url: Option<Url>,
    /// The `Authorization` of the request, which an error message may repeat.
    pub(super) authorization: Option<HeaderValue>,
    /// The success of a call with [`Call::is_stream`], whose body follows.
    pub(super) stream: Option<Response>,
}

impl Reply {
    /// A header's text; empty if it is missing.
    pub(super) fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
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
            is_push: !matches!(method, Method::GET | Method::HEAD),
            mount: None,
            is_stream: false,
            method,
            host,
            repository,
            kind: "manifests",
            reference,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// Whether the call changes nothing at the registry.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// The path below `/v2/`, with its query.
    pub(super) fn path(&self) -> String {
        let path = format!("{}/{}/{}", self.repository, self.kind, self.reference);
        match self.mount {
            Some((digest, from)) => format!("{path}?mount={digest}&from={from}"),
            None => path,
        }
    }

    /// The scopes of a token for the call.
    pub(super) fn scopes(&self) -> Vec<String> {
        let actions = if self.is_push { "pull,push" } else { "pull" };
        let own = format!("repository:{}:{actions}", self.repository);
        let mounted = self
            .mount
            .map(|(_, from)| format!("repository:{from}:pull"));
        std::iter::once(own).chain(mounted).collect()
    }
}

/// The forms in which an error message may repeat the authorization.
pub(super) fn authorization_forms(authorization: &HeaderValue) -> Vec<String> {
    let text = authorization.to_str().unwrap_or_default();
    let Some((scheme, credentials)) = text.split_once(' ') else {
        return Vec::new();
    };
    let login = (scheme == "Basic").then(|| STANDARD.decode(credentials).unwrap_or_default());
    let login = login.and_then(|login| String::from_utf8(login).ok());
    let password = login
        .as_deref()
        .and_then(|login| login.split_once(':'))
        .map(|(_, password)| password);
    let secrets = [Some(credentials), password].into_iter().flatten();
    secrets
        .flat_map(forms::to_mask)
        .filter(|form| !form.is_empty())
        .collect()
}
