//! Builds the pipe and runs it as a pipeline does, with variables only.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use serde::Deserialize;
use tokio::process::Command;

use super::CommandError;

/// Builds the pipe with the cargo and the profile of this program, and returns its path.
pub(super) async fn build() -> Result<PathBuf, CommandError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .args([
            "build",
            "--quiet",
            "--package",
            "depot-build",
            "--bin",
            "depot-build",
        ])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    // cargo's messages go to this program's standard error.
    let output = command
        .spawn()
        .map_err(CommandError::Cargo)?
        .wait_with_output()
        .await
        .map_err(CommandError::Cargo)?;
    if !output.status.success() {
        return Err(CommandError::NotBuilt);
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(executable)
        .ok_or(CommandError::NotBuilt)
}

/// The path of the pipe, if a line of cargo's messages contains it.
fn executable(line: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        target: Target,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    let message: Message = serde_json::from_str(line).ok()?;
    message
        .executable
        .filter(|_| message.target.name == "depot-build")
}

/// Runs the pipe in `folder` with these variables and no others. On Ctrl-C, which the pipe receives too, waits for its end.
pub(super) async fn run(
    program: &Path,
    folder: &Path,
    variables: impl Iterator<Item = (&'static str, OsString)>,
) -> Result<ExitStatus, CommandError> {
    let mut child = Command::new(program)
        .env_clear()
        .envs(variables)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(CommandError::Pipe)?;
    loop {
        tokio::select! {
            ended = child.wait() => return ended.map_err(CommandError::Pipe),
            interrupt = tokio::signal::ctrl_c() => interrupt.map_err(CommandError::Signal)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_cargos_messages() {
        let lines = [
            r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"depot-build"},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
        ];
        assert_eq!(lines.into_iter().find_map(executable), None);
        let line = r#"{"reason":"compiler-artifact","target":{"name":"depot-build"},"executable":"/t/depot-build"}"#;
        assert_eq!(executable(line), Some(PathBuf::from("/t/depot-build")));
    }
}
