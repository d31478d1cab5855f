//! Operations of sets. Lists and tuples convert to sets.

use std::rc::Rc;

use super::call::{Call, Outcome, Parameter, Standard, failure, sequence, wrong};
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
    Standard::new("setproduct", &[], set_product).rest(Parameter::ANY),
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
    if element == Type::Dynamic && types.iter().any(|kind| *kind != element) {
        return Err(failure("the sets have no type in common"));
    }
    let wanted = Type::set(element);
    let mut result: Option<Value> = None;
    for (index, argument) in call.arguments.iter().enumerate() {
        let next = argument.convert(&wanted);
        let next = next.map_err(|error| CallError::at(index, error))?;
        result = Some(match (result, next) {
            (Some(Value::Set(element, left)), Value::Set(_, right)) => {
                call.reserve_values(left.len().saturating_add(right.len()))?;
                // Each element of one set is compared with each of the other.
                let size = argument.measure(call.budget).map_err(CallError::whole)?;
                call.spend([left.len(), size])?;
                Value::set(element, combine(&left, &right))
            }
            (_, next) => next,
        });
    }
    Ok(result.unwrap_or_else(|| Value::Set(Type::Dynamic, Rc::default())))
}

/// All combinations. Lists and tuples become a list, and with a set among them a set.
fn set_product(call: &Call<'_>) -> Outcome {
    if call.arguments.len() < 2 {
        return Err(failure("at least two lists or sets are required"));
    }
    let mut types = Vec::new();
    let mut total: usize = 1;
    let mut columns = Vec::new();
    for (index, argument) in call.arguments.iter().enumerate() {
        let values = call.elements(index)?;
        let element = element_type(argument);
        let element = element.ok_or_else(|| wrong(index, "all elements must have one type"))?;
        let converted: Result<Vec<Value>, _> =
            values.iter().map(|value| value.convert(&element)).collect();
        columns.push(converted.map_err(|error| CallError::at(index, error))?);
        total = total.saturating_mul(values.len());
        types.push(element);
    }
    call.reserve_values(total.saturating_mul(types.len() + 1))?;
    let mut product: Vec<Vec<Value>> = vec![Vec::new()];
    for column in &columns {
        let mut next = Vec::new();
        for row in &product {
            for value in column {
                let mut row = row.clone();
                row.push(value.clone());
                next.push(row);
            }
        }
        product = next;
    }
    let element = Type::Tuple(Rc::new(types));
    let rows = product.into_iter().map(Value::tuple).collect();
    let has_set = call
        .arguments
        .iter()
        .any(|value| matches!(value, Value::Set(..)));
    Ok(if has_set {
        Value::set(element, rows)
    } else {
        Value::list(element, rows)
    })
}

/// The type of the elements of a list, a set or a tuple, if they have one in common.
fn element_type(value: &Value) -> Option<Type> {
    match value {
        Value::List(element, _) | Value::Set(element, _) => Some(element.clone()),
        other => {
            let types: Vec<Type> = sequence(other)?.iter().map(Value::type_of).collect();
            unify(&types, true)
        }
    }
}
