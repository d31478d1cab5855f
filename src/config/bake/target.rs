//! The variables of a target, as if it were the only image of a run.

use std::collections::BTreeMap;
use std::path::Path;

use depot_bake::{Attestation, Cache, Export, Secret, Ssh, Target};

use super::definition::Bake;
use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::values::{ENTRY_MARK, boolean};

/// The attribute of a target for each variable. Faults name the attribute.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("ADD_HOSTS", "extra-hosts"),
    ("ALLOW", "entitlements"),
    ("ANNOTATIONS", "annotations"),
    ("BUILD_ARGS", "args"),
    ("BUILD_CONTEXTS", "contexts"),
    ("CACHE_FROM", "cache-from"),
    ("CACHE_TO", "cache-to"),
    ("COMPRESSION", "output"),
    ("COMPRESSION_LEVEL", "output"),
    ("CONTEXT", "context"),
    ("DOCKERFILE", "dockerfile"),
    ("IMAGE", "tags"),
    ("LABELS", "labels"),
    ("NETWORK", "network"),
    ("NO_CACHE", "no-cache"),
    ("NO_CACHE_FILTER", "no-cache-filter"),
    ("OUTPUTS", "output"),
    ("PLATFORMS", "platforms"),
    ("PROVENANCE", "attest"),
    ("PULL", "pull"),
    ("SBOM", "attest"),
    ("SECRETS", "secret"),
    ("SECRET_FILES", "secret"),
    ("SHM_SIZE", "shm-size"),
    ("SSH", "ssh"),
    ("TARGET", "target"),
    ("ULIMITS", "ulimits"),
];

/// The attribute for a variable.
pub(in super::super) fn attribute(variable: &str) -> Option<&'static str> {
    let mut attributes = ATTRIBUTES.iter();
    attributes.find_map(|(known, attribute)| (*known == variable).then_some(*attribute))
}

/// Variables of the run that are for all targets. The others are applied by the definition, or are for the run itself.
const SHARED: &[&str] = &[
    "BUILD_PLATFORM",
    "COMPRESSION",
    "COMPRESSION_LEVEL",
    "CONTEXT_TIMES",
    "GIT_AUTH_TOKEN",
    "OCI_LABELS",
    "SAVE",
    "SAVE_TAGS",
    "SBOM_DIR",
    "SOURCE_DATE_EPOCH",
];

/// Those of [`SHARED`] that have a meaning for a target that is only an input of others.
const OF_INPUTS: &[&str] = &[
    "BUILD_PLATFORM",
    "CONTEXT_TIMES",
    "GIT_AUTH_TOKEN",
    "SOURCE_DATE_EPOCH",
];

/// Variables whose texts are split at commas and white space. The entries of an attribute are not.
const WORDS: &[&str] = &["ALLOW", "IMAGE", "NO_CACHE_FILTER", "ULIMITS"];

/// A target as variables.
pub(in super::super) struct Named {
    pub(in super::super) name: String,
    pub(in super::super) environment: Environment,
    /// The text of the Dockerfile, if it is in the definition.
    pub(in super::super) inline: Option<String>,
    /// The named contexts that are the results of other targets: name and target.
    pub(in super::super) links: Vec<(String, String)>,
    /// Whether the target is only an input of others.
    pub(in super::super) is_linked: bool,
    /// Problems of attributes that have no variable.
    pub(in super::super) faults: Vec<Fault>,
}

/// The variables of every target. Those of the run that are for all targets are among them.
pub(in super::super) fn described(bake: &Bake, environment: &Environment) -> Vec<Named> {
    let targets = bake.definition.targets.values();
    targets
        .map(|target| {
            let mut translation = Translation {
                target,
                directory: &bake.directory,
                environment,
                set: BTreeMap::new(),
                links: Vec::new(),
                faults: Vec::new(),
            };
            translation.translate();
            let shared = if target.linked { OF_INPUTS } else { SHARED };
            Named {
                name: target.name.clone(),
                environment: environment.of_target(shared, translation.set),
                inline: target.dockerfile_inline.clone(),
                links: translation.links,
                is_linked: target.linked,
                faults: translation.faults,
            }
        })
        .collect()
}

struct Translation<'a> {
    target: &'a Target,
    /// The name of the directory of the first file.
    directory: &'a str,
    environment: &'a Environment,
    set: BTreeMap<&'static str, String>,
    links: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl Translation<'_> {
    fn translate(&mut self) {
        let target = self.target;
        self.source();
        self.text("TARGET", target.target.as_deref());
        self.text("NETWORK", target.network.as_deref());
        self.text("SHM_SIZE", target.shm_size.as_deref());
        self.flag("NO_CACHE", target.no_cache);
        self.flag("PULL", target.pull);
        self.pairs("BUILD_ARGS", target.args.as_ref());
        self.pairs("LABELS", target.labels.as_ref());
        self.contexts();
        self.list("IMAGE", target.tags.as_ref());
        self.list("PLATFORMS", target.platforms.as_ref());
        self.list("NO_CACHE_FILTER", target.no_cache_filter.as_ref());
        self.list("ANNOTATIONS", target.extra.annotations.as_ref());
        self.list("ULIMITS", target.extra.ulimits.as_ref());
        self.list("ALLOW", target.extra.entitlements.as_ref());
        let hosts = target.extra.extra_hosts.iter().flatten();
        let hosts =
            hosts.filter_map(|(name, address)| Some(format!("{name}={}", address.as_ref()?)));
        self.array("ADD_HOSTS", &hosts.collect::<Vec<_>>());
        let caches = |list: &Option<Vec<Cache>>| -> Vec<String> {
            list.iter().flatten().map(Cache::to_string).collect()
        };
        self.array("CACHE_FROM", &caches(&target.cache_from));
        self.array("CACHE_TO", &caches(&target.cache_to));
        self.secrets();
        self.ssh();
        self.attestations();
        // Explicit, because a target without an output is not pushed on purpose.
        self.set.insert("PUSH", "false".to_owned());
        let load = self.environment.value_of("LOAD");
        let is_loaded = load.and_then(boolean) == Some(true);
        if is_loaded && !target.linked {
            self.set.insert("LOAD", "true".to_owned());
        }
        self.outputs();
        self.default_name();
        if !target.project_id.is_empty() {
            self.set
                .insert("DEPOT_PROJECT_ID", target.project_id.clone());
        }
    }

    /// The image of a service without a name has that of compose in the daemon. No registry has such a repository.
    fn default_name(&mut self) {
        let is_true = |variable| self.set.get(variable).is_some_and(|value| value == "true");
        if let Some(service) = &self.target.extra.service
            && is_true("LOAD")
            && !is_true("PUSH")
            && !self.set.contains_key("IMAGE")
        {
            let name = service.image(self.directory);
            self.list("IMAGE", Some(&vec![name]));
        }
    }

    fn fault(&mut self, attribute: &str, problem: impl Into<String>, advice: &str) {
        let place = place(&self.target.name, attribute);
        self.faults.push(Fault::new(place, problem, advice));
    }

    /// Sets a variable. No variable can contain a zero byte.
    fn set(&mut self, variable: &'static str, value: String, entries: &[String]) {
        let texts = || entries.iter().chain(entries.is_empty().then_some(&value));
        let attribute = attribute(variable).unwrap_or(variable);
        if texts().any(|text| text.contains(ENTRY_MARK)) {
            self.fault(attribute, "contains a zero byte", "remove it");
            return;
        }
        let is_space = |character: char| character == ',' || character.is_whitespace();
        if WORDS.contains(&variable) && texts().any(|text| text.contains(is_space)) {
            self.fault(
                attribute,
                "has an entry with white space or a comma",
                "write each as an entry of its own",
            );
        }
        self.set.insert(variable, value);
    }

    fn text(&mut self, variable: &'static str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.set(variable, value.to_owned(), &[]);
        }
    }

    fn flag(&mut self, variable: &'static str, value: Option<bool>) {
        if value == Some(true) {
            self.set.insert(variable, "true".to_owned());
        } else {
            self.set.remove(variable);
        }
    }

    fn array(&mut self, variable: &'static str, entries: &[String]) {
        if entries.is_empty() {
            return;
        }
        let text = entries
            .iter()
            .flat_map(|entry| [ENTRY_MARK.to_string(), entry.clone()]);
        self.set(variable, text.collect(), entries);
    }

    fn list(&mut self, variable: &'static str, entries: Option<&Vec<String>>) {
        self.array(variable, entries.map_or(&[], Vec::as_slice));
    }

    fn pairs(&mut self, variable: &'static str, pairs: Option<&BTreeMap<String, Option<String>>>) {
        let pairs = pairs.into_iter().flatten();
        let pairs = pairs.filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        self.array(variable, &pairs.collect::<Vec<_>>());
    }

    /// The context, and the Dockerfile, whose path is relative to the context.
    fn source(&mut self) {
        let context = self.target.context.as_deref().unwrap_or(".");
        let context = context.strip_prefix("cwd://").unwrap_or(context);
        let context = if context.is_empty() { "." } else { context };
        let is_address = crate::config::git_context::is_address(context);
        self.text("CONTEXT", Some(context));
        if self.target.dockerfile_inline.is_some() {
            return;
        }
        let dockerfile = self.target.dockerfile.as_deref().unwrap_or("Dockerfile");
        let path = if is_address {
            dockerfile.to_owned()
        } else {
            let path = Path::new(context).join(dockerfile);
            path.display().to_string()
        };
        // The default of the pipe also finds `dockerfile` in lower case.
        if dockerfile != "Dockerfile" {
            self.text("DOCKERFILE", Some(&path));
        }
    }

    fn contexts(&mut self) {
        let contexts = self.target.contexts.iter().flatten();
        let mut entries = Vec::new();
        for (name, value) in contexts {
            if let Some(other) = value.strip_prefix("target:") {
                self.links.push((name.clone(), other.to_owned()));
                continue;
            }
            let value = value.strip_prefix("cwd://").unwrap_or(value);
            entries.push(format!("{name}={value}"));
        }
        self.array("BUILD_CONTEXTS", &entries);
    }

    /// Values from the variables of the pipe, and files.
    fn secrets(&mut self) {
        let (mut values, mut files) = (Vec::new(), Vec::new());
        for Secret { id, path, variable } in self.target.secrets.iter().flatten() {
            let lookup = |name: &str| self.environment.lookup(name)?.to_str().map(str::to_owned);
            // Without both, the id is the name of a variable if one is set, else a path.
            let value = match (path.is_empty(), variable.is_empty()) {
                (_, false) => Some(lookup(variable)),
                (true, true) => lookup(id).map(Some),
                (false, true) => None,
            };
            match value {
                Some(Some(value)) => values.push(format!("{id}={value}")),
                Some(None) => {
                    let problem = format!(
                        "the secret `{id}` is in the variable {variable}, which the pipe does not have"
                    );
                    let advice =
                        format!("add `{variable}: ${variable}` to the pipe's `variables:`");
                    self.fault("secret", problem, &advice);
                }
                None if path.is_empty() => files.push(format!("{id}={id}")),
                None => files.push(format!("{id}={path}")),
            }
        }
        self.array("SECRETS", &values);
        self.array("SECRET_FILES", &files);
    }

    fn ssh(&mut self) {
        let keys = self.target.ssh.iter().flatten();
        let mut entries = Vec::new();
        for Ssh { id, paths } in keys {
            match (&paths[..], id.as_str()) {
                ([], "" | "default") => entries.push("true".to_owned()),
                ([], id) => {
                    let problem = format!(
                        "the id `{id}` has no key; only `default` can be the step's own key"
                    );
                    self.fault("ssh", problem, "write `ID=PATH`");
                }
                (paths, id) => entries.push(format!("{id}={}", paths.join(","))),
            }
        }
        self.array("SSH", &entries);
    }

    fn attestations(&mut self) {
        for attestation in self.target.attest.iter().flatten() {
            let Attestation {
                kind,
                disabled,
                attributes,
            } = attestation;
            let variable = match kind.as_str() {
                "provenance" => "PROVENANCE",
                "sbom" => "SBOM",
                _ => {
                    let problem = format!("the type `{kind}` is unknown");
                    self.fault("attest", problem, "write `type=provenance` or `type=sbom`");
                    continue;
                }
            };
            let value = match (disabled, attributes.is_empty()) {
                (true, _) => "false".to_owned(),
                (false, true) => "true".to_owned(),
                (false, false) => {
                    let text = attestation.to_string();
                    let parameters = text.split_once(',').map(|(_, parameters)| parameters);
                    parameters.unwrap_or_default().to_owned()
                }
            };
            self.set.insert(variable, value);
        }
    }

    fn outputs(&mut self) {
        let mut files = Vec::new();
        for export in self.target.outputs.iter().flatten() {
            let Export {
                kind,
                destination,
                attributes,
            } = export;
            match (kind.as_str(), destination.is_empty()) {
                ("image" | "registry", true) => self.image(kind, attributes),
                ("docker", true) => {
                    self.set.insert("LOAD", "true".to_owned());
                }
                ("cacheonly", _) => {
                    self.set.remove("LOAD");
                }
                _ => files.push(export.to_string()),
            }
        }
        self.array("OUTPUTS", &files);
    }

    /// An output to registries.
    fn image(&mut self, kind: &str, attributes: &BTreeMap<String, String>) {
        let mut is_pushed = kind == "registry";
        let mut annotations = self.target.extra.annotations.clone().unwrap_or_default();
        for (name, value) in attributes {
            match name.as_str() {
                "push" => is_pushed = value != "false",
                "name" => {
                    let names: Vec<String> = value.split(',').map(str::to_owned).collect();
                    self.array("IMAGE", &names);
                }
                "compression" => {
                    self.set.insert("COMPRESSION", value.clone());
                }
                "compression-level" => {
                    self.set.insert("COMPRESSION_LEVEL", value.clone());
                }
                // The pipe chooses these.
                "force-compression" | "oci-mediatypes" | "name-canonical" | "unpack" | "store" => {}
                _ if name.starts_with("annotation.") => {
                    let name = name.trim_start_matches("annotation.");
                    annotations.push(format!("{name}={value}"));
                }
                _ => {
                    let problem =
                        format!("the attribute `{name}` of `type={kind}` is not supported");
                    self.fault("output", problem, "remove it");
                }
            }
        }
        self.array("ANNOTATIONS", &annotations);
        self.set.insert("PUSH", is_pushed.to_string());
    }
}

/// The place of an attribute in messages.
pub(in super::super) fn place(target: &str, attribute: &str) -> String {
    format!("target `{target}`: {attribute}")
}
