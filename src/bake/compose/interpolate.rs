//! Replaces variables in all values of a tree, and converts those that compose wants as numbers and booleans.

use super::node::{Data, Node, matches_text};
use super::template::{self, Lookup};
use crate::Error;
use crate::budget::Budget;

/// The type of an attribute whose value can be a variable.
#[derive(Clone, Copy)]
enum Cast {
    Integer,
    Number,
    Bool,
}

const CASTS: &[(&str, Cast)] = &[
    ("services.*.cpu_count", Cast::Integer),
    ("services.*.cpu_percent", Cast::Number),
    ("services.*.cpu_period", Cast::Integer),
    ("services.*.cpu_quota", Cast::Integer),
    ("services.*.cpu_rt_period", Cast::Integer),
    ("services.*.cpu_rt_runtime", Cast::Integer),
    ("services.*.cpus", Cast::Number),
    ("services.*.cpu_shares", Cast::Integer),
    ("services.*.init", Cast::Bool),
    ("services.*.depends_on.*.required", Cast::Bool),
    ("services.*.depends_on.*.restart", Cast::Bool),
    ("services.*.deploy.replicas", Cast::Integer),
    ("services.*.deploy.update_config.parallelism", Cast::Integer),
    (
        "services.*.deploy.update_config.max_failure_ratio",
        Cast::Number,
    ),
    (
        "services.*.deploy.rollback_config.parallelism",
        Cast::Integer,
    ),
    (
        "services.*.deploy.rollback_config.max_failure_ratio",
        Cast::Number,
    ),
    (
        "services.*.deploy.restart_policy.max_attempts",
        Cast::Integer,
    ),
    (
        "services.*.deploy.placement.max_replicas_per_node",
        Cast::Integer,
    ),
    ("services.*.healthcheck.retries", Cast::Integer),
    ("services.*.healthcheck.disable", Cast::Bool),
    ("services.*.oom_kill_disable", Cast::Bool),
    ("services.*.oom_score_adj", Cast::Integer),
    ("services.*.pids_limit", Cast::Integer),
    ("services.*.ports.[].target", Cast::Integer),
    ("services.*.privileged", Cast::Bool),
    ("services.*.read_only", Cast::Bool),
    ("services.*.scale", Cast::Integer),
    ("services.*.stdin_open", Cast::Bool),
    ("services.*.tty", Cast::Bool),
    ("services.*.ulimits.*", Cast::Integer),
    ("services.*.ulimits.*.hard", Cast::Integer),
    ("services.*.ulimits.*.soft", Cast::Integer),
    ("services.*.volumes.[].read_only", Cast::Bool),
    ("services.*.volumes.[].volume.nocopy", Cast::Bool),
    ("networks.*.external", Cast::Bool),
    ("networks.*.internal", Cast::Bool),
    ("networks.*.attachable", Cast::Bool),
    ("networks.*.enable_ipv4", Cast::Bool),
    ("networks.*.enable_ipv6", Cast::Bool),
    ("volumes.*.external", Cast::Bool),
    ("secrets.*.external", Cast::Bool),
    ("configs.*.external", Cast::Bool),
];

/// Replaces the variables below `node`, whose path is `path`.
pub(crate) fn interpolate(
    node: &mut Node,
    path: &[&str],
    lookup: Lookup<'_>,
    budget: &Budget,
) -> Result<(), Error> {
    budget.step()?;
    match &mut node.data {
        Data::Text(text) => {
            let replaced = if text.contains('$') {
                template::substitute(text, lookup, budget)
                    .map_err(|error| error.or_at(|| node.place.clone()))?
            } else {
                std::mem::take(text)
            };
            let cast = CASTS
                .iter()
                .find(|(pattern, _)| matches_text(path, pattern));
            node.data = match cast {
                None => Data::Text(replaced),
                Some((_, cast)) => cast.of(&replaced).ok_or_else(|| {
                    node.error(format!(
                        "`{}` must be {}, not `{replaced}`",
                        path.join("."),
                        cast.name()
                    ))
                })?,
            };
        }
        Data::Map(map) => {
            for (key, node) in map {
                let inner: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                budget.deeper(|| interpolate(node, &inner, lookup, budget))?;
            }
        }
        Data::List(list) => {
            let inner: Vec<&str> = path.iter().copied().chain(["[]"]).collect();
            for node in list {
                budget.deeper(|| interpolate(node, &inner, lookup, budget))?;
            }
        }
        _ => {}
    }
    Ok(())
}

impl Cast {
    fn of(self, text: &str) -> Option<Data> {
        match self {
            Self::Integer => text
                .parse::<i64>()
                .ok()
                .map(|value| Data::Integer(value.into())),
            Self::Number => text.parse().ok().map(Data::Float),
            Self::Bool => boolean(text).map(Data::Bool),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Bool => "true or false",
        }
    }
}

/// A boolean in one of the words that compose accepts.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Some(true),
        "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}
