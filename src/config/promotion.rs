//! An image that exists already and is copied instead of built: `SOURCE_IMAGE`.

#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter};

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::environment::Environment;
use super::fault::Fault;
use super::findings::Findings;
use super::image::Described;
use super::images::{self, Destinations, ImageVariables};
use super::outputs;
use super::paths::Places;
use super::table::all_variables;
use super::tags;
use super::values::{boolean, words};
use super::{
    Plan, RunVariables, Variables, authorities, depot, load, proxies, read_boolean, registries,
    timeout,
};
use crate::bitbucket::Pipeline;
use crate::registry::reference::Reference;

/// The variables of an image that exists already.
#[derive(Default, Deserialize)]
pub(super) struct PromotionVariables {
    pub(super) source_image: Option<String>,
    pub(super) skip_if_exists: Option<String>,
}

/// An image to copy.
#[derive(Debug, Clone)]
pub(crate) struct PromotionPlan {
    /// The image.
    pub(crate) source: PromotionSource,
    /// Where it is copied to. Never saved.
    pub(crate) destinations: Destinations,
    /// The token of Depot, if it is set. It is a login for Depot's registries.
    pub(crate) token: Option<SecretString>,
}

/// The place of an image to copy.
#[derive(Debug, Clone)]
pub(crate) enum PromotionSource {
    /// In a registry.
    Image(Reference),
    /// In Depot's registry.
    Build(SavedBuild),
}

impl Display for PromotionSource {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(reference) => reference.fmt(formatter),
            Self::Build(build) => write!(formatter, "{BUILD_PREFIX}{}", build.id),
        }
    }
}

/// A build whose image Depot keeps.
#[derive(Debug, Clone)]
pub(crate) struct SavedBuild {
    /// Its id. Letters, digits, `-` and `_`.
    pub(crate) id: String,
    /// The token for Depot's API.
    pub(crate) token: SecretString,
    /// The address of Depot's API; ends in `/`.
    pub(crate) api_url: Url,
}

const VARIABLE: &str = "SOURCE_IMAGE";
const SKIP: &str = "SKIP_IF_EXISTS";

/// The prefix of the id of a build.
const BUILD_PREFIX: &str = "depot:";

/// The longest id of a build.
const ID_MAX_CHARACTERS: usize = 128;

const ADVICE: &str = "write the name of one image, such as `acme/app@sha256:…` or `acme/app:1.0`, or `depot:BUILD_ID` for a \
                      build that was saved";

/// Variables that describe a build, or destinations that only a build has. Those that `pipe.yml` takes from the repository are
/// not among them: they may be meant for other steps.
const OF_BUILDS: &[&str] = &[
    "SKIP_IF_EXISTS",
    "SAVE",
    "SAVE_TAGS",
    "COMPRESSION",
    "COMPRESSION_LEVEL",
    "CONTEXT",
    "DOCKERFILE",
    "TARGET",
    "BUILD_ARGS",
    "BUILD_CONTEXTS",
    "CONTEXT_TIMES",
    "PLATFORMS",
    "BUILD_PLATFORM",
    "SOURCE_DATE_EPOCH",
    "SECRET_FILES",
    "SSH",
    "NO_CACHE",
    "NO_CACHE_FILTER",
    "PULL",
    "CACHE_FROM",
    "CACHE_TO",
    "NETWORK",
    "ADD_HOSTS",
    "SHM_SIZE",
    "ULIMITS",
    "CGROUP_PARENT",
    "ALLOW",
    "LABELS",
    "ANNOTATIONS",
    "OCI_LABELS",
    "PROVENANCE",
    "SBOM",
    "SBOM_DIR",
    "OUTPUTS",
    "BAKE_FILES",
    "TARGETS",
    "BAKE_SET",
    "BAKE_VARS",
    "BAKE_PRINT",
];

/// Destinations that a skipped build would not reach.
const NOT_SKIPPED: [&str; 5] = ["LOAD", "SAVE", "OUTPUTS", "SBOM_DIR", "CACHE_TO"];

/// Reads `SKIP_IF_EXISTS`. All faults are reported.
pub(super) fn skip_if_exists(
    variables: &PromotionVariables,
    is_pushed: bool,
    environment: &Environment,
    findings: &mut Findings,
) -> bool {
    let value = variables.skip_if_exists.as_deref();
    if !read_boolean(SKIP, value, findings) {
        return false;
    }
    if !is_pushed {
        findings.fault(Fault::new(
            SKIP,
            "`true`, but the image is not pushed, so there are no names to look up",
            "set `PUSH: 'true'` and IMAGE, or remove SKIP_IF_EXISTS",
        ));
    }
    let all = all_variables().filter(|variable| NOT_SKIPPED.contains(&variable.name));
    for variable in all.filter(|variable| environment.is_changed(variable)) {
        let name = variable.name;
        findings.fault(Fault::new(
            SKIP,
            format!("`true`, but {name} is set, and a skipped build does not produce its result"),
            format!("remove {name}, or remove SKIP_IF_EXISTS"),
        ));
    }
    true
}

/// Reads the plan of a run that copies an image. All faults are reported. `None` after a fault.
pub(super) fn plan(
    variables: Variables,
    environment: &Environment,
    places: &Places<'_>,
    tags: &tags::Values,
    findings: &mut Findings,
) -> Option<Plan> {
    refuse_build_variables(environment, findings);
    let Variables {
        image: Described { mut image, .. },
        run:
            RunVariables {
                promotion,
                depot,
                docker,
                registry,
                amazon,
                identity,
                outputs,
                pipe,
                pipeline,
                ..
            },
        ..
    } = variables;
    let working_directory = places.working_directory();
    let access = Access {
        is_token_set: depot.depot_token.is_some(),
        token: depot
            .depot_token
            .and_then(|token| depot::token(Some(token), findings)),
        api_url: depot.depot_api_url.as_deref(),
    };
    let source = source(promotion.source_image.as_deref(), &access, findings);
    let token = access.token;
    let destinations = destinations(&mut image, source.as_ref(), tags, findings);
    let daemon = destinations.load;
    let daemon = daemon.then(|| load::read(&docker, working_directory, findings));
    let registries = registries::Variables {
        registry,
        amazon,
        identity,
    };
    let used = registries::Used {
        pushed: destinations.pushed(),
        read: match &source {
            Some(PromotionSource::Image(reference)) => Some(reference),
            _ => None,
        },
        caches: &[],
    };
    let (registries, other_secrets) =
        registries::read(registries, &pipeline, &used, working_directory, findings);
    let pipeline = Pipeline::from(pipeline);
    let insights = outputs::read_insights(&outputs, &pipeline, findings);
    let plan = Plan {
        depot: None,
        clone: places.clone_directory().to_owned(),
        withheld: Vec::new(),
        images: Vec::new(),
        inputs: Vec::new(),
        daemon,
        registries,
        authorities: authorities::read(pipe.ssl_cert_file.as_deref(), working_directory, findings),
        other_secrets,
        outputs: outputs::read(&outputs, places, destinations.has_any(), findings),
        proxies: proxies::read(environment, findings),
        timeout: timeout::read(pipe.timeout.as_deref(), findings),
        insights,
        pipeline,
        debug: read_boolean("DEBUG", pipe.debug.as_deref(), findings),
        promotion: None,
        skip_if_exists: false,
        description: super::plan::Description::Variables,
        printed: None,
    };
    let source = source?;
    Some(Plan {
        promotion: Some(PromotionPlan {
            source,
            destinations,
            token,
        }),
        ..plan
    })
}

/// Reports every variable that only a build uses. A variable with its default is not reported: `pipe.yml` sets some.
fn refuse_build_variables(environment: &Environment, findings: &mut Findings) {
    let is_of_build = |name: &str| OF_BUILDS.contains(&name);
    for variable in all_variables().filter(|variable| is_of_build(variable.name)) {
        if environment.is_changed(variable) {
            findings.fault(Fault::new(
                variable.name,
                "set, but SOURCE_IMAGE is set too, so nothing is built",
                format!(
                    "remove {}, or remove SOURCE_IMAGE to build an image",
                    variable.name
                ),
            ));
        }
    }
}

/// Access to Depot.
struct Access<'a> {
    /// The token, if it is valid. Faults of a token that is set are reported.
    token: Option<SecretString>,
    is_token_set: bool,
    /// The address of the API as written.
    api_url: Option<&'a str>,
}

/// The image to copy. Only a saved build requires the token and the address of the API.
fn source(
    value: Option<&str>,
    access: &Access<'_>,
    findings: &mut Findings,
) -> Option<PromotionSource> {
    let value = value?.trim();
    if words(value).count() > 1 {
        let problem = format!("{} is more than one name", findings.shown(value));
        findings.fault(Fault::new(VARIABLE, problem, ADVICE));
        return None;
    }
    if let Some(id) = value.strip_prefix(BUILD_PREFIX) {
        if !access.is_token_set {
            depot::token(None, findings);
        }
        let api_url = depot::api_url(access.api_url, findings);
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if id.is_empty() || id.len() > ID_MAX_CHARACTERS || !id.bytes().all(is_part) {
            let problem = format!("{} has no valid build id", findings.shown(value));
            let advice = "write `depot:BUILD_ID`, with the id of the build, which is DEPOT_BUILD_ID in its outputs";
            findings.fault(Fault::new(VARIABLE, problem, advice));
            return None;
        }
        return Some(PromotionSource::Build(SavedBuild {
            id: id.to_owned(),
            token: access.token.clone()?,
            api_url: api_url?,
        }));
    }
    let shown = findings.shown(value);
    let (problem, advice) = match Reference::parse(value) {
        Ok(reference) if reference.host_is_bare_word() => {
            let problem = format!(
                "refers to the registry `{}`, because its first part has upper-case letters",
                reference.host()
            );
            (problem, format!("write `{}`", value.to_ascii_lowercase()))
        }
        Ok(reference)
            if reference
                .digest()
                .is_some_and(|digest| !digest.starts_with("sha256:")) =>
        {
            (
                format!("{shown} has a digest other than SHA-256"),
                ADVICE.to_owned(),
            )
        }
        Ok(reference) => return Some(PromotionSource::Image(reference)),
        Err(_) if images::contains_login(value) => (
            format!("{shown} contains a login"),
            "write the name without it, and set REGISTRY, REGISTRY_USERNAME and REGISTRY_PASSWORD"
                .into(),
        ),
        Err(error) => (
            format!("{shown} {}", findings.masked(&error.to_string())),
            ADVICE.to_owned(),
        ),
    };
    findings.fault(Fault::new(VARIABLE, problem, advice));
    None
}

/// The destinations. `SOURCE_IMAGE` implies `PUSH`.
fn destinations(
    image: &mut ImageVariables,
    source: Option<&PromotionSource>,
    tags: &tags::Values,
    findings: &mut Findings,
) -> Destinations {
    let is_loaded = image.load.as_deref().and_then(boolean) == Some(true);
    let is_pushed = image.push.as_deref().and_then(boolean);
    let has_name = image.image.is_some();
    if is_pushed == Some(false) && !is_loaded {
        findings.fault(Fault::new(
            "PUSH",
            "`false`, but SOURCE_IMAGE is neither loaded nor pushed then",
            "remove PUSH to copy the image, or set `LOAD: 'true'` to load it",
        ));
    }
    if !has_name && !is_loaded {
        findings.fault(Fault::new(
            "IMAGE",
            "not set, so SOURCE_IMAGE has no destination",
            "set IMAGE to the names of the copy, such as `acme/app:1.0`",
        ));
        image.push = None;
    } else if image.push.is_none() && has_name {
        image.push = Some("true".into());
    }
    // Reported above.
    image.save = None;
    image.save_tags = None;
    let mut destinations = images::read(image, tags, findings);
    if destinations.references.is_empty() && destinations.load && !has_name {
        match source {
            Some(PromotionSource::Image(reference)) => match own_name(reference) {
                Some(name) => destinations.references.push(name),
                None => findings.fault(Fault::new(
                    "IMAGE",
                    "not set, and SOURCE_IMAGE has no tag for the loaded image",
                    "set IMAGE to the name of the loaded image, such as `acme/app:1.0`",
                )),
            },
            Some(PromotionSource::Build(build)) => {
                let name = Reference::parse(&format!("depot-build:{}", build.id));
                destinations.references.extend(name);
            }
            None => {}
        }
    }
    destinations
}

/// The name of the source in a daemon: without its digest.
fn own_name(source: &Reference) -> Option<Reference> {
    let full = source.to_string();
    let (name, _) = full.split_once('@').unwrap_or((&full, ""));
    let name = Reference::parse(name).ok()?;
    (source.digest().is_none() || full.starts_with(&format!("{name}@"))).then_some(name)
}
