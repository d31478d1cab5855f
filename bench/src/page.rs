//! The page with all figures: `docs/benchmark.md` between its two marks, and the chart beside it.

use std::fs;
use std::path::{Path, PathBuf};

use local_depot::released_cli;
use time::OffsetDateTime;

use crate::chart;
use crate::subjects::Failure;
use crate::table::Section;

const BEGIN: &str = "<!-- figures: from here to their end written by `cargo bench-cli --write` -->";
const END: &str = "<!-- end of the figures -->";

/// All that was measured in one go.
pub(crate) struct Report {
    runs: usize,
    pub(crate) sections: Vec<Section>,
    /// Sizes and starts, in words.
    pub(crate) start: String,
}

impl Report {
    pub(crate) fn new(runs: usize) -> Self {
        Self {
            runs,
            sections: Vec::new(),
            start: String::new(),
        }
    }

    /// Writes the page's figures and the chart.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let source = self.source();
        let page = docs("benchmark.md");
        let written = with_figures(&fs::read_to_string(&page)?, &self.figures(&source))?;
        fs::write(page, written)?;
        fs::write(docs("benchmark.svg"), chart::svg(&self.sections, &source))?;
        Ok(())
    }

    fn figures(&self, source: &str) -> String {
        let mut text = format!("{source}.\n\n");
        for section in &self.sections {
            text.push_str(&section.markdown());
            text.push('\n');
        }
        text.push_str("## Size and start\n\n");
        text.push_str(&self.start);
        text
    }

    /// What was measured, when, and on what.
    fn source(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        format!(
            "{}: depot-build {} beside depot CLI {}, medians of {} runs, {} with {cores} {}",
            OffsetDateTime::now_utc().date(),
            env!("CARGO_PKG_VERSION"),
            released_cli::VERSION,
            self.runs,
            std::env::consts::ARCH,
            if cores == 1 { "core" } else { "cores" },
        )
    }
}

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name)
}

/// A page whose marks have lost each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page has no `{BEGIN}` with `{END}` after it")]
struct NoMarks;

/// The page with these figures in place of those between its marks.
fn with_figures(page: &str, figures: &str) -> Result<String, NoMarks> {
    let (before, rest) = page.split_once(BEGIN).ok_or(NoMarks)?;
    let (_old, after) = rest.split_once(END).ok_or(NoMarks)?;
    Ok(format!("{before}{BEGIN}\n\n{figures}\n\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::case;

    #[test]
    fn figures_are_replaced_and_the_words_around_them_stay() {
        let page = format!("# Title\n\n{BEGIN}\nold\n{END}\n\n- words\n");
        let once = with_figures(&page, "new").unwrap();
        assert_eq!(
            once,
            format!("# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\n- words\n")
        );
        assert_eq!(with_figures(&once, "new").unwrap(), once);
    }

    #[test]
    fn a_page_without_marks_is_left_alone() {
        for page in ["", BEGIN, END, &format!("{END}\n{BEGIN}")] {
            assert_eq!(with_figures(page, "new"), Err(NoMarks), "{page}");
        }
    }

    #[test]
    fn the_committed_page_can_be_written() {
        let page = fs::read_to_string(docs("benchmark.md")).unwrap();
        let mut report = Report::new(3);
        report.start = "Binary: small.".to_owned();
        report.sections.push(Section {
            title: "Near",
            cases: vec![case("cached build", 0.5)],
        });
        let source = report.source();
        let written = with_figures(&page, &report.figures(&source)).unwrap();
        for told in [
            "medians of 3 runs",
            "## Near",
            "| cached build | 5.000 |",
            "Binary: small.",
        ] {
            assert!(written.contains(told), "{told} is missing in {written}");
        }
    }
}
