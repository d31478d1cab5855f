//! Masks secrets in the log.
//!
//! Bitbucket masks its secured variables, but not tokens that are created during the run, and not a value that reached the
//! pipe through another variable. Secrets are found by their bytes, in the forms of `forms`, and in parts of base64,
//! hexadecimal and lists of bytes, which programs split into lines. A secret is not found if it is encoded in another way,
//! has colour codes in its middle, or is split into lines of a few characters (`base64 -w 4`, `od -t x1 -w4`). Each line of
//! a secret with several lines (a private key) is masked separately.

mod filter;
mod hex;
mod index;
mod numbers;
mod secrets;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use index::WINDOW;
use secrets::Secrets;

/// Minimum length of a secret. Shorter values are often ordinary words: masking them would make the log unreadable, and
/// reveal them.
pub(crate) const MIN_SECRET_BYTES: usize = WINDOW;

/// Printed instead of a secret.
const MASK: &str = "***";

/// The secrets to mask. Clones share them, so a token that is added later is masked everywhere.
#[derive(Clone, Default)]
pub struct Masker {
    secrets: Arc<RwLock<Secrets>>,
}

/// Does not print the index, which contains the secrets.
impl fmt::Debug for Masker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Masker")
    }
}

impl Masker {
    /// Masks `secret` from now on, in all its forms. Lines of it below the minimum length are not masked.
    pub fn add(&self, secret: &str) {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        secret_lines(secret).for_each(|line| secrets.add(line));
    }

    /// Masks a secret that another host created, such as a registry's token.
    ///
    /// The number of these secrets is limited; beyond that, the oldest are no longer masked. So a hostile registry cannot
    /// use up the memory or displace other secrets.
    pub fn add_foreign(&self, secret: &str) {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        secret_lines(secret).for_each(|line| secrets.add_foreign(line));
    }

    /// Replaces each occurrence of a secret.
    #[must_use]
    pub fn mask(&self, text: String) -> String {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let spans = secrets.index().spans(&text);
        if spans.is_empty() {
            return text;
        }
        let mut masked = String::with_capacity(text.len());
        let mut printed = 0;
        for span in spans {
            masked.push_str(text.get(printed..span.start).unwrap_or_default());
            masked.push_str(MASK);
            printed = span.end;
        }
        masked.push_str(text.get(printed..).unwrap_or_default());
        masked
    }

    /// Length in bytes of the longest end of `text` that can be the beginning of a secret.
    ///
    /// A caller that cuts a line in two must move these bytes to the second part. Otherwise a secret can be printed in
    /// two halves.
    pub(crate) fn open_end(&self, text: &str) -> usize {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let open_end = secrets.index().open_end(text);
        // Only a chance match can begin within a character.
        let start = text.floor_char_boundary(text.len() - open_end);
        text.len() - start
    }
}

/// The lines of a secret that are masked separately, because a log can contain one without the others.
pub(crate) fn secret_lines(secret: &str) -> impl Iterator<Item = &str> {
    let lines = secret.lines().map(str::trim);
    lines.filter(|line| line.len() >= MIN_SECRET_BYTES)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    fn masker(secrets: &[&str]) -> Masker {
        let masker = Masker::default();
        for secret in secrets {
            masker.add(secret);
        }
        masker
    }

    #[test]
    fn secrets_are_masked_anywhere_in_a_text() {
        let masker = masker(&["correct-horse", "päßwörter"]);
        assert_eq!(
            masker.mask("correct-horse päßwörter, correct-horsecorrect-horse!".into()),
            "*** ***, ***!"
        );
    }

    #[test]
    fn a_secret_is_masked_in_addresses_and_in_base64() {
        let masker = masker(&["correct/horse"]);
        let text = "https://me:correct%2Fhorse@example.com Basic bWU6Y29ycmVjdC9ob3JzZQ==";
        assert_eq!(
            masker.mask(text.into()),
            "https://me:***@example.com Basic bWU6***Q=="
        );
    }

    #[test]
    fn short_values_are_not_masked() {
        assert_eq!(
            masker(&["true", ""]).mask("true story".into()),
            "true story"
        );
    }

    #[test]
    fn overlapping_secrets_are_masked_completely() {
        let masker = masker(&["abcdefgh", "efghijklmn", "xyxyxyxy"]);
        assert_eq!(
            masker.mask("-abcdefghijklmn-xyxyxyxyxy-".into()),
            "-***-***-"
        );
    }

    #[test]
    fn each_line_of_a_key_is_masked() {
        let masker = masker(&["-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n"]);
        assert_eq!(
            masker.mask("#5 0.1 MIIEvQIBADANBg\n".into()),
            "#5 0.1 ***\n"
        );
    }

    #[test]
    fn an_open_end_is_the_longest_beginning_of_any_secret() {
        let masker = masker(&["abcabcabd", "wörterbuch"]);
        assert_eq!(masker.open_end("xabcabc"), 6);
        // The last letter can begin another form.
        assert!(masker.open_end("abcabcabd") <= 1);
        assert_eq!(masker.open_end("x wör"), 4);
        assert_eq!(masker.open_end(""), 0);
    }

    #[test]
    fn base64_is_masked_in_lines_of_any_length() {
        let secret = "npm_abcdEFGH0123456789ijklMNOPqrstUVWXyz-._~0123456789QWERTZ";
        let masker = masker(&[secret]);
        let parts: Vec<String> = crate::text::forms::base64(secret).collect();
        for before in ["", "u", "me", "user:", &"long before ".repeat(9)] {
            for engine in [&STANDARD, &URL_SAFE] {
                let encoded = engine.encode(format!("{before}{secret}\n"));
                for columns in [20, 60, 64, 76, 1000] {
                    for end in ["\n", "\r\n", " \\\n"] {
                        let lines: Vec<&str> = encoded
                            .as_bytes()
                            .chunks(columns)
                            .map(|line| std::str::from_utf8(line).unwrap())
                            .collect();
                        // As one block, and line by line.
                        let block = masker.mask(lines.join(end));
                        let single: Vec<_> = lines
                            .iter()
                            .map(|line| masker.mask(format!("#7 0.123 {line}{end}")))
                            .collect();
                        for masked in [block, single.concat()] {
                            // Readable parts are shorter than a window on either side of each line end.
                            let words = masked.split(|character: char| {
                                !character.is_ascii_alphanumeric() && !"+/=-_".contains(character)
                            });
                            let windows = words.flat_map(|word| word.as_bytes().windows(WINDOW));
                            let readable = windows.filter(|window| {
                                let window = std::str::from_utf8(window).unwrap();
                                parts.iter().any(|part| part.contains(window))
                            });
                            let readable = readable.count();
                            assert_eq!(readable, 0, "{before:?} {columns}: {masked}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_docker_config_in_base64_is_masked_in_lines() {
        let secret = "pa+s5/w0=rd%0123abcdEFGHijkl";
        let masker = masker(&[secret]);
        let parts = crate::text::forms::base64_twice(secret);
        for host in ["a.example", "ab.example", "abc.example"] {
            let auth = STANDARD.encode(format!("robot:{secret}"));
            let config = format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#);
            let config = STANDARD.encode(config);
            for columns in [32, 64, 76, 1000] {
                let lines = config.as_bytes().chunks(columns);
                let lines: Vec<_> = lines.map(String::from_utf8_lossy).collect();
                let shown = masker.mask(lines.join("\n"));
                let windows = shown
                    .split(['\n', '*'])
                    .flat_map(|word| word.as_bytes().windows(WINDOW));
                let readable = windows.filter(|window| {
                    let window = std::str::from_utf8(window).unwrap();
                    parts.iter().any(|part| part.contains(window))
                });
                assert_eq!(readable.count(), 0, "{columns}: {shown}");
                assert!(shown.contains("***"), "{shown}");
            }
        }
    }

    #[test]
    fn hexadecimal_of_base64_and_lists_of_bytes_are_masked() {
        let secret = "correct-horse-battery-staple";
        let masker = masker(&[secret]);
        let encoded = STANDARD.encode(format!("me:{secret}"));
        let digits = encoded.bytes().map(|byte| format!("{byte:02x}"));
        let digits = digits.collect::<Vec<_>>().concat();
        let shown = masker.mask(digits);
        let readable = shown.split('*').map(str::len).max();
        assert!(readable <= Some(12), "{shown}");
        let bytes: Vec<u8> = secret.into();
        assert_eq!(masker.mask(format!("{bytes:?}")), "[***]");
    }

    #[test]
    fn a_long_secret_is_masked_in_lines() {
        let secrets = [
            "ghp_abcdEFGH0123456789ijklMNOPqrstUVWXyz",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKjMzEfYyjiWA4R4",
        ];
        for secret in secrets {
            let masker = masker(&[secret]);
            for columns in [20, 21, 32, 64, 76, 80] {
                let lines = secret.as_bytes().chunks(columns);
                for line in lines.filter(|line| line.len() >= 16) {
                    let line = std::str::from_utf8(line).unwrap();
                    assert_eq!(
                        masker.mask(format!("#7 0.1 {line}\n")),
                        "#7 0.1 ***\n",
                        "{columns}"
                    );
                }
            }
        }
        // A private key on one line, as in a variable.
        let key =
            r"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END PRIVATE KEY-----\n";
        let masked =
            masker(&[key]).mask("MIIEvQIBADANBgkqhkiG9w0BAQ\n-----END PRIVATE KEY-----".into());
        assert_eq!(masked, "***\n-----END PRIVATE KEY-----");
    }

    #[test]
    fn ordinary_words_of_a_long_secret_are_not_masked() {
        let json = r#"{"host":"registry.example.com","type":"service_account","project":"acme-production-builds"}"#;
        let text = "pushing to registry.example.com as service_account of acme-production-builds";
        assert_eq!(masker(&[json]).mask(text.into()), text);
    }

    #[test]
    fn a_cut_reveals_no_part_of_a_wrapped_secret() {
        let secret = "npm_abcdEFGH0123456789ijklMNOPqrstUVWXyz0123456789abcdefGHIJ";
        let masker = masker(&[secret]);
        let line = &secret[10..];
        for at in 1..line.len() {
            let (before, after) = line.split_at(at);
            let kept = masker.open_end(before);
            let (ready, kept) = before.split_at(before.len() - kept);
            let shown = masker.mask(ready.into()) + "|" + &masker.mask(format!("{kept}{after}"));
            let readable = shown.split(['*', '|']).map(str::len).max();
            assert!(readable < Some(16), "{at}: {shown}");
        }
    }

    #[test]
    fn hexadecimal_is_masked_in_lines() {
        let masker = masker(&["correct-horse-battery-staple/0123456789"]);
        let text = "636f72726563742d686f7273652d626174746572792d737461706c652f30\n\
                    313233343536373839\n";
        for text in [
            text.to_owned(),
            text.to_uppercase(),
            text.replace('\n', "\r\n"),
        ] {
            let shown = masker.mask(text);
            assert_eq!(shown.replace('\r', ""), "***\n***\n");
        }
        assert_eq!(masker.mask("63 6f 72 72 65 63 74".into()), "***");
    }

    #[test]
    fn a_cut_reveals_no_part_of_a_wrapped_base64() {
        let secret = "npm_abcdEFGH0123456789ijklMNOPqrstUVWXyz";
        let masker = masker(&[secret]);
        let encoded = STANDARD.encode(secret);
        for at in 1..encoded.len() {
            // The beginning is on the line before.
            for line in [&encoded[..], &encoded[20..]] {
                let Some((before, after)) = line.split_at_checked(at) else {
                    continue;
                };
                let kept = masker.open_end(before);
                let (ready, kept) = before.split_at(before.len() - kept);
                let shown =
                    masker.mask(ready.into()) + "|" + &masker.mask(format!("{kept}{after}"));
                let readable = shown.split(['*', '|']).map(str::len).max();
                assert!(readable < Some(WINDOW), "{at}: {shown}");
            }
        }
    }

    #[test]
    fn a_line_without_a_secret_is_unchanged_with_many_secrets() {
        let masker = Masker::default();
        for number in 0..500 {
            masker.add(&format!("secret-{number}-{}", "x".repeat(number)));
        }
        let line =
            "0.123 compiling something with no secret in it at all, on and on and on ".repeat(2);
        assert_eq!(masker.mask(line.clone()), line);
    }

    #[test]
    fn debug_output_contains_no_secret() {
        assert!(!format!("{:?}", masker(&["correct-horse"])).contains("horse"));
    }
}
