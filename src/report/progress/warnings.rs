//! Warnings of the frontend, such as those of Docker's build checks. They are printed after the progress.

use std::fmt::Write as _;

use bollard_buildkit_proto::moby::buildkit::v1::VertexWarning;
use bollard_buildkit_proto::pb;

use super::super::excerpt::SourceExcerpt;
use super::super::mask::Masker;
use super::super::text;

/// Warnings printed. The others are only counted.
const SHOWN: usize = 50;

/// Characters printed of a warning's text, and of each further line.
const CHARACTERS: usize = 500;

/// Lines of explanation printed of one warning.
const DETAIL_LINES: usize = 5;

/// Warnings kept for a report.
const FINDINGS: usize = 100;

/// A warning, without secrets and control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, as the frontend names it, and the line, from 1.
    pub place: Option<(String, u32)>,
    /// The warning in one line.
    pub text: String,
    /// The explanation.
    pub details: String,
    /// The address of a page about it; can be empty.
    pub url: String,
}

/// The warnings of a build, each once: builds for two platforms have the same warnings, and BuildKit repeats some.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    shown: Vec<String>,
    more: usize,
    findings: Vec<Finding>,
}

impl Warnings {
    pub(super) fn push(&mut self, warning: &VertexWarning, masker: &Masker) {
        if self.findings.len() < FINDINGS {
            let finding = Finding::of(warning, masker);
            if !self.findings.contains(&finding) {
                self.findings.push(finding);
            }
        }
        let rendered = render(warning, masker);
        if self.shown.contains(&rendered) {
        } else if self.shown.len() < SHOWN {
            self.shown.push(rendered);
        } else {
            self.more += 1;
        }
    }

    /// Renders the warnings. Empty without warnings.
    pub(super) fn render(&self) -> String {
        let count = self.shown.len() + self.more;
        let mut block = match count {
            0 => return String::new(),
            1 => "\n1 warning found:\n".to_owned(),
            count => format!("\n{count} warnings found:\n"),
        };
        block.extend(self.shown.iter().map(String::as_str));
        if self.more > 0 {
            // Writing to a string never fails.
            let _infallible = writeln!(block, " - and {} more", self.more);
        }
        block
    }

    /// Forgets the texts that were printed.
    pub(super) fn note_rendered(&mut self) {
        self.shown = Vec::new();
        self.more = 0;
    }

    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter()
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let bytes = |finding: &Finding| {
            let file = finding
                .place
                .as_ref()
                .map_or(0, |(file, _)| file.capacity());
            let texts = [&finding.text, &finding.details, &finding.url];
            file + texts.map(String::capacity).iter().sum::<usize>()
        };
        let findings: usize = self.findings.iter().map(bytes).sum();
        findings + self.shown.iter().map(String::capacity).sum::<usize>()
    }
}

impl Finding {
    fn of(warning: &VertexWarning, masker: &Masker) -> Self {
        let line =
            |bytes: &[u8]| text::one_line(&String::from_utf8_lossy(bytes), CHARACTERS, masker);
        let details = warning.detail.iter().take(DETAIL_LINES);
        let details: Vec<_> = details.map(|detail| line(detail)).collect();
        Self {
            place: place(warning.info.as_ref(), &warning.ranges, masker),
            text: line(&warning.short),
            details: details.join("\n"),
            url: line(warning.url.as_bytes()),
        }
    }
}

fn place(
    source: Option<&pb::SourceInfo>,
    ranges: &[pb::Range],
    masker: &Masker,
) -> Option<(String, u32)> {
    let start = ranges.first()?.start.as_ref()?;
    let line = u32::try_from(start.line).ok().filter(|&line| line > 0)?;
    let file = text::one_line(&source?.filename, CHARACTERS, masker);
    Some((file, line))
}

fn render(warning: &VertexWarning, masker: &Masker) -> String {
    let line = |bytes: &[u8]| text::one_line(&String::from_utf8_lossy(bytes), CHARACTERS, masker);
    let mut rendered = format!(" - {}\n", line(&warning.short));
    for detail in warning.detail.iter().take(DETAIL_LINES) {
        let _infallible = writeln!(rendered, "   {}", line(detail));
    }
    if !warning.url.is_empty() {
        let _infallible = writeln!(rendered, "   {}", line(warning.url.as_bytes()));
    }
    if let Some(source) = &warning.info {
        rendered.push_str(&SourceExcerpt::from_buildkit(source, &warning.ranges).render(masker));
    }
    rendered
}
