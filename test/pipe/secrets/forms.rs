//! The forms in which programs write a secret, and the search for many secrets at once.
//!
//! Percent encoding and the `+` of forms are decoded before the search, twice, so that the choice of encoded characters does
//! not matter. A part of base64 is sufficient: regardless of the text before and after the secret, such as `user:`, its
//! middle has one of three forms.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Minimum length of a form. Shorter forms are found by chance.
const SHORTEST_BYTES: usize = 8;

/// A secret in one form.
#[derive(Debug)]
struct Form {
    secret: usize,
    name: &'static str,
    bytes: Vec<u8>,
}

/// A match.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Number of the secret, in the order of adding.
    pub secret: usize,
    /// The form.
    pub form: &'static str,
    /// The text around it.
    pub around: String,
}

/// All forms of all secrets.
#[derive(Debug, Default)]
pub struct Finder {
    forms: Vec<Form>,
    by_start: BTreeMap<[u8; 2], Vec<usize>>,
    /// Whether any form begins with these two bytes.
    starts: Vec<bool>,
}

impl Finder {
    /// Adds a value of a secret, which can have several.
    pub fn add(&mut self, secret: usize, value: &[u8]) {
        assert!(value.len() >= SHORTEST_BYTES, "found by chance");
        for (name, bytes) in forms(value) {
            let &[first, second, ..] = &bytes[..] else {
                continue;
            };
            self.starts.resize(1 << 16, false);
            self.starts[start(first, second)] = true;
            let known = self.by_start.entry([first, second]).or_default();
            known.push(self.forms.len());
            self.forms.push(Form {
                secret,
                name,
                bytes,
            });
        }
    }

    /// Finds every secret in `text`, once for each form.
    pub fn find(&self, text: &[u8]) -> Vec<Found> {
        let mut found = self.find_as_it_is(text, None);
        for as_form in [false, true] {
            let once = decoded(text, as_form);
            if once != text {
                found.extend(self.find_as_it_is(&once, Some("percent-encoded")));
                let twice = decoded(&once, as_form);
                if twice != once {
                    found.extend(self.find_as_it_is(&twice, Some("percent-encoded twice")));
                }
            }
        }
        let plain: Vec<usize> = found
            .iter()
            .filter(|found| found.form == "plain")
            .map(|found| found.secret)
            .collect();
        // A match in the text itself is not repeated.
        found.retain(|found| !found.form.starts_with("percent") || !plain.contains(&found.secret));
        found.sort();
        found.dedup_by_key(|found| (found.secret, found.form));
        found
    }

    fn find_as_it_is(&self, text: &[u8], form: Option<&'static str>) -> Vec<Found> {
        let mut found: BTreeMap<(usize, &'static str), usize> = BTreeMap::new();
        for (place, pair) in text.windows(2).enumerate() {
            if !self
                .starts
                .get(start(pair[0], pair[1]))
                .is_some_and(|is| *is)
            {
                continue;
            }
            for &number in &self.by_start[&[pair[0], pair[1]]] {
                let known = &self.forms[number];
                if text[place..].starts_with(&known.bytes) {
                    let name = match (known.name, form) {
                        ("plain", Some(form)) => form,
                        (name, _) => name,
                    };
                    found.entry((known.secret, name)).or_insert(place);
                }
            }
        }
        let around = |place: usize| {
            let from = place.saturating_sub(60);
            let to = text.len().min(place + 100);
            String::from_utf8_lossy(&text[from..to]).into_owned()
        };
        let found = found.into_iter().map(|((secret, form), place)| Found {
            secret,
            form,
            around: around(place),
        });
        found.collect()
    }
}

/// The lines that contain a part of `value`, as printed by programs that split their output into lines: base64, and dumps
/// in hexadecimal with or without a text column.
pub fn lines_with_parts(value: &[u8], text: &str) -> Vec<String> {
    /// Length of a part in base64, in digits and in characters.
    const PARTS: [usize; 3] = [12, 16, 8];
    let swapped = |offset: usize| {
        let words = value[offset..].chunks_exact(2);
        let bytes: Vec<u8> = words.flat_map(|word| [word[1], word[0]]).collect();
        hexadecimal(&bytes)
    };
    let mut texts: Vec<(usize, String)> = vec![
        (PARTS[1], hexadecimal(value)),
        (PARTS[1], swapped(0)),
        (PARTS[1], swapped(1)),
        (PARTS[2], String::from_utf8_lossy(value).into_owned()),
    ];
    for before in 0..3 {
        let encoded = middle(&STANDARD_NO_PAD, value, before);
        texts.push((PARTS[0], String::from_utf8(encoded).unwrap()));
    }
    let lines = text.lines().filter(|line| {
        let joined = line.replace([' ', '\r'], "");
        texts.iter().any(|(length, text)| {
            let mut parts = text.as_bytes().windows(*length);
            parts.any(|part| {
                let part = String::from_utf8_lossy(part);
                line.contains(&*part) || joined.contains(&*part)
            })
        })
    });
    lines.map(str::to_owned).collect()
}

fn start(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// The forms of a value. Percent encoding is decoded in the text instead.
fn forms(value: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let lower = hexadecimal(value);
    let mut forms = vec![
        ("plain", value.to_owned()),
        ("hexadecimal", lower.to_uppercase().into_bytes()),
        ("hexadecimal", lower.into_bytes()),
    ];
    if let Ok(text) = str::from_utf8(value) {
        let json = serde_json::to_string(text).unwrap();
        let json = json.trim_matches('"').to_owned();
        let mut ascii = String::new();
        for unit in json.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte @ b' '..=b'~') => ascii.push(char::from(byte)),
                _ => write!(ascii, "\\u{unit:04x}").unwrap(),
            }
        }
        forms.push(("JSON", ascii.into_bytes()));
        forms.push(("JSON", json.replace('/', "\\/").into_bytes()));
        forms.push(("JSON", json.into_bytes()));
    }
    for before in 0..3 {
        forms.push(("base64", middle(&STANDARD_NO_PAD, value, before)));
        forms.push(("base64", middle(&URL_SAFE_NO_PAD, value, before)));
    }
    forms.retain(|(name, bytes)| *name == "plain" || bytes != value);
    forms.sort();
    forms.dedup();
    forms
}

fn hexadecimal(value: &[u8]) -> String {
    let mut digits = String::new();
    for byte in value {
        write!(digits, "{byte:02x}").unwrap();
    }
    digits
}

/// The part of its base64 that is the same for every text before the value of this length, modulo three.
fn middle(engine: &impl Engine, value: &[u8], before: usize) -> Vec<u8> {
    let encoded = engine.encode([&[0; 2][..before], value].concat());
    let from = (before * 8).div_ceil(6);
    let to = (before + value.len()) * 8 / 6;
    encoded.as_bytes()[from..to].to_owned()
}

/// Decodes percent encoding, and with `as_form` also `+` for spaces.
fn decoded(text: &[u8], as_form: bool) -> Vec<u8> {
    let digit = |at: usize| {
        let byte = char::from(*text.get(at)?);
        byte.to_digit(16).and_then(|digit| u8::try_from(digit).ok())
    };
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let escaped = (byte == b'%').then(|| Some(digit(at + 1)? << 4 | digit(at + 2)?));
        if let Some(escaped) = escaped.flatten() {
            decoded.push(escaped);
            at += 3;
            continue;
        }
        decoded.push(if as_form && byte == b'+' { b' ' } else { byte });
        at += 1;
    }
    decoded
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use url::form_urlencoded::byte_serialize;

    use super::*;

    const SECRET: &str = "pa+ss/wo=rd%25:and@more é>?";

    fn found(text: &str) -> Vec<&'static str> {
        let mut finder = Finder::default();
        finder.add(0, SECRET.as_bytes());
        let found = finder.find(text.as_bytes());
        found.into_iter().map(|found| found.form).collect()
    }

    #[test]
    fn a_secret_is_found_in_each_form() {
        assert_eq!(found(&format!("x{SECRET}x")), ["plain"]);
        let percent = utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string();
        let form: String = byte_serialize(SECRET.as_bytes()).collect();
        for text in [percent.clone(), percent.to_lowercase(), form] {
            let text = format!("https://me:{text}@example.com/");
            assert_eq!(found(&text), ["percent-encoded"], "{text}");
        }
        let twice = utf8_percent_encode(&percent, NON_ALPHANUMERIC).to_string();
        assert_eq!(found(&twice), ["percent-encoded twice"]);
        for text in [
            r"pa+ss\/wo=rd%25:and@more é>?",
            r"pa+ss/wo=rd%25:and@more \u00e9>?",
        ] {
            assert_eq!(found(text), ["JSON"]);
        }
        let hex = hexadecimal(SECRET.as_bytes());
        assert_eq!(found(&hex), ["hexadecimal"]);
        assert_eq!(found(&hex.to_uppercase()), ["hexadecimal"]);
    }

    #[test]
    fn a_secret_is_found_at_every_offset_in_base64() {
        for before in ["", "a", "ab", "abc", "me:", "some-user:"] {
            for behind in ["", "\n", "}}", "}}}"] {
                let text = format!("{before}{SECRET}{behind}");
                for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                    assert_eq!(found(&format!("Basic {encoded}\r\n")), ["base64"], "{text}");
                    let in_address = utf8_percent_encode(&encoded, NON_ALPHANUMERIC);
                    assert_eq!(found(&in_address.to_string()), ["base64"], "{text}");
                }
            }
        }
    }

    #[test]
    fn a_secret_that_is_absent_is_not_found() {
        for text in ["", "p", "pa+ss/wo=rd", "pass word", &"%".repeat(100)] {
            assert_eq!(found(text), Vec::<&str>::new());
        }
    }

    #[test]
    fn secrets_are_distinguished() {
        let mut finder = Finder::default();
        finder.add(0, b"first-secret");
        finder.add(1, b"first-and-second");
        finder.add(1, b"its-other-half");
        let found = finder.find(b"xx its-other-half xx first-secret");
        let found: Vec<_> = found
            .iter()
            .map(|found| (found.secret, found.form))
            .collect();
        assert_eq!(found, [(0, "plain"), (1, "plain")]);
    }
}
