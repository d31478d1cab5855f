//! The closing block of a failed build: what the failing step said last, where in the Dockerfile it stands, why it failed,
//! and what to do. The reason stands at the end, where the log is read first.

use std::fmt::Write as _;

use super::{
    chain, excerpt::SourceExcerpt, message::Kind, output::OutputOptions, progress::FailedStep, text,
};

/// Characters shown of the error; BuildKit repeats whole command lines in it.
const ERROR_CHARACTERS: usize = 4000;

const RULE: &str = "------\n";

/// Why a build failed.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// The step that failed, if one did.
    pub step: Option<&'a FailedStep>,
    /// The lines of the Dockerfile that it stands for.
    pub excerpt: Option<&'a SourceExcerpt>,
    /// What was not done, such as `failed to build`.
    pub what: &'a str,
    /// What the builder says.
    pub error: &'a str,
    /// What may be changed, each in a line.
    pub hints: &'a [&'a str],
}

impl Failure<'_> {
    /// The block to print.
    #[must_use]
    pub fn render(&self, options: &OutputOptions) -> String {
        let mut block = String::new();
        // A step without output has nothing to show again; its error is told below.
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
        block.push_str(
            &options
                .paint
                .message(Kind::Error, &format!("{}: {error}", self.what)),
        );
        block.push_str(&chain::hints(self.hints, &options.masker));
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::message::Paint;

    #[test]
    fn the_block_tells_step_place_reason_and_what_to_do() {
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
    fn without_step_and_place_the_reason_is_left() {
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
