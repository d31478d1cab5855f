//! How a run can fail, with the exit code and the text for Depot. The hints are in `hints.rs`.

mod hints;

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use super::sboms::SbomError;
use crate::bitbucket::DOCKER_SERVICE;
use crate::buildkit::{ConnectError, ErrorKind, SolveError};
use crate::cancel::Reason;
use crate::config::Plan;
use crate::context::TreeError;
use crate::depot::{ApiError, MachineError};
use crate::destination::WriteError;
use crate::docker::{BlobError, DaemonError, LoadError};
use crate::exit::Exit;
use crate::registry::client::ClientError;
use crate::registry::copy::image::ImageCopyError;
use crate::registry::copy::tree::ReadError;
use crate::registry::ecr::EcrError;
use crate::registry::index::MergeError;
use crate::registry::keyring::KeyringError;
use crate::registry::reference::{Reference, ReferenceError};
use crate::report::excerpt::SourceExcerpt;
use crate::report::output::Output;
use crate::report::progress::Progress;
use crate::report::{chain, failure};
use crate::ssh::SocketError;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// TLS cannot be set up on this machine.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// An HTTP client cannot be set up on this machine.
    #[error("an HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
    /// A directory for the builder cannot be opened.
    #[error(transparent)]
    Directory(TreeError),
    /// The SSH agent whose socket is in SSH cannot be used.
    #[error("SSH: the agent cannot be used")]
    Agent(#[source] SocketError),
    /// The build was not created.
    #[error("the build could not be created at Depot")]
    Create(#[source] ApiError),
    /// Depot returned an invalid name for the saved image.
    #[error("Depot returned the image name `{reference}`, which is not a valid reference")]
    SavedReference {
        reference: String,
        #[source]
        source: ReferenceError,
    },
    /// No machine was acquired.
    #[error(transparent)]
    Machine(MachineError),
    /// No connection to the machine.
    #[error(transparent)]
    Connect(ConnectError),
    /// The build failed. `target`: the machine, if there are several.
    #[error("failed to build{}", for_target(.target.as_deref()))]
    Solve {
        #[source]
        error: Box<SolveError>,
        target: Option<String>,
    },
    /// A cache outside of the builder was not written.
    #[error(transparent)]
    CacheExport(Box<CacheExportFailure>),
    /// AWS issued no keys for a cache.
    #[error("no keys for the cache in `{place}`")]
    CacheKeys {
        place: String,
        #[source]
        source: Box<EcrError>,
    },
    /// The image was built, but not pushed to all registries.
    #[error(transparent)]
    Push(Box<PushFailure>),
    /// The same for an image that several machines built.
    #[error(transparent)]
    Publish(Box<PublishFailure>),
    /// A builder returned no digest.
    #[error("the builder did not return the digest of {0}")]
    NoDigest(String),
    /// A manifest that a machine pushed cannot be read back.
    #[error("the manifest for {target} cannot be read back from its registry")]
    ReadBack {
        target: String,
        #[source]
        source: Box<ClientError>,
    },
    /// The images that the machines built cannot be merged.
    #[error("the images that the builders built cannot be merged")]
    Merge(#[source] MergeError),
    /// There are no credentials for a registry of the image.
    #[error("no credentials for the registry")]
    Credentials(#[source] KeyringError),
    /// A repository could not be created.
    #[error("the repository `{repository}` could not be created at `{host}`")]
    Repository {
        host: String,
        repository: String,
        #[source]
        source: Box<EcrError>,
    },
    /// The Docker daemon that the image is to be loaded into cannot be used.
    #[error(transparent)]
    Daemon(DaemonError),
    /// None of the platforms runs on the daemon.
    #[error(
        "the Docker daemon runs images for {daemon}, but the image is built only for {offered}"
    )]
    NoPlatform { daemon: String, offered: String },
    /// The image was not loaded into the daemon.
    #[error(transparent)]
    Load(Box<LoadFailure>),
    /// A file for the rest of the pipeline could not be written.
    #[error("{variable}: `{}` cannot be written", path.display())]
    Output {
        variable: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
        /// The names that were delivered.
        delivered: Vec<String>,
    },
    /// The SBOM for `SBOM_DIR` was not read. `target`: the machine, if there are several.
    #[error("the SBOM{} cannot be read from the builder", for_target(.target.as_deref()))]
    Sbom {
        target: Option<String>,
        #[source]
        source: SbomError,
    },
    /// A file of the result was not written into the clone.
    #[error(transparent)]
    Export(Box<ExportFailure>),
    /// Depot did not return the place of a saved image.
    #[error("Depot returned no image of the build `{id}`")]
    SavedBuild {
        id: String,
        #[source]
        source: ApiError,
    },
    /// The image to copy cannot be read.
    #[error(transparent)]
    Source(Box<SourceFailure>),
    /// The image was not copied.
    #[error(transparent)]
    Copy(Box<CopyFailure>),
    /// The run was stopped.
    #[error("{0}")]
    Canceled(Reason),
    /// One of several images failed.
    #[error(transparent)]
    Image(Box<ImageFailure>),
}

/// The failure of one of several images.
#[derive(Debug)]
pub(super) struct ImageFailure {
    /// The name of the image in the plan.
    pub(super) image: String,
    pub(super) failure: Failure,
}

impl fmt::Display for ImageFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "image `{}`: {}", self.image, self.failure)
    }
}

impl Error for ImageFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failure.source()
    }
}

/// An export of a cache by a builder that failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to export the cache to `{}`{}", .places.join("`, `"), for_target(.target.as_deref()))]
pub(super) struct CacheExportFailure {
    #[source]
    pub(super) error: SolveError,
    pub(super) target: Option<String>,
    /// The places of all caches that the solve exports. At least one.
    pub(super) places: Vec<String>,
}

/// A push by a builder that failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to push{}", for_target(.target.as_deref()))]
pub(super) struct PushFailure {
    #[source]
    pub(super) error: SolveError,
    pub(super) target: Option<String>,
    /// The names that were pushed.
    pub(super) pushed: Vec<String>,
    /// The names that were not pushed.
    pub(super) missing: Vec<String>,
    /// The rejected tag already refers to another image.
    pub(super) is_taken: bool,
}

/// A merged index that a registry did not accept.
#[derive(Debug, thiserror::Error)]
#[error("failed to push `{reference}`")]
pub(super) struct PublishFailure {
    pub(super) reference: Reference,
    #[source]
    pub(super) source: ClientError,
    /// The names that were pushed.
    pub(super) pushed: Vec<String>,
    /// The names that were not pushed.
    pub(super) missing: Vec<String>,
}

/// An image that cannot be read from its registry.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the image `{image}`")]
pub(super) struct SourceFailure {
    pub(super) image: String,
    #[source]
    pub(super) source: ReadError,
}

/// An image that was not copied. No name was pushed.
#[derive(Debug, thiserror::Error)]
#[error("failed to copy the image `{image}`{}", to_target(.source))]
pub(super) struct CopyFailure {
    pub(super) image: String,
    #[source]
    pub(super) source: ImageCopyError,
}

fn to_target(error: &ImageCopyError) -> String {
    match error {
        ImageCopyError::Target(error) => format!(" to `{}/{}`", error.host(), error.repository()),
        ImageCopyError::Source(_) | ImageCopyError::Content { .. } => String::new(),
    }
}

/// Why an image was not loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadCause {
    /// The daemon, or the transfer of the layers.
    #[error(transparent)]
    Load(LoadError),
    /// The builder failed to export the image as an archive.
    #[error("the builder could not export the image")]
    Export(#[source] Box<SolveError>),
}

/// An image that was not loaded into a daemon.
#[derive(Debug, thiserror::Error)]
#[error("failed to load the image into Docker {version}")]
pub(super) struct LoadFailure {
    #[source]
    pub(super) cause: LoadCause,
    /// The version of the daemon.
    pub(super) version: String,
    /// The names that were pushed to registries.
    pub(super) pushed: Vec<String>,
    /// The names that were not loaded.
    pub(super) missing: Vec<String>,
}

/// Why files of the result were not written into the clone.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportCause {
    /// The directory for incomplete results cannot be used.
    #[error("cannot write to `{path}`")]
    Staging {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// They cannot be received.
    #[error(transparent)]
    Receive(Box<SolveError>),
    /// They cannot be written.
    #[error(transparent)]
    Write(WriteError),
}

/// Files of the result that were not written into the clone.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the output `{label}`")]
pub(super) struct ExportFailure {
    /// The destination as written in the variable.
    pub(super) label: String,
    #[source]
    pub(super) cause: ExportCause,
    /// The names that were delivered.
    pub(super) pushed: Vec<String>,
}

fn for_target(target: Option<&str>) -> String {
    target
        .map(|target| format!(" for {target}"))
        .unwrap_or_default()
}

impl Failure {
    /// The failure itself, without the image that it belongs to.
    pub(super) fn cause(&self) -> &Self {
        match self {
            Self::Image(image) => image.failure.cause(),
            other => other,
        }
    }

    /// The image that failed, if the run has several.
    pub(super) fn image(&self) -> Option<&str> {
        match self {
            Self::Image(image) => Some(&image.image),
            _ => None,
        }
    }

    /// The exit code.
    fn exit(&self) -> Exit {
        match self {
            Self::Image(image) => image.failure.exit(),
            Self::Create(error) => api_exit(error),
            Self::Machine(MachineError::Api { source, .. }) | Self::SavedBuild { source, .. } => {
                api_exit(source)
            }
            Self::Sbom { source, .. } => match source {
                SbomError::None => Exit::BuildFailed,
                _ => Exit::Infrastructure,
            },
            Self::Tls(_)
            | Self::Client(_)
            | Self::Machine(_)
            | Self::Connect(_)
            | Self::SavedReference { .. }
            | Self::NoDigest(_) => Exit::Infrastructure,
            Self::Solve { error, .. } => solve_exit(error),
            Self::Push(_)
            | Self::CacheExport(_)
            | Self::CacheKeys { .. }
            | Self::Publish(_)
            | Self::ReadBack { .. }
            | Self::Source(_)
            | Self::Copy(_)
            | Self::Credentials(_)
            | Self::Repository { .. } => Exit::Registry,
            // `Sibling` is only a consequence: the failure of the other part is reported.
            Self::Directory(_)
            | Self::Merge(_)
            | Self::Output { .. }
            | Self::Export(_)
            | Self::Canceled(Reason::Sibling) => Exit::BuildFailed,
            Self::Daemon(_) => Exit::Docker,
            Self::NoPlatform { .. } | Self::Agent(_) => Exit::BadVariables,
            Self::Load(failure) => match &failure.cause {
                LoadCause::Load(LoadError::Blob(BlobError::Registry { .. })) => Exit::Registry,
                LoadCause::Load(LoadError::Blob(_)) => Exit::Infrastructure,
                LoadCause::Load(_) => Exit::Docker,
                LoadCause::Export(error) => solve_exit(error),
            },
            Self::Canceled(Reason::Timeout) => Exit::TimedOut,
            Self::Canceled(Reason::Depot) => Exit::CanceledByDepot,
            Self::Canceled(Reason::Signal(number)) => Exit::Signal(*number),
        }
    }

    /// Whether the connection to the builder was lost during a solve, or when an SBOM was read.
    pub(super) fn is_machine_lost(&self) -> bool {
        match self {
            Self::Solve { error, .. } => error.kind == ErrorKind::Connection,
            Self::Sbom { source, .. } => {
                matches!(source, SbomError::Read { is_lost: true, .. })
            }
            _ => false,
        }
    }

    /// Whether the connection to the builder was lost during a load.
    pub(super) fn is_broken(&self) -> bool {
        let Self::Load(failure) = self else {
            return false;
        };
        match &failure.cause {
            LoadCause::Load(LoadError::Blob(BlobError::Broken { .. })) => true,
            LoadCause::Load(_) => false,
            LoadCause::Export(error) => error.kind == ErrorKind::Connection,
        }
    }

    /// Adds the names that were already pushed to a failed load or export.
    pub(super) fn after_pushing(mut self, pushed: Vec<String>) -> Self {
        match &mut self {
            Self::Load(failure) => failure.pushed = pushed,
            Self::Export(failure) => failure.pushed = pushed,
            _ => {}
        }
        self
    }

    /// The failure and its causes in one line, for the build's page at Depot.
    pub(super) fn one_line(&self) -> String {
        crate::text::cause::one_line(self)
    }

    /// The cause of a failed solve, without "failed to build".
    pub(super) fn cause_line(&self) -> String {
        match self {
            Self::Solve { error, .. } => crate::text::cause::one_line(error),
            other => other.one_line(),
        }
    }

    /// Prints the failure and its hints. Returns the exit code.
    pub(super) fn report(&self, plan: &Plan, output: &Output, progress: Option<&Progress>) -> Exit {
        let cause = self.cause();
        let step = match cause {
            Self::Solve { error, .. } => {
                progress.and_then(|progress| progress.failed_step_behind(&error.message))
            }
            _ => None,
        };
        let output_lines = step.map(|step| &*step.tail).unwrap_or_default();
        let hint = hints::hint(cause, plan, output_lines);
        let hints: Vec<&str> = hint.as_deref().into_iter().collect();
        let block = match cause {
            Self::Solve { error, .. } => solve_block(self, error, &hints, output, progress),
            Self::Push(failure) => solve_block(self, &failure.error, &hints, output, progress),
            Self::CacheExport(failure) => {
                solve_block(self, &failure.error, &hints, output, progress)
            }
            _ => chain::render(self, &hints, output.options()),
        };
        output.say(block);
        match cause {
            // Ready to be pasted into the pipeline file.
            Self::Daemon(DaemonError::Unreachable { .. }) => {
                output.say(DOCKER_SERVICE.to_owned());
            }
            Self::Push(failure) => report_names(&failure.pushed, &failure.missing),
            Self::Publish(failure) => report_names(&failure.pushed, &failure.missing),
            Self::Output { delivered, .. } if !delivered.is_empty() => {
                tracing::error!("the image itself was delivered: {}", delivered.join(", "));
            }
            Self::Export(failure) if !failure.pushed.is_empty() => {
                tracing::error!(
                    "the image itself was delivered: {}",
                    failure.pushed.join(", ")
                );
            }
            Self::Load(failure) if !failure.pushed.is_empty() => tracing::error!(
                "pushed: {}; not loaded: {}",
                failure.pushed.join(", "),
                failure.missing.join(", ")
            ),
            _ => {}
        }
        self.exit()
    }
}

/// The failed step, its lines in the Dockerfile, and the builder's error.
fn solve_block(
    failure: &Failure,
    error: &SolveError,
    hints: &[&str],
    output: &Output,
    progress: Option<&Progress>,
) -> String {
    failure::Failure {
        step: progress.and_then(|progress| progress.failed_step_behind(&error.message)),
        // The last source is the line itself; the earlier sources are the files that include it.
        excerpt: error.sources.last().map(excerpt).as_ref(),
        what: &failure.to_string(),
        error: &error.message,
        hints,
    }
    .render(output.options())
}

/// Reports which names were pushed and which were not. Omitted if there is only one name.
fn report_names(pushed: &[String], missing: &[String]) {
    if pushed.len() + missing.len() < 2 {
        return;
    }
    let listed = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    tracing::error!(
        "pushed: {}; not pushed: {}",
        listed(pushed),
        listed(missing)
    );
}

fn excerpt(source: &crate::buildkit::Source) -> SourceExcerpt {
    SourceExcerpt {
        filename: source.filename.clone(),
        data: source.data.clone(),
        ranges: source.lines.clone(),
    }
}

fn solve_exit(error: &SolveError) -> Exit {
    match error.kind {
        ErrorKind::Build
        | ErrorKind::Session
        | ErrorKind::Export
        | ErrorKind::FilesChanged
        | ErrorKind::InconsistentState => Exit::BuildFailed,
        ErrorKind::Registry { .. } => Exit::Registry,
        // Our own cancellation is reported with its reason; see `solving`.
        ErrorKind::Connection | ErrorKind::InvalidResult | ErrorKind::Canceled => {
            Exit::Infrastructure
        }
    }
}

fn api_exit(error: &ApiError) -> Exit {
    if error.is_refusal() {
        Exit::Refused
    } else {
        Exit::Infrastructure
    }
}
