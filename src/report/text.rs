//! Makes text from outside fit to stand in a line of ours: no terminal control, no line ends, bounded length.

use super::escape::{Escapes, Event};

/// One line of at most `limit` characters; line ends and tabs become spaces, and what was cut off is told by `…`.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let spaced: String = clean(text, limit.saturating_mul(4))
        .chars()
        .map(|char| if char.is_whitespace() { ' ' } else { char })
        .collect();
    shorten(spaced.trim_end(), limit)
}

/// `text` with its line ends, in at most `limit` characters.
pub(crate) fn lines(text: &str, limit: usize) -> String {
    shorten(clean(text, limit.saturating_mul(4)).trim_end(), limit)
}

/// Makes printable text of bytes: what is not UTF-8 is replaced, and the control characters past ASCII, of which a terminal
/// may take U+009B for the start of a sequence, are left out.
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

/// Drops terminal control, colours too. Stops after `limit` bytes and one character: the rest would be cut off anyway.
fn clean(text: &str, limit: usize) -> String {
    let mut escapes = Escapes::default();
    let mut kept = Vec::new();
    for &byte in text.as_bytes() {
        if kept.len() >= limit.saturating_add(4) {
            break;
        }
        match escapes.push(byte) {
            Event::Text(b'\r') | Event::Nothing | Event::Colour => {}
            Event::Text(byte) => kept.push(byte),
        }
    }
    printable(&kept)
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
    fn one_line_is_one_line() {
        assert_eq!(
            one_line("RUN <<EOF\n\techo\x1b[31m red\u{9b}2K\r\nEOF\n", 100),
            "RUN <<EOF  echo red2K EOF"
        );
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(one_line("äöüß", 3), "äöü…");
        assert_eq!(one_line("äöü", 3), "äöü");
        assert_eq!(one_line(&"€".repeat(100_000), 3), "€€€…");
        assert_eq!(lines("a\nb\nc\n", 3), "a\nb…");
    }
}
