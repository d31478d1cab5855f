//! Compares the pipe with the released depot CLI, both as whole processes against one local Depot.
//!
//! `cargo bench-cli` runs every case with alternating runs of the two programs, and prints medians and ratios as Markdown
//! tables, each as soon as its cases have run. Wall time varies on shared machines: compare the ratios, whose two medians are
//! from the same run. Nothing is asserted.
//!
//! `cargo bench-cli far loads` runs only these groups, `--runs 3` sets the number of runs of each program in a case, and
//! `--write` writes the figures into `docs/benchmark.md` and draws `docs/benchmark.svg`.
//!
//! The figures of a process are the operating system's accounts after its end; see [`measure`].

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
            #[expect(clippy::print_stderr, reason = "errors belong on standard error")]
            {
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Runs the selected groups and prints the figures of each.
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
        reason = "the figures are the output of this program"
    )]
    {
        println!("{text}");
    }
}
