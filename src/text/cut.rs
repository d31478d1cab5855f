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
