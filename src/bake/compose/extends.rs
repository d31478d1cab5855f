//! `extends`: a service takes over what another one has, of the same file or of another one.

use std::rc::Rc;

use super::load::{Depth, Load};
use super::merge;
use super::node::{Map, Node};
use super::paths::{clean, join, resolve_paths};
use crate::{Error, Source};

/// A service that another one extends, for the detection of cycles.
#[derive(PartialEq, Eq)]
struct Link {
    file: String,
    service: String,
}

type Resets = [Vec<String>];

/// Merges the base of each service into it.
pub(crate) fn apply(
    load: &Load<'_>,
    root: &mut Node,
    file: &Source,
    resets: &Resets,
) -> Result<(), Error> {
    let Some(services) = root.get_mut("services") else {
        return Ok(());
    };
    let Some(map) = services.as_map_mut() else {
        return Err(services.error(format!(
            "`services` must be a mapping, not {}",
            services.kind()
        )));
    };
    let names: Vec<String> = map.keys().cloned().collect();
    for name in names {
        let merged = service(load, &name, map, &file.name, &mut Vec::new(), resets)?;
        if let Some(merged) = merged {
            map.insert(name, merged);
        }
    }
    Ok(())
}

/// The service with its bases, or nothing if it is empty.
fn service(
    load: &Load<'_>,
    name: &str,
    services: &mut Map,
    file: &str,
    chain: &mut Vec<Link>,
    resets: &Resets,
) -> Result<Option<Node>, Error> {
    let budget = load.reader.budget;
    budget.step()?;
    let Some(service) = services.get(name).filter(|node| !node.is_null()) else {
        return Ok(None);
    };
    if service.as_map().is_none() {
        return Err(service.error(format!(
            "`services.{name}` must be a mapping, not {}",
            service.kind()
        )));
    }
    let service = service.copy(budget)?;
    let Some(extends) = service.get("extends").cloned() else {
        return Ok(Some(service));
    };
    let base = extends
        .as_text()
        .or_else(|| extends.get("service")?.as_text());
    let Some(base) = base else {
        return Err(extends.error(format!(
            "`services.{name}.extends` needs the attribute `service`"
        )));
    };
    let other = extends.get("file").filter(|node| !node.is_null());
    let other = other.map(|node| {
        let path = node.as_text();
        path.ok_or_else(|| {
            node.error(format!(
                "`services.{name}.extends.file` must be text, not {}",
                node.kind()
            ))
        })
    });
    let other = other.transpose()?;

    let link = Link {
        file: other.unwrap_or(file).to_owned(),
        service: name.to_owned(),
    };
    let inherited = match other {
        Some(path) => {
            let (mut map, inner) =
                services_of(load, path).map_err(|error| error.or_at(|| extends.place.clone()))?;
            enter(load, base, &mut map, file, chain, link, &inner, &extends)?
        }
        None => enter(load, base, services, file, chain, link, resets, &extends)?,
    };
    let Some(inherited) = inherited else {
        return Ok(Some(service));
    };
    let mut inherited = inherited;
    merge::reset(&mut inherited, &["services", name], resets, budget)?;
    let mut merged = merge::merge(inherited, service, &["services", "x"], budget)?;
    if let Some(map) = merged.as_map_mut() {
        map.shift_remove("extends");
    }
    if other.is_none() {
        services.insert(name.to_owned(), merged.copy(budget)?);
    }
    Ok(Some(merged))
}

/// The base of a service, one link further.
#[expect(clippy::too_many_arguments, reason = "the state of one recursion")]
fn enter(
    load: &Load<'_>,
    base: &str,
    services: &mut Map,
    file: &str,
    chain: &mut Vec<Link>,
    link: Link,
    resets: &Resets,
    extends: &Node,
) -> Result<Option<Node>, Error> {
    if !services.contains_key(base) {
        return Err(extends.error(format!(
            "the service `{base}` does not exist in `{}`",
            link.file
        )));
    }
    if chain.contains(&link) {
        return Err(extends.error(format!("the service `{}` extends itself", link.service)));
    }
    chain.push(link);
    let result = load
        .reader
        .budget
        .deeper(|| service(load, base, services, file, chain, resets));
    chain.pop();
    result.map_err(|error| error.or_at(|| extends.place.clone()))
}

/// The services of another file, with paths relative to this load.
fn services_of(load: &Load<'_>, path: &str) -> Result<(Map, Vec<Vec<String>>), Error> {
    let full = absolute(&load.file_directory, path);
    let source: Rc<Source> = load.reader.source(&full)?;
    let directory = directory_of(load, path);
    let inner = Load {
        directory: directory.clone(),
        file_directory: parent(&full),
        ..load.clone()
    };
    let mut model = None;
    let resets = inner.file(&source, &mut model, Depth::Raw, &[])?;
    let Some(mut model) = model else {
        return Err(Error::new(format!("`{full}` is empty")));
    };
    let home = load.environment.get("HOME");
    resolve_paths(&mut model, &directory, home.as_deref())?;
    let services = model
        .as_map_mut()
        .and_then(|map| map.shift_remove("services"));
    match services.map(|node| node.data) {
        Some(super::node::Data::Map(services)) => Ok((services, resets)),
        _ => Err(Error::new(format!("`{full}` has no services"))),
    }
}

/// A path of a file that is read.
pub(crate) fn absolute(directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        join(directory, path)
    }
}

/// The directory of a path.
pub(crate) fn parent(path: &str) -> String {
    clean(path.rsplit_once('/').map_or(
        "",
        |(directory, _)| if directory.is_empty() { "/" } else { directory },
    ))
}

/// The directory of a file, or a directory itself, relative to the one that files are read from.
pub(crate) fn directory_of(load: &Load<'_>, path: &str) -> String {
    let mut full = absolute(&load.file_directory, path);
    if !load.reader.is_directory(&full) {
        full = absolute(&load.file_directory, &parent(path));
    }
    relative(&load.file_directory, &full).unwrap_or(full)
}

/// `path` as seen from `base`; nothing if one is absolute and the other is not, or if `base` is above the start.
fn relative(base: &str, path: &str) -> Option<String> {
    let (base, path) = (clean(base), clean(path));
    if base.starts_with('/') != path.starts_with('/') {
        return None;
    }
    let parts = |path: &str| -> Vec<String> {
        path.split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .map(str::to_owned)
            .collect()
    };
    let (base, path) = (parts(&base), parts(&path));
    let shared = base
        .iter()
        .zip(&path)
        .take_while(|(base, path)| base == path)
        .count();
    let above = base.get(shared..)?;
    if above.iter().any(|part| part == "..") {
        return None;
    }
    let up = above.iter().map(|_| "..");
    let down = path.get(shared..)?.iter().map(String::as_str);
    Some(clean(&up.chain(down).collect::<Vec<_>>().join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_a_directory() {
        for (base, path, expected) in [
            ("", "a/b", Some("a/b")),
            ("", ".", Some(".")),
            ("a", "a/b", Some("b")),
            ("a/b", "a/c", Some("../c")),
            ("a", "/a", None),
            ("..", "a", None),
        ] {
            assert_eq!(relative(base, path).as_deref(), expected, "{base} {path}");
        }
        assert_eq!(parent("a/b.yaml"), "a");
        assert_eq!(parent("b.yaml"), ".");
        assert_eq!(parent("/b.yaml"), "/");
    }
}
