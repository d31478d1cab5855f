//! Lists, tuples, maps and objects from others.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::call::{Call, Outcome, Parameter, Standard, failure, sequence, wrong};
use crate::hcl::scope::CallError;
use crate::value::{Number, Type, Value, unify};

const ANY: Parameter = Parameter::ANY;

/// The most numbers of a range.
const MAX_RANGE: usize = 1024;

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new(
        "chunklist",
        &[Parameter::LIST, Parameter::NUMBER],
        chunk_list,
    ),
    Standard::new("coalescelist", &[], coalesce_list).rest(Parameter::NULLABLE),
    Standard::new("compact", &[Parameter::STRINGS], |call| {
        let texts = call.elements(0)?.iter().filter_map(Value::as_str);
        call.strings(texts.filter(|text| !text.is_empty()))
    }),
    Standard::new("concat", &[], concat).rest(ANY),
    Standard::new("distinct", &[Parameter::LIST], distinct),
    Standard::new("flatten", &[ANY], |call| {
        let mut flat = Vec::new();
        flatten(call, call.elements(0)?, &mut flat)?;
        Ok(Value::tuple(flat))
    }),
    Standard::new("keys", &[ANY], keys),
    Standard::new("merge", &[], merge).rest(Parameter::NULLABLE),
    Standard::new("range", &[], range).rest(Parameter::NUMBER),
    Standard::new("reverselist", &[ANY], |call| {
        let reversed: Vec<Value> = call.elements(0)?.iter().rev().cloned().collect();
        call.reserve_values(reversed.len())?;
        Ok(match call.value(0)? {
            Value::List(element, _) | Value::Set(element, _) => {
                Value::list(element.clone(), reversed)
            }
            _ => Value::tuple(reversed),
        })
    }),
    Standard::new("slice", &[ANY, Parameter::NUMBER, Parameter::NUMBER], slice),
    Standard::new("values", &[ANY], |call| {
        let collection = call.value(0)?;
        let values = collection.elements().unwrap_or_default();
        call.reserve_values(values.len())?;
        match collection {
            Value::Map(element, _) => Ok(Value::list(element.clone(), values)),
            Value::Object(_) => Ok(Value::tuple(values)),
            _ => Err(wrong(0, "a map or an object is required")),
        }
    }),
    Standard::new("zipmap", &[Parameter::STRINGS, ANY], zip_map),
];

/// The element type and the elements of an argument that is a list.
fn list<'a>(call: &'a Call<'_>, index: usize) -> Result<(&'a Type, &'a Rc<Vec<Value>>), CallError> {
    match call.value(index)? {
        Value::List(element, values) => Ok((element, values)),
        _ => Err(wrong(index, "a list is required")),
    }
}

fn chunk_list(call: &Call<'_>) -> Outcome {
    let (element, values) = list(call, 0)?;
    let size = usize::try_from(call.integer(1)?);
    let size = size.map_err(|_| wrong(1, "the size must not be negative"))?;
    // One chunk with all, if the size is 0.
    let size = if size == 0 { values.len().max(1) } else { size };
    call.reserve_values(values.len().saturating_mul(2))?;
    let chunks = values.chunks(size);
    let chunks = chunks.map(|chunk| Value::list(element.clone(), chunk.to_vec()));
    Ok(Value::list(Type::list(element.clone()), chunks.collect()))
}

fn coalesce_list(call: &Call<'_>) -> Outcome {
    if call.arguments.is_empty() {
        return Err(failure("at least one list is required"));
    }
    for (index, value) in call.arguments.iter().enumerate() {
        if !matches!(value.type_of(), Type::List(_) | Type::Tuple(_)) {
            return Err(wrong(index, "a list or a tuple is required"));
        }
    }
    let mut values = call.arguments.iter();
    let value = values.find(|value| value.length().is_some_and(|length| length > 0));
    value.cloned().ok_or_else(|| failure("all lists are empty"))
}

/// Lists of types that have one in common become a list, others a tuple.
fn concat(call: &Call<'_>) -> Outcome {
    if call.arguments.is_empty() {
        return Err(failure("at least one list is required"));
    }
    let mut elements = Vec::new();
    for (index, argument) in call.arguments.iter().enumerate() {
        if !matches!(argument, Value::List(..) | Value::Tuple(_)) {
            let kind = argument.type_of();
            return Err(wrong(
                index,
                format!("a list or a tuple is required, not a {kind}"),
            ));
        }
        let values = call.elements(index)?;
        call.reserve_values(values.len())?;
        elements.extend(values.iter().cloned());
    }
    let types = call.arguments.iter().map(|argument| match argument {
        Value::List(..) => Some(argument.type_of()),
        _ => None,
    });
    let common = types
        .collect::<Option<Vec<Type>>>()
        .and_then(|types| unify(&types, true));
    let Some(Type::List(element)) = common else {
        return Ok(Value::tuple(elements));
    };
    let list = Type::List(Rc::clone(&element));
    let mut converted = Vec::new();
    for (index, argument) in call.arguments.iter().enumerate() {
        let argument = argument.convert(&list);
        let argument = argument.map_err(|error| CallError::at(index, error))?;
        converted.extend(
            sequence(&argument)
                .into_iter()
                .flat_map(|values| values.iter())
                .cloned(),
        );
    }
    Ok(Value::list((*element).clone(), converted))
}

fn distinct(call: &Call<'_>) -> Outcome {
    let (element, values) = list(call, 0)?;
    let mut kept: Vec<Value> = Vec::new();
    for value in values.iter() {
        call.reserve_values(1)?;
        let size = value.measure(call.budget).map_err(CallError::whole)?;
        call.spend([kept.len(), size])?;
        if !kept.iter().any(|other| other.equals(value)) {
            kept.push(value.clone());
        }
    }
    Ok(Value::list(element.clone(), kept))
}

fn flatten(call: &Call<'_>, values: &[Value], flat: &mut Vec<Value>) -> Result<(), CallError> {
    for value in values {
        call.reserve_values(1)?;
        match sequence(value) {
            Some(nested) => {
                let mut problem = None;
                let result = call.budget.deeper(|| {
                    problem = flatten(call, nested, flat).err();
                    Ok(())
                });
                result.map_err(CallError::whole)?;
                if let Some(problem) = problem {
                    return Err(problem);
                }
            }
            None => flat.push(value.clone()),
        }
    }
    Ok(())
}

fn keys(call: &Call<'_>) -> Outcome {
    match call.value(0)? {
        Value::Map(_, values) => call.strings(values.keys().map(String::as_str)),
        Value::Object(values) => {
            call.reserve_values(values.len())?;
            let names = values.keys().map(|name| Value::string(name.as_str()));
            Ok(Value::tuple(names.collect()))
        }
        other => Err(wrong(
            0,
            format!("a map or an object is required, not a {}", other.type_of()),
        )),
    }
}

/// Maps of one type become a map of it, all others an object. The last value of a key wins.
fn merge(call: &Call<'_>) -> Outcome {
    let mut merged = BTreeMap::new();
    for (index, argument) in call.arguments.iter().enumerate() {
        match argument {
            Value::Map(_, values) | Value::Object(values) => {
                call.reserve_values(values.len())?;
                merged.extend(
                    values
                        .iter()
                        .map(|(name, value)| (name.clone(), value.clone())),
                );
            }
            Value::Null(Type::Map(_) | Type::Object(_) | Type::Dynamic) => {}
            other => {
                let kind = other.type_of();
                return Err(wrong(
                    index,
                    format!("a map or an object is required, not a {kind}"),
                ));
            }
        }
    }
    let first = call.arguments.first().map(Value::type_of);
    let same = |kind: &Type| call.arguments.iter().all(|other| other.type_of() == *kind);
    Ok(match first.filter(same) {
        Some(Type::Map(element)) => Value::map((*element).clone(), merged),
        _ => Value::object(merged),
    })
}

fn range(call: &Call<'_>) -> Outcome {
    let zero = Number::from(0);
    let (start, end) = match call.arguments.len() {
        1 => (&zero, call.number(0)?),
        2 | 3 => (call.number(0)?, call.number(1)?),
        _ => return Err(failure("one, two or three numbers are required")),
    };
    let step = match call.arguments.len() {
        3 => call.number(2)?.clone(),
        _ => Number::from(if end < start { -1 } else { 1 }),
    };
    if step.is_zero() && start != end {
        return Err(wrong(2, "the step must not be zero"));
    }
    let down = step < zero;
    if (down && end > start) || (!down && end < start) {
        return Err(wrong(1, "the end is not in the direction of the step"));
    }
    let mut values = Vec::new();
    let mut number = start.clone();
    while (down && number > *end) || (!down && number < *end) {
        if values.len() == MAX_RANGE {
            return Err(failure(format!(
                "the range has more than {MAX_RANGE} numbers"
            )));
        }
        let next = number.plus(&step).map_err(CallError::whole)?;
        values.push(Value::Number(number));
        number = next;
    }
    call.reserve_values(values.len())?;
    Ok(Value::list(Type::Number, values))
}

fn slice(call: &Call<'_>) -> Outcome {
    let value = call.value(0)?;
    if !matches!(value, Value::List(..) | Value::Tuple(_)) {
        return Err(wrong(0, "a list or a tuple is required"));
    }
    let values = call.elements(0)?;
    let bound = |index: usize| {
        let bound = usize::try_from(call.integer(index)?).ok();
        bound.filter(|bound| *bound <= values.len()).ok_or_else(|| {
            let length = values.len();
            wrong(index, format!("the index must be between 0 and {length}"))
        })
    };
    let (start, end) = (bound(1)?, bound(2)?);
    let part = values.get(start..end);
    let part = part.ok_or_else(|| wrong(1, "the start must not be greater than the end"))?;
    call.reserve_values(part.len())?;
    Ok(match value {
        Value::List(element, _) => Value::list(element.clone(), part.to_vec()),
        _ => Value::tuple(part.to_vec()),
    })
}

fn zip_map(call: &Call<'_>) -> Outcome {
    let (_, keys) = list(call, 0)?;
    let value = call.value(1)?;
    if !matches!(value, Value::List(..) | Value::Tuple(_)) {
        return Err(wrong(1, "a list or a tuple is required"));
    }
    let values = call.elements(1)?;
    if keys.len() != values.len() {
        return Err(failure(format!(
            "there are {} keys and {} values",
            keys.len(),
            values.len()
        )));
    }
    call.reserve_values(keys.len())?;
    let mut entries = BTreeMap::new();
    for (key, value) in keys.iter().zip(values.iter()) {
        let key = key.as_str().ok_or_else(|| wrong(0, "a key is null"))?;
        entries.insert(key.to_owned(), value.clone());
    }
    Ok(match value {
        Value::List(element, _) => Value::map(element.clone(), entries),
        _ => Value::object(entries),
    })
}
