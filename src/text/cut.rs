//! Shortens text from outside that may repeat a secret.
//!
//! Secrets are masked later, and only as a whole. So a word is never cut: the last incomplete word is omitted. Words end at white
//! space, and at the brackets, quotes and commas of JSON and HTML.

/// The first `limit` characters of `text`, without the last word if that is incomplete.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let Some((end, next)) = text.char_indices().nth(limit) else {
        return text;
    };
    let kept = text.get(..end).unwrap_or_default();
    if ends_word(next) {
        return kept;
    }
    kept.trim_end_matches(|character| !ends_word(character))
}

/// On one line, without control characters, and short. Words are not cut: a single long word becomes `…`.
pub(crate) fn printable(text: &str, limit: usize) -> String {
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

fn ends_word(character: char) -> bool {
    character.is_whitespace() || "<>()[]{}\"'`,;|".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_unchanged() {
        assert_eq!(cut("token", 5), "token");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn a_printable_text_is_one_short_line() {
        assert_eq!(printable(" no\nway\u{1b}[31m ", 20), " no way [31m ");
        assert_eq!(printable("two words", 5), "two ");
        assert_eq!(printable("one-single-word", 9), "…");
        assert_eq!(printable("", 0), "");
    }

    #[test]
    fn no_word_is_cut() {
        for (text, kept) in [
            ("said: toké", "said: "),
            ("said: tok n", "said: tok"),
            ("{\"a\":\"to/ken+x\"}", "{\"a\":\""),
            ("<h1>Gateway</h1>", "<h1>"),
            ("one-single-word", ""),
        ] {
            assert_eq!(cut(text, 9), kept, "{text}");
        }
    }
}
