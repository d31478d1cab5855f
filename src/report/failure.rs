//! The last block of a failed build: the last output of the failed step, its lines in the Dockerfile, the error, and the
//! hints. The error comes last, because a log is read from its end.

use std::fmt::Write as _;

use super::excerpt::SourceExcerpt;
use super::message::Kind;
use super::output::OutputOptions;
use super::progress::FailedStep;
use super::{chain, text};

/// Characters printed of the error. BuildKit repeats whole command lines in it.
const ERROR_CHARACTERS: usize = 4000;

const RULE: &str = "------\n";

/// Why a build failed.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// The failed step, if a step failed.
    pub step: Option<&'a FailedStep>,
    /// Its lines in the Dockerfile.
    pub excerpt: Option<&'a SourceExcerpt>,
    /// The operation that failed, such as `failed to build`.
    pub what: &'a str,
    /// The error of the builder.
    pub error: &'a str,
    /// Possible solutions, one per line.
    pub hints: &'a [&'a str],
}

impl Failure<'_> {
    /// The block to print.
    #[must_use]
    pub fn render(&self, options: &OutputOptions) -> String {
        let mut block = String::new();
        // The error of a step is printed below, so a step without output is skipped here.
        if let Some(step) = self.step.filter(|step| !step.tail.is_empty()) {
            // Writing to a string never fails.
            let _infallible = write!(
                block,
                "{RULE} > #{} {}:\n{}\n{RULE}",
                step.number,
                step.name,
                step.tail.join("\n")
            );
        }
        if let Some(excerpt) = self.excerpt {
            block.push_str(&excerpt.render(&options.masker));
        }
        let error = text::lines(self.error, ERROR_CHARACTERS, &options.masker);
        // A builder's error can begin with the same words: `failed to push`.
        let text = match error.strip_prefix(self.what) {
            Some(_) => error,
            None => format!("{}: {error}", self.what),
        };
        block.push_str(&options.paint.message(Kind::Error, &text));
        block.push_str(&chain::hints(self.hints, &options.masker));
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::message::Paint;

    #[test]
    fn the_block_has_the_step_its_lines_the_error_and_a_hint() {
        let step = FailedStep {
            number: 7,
            name: "[2/2] RUN make".into(),
            error: "exit code: 2".into(),
            tail: vec!["0.312 make: *** No targets.".into(), "0.313 Stop.".into()],
        };
        let excerpt = SourceExcerpt {
            filename: "Dockerfile".into(),
            data: b"FROM busybox\nRUN make\n".to_vec(),
            ranges: vec![(2, 2)],
        };
        let failure = Failure {
            step: Some(&step),
            excerpt: Some(&excerpt),
            what: "failed to build",
            error: "process \"/bin/sh -c make\" did not complete successfully: exit code: 2",
            hints: &["run `make` in the base image to see it fail"],
        };
        insta::assert_snapshot!(failure.render(&OutputOptions::default()), @r#"
        ------
         > #7 [2/2] RUN make:
        0.312 make: *** No targets.
        0.313 Stop.
        ------
        Dockerfile:2
        --------------------
           1 |     FROM busybox
           2 | >>> RUN make
        --------------------
        ERROR: failed to build: process "/bin/sh -c make" did not complete successfully: exit code: 2
        hint: run `make` in the base image to see it fail
        "#);
    }

    #[test]
    fn without_a_step_and_an_excerpt_only_the_error_is_printed() {
        let failure = Failure {
            step: None,
            excerpt: None,
            what: "failed to build",
            error: "no such\x1b[2J file\n",
            hints: &[],
        };
        assert_eq!(
            failure.render(&OutputOptions::default()),
            "ERROR: failed to build: no such file\n"
        );
        let silent = FailedStep {
            number: 1,
            name: "COPY".into(),
            error: "x".into(),
            tail: Vec::new(),
        };
        let failure = Failure {
            step: Some(&silent),
            ..failure
        };
        assert_eq!(
            failure.render(&OutputOptions {
                paint: Paint { colour: true },
                ..OutputOptions::default()
            }),
            "\x1b[31mERROR: failed to build: no such file\x1b[0m\n"
        );
    }
}
