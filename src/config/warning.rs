//! What does not stop a build but was probably not meant.

use std::{fmt, path::PathBuf};

/// Something worth a line in the log. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A variable that the pipe does not know but that is much like one it knows.
    NearMiss {
        /// The name in the environment.
        given: String,
        /// The name that is read.
        meant: &'static str,
    },
    /// `NAME_0` without `NAME_COUNT`, which no array of Bitbucket's looks like.
    EntryWithoutCount {
        /// The list's name.
        variable: &'static str,
    },
    /// The context and the Dockerfile lead to project files with different ids.
    TwoProjects {
        /// The file whose id is used.
        used: PathBuf,
        /// The id in it.
        used_id: String,
        /// The file whose id is not.
        ignored: PathBuf,
        /// The id in that.
        ignored_id: String,
    },
    /// The Dockerfile's path leads to a file from the working directory and to another one from the context.
    TwoDockerfiles {
        /// The one from the working directory.
        used: PathBuf,
        /// The one from the context.
        ignored: PathBuf,
    },
    /// One build argument has two values.
    RepeatedBuildArgument {
        /// The argument, or its place in the list.
        argument: String,
    },
    /// The token would travel readably over a network.
    UnencryptedApi {
        /// The API's host.
        host: String,
    },
    /// The image gets a name and then goes nowhere.
    NamedButNotPushed,
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NearMiss { given, meant } => {
                write!(
                    formatter,
                    "{} is not a variable of this pipe; did you mean {meant}?",
                    given.escape_debug()
                )
            }
            Self::EntryWithoutCount { variable } => {
                write!(
                    formatter,
                    "{variable}_0 is not read without {variable}_COUNT; write {variable} as a list"
                )
            }
            Self::TwoProjects {
                used,
                used_id,
                ignored,
                ignored_id,
            } => write!(
                formatter,
                "two Depot projects: `{used_id}` in `{}` is used, `{ignored_id}` in `{}` is not; DEPOT_PROJECT_ID decides it",
                used.display(),
                ignored.display()
            ),
            Self::TwoDockerfiles { used, ignored } => write!(
                formatter,
                "DOCKERFILE is read from the working directory: `{}` is used, `{}` in the context is not",
                used.display(),
                ignored.display()
            ),
            Self::RepeatedBuildArgument { argument } => {
                write!(
                    formatter,
                    "BUILD_ARGS gives {argument} more than once; the last value counts"
                )
            }
            Self::UnencryptedApi { host } => {
                write!(
                    formatter,
                    "DEPOT_API_URL sends the token to `{host}` without encryption; write https://"
                )
            }
            Self::NamedButNotPushed => {
                write!(
                    formatter,
                    "IMAGE is given and PUSH is not: the image is built and then kept nowhere"
                )
            }
        }
    }
}
