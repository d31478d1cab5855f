//! How a run can fail, with the exit code, the text for Depot and the hint for people.

use crate::buildkit::{ConnectError, ErrorKind, SolveError};
use crate::cancel::Reason;
use crate::context::TreeError;
use crate::depot::{ApiError, Code, MachineError};
use crate::exit::Exit;
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
    /// There is no machine.
    #[error(transparent)]
    Machine(MachineError),
    /// The machine cannot be used.
    #[error(transparent)]
    Connect(ConnectError),
    /// The build failed.
    #[error("failed to build")]
    Solve(#[source] SolveError),
    /// Somebody stopped it.
    #[error("{0}")]
    Canceled(Reason),
}

impl Failure {
    /// How the program ends.
    fn exit(&self) -> Exit {
        match self {
            Self::Directory(_) => Exit::BuildFailed,
            Self::Create(error) => api_exit(error),
            Self::Machine(MachineError::Api { source, .. }) => api_exit(source),
            Self::Tls(_) | Self::Client(_) | Self::Machine(_) | Self::Connect(_) => {
                Exit::Infrastructure
            }
            Self::Solve(error) => match error.kind {
                ErrorKind::Build | ErrorKind::Session => Exit::BuildFailed,
                ErrorKind::Registry { .. } => Exit::Registry,
                // Canceled by us has a reason, and is told as that; see `on_machine`.
                ErrorKind::Connection | ErrorKind::Canceled => Exit::Infrastructure,
            },
            Self::Canceled(Reason::Depot) => Exit::CanceledByDepot,
            Self::Canceled(Reason::Signal(number)) => Exit::Signal(*number),
        }
    }

    /// What to change, where a setting helps.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Create(error) => create_hint(error),
            Self::Connect(ConnectError::Unreachable { .. }) => Some(
                "the step must be able to open TCP connections to Depot's machines; on a \
                 self-hosted runner, look at its firewall"
                    .into(),
            ),
            Self::Solve(error) => error.hint.map(Into::into).or_else(|| solve_hint(error)),
            _ => None,
        }
    }

    /// The failure and its causes in one line, for the build's page.
    pub(super) fn one_line(&self) -> String {
        crate::cause::one_line(self)
    }

    /// Tells people, and says how the program ends.
    pub(super) fn tell(&self, output: &Output, progress: Option<&Progress>) -> Exit {
        let hint = self.hint();
        let hints: Vec<&str> = hint.as_deref().into_iter().collect();
        let block = match self {
            Self::Solve(error) => failure::Failure {
                step: progress.and_then(|progress| progress.failed_step_behind(&error.message)),
                // The innermost is the line itself, those before it are what it was included from.
                excerpt: error.sources.last().map(excerpt).as_ref(),
                error: &error.message,
                hints: &hints,
            }
            .render(output.options()),
            _ => chain::render(self, &hints, output.options()),
        };
        output.say(block);
        self.exit()
    }
}

fn excerpt(source: &crate::buildkit::Source) -> SourceExcerpt {
    SourceExcerpt {
        filename: source.filename.clone(),
        data: source.data.clone(),
        ranges: source.lines.clone(),
    }
}

fn api_exit(error: &ApiError) -> Exit {
    if error.is_refusal() {
        Exit::Refused
    } else {
        Exit::Infrastructure
    }
}

fn create_hint(error: &ApiError) -> Option<String> {
    let hint = match error {
        ApiError::Refused { code, .. } => match code {
            Code::Unauthenticated => {
                "DEPOT_TOKEN is not a token that Depot knows: make a project token on the \
                 project's settings page and store it as a secured variable of the repository"
            }
            Code::PermissionDenied => {
                "DEPOT_TOKEN may not build in this project: use a project token of the project in \
                 DEPOT_PROJECT_ID, or an organization token"
            }
            Code::NotFound => {
                "write the project's id, from its settings page at Depot, into DEPOT_PROJECT_ID or \
                 depot.json; a project token works for its own project only"
            }
            Code::ResourceExhausted => {
                "a limit of the Depot account is reached: see its usage page"
            }
            _ => return None,
        },
        ApiError::Foreign { .. } => {
            "something between this step and Depot answered instead: look at DEPOT_API_URL and at \
             proxies"
        }
        ApiError::Transport { .. } | ApiError::TooSlow { .. } => {
            "the step must be able to reach this address: look at DEPOT_API_URL, at proxies and at \
             firewalls"
        }
        _ => return None,
    };
    Some(hint.into())
}

fn solve_hint(error: &SolveError) -> Option<String> {
    match &error.kind {
        ErrorKind::Registry {
            reference,
            denied: true,
        } => {
            let host = reference.split('/').next().unwrap_or_default();
            Some(if host.is_empty() {
                "look at REGISTRY, REGISTRY_USERNAME and REGISTRY_PASSWORD".into()
            } else {
                format!(
                    "look at REGISTRY, REGISTRY_USERNAME and REGISTRY_PASSWORD: they must belong to \
                     `{host}` and allow what the build does there"
                )
            })
        }
        ErrorKind::Build if is_missing_file(&error.message) => Some(
            "is the file in CONTEXT, and not excluded by .dockerignore? Paths of COPY and ADD are \
             relative to CONTEXT"
                .into(),
        ),
        ErrorKind::Connection => {
            Some("the machine went away; running the step again uses what was built so far".into())
        }
        _ => None,
    }
}

/// `COPY` and `ADD` of what the context lacks, in the words of BuildKit's versions.
fn is_missing_file(message: &str) -> bool {
    let words = [
        "failed to compute cache key",
        "failed to calculate checksum",
    ];
    words.iter().any(|words| message.contains(words)) && message.contains("not found")
}
