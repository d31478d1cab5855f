//! The page with all figures, `docs/benchmark.md` between its two markers, and the chart.

use std::fs;
use std::path::{Path, PathBuf};

use local_depot::released_cli;
use time::OffsetDateTime;

use crate::chart;
use crate::subjects::Failure;
use crate::table::Section;

const BEGIN: &str = "<!-- begin figures: written by `cargo bench-cli --write` -->";
const END: &str = "<!-- end figures -->";

/// The results of one run of this program.
pub(crate) struct Report {
    runs: usize,
    pub(crate) sections: Vec<Section>,
    /// Sizes and start times, as text.
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
        let content = with_figures(&fs::read_to_string(&page)?, &self.figures(&source))?;
        fs::write(page, content)?;
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

    /// The date, the versions, the number of runs and the machine.
    fn source(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        format!(
            "{}: depot-build {} and depot CLI {}, medians of {} runs, {} with {cores} {}",
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

/// The page lacks its markers.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page has no `{BEGIN}` with `{END}` after it")]
struct NoMarkers;

/// The page with new figures between its markers.
fn with_figures(page: &str, figures: &str) -> Result<String, NoMarkers> {
    let (before, rest) = page.split_once(BEGIN).ok_or(NoMarkers)?;
    let (_old, after) = rest.split_once(END).ok_or(NoMarkers)?;
    Ok(format!("{before}{BEGIN}\n\n{figures}\n\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::case;

    #[test]
    fn figures_are_replaced_and_the_text_around_them_is_kept() {
        let page = format!("# Title\n\n{BEGIN}\nold\n{END}\n\n- words\n");
        let once = with_figures(&page, "new").unwrap();
        assert_eq!(
            once,
            format!("# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\n- words\n")
        );
        assert_eq!(with_figures(&once, "new").unwrap(), once);
    }

    #[test]
    fn a_page_without_markers_is_an_error() {
        for page in ["", BEGIN, END, &format!("{END}\n{BEGIN}")] {
            assert_eq!(with_figures(page, "new"), Err(NoMarkers), "{page}");
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
        let content = with_figures(&page, &report.figures(&source)).unwrap();
        for expected in [
            "medians of 3 runs",
            "## Near",
            "| cached build | 5.000 |",
            "Binary: small.",
        ] {
            assert!(
                content.contains(expected),
                "{expected} is missing in {content}"
            );
        }
    }
}
