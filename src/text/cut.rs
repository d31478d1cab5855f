//! Cuts short what a stranger says, before anybody knows which secrets it may repeat.
//!
//! What masks secrets knows them as a whole. So a cut never falls within what may be one: the last word that is not there to its end is
//! left out, where words end at white space and at the brackets, quotes and commas of JSON and HTML.

/// The first `limit` characters of `text`, or a few less.
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
    fn what_is_short_stays_as_it_is() {
        assert_eq!(cut("token", 5), "token");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn no_word_is_cut_in_two() {
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
