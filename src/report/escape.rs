//! Removes terminal control from a byte stream, and keeps text and colours.
//!
//! Build output can move the cursor, set titles or hide the text that follows. In a log with other lines, only colours
//! (`ESC [ … m`) are allowed. Bytes are processed one by one, so a sequence that is split across chunks is recognized.
//! Memory: [`SEQUENCE_BYTES`]. If a sequence is cut off by a line end, or never ends, the text after it is kept.

/// Maximum length of a colour sequence. The bytes after a longer sequence are text.
const SEQUENCE_BYTES: usize = 64;

/// Maximum length of a string, such as a title or a link. The bytes after a longer string are text.
const STRING_BYTES: usize = 4096;

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;
const DELETE: u8 = 0x7f;

/// The effect of one byte.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The byte is not printed.
    Nothing,
    /// The byte is text, a tab, a line end or a carriage return.
    Text(u8),
    /// The byte ends a colour sequence, which [`Escapes::colour`] returns.
    Colour,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte, as in `ESC ( B`.
    Intermediate,
    /// After `ESC [`.
    Control,
    /// In a string, which ends with BEL or `ESC \`: title, link, device control.
    String(usize),
}

/// The state between bytes.
#[derive(Debug, Default)]
pub struct Escapes {
    state: State,
    sequence: Vec<u8>,
}

impl Escapes {
    /// The number of bytes at the start that are plain text, which need no [`Self::push`].
    #[must_use]
    pub fn plain(&self, bytes: &[u8]) -> usize {
        if self.state == State::Text {
            bytes
                .iter()
                .position(|&byte| byte < b' ' || byte == DELETE)
                .unwrap_or(bytes.len())
        } else {
            0
        }
    }

    /// The last complete colour sequence.
    #[must_use]
    pub fn colour(&self) -> &[u8] {
        &self.sequence
    }

    /// Processes the next byte.
    pub fn push(&mut self, byte: u8) -> Event {
        match (self.state, byte) {
            // A line end ends every sequence: a stray part of a sequence in the log is better than lost lines.
            (_, b'\n' | b'\r') => {
                self.state = State::Text;
                Event::Text(byte)
            }
            (_, ESCAPE) => self.go(State::Escape),
            (State::Text, b'\t') => Event::Text(byte),
            (State::String(_), BELL) => self.go(State::Text),
            (State::String(length), _) if length < STRING_BYTES => {
                self.go(State::String(length + 1))
            }
            (_, 0..b' ' | DELETE) => Event::Nothing,
            (State::Text, _) => Event::Text(byte),
            (State::Escape, b'[') => {
                self.sequence.clear();
                self.sequence.extend([ESCAPE, b'[']);
                self.go(State::Control)
            }
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => self.go(State::String(0)),
            (State::Escape | State::Intermediate, b' '..=b'/') => self.go(State::Intermediate),
            (State::Escape | State::Intermediate, b'0'..=b'~') => self.go(State::Text),
            (State::Control, b' '..=b'?') if self.sequence.len() < SEQUENCE_BYTES => {
                self.sequence.push(byte);
                Event::Nothing
            }
            (State::Control, b'@'..=b'~') => {
                self.state = State::Text;
                let colour = byte == b'm'
                    && self
                        .sequence
                        .iter()
                        .skip(2)
                        .all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'));
                self.sequence.push(byte);
                if colour {
                    Event::Colour
                } else {
                    Event::Nothing
                }
            }
            _ => {
                self.state = State::Text;
                Event::Text(byte)
            }
        }
    }

    fn go(&mut self, state: State) -> Event {
        self.state = state;
        Event::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with colours as `{…}`.
    fn shown(bytes: &[u8]) -> String {
        let mut escapes = Escapes::default();
        let mut shown = Vec::new();
        for &byte in bytes {
            match escapes.push(byte) {
                Event::Nothing => {}
                Event::Text(byte) => shown.push(byte),
                Event::Colour => {
                    shown.push(b'{');
                    shown.extend(escapes.colour().iter().skip(2));
                    shown.push(b'}');
                }
            }
        }
        String::from_utf8_lossy(&shown).into_owned()
    }

    #[test]
    fn colours_are_kept() {
        assert_eq!(
            shown(b"\x1b[1;31mred\x1b[0m \x1b[38:5:9mx\x1b[m"),
            "{1;31m}red{0m} {38:5:9m}x{m}"
        );
    }

    #[test]
    fn cursor_movements_titles_and_modes_are_removed() {
        assert_eq!(shown(b"a\x1b[2K\x1b[1Ab\x1b]0;title\x07c\x1b]8;;http://x\x1b\\d\x1b(Be\x1b7f\x1b[?25lg\x1b[>4mh"), "abcdefgh");
    }

    #[test]
    fn control_characters_are_removed_except_tabs_and_line_ends() {
        assert_eq!(shown(b"a\0\x08\x0b\x7fb\tc\r\nd"), "ab\tc\r\nd");
    }

    #[test]
    fn text_after_a_broken_sequence_is_kept() {
        assert_eq!(
            shown(b"\x1b[31\nnext \x1b]0;never ends\nmore"),
            "\nnext \nmore"
        );
        let endless = [b"\x1b]0;".as_slice(), &[b'x'; STRING_BYTES + 10]].concat();
        assert_eq!(shown(&endless).len(), 12);
        let endless = [b"\x1b[".as_slice(), &[b'1'; SEQUENCE_BYTES + 10]].concat();
        assert_eq!(shown(&endless).len(), 12);
    }

    #[test]
    fn bytes_that_are_not_ascii_are_text() {
        assert_eq!(shown("ä\x1b[3ö\x1bü".as_bytes()), "äöü");
    }

    #[test]
    fn plain_text_exists_only_outside_sequences() {
        let mut escapes = Escapes::default();
        assert_eq!(escapes.plain("ab ö\ncd".as_bytes()), 5);
        escapes.push(ESCAPE);
        assert_eq!(escapes.plain(b"[31m"), 0);
    }
}
