//! Build contexts for tests, made of nothing that would have to be pulled.
//!
//! No registry with base images can be counted on, so images are built `FROM scratch` on a static `busybox`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::packages::{self, PackagesError, Set};

/// The first lines of a Dockerfile whose `RUN` steps have busybox's shell and commands. The context must have its `busybox`.
pub const BUSYBOX_BASE: &str = "FROM scratch\n\
    COPY busybox /bin/busybox\n\
    SHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n\
    RUN /bin/busybox --install -s /bin\n";

/// A static `busybox` for the machine's own architecture.
#[derive(Clone, Debug)]
pub struct Busybox(PathBuf);

impl Busybox {
    /// Fetches it, unless it is there already. `state` is where downloaded packages are kept.
    pub async fn fetch(state: &Path) -> Result<Self, PackagesError> {
        packages::fetch(state, Set::Busybox)
            .await?
            .program("busybox")
            .map(Self)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// A folder to build from, removed when dropped.
#[derive(Debug)]
pub struct Context(TempDir);

impl Context {
    /// A folder with this Dockerfile in it.
    pub fn new(dockerfile: &str) -> io::Result<Self> {
        let context = Self(
            tempfile::Builder::new()
                .prefix("depot-context-")
                .tempdir()?,
        );
        context.file("Dockerfile", dockerfile)?;
        Ok(context)
    }

    /// A folder with a `busybox` and a Dockerfile of [`BUSYBOX_BASE`] and these lines.
    pub fn on_busybox(busybox: &Busybox, lines: &str) -> io::Result<Self> {
        let context = Self::new(&format!("{BUSYBOX_BASE}{lines}\n"))?;
        fs::copy(busybox.path(), context.path().join("busybox"))?;
        Ok(context)
    }

    /// Writes a file, and the folders on the way to it.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<()> {
        let path = self.path().join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, content)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::engine::state_folder;

    #[tokio::test]
    async fn a_context_has_a_busybox_that_runs_and_goes_away() {
        let busybox = Busybox::fetch(&state_folder()).await.unwrap();
        let context = Context::on_busybox(&busybox, "RUN echo hello").unwrap();
        context.file("deep/down/file", b"content").unwrap();

        let told = Command::new(context.path().join("busybox"))
            .args(["cat", "deep/down/file"])
            .current_dir(context.path())
            .output();
        assert_eq!(told.unwrap().stdout, b"content");
        let dockerfile = fs::read_to_string(context.path().join("Dockerfile")).unwrap();
        assert!(
            dockerfile.starts_with("FROM scratch\n") && dockerfile.ends_with("\nRUN echo hello\n"),
            "{dockerfile}"
        );

        let path = context.path().to_owned();
        drop(context);
        assert!(!path.exists());
    }
}
