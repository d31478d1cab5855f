//! One process and the operating system's accounts of it.
//!
//! The system sums the accounts of all ended children of a process. So each run has a small parent process of its own: this
//! program with [`WORD`] as the first argument, which has one child and prints its figures.

use std::ffi::OsString;
use std::io;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

/// The first argument of the process that measures.
pub(crate) const WORD: &str = "measure-one";

/// The figures of one run.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Figures {
    pub(crate) wall: Duration,
    /// User and system time.
    pub(crate) cpu: Duration,
    /// The largest resident size, in KiB.
    pub(crate) memory_kib: i64,
    /// Bytes between the program and the builders in both directions. The local Depot counts them.
    #[serde(default)]
    pub(crate) line_bytes: u64,
    /// The exit code; -1 after a signal.
    pub(crate) code: i32,
}

/// Runs the command in the arguments and prints its figures as JSON to standard output.
pub(crate) fn run(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(program) = words.next() else {
        return ExitCode::FAILURE;
    };
    let started = Instant::now();
    let status = Command::new(program)
        .args(words)
        .stdout(Stdio::null())
        .status();
    let wall = started.elapsed();
    let (Ok(status), Ok(usage)) = (status, getrusage(UsageWho::RUSAGE_CHILDREN)) else {
        return ExitCode::FAILURE;
    };
    let time = |value: nix::sys::time::TimeVal| {
        Duration::from_micros(
            u64::try_from(value.tv_sec() * 1_000_000 + value.tv_usec()).unwrap_or(0),
        )
    };
    let figures = Figures {
        wall,
        cpu: time(usage.user_time()) + time(usage.system_time()),
        memory_kib: usage.max_rss(),
        line_bytes: 0,
        code: status.code().unwrap_or(-1),
    };
    match serde_json::to_writer(io::stdout(), &figures) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
