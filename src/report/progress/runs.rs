//! When a step ran. A vertex can run more than once: BuildKit starts and completes one to ask for its cache key, and again
//! to execute it. A group of vertices shown as one step runs whenever any of them does.

use std::time::Duration;

use super::moment::Moment;

/// Runs told apart; older ones are summed up.
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
    known: Vec<Run>,
    /// Time of runs that are no longer told apart.
    settled: Duration,
    /// Runs that ever began.
    begun: u64,
}

impl Runs {
    /// Whether a message about one run of one member is older than what is known.
    pub(super) fn are_past(
        &self,
        member: usize,
        started: Moment,
        completed: Option<Moment>,
    ) -> bool {
        self.known
            .iter()
            .filter(|run| run.member == member)
            .any(|run| {
                run.started > started || (run.started == started && run.completed > completed)
            })
    }

    /// Takes over what a message says about one run of one member. The same may be told any number of times.
    pub(super) fn update(&mut self, member: usize, started: Moment, completed: Option<Moment>) {
        if let Some(run) = self
            .known
            .iter_mut()
            .find(|run| run.member == member && run.started == started)
        {
            run.completed = run.completed.max(completed);
            return;
        }
        // A new run tells that the one before is over, even if its end was not told.
        for run in self
            .known
            .iter_mut()
            .filter(|run| run.member == member && run.completed.is_none())
        {
            run.completed = Some(started.max(run.started));
        }
        if self.known.len() == RUNS {
            let oldest = self.known.remove(0);
            self.settled += oldest
                .completed
                .map_or(Duration::ZERO, |end| end.since(oldest.started));
        }
        self.known.push(Run {
            member,
            started,
            completed,
        });
        self.begun += 1;
    }

    pub(super) fn have_begun(&self) -> bool {
        self.begun > 0
    }

    /// How often the step was begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// Whether the step has run and does not run now.
    pub(super) fn are_over(&self) -> bool {
        self.have_begun() && self.known.iter().all(|run| run.completed.is_some())
    }

    pub(super) fn last_end(&self) -> Option<Moment> {
        self.known.iter().filter_map(|run| run.completed).max()
    }

    /// Time from the start of the latest run to `moment`.
    pub(super) fn elapsed(&self, moment: Moment) -> Duration {
        self.known
            .iter()
            .map(|run| run.started)
            .max()
            .map_or(Duration::ZERO, |start| moment.since(start))
    }

    /// Time in which at least one run was going on; runs that have not ended count for nothing.
    pub(super) fn total(&self) -> Duration {
        let mut spans: Vec<_> = self
            .known
            .iter()
            .filter_map(|run| Some((run.started, run.completed?)))
            .collect();
        spans.sort();
        let mut total = self.settled;
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
    fn the_same_news_twice_is_one_run() {
        let mut runs = Runs::default();
        for _ in 0..2 {
            runs.update(0, at(10), None);
            assert!(!runs.are_over() || runs.begun() == 1);
            runs.update(0, at(10), Some(at(12)));
        }
        assert_eq!(
            (runs.begun(), runs.total(), runs.are_over()),
            (1, Duration::from_secs(2), true)
        );
        // An old message that comes late is known as such.
        assert!(runs.are_past(0, at(10), None) && runs.are_past(0, at(9), Some(at(20))));
        assert!(!runs.are_past(0, at(10), Some(at(12))) && !runs.are_past(1, at(9), None));
    }

    #[test]
    fn time_is_counted_once_where_runs_overlap() {
        let mut runs = Runs::default();
        runs.update(0, at(10), Some(at(20)));
        runs.update(1, at(15), Some(at(25)));
        runs.update(0, at(30), Some(at(31)));
        assert_eq!(runs.total(), Duration::from_secs(16));
    }

    #[test]
    fn a_new_run_ends_the_one_before() {
        let mut runs = Runs::default();
        runs.update(0, at(10), None);
        runs.update(0, at(20), Some(at(21)));
        assert!(runs.are_over());
        assert_eq!(runs.total(), Duration::from_secs(11));
    }

    #[test]
    fn many_runs_are_summed_up() {
        let mut runs = Runs::default();
        for run in 0..1000 {
            runs.update(0, at(run * 10), Some(at(run * 10 + 1)));
        }
        assert_eq!(
            (runs.known.len(), runs.total()),
            (RUNS, Duration::from_secs(1000))
        );
    }
}
