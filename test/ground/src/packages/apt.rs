//! The machine's `apt-get` and `dpkg`, restricted to a folder of this clone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use tokio::process::Command;

use super::PackagesError;

/// How long one command may take: lists are 20 MB, the largest set of packages 60 MB.
const COMMAND_LIMIT: Duration = Duration::from_mins(5);
/// The age at which lists are fetched again. Mirrors drop a package soon after its successor appears.
const LISTS_LIMIT: Duration = Duration::from_hours(6);
/// How much of a failed command's output a message shows.
const SHOWN_CHARACTERS: usize = 2000;
/// Debian's keys, if the machine has them in a separate file. The file of each release also holds the other's keys.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The Debian release that a package is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// The machine's release.
    OfMachine,
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

/// `apt-get` with fresh lists in a separate folder.
#[derive(Debug)]
pub(crate) struct Apt {
    folder: PathBuf,
    codename: String,
    /// The standard input of every command: if this process is killed, the lock holds until the command has ended.
    lock: File,
}

impl Apt {
    /// Prepares the folder and fetches lists, unless they are recent. The caller holds `lock` on the folder.
    pub(crate) async fn prepare(folder: &Path, lock: File) -> Result<Self, PackagesError> {
        let failed = |source| PackagesError::Folder {
            path: folder.to_owned(),
            source,
        };
        let apt = Self {
            folder: folder.to_owned(),
            codename: codename()?,
            lock,
        };
        let fresh = folder.join("fresh");
        let is_recent =
            |modified: SystemTime| modified.elapsed().is_ok_and(|age| age < LISTS_LIMIT);
        if fs::metadata(&fresh)
            .and_then(|file| file.modified())
            .is_ok_and(is_recent)
        {
            return Ok(apt);
        }

        fs::create_dir_all(folder.join("state/lists/partial")).map_err(failed)?;
        fs::create_dir_all(folder.join("cache/archives/partial")).map_err(failed)?;
        fs::write(folder.join("status"), "").map_err(failed)?;
        // The machine's settings apply (a proxy, for example), but its hooks for its own updates must not run.
        let hooks = "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n#clear APT::Update::Pre-Invoke;\n";
        fs::write(folder.join("apt.conf"), hooks).map_err(failed)?;
        fs::write(folder.join("mirror.sources"), sources(&apt.mirror().await?)).map_err(failed)?;

        let mut update = apt.command();
        update.args(["-o", "APT::Update::Error-Mode=any", "update"]);
        run(update, &apt.lock, "apt-get", "apt-get update").await?;
        fs::write(&fresh, "").map_err(failed)?;
        Ok(apt)
    }

    /// Downloads `packages` into `into`. apt checks each against the signed lists.
    pub(crate) async fn download(
        &self,
        packages: &[(&str, Release)],
        into: &Path,
    ) -> Result<(), PackagesError> {
        let versions: Vec<String> = packages
            .iter()
            .map(|(name, release)| match release {
                Release::OfMachine => format!("{name}/{}", self.codename),
                Release::Bookworm => format!("{name}/bookworm"),
                Release::Trixie => format!("{name}/trixie"),
            })
            .collect();
        let mut download = self.command();
        download.arg("download").args(&versions).current_dir(into);
        run(
            download,
            &self.lock,
            "apt-get",
            &format!("apt-get download {}", versions.join(" ")),
        )
        .await
        .map(drop)
    }

    /// Unpacks one package below `root`. Its scripts do not run.
    pub(crate) async fn unpack(&self, archive: &Path, root: &Path) -> Result<(), PackagesError> {
        let mut command = Command::new("dpkg");
        command.arg("-x").args([archive, root]);
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        run(command, &self.lock, "dpkg", &format!("dpkg -x {name}"))
            .await
            .map(drop)
    }

    /// `apt-get` with separate folders instead of the machine's.
    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.arg("-c").arg(self.folder.join("apt.conf"));
        let folders = [
            ("Dir::Etc::sourcelist", "mirror.sources"),
            ("Dir::State", "state"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
        ];
        for (option, name) in folders {
            command
                .arg("-o")
                .arg(format!("{option}={}", self.folder.join(name).display()));
        }
        command.args([
            "-q",
            "-o=Dir::Etc::sourceparts=/dev/null",
            "-o=Dir::Cache::pkgcache=",
            "-o=Dir::Cache::srcpkgcache=",
            "-o=APT::Get::AllowUnauthenticated=false",
            "-o=Acquire::AllowInsecureRepositories=false",
            "-o=Acquire::GzipIndexes=true",
            "-o=Acquire::Languages=none",
            "-o=Acquire::Retries=3",
            "-o=Acquire::http::Timeout=30",
            "-o=Acquire::https::Timeout=30",
        ]);
        command
    }

    /// The mirror that the machine's sources contain for its release.
    async fn mirror(&self) -> Result<String, PackagesError> {
        let mut command = Command::new("apt-get");
        // The machine's lists may be missing, as in a container's image; this needs none.
        command.args(["update", "--print-uris", "-o"]);
        command.arg(format!(
            "Dir::State::Lists={}",
            self.folder.join("none").display()
        ));
        let output = run(
            command,
            &self.lock,
            "apt-get",
            "apt-get update --print-uris",
        )
        .await?;
        mirror_of(&String::from_utf8_lossy(&output.stdout), &self.codename).ok_or_else(|| {
            PackagesError::NoMirror {
                codename: self.codename.clone(),
            }
        })
    }
}

/// Finds the mirror in the output of `apt-get update --print-uris`: `'<mirror>/dists/<codename>/InRelease' <file> <size>`.
fn mirror_of(printed: &str, codename: &str) -> Option<String> {
    let release = format!("/dists/{codename}/InRelease");
    printed
        .lines()
        .filter_map(|line| {
            line.strip_prefix('\'')?
                .split('\'')
                .next()?
                .strip_suffix(&release)
        })
        .find(|mirror| !mirror.contains(char::is_whitespace))
        .map(ToOwned::to_owned)
}

/// A sources file in apt's format: Debian 12 and 13, and of each only the list of packages.
fn sources(mirror: &str) -> String {
    // The machine's release is one of them; see `codename`.
    let suites = "bookworm trixie";
    let signed = if Path::new(KEYRING).exists() {
        format!("Signed-By: {KEYRING}\n")
    } else {
        String::new()
    };
    format!(
        "Types: deb\nURIs: {mirror}\nSuites: {suites}\nComponents: main\nTargets: Packages\n{signed}"
    )
}

/// The codename of the machine's Debian release.
fn codename() -> Result<String, PackagesError> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        release.lines().find_map(|line| {
            Some(
                line.strip_prefix(name)?
                    .strip_prefix('=')?
                    .trim_matches('"')
                    .to_owned(),
            )
        })
    };
    match (field("ID").as_deref(), field("VERSION_CODENAME")) {
        (Some("debian"), Some(codename)) if ["bookworm", "trixie"].contains(&codename.as_str()) => {
            Ok(codename)
        }
        _ => Err(PackagesError::System {
            found: field("PRETTY_NAME").unwrap_or_else(|| "another system".to_owned()),
        }),
    }
}

/// Runs `command` to its end. It is killed if it takes too long or the future is dropped.
async fn run(
    mut command: Command,
    lock: &File,
    program: &'static str,
    shown: &str,
) -> Result<Output, PackagesError> {
    let failed = |output: String| PackagesError::Failed {
        command: shown.to_owned(),
        output,
    };
    let lock = lock
        .try_clone()
        .map_err(|error| failed(error.to_string()))?;
    command
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(lock)
        .kill_on_drop(true);
    let output = match tokio::time::timeout(COMMAND_LIMIT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(source)) if source.kind() == io::ErrorKind::NotFound => {
            return Err(PackagesError::Start { program, source });
        }
        Ok(Err(source)) => return Err(failed(source.to_string())),
        Err(_) => {
            return Err(failed(format!(
                "it took longer than {} s",
                COMMAND_LIMIT.as_secs()
            )));
        }
    };
    if output.status.success() {
        return Ok(output);
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let skipped = printed
        .trim_end()
        .chars()
        .count()
        .saturating_sub(SHOWN_CHARACTERS);
    Err(failed(printed.trim_end().chars().skip(skipped).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_one_of_the_machines_own_release() {
        let printed = "'http://security.invalid/debian-security/dists/bookworm-security/InRelease' a_InRelease 0 \n\
                       'https://mirror.invalid/debian/dists/bookworm/InRelease' b_InRelease 0 \n\
                       'https://mirror.invalid/debian/dists/bookworm-updates/InRelease' c_InRelease 0 \n";
        assert_eq!(
            mirror_of(printed, "bookworm").as_deref(),
            Some("https://mirror.invalid/debian")
        );
        assert_eq!(mirror_of(printed, "trixie"), None);
    }

    #[tokio::test]
    async fn a_failed_command_is_reported_with_its_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo Temporary failure resolving >&2; exit 100"]);
        let error = run(
            command,
            &tempfile::tempfile().unwrap(),
            "sh",
            "apt-get update",
        )
        .await
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`apt-get update` failed: Temporary failure resolving"
        );
        assert!(error.hint().is_some());
    }
}
