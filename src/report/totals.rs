//! The figures at the end of a run: where the time went, cached and slow steps, and the bytes that were sent.
//!
//! Plain text in two columns. Without figures there is no line.

use std::time::Duration;

use super::output::OutputOptions;
use super::progress::{Figures, size};
use super::text;

/// Characters printed of the name of a step.
const NAME_CHARACTERS: usize = 70;

/// The width of the first column.
const TITLE_COLUMN: usize = 9;

/// The figures of a run.
#[derive(Clone, Copy, Debug)]
pub struct Totals<'a> {
    /// The figures of all steps.
    pub figures: &'a Figures,
    /// Time since the start of the program.
    pub elapsed: Duration,
    /// The contexts that builders read from this machine.
    pub context: ContextBytes,
    /// The bytes sent to the Docker daemon; `None` if no layers were to be sent.
    pub loaded_bytes: Option<u64>,
}

/// The bytes of the contexts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextBytes {
    /// The size of all files that the builds use.
    pub total: u64,
    /// The bytes sent, to all builders.
    pub sent: u64,
}

impl Totals<'_> {
    /// The lines, at most nine. Names of steps are masked and cut.
    #[must_use]
    pub fn lines(&self, options: &OutputOptions) -> Vec<String> {
        let titled = |title: &str, text: String| row(title, &text);
        let mut lines = Vec::new();
        let phases = self.figures.phases.iter();
        let phases: Vec<_> = phases
            .map(|(phase, time)| format!("{} {}", phase.name(), seconds(*time)))
            .collect();
        if !phases.is_empty() {
            lines.push(titled("time", phases.join(", ")));
        }
        match (self.figures.steps, self.figures.cached) {
            (0, _) => {}
            (steps, cached) => lines.push(titled("steps", format!("{steps}, {cached} cached"))),
        }
        lines.extend(self.slowest(options));
        lines.extend(self.sent().map(|sent| titled("sent", sent)));
        lines
    }

    /// The share of a duration in the whole run, in percent.
    #[must_use]
    pub fn percent(&self, time: Duration) -> u64 {
        let percent = time.as_millis().saturating_mul(100) / self.elapsed.as_millis().max(1);
        u64::try_from(percent.min(100)).unwrap_or(100)
    }

    fn slowest(&self, options: &OutputOptions) -> Vec<String> {
        let steps = self.figures.slowest.iter();
        let times: Vec<_> = steps.clone().map(|step| seconds(step.time)).collect();
        let width = times.iter().map(String::len).max().unwrap_or(0);
        let rows = steps.zip(&times).enumerate();
        rows.map(|(index, (step, time))| {
            let title = if index == 0 { "slowest" } else { "" };
            let percent = self.percent(step.time);
            let name = text::one_line(&step.name, NAME_CHARACTERS, &options.masker);
            row(title, &format!("{time:>width$} {percent:>3}%  {name}"))
        })
        .collect()
    }

    fn sent(&self) -> Option<String> {
        let ContextBytes { total, sent } = self.context;
        let context = (total > 0 || sent > 0).then(|| {
            // Two builders get the context twice.
            let of = if sent > total { "for" } else { "of" };
            format!("{} {of} the context of {}", size(sent), size(total))
        });
        let loaded = self.loaded_bytes;
        let loaded = loaded.map(|bytes| format!("{} to the Docker daemon", size(bytes)));
        let parts: Vec<_> = context.into_iter().chain(loaded).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// A line with a title.
pub(super) fn row(title: &str, text: &str) -> String {
    format!("  {title:TITLE_COLUMN$}{text}")
}

fn seconds(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::progress::{Phase, SlowStep};

    fn figures() -> Figures {
        let time = Duration::from_millis;
        let step = |name: &str, milliseconds| SlowStep {
            name: name.to_owned(),
            time: time(milliseconds),
        };
        Figures {
            phases: vec![
                (Phase::Machine, time(2100)),
                (Phase::Context, time(440)),
                (Phase::Build, time(130_200)),
                (Phase::Push, time(1900)),
                (Phase::Load, time(0)),
            ],
            slowest: vec![
                step("[2/4] RUN make", 120_000),
                step(&format!("[3/4] RUN {}", "x".repeat(100)), 9_900),
            ],
            steps: 12,
            cached: 5,
        }
    }

    #[test]
    fn the_figures_are_aligned() {
        let figures = figures();
        let totals = Totals {
            figures: &figures,
            elapsed: Duration::from_secs(150),
            context: ContextBytes {
                total: 30_000_000,
                sent: 1_200_000,
            },
            loaded_bytes: Some(34_000_000),
        };
        insta::assert_snapshot!(totals.lines(&OutputOptions::default()).join("\n"), @r"
          time     machine 2.1s, context 0.4s, build 130.2s, push 1.9s, load 0.0s
          steps    12, 5 cached
          slowest  120.0s  80%  [2/4] RUN make
                     9.9s   6%  [3/4] RUN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
          sent     1.2MB of the context of 30MB, 34MB to the Docker daemon
");
    }

    #[test]
    fn without_figures_nothing_is_printed() {
        let totals = Totals {
            figures: &Figures::default(),
            elapsed: Duration::ZERO,
            context: ContextBytes::default(),
            loaded_bytes: None,
        };
        assert!(totals.lines(&OutputOptions::default()).is_empty());
        assert_eq!(totals.percent(Duration::MAX), 100);
    }

    #[test]
    fn secrets_in_names_of_steps_are_masked() {
        let mut figures = figures();
        figures.slowest[0].name = format!("[2/4] RUN {} hunter2hunter2", "x".repeat(55));
        let options = OutputOptions::default();
        options.masker.add("hunter2hunter2");
        let totals = Totals {
            figures: &figures,
            elapsed: Duration::from_secs(150),
            context: ContextBytes::default(),
            loaded_bytes: None,
        };
        assert!(!totals.lines(&options).join("\n").contains("hunter"));
    }
}
