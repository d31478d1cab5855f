//! Everything specific to Bitbucket Pipelines: the pipeline that a run belongs to, facts and limits of steps, names of
//! Bitbucket's variables, the files for later steps, and reports on a commit.

mod git;
pub(crate) mod insights;
pub(crate) mod outputs;
mod pipeline;
mod step;
pub(crate) mod variables;
pub(crate) mod whole_file;

pub(crate) use git::git_user;
pub(crate) use outputs::Outputs;
pub(crate) use pipeline::Pipeline;
pub(crate) use step::{
    CLONE_LFS, CLONE_SUBMODULES, DOCKER_MEMORY, DOCKER_SERVICE, GENERATED_FOLDER, NO_CLONE, OIDC,
    SSH_FOLDER, SSH_KEY_NAMES, SSH_KEY_SETTINGS, STEP_LIMIT, secured_variable,
};
