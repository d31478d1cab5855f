//! Everything specific to Bitbucket Pipelines: the pipeline that a run belongs to, facts and limits of steps, names of
//! Bitbucket's variables, and the files for later steps.

pub mod outputs;
mod pipeline;
mod step;
pub mod variables;
pub mod whole_file;

pub use outputs::Outputs;
pub use pipeline::Pipeline;
pub use step::{
    DOCKER_MEMORY, DOCKER_SERVICE, GENERATED_FOLDER, NO_CLONE, OIDC, STEP_LIMIT, TAG_OF_BRANCH,
    secured_variable,
};
