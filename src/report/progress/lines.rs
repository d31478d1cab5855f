//! Makes lines of the chunks that a step's output arrives in.
//!
//! A line is given out when it ends. One that grows past the limit is given out in pieces, and one that stays unfinished (a
//! question, a progress bar) when [`Lines::pause`] says so; neither cuts a character, a colour or a secret in two. Of text
//! that a carriage return overwrites only the last version is kept. Colours never leak into lines of others: each line
//! ends its own and begins with those still in force.

use std::{mem, time::Duration};

use super::super::{
    escape::{Escapes, Event},
    mask::Masker,
    text::printable,
};

const RESET: &[u8] = b"\x1b[0m";

/// Colours in force are remembered up to this length, beyond it only the latest.
const ACTIVE_BYTES: usize = 64;

/// How lines are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    /// Length in bytes past which a line is given out in pieces.
    pub(super) limit: usize,
    /// Bytes kept of a step's last lines.
    pub(super) tail: usize,
    /// Whether to keep colours.
    pub(super) colour: bool,
    pub(super) masker: &'a Masker,
}

/// A line of output, or a piece of one, without line end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When its first byte came.
    pub(super) at: Duration,
    pub(super) text: String,
}

/// One stream of output.
#[derive(Debug, Default)]
pub(super) struct Lines {
    escapes: Escapes,
    line: Vec<u8>,
    at: Duration,
    /// A carriage return came: the next visible byte starts the line anew.
    returned: bool,
    /// The line has had other text before.
    rewritten: bool,
    /// Part of the line was given out already, so that its end alone is no line of its own.
    continued: bool,
    /// Colours in force.
    active: Vec<u8>,
    /// Colours that were in force when the line began.
    inherited: Vec<u8>,
}

impl Lines {
    /// Takes `bytes` that came at `at` and hands each line that ended to `give`.
    pub(super) fn feed(
        &mut self,
        at: Duration,
        bytes: &[u8],
        rules: Rules<'_>,
        mut give: impl FnMut(Line),
    ) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            let room = rules.limit.saturating_sub(self.line.len()).max(1);
            let plain = self.escapes.plain(rest).min(room);
            if let Some((text, after)) = rest.split_at_checked(plain).filter(|_| plain > 0) {
                self.append(at, text);
                rest = after;
            } else {
                rest = after;
                match self.escapes.push(byte) {
                    Event::Text(b'\n') => self.end_line(at, rules, &mut give),
                    Event::Text(b'\r') => self.returned = true,
                    Event::Text(byte) => self.append(at, &[byte]),
                    Event::Colour if rules.colour => self.colour(at),
                    Event::Colour | Event::Nothing => {}
                }
            }
            if self.line.len() >= rules.limit {
                self.cut(rules, &mut give);
            }
        }
    }

    /// Gives out what there is of an unfinished line, but for an end that may be the start of a secret.
    pub(super) fn pause(&mut self, rules: Rules<'_>, mut give: impl FnMut(Line)) {
        if !self.line.is_empty() {
            self.cut(rules, &mut give);
        }
    }

    /// Gives out all there is: nothing will follow.
    pub(super) fn end(&mut self, mut give: impl FnMut(Line)) {
        if !self.line.is_empty() {
            let line = mem::take(&mut self.line);
            give(self.finished(&line));
        }
        *self = Self::default();
    }

    pub(super) fn is_unfinished(&self) -> bool {
        !self.line.is_empty()
    }

    /// Whether the unfinished line replaces one before, as a progress bar does.
    pub(super) fn is_rewritten(&self) -> bool {
        self.is_unfinished() && self.rewritten
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.line.capacity() + self.active.capacity() + self.inherited.capacity()
    }

    fn append(&mut self, at: Duration, text: &[u8]) {
        if mem::take(&mut self.returned) {
            self.rewritten |= !self.line.is_empty();
            self.line.clear();
        }
        self.begin(at);
        self.line.extend_from_slice(text);
    }

    fn begin(&mut self, at: Duration) {
        if self.line.is_empty() {
            self.at = at;
            self.inherited.clone_from(&self.active);
        }
    }

    fn colour(&mut self, at: Duration) {
        // After a carriage return the text before it may yet stay, so a colour alone does not clear it.
        if !self.returned {
            self.begin(at);
            self.line.extend_from_slice(self.escapes.colour());
        }
        let parameters = self.escapes.colour().get(2..).unwrap_or_default();
        if matches!(parameters.first(), None | Some(b'0' | b'm')) {
            self.active.clear();
        }
        let resets_only = parameters
            .iter()
            .all(|byte| matches!(byte, b'0' | b';' | b'm'));
        if !resets_only {
            if self.active.len() + self.escapes.colour().len() > ACTIVE_BYTES {
                self.active.clear();
            }
            self.active.extend_from_slice(self.escapes.colour());
        }
    }

    fn end_line(&mut self, at: Duration, rules: Rules<'_>, give: &mut impl FnMut(Line)) {
        let rest_of_pieces = mem::take(&mut self.continued) && self.line.is_empty();
        self.returned = false;
        self.rewritten = false;
        if rest_of_pieces {
            return;
        }
        self.begin(at);
        let line = mem::take(&mut self.line);
        give(self.finished(&line));
        // The buffer is used again, unless one giant line would make it stay large.
        if line.capacity() <= rules.limit {
            self.line = line;
            self.line.clear();
        }
    }

    /// Gives out the line so far, as far as that cuts nothing in two.
    fn cut(&mut self, rules: Rules<'_>, give: &mut impl FnMut(Line)) {
        let incomplete = incomplete_character(&self.line);
        let (whole, incomplete) = self.line.split_at(self.line.len() - incomplete);
        let text = rules
            .masker
            .mask(String::from_utf8_lossy(whole).into_owned());
        let open = rules.masker.open_end(&text);
        // A line that could be the start of a secret all through is given out in the end, else it would grow for ever.
        let keep = if whole.len() >= rules.limit.saturating_mul(2) {
            0
        } else {
            open
        };
        let (ready, kept) = text
            .split_at_checked(text.len() - keep)
            .unwrap_or((&text, ""));
        if ready.is_empty() {
            return;
        }
        let kept = [kept.as_bytes(), incomplete].concat();
        give(self.finished(ready.as_bytes()));
        self.line = kept;
        self.inherited.clone_from(&self.active);
        self.continued = true;
    }

    fn finished(&self, line: &[u8]) -> Line {
        if line.is_empty() {
            return Line {
                at: self.at,
                text: String::new(),
            };
        }
        let coloured = !self.inherited.is_empty() || line.contains(&b'\x1b');
        let reset: &[u8] = if coloured && !line.ends_with(RESET) {
            RESET
        } else {
            &[]
        };
        Line {
            at: self.at,
            text: printable(&[&self.inherited, line, reset].concat()),
        }
    }
}

/// How many bytes at the end are the beginning of a character whose rest may follow.
fn incomplete_character(bytes: &[u8]) -> usize {
    let back = bytes
        .iter()
        .rev()
        .take(3)
        .position(|byte| byte & 0xc0 != 0x80);
    let Some((first, have)) = back.and_then(|back| Some((bytes.iter().rev().nth(back)?, back + 1)))
    else {
        return 0;
    };
    let whole = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    if have < whole { have } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 32;

    struct Reader {
        lines: Lines,
        masker: Masker,
        colour: bool,
        given: Vec<String>,
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
                given: Vec::new(),
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
                    self.given.push(line.text);
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
            self.lines.pause(rules, |line| self.given.push(line.text));
            self
        }

        fn end(&mut self) -> Vec<String> {
            self.lines.end(|line| self.given.push(line.text));
            self.given
                .iter()
                .map(|line| self.masker.mask(line.clone()))
                .collect()
        }
    }

    #[test]
    fn lines_torn_across_chunks_are_joined() {
        let given = Reader::new(&[])
            .feed("fir")
            .feed("st\n\nsec")
            .feed("ond\nlast")
            .end();
        assert_eq!(given, ["first", "", "second", "last"]);
    }

    #[test]
    fn of_overwritten_text_the_last_is_kept() {
        let given = Reader::new(&[])
            .feed(" 10%\r 20%")
            .feed("\r")
            .feed("100%\r\ndone\r\n50%\r\x1b[K")
            .end();
        assert_eq!(given, ["100%", "done", "50%"]);
    }

    #[test]
    fn a_paused_line_goes_on_without_an_empty_one() {
        let given = Reader::new(&[])
            .feed("continue? ")
            .pause()
            .pause()
            .feed("\n")
            .feed("a")
            .pause()
            .feed("b\n")
            .end();
        assert_eq!(given, ["continue? ", "a", "b"]);
    }

    #[test]
    fn a_long_line_comes_in_pieces() {
        let given = Reader::new(&[])
            .feed("x".repeat(2 * LIMIT + 5))
            .feed("\n")
            .feed("y".repeat(LIMIT))
            .feed("\nz\n")
            .end();
        let pieces: Vec<_> = given.iter().map(String::len).collect();
        assert_eq!(pieces, [LIMIT, LIMIT, 5, LIMIT, 1]);
    }

    #[test]
    fn pieces_cut_no_character() {
        let given = Reader::new(&[]).feed("x").feed("€".repeat(20)).end();
        assert_eq!(given.concat(), format!("x{}", "€".repeat(20)));
        assert!(given.len() > 1);
    }

    #[test]
    fn pieces_cut_no_secret() {
        let secret = "correct-horse-battery";
        for before in 0..2 * LIMIT {
            let line = format!("{}{secret}{}", "x".repeat(before), "y".repeat(LIMIT));
            let given = Reader::new(&[secret]).feed(line).end().concat();
            assert_eq!(
                given,
                format!("{}***{}", "x".repeat(before), "y".repeat(LIMIT))
            );
            let given = Reader::new(&[secret])
                .feed("token: correct-h")
                .pause()
                .feed("orse-battery")
                .end()
                .concat();
            assert_eq!(given, "token: ***");
        }
    }

    #[test]
    fn a_secret_longer_than_the_limit_does_not_hold_the_line_for_ever() {
        let secret = "s".repeat(100 * LIMIT);
        let mut reader = Reader::new(&[&secret]);
        reader.feed("s".repeat(50 * LIMIT));
        assert!(reader.lines.held() <= 4 * LIMIT);
    }

    #[test]
    fn colours_end_with_their_line_and_go_on_in_the_next() {
        let given = Reader::new(&[])
            .feed("\x1b[1m\x1b[31mred\nstill\n\x1b[0mplain\nplain\n")
            .end();
        let expected = [
            "\x1b[1m\x1b[31mred\x1b[0m",
            "\x1b[1m\x1b[31mstill\x1b[0m",
            "\x1b[1m\x1b[31m\x1b[0mplain\x1b[0m",
            "plain",
        ];
        assert_eq!(given, expected);
    }

    #[test]
    fn colours_can_be_left_out() {
        let mut reader = Reader::new(&[]);
        reader.colour = false;
        assert_eq!(
            reader.feed("\x1b[31mred\n\x1b[2Kplain").end(),
            ["red", "plain"]
        );
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
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

    /// Bytes in which what matters here is frequent.
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
        fn how_the_bytes_were_cut_makes_no_difference(
            bytes in output(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            prop_assert_eq!(chunked(&bytes, &cuts), chunked(&bytes, &[]));
        }

        #[test]
        fn text_is_neither_lost_nor_doubled(
            text in "[a-zäß€ \\n]{0,300}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let given = chunked(text.as_bytes(), &cuts).concat();
            prop_assert_eq!(given, text.replace('\n', ""));
        }

        #[test]
        fn nothing_but_colours_controls_the_terminal(bytes in output()) {
            for line in chunked(&bytes, &[]) {
                let mut escapes = Escapes::default();
                for byte in line.bytes() {
                    let kept = matches!(escapes.push(byte), Event::Text(_) | Event::Colour);
                    prop_assert!(kept || !escapes.plain(b"x") == 0 || byte >= b' ' || byte == 0x1b);
                }
                prop_assert!(!line.contains("correct-horse"));
                prop_assert!(!line.chars().any(|char| char.is_control() && !matches!(char, '\t' | '\x1b')));
            }
        }
    }
}
