//! The image: its names, and whether it is pushed, loaded, saved.

use serde::Deserialize;

use super::branch::BranchAsTag;
use super::build::BuildPlan;
use super::caches::CachesPlan;
use super::compression::Compression;
use super::environment::Environment;
use super::exports::ExportPlan;
use super::fault::Fault;
use super::findings::{Findings, begins_with_host, can_contain_login};
use super::metadata::MetadataPlan;
use super::read_boolean;
use super::tags::{self, Tags, Values};
use super::values::words;
use super::warning::Warning;
use crate::registry::reference::{Reference, ReferenceError};

/// The variables of the image.
#[derive(Default, Deserialize)]
pub(super) struct ImageVariables {
    pub(super) image: Option<String>,
    pub(super) tags: Option<String>,
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
    /// The Depot project of a target; `None` for that of the run.
    pub(crate) project: Option<String>,
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
    /// Lines for the log: the names that result from `TAGS` and `SAVE_TAGS`, and the entries that are omitted.
    pub(crate) notes: Vec<String>,
}

impl Destinations {
    /// Whether the image is pushed, loaded or saved.
    pub(crate) fn has_any(&self) -> bool {
        self.push || self.load || self.save.is_some()
    }

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
const TAGS: &str = "TAGS";
const SAVE_TAGS: &str = "SAVE_TAGS";
const UNSET_HINT: &str = "a variable in IMAGE is not set in this pipeline; for example, BITBUCKET_TAG is set only in builds of a tag; an entry of TAGS \
                          such as `{tag}` is omitted in other pipelines";

/// The limit for the names that result from `IMAGE` and `TAGS`.
const MAX_NAMES: usize = 1000;

/// Reports a list of tags that refers only to variables that are not set. Treated as unset, it would push `latest`.
pub(super) fn check_references(
    environment: &Environment,
    variables: &ImageVariables,
    findings: &mut Findings,
) {
    let has_entry = |list: &str| words(list).next().is_some();
    let is_empty = match variables.tags.as_deref() {
        Some(list) => !has_entry(list),
        None => environment.has_only_unset(TAGS) && findings.has_no_fault_of(TAGS),
    };
    if is_empty {
        findings.withdraw(
            |warning| matches!(warning, Warning::UnsetReference { variable, .. } if *variable == TAGS),
        );
        let problem = "refers only to variables that are not set in this pipeline";
        let advice = "write placeholders such as `{tag}`, or remove TAGS to use the tag `latest`";
        findings.fault(Fault::new(TAGS, problem, advice));
    }
}

/// Reads every reference, and reports each fault.
pub(super) fn read(
    variables: &ImageVariables,
    values: &Values,
    findings: &mut Findings,
) -> Destinations {
    let push = read_boolean("PUSH", variables.push.as_deref(), findings);
    let load = read_boolean("LOAD", variables.load.as_deref(), findings);
    let image = variables.image.as_deref().unwrap_or_default();
    let texts: Vec<&str> = words(image).collect();
    let has_name = !texts.is_empty();
    let mut notes = Vec::new();
    let references = references(&texts, variables, values, &mut notes, findings);
    if push && !has_name {
        let advice = "write the name to push the image under, such as `acme/app:1.0`";
        findings.fault(Fault::new(VARIABLE, "not set, but PUSH is true", advice));
    }
    let save = save(variables, values, &mut notes, findings);
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
        notes,
    }
}

/// The names in `IMAGE`, each once; those without a tag under every tag in `TAGS`.
fn references(
    texts: &[&str],
    variables: &ImageVariables,
    values: &Values,
    notes: &mut Vec<String>,
    findings: &mut Findings,
) -> Vec<Reference> {
    let mut references: Vec<Reference> = Vec::new();
    let mut faults = Vec::new();
    let mut names: Vec<(Reference, bool)> = Vec::new();
    let has_login = texts.iter().any(|text| {
        let as_tag = BranchAsTag::of(text, values);
        contains_login(text) && !as_tag.is_some_and(|as_tag| as_tag.is_certain)
    });
    for text in texts {
        match reference(text, has_login, values, findings) {
            Ok(reference) => names.push((reference, has_tag(text))),
            Err(fault) => faults.push(fault),
        }
    }
    let list = variables.tags.as_deref();
    let tags = list.map(|list| tags::read(TAGS, list, values, findings));
    let untagged = names.iter().filter(|(_, has_tag)| !has_tag).count();
    if tags.is_some() && faults.is_empty() && untagged == 0 {
        let (problem, advice) = match texts {
            [] => (
                "set, but IMAGE is not set",
                "write the name without a tag in IMAGE, such as `acme/app`; for Depot's registry, set SAVE_TAGS",
            ),
            _ => (
                "set, but every name in IMAGE has a tag of its own",
                "remove the tag of a name in IMAGE, or remove TAGS",
            ),
        };
        findings.fault(Fault::new(TAGS, problem, advice));
    }
    for fault in faults {
        findings.fault(fault);
    }
    let Tags {
        names: tags,
        omitted,
        ..
    } = tags.unwrap_or_default();
    if untagged.saturating_mul(tags.len()) > MAX_NAMES {
        let problem = format!(
            "has {} tags for {untagged} names in IMAGE, which are more than {MAX_NAMES} names in total",
            tags.len()
        );
        findings.fault(Fault::new(TAGS, problem, "write fewer tags"));
        return references;
    }
    let is_set = list.is_some();
    for (name, has_tag) in names {
        let tagged: Vec<Reference> = if is_set && !has_tag {
            let tagged = tags.iter().filter_map(|tag| name.with_tag(tag).ok());
            tagged.collect()
        } else {
            vec![name]
        };
        // Repeated names are ignored.
        for reference in tagged {
            if !references.contains(&reference) {
                references.push(reference);
            }
        }
    }
    notes.extend(omitted);
    if is_set && !references.is_empty() {
        notes.push(format!("names of the image: {}", joined(&references)));
    }
    references
}

fn joined<Name: ToString>(names: &[Name]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// Whether a valid name has a tag.
fn has_tag(name: &str) -> bool {
    let last = name.rsplit('/').next();
    last.is_some_and(|last| last.contains(':'))
}

/// Reads `SAVE` and `SAVE_TAGS`.
fn save(
    variables: &ImageVariables,
    values: &Values,
    notes: &mut Vec<String>,
    findings: &mut Findings,
) -> Option<SavePlan> {
    let is_wanted = read_boolean("SAVE", variables.save.as_deref(), findings);
    let list = variables.save_tags.as_deref();
    let tags = list.map(|list| tags::read(SAVE_TAGS, list, values, findings));
    let Tags {
        names: tags,
        omitted,
        has_placeholder,
    } = tags.unwrap_or_default();
    if variables.save_tags.is_some() && variables.save.is_none() {
        let problem = "set, but SAVE is not set";
        findings.fault(Fault::new(
            SAVE_TAGS,
            problem,
            "set `SAVE: 'true'`, or remove SAVE_TAGS",
        ));
    }
    if !tags.is_empty() && !is_wanted && variables.save.is_some() {
        findings.warn(Warning::TagsWithoutSave);
    }
    if is_wanted {
        notes.extend(omitted);
        if has_placeholder && !tags.is_empty() {
            notes.push(format!("tags in Depot's registry: {}", joined(&tags)));
        }
    }
    is_wanted.then_some(SavePlan { tags })
}

/// `has_login`: whether one of the names contains a login. If its password contains a space, each part is read as a name.
fn reference(
    text: &str,
    has_login: bool,
    values: &Values,
    findings: &Findings,
) -> Result<Reference, Fault> {
    let shown = findings.shown(text);
    let error = match Reference::parse_push_target(text) {
        Ok(reference) if !reference.host_is_bare_word() => return Ok(reference),
        Ok(reference) => {
            let problem = format!(
                "refers to the registry `{}`, because its first part has upper-case letters",
                reference.host()
            );
            let advice = format!("`{}`", text.to_ascii_lowercase());
            return Err(fault_of(&shown, &problem, &advice, findings));
        }
        Err(error) => error,
    };
    let as_tag = BranchAsTag::of(text, values);
    if let Some(as_tag) = as_tag.as_ref().filter(|as_tag| as_tag.is_certain) {
        // It contains no login, even if the name of the branch has an `@`.
        let shown = format!("`{}`", findings.masked(text));
        return Err(invalid_tag(&shown, as_tag, findings));
    }
    if contains_login(text) {
        const LOGIN_ADVICE: &str =
            "write the name without it, and set REGISTRY, REGISTRY_USERNAME and REGISTRY_PASSWORD";
        let both = as_tag.filter(|as_tag| may_be_both(as_tag.tag) && !as_tag.has_upper_case_name());
        return Err(match both {
            Some(as_tag) => {
                let problem = format!("{shown} contains a login, or a tag with an `@`");
                let advice = format!(
                    "if it is a login, {LOGIN_ADVICE}; if it is a tag, write one of letters, digits, `_`, `.` and `-`"
                );
                let fault = Fault::new(VARIABLE, problem, advice);
                fault.with_hint(as_tag.hint(&findings.masked(as_tag.name)))
            }
            None => Fault::new(VARIABLE, format!("{shown} contains a login"), LOGIN_ADVICE),
        });
    }
    if has_login {
        let problem =
            "contains an invalid name, which is not shown because another name contains a login";
        let advice = "write names without a login, such as `acme/app:1.0`";
        return Err(Fault::new(VARIABLE, problem, advice));
    }
    if let Some(as_tag) = as_tag.filter(|_| !can_contain_login(text)) {
        return Err(invalid_tag(&shown, &as_tag, findings));
    }
    let is_unset = matches!(error, ReferenceError::EmptyTag) || text.contains('$');
    let fault = fault_of(&shown, &error.to_string(), &error.advice(), findings);
    Err(if is_unset {
        fault.with_hint(UNSET_HINT)
    } else {
        fault
    })
}

/// The fault of a name with a part in place of its tag that is not a tag. If its repository has upper-case letters too, both faults are
/// reported: with only the first one corrected, the next run would report the second one.
fn invalid_tag(shown: &str, as_tag: &BranchAsTag<'_>, findings: &Findings) -> Fault {
    let tag = findings.masked(as_tag.tag);
    let (problem, advice) = if as_tag.has_upper_case_name() {
        (
            format!(
                "{shown} has upper-case letters in its repository name, and an invalid tag `{tag}`"
            ),
            "write the repository in lower case, and a tag of letters, digits, `_`, `.` and `-`",
        )
    } else {
        (
            format!("{shown} has an invalid tag `{tag}`"),
            "write a tag of letters, digits, `_`, `.` and `-`",
        )
    };
    Fault::new(VARIABLE, problem, advice).with_hint(as_tag.hint(&findings.masked(as_tag.name)))
}

fn fault_of(shown: &str, problem: &str, advice: &str, findings: &Findings) -> Fault {
    Fault::new(
        VARIABLE,
        format!("{shown} {}", findings.masked(problem)),
        format!("write {}", findings.masked(advice)),
    )
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
