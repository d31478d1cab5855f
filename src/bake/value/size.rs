//! The size of values. Parts can be shared, so that a short definition describes a value of any size: `b = [a, a]`, `c = [b, b]`.

use super::Value;
use crate::Error;
use crate::budget::Budget;

/// The depth of nested values. Conversion, comparison and JSON recurse into them.
const MAX_DEPTH: usize = 120;

/// The memory of a map with one element, in parts: the node of its tree has room for more.
const PARTS_OF_MAP: usize = 16;

impl Value {
    /// Takes one step for each part, so that work on the whole value is paid for. Returns the memory in
    /// parts of the size of a [`Value`].
    pub(crate) fn measure(&self, budget: &Budget) -> Result<usize, Error> {
        self.measure_at(budget, 0)
    }

    fn measure_at(&self, budget: &Budget, depth: usize) -> Result<usize, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new("the value is nested too deeply"));
        }
        match self {
            Self::List(_, values) | Self::Set(_, values) | Self::Tuple(values) => {
                sum(values.iter(), budget, depth)
            }
            Self::Map(_, values) | Self::Object(values) => {
                let count = sum(values.values(), budget, depth)?;
                Ok(count.saturating_add(PARTS_OF_MAP))
            }
            _ => Ok(1),
        }
    }
}

fn sum<'a>(
    values: impl ExactSizeIterator<Item = &'a Value>,
    budget: &Budget,
    depth: usize,
) -> Result<usize, Error> {
    budget.steps(values.len() as u64)?;
    let mut count = 1_usize;
    for value in values {
        count = count.saturating_add(value.measure_at(budget, depth + 1)?);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_and_nested_values_have_limits() {
        let budget = Budget::of_steps(10_000);
        let mut value = Value::integer(1);
        for _ in 0..5 {
            value = Value::tuple(vec![value.clone(), value]);
        }
        assert_eq!(value.measure(&budget).unwrap(), 63);
        for _ in 0..40 {
            value = Value::tuple(vec![value.clone(), value]);
        }
        assert!(value.measure(&budget).is_err());
        let nested = (0..200).fold(Value::null(), |value, _| Value::tuple(vec![value]));
        assert!(nested.measure(&Budget::default()).is_err());
    }
}
