//! Reads pushed images back with Debian's skopeo, which shares no code with the pipe or with BuildKit's pusher.

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

/// Reading back any image of a test takes far less.
const LIMIT: Duration = Duration::from_mins(2);

/// An installed skopeo.
#[derive(Clone, Debug)]
pub struct Skopeo {
    program: PathBuf,
    libraries: Vec<PathBuf>,
}

impl Skopeo {
    /// Finds the machine's skopeo, or fetches Debian's. `state` is the folder for downloaded packages.
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
    /// skopeo's message, if anything is missing or does not match its digest.
    pub async fn read_back(&self, reference: &str, login: &Login) -> io::Result<Value> {
        let folder = tempfile::tempdir()?;
        let host = reference.split('/').next().unwrap_or_default();
        let authentication = authentication(&folder, host, login)?;
        let image = folder.path().join("image");
        let mut command = self.copy();
        command
            .args(["--all", "--src-tls-verify=false", "--src-authfile"])
            .arg(&authentication)
            .arg(format!("docker://{reference}"))
            .arg(format!("dir:{}", image.display()));
        run(command).await?;
        let manifest = fs::read(image.join("manifest.json"))?;
        serde_json::from_slice(&manifest).map_err(io::Error::other)
    }

    /// Reads every manifest, config and layer of the image in an archive, such as `oci-archive:image.tar`, checks their digests, and
    /// returns the index or manifest as JSON.
    ///
    /// # Errors
    /// skopeo's message, if anything is missing or does not match its digest.
    pub async fn read_archive(&self, archive: &str) -> io::Result<Value> {
        let folder = tempfile::tempdir()?;
        let image = folder.path().join("image");
        let mut command = self.copy();
        command.args(["--all", archive]);
        command.arg(format!("dir:{}", image.display()));
        run(command).await?;
        let manifest = fs::read(image.join("manifest.json"))?;
        serde_json::from_slice(&manifest).map_err(io::Error::other)
    }

    /// Copies an image for this machine's platform to a second name in the same registry and compresses its layers
    /// with zstd.
    pub async fn compress_with_zstd(
        &self,
        reference: &str,
        compressed: &str,
        login: &Login,
    ) -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let host = reference.split('/').next().unwrap_or_default();
        let authentication = authentication(&folder, host, login)?;
        let mut command = self.copy();
        command
            // skopeo's blob cache is below `HOME`: with it, skopeo would reuse the same blobs in another compression.
            .env("HOME", folder.path())
            .args(["--src-tls-verify=false", "--dest-tls-verify=false"])
            .args(["--format", "oci", "--dest-compress-format", "zstd"])
            .arg("--authfile")
            .arg(&authentication)
            .arg(format!("docker://{reference}"))
            .arg(format!("docker://{compressed}"));
        run(command).await
    }

    fn copy(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--insecure-policy", "copy"])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Ok(libraries) = env::join_paths(&self.libraries)
            && !self.libraries.is_empty()
        {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }
}

async fn run(mut command: Command) -> io::Result<()> {
    let output = tokio::time::timeout(LIMIT, command.output()).await??;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(message))
}

/// Writes a login for one host into a file that only this user may read: arguments are visible to every user.
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
