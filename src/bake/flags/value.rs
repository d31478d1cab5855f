//! Caches, outputs, attestations, secrets and SSH keys from values of the language, and back.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::Error;
use crate::ordered::IntoOrdered;
use crate::value::{Type, Value};

use super::{Attestation, Cache, Export, Secret, Ssh, boolean};

/// An entry of a list that is written as text or as object.
pub(crate) trait Entry: Sized {
    /// The entries of one element: several for a text with several references.
    fn from_value(value: &Value) -> Result<Vec<Self>, Error>;

    /// The object.
    fn to_value(&self) -> Value;

    /// The type of the object.
    fn kind() -> Type {
        Type::Map(Rc::new(Type::String))
    }
}

/// The entries of a list. Empty texts are skipped.
pub(crate) fn entries<T: Entry>(value: &Value) -> Result<Vec<T>, Error> {
    let elements = match value {
        Value::List(_, elements) | Value::Tuple(elements) => elements,
        Value::Null(_) => {
            return Err(Error::new(
                "the value must not be null; leave the attribute away or use `[]`",
            ));
        }
        value => {
            return Err(Error::new(format!(
                "expected a list of texts or objects, found {}",
                value.type_of()
            )));
        }
    };
    let mut entries = Vec::with_capacity(elements.len());
    for element in elements.iter() {
        match element {
            Value::String(text) if text.is_empty() => {}
            Value::Null(_) => return Err(Error::new("an element of the list is null")),
            element => entries.extend(T::from_value(element)?),
        }
    }
    Ok(entries)
}

/// The list of entries as a value.
pub(crate) fn list<T: Entry>(entries: Option<&Vec<T>>) -> Value {
    let values = entries.into_iter().flatten().map(T::to_value);
    Value::List(T::kind(), Rc::new(values.collect()))
}

impl Entry for Cache {
    fn from_value(value: &Value) -> Result<Vec<Self>, Error> {
        if let Value::String(text) = value {
            return Self::parse_all(&[text]);
        }
        let cache = Self::of_attributes(attributes(value)?);
        Ok(vec![
            cache.ok_or_else(|| Error::new("the cache has no `type`"))?,
        ])
    }

    fn to_value(&self) -> Value {
        map(&self.attributes, [("type", self.kind.as_str())])
    }
}

impl Entry for Export {
    fn from_value(value: &Value) -> Result<Vec<Self>, Error> {
        if let Value::String(text) = value {
            return Ok(vec![Self::parse(text)?]);
        }
        let export = Self::of_attributes(attributes(value)?);
        Ok(vec![
            export.ok_or_else(|| Error::new("the output has no `type`"))?,
        ])
    }

    fn to_value(&self) -> Value {
        map(
            &self.attributes,
            [("type", self.kind.as_str()), ("dest", &self.destination)],
        )
    }
}

impl Entry for Attestation {
    fn from_value(value: &Value) -> Result<Vec<Self>, Error> {
        if let Value::String(text) = value {
            return Ok(vec![Self::parse(text)?]);
        }
        let mut attributes = attributes(value)?;
        let kind = attributes.remove("type").unwrap_or_default();
        let disabled = match attributes.remove("disabled") {
            None => false,
            Some(text) => boolean(&text).ok_or_else(|| {
                Error::new(format!(
                    "`disabled` of the attestation is `{text}`, neither true nor false"
                ))
            })?,
        };
        Ok(vec![Self {
            kind,
            disabled,
            attributes,
        }])
    }

    fn to_value(&self) -> Value {
        let disabled = self.disabled.then_some(("disabled", "true"));
        map(
            &self.attributes,
            [("type", self.kind.as_str())].into_iter().chain(disabled),
        )
    }
}

impl Entry for Secret {
    fn from_value(value: &Value) -> Result<Vec<Self>, Error> {
        if let Value::String(text) = value {
            return Ok(vec![Self::parse(text)?]);
        }
        let members = members(value)?;
        Ok(vec![Self {
            id: text(members, "id")?,
            path: text(members, "src")?,
            variable: text(members, "env")?,
        }])
    }

    fn to_value(&self) -> Value {
        let texts = [
            ("id", &self.id),
            ("src", &self.path),
            ("env", &self.variable),
        ];
        let members =
            texts.map(|(name, text)| (name.to_owned(), Value::String(text.as_str().into())));
        Value::Object(Rc::new(members.into()))
    }

    fn kind() -> Type {
        let members = ["id", "src", "env"].map(|name| (name.to_owned(), Type::String));
        Type::Object(Rc::new(members.into()))
    }
}

impl Entry for Ssh {
    fn from_value(value: &Value) -> Result<Vec<Self>, Error> {
        if let Value::String(text) = value {
            return Ok(vec![Self::parse(text)]);
        }
        let members = members(value)?;
        let mut paths = Vec::new();
        if let Some(value) = members.get("paths") {
            let value = value.convert(&Type::List(Rc::new(Type::String)))?;
            if let Value::List(_, elements) = value {
                for element in elements.iter() {
                    let Value::String(path) = element else {
                        return Err(Error::new("one of the `paths` is null"));
                    };
                    paths.push(path.to_string());
                }
            }
        }
        Ok(vec![Self {
            id: text(members, "id")?,
            paths,
        }])
    }

    fn to_value(&self) -> Value {
        let paths = self
            .paths
            .iter()
            .map(|path| Value::String(path.as_str().into()));
        let members = BTreeMap::from([
            ("id".to_owned(), Value::String(self.id.as_str().into())),
            (
                "paths".to_owned(),
                Value::List(Type::String, Rc::new(paths.collect())),
            ),
        ]);
        Value::Object(Rc::new(members))
    }

    fn kind() -> Type {
        let members = BTreeMap::from([
            ("id".to_owned(), Type::String),
            ("paths".to_owned(), Type::List(Rc::new(Type::String))),
        ]);
        Type::Object(Rc::new(members))
    }
}

/// The members of an object, as texts.
fn attributes(value: &Value) -> Result<BTreeMap<String, String>, Error> {
    let Value::Map(_, members) = value.convert(&Type::Map(Rc::new(Type::String)))? else {
        return Err(Error::new("expected a text or an object"));
    };
    let texts = members.iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name.clone(), text.to_string())),
        _ => Err(Error::new(format!("`{name}` is null"))),
    });
    texts.try_into_ordered()
}

fn members(value: &Value) -> Result<&BTreeMap<String, Value>, Error> {
    match value {
        Value::Object(members) | Value::Map(_, members) => Ok(members),
        value => Err(Error::new(format!(
            "expected a text or an object, found {}",
            value.type_of()
        ))),
    }
}

/// The text of a member; empty if it does not exist or is null.
fn text(members: &BTreeMap<String, Value>, name: &str) -> Result<String, Error> {
    match members
        .get(name)
        .map(|value| value.convert(&Type::String))
        .transpose()
    {
        Ok(Some(Value::String(text))) => Ok(text.to_string()),
        Ok(_) => Ok(String::new()),
        Err(error) => Err(Error::new(format!("`{name}`: {}", error.message()))),
    }
}

fn map<'a>(
    attributes: &'a BTreeMap<String, String>,
    others: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Value {
    let attributes = attributes
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let members = attributes.chain(others);
    let members = members.map(|(name, value)| (name.to_owned(), Value::String(value.into())));
    Value::Map(Type::String, Rc::new(members.into_ordered()))
}
