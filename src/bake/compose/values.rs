//! Values that are well-formed: booleans, sizes, durations, commands and hosts.

use super::interpolate::boolean;
use super::node::{Data, Node};
use crate::Error;

/// Checks the values of each service.
pub(crate) fn check(model: &Node) -> Result<(), Error> {
    for (name, service) in model
        .get("services")
        .and_then(Node::as_map)
        .into_iter()
        .flatten()
    {
        for (attributes, test, expected) in RULES {
            for attribute in *attributes {
                if let Some(node) = at(service, attribute)
                    && let Data::Text(text) = &node.data
                    && !test(text)
                {
                    return Err(node.error(format!(
                        "`services.{name}.{attribute}` must be {expected}, not `{text}`"
                    )));
                }
            }
        }
        for requests in [
            service.get("gpus"),
            at(service, "deploy.resources.reservations.devices"),
        ] {
            for request in requests.and_then(Node::as_list).into_iter().flatten() {
                if request.get("count").is_some() && request.get("device_ids").is_some() {
                    return Err(request.error("`count` and `device_ids` exclude each other"));
                }
            }
        }
        for watch in at(service, "develop.watch")
            .and_then(Node::as_list)
            .into_iter()
            .flatten()
        {
            if watch.get("path").and_then(Node::as_text) == Some("") {
                return Err(watch.error("`path` must not be empty"));
            }
        }
        for hosts in [
            service.get("extra_hosts"),
            service
                .get("build")
                .and_then(|node| node.get("extra_hosts")),
        ] {
            check_hosts(hosts)?;
        }
    }
    Ok(())
}

/// The attribute of an attribute, with dots between them.
pub(crate) fn at<'a>(node: &'a Node, path: &str) -> Option<&'a Node> {
    path.split('.').try_fold(node, Node::get)
}

type Rule = (&'static [&'static str], fn(&str) -> bool, &'static str);

const RULES: &[Rule] = &[
    (
        &["attach", "build.no_cache", "build.pull", "build.privileged"],
        |text| boolean(text).is_some(),
        "true or false",
    ),
    (
        &[
            "build.shm_size",
            "mem_limit",
            "mem_reservation",
            "memswap_limit",
            "mem_swappiness",
            "shm_size",
            "deploy.resources.limits.memory",
            "deploy.resources.reservations.memory",
        ],
        is_size,
        "a size such as 512m",
    ),
    (
        &[
            "stop_grace_period",
            "healthcheck.interval",
            "healthcheck.timeout",
            "healthcheck.start_period",
            "healthcheck.start_interval",
            "deploy.update_config.delay",
            "deploy.update_config.monitor",
            "deploy.rollback_config.delay",
            "deploy.rollback_config.monitor",
            "deploy.restart_policy.delay",
            "deploy.restart_policy.window",
        ],
        is_duration,
        "a duration such as 1m30s",
    ),
    (
        &[
            "deploy.resources.limits.cpus",
            "deploy.resources.reservations.cpus",
        ],
        |text| text.parse::<f64>().is_ok(),
        "a number",
    ),
    (
        &["command", "entrypoint"],
        is_command,
        "a command with closed quotes",
    ),
];

fn is_size(text: &str) -> bool {
    size(text).is_some()
}

/// The bytes of a number with an optional unit.
pub(crate) fn size(text: &str) -> Option<f64> {
    if let Ok(value) = text.parse::<i32>() {
        return Some(value.into());
    }
    let end = text.rfind(|character: char| character.is_ascii_digit() || character == '.')?;
    let (number, unit) = text.split_at_checked(end + 1)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let factor = match unit.strip_suffix('i').unwrap_or(unit) {
        "" if unit.is_empty() => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        "t" => 1024.0_f64.powi(4),
        "p" => 1024.0_f64.powi(5),
        _ => return None,
    };
    let number = number.parse::<f64>().ok().filter(|value| *value >= 0.0)?;
    Some((number * factor).trunc())
}

/// Numbers with units.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let is_number = |character: char| character.is_ascii_digit() || character == '.';
        let unit = rest.trim_start_matches(is_number);
        let number = rest.get(..rest.len() - unit.len()).unwrap_or_default();
        let next = unit.trim_start_matches(|character| !is_number(character));
        let unit = unit.get(..unit.len() - next.len()).unwrap_or_default();
        if number.parse::<f64>().is_err()
            || !["ns", "us", "µs", "μs", "ms", "s", "m", "h", "d", "w"].contains(&unit)
        {
            return false;
        }
        rest = next;
    }
    true
}

/// A command up to the first operator, with closed quotes.
fn is_command(text: &str) -> bool {
    let mut quote = None;
    let mut is_escaped = false;
    for character in text.chars() {
        match (quote, character) {
            _ if is_escaped => is_escaped = false,
            (Some('\''), '\'') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => is_escaped = true,
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"' | '`') => quote = Some(character),
            (None, ';' | '&' | '|' | '<' | '>') => return true,
            _ => {}
        }
    }
    quote.is_none() && !is_escaped
}

/// Hosts of a list have an address.
fn check_hosts(hosts: Option<&Node>) -> Result<(), Error> {
    let Some(hosts) = hosts else {
        return Ok(());
    };
    for (name, node) in hosts.as_map().into_iter().flatten() {
        if name.is_empty() || name.contains([':', '=']) {
            return Err(node.error(format!("`{name}` is not a host name")));
        }
    }
    for node in hosts.as_list().into_iter().flatten() {
        let text = node.to_string();
        match text.split_once('=').or_else(|| text.split_once(':')) {
            Some((name, _)) if !name.is_empty() && !name.contains(':') => {}
            _ => return Err(node.error(format!("the host `{text}` needs the form NAME=ADDRESS"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_forms() {
        for (test, good, bad) in [
            (
                is_size as fn(&str) -> bool,
                vec!["1", "512m", "1.5g", "1gb", "2 GiB", "-1"],
                vec!["", "x", "1x", "g"],
            ),
            (
                is_duration,
                vec!["0", "1m30s", "1.5h", "2w3d", "-1s"],
                vec!["", "5", "1x", "s"],
            ),
            (
                is_command,
                vec!["a 'b c' \"d\\\"\"", "a && 'b", "", "a 'b\\'"],
                vec!["a 'b", "a \"b", "a\\"],
            ),
        ] {
            for text in good {
                assert!(test(text), "{text}");
            }
            for text in bad {
                assert!(!test(text), "{text}");
            }
        }
    }
}
