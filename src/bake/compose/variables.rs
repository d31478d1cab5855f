//! The variables of a service, for its build arguments without a value.

use std::collections::BTreeMap;

use super::interpolate::boolean;
use super::load::{Environment, Reader, read_variables};
use super::node::{Data, Node};
use crate::Error;
use crate::ordered::IntoOrdered;

/// The variables of a service: `environment`, then those of `env_file`.
pub(crate) fn variables(
    service: &Node,
    environment: &Environment<'_>,
    reader: &Reader<'_>,
) -> Result<BTreeMap<String, Option<String>>, Error> {
    let mut own = pairs(service.get("environment"))?;
    for (name, value) in &mut own {
        if value.is_none() {
            *value = environment.get(name);
        }
    }
    let set = own
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    let mut all: BTreeMap<String, String> = set.into_ordered();
    for file in service
        .get("env_file")
        .and_then(Node::as_list)
        .into_iter()
        .flatten()
    {
        let Some(path) = file.get("path").and_then(Node::as_text) else {
            continue;
        };
        let format = file
            .get("format")
            .and_then(Node::as_text)
            .unwrap_or_default();
        if !matches!(format, "" | ".env") {
            return Err(file.error(format!("`{format}` is not a format of `env_file`")));
        }
        let is_required = match file.get("required").map(|node| &node.data) {
            Some(Data::Bool(value)) => *value,
            Some(Data::Text(text)) => boolean(text).ok_or_else(|| {
                file.error(format!("`required` must be true or false, not `{text}`"))
            })?,
            _ => true,
        };
        let outside = |name: &str| {
            environment
                .get(name)
                .or_else(|| own.get(name).cloned().flatten())
        };
        if is_required || reader.text(path)?.is_some() {
            read_variables(reader, path, &mut all, &outside)
                .map_err(|error| error.or_at(|| file.place.clone()))?;
        }
    }
    for file in service
        .get("label_file")
        .and_then(Node::as_list)
        .into_iter()
        .flatten()
    {
        let mut labels = BTreeMap::new();
        read_variables(reader, &file.to_string(), &mut labels, &|_| None)
            .map_err(|error| error.or_at(|| file.place.clone()))?;
    }
    let mut all: BTreeMap<String, Option<String>> = all
        .into_iter()
        .map(|(name, value)| (name, Some(value)))
        .into_ordered();
    all.extend(own);
    Ok(all)
}

/// `KEY=VALUE` items or a mapping; a key without a value has none.
pub(crate) fn pairs(node: Option<&Node>) -> Result<BTreeMap<String, Option<String>>, Error> {
    let mut pairs = BTreeMap::new();
    let Some(node) = node else {
        return Ok(pairs);
    };
    for (key, value) in node.as_map().into_iter().flatten() {
        pairs.insert(key.clone(), (!value.is_null()).then(|| value.to_string()));
    }
    for item in node.as_list().into_iter().flatten() {
        let text = item.to_string();
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text.as_str(), None),
        };
        if key.ends_with(char::is_whitespace) {
            return Err(item.error(format!("the name `{key}` ends with a space")));
        }
        pairs.insert(key.to_owned(), value);
    }
    Ok(pairs)
}
