//! Runs the released CLI.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use local_depot::released_cli::{Installed, install};

use super::case::Case;
use crate::answer::Outcome;
use crate::command::Invocation;

/// The exit code of a program in Go that crashes.
const CRASH: i32 = 2;

/// The message of a crash that the CLI survives.
const CRASH_IN_FUNCTION: &str = "panic in function implementation";

/// The CLI. `None` if it is not available: then the test is skipped with a message, except in CI.
pub fn cli() -> Option<PathBuf> {
    match install().unwrap() {
        Installed::Cli(cli) => Some(cli),
        Installed::Unavailable(why) => {
            let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            assert!(!in_ci, "the released depot CLI is needed in CI, but {why}");
            let text = format!(
                "skipped: comparison of generated definitions with the released depot CLI, {why}\n"
            );
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            None
        }
    }
}

/// A case in a folder of its own.
pub struct Trial<'a> {
    cli: &'a Path,
    folder: tempfile::TempDir,
    invocation: Invocation,
}

impl<'a> Trial<'a> {
    pub fn new(cli: &'a Path, case: &Case) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in &case.files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let home = folder.path().join("home").to_str().unwrap().to_owned();
        let mut environment = case.environment.clone();
        environment.push(("HOME".to_owned(), home));
        Self {
            cli,
            folder,
            invocation: Invocation::new(&environment, &case.arguments),
        }
    }

    /// The answer of the library.
    pub fn ours(&self) -> Outcome {
        let run = std::panic::AssertUnwindSafe(|| self.invocation.run(self.folder.path()));
        std::panic::catch_unwind(run).unwrap_or(Outcome::Panic)
    }

    /// The answer of `depot bake --print`.
    pub fn theirs(&self) -> Outcome {
        let output = Command::new(self.cli)
            .args(["bake", "--print"])
            .args(self.invocation.arguments())
            .env_clear()
            .envs(self.invocation.environment())
            .env("DEPOT_ERROR_TELEMETRY", "0")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if output.status.success() {
            return Outcome::Json(serde_json::from_slice(&output.stdout).unwrap());
        }
        if output.status.code() == Some(CRASH) {
            return Outcome::Panic;
        }
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        if message.contains(CRASH_IN_FUNCTION) {
            return Outcome::Panic;
        }
        Outcome::Error(message)
    }
}
