//! One entry of `CACHE_FROM` or `CACHE_TO`.

use std::collections::BTreeMap;

use super::super::compression;
use super::super::csv;
use super::super::fault::Fault;
use super::super::findings::Findings;
use super::super::near_miss::is_slip;
use super::super::values::is_set;
use super::attributes::{Attribute, Form, checked};
use super::{CachePlan, CacheType, Direction};
use crate::registry::reference::Reference;

/// Where the entry is, and what may be in it.
struct Place<'a> {
    direction: Direction,
    /// Its number, from 1.
    number: usize,
    findings: &'a mut Findings,
}

impl Place<'_> {
    fn fault(&mut self, problem: &str, advice: &str) {
        let number = self.number;
        let problem = format!("entry {number} {problem}");
        self.findings
            .fault(Fault::new(self.direction.variable(), problem, advice));
    }
}

/// The longest text that is shown as a type.
const MAX_TYPE_CHARACTERS: usize = 16;

const FORMS: &str =
    "write `type=registry,ref=REFERENCE` or another type (`s3`, `azblob`), or the reference alone";

/// The caches of an entry: one, or as many as it has references. None if it has a fault, which is reported.
pub(super) fn read(
    text: &str,
    number: usize,
    direction: Direction,
    findings: &mut Findings,
) -> Vec<CachePlan> {
    let mut place = Place {
        direction,
        number,
        findings,
    };
    if !text.contains('=') {
        return match csv::record(text) {
            Ok(references) => {
                let references = references.iter();
                references
                    .filter_map(|text| of_reference(text.trim(), &mut place))
                    .collect()
            }
            Err(fault) => {
                place.fault(&format!("cannot be read: {fault}"), FORMS);
                Vec::new()
            }
        };
    }
    let fields = match csv::fields(text) {
        Ok(fields) => fields,
        Err(fault) => {
            place.fault(&format!("cannot be read: {fault}"), FORMS);
            return Vec::new();
        }
    };
    of_fields(&fields, &mut place).into_iter().collect()
}

fn of_reference(text: &str, place: &mut Place<'_>) -> Option<CachePlan> {
    let attribute = attribute_named(CacheType::Registry, "ref")?;
    let value = value_of(attribute, text, place)?;
    plan(
        CacheType::Registry,
        BTreeMap::from([("ref".into(), value)]),
        place,
    )
}

fn of_fields(fields: &[(String, String)], place: &mut Place<'_>) -> Option<CachePlan> {
    let mut types = fields.iter().filter(|(name, _)| name == "type");
    let Some((_, written)) = types.next() else {
        let named_ref = fields.iter().any(|(name, _)| name == "ref");
        let advice = if named_ref {
            "add `type=registry`"
        } else {
            FORMS
        };
        place.fault("has no `type`", advice);
        return None;
    };
    let kind = kind_of(written.trim(), place)?;
    let mut attributes = BTreeMap::new();
    let mut seen: Vec<&str> = Vec::new();
    let mut is_valid = true;
    for (name, value) in fields {
        if seen.contains(&name.as_str()) {
            let name = place.findings.shown(name);
            place.fault(&format!("has {name} twice"), "write each attribute once");
            is_valid = false;
            continue;
        }
        seen.push(name);
        if name == "type" {
            continue;
        }
        let known = known_attribute(kind, name, place);
        match known.and_then(|attribute| value_of(attribute, value.trim(), place)) {
            Some(value) => {
                attributes.insert(name.clone(), value);
            }
            None => is_valid = false,
        }
    }
    for attribute in kind.attributes() {
        if attribute.is_required && !seen.contains(&attribute.name) {
            let name = attribute.name;
            place.fault(
                &format!("has no `{name}`, which `type={}` requires", kind.name()),
                &format!("add `{name}=VALUE`"),
            );
            is_valid = false;
        }
    }
    is_valid &= has_whole_keys(kind, &seen, place);
    let algorithm = attributes.get("compression").map(String::as_str);
    if let Some(level) = attributes.get("compression-level")
        && let Some((problem, advice)) = compression::wrong_level(algorithm, level)
    {
        place.fault(&problem, &advice);
        is_valid = false;
    }
    if is_valid {
        plan(kind, attributes, place)
    } else {
        None
    }
}

/// The type, unless it is invalid or unsupported.
fn kind_of(written: &str, place: &mut Place<'_>) -> Option<CacheType> {
    let known = CacheType::ALL
        .into_iter()
        .find(|kind| kind.name() == written);
    match known {
        Some(CacheType::Inline) if place.direction == Direction::Import => {
            place.fault(
                "has the type `inline`, but an inline cache is read from its image",
                "write `type=registry,ref=REFERENCE` with the name of the image",
            );
            return None;
        }
        Some(kind) => return Some(kind),
        None => {}
    }
    let (problem, advice) = match written {
        "gha" => (
            "has the type `gha`: the cache of GitHub Actions exists only in its own runners".to_owned(),
            "remove the entry, because Depot's builders keep the cache of a project, or write `type=registry,ref=REFERENCE`"
                .to_owned(),
        ),
        "local" => (
            "has the type `local`: a directory of the step is removed with the step".to_owned(),
            "remove the entry, because Depot's builders keep the cache of a project, or write `type=registry,ref=REFERENCE`"
                .to_owned(),
        ),
        _ => {
            let near = CacheType::ALL.into_iter().find(|kind| is_slip(written, kind.name()));
            let advice = match near {
                Some(kind) => format!("did you mean `{}`?", kind.name()),
                None => "write `registry`, `inline` (only in CACHE_TO), `s3` or `azblob`".to_owned(),
            };
            // A text that is no word can be another attribute, with a secret.
            let is_word = written.len() <= MAX_TYPE_CHARACTERS
                && written.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let problem = if is_word {
                format!("has the unknown type {}", place.findings.shown(written))
            } else {
                "has an unknown type".to_owned()
            };
            (problem, advice)
        }
    };
    place.fault(&problem, &advice);
    None
}

fn attribute_named(kind: CacheType, name: &str) -> Option<&'static Attribute> {
    kind.attributes()
        .iter()
        .find(|attribute| attribute.name == name)
}

/// The attribute, if its type has it in this direction.
fn known_attribute(
    kind: CacheType,
    name: &str,
    place: &mut Place<'_>,
) -> Option<&'static Attribute> {
    let found = attribute_named(kind, name);
    match found {
        Some(attribute) if attribute.is_export_only && place.direction == Direction::Import => {
            place.fault(
                &format!("has `{name}`, which applies only to CACHE_TO"),
                "remove it",
            );
            return None;
        }
        Some(attribute) => return Some(attribute),
        None => {}
    }
    let usable = kind
        .attributes()
        .iter()
        .filter(|attribute| !(attribute.is_export_only && place.direction == Direction::Import));
    let usable: Vec<&str> = usable.map(|attribute| attribute.name).collect();
    let near = usable.iter().find(|known| is_slip(name, known));
    let advice = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if usable.is_empty() => "remove it".to_owned(),
        None => format!("write one of {}", usable.join(", ")),
    };
    let shown = place.findings.shown(name);
    let problem = format!(
        "has the unknown attribute {shown} for `type={}`",
        kind.name()
    );
    place.fault(&problem, &advice);
    None
}

/// The valid value of an attribute.
fn value_of(attribute: &Attribute, value: &str, place: &mut Place<'_>) -> Option<String> {
    let name = attribute.name;
    if value.is_empty() {
        place.fault(
            &format!("has no value for `{name}`"),
            &format!("write `{name}=VALUE`"),
        );
        return None;
    }
    if !is_set(value) {
        let problem =
            format!("sets `{name}` to `{value}`, a variable that is not set in this pipeline");
        place.fault(&problem, "set the variable, or remove the entry");
        return None;
    }
    match checked(attribute.form, value) {
        Ok(value) => Some(value),
        Err((problem, advice)) => {
            // An address can contain a login or a signature.
            let shown = match attribute.form {
                Form::Secret | Form::Address => "its value".to_owned(),
                _ => place.findings.shown(value),
            };
            let problem = place.findings.masked(&problem);
            let advice = place.findings.masked(&advice);
            place.fault(&format!("sets `{name}`: {shown} {problem}"), &advice);
            None
        }
    }
}

/// Whether keys are complete: an id and a key, or neither.
fn has_whole_keys(kind: CacheType, seen: &[&str], place: &mut Place<'_>) -> bool {
    if kind != CacheType::S3 {
        return true;
    }
    let has = |name: &str| seen.contains(&name);
    let advice = "set both `access_key_id` and `secret_access_key`, or neither to use the identity in AWS_OIDC_ROLE_ARN or AWS_ACCESS_KEY_ID";
    match (
        has("access_key_id"),
        has("secret_access_key"),
        has("session_token"),
    ) {
        (true, true, _) | (false, false, false) => true,
        (false, false, true) => {
            place.fault("has a `session_token` without keys", advice);
            false
        }
        _ => {
            place.fault(
                "has only one of `access_key_id` and `secret_access_key`",
                advice,
            );
            false
        }
    }
}

/// The plan of a valid entry.
fn plan(
    kind: CacheType,
    attributes: BTreeMap<String, String>,
    place: &mut Place<'_>,
) -> Option<CachePlan> {
    let reference = attributes
        .get("ref")
        .and_then(|text| Reference::parse(text).ok());
    if place.direction == Direction::Export
        && let Some(reference) = reference
            .as_ref()
            .filter(|reference| reference.digest().is_some())
    {
        let shown = place.findings.shown(&reference.to_string());
        place.fault(
            &format!("writes to {shown}, but a digest is known only after the export"),
            "write a tag, such as `acme/app:buildcache`",
        );
        return None;
    }
    Some(CachePlan {
        kind,
        attributes,
        reference,
    })
}
