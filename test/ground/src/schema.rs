//! Bitbucket's own schema of `bitbucket-pipelines.yml`, which `check-jsonschema` has in it.

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use crate::python;

const PACKAGES: [&str; 1] = ["check-jsonschema==0.39.0"];
const FOLDER: &str = "check-jsonschema-0.39.0";

/// Holds a file against the schema. `false` where the checker cannot be had, which is told, and which fails in CI.
///
/// # Errors
/// What is wrong with the file, in the checker's words.
pub fn check_pipelines(state: &Path, file: &Path) -> Result<bool, String> {
    let python = match python::install(state, FOLDER, &PACKAGES) {
        Ok(python) => python,
        Err(why) if env::var_os("CI").is_none() => {
            let told = format!(
                "left out: the schema of pipelines, which takes python3 with venv and pip: {why}\n"
            );
            let _not_shown = io::stderr().write_all(told.as_bytes());
            return Ok(false);
        }
        Err(why) => return Err(why),
    };
    let ran = Command::new(python)
        .args([
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.bitbucket-pipelines",
        ])
        .arg(file)
        .output()
        .map_err(|error| error.to_string())?;
    if ran.status.success() {
        return Ok(true);
    }
    let (told, also) = (ran.stdout, ran.stderr);
    Err(String::from_utf8_lossy(&[told, also].concat()).into_owned())
}
