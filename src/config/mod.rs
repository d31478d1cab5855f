//! From the variables that Bitbucket passes to a checked plan.
//!
//! The only place that knows the names of variables. `main` reads the environment once and hands it over; everything
//! behind this room gets types. All faults are told at once, since each run that finds one more costs minutes.
//!
//! The rules for values, the same for every variable: nothing, white space, or exactly `$NAME` or `${NAME}` is "not
//! given", for that is what Bitbucket leaves of an unset variable. Booleans are true/false, yes/no, on/off, 1/0 in any
//! case. Lists are Bitbucket arrays or one text with an entry a line; images and platforms are separated by commas and
//! spaces too. The size of all this is bounded by the kernel's limits on a process's environment.

mod amazon;
mod authorities;
mod branch;
mod build;
mod contexts;
mod depot;
mod environment;
mod fault;
mod findings;
mod images;
mod load;
mod logins;
mod near_miss;
mod outputs;
mod pairs;
mod paths;
pub mod plan;
mod project;
mod proxies;
mod secret_names;
mod ssh_address;
pub mod table;
mod timeout;
mod values;
mod variables;
mod warning;
mod yaml;

#[cfg(test)]
mod documents;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use self::{
    build::Arguments,
    environment::Environment,
    findings::Findings,
    paths::Places,
    plan::{BuildPlan, DEFAULT_IMAGE, DepotPlan, Destinations, ImagePlan, RegistriesPlan},
    variables::{
        AmazonVariables, BuildVariables, DepotVariables, DockerVariables, IdentityVariables,
        ImageVariables, OutputVariables, PipeVariables, PipelineVariables, RegistryVariables,
    },
};
pub use self::{
    fault::{ConfigError, Fault},
    plan::Plan,
    warning::Warning,
};
use crate::bitbucket::Pipeline;
use crate::registry::credentials::Credentials;
use crate::registry::ecr::EcrHost;
use crate::registry::reference::Reference;

/// Reads and checks everything that a run needs to know.
///
/// `working_directory` is absolute, and is what relative paths are relative to. Looks at the file system (the context,
/// the Dockerfile, project files) and at nothing else. On an error the warnings come with it.
pub fn read(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    working_directory: &Path,
) -> Result<(Plan, Vec<Warning>), ConfigError> {
    let mut findings = Findings::default();
    let environment = Environment::read(environment, &mut findings);
    let Given {
        depot,
        build,
        image,
        docker,
        registry,
        amazon,
        identity,
        outputs,
        pipe,
        pipeline,
    } = Given::read(&environment, &mut findings);
    logins::keep_secrets(&registry, working_directory, &mut findings);
    let arguments = Arguments::parse(build.build_args.as_deref(), &environment, &mut findings);
    proxies::keep_secrets(&environment, &mut findings);
    warn_of_near_misses(&environment, &build, &mut findings);

    let places = Places::new(working_directory, environment.clone_dir(), &mut findings);
    let context = places.context_as_typed(build.context.as_deref());
    let dockerfile =
        places.dockerfile_as_typed(build.dockerfile.as_deref(), &context, &mut findings);

    let token = depot::token(depot.depot_token, &mut findings);
    let project = project::read(
        depot.depot_project_id.as_deref(),
        &context,
        &dockerfile,
        &mut findings,
    );
    let destinations = images::read(&image, &mut findings);
    let daemon = destinations
        .load
        .then(|| load::read(&docker, working_directory, &mut findings));
    let build = build::read(
        &build,
        &places,
        &context,
        &dockerfile,
        arguments,
        &mut findings,
    );
    let insecure = logins::insecure(registry.registry_insecure.as_deref(), &mut findings);
    let pushed = destinations.pushed();
    let secret_files = secret_files(&registry, &docker, &pipe, working_directory);
    let (credentials, hostless) = logins::read(registry, working_directory, pushed, &mut findings);
    let create_repositories = read_boolean(
        "ECR_CREATE_REPOSITORY",
        amazon.ecr_create_repository.as_deref(),
        &mut findings,
    );
    let needs_amazon = needs_amazon(pushed, &credentials);
    let proofs = amazon::proofs(&identity).into_iter();
    let aws = amazon::read(amazon, identity, &pipeline, needs_amazon, &mut findings);
    let api_url = depot::api_url(depot.depot_api_url.as_deref(), &mut findings);
    let authorities = pipe.ssl_cert_file.as_deref();
    let authorities = authorities::read(authorities, working_directory, &mut findings);
    let proxies = proxies::read(&environment, &mut findings);
    let outputs = outputs::read(&outputs, &places, &destinations, &mut findings);
    let others = outputs.files().chain(aws.authorization_file());
    let mut withheld: Vec<PathBuf> = others.map(Path::to_owned).chain(secret_files).collect();
    let timeout = timeout::read(pipe.timeout.as_deref(), &mut findings);
    let debug = read_boolean("DEBUG", pipe.debug.as_deref(), &mut findings);

    match (token, project, api_url, build) {
        (Some(token), Some((project_id, project_source)), Some(api_url), Some(build))
            if findings.is_faultless() =>
        {
            let pipeline: Pipeline = pipeline.into();
            let clone = places.clone_directory().to_owned();
            withheld.extend(pipes_storage(&pipeline, &clone));
            let depot = DepotPlan {
                token,
                project_id,
                project_source,
                api_url,
            };
            Ok((
                Plan {
                    depot,
                    clone,
                    withheld,
                    images: vec![only_image(build, destinations)],
                    daemon,
                    registries: RegistriesPlan {
                        credentials,
                        insecure,
                        aws,
                        create_repositories,
                    },
                    authorities,
                    other_secrets: proofs.chain(hostless).chain(findings.secrets()).collect(),
                    outputs,
                    proxies,
                    timeout,
                    pipeline,
                    debug,
                },
                findings.into_warnings(),
            ))
        }
        _ => Err(findings.into_error()),
    }
}

/// The image that today's variables describe.
fn only_image(build: BuildPlan, destinations: Destinations) -> ImagePlan {
    ImagePlan {
        name: DEFAULT_IMAGE.to_owned(),
        build,
        destinations,
    }
}

/// All variables as they were typed, one struct for each concern.
struct Given {
    depot: DepotVariables,
    build: BuildVariables,
    image: ImageVariables,
    docker: DockerVariables,
    registry: RegistryVariables,
    amazon: AmazonVariables,
    identity: IdentityVariables,
    outputs: OutputVariables,
    pipe: PipeVariables,
    pipeline: PipelineVariables,
}

impl Given {
    fn read(environment: &Environment, findings: &mut Findings) -> Self {
        Self {
            depot: environment.variables(findings),
            build: environment.variables(findings),
            image: environment.variables(findings),
            docker: environment.variables(findings),
            registry: environment.variables(findings),
            amazon: environment.variables(findings),
            identity: environment.variables(findings),
            outputs: environment.variables(findings),
            pipe: environment.variables(findings),
            pipeline: environment.variables(findings),
        }
    }
}

/// Whether an image is pushed to a registry of Amazon's that no variable has a login for.
fn needs_amazon(pushed: &[Reference], credentials: &Credentials) -> bool {
    let mut hosts = pushed.iter().map(Reference::host);
    hosts.any(|host| credentials.for_host(host).is_none() && EcrHost::parse(host).is_some())
}

/// Files with logins or keys that variables name. They may lie in the clone, and must not be in an image.
fn secret_files(
    registry: &RegistryVariables,
    docker: &DockerVariables,
    pipe: &PipeVariables,
    working_directory: &Path,
) -> Vec<PathBuf> {
    let config = registry.docker_config.as_deref();
    let config = config.map(|value| logins::docker_config_files(value, working_directory));
    let keys = docker.docker_cert_path.as_deref();
    let keys = keys.map(|folder| load::key_files(folder, working_directory));
    let authorities = authorities::key_file(pipe.ssl_cert_file.as_deref(), working_directory);
    let files = [config, keys].into_iter().flatten().flatten();
    files.chain(authorities).collect()
}

/// The folders that pipes share. One that holds the clone, as on a machine of one's own, cannot be withheld.
fn pipes_storage(pipeline: &Pipeline, clone: &Path) -> Vec<PathBuf> {
    let folders = pipeline.storage();
    let folders = folders.filter(|folder| !clone.starts_with(folder));
    folders.map(Path::to_owned).collect()
}

fn warn_of_near_misses(environment: &Environment, build: &BuildVariables, findings: &mut Findings) {
    let used = build
        .build_args
        .as_deref()
        .map(pairs::inherited_names)
        .unwrap_or_default();
    for warning in near_miss::warnings(environment.names(), &used) {
        findings.warn(warning);
    }
}

/// False where nothing is given, and where that is no boolean, which is told.
fn read_boolean(name: &'static str, value: Option<&str>, findings: &mut Findings) -> bool {
    let Some(value) = value else { return false };
    values::boolean(value).unwrap_or_else(|| {
        let problem = format!("{} is neither true nor false", findings.shown(value));
        findings.fault(Fault::new(name, problem, "write `true` or `false`"));
        false
    })
}

impl From<PipelineVariables> for Pipeline {
    fn from(variables: PipelineVariables) -> Self {
        Self {
            workspace: variables.bitbucket_workspace,
            repo_slug: variables.bitbucket_repo_slug,
            repo_full_name: variables.bitbucket_repo_full_name,
            storage_dir: variables.bitbucket_pipe_storage_dir.map(Into::into),
            shared_storage_dir: variables.bitbucket_pipe_shared_storage_dir.map(Into::into),
            variables_path: variables.bitbucket_pipelines_variables_path.map(Into::into),
        }
    }
}
