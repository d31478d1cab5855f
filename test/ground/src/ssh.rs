//! OpenSSH and Git from Debian: programs for images, and a server with a Git repository on loopback.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::net::TcpStream;

use crate::git;
use crate::packages::{self, PackagesError, Set, Unpacked};
use crate::process::{Kind, NotReady, RunFolder, RunFolderError, Supervised};

/// The files of an image with SSH and Git, besides libraries.
const PROGRAMS: [&str; 11] = [
    "usr/bin/ssh",
    "usr/bin/ssh-add",
    "usr/bin/ssh-agent",
    "usr/bin/ssh-keygen",
    "usr/bin/ssh-keyscan",
    "usr/sbin/sshd",
    // Only of Debian 13.
    "usr/lib/openssh/sshd-session",
    "usr/lib/openssh/sshd-auth",
    "usr/bin/git",
    "usr/bin/git-upload-pack",
    "usr/lib/git-core/git",
];

/// Where libraries and the loader are, which differs between Debian releases.
const LIBRARIES: [&str; 4] = ["lib", "lib64", "usr/lib", "usr/lib64"];

/// The programs.
#[derive(Clone, Debug)]
pub struct SshTools(Unpacked);

/// A running server with one Git repository for the user `git`. Dropping this stops it.
#[derive(Debug)]
pub struct SshServer {
    _daemon: Supervised,
    address: Ipv4Addr,
    repository: PathBuf,
}

/// Why there is no SSH.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// Its packages could not be fetched.
    #[error("the packages of OpenSSH could not be fetched")]
    Packages(#[from] PackagesError),
    /// No run folder could be claimed.
    #[error("no run folder for the SSH server")]
    RunFolder(#[from] RunFolderError),
    /// It could not be started.
    #[error("the SSH server could not be started")]
    Io(#[from] io::Error),
    /// It did not accept connections in time.
    #[error("the SSH server does not accept connections")]
    NotReady(#[from] NotReady),
}

impl SshTools {
    /// Fetches the programs. `state` is the folder for downloaded packages.
    ///
    /// # Errors
    /// If a package cannot be fetched.
    pub async fn fetch(state: &Path) -> Result<Self, SshError> {
        Ok(Self(packages::fetch(state, Set::Ssh).await?))
    }

    /// Copies the programs and their libraries into a folder, which becomes the root of an image.
    ///
    /// # Errors
    /// If a file cannot be copied.
    pub fn copy_into(&self, folder: &Path) -> io::Result<()> {
        let root = self.0.root();
        for name in PROGRAMS.iter().filter(|name| root.join(name).exists()) {
            copy(&root.join(name), &folder.join(name))?;
        }
        let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
        for library in LIBRARIES {
            let source = root.join(library);
            for source in [source.join(&triplet), source] {
                copy_libraries(root, &source, folder)?;
            }
            // Debian 13 has the loader in `/usr` only; a base package links to it.
            if !library.starts_with("usr") && !folder.join(library).exists() {
                symlink(format!("usr/{library}"), folder.join(library))?;
            }
        }
        Ok(())
    }

    fn program(&self, name: &str) -> Result<PathBuf, PackagesError> {
        self.0.program(name)
    }

    /// Makes a key pair of this type in a file, and `.pub` next to it, in OpenSSH's form.
    ///
    /// # Errors
    /// If ssh-keygen fails.
    pub fn make_key(&self, path: &Path, kind: &[&str]) -> Result<(), SshError> {
        let mut command = self.command("ssh-keygen")?;
        command.args(["-q", "-N", "", "-C", "", "-f"]).arg(path);
        Ok(run(command.arg("-t").args(kind))?)
    }

    /// A program that uses the libraries of its set.
    ///
    /// # Errors
    /// If it is not in the set.
    pub fn command(&self, name: &str) -> Result<Command, SshError> {
        let mut command = Command::new(self.program(name)?);
        command.env("LD_LIBRARY_PATH", self.libraries()?);
        Ok(command)
    }

    fn libraries(&self) -> io::Result<OsString> {
        // They are of the machine's release, so its loader accepts the C library among them.
        std::env::join_paths(self.0.library_folders()).map_err(io::Error::other)
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(errors))
}

/// Copies a file, or the link itself.
fn copy(source: &Path, target: &Path) -> io::Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    if source.is_symlink() {
        symlink(fs::read_link(source)?, target)
    } else {
        fs::copy(source, target).map(drop)
    }
}

/// Copies the shared libraries of one folder, and not those below it.
fn copy_libraries(root: &Path, folder: &Path, target: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_library = name.contains(".so") && !path.is_dir();
        if let (true, Ok(relative)) = (is_library, path.strip_prefix(root)) {
            copy(&path, &target.join(relative))?;
        }
    }
    Ok(())
}

impl SshServer {
    /// Starts a server whose repository has a commit of the files in `source`. `keys` are the lines of the public keys that may
    /// read it.
    ///
    /// It listens on the port 22 of an address of its own on loopback, because Git's short form of addresses has no port.
    ///
    /// # Errors
    /// If a package cannot be fetched, or the server does not start. Only root can start it.
    pub async fn start(tools: &SshTools, source: &Path, keys: &str) -> Result<Self, SshError> {
        let folder = tokio::task::spawn_blocking(|| RunFolder::claim(Kind::Ssh, None));
        let folder = folder.await.map_err(io::Error::other)??;
        let run = folder.path().to_owned();
        let repository = run.join("app.git");
        git::create(source, &repository).await?;
        // No other server has this number.
        let address = Ipv4Addr::new(127, 77, 22, folder.number().saturating_add(1));
        tools.make_key(&run.join("host_key"), &["ed25519"])?;
        fs::write(run.join("keys"), keys)?;
        let passwd = format!(
            "root:x:0:0::/root:/bin/sh\nsshd:x:65534:65534::/run/sshd:/usr/sbin/nologin\ngit:*:0:0::{}:/bin/sh\n",
            run.display()
        );
        fs::write(run.join("passwd"), passwd)?;
        let settings = format!(
            "ListenAddress {address}:22\nHostKey {run}/host_key\nAuthorizedKeysFile {run}/keys\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nAllowUsers git\n",
            run = run.display()
        );
        fs::write(run.join("sshd_config"), settings)?;
        // The users are those of its mount namespace, and so is the folder that it requires.
        let script = "mount --bind \"$1/passwd\" /etc/passwd && mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd && \
                      LD_LIBRARY_PATH=$3 exec \"$2\" -D -e -f \"$1/sshd_config\"";
        let command: [OsString; 9] = [
            "unshare".into(),
            "--mount".into(),
            "sh".into(),
            "-c".into(),
            script.into(),
            "sshd".into(),
            run.into(),
            tools.program("sshd")?.into(),
            tools.libraries()?,
        ];
        let mut daemon = Supervised::start(folder, &command)?;
        daemon
            .until_ready(async |_| TcpStream::connect((address, 22)).await.ok())
            .await?;
        Ok(Self {
            _daemon: daemon,
            address,
            repository,
        })
    }

    /// The repository's address in the form of scp.
    #[must_use]
    pub fn scp_address(&self) -> String {
        format!("git@{}:{}", self.address, self.repository.display())
    }

    /// The same with a scheme.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ssh://git@{}{}", self.address, self.repository.display())
    }
}
