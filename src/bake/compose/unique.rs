//! Removes what a later item of a list replaces: `A=1` and then `A=2`, or two volumes at one path.

use std::collections::BTreeMap;

use super::node::{Data, Node, matches_text};
use super::volume;
use crate::Error;
use crate::budget::Budget;

/// The key of an item.
#[derive(Clone, Copy)]
enum Key {
    /// The part before `=`.
    Name,
    /// The path in the container.
    Volume,
    Device,
    /// The target, else the source below this folder.
    Mount(&'static str),
    EnvFile,
    /// The item itself.
    Value,
    Port,
}

const KEYS: &[(&str, Key)] = &[
    ("networks.*.labels", Key::Name),
    ("networks.*.ipam.options", Key::Name),
    ("services.*.annotations", Key::Name),
    ("services.*.build.args", Key::Name),
    ("services.*.build.additional_contexts", Key::Name),
    ("services.*.build.tags", Key::Name),
    ("services.*.build.labels", Key::Name),
    ("services.*.cap_add", Key::Name),
    ("services.*.cap_drop", Key::Name),
    ("services.*.configs", Key::Mount("")),
    ("services.*.deploy.labels", Key::Name),
    ("services.*.devices", Key::Device),
    ("services.*.dns", Key::Name),
    ("services.*.dns_opt", Key::Name),
    ("services.*.dns_search", Key::Name),
    ("services.*.env_file", Key::EnvFile),
    ("services.*.environment", Key::Name),
    ("services.*.expose", Key::Value),
    ("services.*.labels", Key::Name),
    ("services.*.links", Key::Name),
    ("services.*.networks.*.aliases", Key::Name),
    ("services.*.networks.*.link_local_ips", Key::Name),
    ("services.*.ports", Key::Port),
    ("services.*.profiles", Key::Name),
    ("services.*.secrets", Key::Mount("/run/secrets")),
    ("services.*.sysctls", Key::Name),
    ("services.*.tmpfs", Key::Name),
    ("services.*.volumes", Key::Volume),
];

/// Keeps the last of all items with one key, at the place of the first.
pub(crate) fn unique(node: &mut Node, path: &[&str], budget: &Budget) -> Result<(), Error> {
    budget.step()?;
    match &mut node.data {
        Data::Map(map) => {
            for (key, node) in map {
                let inner: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                budget.deeper(|| unique(node, &inner, budget))?;
            }
        }
        Data::List(list) => {
            let found = KEYS.iter().find(|(pattern, _)| matches_text(path, pattern));
            if let Some((_, key)) = found {
                let mut known = BTreeMap::new();
                let mut kept: Vec<Node> = Vec::new();
                for node in std::mem::take(list) {
                    budget.step()?;
                    let key = key.of(&node, path)?;
                    match known
                        .get(&key)
                        .and_then(|index: &usize| kept.get_mut(*index))
                    {
                        Some(slot) => *slot = node,
                        None => {
                            known.insert(key, kept.len());
                            kept.push(node);
                        }
                    }
                }
                *list = kept;
            }
        }
        _ => {}
    }
    Ok(())
}

impl Key {
    fn of(self, node: &Node, path: &[&str]) -> Result<String, Error> {
        let unexpected = || {
            Err(node.error(format!(
                "`{}` has an item that is {}",
                path.join("."),
                node.kind()
            )))
        };
        let attribute = |name: &str| node.get(name).map(Node::to_string);
        let missing = |name: &str| {
            node.error(format!(
                "an item of `{}` needs the attribute `{name}`",
                path.join(".")
            ))
        };
        match (self, &node.data) {
            (Self::Name, Data::Text(text)) => Ok(text
                .split_once('=')
                .map_or(text.as_str(), |(name, _)| name)
                .to_owned()),
            (Self::Volume, Data::Text(text)) => volume::parse(text)
                .map(|volume| volume.target)
                .map_err(|message| node.error(message)),
            (Self::Device, Data::Text(text)) => {
                let mut parts = text.split(':');
                let source = parts.next().unwrap_or_default();
                Ok(parts.next().unwrap_or(source).to_owned())
            }
            (Self::Volume | Self::Device, Data::Map(_)) => {
                attribute("target").ok_or_else(|| missing("target"))
            }
            (Self::Mount(folder), Data::Text(text)) => Ok(format!("{folder}/{text}")),
            (Self::Mount(folder), Data::Map(_)) => Ok(attribute("target").unwrap_or_else(|| {
                format!("{folder}/{}", attribute("source").unwrap_or_default())
            })),
            (Self::EnvFile, Data::Map(_)) => attribute("path").ok_or_else(|| missing("path")),
            (Self::Port, Data::Map(_)) => {
                let target = attribute("target").ok_or_else(|| missing("target"))?;
                let [published, host, protocol] =
                    ["published", "host_ip", "protocol"].map(attribute);
                Ok(format!(
                    "{}:{}:{target}/{}",
                    host.unwrap_or_else(|| "0.0.0.0".into()),
                    published.unwrap_or_default(),
                    protocol.unwrap_or_else(|| "tcp".into()),
                ))
            }
            (Self::EnvFile | Self::Value | Self::Port, Data::Text(_) | Data::Integer(_)) => {
                Ok(node.to_string())
            }
            (Self::Volume | Self::Device | Self::EnvFile | Self::Port, _) => Ok(String::new()),
            (Self::Name | Self::Mount(_) | Self::Value, _) => unexpected(),
        }
    }
}
