//! One numbered folder for each running daemon, and with the number a bridge, a subnet and a cgroup of its own.
//!
//! The number is claimed by locking a file, machine-wide for one user: whatever is started at the same time,
//! from this clone or another, gets another number. The lock is handed to the daemon's supervisor, so
//! a number whose file is not locked has no owner any more and what is left under it can go.
//!
//! The folder has a short, fixed place because a Unix socket's path is limited to 107 bytes.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// See `supervise.sh` for its arguments.
pub(super) const SUPERVISE: &str = include_str!("supervise.sh");

/// How many daemons of one kind may run at once. One subnet goes with each, out of 198.18.0.0/16, which is
/// reserved for measurements and in no real network (RFC 2544).
const NUMBERS: u8 = 250;

/// What the folder is for. An engine also has a bridge, a subnet and a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Engine,
    Registry,
    Aws,
    Internet,
    Proxy,
    #[cfg(test)]
    Test,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Registry => "registry",
            Self::Aws => "aws",
            Self::Internet => "internet",
            Self::Proxy => "proxy",
            #[cfg(test)]
            Self::Test => "test",
        }
    }
}

/// A claimed number. Dropping it removes the folder and gives the number back.
#[derive(Debug)]
pub(crate) struct RunFolder {
    kind: Kind,
    number: u8,
    path: PathBuf,
    /// For machines without `ip`.
    busybox: Option<PathBuf>,
    /// Absent once it has been handed over.
    lock: Option<File>,
}

impl RunFolder {
    /// Claims a free number and makes its folder, after removing what earlier owners of this kind left behind.
    ///
    /// Blocks shortly, while another process does the same.
    pub(crate) fn claim(kind: Kind, busybox: Option<&Path>) -> Result<Self, RunFolderError> {
        let base = base_folder()?;
        let failed = |source| RunFolderError::Unusable {
            path: base.clone(),
            source,
        };
        // Held while looking round, so that nobody removes what another has just made and not yet locked.
        let looking = open_lock(&base.join("lock")).map_err(failed)?;
        looking.lock().map_err(failed)?;

        let mut claimed = None;
        for number in 0..NUMBERS {
            let path = base.join(format!("{}-{number}", kind.name()));
            let lock_path = path.with_extension("lock");
            if claimed.is_some() && !lock_path.exists() {
                continue;
            }
            let Some(lock) = try_lock(&lock_path).map_err(failed)? else {
                continue;
            };
            let folder = Self {
                kind,
                number,
                path,
                busybox: busybox.map(Path::to_owned),
                lock: Some(lock),
            };
            folder.clean().map_err(failed)?;
            if claimed.is_none() {
                DirBuilder::new()
                    .mode(0o711)
                    .create(&folder.path)
                    .map_err(failed)?;
                claimed = Some(folder);
            }
        }
        claimed.ok_or(RunFolderError::Full { base })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The daemon's log.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(crate) fn bridge(&self) -> String {
        format!("depotgr{}", self.number)
    }

    pub(crate) fn cgroup(&self) -> String {
        format!("depot-ground-{}", self.number)
    }

    /// The arguments of `supervise.sh` behind the verb.
    pub(super) fn script_arguments(&self) -> [OsString; 5] {
        let absent = || OsString::from("-");
        let busybox = self.busybox.as_ref().map_or_else(absent, OsString::from);
        let [bridge, subnet, cgroup] = if self.kind == Kind::Engine {
            [
                self.bridge().into(),
                format!("198.18.{}.1/24", self.number).into(),
                self.cgroup().into(),
            ]
        } else {
            [absent(), absent(), absent()]
        };
        [self.path.clone().into(), bridge, subnet, cgroup, busybox]
    }

    /// Hands over what keeps the number claimed, for as long as any process holds it open, and with it the folder.
    pub(super) fn hand_over(&mut self) -> Option<File> {
        self.lock.take()
    }

    /// Removes what is there under this number. Only for the holder of its lock.
    fn clean(&self) -> io::Result<()> {
        let status = Command::new("sh")
            .arg("-c")
            .arg(SUPERVISE)
            .arg("supervise")
            .arg("clean")
            .args(self.script_arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!(
                "`{}` or what belongs to it cannot be removed",
                self.path.display()
            )))
        }
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // What cannot be removed now is tried again by the next one who claims a number.
            let _ = self
                .clean()
                .and_then(|()| fs::remove_file(self.path.with_extension("lock")));
        }
    }
}

/// The folder of all run folders: not for other users to look into, and not theirs.
fn base_folder() -> Result<PathBuf, RunFolderError> {
    // The process's own entry belongs to the user that it runs as.
    let user = fs::metadata("/proc/self")
        .map_err(|source| RunFolderError::Unusable {
            path: "/proc/self".into(),
            source,
        })?
        .uid();
    let path = PathBuf::from(format!("/tmp/depot-ground-{user}"));
    let failed = |source| RunFolderError::Unusable {
        path: path.clone(),
        source,
    };
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let metadata = fs::symlink_metadata(&path).map_err(failed)?;
    if !metadata.is_dir() || metadata.uid() != user {
        return Err(failed(io::Error::other(
            "it is there already and not a folder of this user",
        )));
    }
    Ok(path)
}

/// Locks the file at `path`, which its last holder may be removing meanwhile; `None` when it is held.
fn try_lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = open_lock(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if fs::metadata(path)
            .is_ok_and(|named| named.ino() == file.metadata().map_or(0, |opened| opened.ino()))
        {
            return Ok(Some(file));
        }
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

/// Why there is no folder for a daemon.
#[derive(Debug, thiserror::Error)]
pub enum RunFolderError {
    /// A folder or a lock in it cannot be made, opened or removed.
    #[error("the run folder `{}` cannot be used", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Too many run at once.
    #[error("{NUMBERS} daemons have their folders in `{}` already", base.display())]
    Full {
        /// The folder of all run folders.
        base: PathBuf,
    },
}
