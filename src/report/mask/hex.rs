//! Finds parts of secrets in hexadecimal, as printed by `xxd`, `od -x`, `od -t x1`, `hexdump` and other programs.
//!
//! All of them split the digits into lines, so each part of [`GRAM_BYTES`] bytes is found separately: at the end and at the
//! beginning of a line, at most one byte less stays readable. Digits can be in groups, with separators between bytes, and
//! the bytes of a word can be reversed.

use std::ops::Range;

use super::filter::Keys;

/// Length of a part. Five successive bytes do not occur by chance in the digests of a log.
pub(super) const GRAM_BYTES: usize = 5;
const GRAM_DIGITS: usize = GRAM_BYTES * 2;
pub(super) const GRAM_MASK: u64 = (1 << (GRAM_BYTES * 8)) - 1;

/// Sizes of reversed words, as `od` and `hexdump` print them on most machines.
const WORDS: [usize; 2] = [2, 4];

/// Maximum length of a secret whose reversed words are found.
const WORDS_LIMIT_BYTES: usize = 512;

/// Maximum number of characters between two digits: those of `, 0x` without its `0`.
const GAP_LIMIT: usize = 3;

/// Number of digits whose places are kept; a power of two above [`GRAM_DIGITS`].
const PLACES: usize = 16;

/// Minimum length of the text column that is masked together with the digits.
const GUTTER_BYTES: usize = 4;

/// Parts of secrets, as numbers.
#[derive(Default)]
pub(super) struct HexIndex(Keys);

impl HexIndex {
    pub(super) fn add(&mut self, secret: &[u8]) {
        self.add_grams(secret);
        if secret.len() > WORDS_LIMIT_BYTES {
            return;
        }
        for size in WORDS {
            for offset in 0..size {
                let words = secret.get(offset..).unwrap_or_default().chunks_exact(size);
                let reversed: Vec<u8> = words.flat_map(|word| word.iter().rev().copied()).collect();
                self.add_grams(&reversed);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether these five bytes are part of a secret.
    pub(super) fn contains(&self, gram: u64) -> bool {
        self.0.contains(gram)
    }

    /// Adds bytes in their own order only.
    pub(super) fn add_grams(&mut self, bytes: &[u8]) {
        for gram in bytes.windows(GRAM_BYTES) {
            let key = gram.iter().fold(0, |key, &byte| key << 8 | u64::from(byte));
            self.0.insert(key);
        }
    }

    /// Adds the ranges of `text` that contain a part of a secret, in order.
    pub(super) fn find(&self, text: &[u8], spans: &mut Vec<Range<usize>>) {
        let mut digits = 0_u64;
        let mut count = 0;
        let mut gap = 0;
        let mut places = [0; PLACES];
        for (at, &byte) in text.iter().enumerate() {
            if let Some(digit) = digit(byte) {
                gap = 0;
                digits = digits << 4 | digit;
                count += 1;
                if let Some(place) = places.get_mut(count % PLACES) {
                    *place = at;
                }
                if count >= GRAM_DIGITS && self.0.contains(digits & GRAM_MASK) {
                    let first = (count + 1).wrapping_sub(GRAM_DIGITS) % PLACES;
                    let start = places.get(first).copied().unwrap_or(at);
                    match spans.last_mut() {
                        Some(last) if start <= last.end => last.end = at + 1,
                        _ => spans.push(start..at + 1),
                    }
                }
            } else if is_separator(byte) && gap < GAP_LIMIT && count > 0 {
                // The zero of `0x` is not part of a byte.
                let is_prefix =
                    matches!(byte, b'x' | b'X') && gap == 0 && digits.trailing_zeros() >= 4;
                if is_prefix {
                    digits >>= 4;
                    count -= 1;
                }
                gap += 1;
            } else {
                count = 0;
                gap = 0;
            }
        }
    }

    /// The text column of the digits at `span`, on the same line, as printed by `xxd` and `hexdump -C`.
    pub(super) fn gutter(text: &[u8], span: &Range<usize>) -> Option<Range<usize>> {
        let digits = text.get(span.clone())?.iter().copied().filter_map(digit);
        let digits: Vec<u64> = digits.collect();
        let shown = digits.chunks_exact(2).map(|pair| {
            let byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
            let byte = u8::try_from(byte).unwrap_or_default();
            let is_shown = byte.is_ascii_graphic() || byte == b' ';
            if is_shown { byte } else { b'.' }
        });
        let shown: Vec<u8> = shown.collect();
        let rest = text.get(span.end..)?;
        let line = rest.split(|&byte| byte == b'\n').next()?;
        if shown.len() < GUTTER_BYTES {
            return None;
        }
        let found = memchr::memmem::find(line, &shown)?;
        let start = span.end + found;
        Some(start..start + shown.len())
    }
}

fn digit(byte: u8) -> Option<u64> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => return None,
    };
    Some(digit.into())
}

/// Whether a byte can separate bytes or groups of bytes.
fn is_separator(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b':' | b',' | b'-' | b'_' | b'%' | b'\\' | b'x' | b'X'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"pA+s5/w0=rd%:@\"q>?Kz";

    fn hidden(text: &str) -> String {
        let mut index = HexIndex::default();
        index.add(SECRET);
        let mut spans = Vec::new();
        index.find(text.as_bytes(), &mut spans);
        let mut hidden = text.as_bytes().to_vec();
        let gutters: Vec<_> = spans
            .iter()
            .filter_map(|span| HexIndex::gutter(text.as_bytes(), span))
            .collect();
        for span in spans.into_iter().chain(gutters) {
            hidden[span].fill(b'*');
        }
        String::from_utf8(hidden).unwrap()
    }

    #[test]
    fn digits_are_found_with_every_separator() {
        let joined = |separator: &str, upper: bool| {
            let bytes = SECRET.iter().map(|byte| format!("{byte:02x}"));
            let bytes = bytes.map(|byte| if upper { byte.to_uppercase() } else { byte });
            bytes.collect::<Vec<_>>().join(separator)
        };
        for separator in ["", " ", "  ", ":", "-", ", ", "\\x", "%", ", 0x"] {
            for upper in [false, true] {
                let digits = joined(separator, upper);
                let shown = hidden(&format!("before {digits} behind"));
                let stars = "*".repeat(digits.len());
                assert_eq!(shown, format!("before {stars} behind"), "{separator:?}");
            }
        }
    }

    #[test]
    fn lines_of_dumps_are_masked_with_their_text_column() {
        let text = "\
00000000: 6563 686f 2070 412b 7335 2f77 303d 7264  echo pA+s5/w0=rd
00000010: 253a 4022 713e 3f4b 7a0a                 %:@\"q>?Kz.
00000000  65 63 68 6f 20 70 41 2b  73 35 2f 77 30 3d 72 64  |echo pA+s5/w0=rd|
";
        let shown = hidden(text);
        for part in ["pA+s", "s5/w", "%:@", "Kz", "7041", "412b", "7a0a", "77 30"] {
            assert!(!shown.contains(part), "{part} in {shown}");
        }
        assert!(
            shown.contains("echo ") && shown.contains("00000010"),
            "{shown}"
        );
        // `od -x` and `od -t x4`: the secret begins within a word.
        let mut bytes = b"x".to_vec();
        bytes.extend_from_slice(SECRET);
        bytes.extend_from_slice(b"yyy");
        for size in [2, 4] {
            let words = bytes.chunks(size).map(|word| {
                let digits = word.iter().rev().map(|byte| format!("{byte:02x}"));
                digits.collect::<String>()
            });
            let dump = words.collect::<Vec<_>>().join(" ");
            let shown = hidden(&format!("0000000 {dump}"));
            let readable = shown.split(' ').skip(1).filter(|word| !word.contains('*'));
            // The words at either end, which also contain other bytes, and the padding.
            assert!(readable.count() <= 3, "{dump}: {shown}");
        }
    }

    #[test]
    fn other_digits_are_not_masked() {
        for text in [
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "70412b73 a bad facade, 0x70412b73",
            "",
            "xxxxx0x0x0x",
        ] {
            assert_eq!(hidden(text), text);
        }
    }
}
