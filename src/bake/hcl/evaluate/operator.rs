//! Operators.

use super::Evaluator;
use crate::Error;
use crate::hcl::tree::{Node, Operator};
use crate::value::{Number, Type, Value};

impl Operator {
    /// Whether the result is a number; otherwise it is a bool.
    pub(super) fn is_arithmetic(self) -> bool {
        matches!(
            self,
            Self::Plus | Self::Minus | Self::Times | Self::Over | Self::Modulo
        )
    }
}

impl Evaluator<'_> {
    pub(super) fn negate(&self, operand: &Node) -> Result<Value, Error> {
        let value = self.value(operand)?;
        Ok(Value::Number(self.number(operand, &value)?.negated()))
    }

    pub(super) fn not(&self, operand: &Node) -> Result<Value, Error> {
        let value = self.value(operand)?;
        Ok(Value::Bool(!self.bool(operand, &value)?))
    }

    /// Operators of one precedence, from left to right. All operands are evaluated, those of `&&` and `||`, too.
    pub(super) fn chain(
        &self,
        node: &Node,
        first: &Node,
        rest: &[(Operator, Node)],
    ) -> Result<Value, Error> {
        let mut value = self.value(first)?;
        let mut left = first;
        for (operator, right) in rest {
            let operand = self.value(right)?;
            operand.measure(self.scope.budget())?;
            value = self
                .operation(*operator, (left, &value), (right, &operand))
                .map_err(|error| self.located(error, node))?;
            left = node;
        }
        Ok(value)
    }

    fn operation(
        &self,
        operator: Operator,
        (left, a): (&Node, &Value),
        (right, b): (&Node, &Value),
    ) -> Result<Value, Error> {
        let numbers = || Ok::<_, Error>((self.number(left, a)?, self.number(right, b)?));
        let bools = || Ok::<_, Error>((self.bool(left, a)?, self.bool(right, b)?));
        let compare = |test: fn(&Number, &Number) -> bool| {
            numbers().map(|(left, right)| Value::Bool(test(&left, &right)))
        };
        let calculate = |operation: fn(&Number, &Number) -> Result<Number, Error>| {
            let (left, right) = numbers()?;
            operation(&left, &right).map(Value::Number)
        };
        match operator {
            Operator::Or => bools().map(|(left, right)| Value::Bool(left || right)),
            Operator::And => bools().map(|(left, right)| Value::Bool(left && right)),
            Operator::Equal => Ok(Value::Bool(a.equals(b))),
            Operator::NotEqual => Ok(Value::Bool(!a.equals(b))),
            Operator::Less => compare(|left, right| left < right),
            Operator::LessOrEqual => compare(|left, right| left <= right),
            Operator::Greater => compare(|left, right| left > right),
            Operator::GreaterOrEqual => compare(|left, right| left >= right),
            Operator::Plus => calculate(Number::plus),
            Operator::Minus => calculate(Number::minus),
            Operator::Times => calculate(Number::times),
            Operator::Over => calculate(Number::over),
            Operator::Modulo => calculate(Number::modulo),
        }
    }

    fn number(&self, node: &Node, value: &Value) -> Result<Number, Error> {
        match self.operand(node, value, &Type::Number)? {
            Value::Number(number) => Ok(number),
            _ => Err(self.error(node, "the operand must be a number")),
        }
    }

    fn bool(&self, node: &Node, value: &Value) -> Result<bool, Error> {
        match self.operand(node, value, &Type::Bool)? {
            Value::Bool(value) => Ok(value),
            _ => Err(self.error(node, "the operand must be a bool")),
        }
    }

    fn operand(&self, node: &Node, value: &Value, wanted: &Type) -> Result<Value, Error> {
        if value.is_null() {
            return Err(self.error(node, format!("the operand is null; it must be a {wanted}")));
        }
        value.convert(wanted).map_err(|_| {
            let shown = match value {
                Value::String(text) if text.len() <= 40 => format!("the string {text:?}"),
                _ => format!("a {}", value.type_of()),
            };
            self.error(
                node,
                format!("the operand is {shown}; it must be a {wanted}"),
            )
        })
    }
}
