//! Medians and ratios, as Markdown.

use std::fmt::Write;

use crate::measure::Figures;

/// The runs of both programs in one case.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) pipe: Vec<Figures>,
    pub(crate) cli: Vec<Figures>,
}

/// The cases of one table.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) cases: Vec<Case>,
}

/// A measured quantity.
pub(crate) struct Measure {
    /// The name in the legend.
    pub(crate) name: &'static str,
    /// The name and unit in the table.
    column: &'static str,
    /// Digits after the decimal point.
    places: usize,
    value: fn(&Figures) -> f64,
}

/// All measured quantities, in the table's order.
pub(crate) const MEASURES: [Measure; 4] = [
    Measure {
        name: "wall time",
        column: "wall, s",
        places: 3,
        value: |figures| figures.wall.as_secs_f64(),
    },
    Measure {
        name: "CPU time",
        column: "CPU, s",
        places: 3,
        value: |figures| figures.cpu.as_secs_f64(),
    },
    Measure {
        name: "peak memory",
        column: "memory, MiB",
        places: 1,
        value: |figures| float(u64::try_from(figures.memory_kib).unwrap_or(0)) / 1024.0,
    },
    Measure {
        name: "bytes on the line",
        column: "line, MB",
        places: 2,
        value: |figures| float(figures.line_bytes) / 1e6,
    },
];

impl Case {
    /// The pipe's median divided by the CLI's; NaN or infinite if the CLI's is zero.
    pub(crate) fn ratio(&self, measure: &Measure) -> f64 {
        measure.median(&self.pipe) / measure.median(&self.cli)
    }
}

impl Section {
    /// One row for each case: for each measure the pipe's figure, the CLI's and the ratio.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n| case |", self.title);
        for measure in &MEASURES {
            let _never_fails = write!(text, " {} | CLI | ratio |", measure.column);
        }
        text.push_str("\n|---|");
        text.push_str(&"---|".repeat(3 * MEASURES.len()));
        text.push('\n');
        for case in &self.cases {
            let _never_fails = write!(text, "| {} |", case.name);
            for measure in &MEASURES {
                let _never_fails = write!(
                    text,
                    " {:.places$} | {:.places$} | {} |",
                    measure.median(&case.pipe),
                    measure.median(&case.cli),
                    short(case.ratio(measure)),
                    places = measure.places,
                );
            }
            text.push('\n');
        }
        text
    }
}

impl Measure {
    fn median(&self, runs: &[Figures]) -> f64 {
        let mut values: Vec<f64> = runs.iter().map(self.value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// A ratio with its significant digits.
pub(crate) fn short(ratio: f64) -> String {
    match ratio {
        _ if !ratio.is_finite() => "–".to_owned(),
        100.0.. => format!("{ratio:.0}"),
        10.0.. => format!("{ratio:.1}"),
        _ => format!("{ratio:.2}"),
    }
}

/// Exact up to 53 bits.
#[expect(
    clippy::cast_precision_loss,
    reason = "figures are shown with a few digits"
)]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    /// A case with one run of each program, whose ratios are `ratio`.
    pub(crate) fn case(name: &str, ratio: f64) -> Case {
        let figures = |factor: f64| Figures {
            wall: Duration::from_secs_f64(10.0 * factor),
            cpu: Duration::from_secs_f64(factor),
            memory_kib: Duration::from_secs_f64(10_240.0 * factor)
                .as_secs()
                .cast_signed(),
            line_bytes: Duration::from_secs_f64(1e6 * factor).as_secs(),
            code: 0,
        };
        Case {
            name: name.to_owned(),
            pipe: vec![figures(ratio)],
            cli: vec![figures(1.0)],
        }
    }

    #[test]
    fn a_row_has_both_medians_and_their_ratio() {
        let mut row = case("half", 0.5);
        row.pipe.extend(case("", 0.7).pipe);
        row.pipe.extend(case("", 0.1).pipe);
        let section = Section {
            title: "Near",
            cases: vec![row],
        };
        assert_eq!(
            section.markdown(),
            "## Near\n\n\
             | case | wall, s | CLI | ratio | CPU, s | CLI | ratio | memory, MiB | CLI | ratio | line, MB | CLI | ratio |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|\n\
             | half | 5.000 | 10.000 | 0.50 | 0.500 | 1.000 | 0.50 | 5.0 | 10.0 | 0.50 | 0.50 | 1.00 | 0.50 |\n"
        );
    }

    #[test]
    fn ratios_are_short() {
        let shown = [0.004, 0.1649, 9.99, 12.34, 10515.4, f64::NAN, f64::INFINITY].map(short);
        assert_eq!(shown, ["0.00", "0.16", "9.99", "12.3", "10515", "–", "–"]);
    }
}
