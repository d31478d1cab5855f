//! Starts the program as Bitbucket does, with only the variables that are set here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use depot_ground::internet::{Internet, variables};
use depot_ground::registry::Registry;
use local_depot::LocalDepot;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

/// Maximum time of a run.
const LIMIT: Duration = Duration::from_secs(150);

/// The program and its variables.
pub struct Program {
    variables: BTreeMap<OsString, OsString>,
    directory: PathBuf,
    wrapper: Vec<String>,
}

/// The result of a run.
#[derive(Debug)]
pub struct Run {
    /// The exit code.
    pub code: i32,
    /// Everything that was printed, without colours.
    pub log: String,
    /// The standard output, which only the print of a definition has.
    pub stdout: String,
}

/// The result of a run whose log is too large to keep.
#[derive(Debug)]
pub struct Passed {
    /// The exit code.
    pub code: i32,
    /// The maximum memory, in KiB.
    pub peak_kib: u64,
}

/// A running program.
pub struct Running {
    child: Child,
    lines: BufReader<ChildStderr>,
    log: String,
}

impl Program {
    /// In a directory, without variables except `NO_COLOR`.
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            variables: BTreeMap::from([("NO_COLOR".into(), "1".into())]),
            directory: directory.to_owned(),
            wrapper: Vec::new(),
        }
    }

    /// In a directory, with the variables of this Depot.
    pub fn of(depot: &LocalDepot, directory: &Path) -> Self {
        Self::in_directory(directory)
            .set("DEPOT_API_URL", depot.api_url())
            .set("DEPOT_TOKEN", depot.token())
            .set("DEPOT_PROJECT_ID", depot.project_id())
    }

    /// Sets a variable.
    pub fn set(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.insert(name.into(), value.as_ref().into());
        self
    }

    /// Removes a variable.
    pub fn unset(mut self, name: &str) -> Self {
        self.variables.remove(OsStr::new(name));
        self
    }

    /// Pushes an image to a registry, with its credentials.
    pub fn push(self, image: &str, registry: &Registry) -> Self {
        self.set("IMAGE", image)
            .set("PUSH", "true")
            .set("REGISTRY", registry.host())
            .set("REGISTRY_USERNAME", registry.username())
            .set("REGISTRY_PASSWORD", registry.password())
    }

    /// Loads the image into a daemon, under a name.
    pub fn load(self, image: &str, docker_host: &str) -> Self {
        self.set("IMAGE", image)
            .set("LOAD", "true")
            .set("DOCKER_HOST", docker_host)
    }

    /// On the internet of the tests.
    pub fn on(self, internet: &Internet) -> Self {
        let variables = variables(&internet.proxy(), &internet.authority());
        variables
            .into_iter()
            .fold(self, |program, (name, value)| program.set(name, value))
    }

    /// Runs it through another program, such as one that drops privileges.
    pub fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Starts it.
    pub fn start(self) -> Running {
        let program = env!("CARGO_BIN_EXE_depot-build").to_owned();
        let mut words = self.wrapper.into_iter().chain([program]);
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .env_clear()
            .envs(self.variables)
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Running {
            child,
            lines,
            log: String::new(),
        }
    }

    /// Runs it until its end.
    pub async fn run(self) -> Run {
        self.start().end().await
    }
}

impl Running {
    /// Reads the log until a line contains `text`.
    pub async fn until(&mut self, text: &str) {
        let reading = async {
            loop {
                let before = self.log.len();
                let length = self.lines.read_line(&mut self.log).await.unwrap();
                assert!(length > 0, "the log ended without `{text}`:\n{}", self.log);
                if self.log.get(before..).unwrap().contains(text) {
                    return;
                }
            }
        };
        let read = tokio::time::timeout(LIMIT, reading).await;
        assert!(read.is_ok(), "no `{text}` in {LIMIT:?}");
    }

    /// Its arguments, which every user of the machine can read.
    pub fn arguments(&self) -> Vec<u8> {
        let id = self.child.id().expect("still running");
        std::fs::read(format!("/proc/{id}/cmdline")).unwrap()
    }

    /// Sends it a signal.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().expect("still running").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await;
        assert!(sent.unwrap().success());
    }

    /// The maximum memory so far, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let id = self.child.id().expect("still running");
        let status = std::fs::read_to_string(format!("/proc/{id}/status"));
        high_water_kib(&status.unwrap_or_default())
    }

    /// Passes each further line of the log to `take`, without its end, and keeps none.
    pub async fn pass(mut self, mut take: impl FnMut(&[u8])) -> Passed {
        let id = self.child.id().expect("still running");
        let status_file = format!("/proc/{id}/status");
        let mut peak_kib = 0;
        let mut line = Vec::new();
        let mut since_looked = usize::MAX;
        let reading = async {
            loop {
                line.clear();
                let length = self.lines.read_until(b'\n', &mut line).await.unwrap();
                if length == 0 {
                    return self.child.wait().await.unwrap();
                }
                take(line.strip_suffix(b"\n").unwrap_or(&line));
                since_looked = since_looked.saturating_add(length);
                if since_looked > 1 << 20 {
                    since_looked = 0;
                    let status = std::fs::read_to_string(&status_file).unwrap_or_default();
                    peak_kib = peak_kib.max(high_water_kib(&status));
                }
            }
        };
        let Ok(status) = tokio::time::timeout(4 * LIMIT, reading).await else {
            panic!("not ended after {:?}", 4 * LIMIT);
        };
        Passed {
            code: status.code().expect("ended by itself"),
            peak_kib,
        }
    }

    /// Waits for its end without reading the log, and returns the exit code.
    pub async fn end_unread(mut self) -> i32 {
        let ended = tokio::time::timeout(LIMIT, self.child.wait()).await;
        let Ok(status) = ended else {
            panic!("not ended after {LIMIT:?}");
        };
        status.unwrap().code().expect("ended by itself")
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Run {
        let reading = async {
            let mut stdout = Vec::new();
            let mut pipe = self.child.stdout.take().unwrap();
            let (log, out) = tokio::join!(
                self.lines.read_to_string(&mut self.log),
                pipe.read_to_end(&mut stdout)
            );
            log.unwrap();
            out.unwrap();
            (self.child.wait().await.unwrap(), stdout)
        };
        let Ok((status, stdout)) = tokio::time::timeout(LIMIT, reading).await else {
            panic!("not ended after {LIMIT:?}");
        };
        let log = self.log;
        let code = status
            .code()
            .unwrap_or_else(|| panic!("{status}, with the log:\n{log}"));
        assert!(!log.contains("panicked"), "{log}");
        let stdout = String::from_utf8(stdout).unwrap();
        Run { code, log, stdout }
    }
}

/// The line `VmHWM:` of a process's status.
fn high_water_kib(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl Run {
    /// Fails the test, with the log, unless the run ended with this code and printed these texts.
    #[track_caller]
    pub fn expect(&self, code: i32, texts: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{}", self.log);
        assert_eq!(self.stdout, "", "nothing belongs on standard output");
        for text in texts {
            assert!(self.log.contains(text), "no `{text}` in:\n{}", self.log);
        }
        self
    }

    /// Fails the test if the log contains this text.
    #[track_caller]
    pub fn without(&self, text: &str) -> &Self {
        assert!(!self.log.contains(text), "`{text}` in:\n{}", self.log);
        self
    }
}
