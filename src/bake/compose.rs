//! Compose files: several files in, services with a `build` section out.
//!
//! The steps, for each document of each file:
//!
//! | module | step |
//! |---|---|
//! | `yaml`, `scalar`, `tag` | reads YAML with its anchors, merge keys and tags into a [`node::Node`] |
//! | `template`, `dotenv` | replaces `${NAME}`; reads `.env` and `env_file` |
//! | `interpolate` | variables in all values |
//! | `load`, `include`, `extends` | documents, files, and those that they refer to |
//! | `unique` | what a later item of a list replaces |
//! | `merge` | the merge rules of compose |
//! | `schema`, `shape` | the attributes that compose knows, and their types |
//! | `canonical`, `paths` | short forms become long ones; relative paths are joined |
//! | `values`, `volume` | values that are well-formed |
//! | `check` | references between services |
//! | `service`, `variables`, `extension` | the service as a target of bake |
//!
//! [`Compose::detect`] decides whether a file is a compose file, and [`Compose::load`] reads all compose files of a definition together.
//! Files that a definition refers to are read through a callback, relative to the working directory, like the released CLI does it.

mod canonical;
mod check;
mod dotenv;
mod extends;
mod extension;
mod include;
mod interpolate;
mod load;
mod merge;
mod node;
mod paths;
mod scalar;
mod schema;
pub(crate) mod service;
mod shape;
mod tag;
mod template;
#[cfg(test)]
mod tests;
mod unique;
mod values;
mod variables;
mod volume;
mod yaml;

use std::collections::BTreeMap;
use std::rc::Rc;

use load::{Environment, Load, PROJECT_NAME, Reader};
use node::Node;
pub(crate) use service::Service;
use template::Lookup;

use crate::budget::Budget;
use crate::{Error, ReadFile, Source};

/// The name of the project without another one.
const DEFAULT_PROJECT: &str = "bake";

/// The kind of a file.
#[derive(Debug)]
pub(crate) enum Kind {
    Compose,
    /// The name is one of a file in HCL or JSON.
    Other,
    /// The name says nothing, and the file is not a compose file for this reason.
    Unknown(Error),
}

/// Reads compose files.
pub(crate) struct Compose<'a> {
    variable: Lookup<'a>,
    reader: Reader<'a>,
    /// The variables of `.env`.
    dotenv: Rc<BTreeMap<String, String>>,
}

impl<'a> Compose<'a> {
    /// Reads `.env`, whose variables are weaker than those of the environment and do not see them.
    pub(crate) fn new(
        variable: Lookup<'a>,
        read_file: ReadFile<'a>,
        budget: &'a Budget,
    ) -> Result<Self, Error> {
        let reader = Reader { read_file, budget };
        let mut variables = BTreeMap::new();
        if let Some(text) = reader.text(".env")? {
            dotenv::parse(&text, ".env", &mut variables, &|_| None, budget)?;
        }
        Ok(Self {
            variable,
            reader,
            dotenv: Rc::new(variables),
        })
    }

    /// Whether a file is a compose file, by its name, else by its content. An error is one of a file that must be a compose file.
    pub(crate) fn detect(&self, file: &Rc<Source>) -> Result<Kind, Error> {
        let name = file.name.to_lowercase();
        let has_suffix = |suffixes: [&str; 2]| suffixes.iter().any(|suffix| name.ends_with(suffix));
        if has_suffix([".json", ".hcl"]) {
            return Ok(Kind::Other);
        }
        let result = self.model(std::slice::from_ref(file), DEFAULT_PROJECT);
        // A later file can replace values that no target can have, so the targets are not read yet.
        let result = result.and_then(|(model, environment)| {
            service::check_variables(&model, &environment, &self.reader)
        });
        match result {
            Ok(()) => Ok(Kind::Compose),
            Err(error) if has_suffix([".yml", ".yaml"]) => Err(error),
            Err(error) => Ok(Kind::Unknown(error)),
        }
    }

    /// The services of all files that are built; nothing if the files have no services at all.
    pub(crate) fn load(&self, files: &[Rc<Source>]) -> Result<Option<Vec<Service>>, Error> {
        let variable = self.environment(String::new()).variable(PROJECT_NAME);
        let project = variable.filter(|name| !name.is_empty());
        let (model, environment) =
            self.model(files, project.as_deref().unwrap_or(DEFAULT_PROJECT))?;
        check::check(&model, self.reader.budget)?;
        let mut services = service::services(&model, &environment, &self.reader)?;
        let project = match project {
            Some(project) => Some(project),
            None => self.project_name(files)?,
        };
        for service in &mut services {
            service.image.project.clone_from(&project);
        }
        let has_services = model
            .get("services")
            .and_then(Node::as_map)
            .is_some_and(|map| !map.is_empty());
        Ok(has_services.then_some(services))
    }

    fn environment(&self, project: String) -> Environment<'a> {
        Environment {
            project,
            variable: self.variable,
            files: vec![Rc::clone(&self.dotenv)],
        }
    }

    /// The merged files with their variables.
    fn model(&self, files: &[Rc<Source>], project: &str) -> Result<(Node, Environment<'a>), Error> {
        let mut environment = self.environment(project.to_owned());
        if let Some(name) = self.project_name(files)? {
            environment.project = name;
        }
        let load = Load {
            reader: &self.reader,
            environment: environment.clone(),
            directory: String::new(),
            file_directory: String::new(),
        };
        let model = load.model(files, &[])?;
        let model = model.filter(|model| model.as_map().is_some_and(|map| !map.is_empty()));
        let model = model.ok_or_else(|| {
            let name = files.first().map_or("", |file| file.name.as_str());
            Error::new(format!("the compose file `{name}` is empty"))
        })?;
        values::check(&model)?;
        Ok((model, environment))
    }

    /// The last `name` of the files.
    fn project_name(&self, files: &[Rc<Source>]) -> Result<Option<String>, Error> {
        let mut found = None;
        for file in files {
            // An error of the file is reported when it is loaded.
            let documents = yaml::parse(file, self.reader.budget).unwrap_or_default();
            for document in documents {
                let name = document
                    .root
                    .get("name")
                    .filter(|node| !node.is_null())
                    .cloned();
                found = name.filter(|node| !node.to_string().is_empty()).or(found);
            }
        }
        let Some(name) = found else {
            return Ok(None);
        };
        let environment = self.environment(String::new());
        let lookup = |name: &str| environment.variable(name);
        let text = template::substitute(&name.to_string(), &lookup, self.reader.budget)
            .map_err(|error| error.or_at(|| name.place.clone()))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}
