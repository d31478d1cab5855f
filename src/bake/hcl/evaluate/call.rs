//! Calls of functions.

use super::Evaluator;
use crate::Error;
use crate::functions;
use crate::hcl::constraint::constraint;
use crate::hcl::scope::Argument;
use crate::hcl::tree::{Call, Node};
use crate::value::Value;

impl Evaluator<'_> {
    pub(super) fn call(&self, node: &Node, call: &Call) -> Result<Value, Error> {
        let function = self
            .scope
            .function(&call.name)
            .map_err(|error| self.located(error, node))?;
        let Some(function) = function else {
            return Err(self.located(functions::unknown(&call.name), node));
        };
        let budget = self.scope.budget();
        if let ("convert", false, [value, kind]) =
            (call.name.as_str(), call.expands, call.arguments.as_slice())
        {
            return self.conversion(value, kind);
        }
        if !call.expands {
            let evaluations: Vec<_> = call
                .arguments
                .iter()
                .map(|argument| move || self.value(argument))
                .collect();
            let arguments: Vec<Argument<'_>> = evaluations
                .iter()
                .map(|evaluation| evaluation as Argument<'_>)
                .collect();
            if let Some(result) = function.call_lazy(&arguments, budget) {
                return result.map_err(|failed| self.failed(node, call, failed));
            }
        }
        let arguments = self.arguments(call)?;
        for argument in &arguments {
            argument.measure(budget)?;
        }
        function
            .call(&arguments, budget)
            .map_err(|failed| self.failed(node, call, failed))
    }

    /// `convert(value, type)`.
    fn conversion(&self, value: &Node, kind: &Node) -> Result<Value, Error> {
        // An optional attribute is a required one here.
        let wanted = constraint(kind, self.source)?.complete();
        let converted = self.value(value)?.convert(&wanted);
        converted.map_err(|error| self.located(error, value))
    }

    fn arguments(&self, call: &Call) -> Result<Vec<Value>, Error> {
        let mut values = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            values.push(self.value(argument)?);
        }
        if let (true, Some(last), Some(node)) = (call.expands, values.last(), call.arguments.last())
        {
            let expanded = match last {
                Value::List(_, elements) | Value::Set(_, elements) | Value::Tuple(elements) => {
                    elements.to_vec()
                }
                Value::Null(_) => {
                    return Err(self.error(node, "the value before `...` is null"));
                }
                _ => {
                    let message = format!(
                        "the value before `...` is a {}; it must be a list",
                        last.type_of()
                    );
                    return Err(self.error(node, message));
                }
            };
            self.scope.budget().steps(expanded.len() as u64)?;
            values.pop();
            values.extend(expanded);
        }
        Ok(values)
    }

    /// The error of a call at the argument that is wrong, or at the call.
    fn failed(&self, node: &Node, call: &Call, failed: crate::hcl::scope::CallError) -> Error {
        let last = call.arguments.len().checked_sub(1);
        let argument = failed
            .argument
            .and_then(|index| call.arguments.get(index.min(last?)));
        let span = argument.map_or(&node.span, |argument| &argument.span);
        let error = failed.error;
        // An error of a function of the definition already has a place, which is the better one.
        if error.place().is_some() {
            return error;
        }
        let message = format!("{}: {}", call.name, error.message());
        Error::at(self.place(span), message)
    }
}
