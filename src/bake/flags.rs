//! Caches, outputs, attestations, secrets and SSH keys, as text and as object.

pub(crate) mod csv;
mod text;
mod value;

use std::collections::BTreeMap;

use crate::Error;

use csv::fields;
pub(crate) use csv::line_fields as csv_line_fields;
pub(crate) use value::{entries, list};

/// A cache to import from or to export to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// `registry`, `inline`, `s3` and so on.
    pub kind: String,
    /// All other attributes, such as `ref`.
    pub attributes: BTreeMap<String, String>,
}

/// An output of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// `image`, `registry`, `local`, `tar` and so on.
    pub kind: String,
    /// The file or the directory; empty if there is none.
    pub destination: String,
    /// All other attributes, such as `push`.
    pub attributes: BTreeMap<String, String>,
}

/// An attestation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// `provenance` or `sbom`.
    pub kind: String,
    /// `true` turns the attestation off.
    pub disabled: bool,
    /// All other attributes, such as `mode`.
    pub attributes: BTreeMap<String, String>,
}

/// A secret; a part that is not set is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// The name for `RUN --mount=type=secret`.
    pub id: String,
    /// The file with the value.
    pub path: String,
    /// The variable with the value.
    pub variable: String,
}

/// An SSH agent or keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    /// The name for `RUN --mount=type=ssh`.
    pub id: String,
    /// The sockets or keys; empty for the agent of the environment.
    pub paths: Vec<String>,
}

impl Cache {
    /// Parses several texts; empty ones are skipped. A text without `=` is a list of references.
    pub(crate) fn parse_all<T: AsRef<str>>(texts: &[T]) -> Result<Vec<Self>, Error> {
        let mut caches = Vec::new();
        for text in texts
            .iter()
            .map(AsRef::as_ref)
            .filter(|text| !text.is_empty())
        {
            let fields = fields(text)?;
            if text.contains('=') {
                caches.push(Self::of_fields(&fields, text)?);
            } else {
                for reference in fields {
                    caches.push(Self::of_reference(&reference)?);
                }
            }
        }
        Ok(caches)
    }

    /// The CLI reads each reference as a list of values once more.
    fn of_reference(reference: &str) -> Result<Self, Error> {
        let [reference] = <[String; 1]>::try_from(fields(reference)?)
            .map_err(|_| Error::new(format!("`{reference}` is not a reference")))?;
        Ok(Self {
            kind: "registry".into(),
            attributes: BTreeMap::from([("ref".into(), reference)]),
        })
    }

    fn of_fields(fields: &[String], text: &str) -> Result<Self, Error> {
        let mut attributes = BTreeMap::new();
        for field in fields {
            let (key, value) = pair(field)?;
            attributes.insert(key.to_lowercase(), value.to_owned());
        }
        Self::of_attributes(attributes).ok_or_else(|| Error::new(format!("`{text}` has no `type`")))
    }

    fn of_attributes(mut attributes: BTreeMap<String, String>) -> Option<Self> {
        let kind = attributes.remove("type").filter(|kind| !kind.is_empty())?;
        Some(Self { kind, attributes })
    }
}

impl Export {
    /// Parses `type=…,dest=…,…`, a directory, or `-` for standard output.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let fields = fields(text)?;
        if fields.len() == 1
            && !text.starts_with("type=")
            && fields.first().is_some_and(|field| field == text)
        {
            let kind = if text == "-" { "tar" } else { "local" };
            return Ok(Self {
                kind: kind.into(),
                destination: text.into(),
                attributes: BTreeMap::new(),
            });
        }
        let mut attributes = BTreeMap::new();
        for field in &fields {
            let (key, value) = pair(field)?;
            attributes.insert(key.to_lowercase().trim().to_owned(), value.to_owned());
        }
        Self::of_attributes(attributes)
            .ok_or_else(|| Error::new(format!("output `{text}` has no `type`")))
    }

    fn of_attributes(mut attributes: BTreeMap<String, String>) -> Option<Self> {
        let kind = attributes.remove("type").filter(|kind| !kind.is_empty())?;
        let destination = attributes.remove("dest").unwrap_or_default();
        Some(Self {
            kind,
            destination,
            attributes,
        })
    }
}

impl Attestation {
    /// Parses `type=…,disabled=…,…`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut attestation = Self {
            kind: String::new(),
            disabled: false,
            attributes: BTreeMap::new(),
        };
        for field in fields(text)? {
            let (key, value) = pair(&field)?;
            let switch = || {
                boolean(value).ok_or_else(|| {
                    Error::new(format!("`{field}`: `{value}` is neither true nor false"))
                })
            };
            match key.to_lowercase().trim() {
                "type" => value.clone_into(&mut attestation.kind),
                "disabled" => attestation.disabled = switch()?,
                "enabled" => attestation.disabled = !switch()?,
                _ => {
                    attestation
                        .attributes
                        .insert(key.to_owned(), value.to_owned());
                }
            }
        }
        if attestation.kind.is_empty() {
            return Err(Error::new(format!("attestation `{text}` has no `type`")));
        }
        Ok(attestation)
    }
}

/// The text of an attestation whose value is `true`, `false` or attributes.
pub(crate) fn attestation_text(kind: &str, value: &str) -> String {
    match boolean(value) {
        Some(enabled) => format!("type={kind},disabled={}", !enabled),
        None => format!("type={kind},{value}"),
    }
}

impl Secret {
    /// Parses `id=…,src=…,env=…,type=…`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut secret = Self {
            id: String::new(),
            path: String::new(),
            variable: String::new(),
        };
        let mut is_variable = false;
        for field in fields(text)? {
            let (key, value) = pair(&field)?;
            match key.to_lowercase().as_str() {
                "type" if matches!(value, "file" | "env") => is_variable = value == "env",
                "type" => {
                    return Err(Error::new(format!(
                        "secret `{text}`: the type is `file` or `env`, not `{value}`"
                    )));
                }
                "id" => value.clone_into(&mut secret.id),
                "source" | "src" => value.clone_into(&mut secret.path),
                "env" => value.clone_into(&mut secret.variable),
                key => {
                    return Err(Error::new(format!(
                        "secret `{text}`: unknown key `{key}`; the keys are type, id, src, env"
                    )));
                }
            }
        }
        if is_variable && secret.variable.is_empty() {
            secret.variable = std::mem::take(&mut secret.path);
        }
        Ok(secret)
    }
}

impl Ssh {
    /// Parses `ID[=PATH[,PATH…]]`.
    pub(crate) fn parse(text: &str) -> Self {
        let (id, paths) = match text.split_once('=') {
            Some((id, paths)) => (id, paths.split(',').map(str::to_owned).collect()),
            None => (text, Vec::new()),
        };
        Self {
            id: id.into(),
            paths,
        }
    }
}

/// A field `KEY=VALUE`.
fn pair(field: &str) -> Result<(&str, &str), Error> {
    let pair = field.split_once('=');
    pair.ok_or_else(|| Error::new(format!("`{field}`: expected `KEY=VALUE`")))
}

/// A boolean as Go's `strconv.ParseBool` reads it.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
