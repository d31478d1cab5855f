//! Warnings: settings that do not stop a build, but are probably mistakes.

use std::fmt;
use std::path::PathBuf;

use crate::bitbucket::OIDC;

const NO_COMMIT: &str = "CODE_INSIGHTS is set, but Bitbucket's variables of the repository and the commit are not: no report is published";

/// A warning. Contains no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// An unknown variable whose name is similar to a known one.
    NearMiss {
        /// The name in the environment.
        name: String,
        /// The known name.
        meant: &'static str,
    },
    /// `NAME_0` without `NAME_COUNT`, which Bitbucket sets for every array.
    EntryWithoutCount {
        /// The list's name.
        variable: &'static str,
    },
    /// The searches from the context and from the Dockerfile found project files with different ids.
    TwoProjects {
        /// The used file.
        used: PathBuf,
        /// Its id.
        used_id: String,
        /// The other file.
        ignored: PathBuf,
        /// Its id.
        ignored_id: String,
    },
    /// The path of the Dockerfile exists relative to the working directory and relative to the context.
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
    /// A label or an annotation has two values.
    RepeatedName {
        /// The variable that sets it.
        variable: &'static str,
        /// The name, as it can be shown.
        name: String,
    },
    /// `CONTEXT_TIMES: content` and a step with a cache mount.
    TimesWithCacheMount,
    /// None of the pipeline's variables is set that labels are derived from.
    NoPipelineLabels,
    /// A warning about one of several images.
    Placed {
        /// The image.
        place: String,
        /// The warning.
        warning: Box<Self>,
    },
    /// A part of a definition that has no effect.
    Definition {
        /// The place and the problem.
        text: String,
    },
    /// The commit or the repository is not known that a report is about.
    NoCommit,
    /// Build arguments that look like secrets.
    SecretBuildArguments {
        /// Each of them, or its place in the list.
        names: Vec<String>,
    },
    /// Build arguments that look like secrets, but are too short or too common to be masked.
    ReadableBuildArguments {
        /// Each of them, or its place in the list.
        names: Vec<String>,
    },
    /// The token would be sent over a network without encryption.
    UnencryptedApi {
        /// The API's host.
        host: String,
    },
    /// Two variables, or two entries of the Docker configuration, have different logins for one host.
    TwoLogins {
        /// The host.
        host: String,
        /// The source of the used login.
        used: String,
        /// The source of the other login.
        ignored: String,
    },
    /// `REGISTRY_USERNAME` and `REGISTRY_PASSWORD` without `REGISTRY`.
    LoginWithoutHost,
    /// `REGISTRY` without `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`.
    HostWithoutLogin,
    /// `REGISTRY` with a path after the host.
    RegistryWithPath {
        /// The masked value.
        value: String,
        /// The host in it.
        host: String,
    },
    /// A login whose `REGISTRY` has no host.
    RegistryWithoutHost {
        /// The masked value.
        value: String,
    },
    /// An access key in addition to a role.
    KeysBesideRole,
    /// A role without an OIDC token.
    RoleWithoutIdentity,
    /// A credential helper in the Docker configuration.
    CredentialHelper {
        /// The host; empty for all others.
        host: String,
        /// The program, masked.
        program: String,
    },
    /// A credential helper for a host that also has a login in the file, which Docker would ignore.
    LoginBesideHelper {
        /// The host.
        host: String,
        /// The program, masked.
        program: String,
    },
    /// Keys and identities would be sent over a network without encryption.
    UnencryptedAmazon {
        /// The host of the endpoint.
        host: String,
    },
    /// The value is a reference to an unset variable.
    UnsetReference {
        /// The variable of the pipe.
        variable: &'static str,
        /// The unset variable, if it can be shown.
        unset: Option<String>,
    },
    /// The limit is longer than the default limit of a step.
    LongTimeout,
    /// Tags for an image that is not saved.
    TagsWithoutSave,
    /// A setting that has no effect in this build.
    NoEffect {
        /// The setting.
        setting: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The image has a name, but is not pushed.
    NamedButNotPushed {
        /// Whether Depot keeps it.
        saved: bool,
    },
}

/// The first name that can be shown, and the lines that pass it as a secret instead.
fn secret_instead(names: &[String]) -> String {
    let mut shown = names.iter().filter_map(|label| label.strip_prefix('`'));
    let id = shown.next().map_or("ID", |name| name.trim_end_matches('`'));
    let each = if names.len() > 1 { "for each, " } else { "" };
    format!(
        "build arguments are stored in the image's history and provenance, which everyone who can pull the image can read: \
         {each}add the line `{id}=$NAME` to SECRETS, with NAME a secured variable, and write \
         `RUN --mount=type=secret,id={id}` in the Dockerfile, whose command reads `/run/secrets/{id}`"
    )
}

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
    let (instead, names) = (secret_instead(names), names.join(", "));
    write!(
        formatter,
        "BUILD_ARGS: {names} {looks}; {are} {outcome} {instead}"
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
        "REGISTRY is {value}: only its host is used, and the login applies to all of `{host}`"
    )
}

fn registry_without_host(value: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        formatter,
        "REGISTRY_USERNAME and REGISTRY_PASSWORD are not used: {value} in REGISTRY is not a host"
    )
}

fn unset_reference(
    variable: &str,
    unset: Option<&str>,
    formatter: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let unset = match unset {
        Some(name) => format!("${}, which is", name.escape_debug()),
        None => "a variable that is".into(),
    };
    write!(
        formatter,
        "{variable} is treated as unset: it refers to {unset} not set in this pipeline"
    )
}

const TIMES_WITH_CACHE_MOUNT: &str = "CONTEXT_TIMES is `content`, and the Dockerfile mounts a cache: a tool that compares the times of files with \
                                      those in the cache, such as make, cargo or ninja, may not build a changed file again";

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NearMiss { name, meant } => {
                let name = name.escape_debug();
                write!(formatter, "{name} is not a variable of this pipe; did you mean {meant}?")
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
                "two Depot projects: `{used_id}` in `{}` is used, `{ignored_id}` in `{}` is not; set DEPOT_PROJECT_ID to choose one",
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
            Self::RepeatedName { variable, name } => write!(
                formatter,
                "{variable} sets {name} more than once; the last value is used"
            ),
            Self::TimesWithCacheMount => formatter.write_str(TIMES_WITH_CACHE_MOUNT),
            Self::NoPipelineLabels => formatter.write_str(
                "OCI_LABELS is set, but Bitbucket's variables of the commit are not: no labels are added",
            ),
            Self::Placed { place, warning } => write!(formatter, "{place}: {warning}"),
            Self::Definition { text } => formatter.write_str(text),
            Self::NoCommit => formatter.write_str(NO_COMMIT),
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
                "two logins for `{}`: the login in {used} is used, the login in {ignored} is not",
                host.escape_debug()
            ),
            Self::LoginWithoutHost => formatter.write_str(
                "REGISTRY_USERNAME and REGISTRY_PASSWORD are not used: REGISTRY, the host that they belong to, is not set",
            ),
            Self::HostWithoutLogin => formatter.write_str(
                "REGISTRY is set without REGISTRY_USERNAME and REGISTRY_PASSWORD: that registry is used without a login",
            ),
            Self::RegistryWithPath { value, host } => registry_with_path(value, host, formatter),
            Self::RegistryWithoutHost { value } => registry_without_host(value, formatter),
            Self::CredentialHelper { host, program } if host.is_empty() => write!(
                formatter,
                "DOCKER_CONFIG gets logins from the program {program}, which cannot run in the pipe: only the logins in the file are used"
            ),
            Self::CredentialHelper { host, program } => write!(
                formatter,
                "DOCKER_CONFIG gets the login for `{}` from the program {program}, which cannot run in the pipe: if the build needs it, set it in REGISTRIES",
                host.escape_debug()
            ),
            Self::LoginBesideHelper { host, program } => write!(
                formatter,
                "DOCKER_CONFIG gets the login for `{}` from the program {program}, which cannot run in the pipe: the login in the file \
                 is used instead",
                host.escape_debug()
            ),
            Self::NamedButNotPushed { saved: false } => formatter.write_str("IMAGE is set without PUSH: the image is built, but not kept; set `PUSH: 'true'` to push it"),
            Self::NamedButNotPushed { saved: true } => formatter.write_str("IMAGE is set without PUSH: Depot keeps the image, but it is not pushed under that name"),
            Self::UnencryptedAmazon { host } => write!(
                formatter,
                "AWS_ENDPOINT_URL sends the step's identity to `{host}` without encryption; write https://"
            ),
            Self::UnsetReference { variable, unset } => unset_reference(variable, unset.as_deref(), formatter),
            Self::LongTimeout => formatter.write_str(
                "TIMEOUT is longer than the 2 hours after which Bitbucket stops a step, unless its `max-time` is higher",
            ),
            Self::NoEffect { setting, reason } => write!(formatter, "{setting} has no effect: {reason}"),
            Self::TagsWithoutSave => formatter.write_str("SAVE_TAGS is set, but SAVE is false: nothing is saved"),
            Self::RoleWithoutIdentity => write!(formatter, "AWS_OIDC_ROLE_ARN is set but not used: the step lacks `{OIDC}`"),
            Self::KeysBesideRole => formatter.write_str("AWS_OIDC_ROLE_ARN and AWS_ACCESS_KEY_ID are both set: the role is used, the key is not"),
        }
    }
}
