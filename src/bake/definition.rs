//! Variables, functions, blocks, matrix, inheritance, overrides.
//!
//! | module | content |
//! |---|---|
//! | `declarations` | the blocks and attributes of all files |
//! | `evaluator` | resolves variables, functions and what expressions refer to |
//! | `environment` | values of variables from the environment |
//! | `validation` | validations of variables |
//! | `block` | groups and targets, their names and their matrix |
//! | `decode` | values as fields of targets, and back |
//! | `config` | groups and targets of all files; selects the requested ones |
//! | `overrides`, `pattern` | overrides, and the targets that they match |

mod block;
mod config;
mod declarations;
mod decode;
mod environment;
mod evaluator;
pub(crate) mod hint;
mod names;
mod overrides;
mod pattern;
mod service;
mod unused;
mod validation;

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::budget::Budget;
use crate::compose::{Compose, Kind};
use crate::files::File;
use crate::hcl::{Body, parse_hcl, parse_json};
use crate::target::Group;
use crate::{Definition, Error, Request, Source, files};

use block::Output;
use config::{Config, deduplicate};
use declarations::Declarations;
use evaluator::Evaluator;

/// Reads the files of a request and selects the targets.
pub(crate) fn read(request: &Request<'_>) -> Result<Definition, Error> {
    let budget = Budget::default();
    let mut bodies = Vec::new();
    let compose = Compose::new(request.variable, request.read_file, &budget)?;
    let mut compose_files = Vec::new();
    for file in files::read(request)? {
        let source = source(file)?;
        match compose.detect(&source)? {
            Kind::Compose => compose_files.push(source),
            Kind::Other => bodies.push(parse(&source)?),
            Kind::Unknown(reason) => {
                let body = parse(&source).map_err(|error| neither(&source, &error, &reason))?;
                bodies.push(body);
            }
        }
    }
    let mut config = Config::default();
    let mut warnings = Vec::new();
    if !compose_files.is_empty()
        && let Some(services) = compose.load(&compose_files)?
    {
        let targets: Vec<String> = services
            .iter()
            .map(|service| service.name.clone())
            .collect();
        config.groups.push(Group {
            name: "default".into(),
            description: String::new(),
            targets: (!targets.is_empty()).then_some(targets),
        });
        for service in &services {
            config.targets.push(service::target(service)?);
        }
        config.merge_duplicates();
    }
    if !bodies.is_empty() {
        let declarations = Declarations::merge(bodies)?;
        evaluate(&declarations, request, &budget, &mut config)?;
        unused::warn(&declarations, &mut warnings);
        warnings.extend(declarations.warnings);
        config.merge_duplicates();
    }
    config.select(request, warnings, &budget)
}

/// The text of a file.
fn source(file: File) -> Result<Rc<Source>, Error> {
    let text = String::from_utf8(file.content).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        Error::new(format!(
            "`{}` is not UTF-8 text: byte {} is invalid",
            file.name,
            valid + 1
        ))
    })?;
    Ok(Rc::new(Source {
        name: file.name,
        text,
    }))
}

/// The error of a file without a suffix that says what it is.
fn neither(source: &Source, error: &Error, reason: &Error) -> Error {
    Error::new(format!(
        "`{}` is neither a bake definition nor a compose file\nas a definition: {error}\nas a compose file: {reason}",
        source.name
    ))
}

/// Parses a file that is not a compose file: by its suffix, else as HCL or as JSON.
fn parse(source: &Rc<Source>) -> Result<Body, Error> {
    let has_suffix = |suffix: &str| source.name.ends_with(suffix);
    if has_suffix(".json") {
        return parse_json(source);
    }
    let hcl = parse_hcl(source);
    if hcl.is_ok() || has_suffix(".hcl") {
        return hcl;
    }
    parse_json(source).or(hcl)
}

/// Adds the groups and targets of HCL and JSON files.
fn evaluate(
    declarations: &Declarations,
    request: &Request<'_>,
    budget: &Budget,
    config: &mut Config,
) -> Result<(), Error> {
    let mut evaluator = Evaluator::new(declarations, request, budget);
    evaluator.prepare()?;
    evaluator.blocks_exist = true;
    let mut blocks_by_name: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    let mut names_by_label: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (index, (kind, block)) in declarations.blocks.iter().enumerate() {
        for name in evaluator.block_names(index)? {
            blocks_by_name
                .entry((*kind, name.clone()))
                .or_default()
                .push(index);
            let label = block.labels.first().cloned().unwrap_or_default();
            names_by_label.entry((*kind, label)).or_default().push(name);
        }
    }
    evaluator.blocks_by_name = blocks_by_name;
    // The first block of each target. The later ones merge into it, so that expressions that refer to the target see all of them.
    let mut first_blocks: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for index in 0..declarations.blocks.len() {
        evaluator.resolve_block(index, None)?;
        evaluator.resolve_extra(index)?;
        let outputs: Vec<Output> = evaluator
            .blocks
            .get(index)
            .into_iter()
            .flat_map(|state| state.outputs().cloned())
            .collect();
        for (number, output) in outputs.into_iter().enumerate() {
            let Output::Target(target) = &output else {
                config.add(output);
                continue;
            };
            let name = target.name.clone();
            let is_new = config.target(&name).is_none();
            config.add(output);
            if is_new {
                first_blocks.insert(name, (index, number));
            } else if let Some((index, number)) = first_blocks.get(&name)
                && let Some(merged) = config.target(&name)
            {
                evaluator.set_output(*index, *number, Output::Target(Box::new(merged.clone())));
            }
        }
    }
    evaluator.finish()?;
    // A label with a matrix is a group of its targets.
    for ((_, label), mut names) in names_by_label {
        deduplicate(&mut names);
        if names != [label.as_str()] {
            config.groups.push(Group {
                name: label,
                description: String::new(),
                targets: Some(names),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
