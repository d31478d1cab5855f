//! One case: alternating runs of both programs.

use std::path::Path;

use crate::context;
use crate::measure::Figures;
use crate::subjects::{Failure, Place, Work};
use crate::table::Case;

/// The work of both programs.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) context: &'a Path,
    /// The reference of the push, if any.
    pub(crate) push: Option<&'a str>,
    /// The platforms, separated by commas.
    pub(crate) platforms: Option<&'a str>,
    /// Whether one file of the context changes before each run.
    pub(crate) changes: bool,
    /// Whether each run has a new clone, whose files have new times. The pipe then derives times from the content.
    pub(crate) is_cloned: bool,
    /// The input of both programs.
    pub(crate) input: Input,
}

/// The input of a program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// A Dockerfile, which is built.
    Dockerfile,
    /// A definition, whose targets are built.
    Definition,
    /// A definition, which is printed.
    Printed,
}

impl<'a> Job<'a> {
    pub(crate) fn build(context: &'a Path) -> Self {
        Self {
            context,
            push: None,
            platforms: None,
            changes: false,
            is_cloned: false,
            input: Input::Dockerfile,
        }
    }

    pub(crate) fn of_definition(context: &'a Path, input: Input) -> Self {
        Self {
            input,
            ..Self::build(context)
        }
    }

    pub(crate) fn push(context: &'a Path, reference: &'a str) -> Self {
        Self {
            push: Some(reference),
            ..Self::build(context)
        }
    }
}

/// The state of earlier runs that a builder can reuse.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// None: each run has its own repository and home.
    New,
    /// The state of the same repository and the same home.
    Kept,
    /// As in CI: the same repository, and for the CLI a new home, since every container has one.
    KeptByPipe,
}

/// One of the two programs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Pipe,
    Cli,
}

/// Runs the cases of a group and collects their figures.
pub(crate) struct Turns<'a> {
    group: &'static str,
    pub(crate) place: &'a Place<'a>,
    runs: usize,
    /// The number of changes of the changing file.
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
        report(&format!("{}: {name} …", self.group));
        let mut case = Case {
            name: name.to_owned(),
            pipe: Vec::new(),
            cli: Vec::new(),
        };
        self.place.engine.forget_builds().await?;
        // The first run fills the caches and is discarded.
        for run in 0..=self.runs {
            // Each program is first in every second run: the cleanup after one must not always slow down the other.
            let order = if run % 2 == 0 {
                [Program::Pipe, Program::Cli]
            } else {
                [Program::Cli, Program::Pipe]
            };
            for program in order {
                let figures = self.one(program, name, run, job, identity).await?;
                if run > 0 {
                    match program {
                        Program::Pipe => case.pipe.push(figures),
                        Program::Cli => case.cli.push(figures),
                    }
                }
            }
        }
        self.cases.push(case);
        Ok(())
    }

    /// Runs one program once, and prepares the builder for the next run.
    async fn one(
        &mut self,
        program: Program,
        name: &str,
        run: usize,
        job: Job<'_>,
        identity: Identity,
    ) -> Result<Figures, Failure> {
        if job.changes {
            // Before each program, or the second program would find the first one's step in the cache.
            self.states += 1;
            context::change(job.context, self.states)?;
        }
        if job.is_cloned {
            context::renew_times(job.context)?;
        }
        let label = name.replace(|character: char| !character.is_ascii_alphanumeric(), "-");
        let repository = format!("bench/{}-{label}", self.group);
        let reuses_state = match identity {
            Identity::New => false,
            Identity::Kept => true,
            Identity::KeptByPipe => program == Program::Pipe,
        };
        let work = Work {
            context: job.context,
            push: job.push,
            load: None,
            platforms: job.platforms,
            input: job.input,
            has_times_of_content: job.is_cloned,
            identity: &if reuses_state {
                repository
            } else {
                format!("{repository}-{run}")
            },
        };
        let figures = match program {
            Program::Pipe => self.place.run_pipe(&work).await?,
            Program::Cli => self.place.run_cli(&work).await?,
        };
        if identity == Identity::New {
            // The next run must find nothing, and half a gigabyte of each run would fill the disk.
            self.place.engine.forget_builds().await?;
        }
        Ok(figures)
    }
}

/// Prints progress, since large cases take minutes.
pub(crate) fn report(text: &str) {
    #[expect(clippy::print_stderr, reason = "progress belongs on standard error")]
    {
        eprintln!("{text}");
    }
}
