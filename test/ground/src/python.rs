//! Programs from the Python package index, each in its own virtual environment in a folder of this clone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Installs `packages` into the environment `name` unless that is done, and returns its Python interpreter.
///
/// Processes that call this at the same time wait for each other.
///
/// # Errors
/// Why the packages cannot be installed, as text for people.
pub(crate) fn install(state: &Path, name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| error.to_string();
    fs::create_dir_all(state).map_err(failed)?;
    let lock = File::create(state.join("python.lock")).map_err(failed)?;
    lock.lock().map_err(failed)?; // released when dropped
    let folder = state.join(name);
    let (python, done) = (folder.join("bin/python"), folder.join("complete"));
    if done.exists() {
        return Ok(python);
    }
    // An environment cannot be renamed into place, so a file marks a complete one.
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    run(Command::new(&python).args(pip).args(packages))?;
    File::create(done).map_err(failed)?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}
