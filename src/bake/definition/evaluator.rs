//! Resolves the values, functions and blocks of a definition in the order in which they need each other.
//!
//! All that an expression mentions is resolved before the expression is evaluated, as the CLI does. A name that does not exist is no
//! problem then: `try` and branches that are not taken may mention one. But it stays marked as being resolved, so a second mention of
//! it is a cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::budget::Budget;
use crate::functions;
use crate::hcl::Expression;
use crate::hcl::scope::Scope as _;
use crate::hcl::tree;
use crate::value::{Type, Value};
use crate::{Error, Request};

use super::block::BlockState;
use super::declarations::Declarations;
use super::environment::{self, Override};
use super::hint::nearest;
use super::names::{Globals, Kind, Names, UserFunction};

/// Values that only some expressions see: those of a matrix.
#[derive(Default)]
pub(super) struct Local {
    /// 0 without a matrix.
    pub(super) id: usize,
    pub(super) values: BTreeMap<String, Value>,
}

/// Why a name has no value.
pub(super) enum Failure {
    /// The name does not exist.
    Undefined(Error),
    Invalid(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Invalid(error)
    }
}

impl Failure {
    fn error(self) -> Error {
        match self {
            Self::Undefined(error) | Self::Invalid(error) => error,
        }
    }
}

/// The state of the evaluation of a definition.
pub(super) struct Evaluator<'a> {
    pub(super) declarations: &'a Declarations,
    request: &'a Request<'a>,
    pub(super) budget: &'a Budget,
    pub(super) globals: Rc<Globals>,
    pub(super) blocks: Vec<BlockState<'a>>,
    /// The blocks by name; empty until all names are known.
    pub(super) blocks_by_name: BTreeMap<(Kind, String), Vec<usize>>,
    /// Whether blocks can be referred to.
    pub(super) blocks_exist: bool,
    /// Values that are being resolved or that failed, by the matrix values that their expression sees.
    pending_values: BTreeSet<(usize, String)>,
    pending_functions: BTreeSet<(usize, String)>,
    pub(super) locals: usize,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(
        declarations: &'a Declarations,
        request: &'a Request<'a>,
        budget: &'a Budget,
    ) -> Self {
        let globals = Globals::default();
        {
            let mut values = globals.values.borrow_mut();
            values.insert("BAKE_CMD_CONTEXT".into(), Value::String("cwd://".into()));
            values.insert(
                "BAKE_LOCAL_PLATFORM".into(),
                Value::String(request.platform.as_str().into()),
            );
        }
        let blocks = declarations.blocks.iter();
        Self {
            declarations,
            request,
            budget,
            globals: Rc::new(globals),
            blocks: blocks
                .map(|(kind, block)| BlockState::new(*kind, block))
                .collect(),
            blocks_by_name: BTreeMap::new(),
            blocks_exist: false,
            pending_values: BTreeSet::new(),
            pending_functions: BTreeSet::new(),
            locals: 0,
        }
    }

    /// Evaluates an expression whose names are resolved.
    pub(super) fn evaluate(&self, expression: &Expression, local: &Local) -> Result<Value, Error> {
        let names = Names {
            own: &local.values,
            globals: &self.globals,
            budget: self.budget,
        };
        names.budget().deeper(|| expression.evaluate(&names))
    }

    /// Resolves all variables, validates them, and resolves all functions.
    pub(super) fn prepare(&mut self) -> Result<(), Error> {
        let declarations = self.declarations;
        let local = Local::default();
        for (name, variable) in &declarations.variables {
            if let Some(description) = &variable.description {
                self.description(description)?;
            }
            self.value(name, &local)
                .map_err(|failure| failure.error().or_at(|| variable.place.clone()))?;
        }
        for variable in declarations.variables.values() {
            for validation in &variable.validations {
                super::validation::check(self, validation)?;
            }
        }
        for (name, function) in &declarations.functions {
            self.function(name, &local)
                .map_err(|failure| failure.error().or_at(|| function.place.clone()))?;
        }
        Ok(())
    }

    /// A description is a constant. In JSON, it is not a template.
    fn description(&self, expression: &Expression) -> Result<(), Error> {
        if expression.is_json() {
            return Ok(());
        }
        if !expression.references().is_empty() || !expression.calls().is_empty() {
            return Err(Error::at(
                expression.place(),
                "a description has neither variables nor functions",
            ));
        }
        let value = self
            .evaluate(expression, &Local::default())?
            .convert(&Type::String);
        match value.map_err(|error| error.or_at(|| expression.place()))? {
            Value::String(_) => Ok(()),
            _ => Err(Error::at(expression.place(), "the description is null")),
        }
    }

    /// Resolves the attributes outside of blocks that nothing has used.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        let declarations = self.declarations;
        for (name, attribute) in &declarations.attributes {
            self.value(name, &Local::default())
                .map_err(|failure| failure.error().or_at(|| attribute.place.clone()))?;
        }
        Ok(())
    }

    /// Resolves all that an expression mentions.
    pub(super) fn load(
        &mut self,
        expression: &Expression,
        local: &Local,
        bound: &BTreeSet<String>,
        allow_missing: bool,
    ) -> Result<(), Error> {
        let place = || expression.place();
        for name in expression.calls() {
            match self.function(&name, local) {
                Err(Failure::Undefined(_)) if allow_missing => {}
                result => result.map_err(|failure| failure.error().or_at(place))?,
            }
        }
        for reference in expression.references() {
            if bound.contains(&reference.name) {
                continue;
            }
            let kind = Kind::parse(&reference.name).filter(|_| self.blocks_exist);
            let Some(kind) = kind else {
                match self.value(&reference.name, local) {
                    Err(Failure::Undefined(_)) if allow_missing => {}
                    result => result.map_err(|failure| failure.error().or_at(place))?,
                }
                continue;
            };
            let mut path = reference.path.iter();
            let Some(name) = path.next() else {
                let name = &reference.name;
                let problem = format!("`{name}` is not a value; use `{name}.NAME.ATTRIBUTE`");
                return Err(Error::at(place(), problem));
            };
            let attribute = path.next().map(String::as_str);
            let blocks = self.blocks_by_name.get(&(kind, name.clone()));
            for index in blocks.cloned().unwrap_or_default() {
                self.resolve_block(index, attribute)
                    .map_err(|error| error.or_at(place))?;
            }
        }
        Ok(())
    }

    /// Resolves a variable or an attribute outside of blocks.
    fn value(&mut self, name: &str, local: &Local) -> Result<(), Failure> {
        if local.values.contains_key(name) || self.globals.values.borrow().contains_key(name) {
            return Ok(());
        }
        if !self.pending_values.insert((local.id, name.to_owned())) {
            return Err(Error::new(format!(
                "`{name}` is part of a cycle, or does not exist and is used more than once"
            ))
            .into());
        }
        let budget = self.budget;
        let value = budget.deeper(|| Ok(self.compute(name, local)))??;
        self.globals
            .values
            .borrow_mut()
            .insert(name.to_owned(), value);
        Ok(())
    }

    fn compute(&mut self, name: &str, local: &Local) -> Result<Value, Failure> {
        let declarations = self.declarations;
        let variable = declarations.variables.get(name);
        let root = Local::default();
        let (default, kind, local) = match (declarations.attributes.get(name), variable) {
            (Some(attribute), _) => (Some(&attribute.expression), None, local),
            (None, Some(variable)) => {
                let kind = variable
                    .kind
                    .as_ref()
                    .map(constraint)
                    .transpose()?
                    .flatten();
                (variable.default.as_ref(), kind, &root)
            }
            (None, None) => {
                let problem = match nearest(name, declarations.values()) {
                    Some(other) => format!("no variable `{name}`; did you mean `{other}`?"),
                    None => format!("no variable `{name}`"),
                };
                return Err(Failure::Undefined(Error::new(problem)));
            }
        };
        let default = match default {
            Some(expression) => {
                self.load(expression, local, &BTreeSet::new(), true)?;
                let value = self.evaluate(expression, local)?;
                let value = match &kind {
                    Some(kind) => value.convert(kind).map_err(|error| {
                        Error::at(
                            expression.place(),
                            format!("the default value of {name}: {}", error.message()),
                        )
                    })?,
                    None => value,
                };
                Some(value)
            }
            None => None,
        };
        let text = variable.and_then(|_| self.text(name, kind.is_some()));
        if let Some(text) = text {
            return Ok(environment::value(
                name,
                text,
                kind.as_ref(),
                default.as_ref(),
            )?);
        }
        match (default, kind) {
            (Some(value), _) => Ok(value),
            (None, None) => Ok(Value::String("".into())),
            (None, Some(_)) => Ok(Value::Null(Type::Absent)),
        }
    }

    /// The value of a variable in the environment.
    fn text(&self, name: &str, prefer_json: bool) -> Option<Override> {
        let json_name = format!("{name}_JSON");
        let json = || {
            let declared = self.declarations.variables.contains_key(&json_name);
            let value = (self.request.variable)(&json_name).filter(|_| !declared);
            value.map(Override::Json)
        };
        let text = || (self.request.variable)(name).map(Override::Text);
        if prefer_json {
            json().or_else(text)
        } else {
            text().or_else(json)
        }
    }

    /// Resolves a function of the definition.
    fn function(&mut self, name: &str, local: &Local) -> Result<(), Failure> {
        if functions::standard(name).is_some() || self.globals.functions.borrow().contains_key(name)
        {
            return Ok(());
        }
        let declarations = self.declarations;
        let Some(function) = declarations.functions.get(name) else {
            return Err(Failure::Undefined(functions::unknown(name)));
        };
        if !self.pending_functions.insert((local.id, name.to_owned())) {
            return Err(Error::new(format!("the function `{name}` calls itself")).into());
        }
        let (Some(parameters), Some(result)) = (&function.parameters, &function.result) else {
            let problem = format!("the function `{name}` needs `params` and `result`");
            return Err(Error::at(function.place.clone(), problem).into());
        };
        let names = parameters.elements().ok_or_else(|| {
            Error::at(
                parameters.place(),
                "`params` is a list of names, such as `[a, b]`",
            )
        })?;
        let names: Result<Vec<String>, Error> = names.iter().map(parameter).collect();
        let names = names?;
        let variadic = function.variadic.as_ref().map(parameter).transpose()?;
        let bound = names.iter().cloned().chain(variadic.clone()).collect();
        let budget = self.budget;
        budget.deeper(|| self.load(result, &Local::default(), &bound, false))?;
        let function = UserFunction {
            parameters: names,
            variadic,
            result: result.clone(),
            globals: Rc::downgrade(&self.globals),
        };
        let mut functions = self.globals.functions.borrow_mut();
        functions.insert(name.to_owned(), Rc::new(function));
        Ok(())
    }
}

/// The name of a parameter.
fn parameter(expression: &Expression) -> Result<String, Error> {
    expression
        .keyword()
        .ok_or_else(|| Error::at(expression.place(), "a parameter is a name"))
}

/// The type that a variable declares; `None` if it is null.
fn constraint(expression: &Expression) -> Result<Option<Type>, Error> {
    match expression.node()?.kind {
        tree::Kind::Null => Ok(None),
        _ => expression.constraint().map(Some),
    }
}
