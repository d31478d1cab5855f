//! The replies of token servers: a token and its lifetime, or a message.
//!
//! Nothing in a reply is trusted. Its length is limited, invalid numbers and times are treated as absent, and its
//! message is shown on one line, without the password, which it may repeat.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::Token;
use crate::http::body::{self, BodyError};
use crate::registry::credentials::Credential;
use crate::text::cut::printable;
use crate::text::forms;

/// The longest reply that is read: tokens have a few KiB.
pub(super) const MAX_REPLY_BYTES: usize = 1 << 20;

/// The longest token that is used: most servers reject headers of more than 8 to 64 KiB.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// The lifetime of a token without `expires_in`, in seconds, by the distribution specification.
const DEFAULT_LIFETIME_SECONDS: u64 = 60;

/// The longest lifetime, in seconds. Builders convert it to nanoseconds, which would overflow.
const MAX_LIFETIME_SECONDS: u64 = 24 * 60 * 60;

/// The longest message of a token server that is shown, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// A complete reply.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

#[derive(Deserialize)]
struct Fields {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
    expires_in: Option<Value>,
    issued_at: Option<Value>,
}

impl Reply {
    pub(super) async fn read(mut response: Response) -> Result<Self, BodyError> {
        Ok(Self {
            status: response.status(),
            body: body::read(&mut response, MAX_REPLY_BYTES).await?,
        })
    }

    /// The token, or why there is none.
    pub(crate) fn token(&self, now: SystemTime) -> Result<Token, String> {
        if self.status.is_redirection() {
            // The request may contain a password, which would be sent to an unknown host.
            return Err(format!(
                "HTTP {}, and redirects are not followed",
                self.status.as_u16()
            ));
        }
        if !self.status.is_success() {
            return Err(format!("HTTP {}", self.status.as_u16()));
        }
        let fields: Fields =
            serde_json::from_slice(&self.body).map_err(|_| "the reply is not a token in JSON")?;
        let token = [fields.token, fields.access_token]
            .into_iter()
            .flatten()
            .find(|token| !token.expose_secret().is_empty())
            .ok_or("the reply has no token")?;
        if token.expose_secret().len() > MAX_TOKEN_BYTES {
            return Err(format!(
                "the token is longer than {} KiB",
                MAX_TOKEN_BYTES >> 10
            ));
        }
        if !token
            .expose_secret()
            .bytes()
            .all(|byte| byte.is_ascii_graphic())
        {
            return Err("the token contains characters that are not allowed in a header".into());
        }
        let expires_in = fields.expires_in.as_ref().and_then(whole_number);
        let expires_in = match expires_in {
            None | Some(0) => DEFAULT_LIFETIME_SECONDS,
            Some(seconds) => seconds.min(MAX_LIFETIME_SECONDS),
        };
        let issued_at = fields.issued_at.as_ref().and_then(Value::as_str);
        Ok(Token {
            value: token,
            expires_in,
            issued_at: issued_at.and_then(|text| issue(text, expires_in, now)),
        })
    }

    /// Whether this is `OAuth2`'s error for wrong credentials (RFC 6749, section 5.2).
    pub(crate) fn is_invalid_grant(&self) -> bool {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        body.is_some_and(|body| {
            body.get("error")
                .is_some_and(|code| code == "invalid_grant")
        })
    }

    /// The message of the token server, without the credential, which it may repeat. Empty if there is none.
    pub(crate) fn message(&self, credential: Option<&Credential>) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let mut text = match serde_json::from_slice::<Value>(&self.body) {
            Ok(body) => message_in(&body).unwrap_or(&text).to_owned(),
            // A web page.
            Err(_) if text.trim_start().starts_with('<') => String::new(),
            Err(_) => text.into_owned(),
        };
        for form in credential.into_iter().flat_map(forms_of) {
            text = text.replace(&form, "***");
        }
        printable(text.trim(), MAX_MESSAGE_CHARS)
    }
}

/// The message in an error, at the places that registries use.
fn message_in(body: &Value) -> Option<&str> {
    const POINTERS: [&str; 6] = [
        "/errors/0/message",
        "/error_description",
        "/message",
        "/details",
        "/detail",
        "/error",
    ];
    let mut found = POINTERS.iter().filter_map(|pointer| body.pointer(pointer));
    found.find_map(|text| text.as_str().filter(|text| !text.is_empty()))
}

/// The forms in which a message may repeat a password.
fn forms_of(credential: &Credential) -> Vec<String> {
    let password = credential.password().expose_secret();
    if password.is_empty() {
        return Vec::new();
    }
    let basic = STANDARD.encode(format!("{}:{password}", credential.username()));
    let forms = forms::to_mask(password).into_iter();
    std::iter::once(basic).chain(forms).collect()
}

fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The time at which a token was issued, in seconds since 1970.
///
/// `None`, which means now, if the token server's clock differs so much that the token would be expired or not yet
/// valid: builders never renew such a token.
fn issue(text: &str, lifetime_seconds: u64, now: SystemTime) -> Option<i64> {
    let issued = humantime::parse_rfc3339(text).ok()?;
    let age = now.duration_since(issued).ok()?;
    if age >= Duration::from_secs(lifetime_seconds) {
        return None;
    }
    let since_epoch = issued.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: &str) -> Reply {
        Reply {
            status: StatusCode::OK,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_hours(500_000)
    }

    #[test]
    fn a_token_is_found_under_either_name() {
        for body in [
            r#"{"token":"t"}"#,
            r#"{"access_token":"t"}"#,
            r#"{"token":"t","access_token":"t","scope":"x","refresh_token":"r"}"#,
            r#"{"token":"","access_token":"t"}"#,
            r#"{"token":null,"access_token":"t"}"#,
        ] {
            let token = reply(body).token(now()).unwrap();
            assert_eq!(token.value.expose_secret(), "t", "{body}");
        }
    }

    #[test]
    fn a_reply_without_a_token_is_an_error() {
        for (body, problem) in [
            ("", "not a token in JSON"),
            ("<html>", "not a token in JSON"),
            ("[]", "not a token in JSON"),
            (r#"{"token":7}"#, "not a token in JSON"),
            (r#"{"token":["t"]}"#, "not a token in JSON"),
            ("{}", "has no token"),
            (r#"{"token":""}"#, "has no token"),
            (r#"{"Token":"t"}"#, "has no token"),
            (r#"{"token":"a\r\nb"}"#, "not allowed in a header"),
            (r#"{"token":"a b"}"#, "not allowed in a header"),
            (r#"{"token":"ä"}"#, "not allowed in a header"),
        ] {
            let error = reply(body).token(now()).unwrap_err();
            assert!(error.contains(problem), "{body}: {error}");
        }
    }

    #[test]
    fn a_token_that_no_request_could_hold_is_rejected() {
        for (bytes, is_rejected) in [(MAX_TOKEN_BYTES, false), (MAX_TOKEN_BYTES + 1, true)] {
            let body = format!(r#"{{"token":"{}"}}"#, "t".repeat(bytes));
            let outcome = reply(&body).token(now());
            let error = outcome.err().unwrap_or_default();
            assert_eq!(
                error,
                if is_rejected {
                    "the token is longer than 64 KiB"
                } else {
                    ""
                }
            );
        }
    }

    #[test]
    fn the_lifetime_of_a_token_is_a_minute_by_default_and_a_day_at_most() {
        for (field, seconds) in [
            ("", 60),
            (r#","expires_in":null"#, 60),
            (r#","expires_in":0"#, 60),
            (r#","expires_in":-5"#, 60),
            (r#","expires_in":"soon""#, 60),
            (r#","expires_in":1e300"#, 60),
            (r#","expires_in":30"#, 30),
            (r#","expires_in":300"#, 300),
            (r#","expires_in":"300""#, 300),
            (r#","expires_in":43200"#, 43_200),
            (r#","expires_in":9223372036854775807"#, 86_400),
            (r#","expires_in":18446744073709551615"#, 86_400),
        ] {
            let token = reply(&format!(r#"{{"token":"t"{field}}}"#)).token(now());
            assert_eq!(token.unwrap().expires_in, seconds, "{field}");
        }
    }

    #[test]
    fn a_beginning_counts_where_it_makes_sense() {
        let time = |seconds_ago: u64| {
            let time = now() - Duration::from_secs(seconds_ago);
            format!("\"{}\"", humantime::format_rfc3339_nanos(time))
        };
        let begun = 1_800_000_000_i64;
        for (value, issued_at) in [
            (time(0), Some(begun)),
            (time(100), Some(begun - 100)),
            (time(299), Some(begun - 299)),
            (time(300), None),
            (time(3_000_000), None),
            (r#""2099-01-01T00:00:00Z""#.into(), None),
            (r#""0001-01-01T00:00:00Z""#.into(), None),
            (r#""1960-01-01T00:00:00Z""#.into(), None),
            (r#""yesterday""#.into(), None),
            (r#""""#.into(), None),
            ("7".into(), None),
            ("null".into(), None),
        ] {
            let body = format!(r#"{{"token":"t","expires_in":300,"issued_at":{value}}}"#);
            let token = reply(&body).token(now()).unwrap();
            assert_eq!(token.issued_at, issued_at, "{value}");
        }
    }

    #[test]
    fn the_message_of_an_error_is_shown_without_the_credential() {
        let credential = Credential::new("a.example", "me".into(), "s3/cret\"".into());
        let basic = STANDARD.encode("me:s3/cret\"");
        for (body, shown) in [
            (
                r#"{"errors":[{"code":"UNAUTHORIZED","message":"no such user"}]}"#.to_owned(),
                "no such user",
            ),
            (
                r#"{"details":"incorrect username or password"}"#.into(),
                "incorrect username or password",
            ),
            (
                r#"{"error":"invalid_grant","error_description":"wrong"}"#.into(),
                "wrong",
            ),
            (r#"{"error":"denied"}"#.into(), "denied"),
            (r#"{"error":{"code":7}}"#.into(), r#"{"error":{"code":7}}"#),
            ("<html>go away</html>".into(), ""),
            (" no\nway\u{1b}[31m ".into(), "no way [31m"),
            (
                r#"{"message":"`s3/cret\"` is wrong"}"#.into(),
                "`***` is wrong",
            ),
            (
                "password=s3%2Fcret%22 is wrong".into(),
                "password=*** is wrong",
            ),
            (format!("Basic {basic} is wrong"), "Basic *** is wrong"),
        ] {
            assert_eq!(reply(&body).message(Some(&credential)), shown, "{body}");
        }
        // A part of it is not shown either.
        let long = format!("{}s3/cret\"", "x".repeat(MAX_MESSAGE_CHARS - 3));
        assert!(!reply(&long).message(Some(&credential)).contains("s3"));
        assert_eq!(
            reply(&"x ".repeat(5000)).message(None).len(),
            MAX_MESSAGE_CHARS,
            "short"
        );
    }
}
