//! Values of variables from the environment: plain text, comma-separated values, or JSON.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::Error;
use crate::flags::{boolean, csv_line_fields};
use crate::value::{Number, Type, Value};

/// A value of the environment.
pub(super) enum Override {
    Text(String),
    /// From the variable `NAME_JSON`.
    Json(String),
}

/// The text of a variable as a value: of its type if it has one, else of the type of its default value.
pub(super) fn value(
    name: &str,
    text: Override,
    kind: Option<&Type>,
    default: Option<&Value>,
) -> Result<Value, Error> {
    let unsupported = |kind: &Type| {
        Error::new(format!(
            "the variable {name} is of type {kind}, which the environment cannot set as text; set {name}_JSON, for which the \
             variable needs a `type`"
        ))
    };
    match (text, kind) {
        (_, Some(kind @ Type::Dynamic)) => Err(unsupported(kind)),
        (Override::Json(text), Some(kind)) => Value::from_json_as(&text, kind)
            .map_err(|error| Error::new(format!("{name}_JSON: {}", error.message()))),
        (Override::Text(text), Some(kind)) => match kind {
            Type::List(_) | Type::Set(_) | Type::Map(_) | Type::Tuple(_) => {
                from_csv(name, &text, kind)
            }
            Type::Bool | Type::Number | Type::String => primitive(name, &text, kind),
            kind => Err(unsupported(kind)),
        },
        (Override::Json(text) | Override::Text(text), None) => match default.map(Value::type_of) {
            None | Some(Type::Dynamic) => Ok(Value::String(text.into())),
            Some(kind @ (Type::Bool | Type::Number | Type::String)) => {
                primitive(name, &text, &kind)
            }
            Some(kind) => Err(unsupported(&kind)),
        },
    }
}

fn primitive(name: &str, text: &str, kind: &Type) -> Result<Value, Error> {
    let wrong = |expected: &str| Error::new(format!("{name}: `{text}` is not {expected}"));
    match kind {
        Type::String => Ok(Value::String(text.into())),
        Type::Bool => boolean(text)
            .map(Value::Bool)
            .ok_or_else(|| wrong("a boolean")),
        Type::Number => {
            let number: Option<f64> = go_float(text);
            let number = number.filter(|number| number.is_finite());
            let number = number.and_then(Number::from_f64);
            number.map(Value::Number).ok_or_else(|| wrong("a number"))
        }
        kind => Err(Error::new(format!(
            "{name}: elements of type {kind} cannot be set as text"
        ))),
    }
}

/// A number as Go's `strconv.ParseFloat` reads it, without its hexadecimal form.
fn go_float(text: &str) -> Option<f64> {
    let plain = text.strip_prefix(['+', '-']).unwrap_or(text);
    let first = plain.bytes().next()?;
    if !first.is_ascii_digit() && first != b'.' {
        return None;
    }
    // An underscore can stand between two digits.
    let mut digits = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut before = None;
    while let Some(character) = rest.next() {
        let is_digit = |character: Option<&char>| character.is_some_and(char::is_ascii_digit);
        if character != '_' {
            digits.push(character);
        } else if !is_digit(before.as_ref()) || !is_digit(rest.peek()) {
            return None;
        }
        before = Some(character);
    }
    digits.parse().ok()
}

fn from_csv(name: &str, text: &str, kind: &Type) -> Result<Value, Error> {
    let fields = csv_line_fields(text)
        .map_err(|error| Error::new(format!("{name}: {}", error.message())))?;
    let all = |kind: &Type| -> Result<Vec<Value>, Error> {
        fields
            .iter()
            .map(|field| primitive(name, field, kind))
            .collect()
    };
    match kind {
        Type::List(element) => Ok(Value::List(
            element.as_ref().clone(),
            Rc::new(all(element)?),
        )),
        Type::Set(element) => Ok(Value::set(element.as_ref().clone(), all(element)?)),
        Type::Tuple(kinds) => {
            if fields.len() != kinds.len() {
                return Err(Error::new(format!(
                    "{name}: expected {} values, found {}",
                    kinds.len(),
                    fields.len()
                )));
            }
            let elements = fields.iter().zip(kinds.iter());
            let elements: Result<Vec<Value>, Error> = elements
                .map(|(field, kind)| primitive(name, field, kind))
                .collect();
            Ok(Value::Tuple(Rc::new(elements?)))
        }
        Type::Map(element) => {
            let mut members = BTreeMap::new();
            for pair in fields.chunks(2) {
                let [key, value] = pair else {
                    return Err(Error::new(format!(
                        "{name}: expected keys and values in turn, found {} values",
                        fields.len()
                    )));
                };
                members.insert(key.clone(), primitive(name, value, element)?);
            }
            Ok(Value::Map(element.as_ref().clone(), Rc::new(members)))
        }
        kind => Err(Error::new(format!(
            "{name}: a value of type {kind} cannot be set as text"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_in_go() {
        for (text, expected) in [
            ("1", Some(1.0)),
            ("1_000", Some(1000.0)),
            ("1e3", Some(1000.0)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("+3", Some(3.0)),
            ("1e", None),
            ("0x10", None),
            ("_1", None),
            ("1_", None),
            ("1__0", None),
            ("inf", None),
            ("nan", None),
            ("", None),
        ] {
            assert_eq!(go_float(text), expected, "{text}");
        }
    }
}
