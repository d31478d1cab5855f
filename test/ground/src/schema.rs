//! Validation against Bitbucket's own schema of `bitbucket-pipelines.yml`, which is part of `check-jsonschema`.

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use crate::python;

const PACKAGES: [&str; 1] = ["check-jsonschema==0.39.0"];
const FOLDER: &str = "check-jsonschema-0.39.0";

/// Validates a file. If the checker cannot be installed, reports that and returns `false`; in CI that is an error.
///
/// # Errors
/// The checker's messages if the file is invalid.
pub fn check_pipelines(state: &Path, file: &Path) -> Result<bool, String> {
    let python = match python::install(state, FOLDER, &PACKAGES) {
        Ok(python) => python,
        Err(why) if env::var_os("CI").is_none() => {
            let notice = format!(
                "skipped: check-jsonschema cannot be installed (python3 with venv and pip is required): {why}\n"
            );
            let _not_shown = io::stderr().write_all(notice.as_bytes());
            return Ok(false);
        }
        Err(why) => return Err(why),
    };
    let output = Command::new(python)
        .args([
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.bitbucket-pipelines",
        ])
        .arg(file)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(true);
    }
    let messages = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&messages).into_owned())
}
