//! A second opinion on what was pushed: Debian's skopeo, which shares no line with us or with BuildKit's pusher.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::packages::{self, PackagesError, Set};
use crate::registry::Login;

/// Far longer than reading back any image of a test takes.
const LIMIT: Duration = Duration::from_mins(2);

/// A skopeo that can be run.
#[derive(Clone, Debug)]
pub struct Skopeo {
    program: PathBuf,
    libraries: Vec<PathBuf>,
}

impl Skopeo {
    /// The machine's own, or Debian's, fetched unless it is there. `state` is where downloaded packages are kept.
    pub async fn fetch(state: &Path) -> Result<Self, PackagesError> {
        let path = env::var_os("PATH").unwrap_or_default();
        let own = env::split_paths(&path)
            .map(|folder| folder.join("skopeo"))
            .find(|program| program.is_file());
        if let Some(program) = own {
            return Ok(Self {
                program,
                libraries: Vec::new(),
            });
        }
        let unpacked = packages::fetch(state, Set::Skopeo).await?;
        Ok(Self {
            program: unpacked.program("skopeo")?,
            libraries: unpacked.library_folders(),
        })
    }

    /// Reads back every manifest, config and layer of every platform, checks their digests, and returns the index or
    /// manifest as JSON. `reference` is at a registry on loopback without TLS.
    ///
    /// # Errors
    /// skopeo's words, when anything is missing or not what its digest says.
    pub async fn read_back(&self, reference: &str, login: &Login) -> io::Result<Value> {
        let folder = tempfile::tempdir()?;
        let host = reference.split('/').next().unwrap_or_default();
        let authentication = authentication(&folder, host, login)?;
        let image = folder.path().join("image");
        let mut command = Command::new(&self.program);
        command
            .args([
                "--insecure-policy",
                "copy",
                "--all",
                "--src-tls-verify=false",
                "--src-authfile",
            ])
            .arg(&authentication)
            .arg(format!("docker://{reference}"))
            .arg(format!("dir:{}", image.display()))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if !self.libraries.is_empty() {
            let libraries = env::join_paths(&self.libraries).map_err(io::Error::other)?;
            command.env("LD_LIBRARY_PATH", libraries);
        }
        let ran = tokio::time::timeout(LIMIT, command.output()).await??;
        if !ran.status.success() {
            let told = String::from_utf8_lossy(&ran.stderr).into_owned();
            return Err(io::Error::other(told));
        }
        let manifest = fs::read(image.join("manifest.json"))?;
        serde_json::from_slice(&manifest).map_err(io::Error::other)
    }
}

/// A login for one host in a file that nobody else may read: arguments are everybody's to see.
fn authentication(folder: &TempDir, host: &str, login: &Login) -> io::Result<PathBuf> {
    let path = folder.path().join("auth.json");
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    let auth = login.encoded();
    let content = json!({ "auths": { host: { "auth": auth } } });
    file.write_all(content.to_string().as_bytes())?;
    Ok(path)
}
