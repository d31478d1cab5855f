//! From the variables that Bitbucket passes to a validated plan.
//!
//! Only this module knows the names of variables. `main` reads the environment once and passes it here; everything else
//! gets types. All faults are reported at once, because finding them one by one would cost a run each.
//!
//! The rules for values are the same for every variable. An empty value, white space, or exactly `$NAME` or `${NAME}` is
//! treated as unset: Bitbucket passes references to unset variables unchanged. Booleans are true/false, yes/no, on/off, 1/0
//! in upper or lower case. Lists are Bitbucket arrays, or one text with an entry on each line; images and platforms can also
//! be separated by commas and spaces. The kernel limits the size of the environment.

mod amazon;
mod authorities;
mod bake;
mod branch;
mod build;
pub(crate) mod caches;
mod compression;
mod context_times;
mod contexts;
pub(crate) mod csv;
mod depot;
mod environment;
mod epoch;
mod exports;
mod fault;
mod findings;
mod freshness;
pub(crate) mod git_context;
mod image;
mod images;
mod load;
pub(crate) mod logins;
pub(crate) mod metadata;
mod near_miss;
mod outputs;
mod pairs;
mod paths;
mod pipeline;
pub(crate) mod plan;
mod project;
pub(crate) mod promotion;
mod proxies;
mod registries;
mod secret_names;
pub(crate) mod secrets;
mod ssh;
mod ssh_address;
pub(crate) mod steps;
pub mod table;
pub(crate) mod tags;
mod timeout;
mod values;
mod warning;
mod withheld;
mod yaml;

#[cfg(test)]
mod documents;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;

use self::amazon::{AmazonVariables, IdentityVariables};
use self::bake::BakeVariables;
use self::build::Arguments;
use self::depot::{DepotPlan, DepotVariables};
use self::environment::Environment;
use self::findings::Findings;
use self::image::{Described, Drafts, ImageInput, Shared};
use self::images::Destinations;
use self::load::DockerVariables;
use self::logins::RegistryVariables;
use self::outputs::OutputVariables;
use self::paths::Places;
use self::pipeline::PipelineVariables;
use self::promotion::PromotionVariables;
use self::secrets::{SecretVariables, Secrets};
use crate::bitbucket::Pipeline;

pub use self::fault::{ConfigError, Fault};
pub use self::plan::Plan;
pub use self::warning::Warning;

/// Reads and validates all variables.
///
/// `working_directory` is absolute; relative paths start there. Reads the file system (the context, the Dockerfile, project
/// files) and nothing else. An error includes the warnings.
pub fn read(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    working_directory: &Path,
) -> Result<(Plan, Vec<Warning>), ConfigError> {
    read_at(environment, working_directory, SystemTime::now())
}

/// The same at this time, which is the date in tags.
fn read_at(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    working_directory: &Path,
    now: SystemTime,
) -> Result<(Plan, Vec<Warning>), ConfigError> {
    let mut findings = Findings::default();
    let environment = Environment::read(environment, &mut findings);
    let variables = Variables::read(&environment, &mut findings);
    // First of all: secrets must be masked in every message.
    logins::keep_secrets(&variables.run.registry, working_directory, &mut findings);
    let build_args = variables.image.build.build_args.as_deref();
    let arguments = Arguments::parse(build_args, &environment, &mut findings);
    let secrets = Secrets::parse(&variables.secrets, &environment, &mut findings);
    caches::keep_secrets(&variables.image.caches, &mut findings);
    proxies::keep_secrets(&environment, &mut findings);
    warn_of_near_misses(&environment, &variables, &mut findings);
    let places = Places::new(working_directory, environment.clone_dir(), &mut findings);
    let tags = tags::Values::new(&variables.run.pipeline, now);
    let plan = if variables.run.promotion.source_image.is_some() {
        promotion::plan(variables, &environment, &places, &tags, &mut findings)
    } else {
        let Variables {
            image: described,
            secrets: _,
            run,
        } = variables;
        let only = (described, arguments, secrets);
        let images = images_of(&run, only, &environment, &places, &mut findings);
        match images {
            Some(Images::Printed(definition)) => Some(Plan {
                printed: Some(definition),
                ..Plan::default()
            }),
            Some(Images::Built(images)) => {
                plan_of(run, images, &environment, &places, &tags, &mut findings)
            }
            None => None,
        }
    };
    match plan {
        Some(mut plan) if findings.is_faultless() => {
            plan.other_secrets.extend(findings.secrets());
            Ok((plan, findings.into_warnings()))
        }
        _ => Err(findings.into_error()),
    }
}

/// The images of a run, as variables.
enum Images {
    Built(Vec<ImageInput>),
    /// The definition, which is only printed.
    Printed(String),
}

/// The only image of the variables, or the targets of a definition. `None` after a fault in the definition.
fn images_of(
    run: &RunVariables,
    (described, arguments, secrets): (Described, Arguments, Secrets),
    environment: &Environment,
    places: &Places<'_>,
    findings: &mut Findings,
) -> Option<Images> {
    if !run.bake.is_set() {
        images::check_references(environment, &described.image, findings);
        let image = ImageInput::only(described, arguments, secrets);
        return Some(Images::Built(vec![image]));
    }
    let bake = bake::read(&run.bake, &described, environment, places, findings)?;
    if bake.is_printed {
        return Some(Images::Printed(bake.to_json()));
    }
    let key_file = run.pipeline.bitbucket_ssh_key_file.as_deref();
    let ssh = ssh::read(&described.ssh, key_file, places, findings);
    let shared = (&secrets, &ssh);
    let targets = bake::described(&bake, environment).into_iter();
    let targets = targets.map(|target| ImageInput::of_target(target, shared, findings));
    Some(Images::Built(targets.collect()))
}

/// Reads every part of the plan, so that all faults are found. `None` if a required part is missing.
fn plan_of(
    variables: RunVariables,
    images: Vec<ImageInput>,
    environment: &Environment,
    places: &Places<'_>,
    tags: &tags::Values,
    findings: &mut Findings,
) -> Option<Plan> {
    let RunVariables {
        bake,
        depot,
        docker,
        registry,
        amazon,
        identity,
        outputs,
        pipe,
        pipeline,
        promotion,
    } = variables;
    let is_bake = bake.is_set();
    let working_directory = places.working_directory();
    let key_file = pipeline.bitbucket_ssh_key_file.as_deref();
    let run_pipeline: Pipeline = pipeline.clone().into();
    let mut withheld = withheld::secret_files(&registry, &docker, &pipe, working_directory);
    let shared = Shared {
        places,
        tags,
        pipeline: &run_pipeline,
        key_file,
    };
    let mut drafts = Drafts::begin(images, &shared, findings);
    withheld.append(&mut drafts.withheld);
    let (context, dockerfile) = drafts.project_paths(working_directory);
    let depot = match drafts.project() {
        Some(project) => DepotPlan::of_definition(depot, project, findings),
        None => DepotPlan::read(depot, context, dockerfile, findings),
    };
    drafts.read(&shared, findings);
    let daemon = drafts.destinations().any(|image| image.load);
    let daemon = daemon.then(|| load::read(&docker, working_directory, findings));
    let proxies = proxies_of_steps(&registry, &docker, working_directory, findings);
    drafts.add_proxies(&proxies);
    let registries = registries::Variables {
        registry,
        amazon,
        identity,
    };
    let (pushed, caches) = drafts.used();
    let used = registries::Used {
        pushed: &pushed,
        read: None,
        caches: &caches,
    };
    let (registries, other_secrets) =
        registries::read(registries, &pipeline, &used, working_directory, findings);
    let authorities = pipe.ssl_cert_file.as_deref();
    let authorities = authorities::read(authorities, working_directory, findings);
    let proxies = proxies::read(environment, findings);
    let insights = outputs::read_insights(&outputs, &run_pipeline, findings);
    let has_image = drafts.destinations().any(Destinations::has_any);
    let mut outputs = outputs::read(&outputs, places, has_image, findings);
    outputs.sboms = drafts.sboms(&outputs, places, findings);
    let are_pushed = drafts.destinations().all(|image| image.push);
    let skip_if_exists = promotion::skip_if_exists(&promotion, are_pushed, environment, findings);
    let timeout = timeout::read(pipe.timeout.as_deref(), findings);
    let debug = read_boolean("DEBUG", pipe.debug.as_deref(), findings);
    let clone = places.clone_directory().to_owned();
    withheld.extend(withheld::pipes_storage(&run_pipeline, &clone));
    let (images, inputs) = drafts.finish((places, &outputs), findings)?;
    if is_bake {
        bake::report_conflicts(&images, findings);
        if let Some(depot) = &depot {
            bake::report_projects(&images, &inputs, &depot.project_id, findings);
        }
    }
    for image in images.iter().chain(&inputs) {
        withheld.extend(withheld::files_of_plan(image, &outputs, &registries));
    }
    Some(Plan {
        depot: Some(depot?),
        clone,
        withheld,
        images,
        inputs,
        daemon,
        registries,
        authorities,
        other_secrets,
        outputs,
        insights,
        proxies,
        timeout,
        pipeline: run_pipeline,
        debug,
        promotion: None,
        skip_if_exists,
        description: if is_bake {
            plan::Description::Definition
        } else {
            plan::Description::Variables
        },
        printed: None,
    })
}

/// All variables as written, one struct for each topic.
struct Variables {
    image: Described,
    secrets: SecretVariables,
    run: RunVariables,
}

/// The variables that are not about one image.
struct RunVariables {
    bake: BakeVariables,
    depot: DepotVariables,
    docker: DockerVariables,
    registry: RegistryVariables,
    amazon: AmazonVariables,
    identity: IdentityVariables,
    outputs: OutputVariables,
    pipe: PipeVariables,
    pipeline: PipelineVariables,
    promotion: PromotionVariables,
}

impl Variables {
    fn read(environment: &Environment, findings: &mut Findings) -> Self {
        Self {
            image: Described::read(environment, findings),
            secrets: environment.variables(findings),
            run: RunVariables {
                bake: environment.variables(findings),
                depot: environment.variables(findings),
                docker: environment.variables(findings),
                registry: environment.variables(findings),
                amazon: environment.variables(findings),
                identity: environment.variables(findings),
                outputs: environment.variables(findings),
                pipe: environment.variables(findings),
                pipeline: environment.variables(findings),
                promotion: environment.variables(findings),
            },
        }
    }
}

/// The variables of the run itself.
#[derive(Default, Deserialize)]
pub(super) struct PipeVariables {
    pub(super) ssl_cert_file: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) debug: Option<String>,
}

/// The proxies of a Docker configuration, which steps get as build arguments.
fn proxies_of_steps(
    registry: &RegistryVariables,
    docker: &DockerVariables,
    working_directory: &Path,
    findings: &mut Findings,
) -> Vec<logins::ProxyArgument> {
    let Some(value) = registry.docker_config.as_deref() else {
        return Vec::new();
    };
    let host = docker.docker_host.as_deref();
    logins::proxies_of_steps(value, host, working_directory, findings)
}

fn warn_of_near_misses(environment: &Environment, variables: &Variables, findings: &mut Findings) {
    let inherited = |value: &Option<String>| value.as_deref().map(pairs::inherited_names);
    let lists = [
        &variables.image.build.build_args,
        &variables.secrets.secrets,
    ];
    let used: Vec<String> = lists.into_iter().filter_map(inherited).flatten().collect();
    for warning in near_miss::warnings(environment.names(), &used) {
        findings.warn(warning);
    }
}

/// Reads a boolean. Unset is false, and so is an invalid value, which is reported.
fn read_boolean(name: &'static str, value: Option<&str>, findings: &mut Findings) -> bool {
    let Some(value) = value else { return false };
    values::boolean(value).unwrap_or_else(|| {
        let problem = format!("{} is neither true nor false", findings.shown(value));
        findings.fault(Fault::new(name, problem, "write `true` or `false`"));
        false
    })
}
