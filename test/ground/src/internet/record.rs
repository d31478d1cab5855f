//! What was asked of hosts on the internet.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, header};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The host that it was for.
    pub host: String,
    /// Its method.
    pub method: Method,
    /// Its path, without query.
    pub path: String,
    /// What the body is said to be; empty without any.
    pub media_type: String,
    /// The scheme of its authorization, such as `Basic`; empty without any.
    pub scheme: String,
    /// The user of basic authentication; the password is kept nowhere.
    pub user: Option<String>,
    /// What was answered; absent while it goes on and where the connection was cut.
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
