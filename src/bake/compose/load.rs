//! Files to one model: documents merge over each other, then files, after `include` and `extends` of each.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use super::node::{Data, Map, Node};
use super::template::Lookup;
use super::{
    canonical, dotenv, extends, include, interpolate, merge, paths, schema, shape, unique, yaml,
};
use crate::budget::Budget;
use crate::{Error, ReadFile, Source};

/// The largest file that is read. Public compose files have less than 100 KB.
const MAX_FILE_BYTES: usize = 8 << 20;

/// The variable with the name of the project.
pub(crate) const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";

/// The source of files, and the limits.
pub(crate) struct Reader<'a> {
    pub(crate) read_file: ReadFile<'a>,
    pub(crate) budget: &'a Budget,
}

impl Reader<'_> {
    /// The text of a file, or nothing if it does not exist.
    pub(crate) fn text(&self, path: &str) -> Result<Option<String>, Error> {
        let bytes = match (self.read_file)(Path::new(path)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::new(format!("cannot read `{path}`: {error}"))),
        };
        if bytes.len() > MAX_FILE_BYTES {
            return Err(Error::new(format!(
                "`{path}` is larger than {} MiB",
                MAX_FILE_BYTES >> 20
            )));
        }
        self.budget.bytes(bytes.len())?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A file that must exist.
    pub(crate) fn source(&self, path: &str) -> Result<Rc<Source>, Error> {
        let text = self.text(path)?;
        let text = text.ok_or_else(|| Error::new(format!("the file `{path}` does not exist")))?;
        Ok(Rc::new(Source {
            name: path.to_owned(),
            text,
        }))
    }

    /// Whether a path is a directory.
    pub(crate) fn is_directory(&self, path: &str) -> bool {
        let result = (self.read_file)(Path::new(path));
        result.is_err_and(|error| error.kind() == std::io::ErrorKind::IsADirectory)
    }
}

/// The variables of a load, from the strongest to the weakest.
#[derive(Clone)]
pub(crate) struct Environment<'a> {
    pub(crate) project: String,
    pub(crate) variable: Lookup<'a>,
    /// `.env`, then the files of `include`.
    pub(crate) files: Vec<Rc<BTreeMap<String, String>>>,
}

impl Environment<'_> {
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        if name == PROJECT_NAME {
            return Some(self.project.clone());
        }
        self.variable(name)
    }

    /// The value without the one that the load itself sets.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).or_else(|| self.files.iter().find_map(|file| file.get(name).cloned()))
    }
}

/// One load of files that belong together: those of the command, or those of an entry of `include`.
#[derive(Clone)]
pub(crate) struct Load<'a> {
    pub(crate) reader: &'a Reader<'a>,
    pub(crate) environment: Environment<'a>,
    /// The directory that relative paths of values are joined with.
    pub(crate) directory: String,
    /// The directory of files that are read.
    pub(crate) file_directory: String,
}

/// How much of a file is processed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// All steps.
    Full,
    /// For `extends`: neither `include` and `extends` nor the check of attributes.
    Raw,
}

impl Load<'_> {
    /// The model of several files; nothing if all are empty.
    pub(crate) fn model(
        &self,
        files: &[Rc<Source>],
        included: &[String],
    ) -> Result<Option<Node>, Error> {
        let mut model = None;
        for file in files {
            self.file(file, &mut model, Depth::Full, included)?;
        }
        let Some(mut model) = model else {
            return Ok(None);
        };
        canonical::set_defaults(&mut model);
        check_resources(&mut model)?;
        let home = self.environment.get("HOME");
        paths::resolve_paths(&mut model, &self.directory, home.as_deref())?;
        self.resolve_environment(&mut model);
        Ok(Some(model))
    }

    /// Merges the documents of a file into `model`; returns the paths that the last document resets.
    pub(crate) fn file(
        &self,
        file: &Rc<Source>,
        model: &mut Option<Node>,
        depth: Depth,
        included: &[String],
    ) -> Result<Vec<Vec<String>>, Error> {
        let budget = self.reader.budget;
        let mut resets = Vec::new();
        for document in yaml::parse(file, budget)? {
            let mut root = document.root;
            if root.as_map().is_none() {
                return Err(root.error("a compose file must be a mapping"));
            }
            resets = document.resets;
            let lookup = |name: &str| self.environment.get(name);
            interpolate::interpolate(&mut root, &[], &lookup, budget)?;
            if depth == Depth::Full {
                let included: Vec<String> = included
                    .iter()
                    .cloned()
                    .chain([file.name.clone()])
                    .collect();
                budget.deeper(|| include::apply(self, &mut root, &included, &resets))?;
            }
            let mut before = model
                .take()
                .unwrap_or_else(|| Node::new(Data::Map(Map::new()), &root.place));
            merge::reset(&mut before, &[], &resets, budget)?;
            if depth == Depth::Full {
                extends::apply(self, &mut root, file, &resets)?;
            }
            let mut merged = merge::merge(before, root, &[], budget)?;
            unique::unique(&mut merged, &[], budget)?;
            if depth == Depth::Full {
                shape::check(&merged, &schema::FILE, "", budget)?;
                if let Some(map) = merged.as_map_mut() {
                    map.shift_remove("version");
                }
            }
            canonical::canonical(&mut merged)?;
            unique::unique(&mut merged, &[], budget)?;
            *model = Some(merged);
        }
        Ok(resets)
    }

    /// Items `NAME` of `environment` get the value of the environment.
    fn resolve_environment(&self, model: &mut Node) {
        for (_, service) in canonical::entries(model, "services") {
            let Some(Data::List(list)) = service.get_mut("environment").map(|node| &mut node.data)
            else {
                continue;
            };
            list.retain(|node| node.as_text().is_some());
            for node in list {
                let value = node
                    .as_text()
                    .and_then(|name| Some(format!("{name}={}", self.environment.get(name)?)));
                if let Some(value) = value {
                    node.data = Data::Text(value);
                }
            }
        }
    }
}

/// Adds the variables of a file.
pub(crate) fn read_variables(
    reader: &Reader<'_>,
    path: &str,
    variables: &mut BTreeMap<String, String>,
    outside: Lookup<'_>,
) -> Result<(), Error> {
    let text = reader.text(path)?;
    let text =
        text.ok_or_else(|| Error::new(format!("the file of variables `{path}` does not exist")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    dotenv::parse(text, path, variables, outside, reader.budget)
}

/// Volumes, secrets and configs have one source of their content.
fn check_resources(model: &mut Node) -> Result<(), Error> {
    const SOURCES: [(&str, &[&str]); 2] = [
        ("secrets", &["file", "environment"]),
        ("configs", &["file", "environment", "content"]),
    ];
    for (name, volume) in canonical::entries(model, "volumes") {
        let is_external = matches!(
            volume.get("external").map(|node| &node.data),
            Some(Data::Bool(true))
        );
        let attributes = volume.as_map().into_iter().flatten();
        let mut conflicts = attributes.filter(|(key, _)| {
            !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-")
        });
        if let (true, Some((attribute, node))) = (is_external, conflicts.next()) {
            return Err(node.error(format!(
                "the external volume `{name}` cannot have the attribute `{attribute}`"
            )));
        }
    }
    for (kind, sources) in SOURCES {
        for (name, resource) in canonical::entries(model, kind) {
            let count = sources
                .iter()
                .filter(|source| resource.get(source).is_some())
                .count();
            let is_defined = resource.get("driver").is_some() || resource.get("external").is_some();
            if count > 1 {
                return Err(resource.error(format!(
                    "`{kind}.{name}` can have only one of {}",
                    sources.join(", ")
                )));
            }
            if count == 0 && !is_defined {
                return Err(resource.error(format!(
                    "`{kind}.{name}` needs one of {}",
                    sources.join(", ")
                )));
            }
        }
    }
    Ok(())
}
