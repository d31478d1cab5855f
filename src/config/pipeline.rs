//! The variables of the pipeline, which Bitbucket sets.

use serde::Deserialize;

use crate::bitbucket::Pipeline;

/// The names are in [`CONTEXT`](crate::bitbucket::variables::CONTEXT).
#[derive(Clone, Default, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "`envy` finds variables by the names of fields"
)]
pub(super) struct PipelineVariables {
    pub(super) bitbucket_workspace: Option<String>,
    pub(super) bitbucket_repo_slug: Option<String>,
    pub(super) bitbucket_repo_full_name: Option<String>,
    pub(super) bitbucket_build_number: Option<String>,
    pub(super) bitbucket_git_http_origin: Option<String>,
    pub(super) bitbucket_commit: Option<String>,
    pub(super) bitbucket_tag: Option<String>,
    pub(super) bitbucket_branch: Option<String>,
    pub(super) bitbucket_pr_id: Option<String>,
    pub(super) bitbucket_pipe_storage_dir: Option<String>,
    pub(super) bitbucket_pipe_shared_storage_dir: Option<String>,
    pub(super) bitbucket_pipelines_variables_path: Option<String>,
    pub(super) bitbucket_ssh_key_file: Option<String>,
}

impl From<PipelineVariables> for Pipeline {
    fn from(variables: PipelineVariables) -> Self {
        Self {
            workspace: variables.bitbucket_workspace,
            repo_slug: variables.bitbucket_repo_slug,
            repo_full_name: variables.bitbucket_repo_full_name,
            git_http_origin: variables.bitbucket_git_http_origin,
            commit: variables.bitbucket_commit,
            tag: variables.bitbucket_tag,
            branch: variables.bitbucket_branch,
            storage_dir: variables.bitbucket_pipe_storage_dir.map(Into::into),
            shared_storage_dir: variables.bitbucket_pipe_shared_storage_dir.map(Into::into),
            variables_path: variables.bitbucket_pipelines_variables_path.map(Into::into),
        }
    }
}
