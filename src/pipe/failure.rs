//! How a run can fail, with the exit code and the text for Depot; what to do about it is in `hints.rs`.

mod hints;

use std::path::PathBuf;

use super::on_machine::Delivered;
use crate::buildkit::{ConnectError, ErrorKind, SolveError};
use crate::cancel::Reason;
use crate::config::Plan;
use crate::context::TreeError;
use crate::depot::{ApiError, MachineError};
use crate::docker::{BlobError, DaemonError, LoadError};
use crate::exit::Exit;
use crate::registry::client::ClientError;
use crate::registry::ecr::EcrError;
use crate::registry::index::MergeError;
use crate::registry::keyring::KeyringError;
use crate::registry::reference::{Reference, ReferenceError};
use crate::report::excerpt::SourceExcerpt;
use crate::report::output::Output;
use crate::report::progress::Progress;
use crate::report::{chain, failure};

/// Why a run did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// TLS cannot be set up on this machine.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// An HTTP client cannot be set up on this machine.
    #[error("an HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
    /// A directory that the builder is to read cannot be opened.
    #[error(transparent)]
    Directory(TreeError),
    /// There is no build.
    #[error("the build could not be created at Depot")]
    Create(#[source] ApiError),
    /// Depot named a place for the image that is no reference.
    #[error("Depot wants the image to be saved as `{reference}`, which is no reference")]
    SavedReference {
        reference: String,
        #[source]
        source: ReferenceError,
    },
    /// There is no machine.
    #[error(transparent)]
    Machine(MachineError),
    /// The machine cannot be used.
    #[error(transparent)]
    Connect(ConnectError),
    /// The build failed. `target`: on which machine, where there are several.
    #[error("failed to build{}", for_target(.target.as_deref()))]
    Solve {
        #[source]
        error: Box<SolveError>,
        target: Option<String>,
    },
    /// The image was built, and is not in all of its registries.
    #[error(transparent)]
    Push(Box<PushFailure>),
    /// The same, of an image that several machines have built.
    #[error(transparent)]
    Publish(Box<PublishFailure>),
    /// A machine did not tell what it built.
    #[error("the builder did not tell the digest of {0}")]
    NoDigest(String),
    /// What a machine has pushed cannot be read back.
    #[error("what was built for {target} cannot be read back from its registry")]
    ReadBack {
        target: String,
        #[source]
        source: Box<ClientError>,
    },
    /// The machines' images do not make one.
    #[error("the images of the machines cannot be merged")]
    Merge(#[source] MergeError),
    /// There are no credentials for a registry of the image.
    #[error("no credentials for the registry")]
    Credentials(#[source] KeyringError),
    /// A repository could not be made.
    #[error("the repository `{repository}` could not be made at `{host}`")]
    Repository {
        host: String,
        repository: String,
        #[source]
        source: Box<EcrError>,
    },
    /// The Docker daemon that the image is to be loaded into cannot be used.
    #[error(transparent)]
    Daemon(DaemonError),
    /// Nothing of what is built is for the daemon.
    #[error("the Docker daemon is for {daemon}, and the image for {offered} alone")]
    NoPlatform { daemon: String, offered: String },
    /// The image is not in the daemon.
    #[error(transparent)]
    Load(Box<LoadFailure>),
    /// A file for the rest of the pipeline could not be written.
    #[error("{variable}: `{}` cannot be written", path.display())]
    Output {
        variable: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
        /// The names that the image has nevertheless.
        delivered: Vec<String>,
    },
    /// Somebody stopped it.
    #[error("{0}")]
    Canceled(Reason),
}

/// A push by a builder that failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to push{}", for_target(.target.as_deref()))]
pub(super) struct PushFailure {
    #[source]
    pub(super) error: SolveError,
    pub(super) target: Option<String>,
    /// The names that the image has nevertheless.
    pub(super) pushed: Vec<String>,
    /// Those that it does not have.
    pub(super) missing: Vec<String>,
    /// The tag that was refused holds another image.
    pub(super) is_taken: bool,
}

/// An index of ours that a registry did not take.
#[derive(Debug, thiserror::Error)]
#[error("failed to push `{reference}`")]
pub(super) struct PublishFailure {
    pub(super) reference: Reference,
    #[source]
    pub(super) source: ClientError,
    /// The names that the image has nevertheless.
    pub(super) pushed: Vec<String>,
    /// Those that it does not have.
    pub(super) missing: Vec<String>,
}

/// What kept an image from a daemon.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadCause {
    /// The daemon, or the way of the layers.
    #[error(transparent)]
    Load(LoadError),
    /// The builder, which was to export it as a whole.
    #[error("the builder could not export the image")]
    Export(#[source] Box<SolveError>),
}

/// An image that a daemon did not get.
#[derive(Debug, thiserror::Error)]
#[error("failed to load the image into Docker {version}")]
pub(super) struct LoadFailure {
    #[source]
    pub(super) cause: LoadCause,
    /// The daemon's.
    pub(super) version: String,
    /// The names that the image has in registries nevertheless.
    pub(super) pushed: Vec<String>,
    /// Those that it does not have in the daemon.
    pub(super) missing: Vec<String>,
}

fn for_target(target: Option<&str>) -> String {
    target
        .map(|target| format!(" for {target}"))
        .unwrap_or_default()
}

impl Failure {
    /// How the program ends.
    fn exit(&self) -> Exit {
        match self {
            Self::Create(error) => api_exit(error),
            Self::Machine(MachineError::Api { source, .. }) => api_exit(source),
            Self::Tls(_)
            | Self::Client(_)
            | Self::Machine(_)
            | Self::Connect(_)
            | Self::SavedReference { .. }
            | Self::NoDigest(_) => Exit::Infrastructure,
            Self::Solve { error, .. } => solve_exit(error),
            Self::Push(_)
            | Self::Publish(_)
            | Self::ReadBack { .. }
            | Self::Credentials(_)
            | Self::Repository { .. } => Exit::Registry,
            // A part is only ever stopped by another one's failure, which is what is told.
            Self::Directory(_)
            | Self::Merge(_)
            | Self::Output { .. }
            | Self::Canceled(Reason::Sibling) => Exit::BuildFailed,
            Self::Daemon(_) => Exit::Docker,
            Self::NoPlatform { .. } => Exit::BadVariables,
            Self::Load(failure) => match &failure.cause {
                LoadCause::Load(LoadError::Blob(_)) => Exit::Infrastructure,
                LoadCause::Load(_) => Exit::Docker,
                LoadCause::Export(error) => solve_exit(error),
            },
            Self::Canceled(Reason::Timeout) => Exit::TimedOut,
            Self::Canceled(Reason::Depot) => Exit::CanceledByDepot,
            Self::Canceled(Reason::Signal(number)) => Exit::Signal(*number),
        }
    }

    /// Whether the builder went away in the middle of a solve.
    pub(super) fn is_machine_lost(&self) -> bool {
        matches!(self, Self::Solve { error, .. } if error.kind == ErrorKind::Connection)
    }

    /// Whether the builder went away in the middle of a load.
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

    /// The same, when the image was pushed before.
    pub(super) fn after_pushing(mut self, delivered: &[Delivered]) -> Self {
        if let Self::Load(failure) = &mut self {
            let names = delivered.iter().flat_map(|image| &image.names);
            failure.pushed = names.map(ToString::to_string).collect();
        }
        self
    }

    /// The failure and its causes in one line, for the build's page.
    pub(super) fn one_line(&self) -> String {
        crate::cause::one_line(self)
    }

    /// The builder's or our own words on a failed solve, without the failure that they explain.
    pub(super) fn cause_line(&self) -> String {
        match self {
            Self::Solve { error, .. } => crate::cause::one_line(error),
            other => other.one_line(),
        }
    }

    /// Tells people, and says how the program ends.
    pub(super) fn tell(&self, plan: &Plan, output: &Output, progress: Option<&Progress>) -> Exit {
        let step = match self {
            Self::Solve { error, .. } => {
                progress.and_then(|progress| progress.failed_step_behind(&error.message))
            }
            _ => None,
        };
        let output_lines = step.map(|step| &*step.tail).unwrap_or_default();
        let hint = hints::hint(self, plan, output_lines);
        let hints: Vec<&str> = hint.as_deref().into_iter().collect();
        let block = match self {
            Self::Solve { error, .. } => solve_block(self, error, &hints, output, progress),
            Self::Push(failure) => solve_block(self, &failure.error, &hints, output, progress),
            _ => chain::render(self, &hints, output.options()),
        };
        output.say(block);
        match self {
            // As it is to be pasted.
            Self::Daemon(DaemonError::Unreachable { .. }) => {
                output.say("  services:\n    - docker\n".to_owned());
            }
            Self::Push(failure) => tell_names(&failure.pushed, &failure.missing),
            Self::Publish(failure) => tell_names(&failure.pushed, &failure.missing),
            Self::Output { delivered, .. } if !delivered.is_empty() => {
                tracing::error!("the image itself is there: {}", delivered.join(", "));
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

/// The step that failed, the lines that it came from, and the builder's words.
fn solve_block(
    failure: &Failure,
    error: &SolveError,
    hints: &[&str],
    output: &Output,
    progress: Option<&Progress>,
) -> String {
    failure::Failure {
        step: progress.and_then(|progress| progress.failed_step_behind(&error.message)),
        // The innermost is the line itself, those before it are what it was included from.
        excerpt: error.sources.last().map(excerpt).as_ref(),
        what: &failure.to_string(),
        error: &error.message,
        hints,
    }
    .render(output.options())
}

/// Which names the image has after all. Where there is but one there is nothing to tell.
fn tell_names(pushed: &[String], missing: &[String]) {
    if pushed.len() + missing.len() < 2 {
        return;
    }
    let listed = |names: &[String]| match names {
        [] => "nothing".to_owned(),
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
        ErrorKind::Build | ErrorKind::Session | ErrorKind::FilesChanged => Exit::BuildFailed,
        ErrorKind::Registry { .. } => Exit::Registry,
        // Canceled by us has a reason, and is told as that; see `on_machine`.
        ErrorKind::Connection | ErrorKind::Answer | ErrorKind::Canceled => Exit::Infrastructure,
    }
}

fn api_exit(error: &ApiError) -> Exit {
    if error.is_refusal() {
        Exit::Refused
    } else {
        Exit::Infrastructure
    }
}
