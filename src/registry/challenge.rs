//! The `WWW-Authenticate` header of a registry.

/// A `Bearer` challenge: where tokens are given out, and for what.
///
/// The form is that of RFC 9110: a scheme, then `name=value` or `name="value"` with commas between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearer {
    /// Where tokens are given out.
    pub realm: String,
    /// The registry's name at that place; empty where it told none.
    pub service: String,
    /// What the token has to allow; empty where it told nothing.
    pub scope: String,
}

/// Reads a header; `None` where its first challenge is another one or has no realm.
///
/// What follows the realm may be anything: it counts as far as it can be read.
#[must_use]
pub fn bearer(header: &str) -> Option<Bearer> {
    let (scheme, mut rest) = header.trim_start().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope) = (None, None, None);
    while let Some((name, value, remaining)) = parameter(rest) {
        let place = match name.to_ascii_lowercase().as_str() {
            "realm" => Some(&mut realm),
            "service" => Some(&mut service),
            "scope" => Some(&mut scope),
            _ => None,
        };
        // The first counts: what follows may be another challenge's.
        place.map(|place| place.get_or_insert(value));
        rest = remaining;
    }
    Some(Bearer {
        realm: realm?,
        service: service.unwrap_or_default(),
        scope: scope.unwrap_or_default(),
    })
}

/// Whether a header holds a `Basic` challenge, as far as that can be told without reading the others before it.
#[must_use]
pub fn is_basic(header: &str) -> bool {
    let scheme = header.trim_start().split(' ').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("basic")
}

/// The first `name=value`, and what follows it.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let text = text.trim_start_matches([' ', ',', '\t']);
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

/// The realm alone.
#[must_use]
pub fn bearer_realm(header: &str) -> Option<String> {
    bearer(header).map(|bearer| bearer.realm)
}

/// A quoted text up to its closing quote, and what follows it.
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
    fn the_realm_is_found_wherever_it_stands() {
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
    fn service_and_scope_come_along() {
        let header = r#"Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push""#;
        let expected = Bearer {
            realm: "https://a/t".into(),
            service: "s".into(),
            scope: "repository:a/b:pull,push".into(),
        };
        assert_eq!(bearer(header), Some(expected));
        assert!(is_basic(r#"basic realm="x""#) && !is_basic(header));
    }
}
