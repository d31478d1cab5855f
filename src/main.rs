//! The entry point: reads the environment, runs the plan and returns the exit code.
//!
//! Bitbucket starts this program as process 1 of the pipe's container, where a signal without a
//! handler is ignored. SIGINT and SIGTERM are handled here: the first signal stops the run in an
//! orderly way, the second ends the program immediately.

use std::env;
use std::ffi::OsString;
use std::io;
use std::panic;
use std::process::ExitCode;
use std::time::Duration;

use depot_build::cancel::{Cancel, Reason};
use depot_build::config::{self, ConfigError, Warning};
use depot_build::exit::Exit;
use depot_build::pipe;
use depot_build::report::log;
use depot_build::report::message::Paint;
use depot_build::report::output::{Output, OutputOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that stop a run. POSIX defines their numbers.
const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// How long to wait for the last lines of the log after a second signal.
const LAST_LINES_LIMIT: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let environment: Vec<(OsString, OsString)> = env::vars_os().collect();
    // One thread: sending a context through the two connections is a chain of short tasks, and
    // waking a second thread for each of them costs more time than it saves. Files are read on
    // separate threads.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return Exit::Internal.into();
    };
    let exit = runtime.block_on(start(environment));
    // A thread that waits for a disk must not delay the exit.
    runtime.shutdown_background();
    exit.into()
}

/// Prepares the log, then reads the plan and runs it. A second signal ends it.
async fn start(environment: Vec<(OsString, OsString)>) -> Exit {
    let no_color = environment
        .iter()
        .any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
    let options = OutputOptions {
        paint: Paint { colour: !no_color },
        ..OutputOptions::default()
    };
    let (Ok(output), Ok(mut signals)) = (Output::stderr(options), Signals::listen()) else {
        return Exit::Internal;
    };
    let cancel = Cancel::new();
    let mut is_stopping = false;
    let mut running = std::pin::pin!(read_and_run(environment, &output, &cancel));
    loop {
        tokio::select! {
            exit = &mut running => return exit,
            number = signals.next() => {
                if is_stopping {
                    tracing::error!("stopped immediately: Depot may show the build as running for a while");
                    output.flush(LAST_LINES_LIMIT).await;
                    return Exit::Signal(number);
                }
                is_stopping = true;
                tracing::warn!("stopping the build; a second signal stops the program immediately");
                cancel.fire(Reason::Signal(number));
            }
        }
    }
}

/// Reads the plan and runs it.
async fn read_and_run(
    environment: Vec<(OsString, OsString)>,
    output: &Output,
    cancel: &Cancel,
) -> Exit {
    let working_directory = env::current_dir().unwrap_or_default();
    // On a separate thread: the files that variables name may be on a disk that does not respond, and signals must be
    // handled meanwhile.
    let reading =
        tokio::task::spawn_blocking(move || config::read(environment, &working_directory));
    match cancel.unless_fired(reading).await {
        Ok(Ok(Ok((plan, warnings)))) => {
            install_log(output, plan.debug);
            log_warnings(&warnings);
            pipe::run(&plan, output, cancel).await
        }
        Ok(Ok(Err(error))) => {
            let exit = report_faults(output, &error);
            pipe::drain(output, cancel).await;
            exit
        }
        // The panic hook has already logged the panic.
        Ok(Err(_panic)) => Exit::Internal,
        Err(Reason::Signal(number)) => Exit::Signal(number),
        Err(Reason::Depot | Reason::Timeout | Reason::Sibling) => Exit::Internal,
    }
}

fn install_log(output: &Output, debug: bool) {
    // This fails only if a log is already installed, and this is the first one.
    let _first = log::install(output, debug);
    // The default hook writes to standard error directly: unmasked, and it blocks forever if the log is not read.
    panic::set_hook(Box::new(|panic| tracing::error!("internal error: {panic}")));
}

fn log_warnings(warnings: &[Warning]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// Reports every invalid variable.
fn report_faults(output: &Output, error: &ConfigError) -> Exit {
    install_log(output, false);
    log_warnings(error.warnings());
    for fault in error.faults() {
        tracing::error!("{fault}");
        if let Some(excerpt) = fault.excerpt() {
            output.say(excerpt);
        }
        if let Some(hint) = fault.hint() {
            output.say(format!("hint: {hint}"));
        }
    }
    Exit::BadVariables
}

/// The signals that stop a run.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Installs the handlers. From now on the signals no longer end the program by themselves.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal and returns its number. Cancel safe.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => SIGINT,
            _ = self.terminate.recv() => SIGTERM,
        }
    }
}
