//! The released depot CLI: gets it from npm, once, into an ignored folder of this clone.

use std::env::consts::{ARCH, OS};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use depot_ground::fixtures::{Busybox, Context};

/// The CLI's own version, and the one under which npm has it.
pub const VERSION: &str = "2.102.12";
const NPM_VERSION: &str = "0.0.1-cli.2.102.12";

/// The CLI, or why it is not there.
#[derive(Clone, Debug)]
pub enum Installed {
    /// Where it is.
    Cli(PathBuf),
    /// There is no npm, or no CLI for this kind of machine.
    LeftOut(String),
}

/// Finds the CLI, or has npm install it.
///
/// Programs that run at the same time wait for each other. A folder appears under its name only when it is complete.
pub fn install() -> io::Result<Installed> {
    let package = match (OS, ARCH) {
        ("linux", "x86_64") => "@depot/cli-linux-x64",
        ("linux", "aarch64") => "@depot/cli-linux-arm64",
        _ => {
            return Ok(Installed::LeftOut(format!(
                "there is no CLI for {OS} on {ARCH} here"
            )));
        }
    };
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
    let ran = Command::new("npm")
        .args([
            "install",
            "--no-save",
            "--no-package-lock",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefix",
        ])
        .arg(&incomplete)
        .arg(format!("{package}@{NPM_VERSION}"))
        .stdin(Stdio::null())
        .output();
    let ran = match ran {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Installed::LeftOut(
                "there is no npm on the PATH to install it with".to_owned(),
            ));
        }
        ran => ran?,
    };
    if !ran.status.success() {
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        return Err(io::Error::other(format!(
            "npm could not install {package}@{NPM_VERSION}: {told}"
        )));
    }
    fs::rename(&incomplete, &folder)?;
    if !program.is_file() {
        return Err(io::Error::other(format!(
            "{package}@{NPM_VERSION} holds no bin/depot"
        )));
    }
    Ok(Installed::Cli(program))
}

/// The image that the CLI's fast load runs in the step's daemon: a registry in front of the builder.
pub const HELPER: &str = "public.ecr.aws/depot/cli:2.102.12";

/// What [`HELPER`] is made of: the CLI itself, and something that answers as `curl` in its health check.
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
