//! The local Depot on the command line: `serve` runs one, `demo` builds an image on one with the pipe.

mod command;

use std::error::Error;
use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use command::{Arguments, CommandError, Verb, demo, serve};

const USAGE: &str = "\
Usage: local-depot serve|demo [--engine auto|own|docker=ADDRESS|buildkitd=ADDRESS]

  serve   Runs a local Depot and a registry until Ctrl-C or the end of its input;
          prints the pipe's variables for them as shell lines.
  demo    Builds and pushes a small image with the pipe on a local Depot and reads it back.
          Exits with the pipe's exit code.
";

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            let _no_reader = stdout().write_all(USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let _no_reader = write!(stderr(), "error: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(stderr)
        .init();
    let outcome = tokio::runtime::Runtime::new()
        .map_err(CommandError::Runtime)
        .and_then(|runtime| {
            runtime.block_on(async {
                match arguments.verb {
                    Verb::Serve => serve(&arguments).await,
                    Verb::Demo => demo(&arguments).await,
                }
            })
        });
    outcome.unwrap_or_else(|error| {
        report(&error);
        ExitCode::FAILURE
    })
}

/// Prints the error, its causes, one on each line, and the hint.
fn report(error: &CommandError) {
    let mut lines = vec![format!("error: {error}")];
    let mut cause = error.source();
    while let Some(error) = cause {
        lines.push(format!("  caused by: {error}"));
        cause = error.source();
    }
    lines.extend(error.hint().map(|hint| format!("hint: {hint}")));
    let _no_reader = writeln!(stderr(), "{}", lines.join("\n"));
}
