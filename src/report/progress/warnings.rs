//! Warnings of the frontend, such as those of Docker's build checks. They are printed after the progress.

use std::fmt::Write as _;

use bollard_buildkit_proto::moby::buildkit::v1::VertexWarning;

use super::super::excerpt::SourceExcerpt;
use super::super::mask::Masker;
use super::super::text;

/// Warnings printed. The others are only counted.
const SHOWN: usize = 50;

/// Characters printed of a warning's text, and of each further line.
const CHARACTERS: usize = 500;

/// Lines of explanation printed of one warning.
const DETAIL_LINES: usize = 5;

/// The warnings of a build, each once: builds for two platforms have the same warnings, and BuildKit repeats some.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    shown: Vec<String>,
    more: usize,
}

impl Warnings {
    pub(super) fn push(&mut self, warning: &VertexWarning, masker: &Masker) {
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

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.shown.iter().map(String::capacity).sum()
    }
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
