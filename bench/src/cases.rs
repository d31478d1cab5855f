//! One case: both programs in turn.

use std::path::Path;

use crate::context;
use crate::measure::Figures;
use crate::subjects::{Failure, Place, Wish};
use crate::table::Case;

/// What both programs are to do.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) context: &'a Path,
    /// Pushed under this reference, if there is one.
    pub(crate) push: Option<&'a str>,
    /// Built for these platforms, with commas between.
    pub(crate) platforms: Option<&'a str>,
    /// One of the context's files is another before each run.
    pub(crate) changes: bool,
}

impl<'a> Job<'a> {
    pub(crate) fn build(context: &'a Path) -> Self {
        Self {
            context,
            push: None,
            platforms: None,
            changes: false,
        }
    }

    pub(crate) fn push(context: &'a Path, reference: &'a str) -> Self {
        Self {
            push: Some(reference),
            ..Self::build(context)
        }
    }
}

/// What a builder may know from earlier runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nothing: each run is a repository, or a home, of its own.
    New,
    /// Whatever the same repository, or the same home, left.
    Kept,
    /// As in CI: the same repository, and for the CLI a new home, since every container has one.
    KeptByOurs,
}

/// Which of the two programs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Ours,
    Theirs,
}

/// Runs cases of a group and keeps their figures.
pub(crate) struct Turns<'a> {
    group: &'static str,
    pub(crate) place: &'a Place<'a>,
    runs: usize,
    /// Counts the states that a changing file has had.
    states: usize,
    pub(crate) cases: Vec<Case>,
}

impl<'a> Turns<'a> {
    pub(crate) fn new(group: &'static str, place: &'a Place<'a>, runs: usize) -> Self {
        Self {
            group,
            place,
            runs,
            states: 0,
            cases: Vec::new(),
        }
    }

    /// Runs one case.
    pub(crate) async fn case(
        &mut self,
        name: &str,
        job: Job<'_>,
        identity: Identity,
    ) -> Result<(), Failure> {
        say(&format!("{}: {name} …", self.group));
        let mut case = Case {
            name: name.to_owned(),
            ours: Vec::new(),
            theirs: Vec::new(),
        };
        self.place.engine.forget_builds().await?;
        // The first run warms what is to be warm, and counts for nothing.
        for run in 0..=self.runs {
            // Each goes first as often as the other: what one leaves to be cleaned up must not always
            // weigh on the same.
            let order = if run % 2 == 0 {
                [Program::Ours, Program::Theirs]
            } else {
                [Program::Theirs, Program::Ours]
            };
            for program in order {
                let figures = self.one(program, name, run, job, identity).await?;
                if run > 0 {
                    match program {
                        Program::Ours => case.ours.push(figures),
                        Program::Theirs => case.theirs.push(figures),
                    }
                }
            }
        }
        self.cases.push(case);
        Ok(())
    }

    /// Runs one program once, and leaves the builder as it is to be before the next.
    async fn one(
        &mut self,
        program: Program,
        name: &str,
        run: usize,
        job: Job<'_>,
        identity: Identity,
    ) -> Result<Figures, Failure> {
        if job.changes {
            // Before each program, or the second would find the step of the first in the cache.
            self.states += 1;
            context::change(job.context, self.states)?;
        }
        let label = name.replace(|character: char| !character.is_ascii_alphanumeric(), "-");
        let kept = format!("bench/{}-{label}", self.group);
        let is_kept = match identity {
            Identity::New => false,
            Identity::Kept => true,
            Identity::KeptByOurs => program == Program::Ours,
        };
        let wish = Wish {
            context: job.context,
            push: job.push,
            load: None,
            platforms: job.platforms,
            identity: &if is_kept {
                kept
            } else {
                format!("{kept}-{run}")
            },
        };
        let figures = match program {
            Program::Ours => self.place.ours(&wish).await?,
            Program::Theirs => self.place.theirs(&wish).await?,
        };
        if identity == Identity::New {
            // It knows nothing, and is not filled up with half a gigabyte a run.
            self.place.engine.forget_builds().await?;
        }
        Ok(figures)
    }
}

/// The large cases take minutes: people see which it is.
pub(crate) fn say(text: &str) {
    #[expect(clippy::print_stderr, reason = "where progress belongs")]
    {
        eprintln!("{text}");
    }
}
