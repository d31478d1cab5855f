//! Build contexts for tests that pull no base image.
//!
//! A registry with base images may be out of reach, so images are built `FROM scratch` on a static `busybox`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use crate::engine::containers::read_file;
use crate::engine::{Address, Engine};
pub use crate::packages::PackagesError;
use crate::packages::{self, Set};

/// The first lines of a Dockerfile whose `RUN` steps use busybox's shell and commands. The context must contain `busybox`.
pub const BUSYBOX_BASE: &str = "FROM scratch\n\
    COPY busybox /bin/busybox\n\
    SHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n\
    RUN /bin/busybox --install -s /bin\n";

/// An image with a static `busybox`.
const IMAGE: &str = "busybox:1.36.1-musl";

/// A static `busybox` for the machine's architecture.
#[derive(Clone, Debug)]
pub struct Busybox(PathBuf);

impl Busybox {
    /// Fetches it unless that is done. `state` is the folder for downloaded packages.
    pub async fn fetch(state: &Path) -> Result<Self, PackagesError> {
        packages::fetch(state, Set::Busybox)
            .await?
            .program("busybox")
            .map(Self)
    }

    /// As [`Busybox::fetch`]; on a machine without Debian's packages it is copied from an image that `engine` pulls.
    pub async fn fetch_beside(engine: &Engine, state: &Path) -> Result<Self, BusyboxError> {
        match (Self::fetch(state).await, engine.docker()) {
            (Err(error), Some(docker)) if error.is_of_machine() => Self::of_image(docker, state)
                .await
                .map_err(|source| BusyboxError::Image {
                    image: IMAGE,
                    source,
                }),
            (outcome, _) => Ok(outcome?),
        }
    }

    async fn of_image(docker: &Address, state: &Path) -> io::Result<Self> {
        let folder = state.join("busybox-of-image");
        let place = folder.join("busybox");
        if !place.exists() {
            fs::create_dir_all(&folder)?;
            let mut new = NamedTempFile::new_in(&folder)?;
            new.write_all(&read_file(docker, IMAGE, "/bin/busybox").await?)?;
            new.as_file()
                .set_permissions(fs::Permissions::from_mode(0o755))?;
            // Renamed into place: two processes can do this at the same time, and either can be killed in the middle.
            new.persist(&place)?;
        }
        Ok(Self(place))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Why no `busybox` is available.
#[derive(Debug, thiserror::Error)]
pub enum BusyboxError {
    /// Its package could not be fetched.
    #[error("the package of busybox could not be fetched")]
    Packages(#[from] PackagesError),
    /// It could not be copied from an image.
    #[error("busybox could not be copied from `{image}`")]
    Image {
        /// The image.
        image: &'static str,
        /// The cause.
        source: io::Error,
    },
}

impl BusyboxError {
    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Packages(error) => error.hint(),
            Self::Image { .. } => None,
        }
    }
}

/// A folder to build from, removed when dropped.
#[derive(Debug)]
pub struct Context(TempDir);

impl Context {
    /// Creates a folder with this Dockerfile.
    pub fn new(dockerfile: &str) -> io::Result<Self> {
        let context = Self(
            tempfile::Builder::new()
                .prefix("depot-context-")
                .tempdir()?,
        );
        context.file("Dockerfile", dockerfile)?;
        Ok(context)
    }

    /// Creates a folder with `busybox` and a Dockerfile that consists of [`BUSYBOX_BASE`] and these lines.
    pub fn on_busybox(busybox: &Busybox, lines: &str) -> io::Result<Self> {
        let context = Self::new(&format!("{BUSYBOX_BASE}{lines}\n"))?;
        fs::copy(busybox.path(), context.path().join("busybox"))?;
        Ok(context)
    }

    /// Writes a file and creates its parent folders.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<()> {
        let path = self.path().join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, content)
    }

    /// Its path.
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
    async fn a_context_has_a_working_busybox_and_is_removed_when_dropped() {
        let busybox = Busybox::fetch(&state_folder()).await.unwrap();
        let context = Context::on_busybox(&busybox, "RUN echo hello").unwrap();
        context.file("deep/down/file", b"content").unwrap();

        let output = Command::new(context.path().join("busybox"))
            .args(["cat", "deep/down/file"])
            .current_dir(context.path())
            .output();
        assert_eq!(output.unwrap().stdout, b"content");
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
