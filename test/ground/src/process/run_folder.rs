//! One numbered folder for each running daemon. The number also selects a bridge, a subnet and a cgroup.
//!
//! A number is claimed by locking a file, for one user on the whole machine: a daemon that is started at the same time, from
//! this clone or another, gets another number. The lock is passed to the daemon's supervisor. So a number whose file is
//! not locked has no owner, and everything under it can be removed.
//!
//! The folder has a short, fixed path because the path of a Unix socket is limited to 107 bytes.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The script; it documents its arguments.
pub(super) const SUPERVISE: &str = include_str!("supervise.sh");

/// How many daemons of one kind can run at the same time. Each engine has a subnet of 198.18.0.0/16, which is reserved for
/// benchmarks and used by no real network (RFC 2544).
const NUMBERS: u8 = 250;

/// The kind of daemon that owns a folder. An engine also has a bridge, a subnet and a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Engine,
    Registry,
    Aws,
    Internet,
    Proxy,
    Ssh,
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
            Self::Ssh => "ssh",
            #[cfg(test)]
            Self::Test => "test",
        }
    }
}

/// A claimed number. Dropping this removes the folder and releases the number.
#[derive(Debug)]
pub(crate) struct RunFolder {
    kind: Kind,
    number: u8,
    path: PathBuf,
    /// For machines without `ip`.
    busybox: Option<PathBuf>,
    /// `None` after [`RunFolder::take_lock`].
    lock: Option<File>,
}

impl RunFolder {
    /// Claims a free number and creates its folder, after removing the leftovers of earlier owners of this kind.
    ///
    /// Blocks for a moment while another process does the same.
    pub(crate) fn claim(kind: Kind, busybox: Option<&Path>) -> Result<Self, RunFolderError> {
        let base = base_folder()?;
        let failed = |source| RunFolderError::Unusable {
            path: base.clone(),
            source,
        };
        // Held during the search, so that no process removes a folder that another has just created and not yet locked.
        let search = open_lock(&base.join("lock")).map_err(failed)?;
        search.lock().map_err(failed)?;

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

    /// The claimed number, below [`NUMBERS`].
    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    pub(crate) fn bridge(&self) -> String {
        format!("depotgr{}", self.number)
    }

    pub(crate) fn cgroup(&self) -> String {
        format!("depot-ground-{}", self.number)
    }

    /// The arguments of `supervise.sh` after the verb.
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

    /// Takes the lock. The number and the folder stay claimed as long as any process holds the file open.
    pub(super) fn take_lock(&mut self) -> Option<File> {
        self.lock.take()
    }

    /// Removes everything under this number. Only the holder of its lock may call this.
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
                "`{}`, its bridge or its cgroup cannot be removed",
                self.path.display()
            )))
        }
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // If this fails, the next claim of a number tries again.
            let _ = self
                .clean()
                .and_then(|()| fs::remove_file(self.path.with_extension("lock")));
        }
    }
}

/// The parent of all run folders. It must belong to this user; other users cannot read it.
fn base_folder() -> Result<PathBuf, RunFolderError> {
    // The process's entry in `/proc` belongs to the user that it runs as.
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
            "it exists and is not a folder of this user",
        )));
    }
    Ok(path)
}

/// Locks the file at `path`, which its last holder may be removing at the same time; `None` if another process holds it.
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

/// Why no run folder could be claimed.
#[derive(Debug, thiserror::Error)]
pub enum RunFolderError {
    /// A folder or a lock in it cannot be created, opened or removed.
    #[error("the run folder `{}` cannot be used", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Too many daemons run at the same time.
    #[error("`{}` already holds the folders of {NUMBERS} daemons", base.display())]
    Full {
        /// The parent of all run folders.
        base: PathBuf,
    },
}
