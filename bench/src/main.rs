//! Compares the pipe with the released depot CLI, both as whole processes against one local Depot.
//!
//! `cargo bench-cli` runs every case in turn, ours and theirs alternately, and prints the medians
//! and their ratio as Markdown tables, each as soon as its cases have run. Wall time is noisy on shared machines: the ratio of
//! two medians of the same run is what counts. Nothing is asserted.
//!
//! `cargo bench-cli far loads` runs only these groups of cases, `--runs 3` so many runs of each program in a case, and `--write`
//! puts the figures into `docs/benchmark.md` and draws `docs/benchmark.svg`.
//!
//! What is measured of a process is what the operating system has counted of it when it has ended;
//! see [`measure`].

mod arguments;
mod cases;
mod chart;
mod context;
mod ground;
mod groups;
mod loads;
mod measure;
mod page;
mod start;
mod subjects;
mod table;

use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::ground::Ground;
use crate::groups::Group;
use crate::page::Report;
use crate::subjects::Failure;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|word| word == measure::WORD).is_some() {
        return measure::run(arguments);
    }
    let compared = match Arguments::parse(arguments) {
        Ok(arguments) => compare(&arguments).await,
        Err(error) => Err(error.into()),
    };
    match compared {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "where people look for it")]
            {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Runs the groups that were asked for and tells the figures of each.
async fn compare(arguments: &Arguments) -> Result<(), Failure> {
    let ground = Ground::start().await?;
    let mut report = Report::new(arguments.runs);
    for group in &arguments.groups {
        if *group == Group::Start {
            report.start = start::report(&ground.pipe, &ground.cli)?;
            print(&report.start);
        } else {
            let section = group.measure(&ground, arguments.runs).await?;
            print(&section.markdown());
            report.sections.push(section);
        }
    }
    if arguments.write {
        report.write()?;
    }
    Ok(())
}

fn print(text: &str) {
    #[expect(
        clippy::print_stdout,
        reason = "the figures are what this program is for"
    )]
    {
        println!("{text}");
    }
}
