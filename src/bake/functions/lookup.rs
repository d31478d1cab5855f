//! Length, elements by index or key, and whether an element exists.

use super::call::{Call, Outcome, Parameter, Standard, failure, wrong};
use crate::hcl::scope::CallError;
use crate::value::Value;

const ANY: Parameter = Parameter::ANY;

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new("contains", &[ANY, ANY], |call| {
        let value = call.value(1)?;
        let elements = call.elements(0)?;
        call.reserve_values(elements.len())?;
        let found = elements.iter().any(|element| element.equals(value));
        Ok(Value::Bool(found))
    }),
    Standard::new("element", &[ANY, Parameter::NUMBER], element),
    Standard::new("hasindex", &[ANY, ANY], |call| {
        Ok(Value::Bool(find(call)?.is_some()))
    }),
    Standard::new("index", &[ANY, ANY], index),
    Standard::new("indexof", &[ANY, ANY], index_of),
    Standard::new("length", &[ANY], |call| {
        let value = call.value(0)?;
        let length = value
            .length()
            .filter(|_| !matches!(value, Value::Object(_)));
        let length = length.ok_or_else(|| {
            wrong(
                0,
                format!(
                    "the length of a {} is not defined; a list, map, set or tuple is required",
                    value.type_of()
                ),
            )
        })?;
        Ok(Value::integer(i64::try_from(length).unwrap_or(i64::MAX)))
    }),
    Standard::new("lookup", &[ANY, Parameter::STRING, ANY], lookup),
];

fn list_or_tuple<'a>(call: &'a Call<'_>) -> Result<&'a [Value], CallError> {
    match call.value(0)? {
        Value::List(_, values) | Value::Tuple(values) => Ok(values),
        other => Err(wrong(
            0,
            format!("a list or a tuple is required, not a {}", other.type_of()),
        )),
    }
}

/// An index beyond the end begins at the start again.
fn element(call: &Call<'_>) -> Outcome {
    let values = list_or_tuple(call)?;
    let index = usize::try_from(call.integer(1)?);
    let index = index.map_err(|_| wrong(1, "the index must not be negative"))?;
    let index = index.checked_rem(values.len());
    let value = index.and_then(|index| values.get(index));
    value.cloned().ok_or_else(|| wrong(0, "the list is empty"))
}

/// The element of a list, a tuple or a map. Keys do not convert.
fn find<'a>(call: &'a Call<'_>) -> Result<Option<&'a Value>, CallError> {
    let collection = call.value(0)?;
    Ok(match (collection, call.value(1)?) {
        (Value::List(_, values) | Value::Tuple(values), Value::Number(number)) => {
            let index = number
                .to_i64()
                .and_then(|index| usize::try_from(index).ok());
            index.and_then(|index| values.get(index))
        }
        (Value::Map(_, values), Value::String(name)) => values.get(&**name),
        (Value::List(..) | Value::Tuple(_) | Value::Map(..), _) => None,
        _ => return Err(wrong(0, "the collection must be a list, a map or a tuple")),
    })
}

fn index(call: &Call<'_>) -> Outcome {
    match find(call)? {
        Some(value) => Ok(value.clone()),
        None => Err(wrong(1, "the collection has no element with this key")),
    }
}

fn index_of(call: &Call<'_>) -> Outcome {
    let values = list_or_tuple(call)?;
    call.reserve_values(values.len())?;
    let value = call.value(1)?;
    let index = values.iter().position(|element| element.equals(value));
    let index = index.ok_or_else(|| failure("the list has no such element"))?;
    Ok(Value::integer(i64::try_from(index).unwrap_or(i64::MAX)))
}

/// The value of a key, or the default, which has the type of a map's elements.
fn lookup(call: &Call<'_>) -> Outcome {
    let (key, default) = (call.text(1)?, call.value(2)?);
    match call.value(0)? {
        Value::Object(values) => Ok(values.get(key).unwrap_or(default).clone()),
        Value::Map(element, values) => {
            let default = default.convert(element);
            let default = default.map_err(|error| CallError::at(2, error))?;
            Ok(values.get(key).cloned().unwrap_or(default))
        }
        other => Err(wrong(
            0,
            format!("a map or an object is required, not a {}", other.type_of()),
        )),
    }
}
