//! The image: its names, and whether it is pushed, loaded, saved.

use serde::Deserialize;

use super::branch::{branch, branch_hint, branch_in_any_case, may_be_branch};
use super::build::BuildPlan;
use super::caches::CachesPlan;
use super::compression::Compression;
use super::exports::ExportPlan;
use super::fault::Fault;
use super::findings::{Findings, begins_with_host, can_contain_login};
use super::metadata::MetadataPlan;
use super::read_boolean;
use super::values::words;
use super::warning::Warning;
use crate::registry::reference::{Reference, ReferenceError};

/// The variables of the image.
#[derive(Default, Deserialize)]
pub(super) struct ImageVariables {
    pub(super) image: Option<String>,
    pub(super) push: Option<String>,
    pub(super) load: Option<String>,
    pub(super) save: Option<String>,
    pub(super) save_tags: Option<String>,
}

/// One image: what to build, and its destinations.
#[derive(Debug, Clone)]
pub(crate) struct ImagePlan {
    /// The name that distinguishes the images of a run, such as that of a bake target. Unique in a plan.
    pub(crate) name: String,
    /// The sources and options of the build.
    pub(crate) build: BuildPlan,
    /// Labels, annotations and attestations.
    pub(crate) metadata: MetadataPlan,
    /// The names and destinations.
    pub(crate) destinations: Destinations,
    /// The compression of its layers; `None` for the builder's choice, which keeps the layers of base images.
    pub(crate) compression: Option<Compression>,
    /// Caches outside of the builders.
    pub(crate) caches: CachesPlan,
    /// Files of the result that are written into the clone, in the order of the variable.
    pub(crate) exports: Vec<ExportPlan>,
}

/// The name of the only image of a run.
pub(super) const DEFAULT_IMAGE: &str = "default";

/// The names and destinations of an image. Without any, it stays in the builder's cache.
#[derive(Debug, Clone, Default)]
pub(crate) struct Destinations {
    /// The names of the image, each once. Not empty if it is to be pushed.
    pub(crate) references: Vec<Reference>,
    /// Whether it is pushed under all of them.
    pub(crate) push: bool,
    /// Whether it is loaded into the Docker daemon, under the same names.
    pub(crate) load: bool,
    /// The tags under which Depot's registry keeps it; `None` if it is not saved.
    pub(crate) save: Option<SavePlan>,
}

impl Destinations {
    /// The names that the image is pushed under.
    #[must_use]
    pub(crate) fn pushed(&self) -> &[Reference] {
        if self.push { &self.references } else { &[] }
    }
}

/// An image in Depot's registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SavePlan {
    /// Its tags; if empty, Depot uses the id of the build.
    pub(crate) tags: Vec<String>,
}

const VARIABLE: &str = "IMAGE";
const UNSET_HINT: &str = "a variable in IMAGE is not set in this pipeline; for example, BITBUCKET_TAG is set only in builds of a tag";

/// Reads every reference, and reports each fault.
pub(super) fn read(variables: &ImageVariables, findings: &mut Findings) -> Destinations {
    let push = read_boolean("PUSH", variables.push.as_deref(), findings);
    let load = read_boolean("LOAD", variables.load.as_deref(), findings);
    let mut references: Vec<Reference> = Vec::new();
    let mut has_name = false;
    let texts: Vec<&str> = variables
        .image
        .iter()
        .flat_map(|value| words(value))
        .collect();
    let has_login = texts.iter().any(|text| contains_login(text));
    for text in texts {
        has_name = true;
        match reference(text, has_login, findings) {
            // Repeated names are ignored.
            Ok(reference) if references.contains(&reference) => {}
            Ok(reference) => references.push(reference),
            Err(fault) => findings.fault(fault),
        }
    }
    if push && !has_name {
        let advice = "write the name to push the image under, such as `acme/app:1.0`";
        findings.fault(Fault::new(VARIABLE, "not set, but PUSH is true", advice));
    }
    let save = save(variables, findings);
    if has_name && variables.push.is_none() && !load {
        findings.warn(Warning::NamedButNotPushed {
            saved: save.is_some(),
        });
    }
    Destinations {
        references,
        push,
        load,
        save,
    }
}

/// Reads `SAVE` and `SAVE_TAGS`.
fn save(variables: &ImageVariables, findings: &mut Findings) -> Option<SavePlan> {
    let is_wanted = read_boolean("SAVE", variables.save.as_deref(), findings);
    let mut tags: Vec<String> = Vec::new();
    for tag in variables.save_tags.iter().flat_map(|value| words(value)) {
        // A tag is valid if a reference with it is.
        let reference = Reference::parse(&format!("a:{tag}"));
        if reference.is_ok_and(|reference| reference.tag() == tag && reference.digest().is_none()) {
            if !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
            }
            continue;
        }
        let fault = Fault::new(
            "SAVE_TAGS",
            format!("{} is not a valid tag", findings.shown(tag)),
            "write a tag of letters, digits, `_`, `.` and `-`, such as `1.0`",
        );
        findings.fault(if may_be_branch(tag) {
            fault.with_hint(branch_hint())
        } else {
            fault
        });
    }
    if variables.save_tags.is_some() && variables.save.is_none() {
        let problem = "set, but SAVE is not set";
        findings.fault(Fault::new(
            "SAVE_TAGS",
            problem,
            "set `SAVE: 'true'`, or remove SAVE_TAGS",
        ));
    }
    if !tags.is_empty() && !is_wanted && variables.save.is_some() {
        findings.warn(Warning::TagsWithoutSave);
    }
    is_wanted.then_some(SavePlan { tags })
}

/// `has_login`: whether one of the names contains a login. If its password contains a space, each part is read as a name.
fn reference(text: &str, has_login: bool, findings: &Findings) -> Result<Reference, Fault> {
    let shown = findings.shown(text);
    let (problem, advice, is_unset) = match Reference::parse_push_target(text) {
        Ok(reference) if !reference.host_is_bare_word() => return Ok(reference),
        Ok(reference) => {
            let problem = format!(
                "refers to the registry `{}`, because its first part has upper-case letters",
                reference.host()
            );
            (problem, format!("`{}`", text.to_ascii_lowercase()), false)
        }
        Err(_) if contains_login(text) && branch(text).is_some_and(may_be_both) => {
            let problem = format!("{shown} contains a login, or a tag with an `@`");
            let advice = "if it is a login, write the name without it, and set REGISTRY, REGISTRY_USERNAME and REGISTRY_PASSWORD; \
                          if it is a tag, write one of letters, digits, `_`, `.` and `-`";
            return Err(Fault::new(VARIABLE, problem, advice).with_hint(branch_hint()));
        }
        Err(_) if contains_login(text) => {
            return Err(Fault::new(
                VARIABLE,
                format!("{shown} contains a login"),
                "write the name without it, and set REGISTRY, REGISTRY_USERNAME and REGISTRY_PASSWORD",
            ));
        }
        Err(_) if has_login => {
            let problem = "contains an invalid name, which is not shown because another name contains a login";
            let advice = "write names without a login, such as `acme/app:1.0`";
            return Err(Fault::new(VARIABLE, problem, advice));
        }
        Err(_) if let Some(tag) = branch(text).filter(|_| !can_contain_login(text)) => {
            let problem = format!("{shown} has an invalid tag `{}`", findings.masked(tag));
            let advice = "write a tag of letters, digits, `_`, `.` and `-`";
            return Err(Fault::new(VARIABLE, problem, advice).with_hint(branch_hint()));
        }
        // Two faults: with only the first one corrected, the next run would report the second one.
        Err(ReferenceError::UpperCase { .. })
            if let Some(tag) = branch_in_any_case(text).filter(|_| !can_contain_login(text)) =>
        {
            let problem = format!(
                "{shown} has upper-case letters in its repository name, and an invalid tag `{}`",
                findings.masked(tag)
            );
            let advice = "write the repository in lower case, and a tag of letters, digits, `_`, `.` and `-`";
            return Err(Fault::new(VARIABLE, problem, advice).with_hint(branch_hint()));
        }
        Err(error) => {
            let is_unset = matches!(error, ReferenceError::EmptyTag) || text.contains('$');
            (error.to_string(), error.advice(), is_unset)
        }
    };
    let problem = format!("{shown} {}", findings.masked(&problem));
    let fault = Fault::new(
        VARIABLE,
        problem,
        format!("write {}", findings.masked(&advice)),
    );
    Err(if is_unset {
        fault.with_hint(UNSET_HINT)
    } else {
        fault
    })
}

/// Whether a tag can be both the name of a branch, such as `fix/user@example.com`, and the rest of a login.
fn may_be_both(tag: &str) -> bool {
    tag.rsplit_once('@')
        .is_some_and(|(before, _)| before.contains('/'))
}

/// Whether the text contains `user:password@host/…`, which is valid in addresses but not in references.
pub(super) fn contains_login(text: &str) -> bool {
    let rest = text.rsplit_once('@').map_or("", |(_, rest)| rest);
    can_contain_login(text) && (rest.is_empty() || rest.contains('/') || begins_with_host(rest))
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
