//! What does not stop a build but was probably not meant.

use std::{fmt, path::PathBuf};

use crate::bitbucket::OIDC;

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
    /// Build arguments that look like secrets.
    SecretBuildArguments {
        /// Each of them, or its place in the list.
        names: Vec<String>,
    },
    /// Build arguments that look like secrets and are not masked, because their secrets are too short or too common.
    ReadableBuildArguments {
        /// Each of them, or its place in the list.
        names: Vec<String>,
    },
    /// The token would travel readably over a network.
    UnencryptedApi {
        /// The API's host.
        host: String,
    },
    /// Two variables, or two entries of the Docker configuration, have different logins for one host.
    TwoLogins {
        /// The host.
        host: String,
        /// Where the one that counts is from.
        used: String,
        /// Where the other one is from.
        ignored: String,
    },
    /// `REGISTRY_USERNAME` and `REGISTRY_PASSWORD` without `REGISTRY`.
    LoginWithoutHost,
    /// `REGISTRY` without `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`.
    HostWithoutLogin,
    /// `REGISTRY` with a path behind the host.
    RegistryWithPath {
        /// The value, as it may be shown.
        value: String,
        /// The host in it.
        host: String,
    },
    /// A login whose `REGISTRY` has no host.
    RegistryWithoutHost {
        /// The value, as it may be shown.
        value: String,
    },
    /// Two ways to prove who we are at Amazon.
    KeysBesideRole,
    /// A role, and nothing to take it by.
    RoleWithoutIdentity,
    /// The Docker configuration leaves a login to a program.
    CredentialHelper {
        /// The host; empty for all that have no entry.
        host: String,
        /// The program, as it may be shown.
        program: String,
    },
    /// The same, of a host that also has a login in the file, which Docker would not use.
    LoginBesideHelper {
        /// The host.
        host: String,
        /// The program, as it may be shown.
        program: String,
    },
    /// Keys and identities would travel readably over a network.
    UnencryptedAmazon {
        /// The host in place of Amazon's.
        host: String,
    },
    /// A variable was to have the value of another one that is not there.
    UnsetReference {
        /// The pipe's.
        variable: &'static str,
        /// The other one, where it can be shown.
        unset: Option<String>,
    },
    /// The time is longer than a step's.
    LongTimeout,
    /// Tags for an image that is not saved.
    TagsWithoutSave,
    /// The image gets a name and is not pushed there.
    NamedButNotPushed {
        /// Depot keeps it.
        saved: bool,
    },
}

/// Where build arguments are kept, and what to use instead.
const BUILD_ARGUMENT_ADVICE: &str = "build arguments are kept in the image's history and provenance, where anybody who can pull the image can read \
     them: run the command that needs the secret in a line before the pipe, and COPY its result";

/// `outcome` follows "it is" or "they are".
fn build_arguments(
    names: &[String],
    outcome: &str,
    formatter: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let (looks, are) = match names.len() {
        1 => ("looks like a secret", "it is"),
        _ => ("look like secrets", "they are"),
    };
    let names = names.join(", ");
    write!(
        formatter,
        "BUILD_ARGS: {names} {looks}; {are} {outcome} {BUILD_ARGUMENT_ADVICE}"
    )
}

fn secret_build_arguments(names: &[String], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    build_arguments(names, "masked in the log, but", formatter)
}

fn readable_build_arguments(names: &[String], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let outcome = "not masked in the log, because the value is too short or too common:";
    build_arguments(names, outcome, formatter)
}

fn registry_with_path(value: &str, host: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        formatter,
        "REGISTRY is {value}: only its host is used, and the login is for all of `{host}`"
    )
}

fn registry_without_host(value: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        formatter,
        "REGISTRY_USERNAME and REGISTRY_PASSWORD are not used: {value} in REGISTRY is not a host"
    )
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
                    "BUILD_ARGS sets {argument} more than once; the last value is used"
                )
            }
            Self::SecretBuildArguments { names } => secret_build_arguments(names, formatter),
            Self::ReadableBuildArguments { names } => readable_build_arguments(names, formatter),
            Self::UnencryptedApi { host } => {
                write!(
                    formatter,
                    "DEPOT_API_URL sends the token to `{host}` without encryption; write https://"
                )
            }
            Self::TwoLogins {
                host,
                used,
                ignored,
            } => write!(
                formatter,
                "two logins for `{}`: that of {used} is used, that of {ignored} is not",
                host.escape_debug()
            ),
            Self::LoginWithoutHost => formatter.write_str(
                "REGISTRY_USERNAME and REGISTRY_PASSWORD are not used: REGISTRY, the host that they are for, is not set",
            ),
            Self::HostWithoutLogin => formatter.write_str(
                "REGISTRY is set without REGISTRY_USERNAME and REGISTRY_PASSWORD: there is no login for that registry",
            ),
            Self::RegistryWithPath { value, host } => registry_with_path(value, host, formatter),
            Self::RegistryWithoutHost { value } => registry_without_host(value, formatter),
            Self::CredentialHelper { host, program } if host.is_empty() => write!(
                formatter,
                "DOCKER_CONFIG leaves logins to the program {program}, which cannot be run here: only those in the file count"
            ),
            Self::CredentialHelper { host, program } => write!(
                formatter,
                "DOCKER_CONFIG leaves the login for `{}` to the program {program}, which cannot be run here",
                host.escape_debug()
            ),
            Self::LoginBesideHelper { host, program } => write!(
                formatter,
                "DOCKER_CONFIG leaves the login for `{}` to the program {program}, which cannot be run here: the login in the file \
                 is used instead",
                host.escape_debug()
            ),
            Self::NamedButNotPushed { saved: false } => formatter.write_str("IMAGE is set, but PUSH is not: the image is built, but not kept"),
            Self::NamedButNotPushed { saved: true } => formatter.write_str("IMAGE is set, but PUSH is not: Depot keeps the image, but it is not pushed under that name"),
            Self::UnencryptedAmazon { host } => write!(
                formatter,
                "AWS_ENDPOINT_URL sends the step's identity to `{host}` without encryption; write https://"
            ),
            Self::UnsetReference { variable, unset } => {
                let unset = match unset {
                    Some(name) => format!("${}, which is", name.escape_debug()),
                    None => "a variable that is".into(),
                };
                write!(
                    formatter,
                    "{variable} is treated as unset: it refers to {unset} not set in this pipeline"
                )
            }
            Self::LongTimeout => formatter.write_str(
                "TIMEOUT is longer than the 2 hours that Bitbucket gives a step, unless its `max-time` says more",
            ),
            Self::TagsWithoutSave => formatter.write_str("SAVE_TAGS is set, but SAVE is false: nothing is saved"),
            Self::RoleWithoutIdentity => write!(formatter, "AWS_OIDC_ROLE_ARN is set but not used: the step lacks `{OIDC}`"),
            Self::KeysBesideRole => formatter.write_str("AWS_OIDC_ROLE_ARN and AWS_ACCESS_KEY_ID are both set: the role is used, the key is not"),
        }
    }
}
