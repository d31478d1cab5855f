//! Values of attributes as fields of groups and targets, and back.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::Error;
use crate::flags::{entries, list};
use crate::ordered::IntoOrdered;
use crate::target::{Group, Target};
use crate::value::{Type, Value};

use super::block::Output;
use super::names::Kind;

/// The attributes of a target that have a value for other expressions.
pub(super) const TARGET_FIELDS: [&str; 23] = [
    "args",
    "attest",
    "cache-from",
    "cache-to",
    "context",
    "contexts",
    "description",
    "dockerfile",
    "dockerfile-inline",
    "inherits",
    "labels",
    "network",
    "no-cache",
    "no-cache-filter",
    "output",
    "platforms",
    "project_id",
    "pull",
    "secret",
    "shm-size",
    "ssh",
    "tags",
    "target",
];

/// The attributes of a group.
pub(super) const GROUP_FIELDS: [&str; 2] = ["description", "targets"];

/// The attributes of a target that buildx has and the depot CLI ignores.
pub(super) const EXTRA_FIELDS: [&str; 4] =
    ["annotations", "entitlements", "extra-hosts", "ulimits"];

/// Whether a block of this kind has the attribute.
pub(super) fn is_field(kind: Kind, name: &str) -> bool {
    match kind {
        Kind::Group => GROUP_FIELDS.contains(&name),
        Kind::Target => TARGET_FIELDS.contains(&name),
    }
}

/// Sets an attribute.
pub(super) fn set(output: &mut Output, name: &str, value: &Value) -> Result<(), Error> {
    match output {
        Output::Group(group) => set_group(group, name, value),
        Output::Target(target) => set_target(target, name, value),
    }
}

fn set_group(group: &mut Group, name: &str, value: &Value) -> Result<(), Error> {
    match name {
        "description" => group.description = required_text(value)?,
        _ => group.targets = texts(value)?,
    }
    Ok(())
}

fn set_target(target: &mut Target, name: &str, value: &Value) -> Result<(), Error> {
    match name {
        "args" => target.args = nullable_texts_by_name(value)?,
        "attest" => target.attest = Some(entries(value)?),
        "cache-from" => target.cache_from = Some(entries(value)?),
        "cache-to" => target.cache_to = Some(entries(value)?),
        "context" => target.context = text(value)?,
        "contexts" => target.contexts = texts_by_name(value)?,
        "description" => target.description = required_text(value)?,
        "dockerfile" => target.dockerfile = text(value)?,
        "dockerfile-inline" => target.dockerfile_inline = text(value)?,
        "inherits" => target.inherits = texts(value)?,
        "labels" => target.labels = nullable_texts_by_name(value)?,
        "network" => target.network = text(value)?,
        "no-cache" => target.no_cache = boolean(value)?,
        "no-cache-filter" => target.no_cache_filter = texts(value)?,
        "output" => target.outputs = Some(entries(value)?),
        "platforms" => target.platforms = texts(value)?,
        "project_id" => target.project_id = required_text(value)?,
        "pull" => target.pull = boolean(value)?,
        "secret" => target.secrets = Some(entries(value)?),
        "shm-size" => target.shm_size = text(value)?,
        "ssh" => target.ssh = Some(entries(value)?),
        "tags" => target.tags = texts(value)?,
        "target" => target.target = text(value)?,
        "annotations" => target.extra.annotations = texts(value)?,
        "entitlements" => target.extra.entitlements = texts(value)?,
        "extra-hosts" => target.extra.extra_hosts = nullable_texts_by_name(value)?,
        "ulimits" => target.extra.ulimits = texts(value)?,
        _ => {}
    }
    Ok(())
}

/// A text; `None` is null.
fn text(value: &Value) -> Result<Option<String>, Error> {
    match value.convert(&Type::String)? {
        Value::String(text) => Ok(Some(text.to_string())),
        _ => Ok(None),
    }
}

fn required_text(value: &Value) -> Result<String, Error> {
    text(value)?.ok_or_else(|| Error::new("the value must not be null"))
}

fn boolean(value: &Value) -> Result<Option<bool>, Error> {
    match value.convert(&Type::Bool)? {
        Value::Bool(value) => Ok(Some(value)),
        _ => Ok(None),
    }
}

fn texts(value: &Value) -> Result<Option<Vec<String>>, Error> {
    let Value::List(_, elements) = value.convert(&Type::List(Rc::new(Type::String)))? else {
        return Ok(None);
    };
    let texts = elements.iter().map(|element| match element {
        Value::String(text) => Ok(text.to_string()),
        _ => Err(Error::new("an element of the list is null")),
    });
    Ok(Some(texts.collect::<Result<_, _>>()?))
}

fn nullable_texts_by_name(
    value: &Value,
) -> Result<Option<BTreeMap<String, Option<String>>>, Error> {
    let Value::Map(_, members) = value.convert(&Type::Map(Rc::new(Type::String)))? else {
        return Ok(None);
    };
    let texts = members.iter().map(|(name, value)| match value {
        Value::String(text) => (name.clone(), Some(text.to_string())),
        _ => (name.clone(), None),
    });
    Ok(Some(texts.into_ordered()))
}

fn texts_by_name(value: &Value) -> Result<Option<BTreeMap<String, String>>, Error> {
    let Some(texts) = nullable_texts_by_name(value)? else {
        return Ok(None);
    };
    let texts = texts.into_iter().map(|(name, text)| match text {
        Some(text) => Ok((name, text)),
        None => Err(Error::new(format!("`{name}` is null"))),
    });
    Ok(Some(texts.try_into_ordered()?))
}

/// The value that other expressions see. An attribute that is not set is null or empty, as in the CLI.
pub(super) fn value(output: &Output) -> Value {
    let members: Vec<(&str, Value)> = match output {
        Output::Group(group) => vec![
            ("name", of_text(&group.name)),
            ("description", of_text(&group.description)),
            ("targets", of_texts(group.targets.as_ref())),
        ],
        Output::Target(target) => vec![
            ("name", of_text(&target.name)),
            ("description", of_text(&target.description)),
            ("inherits", of_texts(target.inherits.as_ref())),
            ("attest", list(target.attest.as_ref())),
            ("context", of_optional(target.context.as_ref())),
            (
                "contexts",
                of_map(target.contexts.as_ref(), |text| of_text(text)),
            ),
            ("dockerfile", of_optional(target.dockerfile.as_ref())),
            (
                "dockerfile-inline",
                of_optional(target.dockerfile_inline.as_ref()),
            ),
            (
                "args",
                of_map(target.args.as_ref(), |text| of_optional(text.as_ref())),
            ),
            (
                "labels",
                of_map(target.labels.as_ref(), |text| of_optional(text.as_ref())),
            ),
            ("tags", of_texts(target.tags.as_ref())),
            ("cache-from", list(target.cache_from.as_ref())),
            ("cache-to", list(target.cache_to.as_ref())),
            ("target", of_optional(target.target.as_ref())),
            ("secret", list(target.secrets.as_ref())),
            ("ssh", list(target.ssh.as_ref())),
            ("platforms", of_texts(target.platforms.as_ref())),
            ("output", list(target.outputs.as_ref())),
            ("pull", of_boolean(target.pull)),
            ("no-cache", of_boolean(target.no_cache)),
            ("network", of_optional(target.network.as_ref())),
            ("no-cache-filter", of_texts(target.no_cache_filter.as_ref())),
            ("shm-size", of_optional(target.shm_size.as_ref())),
            ("project_id", of_text(&target.project_id)),
        ],
    };
    let members = members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Value::Object(Rc::new(members.into_ordered()))
}

fn of_text(text: &str) -> Value {
    Value::String(text.into())
}

fn of_optional(text: Option<&String>) -> Value {
    text.map_or(Value::Null(Type::String), |text| of_text(text))
}

fn of_boolean(value: Option<bool>) -> Value {
    value.map_or(Value::Null(Type::Bool), Value::Bool)
}

fn of_texts(texts: Option<&Vec<String>>) -> Value {
    match texts {
        None => Value::Null(Type::List(Rc::new(Type::String))),
        Some(texts) => {
            let texts = texts.iter().map(|text| of_text(text));
            Value::List(Type::String, Rc::new(texts.collect()))
        }
    }
}

fn of_map<T>(map: Option<&BTreeMap<String, T>>, value: impl Fn(&T) -> Value) -> Value {
    match map {
        None => Value::Null(Type::Map(Rc::new(Type::String))),
        Some(map) => {
            let members = map
                .iter()
                .map(|(name, member)| (name.clone(), value(member)));
            Value::Map(Type::String, Rc::new(members.into_ordered()))
        }
    }
}
