//! Facts about the step that a pipe runs in, and the settings of `bitbucket-pipelines.yml` that messages recommend.

use std::time::Duration;

/// The default limit of a step: `max-time` is 120 minutes unless the step sets it (JSON schema of
/// `bitbucket-pipelines.yml`, `max-time`).
pub(crate) const STEP_LIMIT: Duration = Duration::from_hours(2);

/// The directory below the clone in which the pipes of a step keep their files. The storage directories are in it
/// (Bitbucket's "Advanced techniques for writing pipes").
///
/// The files can contain secrets of other pipes.
pub(crate) const GENERATED_FOLDER: &str = ".bitbucket/pipelines/generated";

/// The folder with the repository's SSH key, which every pipe gets read-only (the arguments of `docker run` that Pipelines prints).
pub(crate) const SSH_FOLDER: &str = "/opt/atlassian/pipelines/agent/ssh";

/// The names of the key in [`SSH_FOLDER`].
pub(crate) const SSH_KEY_NAMES: [&str; 2] = ["id_rsa", "id_rsa_tmp"];

/// Advice for a step without an SSH key (Bitbucket's "Set up and use SSH keys in Pipelines").
pub(crate) const SSH_KEY_SETTINGS: &str = "generate or add a key in the repository settings, under Pipelines, SSH keys, or write the path of a key in the clone";

/// Adds a Docker daemon to a step. Belongs to the step, next to `script:`.
pub(crate) const DOCKER_SERVICE: &str = "  services:\n    - docker\n";

/// Advice to give the Docker daemon more memory. By default a service has 1024 MB (Bitbucket's "Databases and service
/// containers").
pub(crate) const DOCKER_MEMORY: &str = "the daemon may have run out of memory: increase the memory of the service `docker`, for example with \
     `memory: 2048` under `definitions`";

/// Gives a step an identity token. Belongs to the step, next to `script:` (Bitbucket's "Integrate Pipelines with
/// resource servers using OIDC").
pub(crate) const OIDC: &str = "oidc: true";

/// Advice for a step whose clone directory is empty.
pub(crate) const NO_CLONE: &str = "the clone directory contains no clone of the repository: if the step has\n  clone:\n    enabled: false\n\
     then remove those lines, or get the files from the artifacts of an earlier step";

/// Advice for a clone with Git LFS pointers instead of files (JSON schema of `bitbucket-pipelines.yml`, `clone`). Belongs to the
/// step, next to `script:`.
pub(crate) const CLONE_LFS: &str = "add to the step:\n  clone:\n    lfs: true";

/// Advice for a clone without the content of its submodules, which Pipelines does not fetch.
pub(crate) const CLONE_SUBMODULES: &str = "Pipelines does not fetch submodules, so add to the step's `script:`, before the pipe:\n  - git submodule update --init --recursive";

/// Advice to store `variable` as a secured variable. A fork has variables of its own, so its pull requests get none of
/// these (Bitbucket's "Variables and secrets").
#[must_use]
pub(crate) fn secured_variable(variable: &str) -> String {
    format!(
        "store {variable} as a secured variable of the repository or the workspace; pull requests from forks get no \
         secured variables"
    )
}
