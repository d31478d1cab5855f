//! The plain shell glob for a single name, by the rules of Go's `filepath.Match`.
//!
//! It is used to check that a pattern is well formed, as builders do before they compile the pattern,
//! and for wildcards in follow paths.
//!
//! Two quirks of builders are kept: the search after a `*` advances by bytes, not by characters; and an
//! error in a later part is not detected if an earlier part did not match.

/// The pattern is not a valid glob: an open `[`, an empty class, or nothing after a `\`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::context) struct BadGlob;

/// Whether the glob matches all of `name`; `*`, `?` never match a `/`.
///
/// Time: the length of the pattern times the length of the name.
pub(in crate::context) fn glob_matches(pattern: &str, name: &[u8]) -> Result<bool, BadGlob> {
    let (mut pattern, mut name) = (pattern.as_bytes(), name);
    'parts: while !pattern.is_empty() {
        let (after_star, part, rest) = next_part(pattern);
        pattern = rest;
        if after_star && part.is_empty() {
            return Ok(!name.contains(&b'/'));
        }
        let fits = |left: &[u8]| left.is_empty() || !rest.is_empty();
        if let Some(left) = match_part(part, name)?.filter(|left| fits(left)) {
            name = left;
            continue;
        }
        if after_star {
            let mut skipped = name;
            while let Some((&byte, next)) = skipped.split_first()
                && byte != b'/'
            {
                skipped = next;
                if let Some(left) = match_part(part, skipped)?.filter(|left| fits(left)) {
                    name = left;
                    continue 'parts;
                }
            }
        }
        return Ok(false);
    }
    Ok(name.is_empty())
}

/// Whether a `*`, `?` or `[` of the text is a wildcard, not an escaped character.
pub(in crate::context) fn has_wildcard(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// Removes the leading stars and everything up to the next star from the pattern.
fn next_part(pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let stars = pattern.iter().take_while(|&&byte| byte == b'*').count();
    let (_, pattern) = pattern.split_at(stars);
    let (mut escaped, mut in_class) = (false, false);
    let is_star = |&byte: &u8| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' => return !in_class,
            _ => {}
        }
        false
    };
    let length = pattern.iter().position(is_star).unwrap_or(pattern.len());
    let (part, rest) = pattern.split_at(length);
    (stars > 0, part, rest)
}

/// Matches a part without stars at the start of `text` and returns the rest of `text`.
///
/// The part is read to its end even if the text does not match, so that errors in it are found.
fn match_part<'text>(mut part: &[u8], text: &'text [u8]) -> Result<Option<&'text [u8]>, BadGlob> {
    let mut left = Some(text);
    while let Some((&first, rest)) = part.split_first() {
        left = left.filter(|text| !text.is_empty());
        part = rest;
        let literal = match first {
            b'[' => {
                let (character, next) = left.map_or((0, left), |text| {
                    let (character, next) = first_character(text);
                    (character, Some(next))
                });
                let (inside, rest) = match_class(part, character)?;
                part = rest;
                left = next.filter(|_| inside);
                continue;
            }
            b'?' => {
                left = left.filter(|text| text.first() != Some(&b'/'));
                left = left.map(|text| first_character(text).1);
                continue;
            }
            b'\\' => {
                let (&escaped, rest) = part.split_first().ok_or(BadGlob)?;
                part = rest;
                escaped
            }
            literal => literal,
        };
        left = left.and_then(|text| text.strip_prefix(&[literal]));
    }
    Ok(left)
}

/// Reads a class up to its `]` and returns whether it contains the character.
fn match_class(class: &[u8], character: u32) -> Result<(bool, &[u8]), BadGlob> {
    let (negated, mut class) = class
        .strip_prefix(b"^")
        .map_or((false, class), |rest| (true, rest));
    let (mut inside, mut empty) = (false, true);
    loop {
        if let Some(rest) = class.strip_prefix(b"]")
            && !empty
        {
            return Ok((inside != negated, rest));
        }
        let (low, rest) = class_character(class)?;
        let (high, rest) = match rest.strip_prefix(b"-") {
            Some(rest) => class_character(rest)?,
            None => (low, rest),
        };
        inside |= low <= character && character <= high;
        empty = false;
        class = rest;
    }
}

/// One character of a class, possibly escaped. Another character must follow, at least the `]`.
fn class_character(class: &[u8]) -> Result<(u32, &[u8]), BadGlob> {
    let class = match class.first() {
        None | Some(b'-' | b']') => return Err(BadGlob),
        Some(b'\\') => class.split_at(1).1,
        Some(_) => class,
    };
    if class.is_empty() {
        return Err(BadGlob);
    }
    let (character, rest) = first_character(class);
    if rest.is_empty() {
        Err(BadGlob)
    } else {
        Ok((character, rest))
    }
}

/// The first character of the text; a byte that is not UTF-8 is read as one replacement character.
fn first_character(text: &[u8]) -> (u32, &[u8]) {
    let (head, _) = text.split_at(text.len().min(char::MAX_LEN_UTF8));
    let character = head
        .utf8_chunks()
        .next()
        .and_then(|chunk| chunk.valid().chars().next());
    let length = character.map_or(1, char::len_utf8).min(text.len());
    (
        character.unwrap_or(char::REPLACEMENT_CHARACTER).into(),
        text.split_at(length).1,
    )
}

#[cfg(test)]
mod tests {
    use super::{BadGlob, glob_matches, has_wildcard};

    #[test]
    fn globs_match_whole_names() {
        for (pattern, name, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a[^a][^a][^a]b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "x", true),
            ("[x\\-]", "-", true),
            ("[^\\-x]", "a", true),
            ("*x", "xxx", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(
                glob_matches(pattern, name.as_bytes()),
                Ok(expected),
                "{pattern:?} on {name:?}"
            );
        }
    }

    #[test]
    fn a_glob_that_is_not_well_formed_is_an_error() {
        for (pattern, name) in [
            ("[]a]", "]"),
            ("[-]", "-"),
            ("[x-]", "x"),
            ("[-x]", "x"),
            ("[a-b-c]", "a"),
            ("[", "a"),
            ("[^", "a"),
            ("[^bc", "a"),
            ("a[", "a"),
            ("a[", "ab"),
            ("a\\", "b"),
        ] {
            assert_eq!(
                glob_matches(pattern, name.as_bytes()),
                Err(BadGlob),
                "{pattern:?}"
            );
        }
    }

    #[test]
    fn an_error_after_a_part_that_does_not_match_is_not_detected_as_in_builders() {
        assert_eq!(glob_matches("a*[", b"b"), Ok(false));
        assert_eq!(glob_matches("a*[", b"ab"), Err(BadGlob));
    }

    #[test]
    fn names_need_not_be_utf8() {
        assert_eq!(glob_matches("a?b", b"a\xffb"), Ok(true));
        assert_eq!(glob_matches("a*", b"a\xff\xfe"), Ok(true));
        assert_eq!(glob_matches("[^a]", b"\xff"), Ok(true));
    }

    #[test]
    fn an_escaped_wildcard_is_not_a_wildcard() {
        assert!(has_wildcard("a*") && has_wildcard("[a") && has_wildcard("\\\\?"));
        assert!(!has_wildcard("a\\*b") && !has_wildcard("plain\\"));
    }
}
