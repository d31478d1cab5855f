//! Converts the chunks of a step's output to lines.
//!
//! A line is emitted when it ends. A line beyond the limit is emitted in pieces, and an unfinished line (a question, a
//! progress bar) on [`Lines::pause`]; neither cuts a character, a colour or a secret in two. Of text that is overwritten
//! after a carriage return, only the last version is kept. Colours never affect lines of other steps: each line resets its
//! colours at its end, and begins with those that are still active.

use std::mem;
use std::time::Duration;

use super::super::escape::{Escapes, Event};
use super::super::hidden::{Origin, escaped, has_hidden};
use super::super::mask::Masker;
use super::super::text::printable;

const RESET: &[u8] = b"\x1b[0m";

/// Maximum length of the active colours. Beyond it, only the latest is kept.
const ACTIVE_BYTES: usize = 64;

/// The rules for lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    /// Length in bytes beyond which a line is emitted in pieces.
    pub(super) limit: usize,
    /// Bytes kept of the last lines of a step.
    pub(super) tail: usize,
    /// Whether to keep colours.
    pub(super) colour: bool,
    pub(super) masker: &'a Masker,
}

/// A line of output, or a piece of one, without line end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Arrival time of its first byte.
    pub(super) at: Duration,
    pub(super) text: String,
}

/// One stream of output.
#[derive(Debug, Default)]
pub(super) struct Lines {
    escapes: Escapes,
    line: Vec<u8>,
    at: Duration,
    /// A carriage return was received: the next visible byte starts the line again.
    has_returned: bool,
    /// The line had other text before.
    is_rewritten: bool,
    /// Part of the line was emitted, so the end of the line alone is not another line.
    is_continued: bool,
    /// The active colours.
    active: Vec<u8>,
    /// The active colours at the start of the line.
    inherited: Vec<u8>,
}

impl Lines {
    /// Processes `bytes` that arrived at `at`, and passes each complete line to `emit`.
    pub(super) fn feed(
        &mut self,
        at: Duration,
        bytes: &[u8],
        rules: Rules<'_>,
        mut emit: impl FnMut(Line),
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
                    Event::Text(b'\n') => self.end_line(at, rules, &mut emit),
                    Event::Text(b'\r') => self.has_returned = true,
                    Event::Text(byte) => self.append(at, &[byte]),
                    Event::Colour if rules.colour => self.colour(at),
                    Event::Colour | Event::Nothing => {}
                }
            }
            if self.line.len() >= rules.limit {
                self.cut(rules, &mut emit);
            }
        }
    }

    /// Emits an unfinished line, except an end that can be the start of a secret.
    pub(super) fn pause(&mut self, rules: Rules<'_>, mut emit: impl FnMut(Line)) {
        if !self.line.is_empty() {
            self.cut(rules, &mut emit);
        }
    }

    /// Emits everything, because no output follows.
    pub(super) fn end(&mut self, rules: Rules<'_>, mut emit: impl FnMut(Line)) {
        if !self.line.is_empty() {
            let line = mem::take(&mut self.line);
            emit(self.finished(&line, rules));
        }
        *self = Self::default();
    }

    pub(super) fn is_unfinished(&self) -> bool {
        !self.line.is_empty()
    }

    /// Whether the unfinished line has replaced other text, like a progress bar.
    pub(super) fn is_rewritten(&self) -> bool {
        self.is_unfinished() && self.is_rewritten
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.line.capacity() + self.active.capacity() + self.inherited.capacity()
    }

    fn append(&mut self, at: Duration, text: &[u8]) {
        if mem::take(&mut self.has_returned) {
            self.is_rewritten |= !self.line.is_empty();
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
        // The text before a carriage return can stay, so a colour alone does not clear it.
        if !self.has_returned {
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

    fn end_line(&mut self, at: Duration, rules: Rules<'_>, emit: &mut impl FnMut(Line)) {
        let is_end_of_pieces = mem::take(&mut self.is_continued) && self.line.is_empty();
        self.has_returned = false;
        self.is_rewritten = false;
        if is_end_of_pieces {
            return;
        }
        self.begin(at);
        let line = mem::take(&mut self.line);
        emit(self.finished(&line, rules));
        // The buffer is reused, unless a very long line has made it large.
        if line.capacity() <= rules.limit {
            self.line = line;
            self.line.clear();
        }
    }

    /// Emits the line so far, except an end that must not be cut.
    fn cut(&mut self, rules: Rules<'_>, emit: &mut impl FnMut(Line)) {
        let incomplete = incomplete_character(&self.line);
        let (whole, incomplete) = self.line.split_at(self.line.len() - incomplete);
        let text = String::from_utf8_lossy(whole).into_owned();
        // A line that can be the start of a secret as a whole is emitted at some length. Otherwise it would grow forever.
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
        emit(self.finished(ready.as_bytes(), rules));
        self.line = kept;
        self.inherited.clone_from(&self.active);
        self.is_continued = true;
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
            // A secret with such characters can be recognized only before they are escaped.
            text = escaped(rules.masker.mask(text), Origin::Output);
        }
        Line { at: self.at, text }
    }
}

/// The number of bytes at the end that are an incomplete character.
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
