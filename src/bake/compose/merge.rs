//! The merge rules of compose: for files that follow each other, for `extends` and for `include`.
//!
//! Mappings merge by key, lists are joined, and a later scalar wins. Some attributes have rules of their own.

use super::node::{Data, Map, Node, matches_text};
use crate::Error;
use crate::budget::Budget;
use crate::ordered::IntoOrdered;

/// A rule of an attribute.
#[derive(Clone, Copy)]
enum Rule {
    /// `KEY: VALUE` becomes `KEY=VALUE`, and the lists are joined.
    Join,
    /// As `Join`, without what the earlier list has.
    JoinNew,
    /// The later value wins.
    Replace,
    /// A text is the context.
    Build,
    /// A list is a mapping with an empty value for each item.
    Names,
    /// A list is a mapping with a default value for each item.
    Dependencies,
    /// Options merge if both have the same driver.
    Logging,
}

const RULES: &[(&str, Rule)] = &[
    ("networks.*.ipam.config", Rule::Replace),
    ("networks.*.labels", Rule::Join),
    ("volumes.*.labels", Rule::Join),
    ("services.*.annotations", Rule::Join),
    ("services.*.build", Rule::Build),
    ("services.*.build.args", Rule::Join),
    ("services.*.build.additional_contexts", Rule::Join),
    ("services.*.build.extra_hosts", Rule::JoinNew),
    ("services.*.build.labels", Rule::Join),
    ("services.*.command", Rule::Replace),
    ("services.*.depends_on", Rule::Dependencies),
    ("services.*.deploy.labels", Rule::Join),
    ("services.*.dns", Rule::Join),
    ("services.*.dns_opt", Rule::Join),
    ("services.*.dns_search", Rule::Join),
    ("services.*.entrypoint", Rule::Replace),
    ("services.*.env_file", Rule::Join),
    ("services.*.label_file", Rule::Join),
    ("services.*.environment", Rule::Join),
    ("services.*.extra_hosts", Rule::JoinNew),
    ("services.*.healthcheck.test", Rule::Replace),
    ("services.*.labels", Rule::Join),
    ("services.*.logging", Rule::Logging),
    ("services.*.models", Rule::Names),
    ("services.*.networks", Rule::Names),
    ("services.*.sysctls", Rule::Join),
    ("services.*.tmpfs", Rule::Join),
    ("services.*.ulimits.*", Rule::Replace),
];

/// Merges `later` over `earlier`; `path` is the one of both.
pub(crate) fn merge(
    earlier: Node,
    later: Node,
    path: &[&str],
    budget: &Budget,
) -> Result<Node, Error> {
    budget.step()?;
    let rule = RULES
        .iter()
        .find(|(pattern, _)| matches_text(path, pattern));
    if let Some((_, rule)) = rule {
        return special(earlier, later, *rule, path, budget);
    }
    if later.is_null() {
        return Ok(earlier);
    }
    match (earlier.data, later.data) {
        (Data::Map(first), Data::Map(second)) => {
            let map = maps(first, second, path, budget)?;
            Ok(Node::new(Data::Map(map), &later.place))
        }
        (Data::List(mut first), Data::List(second)) => {
            first.extend(second);
            Ok(Node::new(Data::List(first), &later.place))
        }
        (Data::Map(_) | Data::List(_), data) => {
            let later = Node {
                data,
                place: later.place,
            };
            Err(later.error(format!(
                "`{}` is {}, but an earlier definition of it is not",
                path.join("."),
                later.kind()
            )))
        }
        (_, data) => Ok(Node {
            data,
            place: later.place,
        }),
    }
}

fn maps(mut earlier: Map, later: Map, path: &[&str], budget: &Budget) -> Result<Map, Error> {
    for (key, node) in later {
        budget.step()?;
        let merged = match earlier.get_mut(&key) {
            Some(slot) => {
                let place = slot.place.clone();
                let before = std::mem::replace(slot, Node::new(Data::Null, &place));
                let inner: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                budget.deeper(|| merge(before, node, &inner, budget))?
            }
            None => node,
        };
        earlier.insert(key, merged);
    }
    Ok(earlier)
}

fn special(
    earlier: Node,
    later: Node,
    rule: Rule,
    path: &[&str],
    budget: &Budget,
) -> Result<Node, Error> {
    let place = later.place.clone();
    let data = match rule {
        Rule::Replace => later.data,
        Rule::Join => {
            let mut list = sequence(earlier, budget)?;
            list.extend(sequence(later, budget)?);
            Data::List(list)
        }
        Rule::JoinNew => {
            let mut list = sequence(earlier, budget)?;
            let known: std::collections::BTreeSet<String> =
                list.iter().map(Node::to_string).into_ordered();
            let new = sequence(later, budget)?.into_iter();
            list.extend(new.filter(|node| !known.contains(&node.to_string())));
            Data::List(list)
        }
        Rule::Build => Data::Map(maps(build(earlier), build(later), path, budget)?),
        Rule::Names | Rule::Dependencies => {
            let default = matches!(rule, Rule::Dependencies);
            Data::Map(maps(
                names(earlier, default),
                names(later, default),
                path,
                budget,
            )?)
        }
        Rule::Logging => match (earlier.data, later.data) {
            (Data::Map(first), Data::Map(second)) if has_same_driver(&first, &second) => {
                Data::Map(maps(first, second, path, budget)?)
            }
            (_, second) => second,
        },
    };
    Ok(Node { data, place })
}

fn has_same_driver(first: &Map, second: &Map) -> bool {
    match (first.get("driver"), second.get("driver")) {
        (Some(first), Some(second)) => first.to_string() == second.to_string(),
        _ => true,
    }
}

/// A mapping as a sorted list of `KEY=VALUE`.
fn sequence(node: Node, budget: &Budget) -> Result<Vec<Node>, Error> {
    let map = match node.data {
        Data::List(list) => return Ok(list),
        Data::Text(_) => return Ok(vec![node]),
        Data::Map(map) => map,
        _ => return Ok(Vec::new()),
    };
    let mut list = Vec::new();
    for (key, value) in map {
        let values = match &value.data {
            Data::List(values) => values.as_slice(),
            _ => std::slice::from_ref(&value),
        };
        for value in values {
            let text = if value.is_null() {
                key.clone()
            } else {
                format!("{key}={value}")
            };
            budget.bytes(text.len() + size_of::<Node>())?;
            list.push(Node::text(text, &value.place));
        }
    }
    list.sort_by_key(Node::to_string);
    Ok(list)
}

fn build(node: Node) -> Map {
    match node.data {
        Data::Map(map) => map,
        Data::Text(text) => Map::from([("context".to_owned(), Node::text(text, &node.place))]),
        _ => Map::new(),
    }
}

/// The names of a list as a mapping.
pub(crate) fn names(node: Node, is_dependency: bool) -> Map {
    match node.data {
        Data::Map(map) => map,
        Data::List(list) => list
            .into_iter()
            .map(|node| {
                let name = node.to_string();
                (
                    name,
                    if is_dependency {
                        dependency(&node)
                    } else {
                        Node::new(Data::Null, &node.place)
                    },
                )
            })
            .collect(),
        _ => Map::new(),
    }
}

/// The long form of a dependency.
fn dependency(node: &Node) -> Node {
    let map = Map::from([
        (
            "condition".to_owned(),
            Node::text("service_started", &node.place),
        ),
        (
            "required".to_owned(),
            Node::new(Data::Bool(true), &node.place),
        ),
    ]);
    Node::new(Data::Map(map), &node.place)
}

/// Removes from `node` what is at the paths of `resets`; `path` is the one of `node`.
pub(crate) fn reset(
    node: &mut Node,
    path: &[&str],
    resets: &[Vec<String>],
    budget: &Budget,
) -> Result<(), Error> {
    if resets.is_empty() {
        return Ok(());
    }
    let Data::Map(map) = &mut node.data else {
        return Ok(());
    };
    budget.steps(u64::try_from(map.len().saturating_mul(resets.len())).unwrap_or(u64::MAX))?;
    map.retain(|key, _| {
        let inner: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
        !resets
            .iter()
            .any(|pattern| super::node::matches(&inner, pattern))
    });
    for (key, node) in map {
        let inner: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
        budget.deeper(|| reset(node, &inner, resets, budget))?;
    }
    Ok(())
}
