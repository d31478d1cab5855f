//! `include`: other files with their own directory and variables, whose services and resources are added.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::extends::{absolute, directory_of, parent};
use super::load::{Load, read_variables};
use super::merge;
use super::node::{Data, Map, Node};
use super::paths::join;
use crate::{Error, Source};

/// The parts of a file that are taken over.
const PARTS: [&str; 6] = [
    "services", "volumes", "networks", "secrets", "configs", "models",
];

/// Adds what the entries of `include` define to `root`.
pub(crate) fn apply(
    load: &Load<'_>,
    root: &mut Node,
    included: &[String],
    resets: &[Vec<String>],
) -> Result<(), Error> {
    let include = root
        .as_map_mut()
        .and_then(|map| map.shift_remove("include"));
    let Some(include) = include.filter(|node| !node.is_null()) else {
        return Ok(());
    };
    let Some(entries) = include.as_list() else {
        return Err(include.error(format!("`include` must be a list, not {}", include.kind())));
    };
    for node in entries {
        let entry = Entry::of(node)?;
        let model =
            model(load, &entry, included).map_err(|error| error.or_at(|| node.place.clone()))?;
        if let Some(model) = model {
            add(load, root, model, resets)?;
        }
    }
    Ok(())
}

/// An entry of `include`.
struct Entry {
    paths: Vec<String>,
    project_directory: String,
    env_files: Vec<String>,
}

impl Entry {
    fn of(node: &Node) -> Result<Self, Error> {
        if let Some(path) = node.as_text() {
            return Ok(Self {
                paths: vec![path.to_owned()],
                project_directory: String::new(),
                env_files: Vec::new(),
            });
        }
        let map = node.as_map();
        let map = map.ok_or_else(|| {
            node.error(format!(
                "an entry of `include` must be text or a mapping, not {}",
                node.kind()
            ))
        })?;
        let mut directory = String::new();
        for (name, node) in map {
            match (name.as_str(), node.as_text()) {
                ("path" | "env_file", _) => {}
                ("project_directory", Some(text)) => text.clone_into(&mut directory),
                ("project_directory", None) => {
                    return Err(node.error("`project_directory` must be text"));
                }
                _ => return Err(node.error(format!("`include` has an unknown attribute `{name}`"))),
            }
        }
        Ok(Self {
            paths: texts(node.get("path"))?,
            project_directory: directory,
            env_files: texts(node.get("env_file"))?,
        })
    }
}

/// A text or a list of texts.
fn texts(node: Option<&Node>) -> Result<Vec<String>, Error> {
    let Some(node) = node.filter(|node| !node.is_null()) else {
        return Ok(Vec::new());
    };
    let list = node.as_list().unwrap_or(std::slice::from_ref(node));
    let text = |node: &Node| {
        let text = node.as_text().map(str::to_owned);
        text.ok_or_else(|| node.error(format!("must be text, not {}", node.kind())))
    };
    list.iter().map(text).collect()
}

/// The model of an entry; nothing if its files are empty.
fn model(load: &Load<'_>, entry: &Entry, included: &[String]) -> Result<Option<Node>, Error> {
    let paths: Vec<String> = entry
        .paths
        .iter()
        .map(|path| absolute(&load.file_directory, path))
        .collect();
    let mut directory = String::new();
    let mut project_directory = entry.project_directory.clone();
    if let Some(path) = paths.first() {
        if project_directory.is_empty() {
            directory = directory_of(load, path);
            project_directory = parent(path);
        } else if project_directory.starts_with('/') {
            directory.clone_from(&project_directory);
        } else {
            directory = directory_of(load, &project_directory);
            project_directory = join(&load.directory, &project_directory);
        }
        if included.contains(path) {
            return Err(Error::new(format!("`{path}` includes itself")));
        }
    }
    let mut environment = load.environment.clone();
    environment
        .files
        .push(Rc::new(variables(load, entry, &project_directory)?));
    let inner = Load {
        reader: load.reader,
        environment,
        directory,
        file_directory: project_directory,
    };
    let files = paths.iter().map(|path| load.reader.source(path));
    let files: Vec<Rc<Source>> = files.collect::<Result<_, _>>()?;
    inner.model(&files, included)
}

/// The variables of an entry: its files, else `.env` in its directory.
fn variables(
    load: &Load<'_>,
    entry: &Entry,
    project_directory: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let mut variables = BTreeMap::new();
    let mut files = Vec::new();
    if entry.env_files.is_empty() {
        let path = join(project_directory, ".env");
        if !load.reader.is_directory(&path) && load.reader.text(&path)?.is_some() {
            files.push(path);
        }
    }
    let named = entry.env_files.iter().filter(|path| *path != "/dev/null");
    files.extend(named.map(|path| absolute(&load.directory, path)));
    for path in files {
        let outside = |name: &str| load.environment.get(name);
        read_variables(load.reader, &path, &mut variables, &outside)?;
    }
    Ok(variables)
}

/// Adds the parts of `model`; what `root` defines too is merged over it.
fn add(
    load: &Load<'_>,
    root: &mut Node,
    mut model: Node,
    resets: &[Vec<String>],
) -> Result<(), Error> {
    let budget = load.reader.budget;
    for part in PARTS {
        let found = model.as_map_mut().and_then(|map| map.shift_remove(part));
        let Some(Node {
            data: Data::Map(from),
            place,
        }) = found
        else {
            continue;
        };
        let Some(root) = root.as_map_mut() else {
            return Ok(());
        };
        let to = root
            .entry(part.to_owned())
            .or_insert_with(|| Node::new(Data::Map(Map::new()), &place));
        let Some(to) = to.as_map_mut() else {
            return Err(to.error(format!("`{part}` must be a mapping, not {}", to.kind())));
        };
        for (name, mut node) in from {
            budget.step()?;
            let merged = match to.shift_remove(&name) {
                Some(own) => {
                    merge::reset(&mut node, &[part, &name], resets, budget)?;
                    budget.deeper(|| merge::merge(node, own, &[part, &name], budget))?
                }
                None => node,
            };
            to.insert(name, merged);
        }
    }
    Ok(())
}
