//! The `WWW-Authenticate` header of a registry.

/// The realm of a `Bearer` challenge, the only part that has to be known here.
///
/// The form is that of RFC 9110: a scheme, then `name=value` or `name="value"` with commas between.
#[must_use]
pub fn bearer_realm(header: &str) -> Option<String> {
    let (scheme, mut rest) = header.trim_start().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start_matches([' ', '\t']);
        let (value, remaining) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                let (value, remaining) = after.split_at(end);
                (value.trim().to_owned(), remaining)
            }
        };
        if name.trim().eq_ignore_ascii_case("realm") {
            return Some(value);
        }
        rest = remaining;
    }
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
}
