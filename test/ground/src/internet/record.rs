//! The record of requests to hosts on the internet.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, header};

/// A received request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The host.
    pub host: String,
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The media type of the body; empty if absent.
    pub media_type: String,
    /// The scheme of the authorization, such as `Basic`; empty if absent.
    pub scheme: String,
    /// The user of basic authentication; the password is not stored.
    pub user: Option<String>,
    /// The status of the response; `None` until there is one, and if the connection was cut.
    pub status: Option<u16>,
}

impl Seen {
    pub(super) fn new(host: &str, method: &Method, path: &str, headers: &HeaderMap) -> Self {
        let text = |name: header::HeaderName| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let authorization = text(header::AUTHORIZATION);
        let (scheme, rest) = authorization.split_once(' ').unwrap_or_default();
        let user = (scheme == "Basic").then(|| {
            let decoded = STANDARD.decode(rest).unwrap_or_default();
            let login = String::from_utf8_lossy(&decoded).into_owned();
            login.split(':').next().unwrap_or_default().to_owned()
        });
        Self {
            host: host.to_owned(),
            method: method.clone(),
            path: path.to_owned(),
            media_type: text(header::CONTENT_TYPE),
            scheme: scheme.to_owned(),
            user,
            status: None,
        }
    }
}
