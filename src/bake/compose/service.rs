//! A service with a `build` section, as a target of bake.

use std::collections::BTreeMap;

use super::check::SERVICE_PREFIX;
use super::extension::{Bake, project_id};
use super::load::{Environment, Reader};
use super::node::{Map, Node};
use super::variables::{pairs, variables};
use crate::flags::attestation_text;
use crate::ordered::IntoOrdered;
use crate::{ComposeService, Error, Place};

/// A service with a `build` section. All such services form the group `default`, in the order of the files.
///
/// Lists of caches, outputs, secrets, SSH keys and attestations hold the text form that `flags` parses.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// The name of the target: the name of the service with `_` for each `.`.
    pub(crate) name: String,
    /// The service, for the default name of its image. Its project is set by the reader of the files.
    pub(crate) image: ComposeService,
    /// The service in its file, for errors.
    pub(crate) place: Place,
    pub(crate) context: Option<String>,
    /// `additional_contexts` and `contexts` of `x-bake`; `service:NAME` became `target:NAME`.
    pub(crate) contexts: BTreeMap<String, String>,
    pub(crate) dockerfile: Option<String>,
    pub(crate) dockerfile_inline: Option<String>,
    pub(crate) target: Option<String>,
    /// Arguments without a value got the one of `environment`, of `env_file` or of the environment, or are absent.
    pub(crate) args: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// `tags`, then the tags of `x-bake`; without any, `image`.
    pub(crate) tags: Vec<String>,
    pub(crate) platforms: Vec<String>,
    pub(crate) no_cache_filter: Vec<String>,
    /// The network mode, which may be empty.
    pub(crate) network: String,
    pub(crate) cache_from: Vec<String>,
    pub(crate) cache_to: Vec<String>,
    pub(crate) secrets: Vec<String>,
    /// Sorted by their text; sort again after the merge with `extra.ssh`.
    pub(crate) ssh: Vec<String>,
    /// Canonical: `type=sbom,…` and `type=provenance,…`.
    pub(crate) attest: Vec<String>,
    /// From `x-depot`.
    pub(crate) project_id: Option<String>,
    /// From `x-bake`.
    pub(crate) pull: Option<bool>,
    /// From `x-bake`.
    pub(crate) no_cache: Option<bool>,
    /// Lists of `x-bake` that merge with those above as the lists of two targets do.
    pub(crate) extra: Extra,
}

/// The lists of `x-bake` that merge by their content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    pub(crate) cache_from: Vec<String>,
    pub(crate) cache_to: Vec<String>,
    pub(crate) secrets: Vec<String>,
    pub(crate) ssh: Vec<String>,
    pub(crate) outputs: Vec<String>,
}

/// Reads the variables of all services, which fails if one of their files is missing or invalid.
pub(crate) fn check_variables(
    model: &Node,
    environment: &Environment<'_>,
    reader: &Reader<'_>,
) -> Result<(), Error> {
    let services = model.get("services").and_then(Node::as_map);
    for node in services.into_iter().flat_map(Map::values) {
        reader.budget.step()?;
        variables(node, environment, reader)?;
    }
    Ok(())
}

/// The services of a model that are built.
pub(crate) fn services(
    model: &Node,
    environment: &Environment<'_>,
    reader: &Reader<'_>,
) -> Result<Vec<Service>, Error> {
    let empty = Map::new();
    let services = model
        .get("services")
        .and_then(Node::as_map)
        .unwrap_or(&empty);
    let mut targets = Vec::new();
    for (name, node) in services {
        reader.budget.step()?;
        let variables = variables(node, environment, reader)?;
        let Some(section) = node.get("build").filter(|section| !section.is_null()) else {
            continue;
        };
        let context = Context {
            model,
            services,
            name,
            node,
            build: section,
        };
        targets.push(context.service(|argument| {
            variables
                .get(argument)
                .cloned()
                .flatten()
                .or_else(|| environment.get(argument))
        })?);
    }
    Ok(targets)
}

struct Context<'a> {
    model: &'a Node,
    services: &'a Map,
    name: &'a str,
    node: &'a Node,
    build: &'a Node,
}

impl Context<'_> {
    fn service(&self, lookup: impl Fn(&str) -> Option<String>) -> Result<Service, Error> {
        let build = self.build;
        let args = pairs(build.get("args"))?.into_iter();
        let args = args.filter_map(|(name, value)| {
            let value = value.or_else(|| lookup(&name))?;
            Some((name, value))
        });
        let labels = pairs(build.get("labels"))?.into_iter();
        let bake = Bake::of(build.get("x-bake"))?;
        let mut service = Service {
            name: self.name.replace('.', "_"),
            image: ComposeService {
                name: self.name.to_owned(),
                project: None,
            },
            place: self.node.place.clone(),
            context: text(build, "context")?,
            contexts: self.contexts(),
            dockerfile: text(build, "dockerfile")?,
            dockerfile_inline: text(build, "dockerfile_inline")?,
            target: text(build, "target")?,
            args: args.into_ordered(),
            labels: labels
                .map(|(name, value)| (name, value.unwrap_or_default()))
                .into_ordered(),
            tags: joined(texts(build, "tags")?, bake.tags),
            platforms: joined(texts(build, "platforms")?, bake.platforms),
            no_cache_filter: joined(texts(build, "no_cache_filter")?, bake.no_cache_filter),
            network: text(build, "network")?.unwrap_or_default(),
            cache_from: texts(build, "cache_from")?,
            cache_to: texts(build, "cache_to")?,
            secrets: self.secrets()?,
            ssh: self.ssh(),
            attest: attestations(build)?,
            project_id: project_id(build.get("x-depot"))?,
            pull: bake.pull,
            no_cache: bake.no_cache,
            extra: bake.extra,
        };
        for (name, context) in bake.contexts {
            service.contexts.entry(name).or_insert(context);
        }
        if service.tags.is_empty() {
            service.tags.extend(text(self.node, "image")?);
        }
        Ok(service)
    }

    fn contexts(&self) -> BTreeMap<String, String> {
        let contexts = self.build.get("additional_contexts").and_then(Node::as_map);
        let contexts = contexts.into_iter().flatten().map(|(name, node)| {
            let value = if node.is_null() {
                String::new()
            } else {
                node.to_string()
            };
            let target = value.strip_prefix(SERVICE_PREFIX).filter(|service| {
                self.services
                    .get(*service)
                    .is_some_and(|service| service.get("build").is_some())
            });
            let value = match target {
                Some(service) => format!("target:{}", service.replace('.', "_")),
                None => value,
            };
            (name.clone(), value)
        });
        contexts.into_ordered()
    }

    fn secrets(&self) -> Result<Vec<String>, Error> {
        let mut secrets = Vec::new();
        for mount in self
            .build
            .get("secrets")
            .and_then(Node::as_list)
            .into_iter()
            .flatten()
        {
            let id = mount.get("source").map(Node::to_string).unwrap_or_default();
            let secret = self
                .model
                .get("secrets")
                .and_then(|secrets| secrets.get(&id));
            let attribute = |name: &str| {
                secret
                    .and_then(|secret| secret.get(name))
                    .map(Node::to_string)
            };
            if attribute("external").as_deref() == Some("true") {
                return Err(mount.error(format!(
                    "the secret `{id}` is external: write `file` or `environment` for it"
                )));
            }
            let parts = [
                ("id", Some(id)),
                ("src", attribute("file")),
                ("env", attribute("environment")),
            ];
            let fields = parts.into_iter().filter_map(|(key, value)| {
                let value = value.filter(|value| !value.is_empty())?;
                Some(quoted(format!("{key}={value}")))
            });
            secrets.push(fields.collect::<Vec<_>>().join(","));
        }
        Ok(secrets)
    }

    fn ssh(&self) -> Vec<String> {
        let keys = self
            .build
            .get("ssh")
            .and_then(Node::as_map)
            .into_iter()
            .flatten();
        let mut keys: Vec<String> = keys
            .map(|(id, path)| {
                let path = if path.is_null() {
                    String::new()
                } else {
                    path.to_string()
                };
                if path.is_empty() {
                    id.clone()
                } else {
                    format!("{id}={path}")
                }
            })
            .collect();
        keys.sort();
        keys
    }
}

/// A text attribute; an empty one is absent.
fn text(node: &Node, attribute: &str) -> Result<Option<String>, Error> {
    let Some(node) = node.get(attribute).filter(|node| !node.is_null()) else {
        return Ok(None);
    };
    match node.as_text() {
        Some(text) => Ok((!text.is_empty()).then(|| text.to_owned())),
        None => Err(node.error(format!(
            "`{attribute}` must be text, not {}: quote it",
            node.kind()
        ))),
    }
}

/// A text or a list of texts.
fn texts(node: &Node, attribute: &str) -> Result<Vec<String>, Error> {
    let Some(node) = node.get(attribute) else {
        return Ok(Vec::new());
    };
    let list = node.as_list().unwrap_or(std::slice::from_ref(node));
    let text = |node: &Node| {
        let text = node.as_text().map(str::to_owned);
        text.ok_or_else(|| {
            node.error(format!(
                "`{attribute}` must be text, not {}: quote it",
                node.kind()
            ))
        })
    };
    list.iter().map(text).collect()
}

fn attestations(build: &Node) -> Result<Vec<String>, Error> {
    let mut attestations = Vec::new();
    for kind in ["sbom", "provenance"] {
        if let Some(value) = text(build, kind)? {
            attestations.push(attestation_text(kind, &value));
        }
    }
    Ok(attestations)
}

/// Two lists as one; with items in the second, each text is kept once.
fn joined(mut list: Vec<String>, more: Vec<String>) -> Vec<String> {
    if !more.is_empty() {
        list.extend(more);
        let mut known = std::collections::BTreeSet::new();
        list.retain(|text| known.insert(text.clone()));
    }
    list
}

/// A field of CSV.
fn quoted(field: String) -> String {
    if field.contains([',', '"', '\n', '\r']) || field.starts_with(' ') {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}
