//! Variables that describe a single image, and so have no meaning beside a definition.

use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::table::all_variables;

/// The variables, each with the attribute of a target to write instead.
const OF_ONE_IMAGE: &[(&str, &str)] = &[
    ("IMAGE", "tags"),
    ("TAGS", "tags"),
    ("CONTEXT", "context"),
    ("DOCKERFILE", "dockerfile"),
    ("TARGET", "target"),
    ("BUILD_ARGS", "args.NAME"),
    ("BUILD_CONTEXTS", "contexts.NAME"),
    ("NO_CACHE_FILTER", "no-cache-filter"),
    ("CACHE_FROM", "cache-from"),
    ("CACHE_TO", "cache-to"),
    ("NETWORK", "network"),
    ("SHM_SIZE", "shm-size"),
    ("LABELS", "labels.NAME"),
    ("OUTPUTS", "output"),
];

/// The same for attributes that have no override.
const ONLY_IN_DEFINITIONS: &[(&str, &str)] = &[
    ("ADD_HOSTS", "extra-hosts"),
    ("ULIMITS", "ulimits"),
    ("ALLOW", "entitlements"),
    ("ANNOTATIONS", "annotations"),
];

/// Variables that no definition has.
const UNSUPPORTED: &[&str] = &["CGROUP_PARENT", "SOURCE_IMAGE"];

/// Reports every variable that is set and describes a single image.
pub(super) fn report(environment: &Environment, findings: &mut Findings) {
    for variable in all_variables().filter(|variable| environment.is_changed(variable)) {
        let name = variable.name;
        let attribute = |list: &[(&str, &'static str)]| {
            let mut list = list.iter();
            list.find_map(|(known, attribute)| (*known == name).then_some(*attribute))
        };
        let advice = if let Some(attribute) = attribute(OF_ONE_IMAGE) {
            format!(
                "write it in the definition, or `TARGET.{attribute}=VALUE` in BAKE_SET; `*.{attribute}=VALUE` is for all targets"
            )
        } else if let Some(attribute) = attribute(ONLY_IN_DEFINITIONS) {
            format!("write `{attribute}` in the definition")
        } else if UNSUPPORTED.contains(&name) {
            format!("remove {name}, or remove the variables of the definition")
        } else {
            continue;
        };
        let problem = "describes a single image, but the images are those of a bake definition";
        findings.fault(Fault::new(name, problem, advice));
    }
}
