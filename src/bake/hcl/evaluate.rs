//! Evaluates the tree of an expression.

mod access;
mod call;
mod operator;
mod repeat;
mod template;

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use super::scope::Scope;
use super::tree::{Key, Kind, Node, Part};
use crate::value::{Type, Value, unify};
use crate::{Error, Place, Source};

/// The value of an expression of a file.
pub(crate) fn evaluate(
    node: &Node,
    source: &Rc<Source>,
    scope: &dyn Scope,
) -> Result<Value, Error> {
    Evaluator { source, scope }.value(node)
}

/// The names and the file of an evaluation.
#[derive(Clone, Copy)]
struct Evaluator<'a> {
    source: &'a Rc<Source>,
    scope: &'a dyn Scope,
}

impl<'a> Evaluator<'a> {
    fn place(&self, span: &Range<usize>) -> Place {
        Place::new(self.source, span.clone())
    }

    fn error(&self, node: &Node, message: impl Into<String>) -> Error {
        Error::at(self.place(&node.span), message)
    }

    fn value(&self, node: &Node) -> Result<Value, Error> {
        let budget = self.scope.budget();
        budget.step().map_err(|error| self.located(error, node))?;
        match &node.kind {
            Kind::Null => Ok(Value::null()),
            Kind::Bool(value) => Ok(Value::Bool(*value)),
            Kind::Number(number) => Ok(Value::Number(number.clone())),
            Kind::Text(text) => Ok(Value::string(text.as_str())),
            Kind::Variable(name) => self.variable(node, name, &[]),
            // Operators, calls and so on evaluate parts of their own.
            _ => budget
                .deeper(|| self.composite(node))
                .map_err(|error| self.located(error, node)),
        }
    }

    fn composite(&self, node: &Node) -> Result<Value, Error> {
        match &node.kind {
            Kind::Template(parts) => self.template(parts),
            Kind::Tuple(elements) => {
                let values = elements.iter().map(|element| self.value(element));
                self.limited(Value::tuple(values.collect::<Result<_, _>>()?))
            }
            Kind::Object(members) => self.limited(self.object(members)?),
            Kind::Parentheses(inner) => self.value(inner),
            Kind::Access(base, steps) => self.access(base, steps),
            Kind::Call(call) => self.limited(self.call(node, call)?),
            Kind::Negate(operand) => self.negate(operand),
            Kind::Not(operand) => self.not(operand),
            Kind::Chain(first, rest) => self.chain(node, first, rest),
            Kind::Conditional(parts) => self.conditional(node, parts),
            Kind::For(inner) => self.limited(self.repeat(inner)?),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Variable(_) => {
                self.value(node)
            }
        }
    }

    /// A value that an expression creates, unless it is too large.
    fn limited(&self, value: Value) -> Result<Value, Error> {
        let budget = self.scope.budget();
        let count = value.measure(budget)?;
        budget.bytes(count.saturating_mul(size_of::<Value>()))?;
        Ok(value)
    }

    fn located(&self, error: Error, node: &Node) -> Error {
        error.or_at(|| self.place(&node.span))
    }

    /// A later member replaces an earlier one of the same key.
    fn object(&self, members: &[(Key, Node)]) -> Result<Value, Error> {
        let mut values = BTreeMap::new();
        for (key, value) in members {
            let key = match key {
                Key::Name(name) => name.clone(),
                Key::Expression(key) => self.key(key)?,
                Key::Ambiguous(key) => {
                    let problem = "put the key in quotes if it is a text, or in parentheses if it is an expression";
                    return Err(self.error(key, problem));
                }
            };
            values.insert(key, self.value(value)?);
        }
        Ok(Value::object(values))
    }

    /// The key of an object's member.
    fn key(&self, node: &Node) -> Result<String, Error> {
        let key = self.value(node)?;
        if key.is_null() {
            return Err(self.error(node, "the key is null; a key must be a string"));
        }
        match key.convert(&Type::String) {
            Ok(Value::String(key)) => Ok(key.to_string()),
            _ => Err(self.error(
                node,
                format!("the key is a {}; a key must be a string", key.type_of()),
            )),
        }
    }

    /// Both results are evaluated, as the type of the result depends on both. Only an error of the selected one is one.
    fn conditional(
        &self,
        node: &Node,
        [condition, then, otherwise]: &[Node; 3],
    ) -> Result<Value, Error> {
        let nodes = (then, otherwise);
        let then = self.value(then);
        let otherwise = self.value(otherwise);
        for value in [&then, &otherwise].into_iter().flatten() {
            value.measure(self.scope.budget())?;
        }
        let untyped = Value::null();
        let wanted = match (&then, &otherwise) {
            (Ok(then), Ok(otherwise)) if *then == untyped => otherwise.type_of(),
            (Ok(then), Ok(otherwise)) if *otherwise == untyped => then.type_of(),
            _ => {
                let types = [(nodes.0, &then), (nodes.1, &otherwise)].map(|(node, result)| {
                    let value = result.as_ref();
                    value.map_or_else(|_| failed_type(node), Value::type_of)
                });
                let wanted = unify(&types, true);
                wanted.ok_or_else(|| self.inconsistent(node, &types))?
            }
        };
        let selected = if self.condition(condition)? {
            then?
        } else {
            otherwise?
        };
        let found = selected.type_of();
        selected
            .convert(&wanted)
            .map_err(|_| self.inconsistent(node, &[found, wanted]))
    }

    fn inconsistent(&self, node: &Node, [then, otherwise]: &[Type; 2]) -> Error {
        self.error(
            node,
            format!("both results of a conditional must have one type, not {then} and {otherwise}"),
        )
    }

    /// The value of a condition.
    fn condition(&self, node: &Node) -> Result<bool, Error> {
        let value = self.value(node)?;
        if value.is_null() {
            return Err(self.error(node, "the condition is null; it must be true or false"));
        }
        match value.convert(&Type::Bool) {
            Ok(Value::Bool(value)) => Ok(value),
            _ => Err(self.error(
                node,
                format!("the condition is a {}; it must be a bool", value.type_of()),
            )),
        }
    }

    /// An evaluator with other names.
    fn with_scope<'b>(&self, scope: &'b dyn Scope) -> Evaluator<'b>
    where
        'a: 'b,
    {
        Evaluator {
            source: self.source,
            scope,
        }
    }
}

/// The type of an expression whose evaluation failed, if its form determines one.
fn failed_type(node: &Node) -> Type {
    match &node.kind {
        Kind::Template(parts) if !matches!(parts.as_slice(), [Part::Interpolation(_)]) => {
            Type::String
        }
        Kind::Negate(_) => Type::Number,
        Kind::Not(_) => Type::Bool,
        Kind::Chain(_, rest) => match rest.last() {
            Some((operator, _)) if operator.is_arithmetic() => Type::Number,
            _ => Type::Bool,
        },
        Kind::Parentheses(inner) => failed_type(inner),
        _ => Type::Dynamic,
    }
}

#[cfg(test)]
mod tests;
