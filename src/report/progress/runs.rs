//! The runs of a step. A vertex can run more than once: BuildKit starts and completes it to compute its cache key, and again
//! to execute it. A group of vertices, which is printed as one step, runs while any of them runs.

use std::time::Duration;

use super::moment::Moment;

/// Runs kept separately. Older runs are added up.
const RUNS: usize = 32;

#[derive(Debug)]
struct Run {
    member: usize,
    started: Moment,
    completed: Option<Moment>,
}

/// The runs of one step.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// Runs kept separately, oldest first.
    latest: Vec<Run>,
    /// Total time of the older runs.
    older_total: Duration,
    /// Number of runs so far.
    count: u64,
}

impl Runs {
    /// Whether a message about a run of a member is older than the state here.
    pub(super) fn are_newer(
        &self,
        member: usize,
        started: Moment,
        completed: Option<Moment>,
    ) -> bool {
        self.latest
            .iter()
            .filter(|run| run.member == member)
            .any(|run| {
                run.started > started || (run.started == started && run.completed > completed)
            })
    }

    /// Applies a message about a run of a member. The same message can be repeated.
    pub(super) fn update(&mut self, member: usize, started: Moment, completed: Option<Moment>) {
        if let Some(run) = self
            .latest
            .iter_mut()
            .find(|run| run.member == member && run.started == started)
        {
            run.completed = run.completed.max(completed);
            return;
        }
        // A new run ends the previous run, even if no message reported that end.
        for run in self
            .latest
            .iter_mut()
            .filter(|run| run.member == member && run.completed.is_none())
        {
            run.completed = Some(started.max(run.started));
        }
        if self.latest.len() == RUNS {
            let oldest = self.latest.remove(0);
            self.older_total += oldest
                .completed
                .map_or(Duration::ZERO, |end| end.since(oldest.started));
        }
        self.latest.push(Run {
            member,
            started,
            completed,
        });
        self.count += 1;
    }

    pub(super) fn have_started(&self) -> bool {
        self.count > 0
    }

    /// Number of runs so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Whether the step has run, and does not run now.
    pub(super) fn are_over(&self) -> bool {
        self.have_started() && self.latest.iter().all(|run| run.completed.is_some())
    }

    pub(super) fn last_end(&self) -> Option<Moment> {
        self.latest.iter().filter_map(|run| run.completed).max()
    }

    /// Time from the start of the latest run to `moment`.
    pub(super) fn elapsed(&self, moment: Moment) -> Duration {
        self.latest
            .iter()
            .map(|run| run.started)
            .max()
            .map_or(Duration::ZERO, |start| moment.since(start))
    }

    /// The latest runs that have ended, and the total time of the older ones.
    pub(super) fn spans(&self) -> (impl Iterator<Item = (Moment, Moment)>, Duration) {
        let latest = self.latest.iter();
        let spans = latest.filter_map(|run| Some((run.started, run.completed?)));
        (spans, self.older_total)
    }

    /// Time during which at least one run was active. Runs that have not ended are ignored.
    pub(super) fn total(&self) -> Duration {
        let mut spans: Vec<_> = self
            .latest
            .iter()
            .filter_map(|run| Some((run.started, run.completed?)))
            .collect();
        spans.sort_unstable();
        let mut total = self.older_total;
        let mut covered: Option<Moment> = None;
        for (start, end) in spans {
            let start = covered.map_or(start, |covered| covered.max(start));
            total = total.saturating_add(end.since(start));
            covered = covered.max(Some(end));
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::google::protobuf::Timestamp;

    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment::from(&Timestamp { seconds, nanos: 0 })
    }

    #[test]
    fn a_repeated_message_is_one_run() {
        let mut runs = Runs::default();
        for _ in 0..2 {
            runs.update(0, at(10), None);
            assert!(!runs.are_over() || runs.count() == 1);
            runs.update(0, at(10), Some(at(12)));
        }
        assert_eq!(
            (runs.count(), runs.total(), runs.are_over()),
            (1, Duration::from_secs(2), true)
        );
        // A late message is recognized.
        assert!(runs.are_newer(0, at(10), None) && runs.are_newer(0, at(9), Some(at(20))));
        assert!(!runs.are_newer(0, at(10), Some(at(12))) && !runs.are_newer(1, at(9), None));
    }

    #[test]
    fn overlapping_runs_are_counted_once() {
        let mut runs = Runs::default();
        runs.update(0, at(10), Some(at(20)));
        runs.update(1, at(15), Some(at(25)));
        runs.update(0, at(30), Some(at(31)));
        assert_eq!(runs.total(), Duration::from_secs(16));
    }

    #[test]
    fn a_new_run_ends_the_previous_run() {
        let mut runs = Runs::default();
        runs.update(0, at(10), None);
        runs.update(0, at(20), Some(at(21)));
        assert!(runs.are_over());
        assert_eq!(runs.total(), Duration::from_secs(11));
    }

    #[test]
    fn older_runs_are_added_up() {
        let mut runs = Runs::default();
        for run in 0..1000 {
            runs.update(0, at(run * 10), Some(at(run * 10 + 1)));
        }
        assert_eq!(
            (runs.latest.len(), runs.total()),
            (RUNS, Duration::from_secs(1000))
        );
    }
}
