//! The figures of a build for its summary: the time of each phase, the slowest steps, and the steps from the cache.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::moment::Moment;
use super::step::Step;
use super::{Progress, Source};

/// The number of slow steps that are named.
const SLOWEST: usize = 5;

/// A step is slow from this duration on.
const SLOW: Duration = Duration::from_millis(100);

/// The prefixes of this program's own steps. Their times are of this machine's clock.
const OWN: [&str; 3] = ["[depot] ", "[load] ", "[export] "];

/// A part of a run, in the order of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Acquiring machines and connecting to them.
    Machine,
    /// Sending the context and the Dockerfile, or fetching them.
    Context,
    /// Pulling base images and running steps.
    Build,
    /// Reading and writing caches outside of the builder.
    Cache,
    /// Compressing the result, and writing it to files.
    Export,
    /// Pushing to registries.
    Push,
    /// Loading into the Docker daemon.
    Load,
}

impl Phase {
    /// Its name in the summary, also in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Context => "context",
            Self::Build => "build",
            Self::Cache => "cache",
            Self::Export => "export",
            Self::Push => "push",
            Self::Load => "load",
        }
    }

    /// The phase of a step, from its name.
    fn of(name: &str) -> Self {
        let (label, text) = label_and_text(name);
        let last = label.rsplit(' ').next().unwrap_or_default();
        match (label, last) {
            ("depot", _) if text.starts_with("merging ") => Self::Push,
            ("depot", _) => Self::Machine,
            ("load", _) => Self::Load,
            ("export", _) => Self::Export,
            (_, "internal") if is_context(text) => Self::Context,
            _ if label.split(' ').any(|word| word == "context") => Self::Context,
            _ if is_cache(text) => Self::Cache,
            _ if text.starts_with("exporting to ") => Self::Export,
            _ => Self::Build,
        }
    }
}

/// The text in the brackets at the start of a step's name, and the text after them.
fn label_and_text(name: &str) -> (&str, &str) {
    let split = name.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    split.map_or(("", name), |(label, text)| (label, text.trim_start()))
}

fn is_context(text: &str) -> bool {
    let names = [
        "load build context",
        "load build definition",
        "load remote build context",
        "load git source",
        "load .dockerignore",
    ];
    names.iter().any(|name| text.starts_with(name))
}

fn is_cache(text: &str) -> bool {
    let names = [
        "importing cache",
        "exporting cache",
        "preparing build cache",
        "preparing inline cache",
        "exporting inline cache",
    ];
    names.iter().any(|name| text.starts_with(name))
}

/// Whether it is a step of a Dockerfile: its label ends with its number, such as `2/4`.
fn is_of_dockerfile(name: &str) -> bool {
    let (label, _) = label_and_text(name);
    let number = label.rsplit(' ').next().unwrap_or_default();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number
        .split_once('/')
        .is_some_and(|(number, count)| is_number(number) && is_number(count))
}

/// A step that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowStep {
    /// Its name, for example `[2/4] RUN make`.
    pub name: String,
    /// The time during which it ran.
    pub time: Duration,
}

/// The figures of all builds in one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The time during which at least one step of each phase ran, for phases that had a step. Phases can overlap.
    pub phases: Vec<(Phase, Duration)>,
    /// At most five steps that ran longest, the longest first. Steps from the cache are not among them.
    pub slowest: Vec<SlowStep>,
    /// The number of steps of the Dockerfile, and of those from the cache.
    pub steps: usize,
    /// See [`Self::steps`].
    pub cached: usize,
}

/// Runs that can be compared, because they have one clock and follow each other.
#[derive(Default)]
struct Spans {
    spans: Vec<(Moment, Moment)>,
    /// The time of runs that are not in `spans`.
    rest: Duration,
}

impl Spans {
    /// The time that the runs cover.
    fn covered(mut self) -> Duration {
        self.spans.sort_unstable();
        let mut total = self.rest;
        let mut covered: Option<Moment> = None;
        for (start, end) in self.spans {
            let start = covered.map_or(start, |covered| covered.max(start));
            total = total.saturating_add(end.since(start));
            covered = covered.max(Some(end));
        }
        total
    }
}

/// The times of one phase. Builders run at the same time, so the longest counts; own steps of a phase come before or after them.
#[derive(Default)]
struct PhaseTime {
    of_builders: BTreeMap<usize, Spans>,
    own: Spans,
    /// The part of exports that pushes, by builder.
    pushes: BTreeMap<usize, Duration>,
}

impl PhaseTime {
    fn add(&mut self, step: &Step) {
        let is_own = OWN.iter().any(|prefix| step.name.starts_with(prefix));
        let spans = if is_own {
            &mut self.own
        } else {
            self.of_builders.entry(step.source.0).or_default()
        };
        let (runs, rest) = step.spans();
        spans.spans.extend(runs);
        spans.rest = spans.rest.saturating_add(rest);
        let pushing = step.transfers.pushing();
        if !pushing.is_zero() {
            let pushes = self.pushes.entry(step.source.0).or_default();
            *pushes = pushes.saturating_add(pushing);
        }
    }
}

impl Progress {
    /// The figures of the steps so far. Runs that have not ended are not included.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        let mut phases: BTreeMap<Phase, PhaseTime> = BTreeMap::new();
        for step in self.table.iter().filter(|step| step.has_started()) {
            let phase = Phase::of(&step.name);
            phases.entry(phase).or_default().add(step);
            let is_cached = step.is_cached();
            if is_of_dockerfile(&step.name) {
                figures.steps += 1;
                figures.cached += usize::from(is_cached);
            }
            if phase == Phase::Build && !is_cached {
                let time = step.total();
                figures.slowest.extend((time >= SLOW).then(|| SlowStep {
                    name: step.name.clone(),
                    time,
                }));
                if figures.slowest.len() >= 2 * SLOWEST {
                    keep_slowest(&mut figures.slowest);
                }
            }
        }
        keep_slowest(&mut figures.slowest);
        figures.phases = times(phases);
        figures
    }

    /// Records that the steps of `source` have run: from now on, it repeats them from its cache.
    pub fn note_built(&mut self, source: Source) {
        self.built.insert(source);
    }
}

fn keep_slowest(steps: &mut Vec<SlowStep>) {
    steps.sort_by_key(|step| Reverse(step.time));
    steps.truncate(SLOWEST);
}

/// The time of each phase. The pushes of an exporter are moved from the export to the push.
fn times(phases: BTreeMap<Phase, PhaseTime>) -> Vec<(Phase, Duration)> {
    let mut times: BTreeMap<Phase, Duration> = BTreeMap::new();
    for (phase, time) in phases {
        let pushes = time.pushes;
        let of_builders = time.of_builders.into_iter();
        let of_builders = of_builders.map(|(source, spans)| (source, spans.covered()));
        let (mut longest, mut pushing) = (Duration::ZERO, Duration::ZERO);
        for (source, covered) in of_builders {
            let part = pushes.get(&source).copied().unwrap_or_default();
            longest = longest.max(covered.saturating_sub(part));
            pushing = pushing.max(part.min(covered));
        }
        let mut add = |phase, time| {
            let total: &mut Duration = times.entry(phase).or_default();
            *total = total.saturating_add(time);
        };
        add(phase, longest.saturating_add(time.own.covered()));
        if !pushes.is_empty() {
            add(Phase::Push, pushing);
        }
    }
    times.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::google::protobuf::Timestamp;
    use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexStatus};

    use super::*;
    use crate::report::output::OutputOptions;

    fn at(tenths: i64) -> Timestamp {
        Timestamp {
            seconds: 1000 + tenths / 10,
            nanos: i32::try_from(tenths % 10).unwrap() * 100_000_000,
        }
    }

    fn vertex(name: &str, started: i64, completed: i64, cached: bool) -> StatusResponse {
        StatusResponse {
            vertexes: vec![Vertex {
                digest: name.to_owned(),
                name: name.to_owned(),
                started: Some(at(started)),
                completed: Some(at(completed)),
                cached,
                ..Vertex::default()
            }],
            ..StatusResponse::default()
        }
    }

    fn status(vertex: &str, id: &str, started: i64, completed: i64) -> StatusResponse {
        StatusResponse {
            statuses: vec![VertexStatus {
                id: id.to_owned(),
                vertex: vertex.to_owned(),
                timestamp: Some(at(completed)),
                started: Some(at(started)),
                completed: Some(at(completed)),
                ..VertexStatus::default()
            }],
            ..StatusResponse::default()
        }
    }

    fn progress() -> Progress {
        Progress::new(OutputOptions::default())
    }

    fn apply(progress: &mut Progress, source: Source, status: &StatusResponse) {
        progress.apply_from(Duration::ZERO, source, status, &mut String::new());
    }

    fn seconds(figures: &Figures) -> Vec<(&'static str, f64)> {
        let phases = figures.phases.iter();
        phases
            .map(|(phase, time)| (phase.name(), time.as_secs_f64()))
            .collect()
    }

    #[test]
    fn steps_belong_to_phases_by_their_names() {
        for (name, phase) in [
            ("[depot] launching amd64 machine", Phase::Machine),
            ("[depot] connecting to arm64 machine", Phase::Machine),
            ("[depot] merging linux/amd64 and linux/arm64", Phase::Push),
            ("[load] acme/app:1 into Docker 29", Phase::Load),
            ("[export] writing dist", Phase::Export),
            ("[internal] load build context", Phase::Context),
            (
                "[linux/amd64 internal] load build definition from Dockerfile",
                Phase::Context,
            ),
            ("[context docs] load from client", Phase::Context),
            (
                "[internal] load metadata for docker.io/library/alpine:3",
                Phase::Build,
            ),
            ("[linux/arm64] exporting to image", Phase::Export),
            ("exporting to client directory", Phase::Export),
            ("exporting cache to registry", Phase::Cache),
            (
                "[app] importing cache manifest from r.example/c",
                Phase::Cache,
            ),
            ("[depot 1/2] FROM docker.io/library/alpine", Phase::Build),
            ("[2/4] RUN echo exporting to image", Phase::Build),
            ("", Phase::Build),
        ] {
            assert_eq!(Phase::of(name), phase, "{name}");
        }
    }

    #[test]
    fn steps_of_the_dockerfile_have_a_number() {
        for name in ["[2/4] RUN make", "[linux/amd64 build 12/14] COPY . /"] {
            assert!(is_of_dockerfile(name), "{name}");
        }
        for name in [
            "[internal] load 1/2",
            "[depot] 1/2",
            "1/2",
            "[a/b] x",
            "[/] x",
            "[1/] x",
        ] {
            assert!(!is_of_dockerfile(name), "{name}");
        }
    }

    #[test]
    fn overlapping_steps_of_a_phase_are_counted_once_and_builders_run_at_the_same_time() {
        let mut progress = progress();
        let other = progress.add_source("linux/arm64");
        let first = Source::default();
        apply(&mut progress, first, &vertex("[1/2] RUN a", 0, 20, false));
        apply(&mut progress, first, &vertex("[2/2] RUN b", 10, 30, false));
        // Another clock.
        apply(
            &mut progress,
            other,
            &vertex("[1/2] RUN a", 9000, 9050, false),
        );
        assert_eq!(seconds(&progress.figures()), [("build", 5.0)]);
    }

    #[test]
    fn the_push_of_an_exporter_is_not_part_of_the_export() {
        let mut progress = progress();
        let name = "exporting to image";
        let source = Source::default();
        apply(&mut progress, source, &vertex(name, 0, 50, false));
        apply(
            &mut progress,
            source,
            &status(name, "exporting layers", 0, 20),
        );
        apply(
            &mut progress,
            source,
            &status(name, "pushing layers", 20, 45),
        );
        // A second round repeats the status.
        apply(&mut progress, source, &vertex(name, 60, 70, false));
        apply(
            &mut progress,
            source,
            &status(name, "pushing layers", 60, 70),
        );
        assert_eq!(
            seconds(&progress.figures()),
            [("export", 2.5), ("push", 3.5)]
        );
    }

    #[test]
    fn a_step_that_ran_is_not_cached_because_it_is_repeated_from_the_cache() {
        let mut progress = progress();
        let source = Source::default();
        // A builder computes the cache key of a step first.
        apply(
            &mut progress,
            source,
            &vertex("[1/2] COPY . /", 0, 0, false),
        );
        apply(&mut progress, source, &vertex("[1/2] COPY . /", 1, 1, true));
        apply(
            &mut progress,
            source,
            &vertex("[2/2] RUN make", 2, 12, false),
        );
        progress.note_built(source);
        apply(
            &mut progress,
            source,
            &vertex("[2/2] RUN make", 20, 20, true),
        );
        let figures = progress.figures();
        assert_eq!((figures.steps, figures.cached), (2, 1));
        let slowest: Vec<_> = figures.slowest.iter().map(|step| &*step.name).collect();
        assert_eq!(slowest, ["[2/2] RUN make"]);
    }

    #[test]
    fn the_slowest_steps_are_named() {
        let mut progress = progress();
        for number in 0..100 {
            let name = format!("[{number}/100] RUN {number}");
            let step = vertex(&name, 0, (number * 37) % 100, false);
            apply(&mut progress, Source::default(), &step);
        }
        let figures = progress.figures();
        let times = figures.slowest.iter();
        let times: Vec<_> = times.map(|step| step.time.as_millis()).collect();
        assert_eq!(times, [9900, 9800, 9700, 9600, 9500]);
    }
}
