//! Logic, equality, `coalesce`, and the functions that evaluate their arguments themselves.

use std::rc::Rc;

use super::call::{Call, Outcome, Parameter, Standard, failure};
use crate::Error;
use crate::budget::Budget;
use crate::hcl::scope::{Argument, CallError, Function};
use crate::value::{Type, Value, unify};

const BOOL: Parameter = Parameter::BOOL;
const PAIR: &[Parameter] = &[Parameter::NULLABLE, Parameter::NULLABLE];

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new("and", &[BOOL, BOOL], |call| {
        Ok(Value::Bool(call.bool(0)? && call.bool(1)?))
    }),
    Standard::new("coalesce", &[], coalesce).rest(Parameter::NULLABLE),
    Standard::new("equal", PAIR, |call| {
        Ok(Value::Bool(call.value(0)?.equals(call.value(1)?)))
    }),
    Standard::new("not", &[BOOL], |call| Ok(Value::Bool(!call.bool(0)?))),
    Standard::new("notequal", PAIR, |call| {
        Ok(Value::Bool(!call.value(0)?.equals(call.value(1)?)))
    }),
    Standard::new("or", &[BOOL, BOOL], |call| {
        Ok(Value::Bool(call.bool(0)? || call.bool(1)?))
    }),
];

/// The first argument that is not null, as the type that all have in common.
fn coalesce(call: &Call<'_>) -> Outcome {
    let types: Vec<Type> = call.arguments.iter().map(Value::type_of).collect();
    let common = unify(&types, true);
    let common = common.ok_or_else(|| failure("all arguments must have the same type"))?;
    let value = call.arguments.iter().find(|value| !value.is_null());
    let value = value.ok_or_else(|| failure("all arguments are null"))?;
    value.convert(&common).map_err(CallError::whole)
}

/// The names of the functions that have no values as arguments.
pub(super) const LAZY_NAMES: [&str; 3] = ["can", "convert", "try"];

/// A function that does not get values as arguments.
pub(super) fn lazy(name: &str) -> Option<Rc<dyn Function>> {
    match name {
        "can" => Some(Rc::new(Can)),
        "convert" => Some(Rc::new(Convert)),
        "try" => Some(Rc::new(Try)),
        _ => None,
    }
}

/// Whether an expression has a value.
struct Can;

/// The first expression that has a value.
struct Try;

/// Converts a value to a type. The second argument is a type and no expression, so the evaluation handles such a call itself.
struct Convert;

impl Function for Can {
    fn call(&self, arguments: &[Value], _: &Budget) -> Outcome {
        match arguments {
            [_] => Ok(Value::Bool(true)),
            _ => Err(failure("the function needs 1 argument")),
        }
    }

    fn call_lazy(&self, arguments: &[Argument<'_>], budget: &Budget) -> Option<Outcome> {
        let [argument] = arguments else {
            return Some(self.call(&[], budget));
        };
        Some(match attempt(*argument, budget) {
            Ok(result) => Ok(Value::Bool(result.is_ok())),
            Err(error) => Err(CallError::whole(error)),
        })
    }
}

impl Function for Try {
    fn call(&self, arguments: &[Value], _: &Budget) -> Outcome {
        let first = arguments.first().cloned();
        first.ok_or_else(|| failure("the function needs at least 1 argument"))
    }

    fn call_lazy(&self, arguments: &[Argument<'_>], budget: &Budget) -> Option<Outcome> {
        if arguments.is_empty() {
            return Some(self.call(&[], budget));
        }
        let mut problems = Vec::new();
        for argument in arguments {
            match attempt(*argument, budget) {
                Ok(Ok(value)) => return Some(Ok(value)),
                Ok(Err(problem)) => problems.push(problem.message().to_owned()),
                Err(error) => return Some(Err(CallError::whole(error))),
            }
        }
        let problems = problems.join("; ");
        Some(Err(failure(format!("no argument has a value: {problems}"))))
    }
}

/// Evaluates an argument. The inner error is that of the argument; the outer one is a limit that the evaluation has reached.
fn attempt(argument: Argument<'_>, budget: &Budget) -> Result<Result<Value, Error>, Error> {
    let result = argument();
    budget.step()?;
    Ok(result)
}

impl Function for Convert {
    fn call(&self, _: &[Value], _: &Budget) -> Outcome {
        Err(failure("the function needs a value and a type"))
    }
}
