//! An error and its causes, one a line, and then what to do about it.
//!
//! Many errors of other crates repeat their cause in their own text; what a line has told already is not told again.

use std::{error::Error, fmt::Write as _, iter::successors};

use super::{mask::Masker, message::Kind, output::OutputOptions, text};

/// Causes shown; an error that is its own cause must not fill the log.
const CAUSES: usize = 16;

/// Characters shown of one cause, and of a hint.
const CHARACTERS: usize = 4000;

/// `error` with its causes, then each of `hints` as `hint: …`.
#[must_use]
pub fn render(error: &(dyn Error + 'static), hints: &[&str], options: &OutputOptions) -> String {
    let mut told = text::lines(&error.to_string(), CHARACTERS, &options.masker);
    let mut block = options.paint.message(Kind::Error, &told);
    for cause in successors(error.source(), |&cause| cause.source()).take(CAUSES) {
        let cause = text::lines(&cause.to_string(), CHARACTERS, &options.masker);
        if !told.contains(&cause) {
            // Writing to a string never fails.
            let _infallible = writeln!(block, "  caused by: {cause}");
            told = cause;
        }
    }
    block + &self::hints(hints, &options.masker)
}

/// Each hint as a line.
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
    struct Told {
        text: &'static str,
        source: Option<Box<Told>>,
    }

    fn chain(texts: &[&'static str]) -> Told {
        let (text, rest) = texts.split_first().unwrap();
        Told {
            text,
            source: (!rest.is_empty()).then(|| Box::new(chain(rest))),
        }
    }

    #[test]
    fn causes_are_told_once_each() {
        let error = chain(&[
            "cannot reach the machine `m1`",
            "error sending request: connection refused",
            "connection refused",
            "",
            "os error 111\nsecond\x1b[2J line",
        ]);
        insta::assert_snapshot!(render(&error, &["set DEPOT_API_URL", "or try later"], &OutputOptions::default()), @"
        ERROR: cannot reach the machine `m1`
          caused by: error sending request: connection refused
          caused by: os error 111
        second line
        hint: set DEPOT_API_URL
        hint: or try later
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
