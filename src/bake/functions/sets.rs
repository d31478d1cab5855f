//! Operations of sets. Lists and tuples convert to sets.

use std::rc::Rc;

use super::call::{Call, Outcome, Parameter, Standard, failure};
use crate::hcl::scope::CallError;
use crate::value::{Type, Value, unify};

const SET: Parameter = Parameter::SET;

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new("sethaselement", &[SET, Parameter::ANY], |call| {
        let value = call.value(1)?;
        let elements = call.elements(0)?;
        call.reserve_values(elements.len())?;
        Ok(Value::Bool(has(elements, value)))
    }),
    Standard::new("setintersection", &[SET], |call| {
        fold(call, |left, right| {
            left.iter()
                .filter(|value| has(right, value))
                .cloned()
                .collect()
        })
    })
    .rest(SET),
    Standard::new("setsubtract", &[SET, SET], |call| fold(call, without)),
    Standard::new("setsymmetricdifference", &[SET], |call| {
        fold(call, |left, right| {
            [without(left, right), without(right, left)].concat()
        })
    })
    .rest(SET),
    Standard::new("setunion", &[SET], |call| {
        fold(call, |left, right| [left, right].concat())
    })
    .rest(SET),
];

fn has(elements: &[Value], value: &Value) -> bool {
    elements.iter().any(|element| element.equals(value))
}

fn without(left: &[Value], right: &[Value]) -> Vec<Value> {
    let kept = left.iter().filter(|value| !has(right, value));
    kept.cloned().collect()
}

/// Converts all sets to the type that they have in common, then combines them from the left.
fn fold(call: &Call<'_>, combine: fn(&[Value], &[Value]) -> Vec<Value>) -> Outcome {
    let mut types = Vec::new();
    for argument in &call.arguments {
        if let Value::Set(element, values) = argument
            && !(values.is_empty() && *element == Type::Dynamic)
        {
            types.push(element.clone());
        }
    }
    let element = unify(&types, true);
    let element = element.ok_or_else(|| failure("the sets have no type in common"))?;
    let wanted = Type::set(element);
    let mut result: Option<Value> = None;
    for (index, argument) in call.arguments.iter().enumerate() {
        let next = argument.convert(&wanted);
        let next = next.map_err(|error| CallError::at(index, error))?;
        result = Some(match (result, next) {
            (Some(Value::Set(element, left)), Value::Set(_, right)) => {
                // Each element of one set is compared with each of the other.
                call.reserve_values(left.len().saturating_add(right.len()))?;
                let pairs = left.len().saturating_mul(right.len());
                let steps = u64::try_from(pairs).unwrap_or(u64::MAX);
                call.budget.steps(steps).map_err(CallError::whole)?;
                Value::set(element, combine(&left, &right))
            }
            (_, next) => next,
        });
    }
    Ok(result.unwrap_or_else(|| Value::Set(Type::Dynamic, Rc::default())))
}
