//! Masks secrets in what is printed.
//!
//! Bitbucket masks the secured variables it knows, but not tokens that are fetched on the way, and not a value that reached
//! the pipe through another variable. Matching is by bytes of a line, in the forms that `forms` knows: a secret that was
//! encoded in another way, or has colour codes in its middle, is not found. Of a secret with several lines (a private key) each line is masked on its own.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, PoisonError, RwLock},
};

use memchr::memmem::Finder;
use secrecy::{ExposeSecret, SecretString};

use crate::forms;

/// Shorter values are ordinary words too often; masking them would make the log unreadable and give them away.
const MINIMUM_BYTES: usize = 8;

/// What is printed in a secret's place.
const MASK: &str = "***";

/// The secrets to mask. Clones share them, so a token that is fetched later is masked everywhere.
#[derive(Clone, Debug, Default)]
pub struct Masker {
    secrets: Arc<RwLock<Vec<Form>>>,
}

/// One form of a secret, and what finds it.
struct Form {
    text: SecretString,
    finder: Finder<'static>,
}

/// The finder shows what it looks for.
impl fmt::Debug for Form {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Form")
    }
}

impl Masker {
    /// Masks `secret` from now on, in all of its forms; each of its lines that is too short to tell from ordinary text stays readable.
    pub fn add(&self, secret: &str) {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        let lines = secret.lines().map(str::trim);
        for line in lines.filter(|line| line.len() >= MINIMUM_BYTES) {
            if secrets
                .iter()
                .any(|known| known.text.expose_secret() == line)
            {
                continue;
            }
            secrets.extend(forms::of(line).into_iter().map(|form| Form {
                finder: Finder::new(&form).into_owned(),
                text: form.into(),
            }));
        }
    }

    /// Replaces each occurrence of a secret.
    #[must_use]
    pub fn mask(&self, text: String) -> String {
        let spans = self.spans(&text);
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

    /// Length in bytes of the longest end of `text` that may be the beginning of a secret.
    ///
    /// Whoever cuts a line in two keeps this many bytes for the second part, else a secret could slip through in halves.
    pub(crate) fn open_end(&self, text: &str) -> usize {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let open_end = |form: &Form| {
            let secret = form.text.expose_secret();
            let longest = text.len().min(secret.len().saturating_sub(1));
            (1..=longest)
                .rev()
                .find(|&length| {
                    secret
                        .get(..length)
                        .is_some_and(|start| text.ends_with(start))
                })
                .unwrap_or(0)
        };
        secrets.iter().map(open_end).max().unwrap_or(0)
    }

    /// Where secrets stand in `text`, in order; overlapping ones are one span, so that no rest of one stays readable.
    fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let mut spans: Vec<Range<usize>> = Vec::new();
        for form in secrets.iter() {
            let secret = form.text.expose_secret();
            let mut from = 0;
            let find = |from| form.finder.find(text.as_bytes().get(from..)?);
            while let Some(offset) = find(from) {
                let found = from + offset;
                let end = found + secret.len();
                match spans.last_mut() {
                    Some(last) if last.start <= found && found <= last.end => {
                        last.end = last.end.max(end);
                    }
                    _ => spans.push(found..end),
                }
                // From the next character on, since a secret can overlap with itself.
                from = found + secret.chars().next().map_or(1, char::len_utf8);
            }
        }
        spans.sort_by_key(|span| span.start);
        spans.dedup_by(|next, kept| {
            let joined = next.start <= kept.end;
            if joined {
                kept.end = kept.end.max(next.end);
            }
            joined
        });
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masker(secrets: &[&str]) -> Masker {
        let masker = Masker::default();
        for secret in secrets {
            masker.add(secret);
        }
        masker
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
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
    fn short_values_stay_readable() {
        assert_eq!(
            masker(&["true", ""]).mask("true story".into()),
            "true story"
        );
    }

    #[test]
    fn overlapping_secrets_leave_no_rest() {
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
        // Its last letter may begin another form.
        assert!(masker.open_end("abcabcabd") <= 1);
        assert_eq!(masker.open_end("x wör"), 4);
        assert_eq!(masker.open_end(""), 0);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", masker(&["correct-horse"])).contains("horse"));
    }
}
