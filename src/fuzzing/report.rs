//! The status of a build, and text for the log.

use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use prost::Message;

use super::{SECRET, fixed_parts, lossy};
use crate::buildkit::Pushes;
use crate::report::escape::{Escapes, Event};
use crate::report::failure::Failure;
use crate::report::mask::Masker;
use crate::report::output::OutputOptions;
use crate::report::progress::{Progress, Source};
use crate::report::text::{lines, one_line};
use crate::report::totals::{ContextBytes, Totals};

/// The maximum output for one byte of a message: the name of a step is printed again with its next output.
const SHOWN_PER_BYTE: usize = 8 << 10;

/// The maximum number of lines with figures.
const TOTALS_LINES: usize = 9;

pub(super) fn options() -> OutputOptions {
    let options = OutputOptions::default();
    options.masker.add(SECRET);
    options
}

/// Asserts that a block of the log contains no terminal control except colours, and no secret after it is masked.
pub(super) fn assert_shown(block: &str) {
    let mut escapes = Escapes::default();
    let mut kept = Vec::new();
    for byte in block.bytes() {
        match escapes.push(byte) {
            Event::Text(byte) => kept.push(byte),
            Event::Colour => kept.extend_from_slice(escapes.colour()),
            Event::Nothing => {}
        }
    }
    assert_eq!(kept, block.as_bytes(), "{block:?}");
    let harm =
        |character: char| character.is_control() && !matches!(character, '\n' | '\t' | '\x1b');
    assert!(!block.contains(harm), "{block:?}");
    let masked = options().masker.mask(block.to_owned());
    assert!(!masked.contains(SECRET), "{masked}");
}

/// Shows status messages. Each follows two bytes with its length, and one byte with its time and its builder.
pub fn progress(bytes: &[u8]) {
    let mut progress = Progress::new(options());
    let sources = [Source::default(), progress.add_source("linux/arm64")];
    let mut pushes = Pushes::default();
    let (mut now, mut shown) = (Duration::ZERO, String::new());
    let mut rest = bytes;
    while let [high, low, moment, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (message, after) = after.split_at(length.min(after.len()));
        rest = after;
        now += Duration::from_millis(u64::from(moment >> 1) * 50);
        if let Ok(message) = StatusResponse::decode(message) {
            let source = sources.get(usize::from(moment & 1)).copied();
            progress.apply_from(now, source.unwrap_or_default(), &message, &mut shown);
            pushes.observe(&message);
        }
        progress.tick(now + Duration::from_millis(50), &mut shown);
    }
    progress.finish(now, &mut shown);
    assert!(shown.is_empty() || shown.ends_with('\n'), "{shown:?}");
    assert!(shown.len() <= (bytes.len() + 1) * SHOWN_PER_BYTE);
    assert_shown(&shown);
    let failure = Failure {
        step: progress.failed_step_behind(&shown),
        excerpt: None,
        what: "failed to build",
        error: &shown,
        hints: &[],
    };
    assert_shown(&failure.render(&options()));
    let figures = progress.figures();
    assert!(figures.cached <= figures.steps);
    let totals = Totals {
        figures: &figures,
        elapsed: now,
        context: ContextBytes::default(),
        loaded_bytes: None,
    };
    let lines = totals.lines(&options());
    assert!(lines.len() <= TOTALS_LINES);
    for line in &lines {
        assert_shown(line);
    }
    for finding in progress.findings() {
        assert_shown(&[&*finding.text, &finding.details, &finding.url].join("\n"));
    }
}

/// Masks a text. The input contains a length in one byte, two secrets, and the text.
pub fn text(bytes: &[u8]) {
    let [first, second, text] = fixed_parts(bytes);
    let limit = usize::from(first.first().copied().unwrap_or_default());
    let text = lossy(text);
    let masker = Masker::default();
    let secrets = [lossy(first.get(1..).unwrap_or_default()), lossy(second)];
    // The replacement of a secret must not be part of another secret.
    let secrets = secrets.iter().filter(|secret| !secret.contains('*'));
    for secret in secrets.clone() {
        masker.add(secret);
    }
    let harmless = masker.mask(text.clone());
    for line in secrets.flat_map(|secret| secret.lines()).map(str::trim) {
        assert!(line.len() < 8 || !harmless.contains(line), "{harmless:?}");
    }
    assert!(text.is_char_boundary(text.len() - masker.open_end(&text)));
    for shown in [
        one_line(&text, limit, &masker),
        lines(&text, limit, &masker),
    ] {
        assert!(shown.chars().count() <= limit + 1, "{shown:?}");
        let harm = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
        assert!(!shown.contains(harm), "{shown:?}");
    }
    assert!(!one_line(&text, limit, &masker).contains(['\n', '\t']));
}
