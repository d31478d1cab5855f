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
mod branch;
mod build;
pub(crate) mod caches;
mod compression;
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
use self::build::{Arguments, BuildVariables, SourceAsWritten};
use self::caches::CacheVariables;
use self::compression::CompressionVariables;
use self::depot::{DepotPlan, DepotVariables};
use self::environment::Environment;
use self::exports::ExportVariables;
use self::findings::Findings;
use self::freshness::FreshnessVariables;
use self::images::{DEFAULT_IMAGE, ImagePlan, ImageVariables};
use self::load::DockerVariables;
use self::logins::RegistryVariables;
use self::metadata::MetadataVariables;
use self::outputs::OutputVariables;
use self::paths::Places;
use self::pipeline::PipelineVariables;
use self::promotion::PromotionVariables;
use self::secrets::{SecretVariables, Secrets};
use self::ssh::SshVariables;
use self::steps::StepVariables;
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
    logins::keep_secrets(&variables.registry, working_directory, &mut findings);
    let build_args = variables.build.build_args.as_deref();
    let arguments = Arguments::parse(build_args, &environment, &mut findings);
    let secrets = Secrets::parse(&variables.secrets, &environment, &mut findings);
    caches::keep_secrets(&variables.caches, &mut findings);
    proxies::keep_secrets(&environment, &mut findings);
    warn_of_near_misses(&environment, &variables, &mut findings);
    let places = Places::new(working_directory, environment.clone_dir(), &mut findings);
    let values = (arguments, secrets);
    let tags = tags::Values::new(&variables.pipeline, now);
    let plan = if variables.promotion.source_image.is_some() {
        promotion::plan(variables, &environment, &places, &tags, &mut findings)
    } else {
        let values = (values, tags);
        plan_of(variables, &environment, &places, values, &mut findings)
    };
    match plan {
        Some(mut plan) if findings.is_faultless() => {
            plan.other_secrets.extend(findings.secrets());
            Ok((plan, findings.into_warnings()))
        }
        _ => Err(findings.into_error()),
    }
}

/// Reads every part of the plan, so that all faults are found. `None` if a required part is missing.
fn plan_of(
    variables: Variables,
    environment: &Environment,
    places: &Places<'_>,
    (values, tags): ((Arguments, Secrets), tags::Values),
    findings: &mut Findings,
) -> Option<Plan> {
    let Variables {
        depot,
        build,
        secrets: _,
        ssh,
        freshness,
        steps,
        image,
        compression,
        caches,
        docker,
        registry,
        amazon,
        identity,
        outputs,
        metadata,
        exports,
        pipe,
        pipeline,
        promotion,
    } = variables;
    let working_directory = places.working_directory();
    // Before all others: keys must be masked in every message.
    let key_file = pipeline.bitbucket_ssh_key_file.as_deref();
    let ssh = ssh::read(&ssh, key_file, places, findings);
    let source = SourceAsWritten::read(&build, places, findings);
    let (context, dockerfile) = source.paths(working_directory);
    let depot = DepotPlan::read(depot, context, dockerfile, findings);
    images::check_references(environment, &image, findings);
    let destinations = images::read(&image, &tags, findings);
    let compression = compression::read(&compression, &destinations, findings);
    let daemon = destinations.load;
    let daemon = daemon.then(|| load::read(&docker, working_directory, findings));
    let (arguments, secrets) = values;
    let values = (arguments, secrets, ssh.agents);
    let no_cache = build.no_cache.as_deref();
    let build = build::read(&build, places, &source, values, findings);
    let caches = caches::read(&caches, build.as_ref(), &destinations, findings);
    let freshness = freshness::read(&freshness, no_cache, findings);
    let steps = steps::read(&steps, findings);
    let proxies = proxies_of_steps(&registry, &docker, working_directory, findings);
    let build = build.map(|build| build.with_options(freshness, steps, proxies));
    let mut withheld = withheld::secret_files(&registry, &docker, &pipe, working_directory);
    withheld.extend(ssh.files);
    let registries = registries::Variables {
        registry,
        amazon,
        identity,
    };
    let used = registries::Used {
        pushed: destinations.pushed(),
        read: None,
        caches: &caches,
    };
    let (registries, other_secrets) =
        registries::read(registries, &pipeline, &used, working_directory, findings);
    let authorities = pipe.ssl_cert_file.as_deref();
    let authorities = authorities::read(authorities, working_directory, findings);
    let proxies = proxies::read(environment, findings);
    let pipeline: Pipeline = pipeline.into();
    let image_metadata = metadata::read(&metadata, build.as_ref(), &pipeline, findings);
    let insights = outputs::read_insights(&outputs, &pipeline, findings);
    let mut outputs = outputs::read(&outputs, places, &destinations, findings);
    let sbom = image_metadata.sbom.as_ref();
    outputs.sboms = metadata::folder(&metadata, sbom, build.as_ref(), &outputs, places, findings);
    let others = (&destinations, &outputs, &image_metadata);
    let exports = exports::of_image(&exports, places, build.as_ref(), others, findings);
    let skip_if_exists =
        promotion::skip_if_exists(&promotion, &destinations, environment, findings);
    let timeout = timeout::read(pipe.timeout.as_deref(), findings);
    let debug = read_boolean("DEBUG", pipe.debug.as_deref(), findings);
    let clone = places.clone_directory().to_owned();
    withheld.extend(withheld::pipes_storage(&pipeline, &clone));
    let image = ImagePlan {
        name: DEFAULT_IMAGE.to_owned(),
        build: build?,
        metadata: image_metadata,
        destinations,
        compression,
        caches,
        exports,
    };
    withheld.extend(withheld::files_of_plan(&image, &outputs, &registries));
    Some(Plan {
        depot: Some(depot?),
        clone,
        withheld,
        images: vec![image],
        daemon,
        registries,
        authorities,
        other_secrets,
        outputs,
        insights,
        proxies,
        timeout,
        pipeline,
        debug,
        promotion: None,
        skip_if_exists,
    })
}

/// All variables as written, one struct for each topic.
struct Variables {
    depot: DepotVariables,
    build: BuildVariables,
    secrets: SecretVariables,
    ssh: SshVariables,
    freshness: FreshnessVariables,
    steps: StepVariables,
    image: ImageVariables,
    compression: CompressionVariables,
    caches: CacheVariables,
    docker: DockerVariables,
    registry: RegistryVariables,
    amazon: AmazonVariables,
    identity: IdentityVariables,
    outputs: OutputVariables,
    metadata: MetadataVariables,
    exports: ExportVariables,
    pipe: PipeVariables,
    pipeline: PipelineVariables,
    promotion: PromotionVariables,
}

impl Variables {
    fn read(environment: &Environment, findings: &mut Findings) -> Self {
        Self {
            depot: environment.variables(findings),
            build: environment.variables(findings),
            secrets: environment.variables(findings),
            ssh: environment.variables(findings),
            freshness: environment.variables(findings),
            steps: environment.variables(findings),
            image: environment.variables(findings),
            compression: environment.variables(findings),
            caches: environment.variables(findings),
            docker: environment.variables(findings),
            registry: environment.variables(findings),
            amazon: environment.variables(findings),
            identity: environment.variables(findings),
            outputs: environment.variables(findings),
            metadata: environment.variables(findings),
            exports: environment.variables(findings),
            pipe: environment.variables(findings),
            pipeline: environment.variables(findings),
            promotion: environment.variables(findings),
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
    let lists = [&variables.build.build_args, &variables.secrets.secrets];
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
