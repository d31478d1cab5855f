//! Parts that all HTTP clients of the program share: proxies, trusted authorities, retries, bounded bodies, values that
//! are requested once, and the log of requests.
//!
//! Each caller decides what it sends where, and which failures are transient.

pub(crate) mod body;
pub(crate) mod proxies;
pub(crate) mod retry;
pub(crate) mod roots;
pub(crate) mod single_flight;
pub(crate) mod trace;
pub(crate) mod tunnel;
pub(crate) mod zones;

use reqwest::header::{AsHeaderName, HeaderMap};

/// `host:port`, for requests and messages. `host` is a name or an address; an IPv6 address without brackets.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The text of a header; empty if it is missing or not visible ASCII.
pub(crate) fn header(headers: &HeaderMap, name: impl AsHeaderName) -> &str {
    let value = headers.get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_header_without_text_is_empty() {
        let mut headers = HeaderMap::new();
        headers.insert("one", HeaderValue::from_static("1"));
        headers.insert("odd", HeaderValue::from_bytes(b"\xff").unwrap());
        let texts = ["one", "odd", "none"].map(|name| header(&headers, name));
        assert_eq!(texts, ["1", "", ""]);
    }

    #[test]
    fn an_ipv6_address_is_in_brackets_before_a_port() {
        for (host, expected) in [
            ("a.example", "a.example:1"),
            ("10.1.2.3", "10.1.2.3:1"),
            ("::1", "[::1]:1"),
        ] {
            assert_eq!(authority(host, 1), expected);
        }
    }
}
