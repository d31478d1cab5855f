//! Names of variables that Bitbucket sets in a pipe (Bitbucket's "Variables and secrets"). Users do not set them.

/// The directory of the clone. It is read separately, because a path need not be UTF-8.
pub(crate) const CLONE_DIR: &str = "BITBUCKET_CLONE_DIR";

/// The step's identity token, if the step has [`OIDC`](super::OIDC).
pub(crate) const OIDC_TOKEN: &str = "BITBUCKET_STEP_OIDC_TOKEN";

/// The file of [`Pipeline::variables_path`](super::Pipeline::variables_path).
pub(crate) const VARIABLES_PATH: &str = "BITBUCKET_PIPELINES_VARIABLES_PATH";

/// The private key of the step, if the repository has one. Its name, as Bitbucket passes it, is a path in the pipe's container.
pub(crate) const SSH_KEY_FILE: &str = "BITBUCKET_SSH_KEY_FILE";

/// The host of Bitbucket Packages, the registry of every workspace (Bitbucket's "Working with the container registry").
pub(crate) const PACKAGES_HOST: &str = "crg.apkg.io";

/// The variables of [`Pipeline`](super::Pipeline), and the numbers of the pipeline and of its pull request.
pub(crate) const CONTEXT: [&str; 13] = [
    "BITBUCKET_WORKSPACE",
    "BITBUCKET_REPO_SLUG",
    "BITBUCKET_REPO_FULL_NAME",
    "BITBUCKET_BUILD_NUMBER",
    "BITBUCKET_GIT_HTTP_ORIGIN",
    "BITBUCKET_COMMIT",
    "BITBUCKET_TAG",
    "BITBUCKET_BRANCH",
    "BITBUCKET_PR_ID",
    "BITBUCKET_PIPE_STORAGE_DIR",
    "BITBUCKET_PIPE_SHARED_STORAGE_DIR",
    VARIABLES_PATH,
    SSH_KEY_FILE,
];

/// Those of [`CONTEXT`] that `pipe.yml` requests from the step: Bitbucket may not pass all of them to a pipe by itself.
#[cfg(test)]
pub(crate) const REQUESTED: [&str; 5] = [
    "BITBUCKET_BRANCH",
    "BITBUCKET_TAG",
    "BITBUCKET_PR_ID",
    "BITBUCKET_COMMIT",
    "BITBUCKET_BUILD_NUMBER",
];
