//! Debian packages, unpacked into a folder of this clone and not installed.
//!
//! The machine's `apt-get` downloads them from the mirror in the machine's sources and verifies them against Debian's
//! signatures. It runs with its own state, lists and cache, so the machine's packages and their locks are not touched,
//! and root is not required.
//!
//! A set of packages is fetched once: under a lock, it is unpacked next to its final place and then renamed. So two
//! processes can fetch at the same time, and either can be killed in the middle. Delete the folder to fetch again.

mod apt;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use apt::{Apt, Release};

/// How long to wait for another process that is fetching. The largest set is 60 MB.
const LOCK_LIMIT: Duration = Duration::from_mins(10);
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// A group of packages that are fetched together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    /// Docker Engine 26.1 from Debian 13 (its `BuildKit` is 0.13), with a `runc` that runs on this machine: Debian 13's
    /// requires a newer C library than Debian 12 has. Also `busybox`, for machines without `ip`.
    Engine,
    /// Docker Engine 20.10 from Debian 12, with the libraries that it needs.
    OldEngine,
    /// The reference registry.
    Registry,
    /// A static `busybox`, to build images from.
    Busybox,
    /// tinyproxy: an HTTP proxy.
    Proxy,
    /// skopeo, with the libraries that a bare system lacks.
    Skopeo,
    /// OpenSSH's server and client and Git, with all libraries, so that they run in an image of their own.
    Ssh,
}

impl Set {
    /// The folder's name; change it when the set's packages change.
    fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine-26",
            Self::OldEngine => "engine-20",
            Self::Registry => "registry-2",
            Self::Busybox => "busybox",
            Self::Proxy => "tinyproxy-1",
            Self::Skopeo => "skopeo-1",
            Self::Ssh => "ssh-1",
        }
    }

    fn packages(self) -> &'static [(&'static str, Release)] {
        match self {
            Self::Engine => &[
                ("docker.io", Release::Trixie),
                ("containerd", Release::Trixie),
                ("runc", Release::OfMachine),
                ("busybox-static", Release::OfMachine),
            ],
            Self::OldEngine => &[
                ("docker.io", Release::Bookworm),
                ("containerd", Release::Bookworm),
                ("runc", Release::Bookworm),
                ("libdevmapper1.02.1", Release::Bookworm),
                ("busybox-static", Release::OfMachine),
            ],
            Self::Registry => &[("docker-registry", Release::OfMachine)],
            Self::Busybox => &[("busybox-static", Release::OfMachine)],
            Self::Proxy => &[("tinyproxy-bin", Release::OfMachine)],
            Self::Ssh if is_debian_13() => SSH_OF_DEBIAN_13,
            Self::Ssh => SSH_OF_DEBIAN_12,
            // The names of the libraries differ between Debian releases.
            Self::Skopeo if is_debian_13() => &[
                ("skopeo", Release::OfMachine),
                ("libgpgme11t64", Release::OfMachine),
                ("libassuan9", Release::OfMachine),
                ("libdevmapper1.02.1", Release::OfMachine),
                ("libgpg-error0", Release::OfMachine),
                ("libsqlite3-0", Release::OfMachine),
                ("libudev1", Release::OfMachine),
            ],
            Self::Skopeo => &[
                ("skopeo", Release::OfMachine),
                ("libgpgme11", Release::OfMachine),
                ("libassuan0", Release::OfMachine),
                ("libdevmapper1.02.1", Release::OfMachine),
                ("libgpg-error0", Release::OfMachine),
                ("libudev1", Release::OfMachine),
            ],
        }
    }
}

/// The packages of [`Set::Ssh`] on Debian 12.
const SSH_OF_DEBIAN_12: &[(&str, Release)] = &[
    ("openssh-server", Release::OfMachine),
    ("openssh-client", Release::OfMachine),
    ("git", Release::OfMachine),
    ("libc6", Release::OfMachine),
    ("libssl3", Release::OfMachine),
    ("libtirpc3", Release::OfMachine),
    ("zlib1g", Release::OfMachine),
    ("libselinux1", Release::OfMachine),
    ("libpcre2-8-0", Release::OfMachine),
    ("libgssapi-krb5-2", Release::OfMachine),
    ("libkrb5-3", Release::OfMachine),
    ("libk5crypto3", Release::OfMachine),
    ("libkrb5support0", Release::OfMachine),
    ("libcom-err2", Release::OfMachine),
    ("libkeyutils1", Release::OfMachine),
    ("libpam0g", Release::OfMachine),
    ("libaudit1", Release::OfMachine),
    ("libcap-ng0", Release::OfMachine),
    ("libwrap0", Release::OfMachine),
    ("libnsl2", Release::OfMachine),
    ("libsystemd0", Release::OfMachine),
    ("liblzma5", Release::OfMachine),
    ("libzstd1", Release::OfMachine),
    ("liblz4-1", Release::OfMachine),
    ("libgcrypt20", Release::OfMachine),
    ("libgpg-error0", Release::OfMachine),
    ("libcap2", Release::OfMachine),
    ("libcrypt1", Release::OfMachine),
];

/// The same on Debian 13, where some names have another end.
const SSH_OF_DEBIAN_13: &[(&str, Release)] = &[
    ("openssh-server", Release::OfMachine),
    ("openssh-client", Release::OfMachine),
    ("git", Release::OfMachine),
    ("libc6", Release::OfMachine),
    ("libssl3t64", Release::OfMachine),
    ("libtirpc3t64", Release::OfMachine),
    ("libwtmpdb0", Release::OfMachine),
    ("libsqlite3-0", Release::OfMachine),
    ("zlib1g", Release::OfMachine),
    ("libselinux1", Release::OfMachine),
    ("libpcre2-8-0", Release::OfMachine),
    ("libgssapi-krb5-2", Release::OfMachine),
    ("libkrb5-3", Release::OfMachine),
    ("libk5crypto3", Release::OfMachine),
    ("libkrb5support0", Release::OfMachine),
    ("libcom-err2", Release::OfMachine),
    ("libkeyutils1", Release::OfMachine),
    ("libpam0g", Release::OfMachine),
    ("libaudit1", Release::OfMachine),
    ("libcap-ng0", Release::OfMachine),
    ("libwrap0", Release::OfMachine),
    ("libnsl2", Release::OfMachine),
    ("libsystemd0", Release::OfMachine),
    ("liblzma5", Release::OfMachine),
    ("libzstd1", Release::OfMachine),
    ("liblz4-1", Release::OfMachine),
    ("libgcrypt20", Release::OfMachine),
    ("libgpg-error0", Release::OfMachine),
    ("libcap2", Release::OfMachine),
    ("libcrypt1", Release::OfMachine),
];

/// Whether the machine runs Debian 13.
fn is_debian_13() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release
        .lines()
        .any(|line| line == "VERSION_CODENAME=trixie")
}

/// An unpacked [`Set`].
#[derive(Clone, Debug)]
pub(crate) struct Unpacked(PathBuf);

impl Unpacked {
    /// The path of a program of the set; `name` has no folder.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf, PackagesError> {
        self.program_folders()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .ok_or_else(|| PackagesError::Incomplete {
                program: name.to_owned(),
                folder: self.0.clone(),
            })
    }

    /// The folder with all files.
    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    /// The folders that hold libraries of the set.
    pub(crate) fn library_folders(&self) -> Vec<PathBuf> {
        let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
        ["usr/lib", "lib"]
            .into_iter()
            .map(|folder| self.0.join(folder).join(&triplet))
            .collect()
    }

    /// The folders that hold programs of the set, in the order of a search path.
    pub(crate) fn program_folders(&self) -> impl Iterator<Item = PathBuf> {
        ["usr/sbin", "usr/bin", "sbin", "bin"]
            .into_iter()
            .map(|folder| self.0.join(folder))
    }
}

/// Fetches `set` into a folder below `state`, unless that exists.
///
/// Cancel safe: the next call removes an incomplete set.
pub(crate) async fn fetch(state: &Path, set: Set) -> Result<Unpacked, PackagesError> {
    let folder = state.join("packages");
    let place = folder.join(set.name());
    if place.is_dir() {
        return Ok(Unpacked(place));
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PackagesError::Folder { path, source }
    };
    fs::create_dir_all(&folder).map_err(failed(&folder))?;
    let lock = lock(&folder.join("lock")).await?;
    if place.is_dir() {
        return Ok(Unpacked(place)); // fetched by the process that held the lock
    }

    let apt = Apt::prepare(&folder.join("apt"), lock).await?;
    let new = folder.join(format!("{}.new", set.name()));
    if new.exists() {
        fs::remove_dir_all(&new).map_err(failed(&new))?;
    }
    let (archives, root) = (new.join("archives"), new.join("root"));
    for folder in [&archives, &root] {
        fs::create_dir_all(folder).map_err(failed(folder))?;
    }
    apt.download(set.packages(), &archives).await?;
    for archive in fs::read_dir(&archives).map_err(failed(&archives))? {
        apt.unpack(&archive.map_err(failed(&archives))?.path(), &root)
            .await?;
    }
    fs::rename(&root, &place).map_err(failed(&place))?;
    fs::remove_dir_all(&new).map_err(failed(&new))?;
    Ok(Unpacked(place))
}

/// Locks `path` without blocking the thread. The lock is held until the returned file is dropped.
async fn lock(path: &Path) -> Result<File, PackagesError> {
    let failed = |source| PackagesError::Folder {
        path: path.to_owned(),
        source,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(failed)?;
    let locked = async {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
    };
    match tokio::time::timeout(LOCK_LIMIT, locked).await {
        Ok(outcome) => outcome.map(|()| file),
        Err(late) => Err(failed(late.into())),
    }
}

/// Why packages could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// No packages are known for this system.
    #[error("packages are known for Debian 12 and 13, and this machine runs {found}")]
    System {
        /// The name of the machine's system.
        found: String,
    },
    /// A program of Debian could not be started.
    #[error("`{program}` could not be started")]
    Start {
        /// The program.
        program: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A program failed.
    #[error("`{command}` failed: {output}")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// The end of its output.
        output: String,
    },
    /// The machine's sources contain no mirror for its release.
    #[error("apt's sources on this machine contain no mirror of Debian {codename}")]
    NoMirror {
        /// The release's name.
        codename: String,
    },
    /// A package does not contain an expected program.
    #[error("`{program}` is not among the packages unpacked in `{}`", folder.display())]
    Incomplete {
        /// The program.
        program: String,
        /// The folder that was searched.
        folder: PathBuf,
    },
    /// The folder for packages cannot be used.
    #[error("`{}` cannot be used", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl PackagesError {
    /// Whether this machine cannot fetch Debian packages at all, so that another source is needed.
    pub(crate) fn is_of_machine(&self) -> bool {
        matches!(
            self,
            Self::System { .. } | Self::Start { .. } | Self::NoMirror { .. }
        )
    }

    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::System { .. } | Self::Start { .. } | Self::NoMirror { .. } => Some(
                "run on Debian 12 or 13, or install Docker Engine 25 or later with the containerd image store enabled",
            ),
            Self::Failed { .. } => Some(
                "the first start downloads from the machine's Debian mirror; check that `apt-get update` works",
            ),
            Self::Incomplete { .. } => {
                Some("delete that folder, so that the packages are fetched again")
            }
            Self::Folder { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_concurrent_fetches_of_the_same_packages_both_succeed() {
        let state = tempfile::tempdir().unwrap();
        let leftover = state.path().join("packages/busybox.new/archives");
        fs::create_dir_all(&leftover).unwrap();
        fs::write(leftover.join("half.deb"), "left by a killed process").unwrap();

        let (first, second) = tokio::join!(
            fetch(state.path(), Set::Busybox),
            fetch(state.path(), Set::Busybox)
        );
        let (first, second) = (
            first.unwrap().program("busybox").unwrap(),
            second.unwrap().program("busybox").unwrap(),
        );

        assert_eq!(first, second);
        let output = std::process::Command::new(first)
            .args(["echo", "it runs"])
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"it runs\n");
        assert!(!state.path().join("packages/busybox.new").exists());
    }
}
