//! Daemons that never outlive the process that started them.
//!
//! The test harness never drops statics, and people press Ctrl-C or send `kill -9`. So the end of a daemon does not depend
//! on any code of this process. Each daemon has a *lifeline*: a pipe whose writing end this process holds and never writes
//! to. A small shell script (`supervise.sh`) reads from it. When the kernel closes the pipe, for whatever reason, the script
//! kills the daemon and removes its files. The script has its own process group, so Ctrl-C does not reach it.
//!
//! If the script itself is killed, the kernel kills the daemon, and the next start removes the rest (see [`RunFolder`]).

mod run_folder;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

pub use run_folder::RunFolderError;
pub(crate) use run_folder::{Kind, RunFolder};

use run_folder::SUPERVISE;

/// How long a daemon may take to become ready.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long killing a daemon and removing its files may take; measured: 0.1 to 0.3 s.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// The pause between two probes of a process or a socket that cannot be awaited.
pub(crate) const PROBE_PAUSE: Duration = Duration::from_millis(20);
/// How much of a daemon's log a message shows.
const TAIL_BYTES: u64 = 4096;

/// A running daemon and its lifeline. Dropping this stops the daemon a moment later.
#[derive(Debug)]
pub(crate) struct Supervised {
    supervisor: Child,
    lifeline: Option<ChildStdin>,
    log: File,
}

impl Supervised {
    /// Starts `command` in `folder`. The folder then belongs to the daemon and is removed after it.
    pub(crate) fn start(mut folder: RunFolder, command: &[impl AsRef<OsStr>]) -> io::Result<Self> {
        // Read through this handle: the file's path is removed with the folder when the daemon ends.
        let log = File::options()
            .create(true)
            .append(true)
            .read(true)
            .open(folder.log())?;
        let mut supervisor = Command::new("sh")
            .arg("-c")
            .arg(SUPERVISE)
            .arg("supervise")
            .arg("run")
            .args(folder.script_arguments())
            .args(command)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stderr(log.try_clone()?)
            .stdout(folder.take_lock().map_or_else(Stdio::null, Stdio::from))
            .process_group(0)
            .spawn()?;
        let lifeline = supervisor.stdin.take();
        Ok(Self {
            supervisor,
            lifeline,
            log,
        })
    }

    /// Whether the daemon has ended and its supervisor has removed everything.
    pub(crate) fn has_ended(&mut self) -> io::Result<bool> {
        self.supervisor.try_wait().map(|status| status.is_some())
    }

    /// The last lines of the daemon's log.
    pub(crate) fn log_tail(&self) -> String {
        let length = self.log.metadata().map_or(0, |metadata| metadata.len());
        let mut tail = vec![0; usize::try_from(length.min(TAIL_BYTES)).unwrap_or(0)];
        match self
            .log
            .read_exact_at(&mut tail, length.saturating_sub(TAIL_BYTES))
        {
            Ok(()) if length > 0 => String::from_utf8_lossy(&tail).trim_end().to_owned(),
            Ok(()) => "(the log is empty)".to_owned(),
            Err(error) => format!("(the log cannot be read: {error})"),
        }
    }

    /// The first `limit` bytes of the log.
    pub(crate) fn log_head(&self, limit: usize) -> io::Result<String> {
        let mut head = vec![0; limit];
        let length = self.log.read_at(&mut head, 0)?;
        head.truncate(length);
        Ok(String::from_utf8_lossy(&head).into_owned())
    }

    /// Calls `probe` until it returns `Some`, the daemon ends, or [`READY_LIMIT`] has passed.
    ///
    /// `probe` needs no time limit of its own: it is dropped at the limit.
    pub(crate) async fn until_ready<T>(
        &mut self,
        mut probe: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> Result<T, NotReady> {
        let ready = async {
            loop {
                if let Some(ready) = probe(self).await {
                    return Ok(ready);
                }
                match self.has_ended() {
                    Ok(false) => tokio::time::sleep(PROBE_PAUSE).await,
                    Ok(true) | Err(_) => return Err(()),
                }
            }
        };
        match tokio::time::timeout(READY_LIMIT, ready).await {
            Ok(Ok(ready)) => Ok(ready),
            Ok(Err(())) => Err(NotReady {
                ended: true,
                log: self.log_tail(),
            }),
            Err(_) => Err(NotReady {
                ended: false,
                log: self.log_tail(),
            }),
        }
    }

    /// Stops the daemon and waits until everything of it is removed.
    pub(crate) async fn stop(mut self) -> io::Result<()> {
        drop(self.lifeline.take());
        let gone = async {
            while !self.has_ended()? {
                tokio::time::sleep(PROBE_PAUSE).await;
            }
            Ok(())
        };
        tokio::time::timeout(STOP_LIMIT, gone)
            .await
            .unwrap_or_else(|late| Err(late.into()))
    }
}

/// A daemon was started and did not become ready.
#[derive(Debug, thiserror::Error)]
#[error("{} The end of its log:\n{log}", if *.ended { "It exited." } else { "It runs, but did not respond." })]
pub struct NotReady {
    ended: bool,
    log: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> (Supervised, std::path::PathBuf) {
        let folder = RunFolder::claim(Kind::Test, None).unwrap();
        let path = folder.path().to_owned();
        (Supervised::start(folder, &["sleep", "600"]).unwrap(), path)
    }

    #[tokio::test]
    async fn stopping_a_daemon_removes_its_folder() {
        let (daemon, folder) = sleeper();
        assert!(folder.exists());
        daemon.stop().await.unwrap();
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn a_daemon_that_exits_is_reported_with_its_log() {
        let folder = RunFolder::claim(Kind::Test, None).unwrap();
        let mut daemon =
            Supervised::start(folder, &["sh", "-c", "echo no such thing; exit 3"]).unwrap();
        let error = daemon.until_ready(async |_| None::<()>).await.unwrap_err();
        assert!(error.ended, "{error}");
        assert!(error.to_string().ends_with("no such thing"), "{error}");
    }

    #[tokio::test]
    async fn the_next_start_removes_the_files_of_a_killed_supervisor() {
        let (mut daemon, folder) = sleeper();
        std::fs::write(folder.join("leftover"), "of the first daemon").unwrap();
        daemon.supervisor.kill().unwrap();
        daemon.supervisor.wait().unwrap();
        // A process that another test is starting holds the lock for a moment, until it executes its program.
        let mut claims = 0;
        while folder.join("leftover").exists() {
            drop(RunFolder::claim(Kind::Test, None).unwrap());
            claims += 1;
            assert!(claims < 100, "the file still exists");
        }
    }
}
