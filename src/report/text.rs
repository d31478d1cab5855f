//! Prepares text from outside for a line of the log: no terminal control, no line ends, a bounded length.
//!
//! Secrets are masked here, although [`Output`](super::output::Output) also masks them: a secret that is cut in two can no
//! longer be recognized.

use super::escape::{Escapes, Event};
use super::hidden::{Origin, escaped};
use super::mask::Masker;

/// One line of at most `limit` characters. Line ends and tabs become spaces; `…` marks a cut.
pub(crate) fn one_line(text: &str, limit: usize, masker: &Masker) -> String {
    let spaced: String = clean(text, limit, masker)
        .chars()
        .map(|char| if char.is_whitespace() { ' ' } else { char })
        .collect();
    shorten(spaced.trim_end(), limit)
}

/// At most `limit` characters of `text`, with its line ends.
pub(crate) fn lines(text: &str, limit: usize, masker: &Masker) -> String {
    shorten(clean(text, limit, masker).trim_end(), limit)
}

/// Converts bytes to printable text. Bytes that are not UTF-8 are replaced. Control characters beyond ASCII are removed,
/// because a terminal may interpret U+009B as the start of a sequence.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if text.contains(is_control) {
        text.retain(|char| !is_control(char));
    }
    text
}

fn is_control(char: char) -> bool {
    matches!(char, '\u{80}'..='\u{9f}')
}

/// Removes terminal control and colours, and masks secrets. Text far beyond `limit` characters is not read.
fn clean(text: &str, limit: usize, masker: &Masker) -> String {
    let limit_bytes = limit.saturating_add(1).saturating_mul(4);
    let mut escapes = Escapes::default();
    let mut kept = Vec::new();
    for &byte in text.as_bytes() {
        if kept.len() >= limit_bytes {
            break;
        }
        match escapes.push(byte) {
            Event::Text(b'\r') | Event::Nothing | Event::Colour => {}
            Event::Text(byte) => kept.push(byte),
        }
    }
    let mut text = masker.mask(printable(&kept));
    if kept.len() >= limit_bytes {
        text.truncate(text.len() - masker.open_end(&text));
    }
    // A secret with such characters can be recognized only before they are escaped.
    escaped(text, Origin::Name)
}

fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_tabs_and_colours_are_removed_from_a_line() {
        assert_eq!(
            one_line(
                "RUN <<EOF\n\techo\x1b[31m red\u{9b}2K\r\nEOF\n",
                100,
                &Masker::default()
            ),
            "RUN <<EOF  echo red2K EOF"
        );
    }

    #[test]
    fn hidden_characters_are_escaped_and_secrets_with_them_are_masked() {
        let masker = Masker::default();
        masker.add("\u{feff}correct-horse");
        let text = "app\u{202e}gpj.exe \u{feff}correct-horse";
        assert_eq!(one_line(text, 100, &masker), "app\\u{202e}gpj.exe ***");
        assert_eq!(
            lines("a\u{2028}b\nc\u{200b}", 100, &masker),
            "a\\u{2028}b\nc\\u{200b}"
        );
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let none = Masker::default();
        assert_eq!(one_line("äöüß", 3, &none), "äöü…");
        assert_eq!(one_line("äöü", 3, &none), "äöü");
        assert_eq!(one_line(&"€".repeat(100_000), 3, &none), "€€€…");
        assert_eq!(lines("a\nb\nc\n", 3, &none), "a\nb…");
    }

    #[test]
    fn no_cut_leaves_a_part_of_a_secret() {
        let masker = Masker::default();
        masker.add("correct-horse");
        for before in 0..200 {
            let text = format!("{}correct-horse correct-horse", "😀".repeat(before));
            for limit in [1, 10, 40] {
                let cut = one_line(&text, limit, &masker);
                assert!(!cut.contains('c') && !cut.contains('h'), "{cut}");
            }
        }
    }
}
