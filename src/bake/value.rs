//! Values, types and conversions of the language, with the semantics of `cty` 1.13.

pub(crate) mod number;

use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) use number::Number;

/// A value. Cloning is cheap.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// No value, of this type.
    Null(Type),
    Bool(bool),
    Number(Number),
    String(Rc<str>),
    /// Elements of one type.
    List(Type, Rc<Vec<Value>>),
    /// Distinct elements of one type, in the order of `cty`.
    Set(Type, Rc<Vec<Value>>),
    /// Elements of any type.
    Tuple(Rc<Vec<Value>>),
    /// Elements of one type, by name.
    Map(Type, Rc<BTreeMap<String, Value>>),
    /// Attributes of any type, by name.
    Object(Rc<BTreeMap<String, Value>>),
}

/// A type. `Dynamic` is the type of an untyped null, and `any` as a constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Dynamic,
    Bool,
    Number,
    String,
    List(Rc<Type>),
    Set(Rc<Type>),
    Map(Rc<Type>),
    Tuple(Rc<Vec<Type>>),
    Object(Rc<BTreeMap<String, Type>>),
}
