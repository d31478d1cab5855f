//! What a realm answers: a token and its life, or words.
//!
//! Everything in it is a stranger's: its length is limited, odd numbers and moments fall back to what
//! the specification says of absent ones, and its words are shown on one line, without the password
//! that they may repeat.

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
use crate::text::cut::cut;
use crate::text::forms;

/// The largest answer that is read: tokens have a few KiB.
pub(super) const ANSWER_LIMIT_BYTES: usize = 1 << 20;

/// The longest token that is used: most servers refuse a header of more than 8 to 64 KiB.
const TOKEN_LIMIT_BYTES: usize = 64 << 10;

/// The life of a token whose giver does not tell it, in seconds, by the distribution specification.
const DEFAULT_LIFE_SECONDS: u64 = 60;

/// No token is kept longer, in seconds: builders reckon in nanoseconds, and overflow.
const LONGEST_LIFE_SECONDS: u64 = 24 * 60 * 60;

/// How much of a realm's own words is shown, in characters.
const WORDS_LIMIT: usize = 300;

/// Shorter forms of a password would be found in every word.
const SHORTEST_FORM_BYTES: usize = 4;

/// An answer that has been read whole.
pub(crate) struct Answer {
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

impl Answer {
    pub(super) async fn read(mut response: Response) -> Result<Self, BodyError> {
        Ok(Self {
            status: response.status(),
            body: body::read(&mut response, ANSWER_LIMIT_BYTES).await?,
        })
    }

    /// The token of a successful answer, or what the answer is instead.
    pub(crate) fn token(&self, now: SystemTime) -> Result<Token, String> {
        if self.status.is_redirection() {
            // The request may hold a password, and who knows where it would go.
            return Err(format!(
                "HTTP status {}, and redirections are not followed",
                self.status.as_u16()
            ));
        }
        if !self.status.is_success() {
            return Err(format!("HTTP status {}", self.status.as_u16()));
        }
        let fields: Fields = serde_json::from_slice(&self.body)
            .map_err(|_| "an answer that is not the JSON of a token")?;
        let token = [fields.token, fields.access_token]
            .into_iter()
            .flatten()
            .find(|token| !token.expose_secret().is_empty())
            .ok_or("an answer without token")?;
        if token.expose_secret().len() > TOKEN_LIMIT_BYTES {
            return Err(format!(
                "a token of more than {} KiB",
                TOKEN_LIMIT_BYTES >> 10
            ));
        }
        if !token
            .expose_secret()
            .bytes()
            .all(|byte| byte.is_ascii_graphic())
        {
            return Err("a token with characters that no header can hold".into());
        }
        let expires_in = fields.expires_in.as_ref().and_then(whole_number);
        let expires_in = match expires_in {
            None | Some(0) => DEFAULT_LIFE_SECONDS,
            Some(seconds) => seconds.min(LONGEST_LIFE_SECONDS),
        };
        let issued_at = fields.issued_at.as_ref().and_then(Value::as_str);
        Ok(Token {
            token,
            expires_in,
            issued_at: issued_at.and_then(|text| issue(text, expires_in, now)),
        })
    }

    /// Whether this says that user or password are wrong, in the way of `OAuth2`.
    pub(crate) fn is_invalid_grant(&self) -> bool {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        body.is_some_and(|body| {
            body.get("error")
                .is_some_and(|code| code == "invalid_grant")
        })
    }

    /// The realm's words, for people; empty where it has none. The credential is not shown, should
    /// they repeat it.
    pub(crate) fn words(&self, credential: Option<&Credential>) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let mut text = match serde_json::from_slice::<Value>(&self.body) {
            Ok(body) => message(&body).unwrap_or(&text).to_owned(),
            // A page, or data.
            Err(_) if text.trim_start().starts_with('<') => String::new(),
            Err(_) => text.into_owned(),
        };
        for form in credential.into_iter().flat_map(forms_of) {
            text = text.replace(&form, "***");
        }
        printable(text.trim(), WORDS_LIMIT)
    }
}

/// The sentence in a refusal, wherever registries put it.
fn message(body: &Value) -> Option<&str> {
    const PLACES: [&str; 6] = [
        "/errors/0/message",
        "/error_description",
        "/message",
        "/details",
        "/detail",
        "/error",
    ];
    let mut found = PLACES.iter().filter_map(|place| body.pointer(place));
    found.find_map(|text| text.as_str().filter(|text| !text.is_empty()))
}

/// The forms in which a password was sent, and in which it may come back.
fn forms_of(credential: &Credential) -> Vec<String> {
    let password = credential.password().expose_secret();
    if password.is_empty() {
        return Vec::new();
    }
    let basic = STANDARD.encode(format!("{}:{password}", credential.username()));
    let forms = forms::of(password).into_iter();
    let shown = forms.filter(|form| form == password || form.len() >= SHORTEST_FORM_BYTES);
    std::iter::once(basic).chain(shown).collect()
}

fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// When a token began, in seconds since 1970.
///
/// `None`, which counts as now, where the realm's clock differs from ours so far that the token would
/// be over or not have begun: builders keep such a token for ever.
fn issue(text: &str, life_seconds: u64, now: SystemTime) -> Option<i64> {
    let issued = humantime::parse_rfc3339(text).ok()?;
    let age = now.duration_since(issued).ok()?;
    if age >= Duration::from_secs(life_seconds) {
        return None;
    }
    let since_epoch = issued.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs()).ok()
}

/// On one line, without control characters, and short; no word of it is cut. What is one long word is `…`.
pub(in crate::registry) fn printable(text: &str, limit: usize) -> String {
    let text: String = text
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    match cut(&text, limit) {
        "" if !text.is_empty() => "…".to_owned(),
        kept => kept.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        Answer {
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
            let token = answer(body).token(now()).unwrap();
            assert_eq!(token.token.expose_secret(), "t", "{body}");
        }
    }

    #[test]
    fn what_is_no_token_is_told() {
        for (body, told) in [
            ("", "not the JSON"),
            ("<html>", "not the JSON"),
            ("[]", "not the JSON"),
            (r#"{"token":7}"#, "not the JSON"),
            (r#"{"token":["t"]}"#, "not the JSON"),
            ("{}", "without token"),
            (r#"{"token":""}"#, "without token"),
            (r#"{"Token":"t"}"#, "without token"),
            (r#"{"token":"a\r\nb"}"#, "no header"),
            (r#"{"token":"a b"}"#, "no header"),
            (r#"{"token":"ä"}"#, "no header"),
        ] {
            let error = answer(body).token(now()).unwrap_err();
            assert!(error.contains(told), "{body}: {error}");
        }
    }

    #[test]
    fn a_token_that_no_request_could_hold_is_refused() {
        for (bytes, is_refused) in [(TOKEN_LIMIT_BYTES, false), (TOKEN_LIMIT_BYTES + 1, true)] {
            let body = format!(r#"{{"token":"{}"}}"#, "t".repeat(bytes));
            let outcome = answer(&body).token(now());
            let error = outcome.err().unwrap_or_default();
            assert_eq!(
                error,
                if is_refused {
                    "a token of more than 64 KiB"
                } else {
                    ""
                }
            );
        }
    }

    #[test]
    fn the_life_of_a_token_is_a_minute_unless_told_and_a_day_at_most() {
        for (told, seconds) in [
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
            let token = answer(&format!(r#"{{"token":"t"{told}}}"#)).token(now());
            assert_eq!(token.unwrap().expires_in, seconds, "{told}");
        }
    }

    #[test]
    fn a_beginning_counts_where_it_makes_sense() {
        let moment = |seconds_ago: u64| {
            let moment = now() - Duration::from_secs(seconds_ago);
            format!("\"{}\"", humantime::format_rfc3339_nanos(moment))
        };
        let begun = 1_800_000_000_i64;
        for (told, issued_at) in [
            (moment(0), Some(begun)),
            (moment(100), Some(begun - 100)),
            (moment(299), Some(begun - 299)),
            (moment(300), None),
            (moment(3_000_000), None),
            (r#""2099-01-01T00:00:00Z""#.into(), None),
            (r#""0001-01-01T00:00:00Z""#.into(), None),
            (r#""1960-01-01T00:00:00Z""#.into(), None),
            (r#""yesterday""#.into(), None),
            (r#""""#.into(), None),
            ("7".into(), None),
            ("null".into(), None),
        ] {
            let body = format!(r#"{{"token":"t","expires_in":300,"issued_at":{told}}}"#);
            let token = answer(&body).token(now()).unwrap();
            assert_eq!(token.issued_at, issued_at, "{told}");
        }
    }

    #[test]
    fn a_refusals_words_are_shown_without_what_was_sent() {
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
            assert_eq!(answer(&body).words(Some(&credential)), shown, "{body}");
        }
        // Not by halves either.
        let long = format!("{}s3/cret\"", "x".repeat(WORDS_LIMIT - 3));
        assert!(!answer(&long).words(Some(&credential)).contains("s3"));
        assert_eq!(
            answer(&"x ".repeat(5000)).words(None).len(),
            WORDS_LIMIT,
            "short"
        );
    }
}
