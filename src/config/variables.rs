//! The variables as `envy` hands them over: what was typed, one struct for each concern, nothing checked yet.
//!
//! Every field is an optional text, because `envy`'s own conversions suit no pipe: it takes `""` for a bad boolean,
//! knows only `true` and `false`, and splits lists at commas alone. None of these shows itself with `Debug`, since
//! secrets pass through here as plain text.

use serde::Deserialize;

/// Depot: who asks, for which project, and where.
#[derive(Default, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "`envy` finds variables by the names of fields"
)]
pub(super) struct DepotVariables {
    pub(super) depot_token: Option<String>,
    pub(super) depot_project_id: Option<String>,
    pub(super) depot_api_url: Option<String>,
}

/// What to build, and how.
#[derive(Default, Deserialize)]
pub(super) struct BuildVariables {
    pub(super) context: Option<String>,
    pub(super) dockerfile: Option<String>,
    pub(super) target: Option<String>,
    pub(super) build_args: Option<String>,
    pub(super) build_contexts: Option<String>,
    pub(super) platforms: Option<String>,
    pub(super) build_platform: Option<String>,
    pub(super) no_cache: Option<String>,
}

/// What becomes of the image.
#[derive(Default, Deserialize)]
pub(super) struct ImageVariables {
    pub(super) image: Option<String>,
    pub(super) push: Option<String>,
    pub(super) load: Option<String>,
    pub(super) save: Option<String>,
    pub(super) save_tags: Option<String>,
}

/// Where the Docker daemon is that images are loaded into. Docker's own variables, which Bitbucket sets.
#[derive(Default, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "`envy` finds variables by the names of fields"
)]
pub(super) struct DockerVariables {
    pub(super) docker_host: Option<String>,
    pub(super) docker_tls_verify: Option<String>,
    pub(super) docker_cert_path: Option<String>,
}

/// Who we are at registries.
#[derive(Default, Deserialize)]
pub(super) struct RegistryVariables {
    pub(super) dockerhub_username: Option<String>,
    pub(super) dockerhub_token: Option<String>,
    pub(super) registry: Option<String>,
    pub(super) registry_username: Option<String>,
    pub(super) registry_password: Option<String>,
    pub(super) registries: Option<String>,
    pub(super) docker_config: Option<String>,
    pub(super) registry_insecure: Option<String>,
}

/// Who we are at Amazon.
#[derive(Default, Deserialize)]
pub(super) struct AmazonVariables {
    pub(super) aws_access_key_id: Option<String>,
    pub(super) aws_secret_access_key: Option<String>,
    pub(super) aws_session_token: Option<String>,
    pub(super) aws_oidc_role_arn: Option<String>,
    pub(super) aws_endpoint_url: Option<String>,
    pub(super) ecr_create_repository: Option<String>,
}

/// Which files to write.
#[derive(Default, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "`envy` finds variables by the names of fields"
)]
pub(super) struct OutputVariables {
    pub(super) output_file: Option<String>,
    pub(super) output_variables: Option<String>,
    pub(super) metadata_file: Option<String>,
    pub(super) iid_file: Option<String>,
}

/// How the pipe itself behaves.
#[derive(Default, Deserialize)]
pub(super) struct PipeVariables {
    pub(super) ssl_cert_file: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) debug: Option<String>,
}

/// What Bitbucket tells of the pipeline.
#[derive(Default, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "`envy` finds variables by the names of fields"
)]
pub(super) struct PipelineVariables {
    pub(super) bitbucket_workspace: Option<String>,
    pub(super) bitbucket_repo_slug: Option<String>,
    pub(super) bitbucket_repo_full_name: Option<String>,
    pub(super) bitbucket_build_number: Option<String>,
    pub(super) bitbucket_pipe_storage_dir: Option<String>,
    pub(super) bitbucket_pipe_shared_storage_dir: Option<String>,
    pub(super) bitbucket_pipelines_variables_path: Option<String>,
}

/// What proves who the step is, or its machine. None of these is the user's to give.
#[derive(Default, Deserialize)]
pub(super) struct IdentityVariables {
    pub(super) bitbucket_step_oidc_token: Option<String>,
    pub(super) aws_container_credentials_relative_uri: Option<String>,
    pub(super) aws_container_credentials_full_uri: Option<String>,
    pub(super) aws_container_authorization_token: Option<String>,
    pub(super) aws_container_authorization_token_file: Option<String>,
}
