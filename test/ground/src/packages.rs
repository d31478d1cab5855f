//! Debian packages, unpacked into a folder of ours and not installed.
//!
//! They come through the machine's own `apt-get`, from the mirror that the machine's sources name, and apt verifies
//! them against Debian's signatures. Its state, lists and cache are ours, so the machine's packages and their
//! locks are not touched, and nobody has to be root.
//!
//! A set of packages is fetched once: it is unpacked beside its place and then renamed into it, under a lock, so
//! that two processes can ask at once and one can be killed in the middle. Delete the folder to fetch anew.

mod apt;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use apt::{Apt, Release};

/// How long to wait for another process that fetches. The largest set is 60 MB.
const LOCK_LIMIT: Duration = Duration::from_mins(10);
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Packages that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    /// Docker Engine 26.1 from Debian 13 (its `BuildKit` is 0.13), with a `runc` that runs on this machine: Debian 13's
    /// wants a newer C library than Debian 12 has. Also `busybox`, for machines without `ip`.
    Engine,
    /// Docker Engine 20.10 from Debian 12, with what it links to.
    OldEngine,
    /// The reference registry.
    Registry,
    /// A static `busybox`, to build images from.
    Busybox,
    /// tinyproxy: an HTTP proxy.
    Proxy,
    /// skopeo, with the libraries that a bare system lacks.
    Skopeo,
}

impl Set {
    /// The folder's name; give it a new one when what the set holds changes.
    fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine-26",
            Self::OldEngine => "engine-20",
            Self::Registry => "registry-2",
            Self::Busybox => "busybox",
            Self::Proxy => "tinyproxy-1",
            Self::Skopeo => "skopeo-1",
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
            // The libraries' names differ from one Debian to the next.
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

/// Whether the machine is a Debian of this name.
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
    /// Where a program of the set is; `name` without a folder.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf, PackagesError> {
        self.program_folders()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .ok_or_else(|| PackagesError::Incomplete {
                program: name.to_owned(),
                folder: self.0.clone(),
            })
    }

    /// Where libraries of the set are.
    pub(crate) fn library_folders(&self) -> Vec<PathBuf> {
        let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
        ["usr/lib", "lib"]
            .into_iter()
            .map(|folder| self.0.join(folder).join(&triplet))
            .collect()
    }

    /// Where programs of the set are, in the order of a search path.
    pub(crate) fn program_folders(&self) -> impl Iterator<Item = PathBuf> {
        ["usr/sbin", "usr/bin", "sbin", "bin"]
            .into_iter()
            .map(|folder| self.0.join(folder))
    }
}

/// Fetches `set` into a folder below `state`, unless it is there already.
///
/// Cancel safe: what is half done is removed by the next call.
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
        return Ok(Unpacked(place)); // by the process that we waited for
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

/// Locks `path` and returns what holds the lock. Does not block the thread.
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

/// Why packages are not there.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The release is none that we know packages of.
    #[error("packages are known for Debian 12 and 13, and this machine runs {found}")]
    System {
        /// What the machine says it is.
        found: String,
    },
    /// A program that comes with Debian could not be started.
    #[error("`{program}` could not be started")]
    Start {
        /// The program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A program failed.
    #[error("`{command}` failed: {told}")]
    Failed {
        /// The program and what it was asked to do.
        command: String,
        /// The end of what it printed.
        told: String,
    },
    /// The machine's own sources name no mirror for its release.
    #[error("apt's sources on this machine name no mirror of Debian {codename}")]
    NoMirror {
        /// The release's name.
        codename: String,
    },
    /// A package came without a program that it is there for.
    #[error("`{program}` is not among the packages unpacked in `{}`", folder.display())]
    Incomplete {
        /// The program.
        program: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// Our own folder for packages cannot be used.
    #[error("`{}` cannot be used", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PackagesError {
    /// Whether it is the machine that has no such packages, so that they must come from elsewhere.
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
                "run on Debian 12, or install Docker Engine 25 or later with the containerd image store switched on",
            ),
            Self::Failed { .. } => Some(
                "the first start needs the machine's Debian mirror; see whether `apt-get update` works",
            ),
            Self::Incomplete { .. } => Some("delete that folder, so that it is fetched anew"),
            Self::Folder { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_who_ask_at_once_for_the_same_packages_both_get_them() {
        let state = tempfile::tempdir().unwrap();
        let left = state.path().join("packages/busybox.new/archives");
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("half.deb"), "left by one that was killed").unwrap();

        let (first, second) = tokio::join!(
            fetch(state.path(), Set::Busybox),
            fetch(state.path(), Set::Busybox)
        );
        let (first, second) = (
            first.unwrap().program("busybox").unwrap(),
            second.unwrap().program("busybox").unwrap(),
        );

        assert_eq!(first, second);
        let told = std::process::Command::new(first)
            .args(["echo", "it runs"])
            .output()
            .unwrap();
        assert_eq!(told.stdout, b"it runs\n");
        assert!(!state.path().join("packages/busybox.new").exists());
    }
}
