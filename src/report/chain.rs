//! An error with its causes, one per line, followed by the hints.
//!
//! Many errors of other crates repeat their cause in their own text. A cause that the previous line contains is skipped.

use std::error::Error;
use std::fmt::Write as _;
use std::iter::successors;

use super::mask::Masker;
use super::message::Kind;
use super::output::OutputOptions;
use super::text;

/// Causes printed, so that an endless chain cannot fill the log.
const CAUSES: usize = 16;

/// Characters printed of one cause or hint.
const CHARACTERS: usize = 4000;

/// Renders `error` with its causes, then each of `hints` as `hint: …`.
#[must_use]
pub fn render(error: &(dyn Error + 'static), hints: &[&str], options: &OutputOptions) -> String {
    let mut previous = text::lines(&error.to_string(), CHARACTERS, &options.masker);
    let mut block = options.paint.message(Kind::Error, &previous);
    for cause in successors(error.source(), |&cause| cause.source()).take(CAUSES) {
        let cause = text::lines(&cause.to_string(), CHARACTERS, &options.masker);
        if !previous.contains(&cause) {
            // Writing to a string never fails.
            let _infallible = writeln!(block, "  caused by: {cause}");
            previous = cause;
        }
    }
    block + &self::hints(hints, &options.masker)
}

/// Renders each hint as one line.
pub(super) fn hints(hints: &[&str], masker: &Masker) -> String {
    hints.iter().fold(String::new(), |mut block, hint| {
        let _infallible = writeln!(block, "hint: {}", text::one_line(hint, CHARACTERS, masker));
        block
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    fn chain(texts: &[&'static str]) -> Link {
        let (text, rest) = texts.split_first().unwrap();
        Link {
            text,
            source: (!rest.is_empty()).then(|| Box::new(chain(rest))),
        }
    }

    #[test]
    fn each_cause_is_printed_once() {
        let error = chain(&[
            "cannot reach the machine `m1`",
            "error sending request: connection refused",
            "connection refused",
            "",
            "os error 111\nsecond\x1b[2J line",
        ]);
        insta::assert_snapshot!(render(&error, &["set DEPOT_API_URL", "or retry later"], &OutputOptions::default()), @"
        ERROR: cannot reach the machine `m1`
          caused by: error sending request: connection refused
          caused by: os error 111
        second line
        hint: set DEPOT_API_URL
        hint: or retry later
        ");
    }

    #[test]
    fn an_endless_chain_ends() {
        let texts: Vec<_> = (0..100)
            .map(|number| if number % 2 == 0 { "even" } else { "odd" })
            .collect();
        assert_eq!(
            render(&chain(&texts), &[], &OutputOptions::default())
                .lines()
                .count(),
            1 + CAUSES
        );
    }
}
