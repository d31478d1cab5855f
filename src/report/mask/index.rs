//! Finds all forms of all secrets in one pass over a text.
//!
//! The first [`WINDOW`] bytes of each form are a key of a table, so the time per byte is the same for one secret and for a
//! hundred. Most programs split base64 into lines, so each window of it is masked separately: at the end and at the
//! beginning of a line, at most one character less than a window stays readable. A line that is shorter than a window, as
//! printed by `base64 -w 4`, is not masked. A long secret is also found if it is split into lines of at least
//! [`LONG_WINDOW`] bytes.

use std::collections::HashMap;
use std::ops::Range;

use secrecy::{ExposeSecret, SecretString};

use super::filter::Keys;
use super::hex::HexIndex;
use super::numbers;
use crate::text::forms;

/// Length of a window in bytes. No form is shorter.
pub(super) const WINDOW: usize = 8;

/// Length in bytes of a window of a long secret that is not encoded. Shorter parts are often words, such as those of a URL.
const LONG_WINDOW: usize = 16;

/// Minimum length in bytes of a secret that is found in lines.
const LONG_BYTES: usize = 32;

/// Maximum length of a secret whose parts are found. Longer secrets, which are not passwords, are found as a whole.
const PARTS_LIMIT_BYTES: usize = 16 << 10;

/// Maximum length of a secret whose base64 is found in hexadecimal.
const ENCODED_LIMIT_BYTES: usize = 512;

/// Maximum number of parts of the run's own secrets, which then use some 20 MiB. Further secrets are found as a whole, and only in the
/// usual forms: a file with secrets can have thousands of lines.
pub(super) const MAX_PARTS: usize = 1 << 19;

/// Memory of a part in bytes, with its share of the table and the filter.
const PART_BYTES: usize = 32;

/// The secrets, and the tables that find them.
#[derive(Default)]
pub(super) struct Index {
    /// Forms that are masked as a whole.
    forms: Vec<SecretString>,
    /// The positions in `forms`, by first window.
    by_start: HashMap<u64, Vec<usize>>,
    starts: Keys,
    /// Windows of base64. Each is masked.
    parts: Keys,
    /// Windows of [`LONG_WINDOW`] bytes of long secrets that are not encoded. Each is masked.
    long_parts: Keys,
    hex: HexIndex,
}

impl Index {
    pub(super) fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// The number of parts of secrets.
    pub(super) fn parts(&self) -> usize {
        self.parts.len() + self.long_parts.len() + self.hex.len()
    }

    /// Whether this secret is in the index as a whole.
    pub(super) fn contains(&self, secret: &str) -> bool {
        window(secret.as_bytes())
            .is_some_and(|start| self.starting(start).any(|form| form == secret))
    }

    /// Adds a secret of at least [`WINDOW`] bytes on one line: all its forms and their parts, or only the usual forms. Returns an
    /// estimate of the memory for it, in bytes.
    pub(super) fn add(&mut self, secret: &str, with_parts: bool) -> usize {
        if self.contains(secret) {
            return 0;
        }
        let mut bytes = 0;
        let forms = if with_parts {
            forms::of(secret)
        } else {
            forms::usual(secret)
        };
        for form in forms {
            let Some(start) = window(form.as_bytes()) else {
                continue;
            };
            bytes += form.len() + PART_BYTES;
            self.starts.insert(start);
            self.by_start
                .entry(start)
                .or_default()
                .push(self.forms.len());
            self.forms.push(form.into());
        }
        if with_parts && secret.len() <= PARTS_LIMIT_BYTES {
            let before = self.parts();
            for form in forms::base64(secret).chain(forms::base64_twice(secret)) {
                for part in form.as_bytes().windows(WINDOW) {
                    self.parts.insert(window(part).unwrap_or_default());
                }
            }
            if secret.len() >= LONG_BYTES {
                let parts = secret.as_bytes().windows(LONG_WINDOW);
                for part in parts.filter(|part| is_of_secret(part)) {
                    let key = part.iter().fold(0, |key, &byte| long_pushed(key, byte));
                    self.long_parts.insert(folded(key));
                }
            }
            self.hex.add(secret.as_bytes());
            if secret.len() <= ENCODED_LIMIT_BYTES {
                forms::base64(secret).for_each(|form| self.hex.add_grams(form.as_bytes()));
            }
            bytes += (self.parts() - before) * PART_BYTES;
        }
        bytes
    }

    /// Estimated memory of the index, in bytes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let forms = self
            .forms
            .iter()
            .map(|form| form.expose_secret().len() + PART_BYTES);
        forms.sum::<usize>() + self.parts() * PART_BYTES
    }

    fn starting(&self, start: u64) -> impl Iterator<Item = &str> {
        let places = self.by_start.get(&start).into_iter().flatten();
        let forms = places.filter_map(|&place| self.forms.get(place));
        forms.map(ExposeSecret::expose_secret)
    }

    /// The ranges of `text` that contain secrets, in order. Overlapping ranges are joined, so that every secret is masked completely.
    pub(super) fn spans(&self, text: &str) -> Vec<Range<usize>> {
        if self.is_empty() {
            return Vec::new();
        }
        let bytes = text.as_bytes();
        let mut spans: Vec<Range<usize>> = Vec::new();
        // A later match can begin earlier.
        let mut add = |start: usize, end: usize| {
            let mut span = start..end;
            while let Some(last) = spans.pop_if(|last| span.start <= last.end) {
                span = span.start.min(last.start)..span.end.max(last.end);
            }
            spans.push(span);
        };
        let mut key = 0;
        let mut long_key = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            key = pushed(key, byte);
            long_key = long_pushed(long_key, byte);
            let Some(start) = (at + 1).checked_sub(WINDOW) else {
                continue;
            };
            if self.starts.contains(key) {
                let rest = bytes.get(start..).unwrap_or_default();
                for form in self.starting(key) {
                    if rest.starts_with(form.as_bytes()) {
                        add(start, start + form.len());
                    }
                }
            }
            if self.parts.contains(key) {
                add(start, at + 1);
            }
            if let Some(start) = (at + 1).checked_sub(LONG_WINDOW)
                && self.long_parts.contains(folded(long_key))
            {
                add(start, at + 1);
            }
        }
        let mut digits = Vec::new();
        self.hex.find(bytes, &mut digits);
        let mut listed = Vec::new();
        numbers::find(bytes, &|part| self.hex.contains(part), &mut listed);
        if digits.is_empty() && listed.is_empty() {
            return spans;
        }
        let gutters: Vec<_> = digits
            .iter()
            .filter_map(|span| HexIndex::gutter(bytes, span))
            .collect();
        spans.extend(digits);
        spans.extend(listed);
        spans.extend(gutters);
        joined(spans)
    }

    /// The length of the end of `text` that must not be separated from the text that follows: it can be the beginning of a
    /// form, or the middle of a base64 that is masked in parts.
    pub(super) fn open_end(&self, text: &str) -> usize {
        let bytes = text.as_bytes();
        let longest = self.forms.iter().map(|form| form.expose_secret().len());
        let longest = longest.max().unwrap_or(0).min(bytes.len());
        let is_beginning = |start: usize| {
            let end = bytes.get(start..).unwrap_or_default();
            let is_prefix = |form: &str| form.len() > end.len() && form.as_bytes().starts_with(end);
            match end.get(..WINDOW).and_then(window) {
                Some(first) => self.starts.contains(first) && self.starting(first).any(is_prefix),
                None => self
                    .forms
                    .iter()
                    .any(|form| is_prefix(form.expose_secret())),
            }
        };
        let beginning = (bytes.len() - longest..bytes.len()).find(|&start| is_beginning(start));
        let is_part = |part: &[u8]| window(part).is_some_and(|part| self.parts.contains(part));
        let part = first_of_last(bytes, WINDOW, is_part);
        let is_part = |part: &[u8]| {
            let key = part.iter().fold(0, |key, &byte| long_pushed(key, byte));
            self.long_parts.contains(folded(key))
        };
        let part = part
            .into_iter()
            .chain(first_of_last(bytes, LONG_WINDOW, is_part));
        // The end of a whole secret is masked with it, and rarely begins another secret.
        let is_masked = |start: usize| {
            let mut spans = self.spans(text).into_iter();
            spans.any(|span| span.start < start && start < span.end)
        };
        let beginning = beginning.filter(|&start| !is_masked(start));
        let start = beginning.into_iter().chain(part).min();
        start.map_or(0, |start| bytes.len() - start)
    }
}

/// The first window of `bytes` as a key.
fn window(bytes: &[u8]) -> Option<u64> {
    let bytes = bytes.get(..WINDOW)?;
    Some(bytes.iter().fold(0, |key, &byte| pushed(key, byte)))
}

/// The key of the window that ends one byte later.
fn pushed(key: u64, byte: u8) -> u64 {
    key << 8 | u64::from(byte)
}

/// The same for a window of [`LONG_WINDOW`] bytes.
fn long_pushed(key: u128, byte: u8) -> u128 {
    key << 8 | u128::from(byte)
}

/// Reduces a long key to 64 bits. A collision masks some text that is not secret.
fn folded(key: u128) -> u64 {
    let upper = u64::try_from(key >> 64).unwrap_or_default();
    let lower = u64::try_from(key & u128::from(u64::MAX)).unwrap_or_default();
    upper.wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(29) ^ lower
}

/// Whether a window looks like part of a key or a token: only letters, digits and the marks of base64, in mixed case or
/// with digits.
fn is_of_secret(part: &[u8]) -> bool {
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_.~".contains(byte);
    let count = |is_of_class: fn(&u8) -> bool| part.iter().filter(|byte| is_of_class(byte)).count();
    let upper = count(u8::is_ascii_uppercase);
    let lower = count(u8::is_ascii_lowercase);
    let digits = count(u8::is_ascii_digit);
    part.iter().all(is_of_token) && ((digits >= 1 && upper + lower >= 1) || upper.min(lower) >= 2)
}

/// The start of the longest sequence of windows at the end of `bytes` that are all parts of a secret.
fn first_of_last(bytes: &[u8], size: usize, is_part: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let windows = bytes.windows(size).enumerate().rev();
    let parts = windows.take_while(|(_, part)| is_part(part));
    parts.map(|(start, _)| start).last()
}

fn joined(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_unstable_by_key(|span| span.start);
    spans.dedup_by(|next, kept| {
        let is_joined = next.start <= kept.end;
        if is_joined {
            kept.end = kept.end.max(next.end);
        }
        is_joined
    });
    spans
}
