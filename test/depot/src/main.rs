//! The local Depot by hand: `serve` keeps one running, `demo` has the pipe build an image on one.

mod command;

use std::error::Error;
use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use command::{Arguments, CommandError, Verb, demo, serve};

const USAGE: &str = "\
Usage: local-depot serve|demo [--engine auto|own|docker=ADDRESS|buildkitd=ADDRESS]

  serve   Runs a local Depot and a registry until Ctrl-C, or until its input ends;
          prints the variables that lead to them as shell lines.
  demo    Has the pipe build a small image on a local Depot, push it, and reads it back.
          Ends with the pipe's exit code.
";

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            let _no_reader = stdout().write_all(USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            let _no_reader = write!(stderr(), "{wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(stderr)
        .init();
    let ended = tokio::runtime::Runtime::new()
        .map_err(CommandError::Runtime)
        .and_then(|runtime| {
            runtime.block_on(async {
                match arguments.verb {
                    Verb::Serve => serve(&arguments).await,
                    Verb::Demo => demo(&arguments).await,
                }
            })
        });
    ended.unwrap_or_else(|error| {
        tell(&error);
        ExitCode::FAILURE
    })
}

/// One cause a line, then what to do.
fn tell(error: &CommandError) {
    let mut lines = vec![format!("error: {error}")];
    let mut cause = error.source();
    while let Some(error) = cause {
        lines.push(format!("  caused by: {error}"));
        cause = error.source();
    }
    lines.extend(error.hint().map(|hint| format!("hint: {hint}")));
    let _no_reader = writeln!(stderr(), "{}", lines.join("\n"));
}
