//! `for` expressions, and the names that they bind.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

use super::Evaluator;
use crate::Error;
use crate::budget::Budget;
use crate::hcl::scope::{Function, Scope};
use crate::hcl::tree::{For, Node};
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

    pub(super) fn repeat(&self, inner: &For) -> Result<Value, Error> {
        let names = (inner.key_name.as_deref(), inner.value_name.as_str());
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
