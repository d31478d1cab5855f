//! Warnings for attributes and blocks in groups and targets that have no effect.

use crate::Error;

use super::declarations::Declarations;
use super::decode::{EXTRA_FIELDS, GROUP_FIELDS, TARGET_FIELDS, is_field};
use super::hint::nearest;
use super::names::Kind;

/// Attributes that have an effect on names only.
const NAME_FIELDS: [&str; 2] = ["matrix", "name"];

/// Attributes that buildx has and that a build on Depot cannot honour.
const UNSUPPORTED: [&str; 3] = ["call", "policy", "resources"];

/// Adds a warning for each attribute and block that has no effect.
pub(super) fn warn(declarations: &Declarations, warnings: &mut Vec<Error>) {
    for (kind, block) in &declarations.blocks {
        let names = || match kind {
            Kind::Group => GROUP_FIELDS.iter().chain(&[]).chain(&[]),
            Kind::Target => TARGET_FIELDS
                .iter()
                .chain(&EXTRA_FIELDS)
                .chain(&NAME_FIELDS),
        };
        for attribute in &block.body.attributes {
            let name = attribute.name.as_str();
            if is_field(*kind, name) || names().any(|known| *known == name) {
                continue;
            }
            let problem = if *kind == Kind::Target && UNSUPPORTED.contains(&name) {
                format!("`{name}` has no effect: builds on Depot do not support it")
            } else {
                match nearest(name, names().copied()) {
                    Some(known) => {
                        format!("unknown attribute `{name}` has no effect; did you mean `{known}`?")
                    }
                    None => format!("unknown attribute `{name}` has no effect"),
                }
            };
            warnings.push(Error::at(attribute.place.clone(), problem));
        }
        for inner in &block.body.blocks {
            let problem = format!(
                "the block `{}` has no effect in a {}",
                inner.kind, block.kind
            );
            warnings.push(Error::at(inner.place.clone(), problem));
        }
    }
}
