//! The tree of a compose file. Each node knows its place, so that an error shows it after merges too.

use std::fmt::{self, Display, Formatter};

use indexmap::IndexMap;

use super::scalar;
use crate::budget::Budget;
use crate::{Error, Place};

/// The entries of a mapping, in the order of the file.
pub(crate) type Map = IndexMap<String, Node>;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) data: Data,
    pub(crate) place: Place,
}

/// A value of YAML.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    /// A date or a time, as compose prints it.
    Time(String),
    List(Vec<Node>),
    Map(Map),
}

impl Node {
    pub(crate) fn new(data: Data, place: &Place) -> Self {
        Self {
            data,
            place: place.clone(),
        }
    }

    pub(crate) fn text(text: impl Into<String>, place: &Place) -> Self {
        Self::new(Data::Text(text.into()), place)
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match &self.data {
            Data::List(list) => Some(list),
            _ => None,
        }
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.data {
            Data::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.data {
            Data::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The entry of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.as_map_mut()?.get_mut(key)
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        Error::at(self.place.clone(), message)
    }

    /// The kind of the value, for errors.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "empty",
            Data::Bool(_) => "a boolean",
            Data::Integer(_) | Data::Float(_) => "a number",
            Data::Text(_) => "text",
            Data::Time(_) => "a date",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }

    /// The bytes that a copy needs, about. The depth is limited where nodes are created.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>()
            + match &self.data {
                Data::Text(text) | Data::Time(text) => text.len(),
                Data::List(list) => list.iter().map(Self::size).sum(),
                Data::Map(map) => map
                    .iter()
                    .map(|(key, node)| key.len() + size_of::<String>() + node.size())
                    .sum(),
                _ => 0,
            }
    }

    /// A copy, within the limits.
    pub(crate) fn copy(&self, budget: &Budget) -> Result<Self, Error> {
        budget
            .bytes(self.size())
            .map_err(|error| error.or_at(|| self.place.clone()))?;
        Ok(self.clone())
    }
}

/// The text that compose makes of a scalar.
impl Display for Node {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match &self.data {
            Data::Null => formatter.write_str("<nil>"),
            Data::Bool(value) => value.fmt(formatter),
            Data::Integer(value) => value.fmt(formatter),
            Data::Float(value) => formatter.write_str(&scalar::float(*value)),
            Data::Text(text) | Data::Time(text) => formatter.write_str(text),
            Data::List(_) | Data::Map(_) => formatter.write_str(self.kind()),
        }
    }
}

/// The items of a list; nothing if the node is not a list.
pub(crate) fn list_mut(node: Option<&mut Node>) -> &mut [Node] {
    match node.map(|node| &mut node.data) {
        Some(Data::List(list)) => list,
        _ => &mut [],
    }
}

/// Whether `path` is the one of `pattern`, in which `*` stands for any key.
pub(crate) fn matches<P: AsRef<str>>(path: &[&str], pattern: &[P]) -> bool {
    path.len() == pattern.len()
        && path
            .iter()
            .zip(pattern)
            .all(|(part, wanted)| wanted.as_ref() == "*" || wanted.as_ref() == *part)
}

/// Whether `path` is the one of `pattern`, which is written with dots.
pub(crate) fn matches_text(path: &[&str], pattern: &str) -> bool {
    let mut parts = path.iter();
    pattern.split('.').all(|wanted| {
        parts
            .next()
            .is_some_and(|part| wanted == "*" || wanted == *part)
    }) && parts.next().is_none()
}
