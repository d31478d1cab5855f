//! Makes lines of the chunks that a step's output arrives in.
//!
//! A line is given out when it ends. One that grows past the limit is given out in pieces, and one that stays unfinished (a
//! question, a progress bar) when [`Lines::pause`] says so; neither cuts a character, a colour or a secret in two. Of text
//! that a carriage return overwrites only the last version is kept. Colours never leak into lines of others: each line
//! ends its own and begins with those still in force.

use std::{mem, time::Duration};

use super::super::{
    escape::{Escapes, Event},
    hidden::{Origin, escaped, has_hidden},
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
    pub(super) fn end(&mut self, rules: Rules<'_>, mut give: impl FnMut(Line)) {
        if !self.line.is_empty() {
            let line = mem::take(&mut self.line);
            give(self.finished(&line, rules));
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
        give(self.finished(&line, rules));
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
        let text = String::from_utf8_lossy(whole).into_owned();
        // A line that could be the start of a secret all through is given out in the end, else it would grow for ever.
        let keep = if whole.len() >= rules.limit.saturating_mul(2) {
            0
        } else {
            rules.masker.open_end(&text)
        };
        let (ready, kept) = text
            .split_at_checked(text.len() - keep)
            .unwrap_or((&text, ""));
        let ready = rules.masker.mask(ready.to_owned());
        if ready.is_empty() {
            return;
        }
        let kept = [kept.as_bytes(), incomplete].concat();
        give(self.finished(ready.as_bytes(), rules));
        self.line = kept;
        self.inherited.clone_from(&self.active);
        self.continued = true;
    }

    fn finished(&self, line: &[u8], rules: Rules<'_>) -> Line {
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
        let mut text = printable(&[&self.inherited, line, reset].concat());
        if has_hidden(&text) {
            // A secret that holds such characters is known only as it was.
            text = escaped(rules.masker.mask(text), Origin::Output);
        }
        Line { at: self.at, text }
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
mod tests;
