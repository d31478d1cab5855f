//! Types: their names and the type that several ones have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::rc::Rc;

use super::convert::convertible;
use crate::ordered::IntoOrdered;

/// A type. `Dynamic` is the type of an untyped null, and `any` as a constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Dynamic,
    /// The type of the null that a variable without a value has. It converts to no other type.
    Absent,
    Bool,
    Number,
    String,
    List(Rc<Type>),
    Set(Rc<Type>),
    Map(Rc<Type>),
    Tuple(Rc<Vec<Type>>),
    Object(Rc<BTreeMap<String, Type>>),
    /// A constraint only: an object with attributes that can be absent. Such an attribute is null then.
    Partial(Rc<BTreeMap<String, Type>>, Rc<BTreeSet<String>>),
}

impl Type {
    pub(crate) fn list(element: Self) -> Self {
        Self::List(Rc::new(element))
    }

    pub(crate) fn set(element: Self) -> Self {
        Self::Set(Rc::new(element))
    }

    pub(crate) fn map(element: Self) -> Self {
        Self::Map(Rc::new(element))
    }

    /// Whether the type is `Dynamic` or one of its parts is.
    pub(crate) fn has_dynamic(&self) -> bool {
        self.contains(&Self::Dynamic)
    }

    /// Whether the type, or one of its parts, is this one without parts.
    fn contains(&self, simple: &Self) -> bool {
        match self {
            Self::Dynamic | Self::Absent | Self::Bool | Self::Number | Self::String => {
                self == simple
            }
            Self::List(element) | Self::Set(element) | Self::Map(element) => {
                element.contains(simple)
            }
            Self::Tuple(elements) => elements.iter().any(|element| element.contains(simple)),
            Self::Object(attributes) | Self::Partial(attributes, _) => {
                attributes.values().any(|kind| kind.contains(simple))
            }
        }
    }

    /// The type without absent attributes: what a value of it has.
    pub(crate) fn complete(&self) -> Self {
        match self {
            Self::Dynamic | Self::Absent | Self::Bool | Self::Number | Self::String => self.clone(),
            Self::List(element) => Self::list(element.complete()),
            Self::Set(element) => Self::set(element.complete()),
            Self::Map(element) => Self::map(element.complete()),
            Self::Tuple(elements) => {
                Self::Tuple(Rc::new(elements.iter().map(Self::complete).collect()))
            }
            Self::Object(attributes) | Self::Partial(attributes, _) => {
                let attributes = attributes
                    .iter()
                    .map(|(name, kind)| (name.clone(), kind.complete()));
                Self::Object(Rc::new(attributes.into_ordered()))
            }
        }
    }

    pub(crate) fn is_primitive(&self) -> bool {
        matches!(self, Self::Bool | Self::Number | Self::String)
    }
}

/// The name for readers, such as `list of string`.
impl Display for Type {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dynamic => formatter.write_str("dynamic"),
            Self::Absent => formatter.write_str("variable without a value"),
            Self::Bool => formatter.write_str("bool"),
            Self::Number => formatter.write_str("number"),
            Self::String => formatter.write_str("string"),
            Self::List(element) => write!(formatter, "list of {element}"),
            Self::Set(element) => write!(formatter, "set of {element}"),
            Self::Map(element) => write!(formatter, "map of {element}"),
            Self::Tuple(_) => formatter.write_str("tuple"),
            Self::Object(_) | Self::Partial(..) => formatter.write_str("object"),
        }
    }
}

/// The type to which all of `types` convert, if there is one. A `lossy` one accepts conversions that depend on the value, such as that
/// of a string to a number.
pub(crate) fn unify(types: &[Type], lossy: bool) -> Option<Type> {
    let Some(first) = types.first() else {
        return Some(Type::Dynamic);
    };
    if types.iter().any(|kind| kind.contains(&Type::Absent)) {
        return None;
    }
    if types.iter().all(|kind| kind == first) {
        return Some(first.clone());
    }
    let count = |test: fn(&Type) -> bool| types.iter().filter(|kind| test(kind)).count();
    let all = types.len();
    let maps = count(|kind| matches!(kind, Type::Map(_)));
    let lists = count(|kind| matches!(kind, Type::List(_)));
    let sets = count(|kind| matches!(kind, Type::Set(_)));
    let objects = count(|kind| matches!(kind, Type::Object(_) | Type::Partial(..)));
    let tuples = count(|kind| matches!(kind, Type::Tuple(_)));
    let dynamic = count(|kind| *kind == Type::Dynamic);
    if maps > 0 && maps + dynamic == all {
        return collection(types, Type::map, dynamic > 0, lossy);
    }
    if maps > 0 && maps + objects + dynamic == all {
        if let Some(element) = unify(&element_types(types), lossy) {
            return Some(Type::map(element));
        }
    } else if lists > 0 && lists + dynamic == all {
        return collection(types, Type::list, dynamic > 0, lossy);
    } else if lists > 0 && lists + tuples + dynamic == all {
        if let Some(element) = unify(&element_types(types), lossy) {
            return Some(Type::list(element));
        }
    } else if sets > 0 && sets + dynamic == all {
        return collection(types, Type::set, dynamic > 0, lossy);
    } else if (objects > 0 && objects + dynamic == all) || (tuples > 0 && tuples + dynamic == all) {
        if dynamic > 0 {
            return Some(Type::Dynamic);
        }
        return if objects > 0 {
            unify_objects(types, lossy)
        } else {
            unify_tuples(types, lossy)
        };
    } else if objects > 0 && tuples > 0 {
        return None;
    }
    let strings = types.iter().filter(|kind| **kind == Type::String);
    let others = types
        .iter()
        .filter(|kind| !matches!(kind, Type::String | Type::Dynamic));
    let mut dynamics = types.iter().filter(|kind| **kind == Type::Dynamic);
    let accepts = |wanted: &&Type, lossy: bool| {
        types
            .iter()
            .all(|kind| kind == *wanted || convertible(kind, wanted, lossy))
    };
    // A type to which the others convert without loss is the more general one.
    let mut candidates = strings.chain(others);
    let general = candidates.clone().find(|wanted| accepts(wanted, false));
    general
        .or_else(|| candidates.find(|wanted| accepts(wanted, lossy)))
        .or_else(|| dynamics.find(|wanted| accepts(wanted, lossy)))
        .cloned()
}

fn collection(
    types: &[Type],
    of: fn(Type) -> Type,
    has_dynamic: bool,
    lossy: bool,
) -> Option<Type> {
    if has_dynamic {
        return Some(Type::Dynamic);
    }
    unify(&element_types(types), lossy).map(of)
}

/// The types of all elements and attributes, each once.
fn element_types(types: &[Type]) -> Vec<Type> {
    let mut elements: Vec<Type> = Vec::new();
    let mut add = |kind: &Type| {
        if !elements.contains(kind) {
            elements.push(kind.clone());
        }
    };
    for kind in types {
        match kind {
            Type::List(element) | Type::Set(element) | Type::Map(element) => add(element),
            Type::Tuple(elements) => elements.iter().for_each(&mut add),
            Type::Object(attributes) | Type::Partial(attributes, _) => {
                attributes.values().for_each(&mut add);
            }
            _ => add(kind),
        }
    }
    elements
}

fn unify_objects(types: &[Type], lossy: bool) -> Option<Type> {
    let objects: Vec<&BTreeMap<String, Type>> = types
        .iter()
        .filter_map(|kind| match kind {
            Type::Object(attributes) | Type::Partial(attributes, _) => Some(&**attributes),
            _ => None,
        })
        .collect();
    let first = objects.first()?;
    if objects.iter().any(|other| !other.keys().eq(first.keys())) {
        return unify(&element_types(types), lossy).map(Type::map);
    }
    let mut attributes = BTreeMap::new();
    for name in first.keys() {
        let kinds: Vec<Type> = objects
            .iter()
            .filter_map(|object| object.get(name).cloned())
            .collect();
        attributes.insert(name.clone(), unify(&kinds, lossy)?);
    }
    Some(Type::Object(Rc::new(attributes)))
}

fn unify_tuples(types: &[Type], lossy: bool) -> Option<Type> {
    let tuples: Vec<&Vec<Type>> = types
        .iter()
        .filter_map(|kind| match kind {
            Type::Tuple(elements) => Some(&**elements),
            _ => None,
        })
        .collect();
    let length = tuples.first()?.len();
    if tuples.iter().any(|other| other.len() != length) {
        return unify(&element_types(types), lossy).map(Type::list);
    }
    let mut elements = Vec::with_capacity(length);
    for index in 0..length {
        let kinds: Vec<Type> = tuples
            .iter()
            .filter_map(|tuple| tuple.get(index).cloned())
            .collect();
        elements.push(unify(&kinds, lossy)?);
    }
    Some(Type::Tuple(Rc::new(elements)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(elements: &[Type]) -> Type {
        Type::Tuple(Rc::new(elements.to_vec()))
    }

    fn object(attributes: &[(&str, Type)]) -> Type {
        let attributes = attributes
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), kind.clone()));
        Type::Object(Rc::new(attributes.collect()))
    }

    #[test]
    fn types_unify_as_in_the_cli() {
        use Type::{Bool, Dynamic, Number, String};
        for (types, unified) in [
            (vec![], Some(Dynamic)),
            (vec![Number, String], Some(String)),
            (vec![Bool, Number], None),
            (vec![Number, Dynamic], Some(Dynamic)),
            (
                vec![tuple(&[Number]), tuple(&[String])],
                Some(tuple(&[String])),
            ),
            (
                vec![tuple(&[Number, String]), tuple(&[Number])],
                Some(Type::list(String)),
            ),
            (
                vec![tuple(&[]), Type::list(Number)],
                Some(Type::list(Number)),
            ),
            (
                vec![object(&[("a", Number)]), object(&[("a", String)])],
                Some(object(&[("a", String)])),
            ),
            (
                vec![object(&[("a", Number)]), object(&[("b", String)])],
                Some(Type::map(String)),
            ),
            (
                vec![Type::map(Number), object(&[("b", String)])],
                Some(Type::map(String)),
            ),
            (vec![tuple(&[]), object(&[])], None),
            (vec![String, tuple(&[])], None),
        ] {
            assert_eq!(unify(&types, false), unified, "{types:?}");
        }
        assert_eq!(unify(&[Bool, Number], true), None);
        assert_eq!(unify(&[Number, Dynamic], true), Some(Number));
    }
}
