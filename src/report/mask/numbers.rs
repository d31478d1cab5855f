//! Finds bytes that are written as single numbers or characters: lists of decimal bytes, as `[110, 112]` in many languages,
//! and the output of `od`, `od -b`, `od -c` and `hexdump -c`.
//!
//! One pass reads the words between separators in all these ways at once.

use std::ops::Range;

use super::hex::{GRAM_BYTES, GRAM_MASK};

/// Maximum length of a word: six digits, or a character in quotes.
const WORD_BYTES: usize = 6;

/// Maximum number of separators between two words.
const GAP_LIMIT: usize = 4;

/// The bytes of a word.
#[derive(Clone, Copy)]
enum Bytes {
    One(u8),
    /// Two bytes, in the memory order of most machines.
    Two(u8, u8),
}

/// Reads a word in one way.
type Read = fn(&[u8]) -> Option<Bytes>;

/// The ways to read a word.
const READINGS: [Read; 4] = [decimal, octal, octal_word, character];

/// The last bytes read in one way.
#[derive(Clone, Copy, Default)]
struct Reading {
    bytes: u64,
    count: usize,
    /// The start of each of the last bytes.
    starts: [usize; GRAM_BYTES],
}

impl Reading {
    /// Adds a byte whose word begins at `start`. If it ends a part of a secret, returns the start of that part.
    fn push(&mut self, byte: u8, start: usize, is_part: &impl Fn(u64) -> bool) -> Option<usize> {
        self.bytes = (self.bytes << 8 | u64::from(byte)) & GRAM_MASK;
        self.starts.rotate_left(1);
        if let Some(last) = self.starts.last_mut() {
            *last = start;
        }
        self.count = (self.count + 1).min(GRAM_BYTES);
        let [first, ..] = self.starts;
        (self.count == GRAM_BYTES && is_part(self.bytes)).then_some(first)
    }
}

/// Adds the ranges of `text` that contain a part of a secret. `is_part` recognizes parts of five bytes.
pub(super) fn find(text: &[u8], is_part: &impl Fn(u64) -> bool, spans: &mut Vec<Range<usize>>) {
    let mut readings = [Reading::default(); READINGS.len()];
    let mut end_of_last = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        if is_separator(rest) {
            at += 1;
            continue;
        }
        let length = rest.iter().position(|byte| is_separator(&[*byte]));
        let length = length.unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        if at - end_of_last > GAP_LIMIT {
            readings = [Reading::default(); READINGS.len()];
        }
        for (reading, read) in readings.iter_mut().zip(READINGS) {
            let bytes = if length > WORD_BYTES {
                None
            } else {
                read(word)
            };
            let found = match bytes {
                None => {
                    *reading = Reading::default();
                    None
                }
                Some(Bytes::One(byte)) => reading.push(byte, at, is_part),
                Some(Bytes::Two(first, second)) => {
                    let found = reading.push(first, at, is_part);
                    reading.push(second, at, is_part).or(found)
                }
            };
            if let Some(start) = found {
                spans.push(start..at + length);
            }
        }
        at += length;
        end_of_last = at;
    }
}

/// Whether `text` begins with a separator.
fn is_separator(text: &[u8]) -> bool {
    matches!(
        text,
        [
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b';' | b'[' | b']' | b'(' | b')' | b'{' | b'}',
            ..
        ]
    )
}

fn decimal(word: &[u8]) -> Option<Bytes> {
    let is_number = (1..=3).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(word).ok()?;
    is_number.then(|| text.parse().ok().map(Bytes::One))?
}

fn octal(word: &[u8]) -> Option<Bytes> {
    let value = (word.len() == 3).then(|| octal_number(word))??;
    u8::try_from(value).ok().map(Bytes::One)
}

fn octal_word(word: &[u8]) -> Option<Bytes> {
    let value = (word.len() == 6).then(|| octal_number(word))??;
    let [first, second] = value.to_le_bytes();
    Some(Bytes::Two(first, second))
}

fn octal_number(word: &[u8]) -> Option<u16> {
    u16::from_str_radix(std::str::from_utf8(word).ok()?, 8).ok()
}

/// One character, with or without quotes. The same dumps print other characters in octal.
fn character(word: &[u8]) -> Option<Bytes> {
    match *word {
        [byte] | [b'\'', byte, b'\''] | [b'"', byte, b'"'] => Some(Bytes::One(byte)),
        _ => octal(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"pA+s5/w0=rd%:@q>?Kz";

    fn hidden(text: &str) -> String {
        let is_part = |key: u64| {
            SECRET
                .windows(GRAM_BYTES)
                .any(|part| part.iter().fold(0, |key, &byte| key << 8 | u64::from(byte)) == key)
        };
        let mut spans = Vec::new();
        find(text.as_bytes(), &is_part, &mut spans);
        let mut hidden = text.as_bytes().to_vec();
        for span in spans {
            hidden[span].fill(b'*');
        }
        String::from_utf8(hidden).unwrap()
    }

    #[test]
    fn lists_of_bytes_are_found() {
        let words = |write: fn(u8) -> String, separator: &str| {
            let words: Vec<String> = SECRET.iter().map(|&byte| write(byte)).collect();
            words.join(separator)
        };
        let decimal = |byte: u8| byte.to_string();
        let octal = |byte: u8| format!("{byte:03o}");
        let character = |byte: u8| char::from(byte).to_string();
        let quoted = |byte: u8| format!("'{}'", char::from(byte));
        for list in [
            words(decimal, ", "),
            words(decimal, ","),
            words(decimal, " "),
            words(octal, " "),
            words(character, "   "),
            words(quoted, ", "),
        ] {
            let stars = "*".repeat(list.len());
            assert_eq!(hidden(&format!("x [{list}] y")), format!("x [{stars}] y"));
        }
    }

    #[test]
    fn words_of_od_are_found_at_every_offset() {
        for before in [&b""[..], b"x"] {
            let mut bytes = [before, SECRET].concat();
            bytes.resize(20, b'y');
            let words = bytes.chunks(2).map(|word| match *word {
                [first, second] => format!("{:06o}", u16::from_le_bytes([first, second])),
                _ => String::new(),
            });
            let words: Vec<String> = words.collect();
            let shown = hidden(&format!("0000000 {}", words.join(" ")));
            let readable = shown.split(' ').skip(1).filter(|word| !word.contains('*'));
            assert_eq!(readable.count(), 0, "{shown}");
        }
    }

    #[test]
    fn other_numbers_are_not_masked() {
        for text in [
            "1, 2, 3, 4, 5, 6",
            "112, 65, 43, 115",
            "a b c d e f g",
            "0000000 000001 000002",
            "",
        ] {
            assert_eq!(hidden(text), text);
        }
    }
}
