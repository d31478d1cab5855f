//! Groups and targets: names, matrix and attributes. An attribute is resolved when an expression needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::Error;
use crate::hcl::{Attribute, Block};
use crate::source::Place;
use crate::target::{Group, Target};
use crate::value::{Type, Value};

use super::decode;
use super::evaluator::{Evaluator, Local};
use super::names::Kind;

/// The most targets of all matrices together.
const MAX_MATRIX_TARGETS: usize = 10_000;

/// A block, and the groups or targets that it stands for: several if it has a matrix.
pub(super) struct BlockState<'a> {
    pub(super) kind: Kind,
    pub(super) block: &'a Block,
    instances: Option<Vec<Instance>>,
    names: Option<Vec<String>>,
}

/// One of the groups or targets of a block.
struct Instance {
    local: Rc<Local>,
    output: Output,
    /// The attributes that have a value.
    done: BTreeSet<String>,
    /// The attributes that are being resolved, or have been.
    pending: BTreeSet<String>,
}

/// A group or a target.
#[derive(Clone)]
pub(super) enum Output {
    Group(Group),
    Target(Box<Target>),
}

impl Output {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Group => Self::Group(Group::default()),
            Kind::Target => Self::Target(Box::default()),
        }
    }

    fn set_name(&mut self, name: &str) {
        match self {
            Self::Group(group) => name.clone_into(&mut group.name),
            Self::Target(target) => name.clone_into(&mut target.name),
        }
    }
}

impl<'a> BlockState<'a> {
    pub(super) fn new(kind: Kind, block: &'a Block) -> Self {
        Self {
            kind,
            block,
            instances: None,
            names: None,
        }
    }

    /// The label, which the merging of the files has checked to exist.
    pub(super) fn label(&self) -> &'a str {
        self.block.labels.first().map_or("", String::as_str)
    }

    fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        self.block
            .body
            .attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    fn place(&self) -> Place {
        self.block.place.clone()
    }

    /// The groups and targets, after all their attributes have been resolved.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.instances
            .iter()
            .flatten()
            .map(|instance| &instance.output)
    }
}

impl Evaluator<'_> {
    /// The names of the groups or targets of a block: its label, or one for each value of its matrix.
    pub(super) fn block_names(&mut self, index: usize) -> Result<Vec<String>, Error> {
        self.prepare_block(index)?;
        let Some(state) = self.blocks.get(index) else {
            return Ok(Vec::new());
        };
        let (kind, label, place) = (state.kind, state.label(), state.place());
        let locals: Vec<Rc<Local>> = state
            .instances
            .iter()
            .flatten()
            .map(|instance| Rc::clone(&instance.local))
            .collect();
        let attribute = state.attribute("name");
        if let Some(attribute) = attribute {
            if kind == Kind::Group {
                return Err(Error::at(
                    attribute.place.clone(),
                    "a group has no `name` besides its label",
                ));
            }
            if state.attribute("matrix").is_none() {
                return Err(Error::at(
                    attribute.place.clone(),
                    "`name` is for targets with a `matrix`; the name is the label",
                ));
            }
        }
        let mut names = Vec::with_capacity(locals.len());
        let mut seen = BTreeSet::new();
        for local in locals {
            validate_name(label, &place)?;
            let mut name = label.to_owned();
            if let Some(attribute) = attribute {
                let expression = &attribute.expression;
                self.load(expression, &local, &BTreeSet::new(), true)?;
                let value = self.evaluate(expression, &local)?.convert(&Type::String);
                let value = value.map_err(|error| error.or_at(|| expression.place()))?;
                let Value::String(value) = value else {
                    return Err(Error::at(expression.place(), "the name is null"));
                };
                name = value.to_string();
                validate_name(&name, &expression.place())?;
            }
            if !seen.insert(name.clone()) {
                let problem = format!(
                    "two targets of the matrix have the name `{name}`; set `name` to one that depends on the values"
                );
                return Err(Error::at(place, problem));
            }
            names.push(name);
        }
        if let Some(state) = self.blocks.get_mut(index) {
            let instances = state.instances.iter_mut().flatten();
            for (instance, name) in instances.zip(&names) {
                instance.output.set_name(name);
            }
            state.names = Some(names.clone());
        }
        Ok(names)
    }

    /// Resolves one attribute of a block, or all that have no value yet.
    pub(super) fn resolve_block(&mut self, index: usize, only: Option<&str>) -> Result<(), Error> {
        let budget = self.budget;
        budget.deeper(|| {
            self.prepare_block(index)?;
            let count = self
                .blocks
                .get(index)
                .and_then(|state| state.instances.as_ref())
                .map_or(0, Vec::len);
            for instance in 0..count {
                if !self.resolve_instance(index, instance, only)? {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Resolves attributes of one of the targets of a block. `false` if the attribute has a value already.
    fn resolve_instance(
        &mut self,
        index: usize,
        number: usize,
        only: Option<&str>,
    ) -> Result<bool, Error> {
        let Some(state) = self.blocks.get_mut(index) else {
            return Ok(false);
        };
        let kind = state.kind;
        let body = &state.block.body;
        let block_place = state.block.place.clone();
        let label = state.label();
        let name = state
            .names
            .as_ref()
            .and_then(|names| names.get(number))
            .cloned();
        let name = name.unwrap_or_else(|| label.to_owned());
        let Some(instance) = state
            .instances
            .as_mut()
            .and_then(|instances| instances.get_mut(number))
        else {
            return Ok(false);
        };
        if let Some(only) = only {
            if instance.done.contains(only) {
                return Ok(false);
            }
            if !instance.pending.insert(only.to_owned()) {
                return Err(Error::at(
                    block_place,
                    format!("`{only}` of `{name}` is part of a cycle of references"),
                ));
            }
        }
        let local = Rc::clone(&instance.local);
        let wanted = |attribute: &&Attribute| match only {
            Some(only) => attribute.name == only,
            None => true,
        };
        let known = body.attributes.iter().filter(wanted);
        let known: Vec<&Attribute> = known
            .filter(|attribute| {
                decode::is_field(kind, &attribute.name) && !instance.done.contains(&attribute.name)
            })
            .collect();
        let required = kind == Kind::Group
            && only.is_none_or(|only| only == "targets")
            && !instance.done.contains("targets");
        if required && !known.iter().any(|attribute| attribute.name == "targets") {
            return Err(Error::at(
                block_place,
                format!("the group `{name}` has no `targets`"),
            ));
        }
        for attribute in &known {
            self.load(&attribute.expression, &local, &BTreeSet::new(), true)?;
        }
        for attribute in known {
            // Another attribute of this block can have needed this one.
            if self.is_done(index, number, &attribute.name) {
                continue;
            }
            let value = self.evaluate(&attribute.expression, &local)?;
            if let Some(instance) = self.instance(index, number) {
                decode::set(&mut instance.output, &attribute.name, &value)
                    .map_err(|error| error.or_at(|| attribute.expression.place()))?;
                instance.done.insert(attribute.name.clone());
            }
        }
        let Some(instance) = self.instance(index, number) else {
            return Ok(false);
        };
        instance.done.extend(only.map(str::to_owned));
        let value = decode::value(&instance.output);
        let mut blocks = self.globals.blocks.borrow_mut();
        blocks.entry(kind).or_default().insert(name, value);
        Ok(true)
    }

    /// Resolves the attributes that the CLI ignores. No expression can refer to them.
    pub(super) fn resolve_extra(&mut self, index: usize) -> Result<(), Error> {
        let Some(state) = self.blocks.get(index) else {
            return Ok(());
        };
        let attributes = state.block.body.attributes.iter();
        let attributes: Vec<&Attribute> = attributes
            .filter(|attribute| {
                state.kind == Kind::Target
                    && decode::EXTRA_FIELDS.contains(&attribute.name.as_str())
            })
            .collect();
        let count = state.instances.as_ref().map_or(0, Vec::len);
        for attribute in attributes {
            for number in 0..count {
                let Some(local) = self
                    .instance(index, number)
                    .map(|instance| Rc::clone(&instance.local))
                else {
                    continue;
                };
                self.load(&attribute.expression, &local, &BTreeSet::new(), true)?;
                let value = self.evaluate(&attribute.expression, &local)?;
                if let Some(instance) = self.instance(index, number) {
                    decode::set(&mut instance.output, &attribute.name, &value)
                        .map_err(|error| error.or_at(|| attribute.expression.place()))?;
                }
            }
        }
        Ok(())
    }

    /// Replaces one of the targets of a block.
    pub(super) fn set_output(&mut self, index: usize, number: usize, output: Output) {
        if let Some(instance) = self.instance(index, number) {
            instance.output = output;
        }
    }

    fn instance(&mut self, index: usize, number: usize) -> Option<&mut Instance> {
        let state = self.blocks.get_mut(index)?;
        state.instances.as_mut()?.get_mut(number)
    }

    fn is_done(&mut self, index: usize, number: usize, attribute: &str) -> bool {
        let instance = self.instance(index, number);
        instance.is_some_and(|instance| instance.done.contains(attribute))
    }

    /// Evaluates the matrix of a block.
    fn prepare_block(&mut self, index: usize) -> Result<(), Error> {
        let Some(state) = self.blocks.get(index) else {
            return Ok(());
        };
        let kind = state.kind;
        let matrix = state.attribute("matrix");
        self.globals.blocks.borrow_mut().entry(kind).or_default();
        if state.instances.is_some() {
            return Ok(());
        }
        let locals = match matrix {
            None => vec![Local::default()],
            Some(attribute) if kind == Kind::Group => {
                return Err(Error::at(
                    attribute.place.clone(),
                    "a group has no `matrix`; only a target has one",
                ));
            }
            Some(attribute) => {
                let expression = &attribute.expression;
                self.load(expression, &Local::default(), &BTreeSet::new(), true)?;
                let value = self.evaluate(expression, &Local::default())?;
                self.combinations(&value)
                    .map_err(|error| error.or_at(|| expression.place()))?
            }
        };
        let instances = locals.into_iter().map(|local| Instance {
            local: Rc::new(local),
            output: Output::new(kind),
            done: BTreeSet::new(),
            pending: BTreeSet::new(),
        });
        let instances = instances.collect();
        if let Some(state) = self.blocks.get_mut(index) {
            state.instances = Some(instances);
        }
        Ok(())
    }

    /// All combinations of the values of a matrix. The values of the first name change slowest.
    fn combinations(&mut self, matrix: &Value) -> Result<Vec<Local>, Error> {
        let (Value::Map(_, members) | Value::Object(members)) = matrix else {
            return Err(Error::new("the matrix is not a map of lists"));
        };
        let mut combinations = vec![BTreeMap::new()];
        for (name, values) in members.iter() {
            let values: Vec<Value> = match values {
                Value::List(_, values) | Value::Set(_, values) | Value::Tuple(values) => {
                    values.to_vec()
                }
                Value::Map(_, values) | Value::Object(values) => values.values().cloned().collect(),
                _ => return Err(Error::new(format!("`{name}` of the matrix is not a list"))),
            };
            let count = combinations.len().saturating_mul(values.len());
            if self.locals.saturating_add(count) > MAX_MATRIX_TARGETS {
                return Err(Error::new(format!(
                    "the matrix has {count} targets or more; all matrices together can have {MAX_MATRIX_TARGETS}"
                )));
            }
            let mut next = Vec::with_capacity(count);
            for combination in &combinations {
                for value in &values {
                    self.budget.step()?;
                    let mut combination: BTreeMap<String, Value> = combination.clone();
                    combination.insert(name.clone(), value.clone());
                    next.push(combination);
                }
            }
            combinations = next;
        }
        if members.is_empty() {
            return Ok(vec![Local::default()]);
        }
        Ok(combinations
            .into_iter()
            .map(|values| {
                self.locals += 1;
                Local {
                    id: self.locals,
                    values,
                }
            })
            .collect())
    }
}

/// Names have letters, digits, `_` and `-`.
fn validate_name(name: &str, place: &Place) -> Result<(), Error> {
    let valid =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    if name.is_empty() || !name.chars().all(valid) {
        return Err(Error::at(
            place.clone(),
            format!("`{name}` is not a name; names have letters, digits, `_` and `-`"),
        ));
    }
    Ok(())
}
