//! `x-bake` and `x-depot`: attributes that compose itself does not have. Unknown ones are ignored.

use std::collections::BTreeMap;

use super::node::{Data, Node};
use super::service::Extra;
use crate::Error;
use crate::ordered::IntoOrdered;

/// The content of `x-bake`.
#[derive(Default)]
pub(crate) struct Bake {
    pub(crate) tags: Vec<String>,
    pub(crate) platforms: Vec<String>,
    pub(crate) no_cache_filter: Vec<String>,
    pub(crate) contexts: BTreeMap<String, String>,
    pub(crate) pull: Option<bool>,
    pub(crate) no_cache: Option<bool>,
    pub(crate) extra: Extra,
}

impl Bake {
    pub(crate) fn of(node: Option<&Node>) -> Result<Self, Error> {
        let mut bake = Self::default();
        let Some(node) = node.filter(|node| !node.is_null()) else {
            return Ok(bake);
        };
        let map = node.as_map();
        let map = map.ok_or_else(|| {
            node.error(format!("`x-bake` must be a mapping, not {}", node.kind()))
        })?;
        for (name, node) in map.iter().filter(|(_, node)| !node.is_null()) {
            match name.as_str() {
                "tags" => bake.tags = texts(name, node)?,
                "cache-from" => bake.extra.cache_from = texts(name, node)?,
                "cache-to" => bake.extra.cache_to = texts(name, node)?,
                "secret" => bake.extra.secrets = texts(name, node)?,
                "ssh" => bake.extra.ssh = texts(name, node)?,
                "platforms" => bake.platforms = texts(name, node)?,
                "output" => bake.extra.outputs = texts(name, node)?,
                "pull" => bake.pull = Some(boolean(name, node)?),
                "no-cache" => bake.no_cache = Some(boolean(name, node)?),
                "no-cache-filter" => bake.no_cache_filter = texts(name, node)?,
                "contexts" => bake.contexts = contexts(name, node)?,
                _ => {}
            }
        }
        Ok(bake)
    }
}

/// The Depot project of `x-depot`.
pub(crate) fn project_id(node: Option<&Node>) -> Result<Option<String>, Error> {
    let Some(node) = node.filter(|node| !node.is_null()) else {
        return Ok(None);
    };
    if node.as_map().is_none() {
        return Err(node.error(format!("`x-depot` must be a mapping, not {}", node.kind())));
    }
    match node.get("project-id").filter(|id| !id.is_null()) {
        Some(id) => Ok(Some(scalar("x-depot.project-id", id)?).filter(|id| !id.is_empty())),
        None => Ok(None),
    }
}

/// A list of texts, or texts with spaces between them.
fn texts(name: &str, node: &Node) -> Result<Vec<String>, Error> {
    match node.as_list() {
        Some(list) => list.iter().map(|node| scalar(name, node)).collect(),
        None => Ok(scalar(name, node)?
            .split_whitespace()
            .map(str::to_owned)
            .collect()),
    }
}

fn contexts(name: &str, node: &Node) -> Result<BTreeMap<String, String>, Error> {
    let map = node.as_map();
    let map = map.ok_or_else(|| {
        node.error(format!(
            "`x-bake.{name}` must be a mapping, not {}",
            node.kind()
        ))
    })?;
    map.iter()
        .map(|(key, node)| Ok((key.clone(), scalar(name, node)?)))
        .try_into_ordered()
}

fn scalar(name: &str, node: &Node) -> Result<String, Error> {
    match &node.data {
        Data::Null => Ok(String::new()),
        Data::List(_) | Data::Map(_) => {
            Err(node.error(format!("`{name}` must be text, not {}", node.kind())))
        }
        _ => Ok(node.to_string()),
    }
}

fn boolean(name: &str, node: &Node) -> Result<bool, Error> {
    match &node.data {
        Data::Bool(value) => Ok(*value),
        Data::Text(text) if matches!(text.as_str(), "y" | "Y" | "yes" | "on") => Ok(true),
        Data::Text(text) if matches!(text.as_str(), "n" | "N" | "no" | "off") => Ok(false),
        _ => Err(node.error(format!(
            "`x-bake.{name}` must be true or false, not {}",
            node.kind()
        ))),
    }
}
