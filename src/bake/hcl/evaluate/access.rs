//! Variables, attributes, indexes and splats.

use super::Evaluator;
use crate::Error;
use crate::hcl::tree::{Kind, Node, Step, StepKind};
use crate::value::{Type, Value, unify};

impl Evaluator<'_> {
    pub(super) fn variable(&self, node: &Node, name: &str, steps: &[Step]) -> Result<Value, Error> {
        let path: Vec<&str> = steps
            .iter()
            .map_while(|step| match &step.kind {
                StepKind::Attribute(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let value = self
            .scope
            .variable(name, &path)
            .map_err(|error| self.located(error, node))?;
        value.ok_or_else(|| self.error(node, format!("no variable `{name}`")))
    }

    pub(super) fn access(&self, base: &Node, steps: &[Step]) -> Result<Value, Error> {
        let value = match &base.kind {
            Kind::Variable(name) => self.variable(base, name, steps)?,
            _ => self.value(base)?,
        };
        self.steps(value, steps)
    }

    fn steps(&self, mut value: Value, steps: &[Step]) -> Result<Value, Error> {
        for step in steps {
            self.scope.budget().step()?;
            value = match &step.kind {
                StepKind::Attribute(name) => value.attribute(name),
                StepKind::Index(index) => value.index(&self.value(index)?),
                StepKind::Number(number) => value.index(&Value::Number(number.clone())),
                StepKind::Splat(each) => self.splat(&value, each),
            }
            .map_err(|error| error.or_at(|| self.place(&step.span)))?;
        }
        Ok(value)
    }

    /// Applies steps to each element. A value that is not a list is a list of itself; null is an empty one.
    fn splat(&self, value: &Value, steps: &[Step]) -> Result<Value, Error> {
        let elements = match value {
            Value::List(_, elements) | Value::Set(_, elements) | Value::Tuple(elements) => {
                elements.to_vec()
            }
            Value::Null(Type::List(_) | Type::Set(_) | Type::Tuple(_)) => {
                return Err(Error::new("the list is null, so it has no elements"));
            }
            Value::Null(_) => Vec::new(),
            _ => vec![value.clone()],
        };
        let budget = self.scope.budget();
        let results = elements
            .into_iter()
            .map(|element| budget.deeper(|| self.steps(element, steps)))
            .collect::<Result<Vec<_>, _>>()?;
        if matches!(value, Value::List(..) | Value::Set(..)) {
            let types: Vec<Type> = results.iter().map(Value::type_of).collect();
            let same = types.windows(2).all(|pair| pair.first() == pair.last());
            if let Some(element) = unify(&types, false).filter(|_| same) {
                return self.limited(Value::list(element, results));
            }
        }
        self.limited(Value::tuple(results))
    }
}
