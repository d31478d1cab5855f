//! The blocks and attributes of all files, merged.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;
use crate::hcl::{Attribute, Block, Body, Expression};
use crate::source::Place;

use super::names::Kind;

/// Names that no variable, function or attribute can have. `function` is reserved for attributes only.
const RESERVED: [&str; 4] = ["group", "target", "BAKE_CMD_CONTEXT", "BAKE_LOCAL_PLATFORM"];

/// The content of all files.
#[derive(Default)]
pub(super) struct Declarations {
    pub(super) variables: BTreeMap<String, Variable>,
    pub(super) functions: BTreeMap<String, FunctionBlock>,
    /// Attributes outside of blocks. They are values, too.
    pub(super) attributes: BTreeMap<String, Attribute>,
    /// Groups and targets in the order of the files.
    pub(super) blocks: Vec<(Kind, Block)>,
    /// Blocks and attributes that have no effect.
    pub(super) warnings: Vec<Error>,
}

/// `variable "NAME" { … }`
pub(super) struct Variable {
    pub(super) place: Place,
    pub(super) kind: Option<Expression>,
    pub(super) default: Option<Expression>,
    pub(super) description: Option<Expression>,
    pub(super) validations: Vec<Validation>,
}

/// `validation { condition = …, error_message = … }`
pub(super) struct Validation {
    pub(super) condition: Option<Expression>,
    pub(super) message: Option<Expression>,
    pub(super) place: Place,
}

/// `function "NAME" { params = […], variadic_params = …, result = … }`
pub(super) struct FunctionBlock {
    pub(super) place: Place,
    pub(super) parameters: Option<Expression>,
    pub(super) variadic: Option<Expression>,
    pub(super) result: Option<Expression>,
}

impl Declarations {
    /// Merges the files. Of variables and functions the last one of a name wins, of attributes the first one.
    pub(super) fn merge(bodies: Vec<Body>) -> Result<Self, Error> {
        let mut declarations = Self::default();
        for body in bodies {
            for attribute in body.attributes {
                if !RESERVED.contains(&attribute.name.as_str()) && attribute.name != "function" {
                    let attributes = &mut declarations.attributes;
                    attributes
                        .entry(attribute.name.clone())
                        .or_insert(attribute);
                }
            }
            for block in body.blocks {
                declarations.add(block)?;
            }
        }
        Ok(declarations)
    }

    fn add(&mut self, block: Block) -> Result<(), Error> {
        match block.kind.as_str() {
            "variable" => {
                let name = label(&block)?;
                if !RESERVED.contains(&name.as_str()) {
                    let variable = self.variable(block)?;
                    self.variables.insert(name, variable);
                }
            }
            "function" => {
                let name = label(&block)?;
                if !RESERVED.contains(&name.as_str()) {
                    self.functions.insert(name, function(block)?);
                }
            }
            kind => match Kind::parse(kind) {
                Some(kind) => {
                    label(&block)?;
                    self.blocks.push((kind, block));
                }
                None => self.warnings.push(Error::at(
                    block.place.clone(),
                    format!("the block `{kind}` has no effect; the kinds of blocks are group, target, variable and function"),
                )),
            },
        }
        Ok(())
    }

    fn variable(&mut self, block: Block) -> Result<Variable, Error> {
        let mut variable = Variable {
            place: block.place,
            kind: None,
            default: None,
            description: None,
            validations: Vec::new(),
        };
        for attribute in block.body.attributes {
            match attribute.name.as_str() {
                "type" => variable.kind = Some(attribute.expression),
                "default" => variable.default = Some(attribute.expression),
                "description" => variable.description = Some(attribute.expression),
                name => self.warnings.push(Error::at(
                    attribute.place,
                    format!("`{name}` has no effect in a variable; the attributes are type, default and description"),
                )),
            }
        }
        for block in block.body.blocks {
            if block.kind != "validation" {
                self.warnings.push(Error::at(
                    block.place,
                    format!("the block `{}` has no effect in a variable", block.kind),
                ));
                continue;
            }
            if !block.labels.is_empty() {
                return Err(Error::at(block.place, "a block `validation` has no label"));
            }
            let mut validation = Validation {
                condition: None,
                message: None,
                place: block.place,
            };
            for attribute in block.body.attributes {
                match attribute.name.as_str() {
                    "condition" => validation.condition = Some(attribute.expression),
                    "error_message" => validation.message = Some(attribute.expression),
                    name => {
                        return Err(unknown(
                            &attribute.place,
                            name,
                            "condition and error_message",
                        ));
                    }
                }
            }
            variable.validations.push(validation);
        }
        Ok(variable)
    }

    /// All names of attributes and variables.
    pub(super) fn values(&self) -> BTreeSet<&str> {
        let names = self.variables.keys().chain(self.attributes.keys());
        names.map(String::as_str).collect()
    }
}

fn function(block: Block) -> Result<FunctionBlock, Error> {
    let mut function = FunctionBlock {
        place: block.place,
        parameters: None,
        variadic: None,
        result: None,
    };
    for attribute in block.body.attributes {
        match attribute.name.as_str() {
            "params" => function.parameters = Some(attribute.expression),
            "variadic_params" => function.variadic = Some(attribute.expression),
            "result" => function.result = Some(attribute.expression),
            name => {
                return Err(unknown(
                    &attribute.place,
                    name,
                    "params, variadic_params and result",
                ));
            }
        }
    }
    if let Some(block) = block.body.blocks.first() {
        return Err(Error::at(
            block.place.clone(),
            format!("a function has no block `{}`", block.kind),
        ));
    }
    Ok(function)
}

fn unknown(place: &Place, name: &str, known: &str) -> Error {
    Error::at(
        place.clone(),
        format!("unknown attribute `{name}`; the attributes are {known}"),
    )
}

/// The only label of a block.
fn label(block: &Block) -> Result<String, Error> {
    match block.labels.as_slice() {
        [label] => Ok(label.clone()),
        labels => Err(Error::at(
            block.place.clone(),
            format!(
                "a block `{0}` has one label, `{0} \"NAME\"`, not {1}",
                block.kind,
                labels.len()
            ),
        )),
    }
}
