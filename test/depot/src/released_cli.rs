//! The released depot CLI: installed once from npm, into a folder of this clone that git ignores.

use std::env::consts::{ARCH, OS};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use depot_ground::fixtures::{Busybox, Context};

/// The CLI's version, and below the version of its npm package.
pub const VERSION: &str = "2.102.12";
const NPM_VERSION: &str = "0.0.1-cli.2.102.12";

/// The CLI, or why it cannot be installed.
#[derive(Clone, Debug)]
pub enum Installed {
    /// Its path.
    Cli(PathBuf),
    /// npm is missing, or no CLI exists for this system.
    Unavailable(String),
}

/// Finds the CLI, or installs it with npm.
///
/// Processes that call this at the same time wait for each other. A folder has its final name only when it is complete.
pub fn install() -> io::Result<Installed> {
    let package = match (OS, ARCH) {
        ("linux", "x86_64") => "@depot/cli-linux-x64",
        ("linux", "aarch64") => "@depot/cli-linux-arm64",
        _ => {
            return Ok(Installed::Unavailable(format!(
                "the CLI does not exist for {OS} on {ARCH}"
            )));
        }
    };
    let package_version = format!("{package}@{NPM_VERSION}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../released-cli");
    fs::create_dir_all(&root)?;
    let lock = File::create(root.join("lock"))?;
    lock.lock()?; // until it is dropped
    let folder = root.join(NPM_VERSION);
    let program = folder.join("node_modules").join(package).join("bin/depot");
    if program.is_file() {
        return Ok(Installed::Cli(program));
    }
    let incomplete = root.join(format!("{NPM_VERSION}.incomplete"));
    for leftover in [&incomplete, &folder] {
        match fs::remove_dir_all(leftover) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::create_dir_all(&incomplete)?;
    if !npm_install(&package_version, &incomplete)? {
        return Ok(Installed::Unavailable("npm is not on the PATH".to_owned()));
    }
    fs::rename(&incomplete, &folder)?;
    if !program.is_file() {
        return Err(io::Error::other(format!(
            "{package_version} has no bin/depot"
        )));
    }
    Ok(Installed::Cli(program))
}

/// Installs a package of npm into `folder`; `false` if npm is missing.
fn npm_install(package: &str, folder: &Path) -> io::Result<bool> {
    let output = Command::new("npm")
        .args([
            "install",
            "--no-save",
            "--no-package-lock",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefix",
        ])
        .arg(folder)
        .arg(package)
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        output => output?,
    };
    if output.status.success() {
        return Ok(true);
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "npm could not install {package}: {message}"
    )))
}

/// The image that the CLI's fast load runs in the step's daemon, as a registry in front of the builder.
pub const HELPER: &str = "public.ecr.aws/depot/cli:2.102.12";

/// The build context of [`HELPER`]: the CLI, and a `curl` for its health check.
pub fn helper_context(cli: &Path, busybox: &Busybox) -> io::Result<Context> {
    let context = Context::on_busybox(
        busybox,
        "COPY curl /bin/curl\nCOPY depot /usr/bin/depot\nENTRYPOINT [\"/usr/bin/depot\"]",
    )?;
    let script = context.path().join("curl");
    fs::write(&script, "#!/bin/sh\nexec wget -q -O /dev/null \"$2\"\n")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    fs::copy(cli, context.path().join("depot"))?;
    Ok(context)
}
