//! Medians and ratios, as Markdown.

use std::fmt::Write;

use crate::measure::Figures;

/// The runs of both programs in one case.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) ours: Vec<Figures>,
    pub(crate) theirs: Vec<Figures>,
}

type Column = fn(&Figures) -> f64;

/// One row a case: ours, theirs and the ratio for wall time, processor time and memory; and what went over the line.
pub(crate) fn markdown(cases: &[Case]) -> String {
    let mut text = String::from(
        "| case | wall, s | CLI | ratio | CPU, s | CLI | ratio | memory, MiB | CLI | ratio | line, MB | CLI |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for case in cases {
        let mut row = format!("| {} |", case.name);
        let columns: [(Column, usize); 3] = [
            (|figures| figures.wall.as_secs_f64(), 3),
            (|figures| figures.cpu.as_secs_f64(), 3),
            (|figures| mebibytes(figures.memory_kib), 1),
        ];
        for (value, places) in columns {
            let ours = median(&case.ours, value);
            let theirs = median(&case.theirs, value);
            let _never_fails = write!(
                row,
                " {ours:.places$} | {theirs:.places$} | {:.2} |",
                ours / theirs
            );
        }
        let line = |runs: &[Figures]| {
            median(runs, |figures| {
                let kilobytes = u32::try_from(figures.line_bytes / 1000);
                f64::from(kilobytes.unwrap_or(u32::MAX)) / 1000.0
            })
        };
        let _never_fails = write!(
            row,
            " {:.2} | {:.2} |",
            line(&case.ours),
            line(&case.theirs)
        );
        text.push_str(&row);
        text.push('\n');
    }
    text
}

fn mebibytes(kib: i64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

fn median(runs: &[Figures], value: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    values.get(middle).copied().unwrap_or(f64::NAN)
}
