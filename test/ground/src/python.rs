//! Programs from the Python package index, each in an environment of its own below a folder of this clone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the Python of the environment `name`, which has `packages`. Programs that run at the same time wait for each other.
///
/// # Errors
/// Why it cannot be installed, for people.
pub(crate) fn install(state: &Path, name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| error.to_string();
    fs::create_dir_all(state).map_err(failed)?;
    let lock = File::create(state.join("python.lock")).map_err(failed)?;
    lock.lock().map_err(failed)?; // until it is dropped
    let folder = state.join(name);
    let (python, done) = (folder.join("bin/python"), folder.join("complete"));
    if done.exists() {
        return Ok(python);
    }
    // An environment cannot be moved to another place, so it is marked when it is whole.
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
    let ran = command.stdin(Stdio::null()).output();
    let ran = ran.map_err(|error| error.to_string())?;
    if ran.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&ran.stderr).into_owned())
}
