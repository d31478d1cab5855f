//! Length, elements, attributes and indexes.

use super::{Number, Type, Value};
use crate::Error;

impl Value {
    /// The number of elements or attributes; `None` for a primitive or null.
    pub(crate) fn length(&self) -> Option<usize> {
        match self {
            Self::List(_, values) | Self::Set(_, values) | Self::Tuple(values) => {
                Some(values.len())
            }
            Self::Map(_, values) | Self::Object(values) => Some(values.len()),
            _ => None,
        }
    }

    /// The elements of a list, set or tuple, or the values of a map or object in the order of their names; `None` for others.
    pub(crate) fn elements(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(_, values) | Self::Set(_, values) | Self::Tuple(values) => {
                Some(values.to_vec())
            }
            Self::Map(_, values) | Self::Object(values) => Some(values.values().cloned().collect()),
            _ => None,
        }
    }

    /// Keys and values as `for` sees them: the index, the name, or the element of a set.
    pub(crate) fn entries(&self) -> Option<Vec<(Self, Self)>> {
        let entries = match self {
            Self::List(_, values) | Self::Tuple(values) => (0_i64..)
                .zip(values.iter())
                .map(|(index, value)| (Self::integer(index), value.clone()))
                .collect(),
            Self::Set(_, values) => values
                .iter()
                .map(|value| (value.clone(), value.clone()))
                .collect(),
            Self::Map(_, values) | Self::Object(values) => values
                .iter()
                .map(|(name, value)| (Self::string(name.as_str()), value.clone()))
                .collect(),
            _ => return None,
        };
        Some(entries)
    }

    /// The attribute `value.name`.
    pub(crate) fn attribute(&self, name: &str) -> Result<Self, Error> {
        match self {
            Self::Object(values) => values
                .get(name)
                .cloned()
                .ok_or_else(|| Error::new(format!("the object has no attribute `{name}`"))),
            Self::Map(_, values) => values
                .get(name)
                .cloned()
                .ok_or_else(|| Error::new(format!("the map has no element `{name}`"))),
            Self::Null(_) => Err(Error::new(format!(
                "the value is null, so it has no attribute `{name}`"
            ))),
            Self::List(..) | Self::Set(..) | Self::Tuple(_) => Err(Error::new(format!(
                "a {} has no attribute `{name}`; write `[*].{name}` for that of each element",
                self.type_of()
            ))),
            _ => Err(Error::new(format!(
                "a {} has no attribute `{name}`",
                self.type_of()
            ))),
        }
    }

    /// The element `value[key]`.
    pub(crate) fn index(&self, key: &Self) -> Result<Self, Error> {
        if self.is_null() {
            return Err(Error::new("the value is null, so it has no elements"));
        }
        if key.is_null() {
            return Err(Error::new("an index must not be null"));
        }
        match self {
            Self::List(_, values) | Self::Tuple(values) => {
                let Self::Number(number) = key.convert(&Type::Number)? else {
                    return Err(Error::new("an index must be a number"));
                };
                let index = position(&number)?;
                let value = index.and_then(|index| values.get(index));
                value.cloned().ok_or_else(|| {
                    Error::new(format!(
                        "no element {number}: the {} has {} elements",
                        self.type_of(),
                        values.len()
                    ))
                })
            }
            Self::Map(_, values) | Self::Object(values) => {
                let name = key.convert(&Type::String)?;
                let name = name.as_str().unwrap_or_default();
                values.get(name).cloned().ok_or_else(|| {
                    Error::new(format!("the {} has no element `{name}`", self.type_of()))
                })
            }
            Self::Set(..) => Err(Error::new(
                "the elements of a set have no index; convert it to a list first",
            )),
            _ => Err(Error::new(format!("a {} has no elements", self.type_of()))),
        }
    }
}

fn position(number: &Number) -> Result<Option<usize>, Error> {
    if !number.is_integer() {
        return Err(Error::new("an index must be a whole number"));
    }
    Ok(number
        .to_i64()
        .and_then(|index| usize::try_from(index).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_convert_their_key() {
        let list = Value::tuple(vec![Value::integer(1), Value::integer(2)]);
        assert_eq!(list.index(&Value::string("1")).unwrap(), Value::integer(2));
        assert_eq!(list.index(&Value::integer(0)).unwrap(), Value::integer(1));
        for key in [
            Value::integer(2),
            Value::integer(-1),
            Value::string("a"),
            Value::Number(Number::parse("1.5").unwrap()),
            Value::null(),
        ] {
            assert!(list.index(&key).is_err(), "{key:?}");
        }
        let object = Value::object([("1".to_owned(), Value::integer(5))].into());
        assert_eq!(object.index(&Value::integer(1)).unwrap(), Value::integer(5));
        assert_eq!(object.attribute("1").unwrap(), Value::integer(5));
        assert!(object.attribute("x").is_err());
        assert!(Value::string("abc").index(&Value::integer(0)).is_err());
    }
}
