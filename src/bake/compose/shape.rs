//! Checks a tree against the shape that compose gives it.

use super::node::{Data, Node};
use crate::Error;
use crate::budget::Budget;

/// The values that are allowed at a place.
#[derive(Debug)]
pub(crate) enum Shape {
    Any,
    Null,
    Bool,
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Text of a form, with the words that describe it.
    Form(fn(&str) -> bool, &'static str),
    /// A date or a time, which attributes with text do not accept.
    Date,
    Number,
    /// A whole number in a range.
    Integer(i128, i128),
    List(&'static Shape),
    /// A list without duplicates.
    Set(&'static Shape),
    /// A mapping with names of the user.
    Map(Names, &'static Shape),
    Object(&'static Object),
    Either(&'static [Shape]),
}

/// The names that a mapping accepts.
#[derive(Debug)]
pub(crate) enum Names {
    /// Any name.
    Any,
    /// Letters, digits, `.`, `_` and `-`.
    Plain,
    /// As `Plain`; the values of other names are not checked.
    PlainChecked,
    /// Lower-case letters; the values of other names are not checked.
    LowerChecked,
}

/// A mapping with known attributes.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) attributes: &'static [(&'static str, Shape)],
    pub(crate) required: &'static [&'static str],
    /// Whether attributes with `x-` are allowed.
    pub(crate) extensions: bool,
}

pub(crate) const INTEGER: Shape = Shape::Integer(i128::MIN, i128::MAX);

/// Checks a node; `path` names it in errors.
pub(crate) fn check(node: &Node, shape: &Shape, path: &str, budget: &Budget) -> Result<(), Error> {
    budget.step()?;
    match (shape, &node.data) {
        (Shape::Any, _) => finite(node, path, budget),
        (Shape::List(item) | Shape::Set(item), Data::List(list)) => {
            for (index, node) in list.iter().enumerate() {
                budget.deeper(|| check(node, item, &format!("{path}[{index}]"), budget))?;
            }
            if matches!(shape, Shape::Set(_)) {
                unique(list, path)?;
            }
            Ok(())
        }
        (Shape::Map(names, value), Data::Map(map)) => {
            for (name, node) in map {
                match names.accept(name) {
                    Some(true) => {
                        budget.deeper(|| check(node, value, &format!("{path}.{name}"), budget))?;
                    }
                    Some(false) => {}
                    None => {
                        return Err(node.error(format!(
                            "`{path}` has the name `{name}`: use letters, digits, `.`, `_` and `-`"
                        )));
                    }
                }
            }
            Ok(())
        }
        (Shape::Object(object), Data::Map(_)) => check_object(node, object, path, budget),
        (Shape::Either(shapes), _) => check_either(node, shapes, path, budget),
        (Shape::Word(words), Data::Text(text)) if !words.contains(&text.as_str()) => {
            Err(node.error(format!("`{path}` must be one of {}", words.join(", "))))
        }
        (Shape::Form(is_of_form, form), Data::Text(text)) if !is_of_form(text) => {
            Err(node.error(format!("`{path}` must be {form}, not `{text}`")))
        }
        (Shape::Integer(least, most), Data::Integer(value)) if value < least || value > most => {
            Err(node.error(format!("`{path}` must be between {least} and {most}")))
        }
        _ if shape.accepts_kind(node) => finite(node, path, budget),
        _ => Err(node.error(format!(
            "`{path}` must be {}, not {}",
            shape.name(),
            node.kind()
        ))),
    }
}

fn check_object(node: &Node, object: &Object, path: &str, budget: &Budget) -> Result<(), Error> {
    let attributes = node.as_map().into_iter().flatten();
    for (name, value) in attributes {
        let inner = || {
            if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            }
        };
        let known = object.attributes.iter().find(|(known, _)| known == name);
        match known {
            Some((_, shape)) => budget.deeper(|| check(value, shape, &inner(), budget))?,
            None if object.extensions && name.starts_with("x-") => finite(value, &inner(), budget)?,
            None => {
                let place = if path.is_empty() {
                    "the file".into()
                } else {
                    format!("`{path}`")
                };
                return Err(value.error(format!("{place} has an unknown attribute `{name}`")));
            }
        }
    }
    match object.required.iter().find(|name| node.get(name).is_none()) {
        Some(name) => Err(node.error(format!("`{path}` needs the attribute `{name}`"))),
        None => Ok(()),
    }
}

/// Checks the alternative that fits the kind of the value.
fn check_either(node: &Node, shapes: &[Shape], path: &str, budget: &Budget) -> Result<(), Error> {
    let mut failure = None;
    for shape in shapes.iter().filter(|shape| shape.accepts_kind(node)) {
        match budget.deeper(|| check(node, shape, path, budget)) {
            Ok(()) => return Ok(()),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| {
        let names: Vec<_> = shapes.iter().map(Shape::name).collect();
        node.error(format!(
            "`{path}` must be {}, not {}",
            names.join(" or "),
            node.kind()
        ))
    }))
}

/// Numbers without a value, `.inf` and `.nan`, are allowed nowhere.
fn finite(node: &Node, path: &str, budget: &Budget) -> Result<(), Error> {
    budget.step()?;
    match &node.data {
        Data::Float(value) if !value.is_finite() => {
            Err(node.error(format!("`{path}` must be a finite number")))
        }
        Data::List(list) => list
            .iter()
            .try_for_each(|node| budget.deeper(|| finite(node, path, budget))),
        Data::Map(map) => map
            .values()
            .try_for_each(|node| budget.deeper(|| finite(node, path, budget))),
        _ => Ok(()),
    }
}

/// Duplicates are errors; items that are mappings have been merged before.
fn unique(list: &[Node], path: &str) -> Result<(), Error> {
    let mut known = std::collections::BTreeSet::new();
    for node in list {
        let is_scalar = !matches!(node.data, Data::List(_) | Data::Map(_));
        if is_scalar && !known.insert((node.as_text().is_some(), node.to_string())) {
            return Err(node.error(format!("`{path}` has `{node}` twice")));
        }
    }
    Ok(())
}

impl Shape {
    fn accepts_kind(&self, node: &Node) -> bool {
        match (self, &node.data) {
            (Self::Integer(..), Data::Float(value)) => value.fract() == 0.0,
            (Self::Either(shapes), _) => shapes.iter().any(|shape| shape.accepts_kind(node)),
            (Self::Any, _)
            | (Self::Null, Data::Null)
            | (Self::Bool, Data::Bool(_))
            | (Self::Text | Self::Word(_) | Self::Form(..), Data::Text(_))
            | (Self::Date, Data::Time(_))
            | (Self::Number, Data::Integer(_) | Data::Float(_))
            | (Self::Integer(..), Data::Integer(_))
            | (Self::List(_) | Self::Set(_), Data::List(_))
            | (Self::Map(..) | Self::Object(_), Data::Map(_)) => true,
            _ => false,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Any | Self::Either(_) => "another value",
            Self::Null => "empty",
            Self::Bool => "a boolean",
            Self::Text | Self::Word(_) | Self::Form(..) => "text",
            Self::Date => "a date",
            Self::Number => "a number",
            Self::Integer(..) => "a whole number",
            Self::List(_) | Self::Set(_) => "a list",
            Self::Map(..) | Self::Object(_) => "a mapping",
        }
    }
}

impl Names {
    /// Whether the value of a name is checked; nothing for a name that is not allowed.
    fn accept(&self, name: &str) -> Option<bool> {
        let is_plain = || {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        match self {
            Self::Any => (!name.is_empty()).then_some(true),
            Self::Plain => is_plain().then_some(true),
            Self::PlainChecked => Some(is_plain()),
            Self::LowerChecked => {
                Some(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase()))
            }
        }
    }
}
