//! Conversion of a value to a type.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Number, Type, Value, unify};
use crate::Error;

impl Value {
    /// The value as one of a type. `Dynamic`, also as the element of a list or map, accepts any type.
    pub(crate) fn convert(&self, wanted: &Type) -> Result<Self, Error> {
        if *wanted == Type::Dynamic {
            return Ok(self.clone());
        }
        match self {
            Self::Null(Type::Absent) if *wanted != Type::Absent => {
                return Err(Error::new(
                    "the value is that of a variable with a type, but without a value: set the variable in the environment, or give it a default value",
                ));
            }
            Self::Null(kind) => {
                let complete = wanted.complete();
                return Ok(Self::Null(
                    if complete.has_dynamic() && *kind != Type::Dynamic {
                        kind.clone()
                    } else {
                        complete
                    },
                ));
            }
            _ if self.type_of() == *wanted => return Ok(self.clone()),
            _ => {}
        }
        match (self, wanted) {
            (_, Type::Bool | Type::Number | Type::String) => self.convert_primitive(wanted),
            (
                Self::List(_, values) | Self::Set(_, values) | Self::Tuple(values),
                Type::List(element) | Type::Set(element),
            ) => {
                let element = common_element(element, values.iter())?;
                let values = convert_all(values, &element)?;
                Ok(if matches!(wanted, Type::Set(_)) {
                    Self::set(element.complete(), values)
                } else {
                    Self::list(element.complete(), values)
                })
            }
            (Self::Tuple(values), Type::Tuple(types)) if values.len() == types.len() => {
                let values = values.iter().zip(types.iter()).enumerate();
                let values = values.map(|(index, (value, kind))| {
                    value
                        .convert(kind)
                        .map_err(|error| within(&format!("element {index}"), &error))
                });
                Ok(Self::tuple(values.collect::<Result<_, _>>()?))
            }
            (Self::Tuple(values), Type::Tuple(types)) => Err(Error::new(format!(
                "{} elements are required, not {}",
                types.len(),
                values.len()
            ))),
            (Self::Map(_, values) | Self::Object(values), Type::Map(element)) => {
                let element = common_element(element, values.values())?;
                let mut converted = BTreeMap::new();
                for (name, value) in values.iter() {
                    let value = value
                        .convert(&element)
                        .map_err(|error| within(&format!("element `{name}`"), &error))?;
                    converted.insert(name.clone(), value);
                }
                Ok(Self::map(element.complete(), converted))
            }
            (Self::Map(_, values) | Self::Object(values), Type::Object(attributes)) => {
                object(values, attributes, |_| false)
            }
            (Self::Map(_, values) | Self::Object(values), Type::Partial(attributes, optional)) => {
                object(values, attributes, |name| optional.contains(name))
            }
            _ => Err(required(wanted)),
        }
    }

    fn convert_primitive(&self, wanted: &Type) -> Result<Self, Error> {
        match (self, wanted) {
            (Self::Number(number), Type::String) => Ok(Self::string(number.to_string())),
            (Self::Bool(value), Type::String) => Ok(Self::string(value.to_string())),
            (Self::String(text), Type::Number) => Number::parse(text)
                .map(Self::Number)
                .map_err(|_| required(wanted)),
            (Self::String(text), Type::Bool) => match &**text {
                "true" | "1" => Ok(Self::Bool(true)),
                "false" | "0" => Ok(Self::Bool(false)),
                "True" | "TRUE" | "False" | "FALSE" => Err(Error::new(format!(
                    "a bool is required; write `{}` instead of `{text}`",
                    text.to_lowercase()
                ))),
                _ => Err(required(wanted)),
            },
            _ => Err(required(wanted)),
        }
    }
}

/// Whether values of one type can become those of the other. Without `lossy`, each value must.
pub(super) fn convertible(from: &Type, to: &Type, lossy: bool) -> bool {
    if from == to || *to == Type::Dynamic {
        return true;
    }
    match (from, to) {
        (Type::Dynamic, _) | (Type::String, Type::Number | Type::Bool) => lossy,
        (Type::Number | Type::Bool, Type::String) => true,
        // A set loses the order.
        (Type::List(from), Type::Set(to)) => lossy && convertible(from, to, lossy),
        (Type::List(from) | Type::Set(from), Type::List(to))
        | (Type::Set(from), Type::Set(to))
        | (Type::Map(from), Type::Map(to)) => convertible(from, to, lossy),
        (Type::Tuple(from), Type::List(to) | Type::Set(to)) => {
            if **to == Type::Dynamic {
                return unify(from, lossy).is_some();
            }
            from.iter().all(|from| convertible(from, to, lossy))
        }
        (Type::Tuple(from), Type::Tuple(to)) => {
            let mut pairs = from.iter().zip(to.iter());
            from.len() == to.len() && pairs.all(|(from, to)| convertible(from, to, lossy))
        }
        (Type::Object(from), Type::Map(to)) => {
            from.values().all(|from| convertible(from, to, lossy))
        }
        (Type::Object(from), Type::Object(to)) => to.iter().all(|(name, to)| {
            let from = from.get(name);
            from.is_some_and(|from| convertible(from, to, lossy))
        }),
        (Type::Map(from), Type::Object(to)) => {
            lossy && to.values().all(|to| convertible(from, to, lossy))
        }
        _ => false,
    }
}

/// The type of the elements: the wanted one, or for `Dynamic` the one that all have in common.
fn common_element<'a>(
    wanted: &Type,
    values: impl Iterator<Item = &'a Value>,
) -> Result<Type, Error> {
    if *wanted != Type::Dynamic {
        return Ok(wanted.clone());
    }
    let types: Vec<Type> = values.map(Value::type_of).collect();
    unify(&types, true).ok_or_else(|| Error::new("all elements must have the same type"))
}

fn convert_all(values: &[Value], element: &Type) -> Result<Vec<Value>, Error> {
    let converted = values.iter().enumerate().map(|(index, value)| {
        value
            .convert(element)
            .map_err(|error| within(&format!("element {index}"), &error))
    });
    converted.collect()
}

fn object(
    values: &Rc<BTreeMap<String, Value>>,
    attributes: &BTreeMap<String, Type>,
    optional: impl Fn(&str) -> bool,
) -> Result<Value, Error> {
    let mut converted = BTreeMap::new();
    for (name, kind) in attributes {
        let value = match values.get(name) {
            Some(value) => value
                .convert(kind)
                .map_err(|error| within(&format!("attribute `{name}`"), &error))?,
            None if optional(name) => Value::Null(kind.complete()),
            None => {
                return Err(Error::new(format!("the attribute `{name}` is required")));
            }
        };
        converted.insert(name.clone(), value);
    }
    Ok(Value::object(converted))
}

fn required(wanted: &Type) -> Error {
    let article = if matches!(wanted, Type::Object(_) | Type::Partial(..)) {
        "an"
    } else {
        "a"
    };
    Error::new(format!("{article} {wanted} is required"))
}

fn within(part: &str, error: &Error) -> Error {
    Error::new(format!("{part}: {}", error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primitives_convert() {
        for (text, kind, converted) in [
            ("1", Type::Number, Some("1")),
            ("1e3", Type::Number, Some("1000")),
            ("x", Type::Number, None),
            ("1", Type::Bool, Some("true")),
            ("false", Type::Bool, Some("false")),
            ("True", Type::Bool, None),
            ("", Type::Bool, None),
        ] {
            let value = Value::string(text).convert(&kind).ok();
            let value = value.map(|value| value.convert(&Type::String).unwrap());
            assert_eq!(value.as_ref().and_then(Value::as_str), converted, "{text}");
        }
        assert!(Value::integer(1).convert(&Type::Bool).is_err());
        assert!(Value::Bool(true).convert(&Type::Number).is_err());
    }

    #[test]
    fn collections_convert() {
        let tuple = Value::tuple(vec![Value::integer(1), Value::string("a")]);
        let strings = Type::list(Type::String);
        let list = tuple.convert(&strings).unwrap();
        assert_eq!(list.type_of(), strings);
        assert_eq!(tuple.convert(&Type::list(Type::Dynamic)).unwrap(), list);
        assert!(tuple.convert(&Type::list(Type::Number)).is_err());
        assert!(tuple.convert(&Type::map(Type::String)).is_err());
        assert!(
            list.convert(&Type::Tuple(Rc::new(vec![Type::String; 2])))
                .is_err()
        );
        let object = Value::object([("a".to_owned(), Value::integer(1))].into());
        let wanted = Type::Partial(
            Rc::new([("a".to_owned(), Type::String), ("b".to_owned(), Type::Bool)].into()),
            Rc::new(["b".to_owned()].into()),
        );
        let converted = object.convert(&wanted).unwrap();
        assert_eq!(converted.attribute("a").unwrap(), Value::string("1"));
        assert_eq!(converted.attribute("b").unwrap(), Value::Null(Type::Bool));
        assert!(object.convert(&Type::map(Type::String)).is_ok());
        let missing = Type::Object(Rc::new([("b".to_owned(), Type::Bool)].into()));
        assert!(object.convert(&missing).is_err());
        assert_eq!(
            Value::null().convert(&strings).unwrap(),
            Value::Null(strings)
        );
    }
}
