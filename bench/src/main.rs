//! Compares the pipe with the released depot CLI, both as whole processes against one local Depot.
//!
//! `cargo bench-cli` runs every case in turn, ours and theirs alternately, and prints the medians
//! and their ratio as a Markdown table. Wall time is noisy on shared machines: the ratio of two
//! medians of the same run is what counts. Nothing is asserted.
//!
//! `cargo bench-cli loads` runs only the cases that load an image.
//!
//! What is measured of a process is what the operating system has counted of it when it has ended;
//! see [`measure`].

mod cases;
mod context;
mod loads;
mod measure;
mod start;
mod subjects;
mod table;

use std::process::ExitCode;

/// How often each program runs in each case.
const RUNS: usize = 5;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next();
    if first.as_deref().is_some_and(|word| word == measure::WORD) {
        return measure::run(arguments);
    }
    let group = match first {
        Some(word) if word == "loads" => cases::Group::Loads,
        _ => cases::Group::All,
    };
    match cases::run(RUNS, group).await {
        Ok(report) => {
            #[expect(
                clippy::print_stdout,
                reason = "the report is what this program is for"
            )]
            {
                println!("{report}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "where people look for it")]
            {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}
