//! SSH keys and agents for `RUN --mount=type=ssh` and for Git repositories over SSH.
//!
//! Keys are read once, here. They never reach a builder, which only gets signatures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use serde::Deserialize;

use super::fault::Fault;
use super::findings::Findings;
use super::pairs;
use super::paths::Places;
use super::values::{boolean, is_set};
use crate::bitbucket::variables::SSH_KEY_FILE;
use crate::bitbucket::{SSH_FOLDER, SSH_KEY_NAMES, SSH_KEY_SETTINGS};
use crate::io::bounded_file;
use crate::ssh::{Agent, Agents, KEY_LIMIT_BYTES, KeyError, PrivateKey, secrets_of};

/// The variables of SSH.
#[derive(Default, Deserialize)]
pub(super) struct SshVariables {
    pub(super) ssh: Option<String>,
}

/// The agents, and their files.
#[derive(Debug, Default)]
pub(super) struct SshPlan {
    pub(super) agents: Agents,
    /// Keys and sockets, which can be in the clone and must not be in an image.
    pub(super) files: Vec<PathBuf>,
}

const VARIABLE: &str = "SSH";

/// The id of a mount without one, and of Git repositories.
pub(super) const DEFAULT_ID: &str = "default";

const ADVICE: &str = "write `true` for the key of the step, or on each line `ID=PATH` or the PATH of a private key or of the socket of an agent";

/// The longest path of a Unix socket: 108 bytes with the final zero byte (`unix(7)`).
const SOCKET_PATH_BYTES: usize = 107;

/// The most keys of one id. Most servers end a connection after six attempts (`MaxAuthTries` of OpenSSH).
const MAX_KEYS: usize = 6;

/// Words that begin a private key, as text and in base64.
const KEY_WORDS: [&str; 4] = [
    "-----BEGIN ",
    "PRIVATE KEY",
    "LS0tLS1CRUdJTi",
    "b3BlbnNzaC1rZXktdjE",
];

/// Longer texts without a `/` are not names of files (`NAME_MAX` of Linux).
const NAME_MAX_BYTES: usize = 255;

/// Reads all keys, and reports all faults. `key_file` is the value of [`SSH_KEY_FILE`].
pub(super) fn read(
    variables: &SshVariables,
    key_file: Option<&str>,
    places: &Places<'_>,
    findings: &mut Findings,
) -> SshPlan {
    let Some(value) = variables.ssh.as_deref() else {
        return SshPlan::default();
    };
    if contains_key(value) {
        findings.keep_secret_text(value);
        let problem = "contains a private key, not the path of one";
        let advice = "write the key to a file in a line before the pipe, and write the path of that file; if the key is the step's own, \
                      write `true`";
        findings.fault(Fault::new(VARIABLE, problem, advice));
        return SshPlan::default();
    }
    let mut reader = Reader {
        key_file: key_file.map(PathBuf::from),
        folder: Path::new(SSH_FOLDER),
        places,
        findings,
        plan: BTreeMap::new(),
        files: Vec::new(),
    };
    reader.entries(value);
    SshPlan {
        agents: Agents::new(reader.plan),
        files: reader.files,
    }
}

/// Whether a value is the text of a key. It must not be shown.
pub(super) fn contains_key(value: &str) -> bool {
    let is_long = |word: &str| word.len() > NAME_MAX_BYTES && !word.contains('/');
    KEY_WORDS.iter().any(|words| value.contains(words)) || value.split_whitespace().any(is_long)
}

struct Reader<'a> {
    key_file: Option<PathBuf>,
    /// The folder of Bitbucket's keys.
    folder: &'a Path,
    places: &'a Places<'a>,
    findings: &'a mut Findings,
    plan: BTreeMap<String, Agent>,
    files: Vec<PathBuf>,
}

impl Reader<'_> {
    fn entries(&mut self, value: &str) {
        let Ok(named) = pairs::named(value) else {
            return self.fault("not a YAML mapping of ids to paths", ADVICE);
        };
        let is_only = named.len() == 1;
        let mut ids: Vec<String> = Vec::new();
        for (index, (name, path)) in named.into_iter().enumerate() {
            let (name, path) = (name.trim(), path.as_deref().map(str::trim));
            let label = format!("entry {}", index + 1);
            let (id, path) = match (path, boolean(name)) {
                (None, Some(false)) if is_only => return,
                (None, Some(false)) => {
                    let problem = format!("{label} is false, which is possible only alone");
                    self.fault(&problem, "remove that entry, or all others");
                    continue;
                }
                (None, Some(true)) => (DEFAULT_ID, None),
                (None, None) => (DEFAULT_ID, Some(name)),
                (Some(path), _) => (name, Some(path)),
            };
            if !is_id(id) {
                let problem = format!("{label} does not start with an id and `=`");
                self.fault(&problem, "write an id of letters, digits, `_`, `.` and `-`, as in the `id=` of the mount; write a path that contains a `=` as `default=PATH`");
                continue;
            }
            if ids.iter().any(|known| known == id) {
                let problem = format!("{label} has the same id as an earlier entry (`{id}`)");
                self.fault(
                    &problem,
                    "write each id once; separate several keys of one id with commas",
                );
                continue;
            }
            ids.push(id.to_owned());
            let agent = match path {
                Some(paths) => self.agent(&label, paths),
                None => self.step_keys().map(Agent::Keys),
            };
            if let Some(agent) = agent {
                self.plan.insert(id.to_owned(), agent);
            }
        }
    }

    fn fault(&mut self, problem: &str, advice: &str) {
        self.findings.fault(Fault::new(VARIABLE, problem, advice));
    }

    /// The socket or the keys at these paths, which commas separate. `None` if there is a fault, which is reported.
    fn agent(&mut self, label: &str, paths: &str) -> Option<Agent> {
        if paths.is_empty() {
            self.fault(&format!("{label} has no path after its `=`"), ADVICE);
            return None;
        }
        if !is_set(paths) {
            let problem = format!("{label} refers to a variable that is not set in this pipeline");
            self.fault(&problem, ADVICE);
            return None;
        }
        let paths: Vec<&str> = paths.split(',').map(str::trim).collect();
        if paths.len() > MAX_KEYS {
            let problem = format!("{label} has more than {MAX_KEYS} keys");
            self.fault(
                &problem,
                "most servers end a connection after six attempts: use several ids",
            );
            return None;
        }
        let is_only = paths.len() == 1;
        let mut keys = Vec::with_capacity(paths.len());
        for path in &paths {
            let (real, is_socket) =
                self.places
                    .key_or_socket(VARIABLE, path, self.folder, self.findings)?;
            self.files.push(real.clone());
            if is_socket {
                return self.socket(label, real, is_only);
            }
            keys.push(self.key(&real)?);
        }
        Some(Agent::Keys(keys))
    }

    fn socket(&mut self, label: &str, path: PathBuf, is_only: bool) -> Option<Agent> {
        if !is_only {
            let problem = format!("{label} has a socket and other paths");
            self.fault(&problem, "write the socket of an agent alone");
            return None;
        }
        if path.as_os_str().len() > SOCKET_PATH_BYTES {
            let shown = self.findings.shown(&path.to_string_lossy());
            let problem = format!(
                "{shown} is longer than {SOCKET_PATH_BYTES} bytes, the limit for the path of a socket"
            );
            self.fault(
                &problem,
                "start the agent with a shorter path, for example with `ssh-agent -a agent.sock`",
            );
            return None;
        }
        Some(Agent::Socket(path))
    }

    fn key(&mut self, path: &Path) -> Option<PrivateKey> {
        match self.parsed(path) {
            Ok(key) => Some(key),
            Err(problem) => {
                self.report(path, problem);
                None
            }
        }
    }

    /// Reads a key, and masks its text in messages and in the log.
    fn parsed(&mut self, path: &Path) -> Result<PrivateKey, Problem> {
        let content = bounded_file::read(path, KEY_LIMIT_BYTES).map_err(Problem::Read)?;
        let content = Zeroizing::new(content);
        if let Ok(text) = std::str::from_utf8(&content) {
            for secret in secrets_of(text) {
                self.findings.keep_secret(&secret);
            }
        }
        PrivateKey::parse(&content).map_err(Problem::Key)
    }

    fn report(&mut self, path: &Path, problem: Problem) {
        let shown = self.findings.shown(&path.to_string_lossy());
        match problem {
            Problem::Read(error) => {
                let problem = format!("{shown} cannot be read: {error}");
                self.fault(&problem, ADVICE);
            }
            Problem::Key(error) => {
                self.fault(&format!("{shown} {error}"), error.advice());
            }
        }
    }

    /// The keys that Bitbucket gives the step, each once.
    fn step_keys(&mut self) -> Option<Vec<PrivateKey>> {
        let named = self.key_file.take().into_iter();
        let folder = self.folder;
        let in_folder = SSH_KEY_NAMES.iter().map(|name| folder.join(name));
        let candidates = [named.collect::<Vec<_>>(), in_folder.collect()];
        let mut first_problem = None;
        for paths in candidates {
            let mut keys: Vec<PrivateKey> = Vec::new();
            for path in paths.into_iter().filter(|path| path.exists()) {
                self.files.push(path.clone());
                match self.parsed(&path) {
                    Ok(key) if keys.contains(&key) => {}
                    Ok(key) => keys.push(key),
                    Err(problem) => {
                        first_problem.get_or_insert((path, problem));
                    }
                }
            }
            if !keys.is_empty() {
                return Some(keys);
            }
        }
        match first_problem {
            Some((path, problem)) => self.report(&path, problem),
            None => {
                let problem = format!(
                    "the step has no SSH key: neither the file in {SSH_KEY_FILE} nor `{}` exists",
                    folder.join("id_rsa").display()
                );
                self.fault(&problem, SSH_KEY_SETTINGS);
            }
        }
        None
    }
}

/// Why a file is not used as a key.
enum Problem {
    Read(std::io::Error),
    Key(KeyError),
}

/// Whether a text can be the id of a mount.
fn is_id(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !text.is_empty() && text.bytes().all(is_part)
}

#[cfg(test)]
#[path = "ssh_tests.rs"]
mod tests;
