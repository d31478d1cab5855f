//! The conversion of chunks to lines.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 32;

struct Reader {
    lines: Lines,
    masker: Masker,
    colour: bool,
    emitted: Vec<String>,
}

impl Reader {
    fn new(secrets: &[&str]) -> Self {
        let masker = Masker::default();
        for secret in secrets {
            masker.add(secret);
        }
        Self {
            lines: Lines::default(),
            masker,
            colour: true,
            emitted: Vec::new(),
        }
    }

    fn feed(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let rules = Rules {
            limit: LIMIT,
            tail: 0,
            colour: self.colour,
            masker: &self.masker,
        };
        self.lines
            .feed(Duration::ZERO, bytes.as_ref(), rules, |line| {
                self.emitted.push(line.text);
            });
        self
    }

    fn pause(&mut self) -> &mut Self {
        let rules = Rules {
            limit: LIMIT,
            tail: 0,
            colour: self.colour,
            masker: &self.masker,
        };
        self.lines.pause(rules, |line| self.emitted.push(line.text));
        self
    }

    fn end(&mut self) -> Vec<String> {
        let rules = Rules {
            limit: LIMIT,
            tail: 0,
            colour: self.colour,
            masker: &self.masker,
        };
        self.lines.end(rules, |line| self.emitted.push(line.text));
        self.emitted
            .iter()
            .map(|line| self.masker.mask(line.clone()))
            .collect()
    }
}

#[test]
fn hidden_characters_are_escaped() {
    let mut reader = Reader::new(&["\u{200b}secret-word"]);
    reader
        .feed("a\u{202e}b\n")
        .feed("\u{200b}secret-word\n")
        .feed("👩\u{200d}💻 \u{2066}");
    assert_eq!(
        reader.end(),
        ["a\\u{202e}b", "***", "👩\u{200d}💻 \\u{2066}"]
    );
}

#[test]
fn lines_that_are_split_across_chunks_are_joined() {
    let lines = Reader::new(&[])
        .feed("fir")
        .feed("st\n\nsec")
        .feed("ond\nlast")
        .end();
    assert_eq!(lines, ["first", "", "second", "last"]);
}

#[test]
fn the_last_version_of_overwritten_text_is_kept() {
    let lines = Reader::new(&[])
        .feed(" 10%\r 20%")
        .feed("\r")
        .feed("100%\r\ndone\r\n50%\r\x1b[K")
        .end();
    assert_eq!(lines, ["100%", "done", "50%"]);
}

#[test]
fn a_paused_line_continues_without_an_empty_line() {
    let lines = Reader::new(&[])
        .feed("continue? ")
        .pause()
        .pause()
        .feed("\n")
        .feed("a")
        .pause()
        .feed("b\n")
        .end();
    assert_eq!(lines, ["continue? ", "a", "b"]);
}

#[test]
fn a_long_line_is_emitted_in_pieces() {
    let lines = Reader::new(&[])
        .feed("x".repeat(2 * LIMIT + 5))
        .feed("\n")
        .feed("y".repeat(LIMIT))
        .feed("\nz\n")
        .end();
    let pieces: Vec<_> = lines.iter().map(String::len).collect();
    assert_eq!(pieces, [LIMIT, LIMIT, 5, LIMIT, 1]);
}

#[test]
fn a_character_is_never_cut() {
    let lines = Reader::new(&[]).feed("x").feed("€".repeat(20)).end();
    assert_eq!(lines.concat(), format!("x{}", "€".repeat(20)));
    assert!(lines.len() > 1);
}

#[test]
fn a_secret_is_never_cut() {
    let secret = "correct-horse-battery";
    for before in 0..2 * LIMIT {
        let line = format!("{}{secret}{}", "x".repeat(before), "y".repeat(LIMIT));
        let lines = Reader::new(&[secret]).feed(line).end().concat();
        assert_eq!(
            lines,
            format!("{}***{}", "x".repeat(before), "y".repeat(LIMIT))
        );
        let lines = Reader::new(&[secret])
            .feed("token: correct-h")
            .pause()
            .feed("orse-battery")
            .end()
            .concat();
        assert_eq!(lines, "token: ***");
    }
}

#[test]
fn a_secret_beyond_the_limit_does_not_delay_the_line_forever() {
    let secret = "s".repeat(100 * LIMIT);
    let mut reader = Reader::new(&[&secret]);
    reader.feed("s".repeat(50 * LIMIT));
    assert!(reader.lines.held() <= 4 * LIMIT);
}

#[test]
fn colours_are_reset_at_a_line_end_and_continue_on_the_next_line() {
    let lines = Reader::new(&[])
        .feed("\x1b[1m\x1b[31mred\nstill\n\x1b[0mplain\nplain\n")
        .end();
    let expected = [
        "\x1b[1m\x1b[31mred\x1b[0m",
        "\x1b[1m\x1b[31mstill\x1b[0m",
        "\x1b[1m\x1b[31m\x1b[0mplain\x1b[0m",
        "plain",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn colours_are_removed_if_they_are_off() {
    let mut reader = Reader::new(&[]);
    reader.colour = false;
    assert_eq!(
        reader.feed("\x1b[31mred\n\x1b[2Kplain").end(),
        ["red", "plain"]
    );
}

#[test]
fn bytes_that_are_not_utf8_are_replaced() {
    assert_eq!(
        Reader::new(&[]).feed(b"a\xffb\xc3\n\xc2\x9b2J").end(),
        ["a\u{fffd}b\u{fffd}", "2J"]
    );
}

fn chunked(bytes: &[u8], cuts: &[prop::sample::Index]) -> Vec<String> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut reader = Reader::new(&["correct-horse"]);
    let mut from = 0;
    for cut in cuts {
        reader.feed(bytes.get(from..cut).unwrap());
        assert!(
            reader.lines.held() <= 8 * LIMIT,
            "held {}",
            reader.lines.held()
        );
        from = cut;
    }
    reader.feed(bytes.get(from..).unwrap()).end()
}

/// Bytes with many special characters.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        "[a-z \\n\\r\\x1b\\[;0-9mKäß€]{1,20}".prop_map(String::into_bytes),
        Just(b"correct-horse".to_vec()),
        Just(b"\x1b[31m".to_vec()),
        Just(b"\x1b]0;title\x07".to_vec()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_cuts_between_chunks_make_no_difference(
        bytes in output(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        prop_assert_eq!(chunked(&bytes, &cuts), chunked(&bytes, &[]));
    }

    #[test]
    fn text_is_neither_lost_nor_repeated(
        text in "[a-zäß€ \\n]{0,300}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let lines = chunked(text.as_bytes(), &cuts).concat();
        prop_assert_eq!(lines, text.replace('\n', ""));
    }

    #[test]
    fn only_colours_control_the_terminal(bytes in output()) {
        for line in chunked(&bytes, &[]) {
            let mut escapes = Escapes::default();
            let mut kept = Vec::new();
            for byte in line.bytes() {
                match escapes.push(byte) {
                    Event::Text(byte) => kept.push(byte),
                    Event::Colour => kept.extend_from_slice(escapes.colour()),
                    Event::Nothing => {}
                }
            }
            prop_assert_eq!(String::from_utf8(kept).unwrap(), line.as_str());
            prop_assert!(!line.contains("correct-horse"));
            prop_assert!(!line.chars().any(|char| char.is_control() && !matches!(char, '\t' | '\x1b')));
        }
    }
}
