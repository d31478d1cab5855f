//! Short forms become long ones, and absent values get their defaults.

use super::merge;
use super::node::{Data, Map, Node, list_mut};
use super::paths::clean;
use super::volume;
use crate::Error;

/// Replaces the short forms in a file.
pub(crate) fn canonical(root: &mut Node) -> Result<(), Error> {
    for (name, service) in entries(root, "services") {
        if service.as_map().is_some() {
            canonical_service(service, &format!("services.{name}"))?;
        }
    }
    for kind in ["volumes", "networks", "secrets", "configs"] {
        for (name, resource) in entries(root, kind) {
            external(resource, &format!("{kind}.{name}"))?;
        }
    }
    Ok(())
}

/// The mappings below an attribute of the root.
pub(crate) fn entries<'a>(
    root: &'a mut Node,
    attribute: &str,
) -> impl Iterator<Item = (&'a String, &'a mut Node)> {
    root.get_mut(attribute)
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
}

fn canonical_service(service: &mut Node, path: &str) -> Result<(), Error> {
    if let Some(build) = service.get_mut("build") {
        canonical_build(build, &format!("{path}.build"))?;
    }
    for attribute in ["secrets", "configs"] {
        mounts(service.get_mut(attribute), &format!("{path}.{attribute}"))?;
    }
    if let Some(node) = service.get_mut("depends_on") {
        dependencies(node, &format!("{path}.depends_on"))?;
    }
    for attribute in ["networks", "models"] {
        if let Some(node) = service.get_mut(attribute)
            && node.as_list().is_some()
        {
            replace(node, |node| Data::Map(merge::names(node, false)));
        }
    }
    if let Some(node) = service.get_mut("env_file") {
        env_files(node, &format!("{path}.env_file"))?;
    }
    for attribute in ["label_file", "dns"] {
        if let Some(node) = service.get_mut(attribute)
            && node.as_text().is_some()
        {
            replace(node, |node| Data::List(vec![node]));
        }
    }
    if let Some(node) = service.get_mut("extends")
        && node.as_text().is_some()
    {
        replace(node, |node| {
            Data::Map(Map::from([("service".to_owned(), node)]))
        });
    }
    for node in list_mut(service.get_mut("volumes")) {
        service_volume(node)?;
    }
    for node in list_mut(service.get_mut("ports")) {
        let text = match &node.data {
            Data::Text(text) => text.clone(),
            Data::Integer(port) => port.to_string(),
            Data::Map(_) => continue,
            _ => {
                return Err(
                    node.error(format!("`{path}.ports` has a port that is {}", node.kind()))
                );
            }
        };
        volume::check_port(&text).map_err(|message| node.error(message))?;
    }
    for node in list_mut(service.get_mut("devices")) {
        if node
            .as_text()
            .is_some_and(|text| text.split(':').count() > 3)
        {
            return Err(node.error(format!(
                "the device `{node}` has too many colons: use the long form"
            )));
        }
    }
    ulimits(service.get_mut("ulimits"), &format!("{path}.ulimits"))
}

fn canonical_build(build: &mut Node, path: &str) -> Result<(), Error> {
    match &build.data {
        Data::Text(_) => replace(build, |node| {
            Data::Map(Map::from([("context".to_owned(), node)]))
        }),
        Data::Map(_) => {}
        _ => {
            return Err(build.error(format!(
                "`{path}` must be text or a mapping, not {}",
                build.kind()
            )));
        }
    }
    mounts(build.get_mut("secrets"), &format!("{path}.secrets"))?;
    for attribute in ["provenance", "sbom"] {
        if let Some(node) = build.get_mut(attribute) {
            replace(node, |node| Data::Text(node.to_string()));
        }
    }
    if let Some(node) = build.get_mut("additional_contexts") {
        pairs(node, |item| {
            Err(item.error(format!(
                "`{item}` in `{path}.additional_contexts` needs the form NAME=VALUE"
            )))
        })?;
    }
    if let Some(node) = build.get_mut("ssh") {
        pairs(node, |item| match item.as_text() {
            Some("default") => Ok(Node::new(Data::Null, &item.place)),
            _ => Err(item.error(format!(
                "`{item}` in `{path}.ssh` must be `default` or ID=PATH"
            ))),
        })?;
    }
    ulimits(build.get_mut("ulimits"), &format!("{path}.ulimits"))
}

/// `KEY=VALUE` items as a mapping; `other` converts the items without `=`.
fn pairs(node: &mut Node, other: impl Fn(&Node) -> Result<Node, Error>) -> Result<(), Error> {
    match &node.data {
        Data::Map(_) => {}
        Data::List(list) => {
            let mut map = Map::new();
            for item in list {
                let text = item.to_string();
                let (key, value) = match text.split_once('=') {
                    Some((key, value)) => (key, Node::text(value, &item.place)),
                    None => (text.as_str(), other(item)?),
                };
                map.insert(key.to_owned(), value);
            }
            node.data = Data::Map(map);
        }
        _ => return Err(node.error(format!("must be a list or a mapping, not {}", node.kind()))),
    }
    Ok(())
}

/// A text is the source of a mount.
fn mounts(node: Option<&mut Node>, path: &str) -> Result<(), Error> {
    for node in list_mut(node) {
        match &node.data {
            Data::Text(_) => replace(node, |node| {
                Data::Map(Map::from([("source".to_owned(), node)]))
            }),
            Data::Map(_) => {}
            _ => return Err(node.error(format!("`{path}` has an item that is {}", node.kind()))),
        }
    }
    Ok(())
}

fn dependencies(node: &mut Node, path: &str) -> Result<(), Error> {
    replace(node, |node| match node.data {
        Data::List(_) => Data::Map(merge::names(node, true)),
        data => data,
    });
    let Some(map) = node.as_map_mut() else {
        return Err(node.error(format!(
            "`{path}` must be a list or a mapping, not {}",
            node.kind()
        )));
    };
    for (name, node) in map {
        let place = node.place.clone();
        let Some(map) = node.as_map_mut() else {
            return Err(node.error(format!(
                "`{path}.{name}` must be a mapping, not {}",
                node.kind()
            )));
        };
        map.entry("condition".to_owned())
            .or_insert_with(|| Node::text("service_started", &place));
        map.entry("required".to_owned())
            .or_insert_with(|| Node::new(Data::Bool(true), &place));
    }
    Ok(())
}

fn env_files(node: &mut Node, path: &str) -> Result<(), Error> {
    if node.as_text().is_some() {
        replace(node, |node| Data::List(vec![node]));
    }
    if node.as_list().is_none() {
        return Err(node.error(format!(
            "`{path}` must be text or a list, not {}",
            node.kind()
        )));
    }
    for node in list_mut(Some(node)) {
        if node.as_text().is_some() {
            replace(node, |node| {
                Data::Map(Map::from([("path".to_owned(), node)]))
            });
        }
        let place = node.place.clone();
        if let Some(map) = node.as_map_mut() {
            map.entry("required".to_owned())
                .or_insert_with(|| Node::new(Data::Bool(true), &place));
        }
    }
    Ok(())
}

fn service_volume(node: &mut Node) -> Result<(), Error> {
    let Some(text) = node.as_text() else {
        return Ok(());
    };
    let volume = volume::parse(text).map_err(|message| node.error(message))?;
    let kind = if volume.is_bind() { "bind" } else { "volume" };
    let mut map = Map::from([("type".to_owned(), Node::text(kind, &node.place))]);
    if !volume.source.is_empty() {
        map.insert("source".to_owned(), Node::text(volume.source, &node.place));
    }
    let target = if volume.target.is_empty() {
        volume.target
    } else {
        clean(&volume.target)
    };
    map.insert("target".to_owned(), Node::text(target, &node.place));
    node.data = Data::Map(map);
    Ok(())
}

fn ulimits(node: Option<&mut Node>, path: &str) -> Result<(), Error> {
    let limits = node.and_then(Node::as_map_mut).into_iter().flatten();
    for (name, node) in limits {
        if !matches!(node.data, Data::Map(_) | Data::Integer(_)) {
            return Err(node.error(format!(
                "`{path}.{name}` must be a whole number, not {}",
                node.kind()
            )));
        }
    }
    Ok(())
}

/// `external: {name: NAME}`, an old form.
fn external(resource: &mut Node, path: &str) -> Result<(), Error> {
    let name = resource.get("name").map(Node::to_string);
    let Some(external) = resource.get_mut("external") else {
        return Ok(());
    };
    let Some(other) = external.as_map().map(|map| map.get("name").cloned()) else {
        return Ok(());
    };
    external.data = Data::Bool(true);
    match (name, other) {
        (Some(name), Some(other)) if other.to_string() != name => {
            Err(other.error(format!("`{path}` has two names: remove `external.name`")))
        }
        (None, Some(other)) => {
            if let Some(map) = resource.as_map_mut() {
                map.insert("name".to_owned(), other);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The context of a `build` without one is the directory of the file.
pub(crate) fn set_defaults(root: &mut Node) {
    for (_, service) in entries(root, "services") {
        if let Some(build) = service.get_mut("build") {
            let place = build.place.clone();
            if let Some(map) = build.as_map_mut() {
                map.entry("context".to_owned())
                    .or_insert_with(|| Node::text(".", &place));
            }
        }
    }
}

/// Makes new data of a node.
fn replace(node: &mut Node, data: impl FnOnce(Node) -> Data) {
    let place = node.place.clone();
    let before = std::mem::replace(node, Node::new(Data::Null, &place));
    node.data = data(before);
}
