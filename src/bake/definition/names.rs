//! The names that expressions of a definition see: variables, matrix values, blocks and functions.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use crate::Error;
use crate::budget::Budget;
use crate::functions::standard;
use crate::hcl::Expression;
use crate::hcl::scope::{CallError, Function, Scope};
use crate::ordered::IntoOrdered;
use crate::value::Value;

/// The kinds of blocks that expressions can refer to, `target.NAME.ATTRIBUTE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Group,
    Target,
}

impl Kind {
    /// The kind of a block with this keyword.
    pub(super) fn parse(keyword: &str) -> Option<Self> {
        match keyword {
            "group" => Some(Self::Group),
            "target" => Some(Self::Target),
            _ => None,
        }
    }
}

/// The values and functions that are resolved.
#[derive(Default)]
pub(super) struct Globals {
    pub(super) values: RefCell<BTreeMap<String, Value>>,
    pub(super) functions: RefCell<BTreeMap<String, Rc<dyn Function>>>,
    /// The blocks as values. A kind is present as soon as one of its blocks is read.
    pub(super) blocks: RefCell<BTreeMap<Kind, BTreeMap<String, Value>>>,
}

/// The names of one expression: its own ones first, then the global ones.
pub(super) struct Names<'a> {
    pub(super) own: &'a BTreeMap<String, Value>,
    pub(super) globals: &'a Globals,
    pub(super) budget: &'a Budget,
}

impl Scope for Names<'_> {
    fn variable(&self, name: &str, path: &[&str]) -> Result<Option<Value>, Error> {
        if let Some(value) = self.own.get(name) {
            return Ok(Some(value.clone()));
        }
        let blocks = self.globals.blocks.borrow();
        if let Some(blocks) = Kind::parse(name).and_then(|kind| blocks.get(&kind)) {
            // Only the block that the expression names: an object of all of them would be built for each reference.
            let block = path.first().and_then(|name| blocks.get_key_value(*name));
            let block = block.map(|(name, value)| (name.clone(), value.clone()));
            return Ok(Some(Value::Object(Rc::new(
                block.into_iter().into_ordered(),
            ))));
        }
        Ok(self.globals.values.borrow().get(name).cloned())
    }

    fn function(&self, name: &str) -> Result<Option<Rc<dyn Function>>, Error> {
        if let Some(function) = standard(name) {
            return Ok(Some(function));
        }
        Ok(self.globals.functions.borrow().get(name).cloned())
    }

    fn budget(&self) -> &Budget {
        self.budget
    }
}

/// A function of the definition.
pub(super) struct UserFunction {
    pub(super) parameters: Vec<String>,
    pub(super) variadic: Option<String>,
    pub(super) result: Expression,
    /// The function is one of the globals itself, so it must not keep them.
    pub(super) globals: Weak<Globals>,
}

impl Function for UserFunction {
    fn call(&self, arguments: &[Value], budget: &Budget) -> Result<Value, CallError> {
        let failure = |argument: Option<usize>, error: Error| CallError { argument, error };
        let count = self.parameters.len();
        if arguments.len() < count || (self.variadic.is_none() && arguments.len() > count) {
            let most = if self.variadic.is_some() {
                " or more"
            } else {
                ""
            };
            let problem = format!(
                "the function takes {count}{most} arguments, not {}",
                arguments.len()
            );
            return Err(failure(None, Error::new(problem)));
        }
        if let Some(index) = arguments
            .iter()
            .position(|argument| matches!(argument, Value::Null(_)))
        {
            return Err(failure(
                Some(index),
                Error::new("the argument must not be null"),
            ));
        }
        let mut own: BTreeMap<String, Value> = self
            .parameters
            .iter()
            .cloned()
            .zip(arguments.iter().cloned())
            .into_ordered();
        if let Some(variadic) = &self.variadic {
            let rest = arguments.get(count..).unwrap_or_default().to_vec();
            own.insert(variadic.clone(), Value::Tuple(Rc::new(rest)));
        }
        let globals = self.globals.upgrade().unwrap_or_default();
        let names = Names {
            own: &own,
            globals: &globals,
            budget,
        };
        budget
            .deeper(|| self.result.evaluate(&names))
            .map_err(|error| failure(None, error))
    }
}
