//! `for` expressions, and the names that they bind.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

use super::Evaluator;
use crate::Error;
use crate::budget::Budget;
use crate::functions::is_lazy;
use crate::hcl::scope::{Function, Scope};
use crate::hcl::tree::{For, Kind, Mentions, Node};
use crate::ordered::IntoOrdered;
use crate::value::Value;

/// The names of one element over those of the expression around.
struct Element<'a> {
    outer: &'a dyn Scope,
    key: Option<(&'a str, Value)>,
    value: (&'a str, Value),
}

impl Scope for Element<'_> {
    fn variable(&self, name: &str, path: &[&str]) -> Result<Option<Value>, Error> {
        if name == self.value.0 {
            return Ok(Some(self.value.1.clone()));
        }
        match &self.key {
            Some((key, value)) if *key == name => Ok(Some(value.clone())),
            _ => self.outer.variable(name, path),
        }
    }

    fn function(&self, name: &str) -> Result<Option<Rc<dyn Function>>, Error> {
        self.outer.function(name)
    }

    fn budget(&self) -> &Budget {
        self.outer.budget()
    }
}

impl Evaluator<'_> {
    /// Runs `body` for each element of a collection.
    pub(super) fn for_each(
        &self,
        (key_name, value_name): (Option<&str>, &str),
        collection: &Node,
        mut body: impl FnMut(&Evaluator<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let value = self.value(collection)?;
        let Some(entries) = value.entries() else {
            let message = if value.is_null() {
                "the collection of `for` is null".to_owned()
            } else {
                format!(
                    "the collection of `for` is a {}; it must be a list, set, map or object",
                    value.type_of()
                )
            };
            return Err(self.error(collection, message));
        };
        let budget = self.scope.budget();
        for (key, value) in entries {
            budget.step()?;
            budget.bytes(size_of::<Value>())?;
            let element = Element {
                outer: self.scope,
                key: key_name.map(|name| (name, key)),
                value: (value_name, value),
            };
            body(&self.with_scope(&element))?;
        }
        Ok(())
    }

    /// Reports mistakes in the parts of a condition that depend on no element. The CLI does so for an empty collection, too.
    fn check_condition(&self, condition: &Node, names: (Option<&str>, &str)) -> Result<(), Error> {
        if is_independent(condition, names) {
            return self.condition(condition).map(drop);
        }
        self.check_parts(condition, names)
    }

    fn check_parts(&self, node: &Node, names: (Option<&str>, &str)) -> Result<(), Error> {
        if is_independent(node, names) {
            return self.value(node).map(drop);
        }
        let check = |part: &Node| self.scope.budget().deeper(|| self.check_parts(part, names));
        match &node.kind {
            Kind::Parentheses(inner) | Kind::Negate(inner) | Kind::Not(inner) => check(inner),
            Kind::Tuple(elements) => elements.iter().try_for_each(check),
            Kind::Chain(first, rest) => {
                check(first)?;
                rest.iter().try_for_each(|(_, operand)| check(operand))
            }
            Kind::Conditional(parts) => {
                let [condition, _, _] = &**parts;
                check(condition)
            }
            // `can` and `try` hide the errors of their arguments.
            Kind::Call(call) if !is_lazy(&call.name) => call.arguments.iter().try_for_each(check),
            _ => Ok(()),
        }
    }

    pub(super) fn repeat(&self, inner: &For) -> Result<Value, Error> {
        let names = (inner.key_name.as_deref(), inner.value_name.as_str());
        if let Some(condition) = &inner.condition {
            self.check_condition(condition, names)?;
        }
        let selected = |evaluator: &Evaluator<'_>| match &inner.condition {
            Some(condition) => evaluator.condition(condition),
            None => Ok(true),
        };
        let Some(key_node) = &inner.key else {
            let mut values = Vec::new();
            self.for_each(names, &inner.collection, |evaluator| {
                if selected(evaluator)? {
                    values.push(evaluator.value(&inner.value)?);
                }
                Ok(())
            })?;
            return Ok(Value::tuple(values));
        };
        let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        self.for_each(names, &inner.collection, |evaluator| {
            if !selected(evaluator)? {
                return Ok(());
            }
            let key = evaluator.key(key_node)?;
            let value = evaluator.value(&inner.value)?;
            match groups.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(vec![value]);
                }
                Entry::Occupied(mut entry) if inner.groups => entry.get_mut().push(value),
                Entry::Occupied(entry) => {
                    let message = format!(
                        "two elements have the key `{}`; write `...` behind the value to group them",
                        entry.key()
                    );
                    return Err(self.error(key_node, message));
                }
            }
            Ok(())
        })?;
        let values = groups.into_iter().filter_map(|(key, mut values)| {
            let value = if inner.groups {
                Some(Value::tuple(values))
            } else {
                values.pop()
            };
            value.map(|value| (key, value))
        });
        Ok(Value::object(values.into_ordered()))
    }
}

/// Whether an expression mentions none of the names of a `for`.
fn is_independent(node: &Node, (key_name, value_name): (Option<&str>, &str)) -> bool {
    let mut mentions = Mentions::default();
    mentions.add(node);
    let mut names = mentions.references.iter().map(|reference| &*reference.name);
    !names.any(|name| name == value_name || Some(name) == key_name)
}
