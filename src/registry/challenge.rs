//! The `WWW-Authenticate` header of a registry.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// Separate challenges, and their parameters.
const SEPARATORS: [char; 3] = [' ', '\t', ','];

/// A `Bearer` challenge: the address of the token server and the parameters of the token.
///
/// The syntax is that of RFC 9110: a scheme, then `name=value` or `name="value"`, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The address of the token server.
    pub realm: String,
    /// The registry's name at the token server; empty if absent.
    pub service: String,
    /// The required permissions; empty if absent.
    pub scope: String,
}

/// The texts of all `WWW-Authenticate` headers.
pub(super) fn headers(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    values.filter_map(|value| value.to_str().ok()).collect()
}

/// The first `Bearer` challenge of a header that has a realm.
///
/// Text after the realm may be malformed: it is used up to the first error.
#[must_use]
pub(crate) fn bearer(header: &str) -> Option<Bearer> {
    let mut bearer: Option<Bearer> = None;
    for challenge in challenges(header) {
        if challenge.scheme.eq_ignore_ascii_case("bearer") {
            let parameter = |name: &str| {
                let mut parameters = challenge.parameters.iter();
                let found = parameters.find(|(known, _)| known.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.clone())
            };
            bearer = parameter("realm").map(|realm| Bearer {
                realm,
                service: parameter("service").unwrap_or_default(),
                scope: parameter("scope").unwrap_or_default(),
            });
        }
        if bearer.is_some() {
            break;
        }
    }
    bearer
}

/// Whether a header contains a `Basic` challenge.
#[must_use]
pub(crate) fn is_basic(header: &str) -> bool {
    has_scheme(header, "basic")
}

/// Whether a header contains a `Bearer` challenge, with or without a realm.
#[must_use]
pub(crate) fn is_bearer(header: &str) -> bool {
    has_scheme(header, "bearer")
}

fn has_scheme(header: &str, scheme: &str) -> bool {
    challenges(header).any(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme))
}

/// One challenge of a header.
struct Challenge<'a> {
    scheme: &'a str,
    parameters: Vec<(&'a str, String)>,
}

/// The challenges of a header, up to the first syntax error.
fn challenges(header: &str) -> impl Iterator<Item = Challenge<'_>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        let (scheme, after) = scheme(rest)?;
        rest = after;
        let mut parameters = Vec::new();
        while self::scheme(rest).is_none()
            && let Some((name, value, after)) = parameter(rest)
        {
            parameters.push((name, value));
            rest = after;
        }
        Some(Challenge { scheme, parameters })
    })
}

/// The scheme at the beginning of `text`, and the text after it; `None` at a parameter, which has `=` after its name.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(SEPARATORS);
    let end = text
        .find(|character: char| SEPARATORS.contains(&character) || "=\"".contains(character))
        .unwrap_or(text.len());
    let (scheme, after) = text.split_at(end);
    let is_parameter = after
        .trim_start_matches([' ', '\t'])
        .starts_with(['=', '"']);
    (!scheme.is_empty() && !is_parameter).then_some((scheme, after))
}

/// The first `name=value`, and the text after it.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let text = text.trim_start_matches(SEPARATORS);
    let (name, after) = text.split_once('=')?;
    let after = after.trim_start_matches([' ', '\t']);
    let (value, remaining) = match after.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => {
            let end = after.find(',').unwrap_or(after.len());
            let (value, remaining) = after.split_at(end);
            (value.trim().to_owned(), remaining)
        }
    };
    Some((name.trim(), value, remaining))
}

/// The realm of a `Bearer` challenge.
#[must_use]
pub(crate) fn bearer_realm(header: &str) -> Option<String> {
    bearer(header).map(|bearer| bearer.realm)
}

/// The value of a quoted string, and the text after its closing quote.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_realm_is_found_at_each_position() {
        let cases = [
            (
                r#"Bearer realm="https://a/t",service="s""#,
                Some("https://a/t"),
            ),
            (
                r#"bearer service="a,realm=b", Realm="https://a/t""#,
                Some("https://a/t"),
            ),
            ("Bearer service=s,realm=https://a/t", Some("https://a/t")),
            (r#"Bearer realm="a\"b""#, Some("a\"b")),
            (r#"Bearer realm = "https://a/t" , x=y"#, Some("https://a/t")),
            (r#"Bearer service="s", Basic realm="x""#, None),
            (
                r#"Bearer realm="https://a/t", Basic realm="x""#,
                Some("https://a/t"),
            ),
            (
                r#"Basic realm="x", Bearer realm="https://a/t""#,
                Some("https://a/t"),
            ),
            (
                r#"Negotiate, bearer realm="https://a/t""#,
                Some("https://a/t"),
            ),
            (r#"Basic realm="Bearer realm=x""#, None),
            (r#"Bearer realm="ä\"#, None),
            (r"Bearer realm=", Some("")),
            (r#"Basic realm="x""#, None),
            (r#"Bearer realm="open"#, None),
            ("Bearer", None),
            ("Bearer ,,,", None),
        ];
        for (header, realm) in cases {
            assert_eq!(bearer_realm(header).as_deref(), realm, "{header}");
        }
    }

    #[test]
    fn service_and_scope_are_parsed() {
        let header = r#"Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push""#;
        let expected = Bearer {
            realm: "https://a/t".into(),
            service: "s".into(),
            scope: "repository:a/b:pull,push".into(),
        };
        assert_eq!(bearer(header), Some(expected));
        assert!(is_basic(r#"basic realm="x""#) && !is_basic(header));
        assert!(is_bearer(header) && is_bearer("Basic, Bearer") && !is_bearer("Basic"));
    }
}
