//! Templates.

use super::Evaluator;
use crate::Error;
use crate::hcl::tree::{Node, Part};
use crate::value::{Type, Value};

impl Evaluator<'_> {
    /// A string, except for a single interpolation: that keeps its type.
    pub(super) fn template(&self, parts: &[Part]) -> Result<Value, Error> {
        if let [Part::Interpolation(node)] = parts {
            return self.value(node);
        }
        let mut text = String::new();
        self.parts(parts, &mut text)?;
        Ok(Value::string(text))
    }

    fn parts(&self, parts: &[Part], text: &mut String) -> Result<(), Error> {
        let budget = self.scope.budget();
        for part in parts {
            match part {
                Part::Text(part) => {
                    budget.bytes(part.len())?;
                    text.push_str(part);
                }
                Part::Interpolation(node) => {
                    let part = self.text(node)?;
                    budget.bytes(part.len())?;
                    text.push_str(&part);
                }
                Part::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let parts = if self.condition(condition)? {
                        then
                    } else {
                        otherwise
                    };
                    budget.deeper(|| self.parts(parts, text))?;
                }
                Part::For {
                    key_name,
                    value_name,
                    collection,
                    body,
                } => {
                    let names = (key_name.as_deref(), value_name.as_str());
                    self.for_each(names, collection, |evaluator| {
                        budget.deeper(|| evaluator.parts(body, text))
                    })?;
                }
            }
        }
        Ok(())
    }

    fn text(&self, node: &Node) -> Result<std::rc::Rc<str>, Error> {
        let value = self.value(node)?;
        if value.is_null() {
            let message = "the value is null, which a template cannot contain";
            return Err(self.error(node, message));
        }
        match value.convert(&Type::String) {
            Ok(Value::String(text)) => Ok(text),
            _ => Err(self.error(
                node,
                format!(
                    "a template cannot contain a {}; `jsonencode` makes a string of it",
                    value.type_of()
                ),
            )),
        }
    }
}
