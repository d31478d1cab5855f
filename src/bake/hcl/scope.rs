//! The names that an expression can use.

use std::rc::Rc;

use crate::Error;
use crate::budget::Budget;
use crate::value::Value;

/// The variables and functions of an expression. They can be resolved when they are first used.
pub(crate) trait Scope {
    /// The value of a variable; `None` if it does not exist. `path` are the names of the attributes that follow in the expression, as
    /// far as they are constant: a scope need not resolve more of a block than these.
    fn variable(&self, name: &str, path: &[&str]) -> Result<Option<Value>, Error>;

    /// A function; `None` if it does not exist.
    fn function(&self, name: &str) -> Result<Option<Rc<dyn Function>>, Error>;

    /// The limits of the evaluation.
    fn budget(&self) -> &Budget;
}

/// An argument that is evaluated by the function.
pub(crate) type Argument<'a> = &'a dyn Fn() -> Result<Value, Error>;

/// A function of the language or of a definition.
pub(crate) trait Function {
    /// Calls the function. The error has no place: the caller adds that of the call or of the argument.
    fn call(&self, arguments: &[Value], budget: &Budget) -> Result<Value, CallError>;

    /// Calls a function that evaluates its arguments itself, as `try` and `can` do: an argument that fails is not an error of the call.
    /// `None`, as for all other functions: the arguments are evaluated first, then [`Function::call`] has their values.
    fn call_lazy(
        &self,
        arguments: &[Argument<'_>],
        budget: &Budget,
    ) -> Option<Result<Value, CallError>> {
        let _ = (arguments, budget);
        None
    }
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct CallError {
    /// The index of the argument that is wrong, if one is.
    pub(crate) argument: Option<usize>,
    /// The problem.
    pub(crate) error: Error,
}
