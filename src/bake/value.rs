//! Values, types and conversions of the language, with the semantics of `cty` 1.13.
//!
//! | module | content |
//! |---|---|
//! | `number` | numbers of 512 bits |
//! | `types` | types: names, unification |
//! | `convert` | conversion of a value to a type |
//! | `access` | length, elements, attributes and indexes |
//! | `set` | the order of sets |
//! | `size` | the size of values |
//! | `json` | JSON in and out |

mod access;
mod convert;
mod json;
pub(crate) mod number;
mod set;
mod size;
mod types;

use crate::ordered::IntoOrdered;
use std::collections::BTreeMap;
use std::rc::Rc;

use icu_normalizer::ComposingNormalizerBorrowed;

pub(crate) use number::Number;
pub(crate) use types::{Type, unify};

/// A value. Cloning is cheap. `==` compares structure and types; [`Value::equals`] is that of the language.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// No value, of this type.
    Null(Type),
    Bool(bool),
    Number(Number),
    String(Rc<str>),
    /// Elements of one type.
    List(Type, Rc<Vec<Value>>),
    /// Distinct elements of one type, in the order of `cty`. [`Value::set`] creates one.
    Set(Type, Rc<Vec<Value>>),
    /// Elements of any type.
    Tuple(Rc<Vec<Value>>),
    /// Elements of one type, by name.
    Map(Type, Rc<BTreeMap<String, Value>>),
    /// Attributes of any type, by name.
    Object(Rc<BTreeMap<String, Value>>),
}

impl Value {
    /// The untyped null.
    pub(crate) fn null() -> Self {
        Self::Null(Type::Dynamic)
    }

    /// A string, in the normal form NFC.
    pub(crate) fn string(text: impl Into<Rc<str>>) -> Self {
        let text = text.into();
        if text.is_ascii() {
            return Self::String(text);
        }
        let normal = ComposingNormalizerBorrowed::new_nfc().normalize(&text);
        Self::String(normal.into())
    }

    /// An integer.
    pub(crate) fn integer(value: i64) -> Self {
        Self::Number(Number::from(value))
    }

    /// A list; all elements have the type.
    pub(crate) fn list(element: Type, values: Vec<Self>) -> Self {
        Self::List(element, Rc::new(values))
    }

    /// A set: sorts the values and removes duplicates. All have the type.
    pub(crate) fn set(element: Type, values: Vec<Self>) -> Self {
        let values = set::normal(&element, values);
        Self::Set(element, Rc::new(values))
    }

    /// A tuple.
    pub(crate) fn tuple(values: Vec<Self>) -> Self {
        Self::Tuple(Rc::new(values))
    }

    /// A map; all elements have the type.
    pub(crate) fn map(element: Type, values: BTreeMap<String, Self>) -> Self {
        Self::Map(element, Rc::new(values))
    }

    /// An object.
    pub(crate) fn object(values: BTreeMap<String, Self>) -> Self {
        Self::Object(Rc::new(values))
    }

    /// Whether it is null, of any type.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null(_))
    }

    /// The text of a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The type.
    pub(crate) fn type_of(&self) -> Type {
        match self {
            Self::Null(kind) => kind.clone(),
            Self::Bool(_) => Type::Bool,
            Self::Number(_) => Type::Number,
            Self::String(_) => Type::String,
            Self::List(element, _) => Type::list(element.clone()),
            Self::Set(element, _) => Type::set(element.clone()),
            Self::Map(element, _) => Type::map(element.clone()),
            Self::Tuple(values) => Type::Tuple(Rc::new(values.iter().map(Self::type_of).collect())),
            Self::Object(values) => {
                let types = values
                    .iter()
                    .map(|(name, value)| (name.clone(), value.type_of()));
                Type::Object(Rc::new(types.into_ordered()))
            }
        }
    }

    /// The `==` of the language: values of different types differ, nulls of any type are equal.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null(_), Self::Null(_)) => true,
            (Self::Null(_), _) | (_, Self::Null(_)) => false,
            (Self::List(left, a), Self::List(right, b))
            | (Self::Set(left, a), Self::Set(right, b)) => {
                left == right && all_equal(a.iter(), b.iter())
            }
            (Self::Tuple(a), Self::Tuple(b)) => {
                self.type_of() == other.type_of() && all_equal(a.iter(), b.iter())
            }
            (Self::Map(left, a), Self::Map(right, b)) => {
                left == right && a.keys().eq(b.keys()) && all_equal(a.values(), b.values())
            }
            (Self::Object(a), Self::Object(b)) => {
                self.type_of() == other.type_of()
                    && a.keys().eq(b.keys())
                    && all_equal(a.values(), b.values())
            }
            _ => self == other,
        }
    }
}

fn all_equal<'a>(
    mut left: impl ExactSizeIterator<Item = &'a Value>,
    right: impl ExactSizeIterator<Item = &'a Value>,
) -> bool {
    left.len() == right.len() && {
        let mut right = right;
        left.all(|value| right.next().is_some_and(|other| value.equals(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_that_of_the_language() {
        let tuple = |value: &Value| Value::tuple(vec![value.clone()]);
        let (one, text) = (Value::integer(1), Value::string("1"));
        assert!(!one.equals(&text));
        assert!(one.equals(&Value::Number(Number::parse("1.0").unwrap())));
        assert!(Value::string("e\u{301}").equals(&Value::string("\u{e9}")));
        assert!(Value::null().equals(&Value::Null(Type::String)));
        assert!(!Value::null().equals(&one));
        assert!(tuple(&one).equals(&tuple(&one)));
        assert!(!tuple(&one).equals(&Value::list(Type::Number, vec![one])));
    }
}
