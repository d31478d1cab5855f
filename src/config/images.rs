//! What becomes of the image: its names, and whether it is pushed, loaded, saved.

use super::{
    fault::Fault,
    findings::Findings,
    plan::{ImagePlan, LoadPlan, SavePlan},
    read_boolean,
    values::words,
    variables::ImageVariables,
    warning::Warning,
};
use crate::registry::reference::{Reference, ReferenceError};

const VARIABLE: &str = "IMAGE";
const UNSET_HINT: &str = "a variable in IMAGE has no value in this pipeline; BITBUCKET_TAG, for one, is there in builds of a tag only";

/// Reads every reference, and tells of each bad one. `daemon` is asked only where there is one to be loaded into.
pub(super) fn read(
    variables: &ImageVariables,
    daemon: impl FnOnce(&mut Findings) -> LoadPlan,
    findings: &mut Findings,
) -> ImagePlan {
    let push = read_boolean("PUSH", variables.push.as_deref(), findings);
    let is_loaded = read_boolean("LOAD", variables.load.as_deref(), findings);
    let load = is_loaded.then(|| daemon(findings));
    let mut references: Vec<Reference> = Vec::new();
    let mut is_given = false;
    for text in variables.image.iter().flat_map(|value| words(value)) {
        is_given = true;
        match reference(text, findings) {
            // The same name twice says nothing new.
            Ok(reference) if references.contains(&reference) => {}
            Ok(reference) => references.push(reference),
            Err(fault) => findings.fault(fault),
        }
    }
    if push && !is_given {
        let advice = "write the name to push the image under, such as `acme/app:1.0`";
        findings.fault(Fault::new(
            VARIABLE,
            "not given, though PUSH is true",
            advice,
        ));
    }
    let save = save(variables, findings);
    if is_given && variables.push.is_none() && !is_loaded {
        findings.warn(Warning::NamedButNotPushed {
            saved: save.is_some(),
        });
    }
    ImagePlan {
        references,
        push,
        load,
        save,
    }
}

/// How Depot's registry keeps the image, if it is to.
fn save(variables: &ImageVariables, findings: &mut Findings) -> Option<SavePlan> {
    let is_wanted = read_boolean("SAVE", variables.save.as_deref(), findings);
    let mut tags: Vec<String> = Vec::new();
    for tag in variables.save_tags.iter().flat_map(|value| words(value)) {
        // A tag is what can stand behind a name and its colon.
        let reference = Reference::parse(&format!("a:{tag}"));
        if reference.is_ok_and(|reference| reference.tag() == tag && reference.digest().is_none()) {
            if !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
            }
            continue;
        }
        findings.fault(Fault::new(
            "SAVE_TAGS",
            format!("{} is no tag", findings.shown(tag)),
            "write the tag alone, of letters, digits, `_`, `.` and `-`, such as `1.0`",
        ));
    }
    if variables.save_tags.is_some() && variables.save.is_none() {
        let problem = "given, though SAVE is not";
        findings.fault(Fault::new(
            "SAVE_TAGS",
            problem,
            "write `SAVE: 'true'` too, or neither",
        ));
    }
    if !tags.is_empty() && !is_wanted && variables.save.is_some() {
        findings.warn(Warning::TagsWithoutSave);
    }
    is_wanted.then_some(SavePlan { tags })
}

fn reference(text: &str, findings: &Findings) -> Result<Reference, Fault> {
    let shown = findings.shown(text);
    let (problem, advice, is_unset) = match Reference::parse_push_target(text) {
        Ok(reference) if !reference.host_is_bare_word() => return Ok(reference),
        Ok(reference) => {
            let problem = format!(
                "names a registry `{}` by its upper-case letters",
                reference.host()
            );
            (problem, format!("`{}`", text.to_ascii_lowercase()), false)
        }
        Err(error) if holds_login(text) || is_part_of_login(text, &error) => {
            return Err(Fault::new(
                VARIABLE,
                format!("{shown} holds a login"),
                "write it without, and give REGISTRY_USERNAME and REGISTRY_PASSWORD",
            ));
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

/// `user:password@host/…`, as it stands in addresses and never in references.
fn holds_login(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(login, rest)| login.contains(':') && rest.contains('/'))
}

/// Whether the error would quote what may be half a password, which a `/`, a `:` or a space has cut off.
fn is_part_of_login(text: &str, error: &ReferenceError) -> bool {
    let quotes = matches!(
        error,
        ReferenceError::Host { .. }
            | ReferenceError::Repository { .. }
            | ReferenceError::TwoTags { .. }
            | ReferenceError::Tag { .. }
    );
    quotes && text.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::Endpoint;

    fn read(variables: &ImageVariables, findings: &mut Findings) -> ImagePlan {
        let daemon = |_: &mut Findings| LoadPlan {
            daemon: Endpoint::Unix("/d.sock".into()),
        };
        super::read(variables, daemon, findings)
    }

    fn plan(image: Option<&str>, push: Option<&str>) -> (Vec<String>, String, Vec<Warning>) {
        let mut findings = Findings::default();
        let variables = ImageVariables {
            image: image.map(Into::into),
            push: push.map(Into::into),
            ..ImageVariables::default()
        };
        let plan = read(&variables, &mut findings);
        let error = findings.into_error();
        (
            plan.references.iter().map(ToString::to_string).collect(),
            error.to_string(),
            error.warnings().to_vec(),
        )
    }

    #[test]
    fn names_are_separated_by_anything_that_is_in_none_and_count_once() {
        let (references, error, warnings) = plan(
            Some(" acme/app:1, acme/app:2\nacme/app:1 \0docker.io/acme/app:2"),
            Some("yes"),
        );
        assert_eq!(references, ["docker.io/acme/app:1", "docker.io/acme/app:2"]);
        assert_eq!((error.as_str(), warnings.as_slice()), ("", [].as_slice()));
    }

    #[test]
    fn a_bad_name_is_told_with_what_to_write() {
        let digest = format!("acme/app@sha256:{}", "0".repeat(64));
        for (image, fault) in [
            (
                "acme/App:V1",
                "IMAGE: `acme/App:V1` has upper-case letters in its repository name; write `acme/app:V1`",
            ),
            (
                "Acme/app",
                "IMAGE: `Acme/app` names a registry `Acme` by its upper-case letters; write `acme/app`",
            ),
            (
                "app:1:2",
                "IMAGE: `app:1:2` has two tags, `1` and `2`; write one reference for each tag",
            ),
            (
                "acme/app:",
                "IMAGE: `acme/app:` ends its name with `:` and gives no tag; write a tag behind the `:`",
            ),
            (
                "app:$TAG",
                "IMAGE: `app:$TAG` has a tag `$TAG` that is not valid; write a tag of letters",
            ),
            (
                "https://example.com/app",
                "IMAGE: `https://example.com/app` begins with a scheme; write it without `https://`",
            ),
            (
                "me:word@example.com/app",
                "IMAGE: `***@example.com/app` holds a login; write it without",
            ),
            (
                "https://me:word@example.com/app",
                "IMAGE: `***@example.com/app` holds a login; write it without",
            ),
            (
                &digest,
                "IMAGE: `acme/app@sha256:0000000000000000000000000000000000000000000000000000000000000000` has a digest, which an image that is yet to be pushed cannot be named by; write `acme/app`",
            ),
        ] {
            let (_, error, _) = plan(Some(image), Some("true"));
            assert!(error.starts_with(fault), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let (references, error, _) = plan(Some("acme/app: 1.0 A"), Some("true"));
        assert_eq!(
            (references.as_slice(), error.lines().count()),
            (["docker.io/library/1.0:latest".to_owned()].as_slice(), 2)
        );
    }

    #[test]
    fn an_unset_variable_in_a_name_comes_with_a_hint() {
        for (image, has_hint) in [
            ("app:", true),
            ("$A/app", true),
            ("app:$TAG", true),
            ("app:1:2", false),
        ] {
            let mut findings = Findings::default();
            read(
                &ImageVariables {
                    image: Some(image.into()),
                    ..ImageVariables::default()
                },
                &mut findings,
            );
            assert_eq!(findings.into_error().hint().is_some(), has_hint, "{image}");
        }
    }

    #[test]
    fn an_image_is_saved_under_tags() {
        let saved = |save: Option<&str>, tags: Option<&str>| {
            let variables = ImageVariables {
                image: Some("app".into()),
                save: save.map(Into::into),
                save_tags: tags.map(Into::into),
                ..ImageVariables::default()
            };
            let mut findings = Findings::default();
            let plan = read(&variables, &mut findings);
            let error = findings.into_error();
            let tags = plan.save.map(|save| save.tags.join(" "));
            (tags, error.to_string(), error.warnings().to_vec())
        };
        let (tags, error, warnings) = saved(Some("true"), Some("1.0, latest 1.0"));
        assert_eq!((tags.as_deref(), error.as_str()), (Some("1.0 latest"), ""));
        assert_eq!(warnings, [Warning::NamedButNotPushed { saved: true }]);
        assert_eq!(saved(Some("true"), None).0.as_deref(), Some(""));
        let (tags, _, warnings) = saved(Some("false"), Some("x"));
        assert_eq!(tags, None);
        assert!(warnings.contains(&Warning::TagsWithoutSave), "{warnings:?}");
        assert_eq!(
            saved(None, Some("a:b -x")).1,
            "SAVE_TAGS: `a:b` is no tag; write the tag alone, of letters, digits, `_`, `.` and `-`, such as `1.0`\n\
             SAVE_TAGS: `-x` is no tag; write the tag alone, of letters, digits, `_`, `.` and `-`, such as `1.0`\n\
             SAVE_TAGS: given, though SAVE is not; write `SAVE: 'true'` too, or neither"
        );
    }

    #[test]
    fn a_push_needs_a_name_and_a_name_wants_a_push() {
        let fault = "IMAGE: not given, though PUSH is true; write the name to push the image under, such as `acme/app:1.0`";
        assert_eq!(plan(None, Some("true")).1, fault);
        assert_eq!(plan(Some("A"), Some("true")).1.lines().count(), 1);
        assert_eq!(plan(None, None), (vec![], String::new(), vec![]));
        assert_eq!(
            plan(Some("app"), None).2,
            [Warning::NamedButNotPushed { saved: false }]
        );
        assert_eq!(plan(Some("app"), Some("false")).2, []);
        assert_eq!(
            plan(None, Some("maybe")).1,
            "PUSH: `maybe` is neither true nor false; write `true` or `false`"
        );
    }

    #[test]
    fn an_image_is_loaded_with_or_without_a_name() {
        for (load, is_loaded) in [(None, false), (Some("false"), false), (Some("yes"), true)] {
            let mut findings = Findings::default();
            let variables = ImageVariables {
                load: load.map(Into::into),
                ..ImageVariables::default()
            };
            assert_eq!(read(&variables, &mut findings).load.is_some(), is_loaded);
            let variables = ImageVariables {
                image: Some("app".into()),
                ..variables
            };
            let plan = read(&variables, &mut findings);
            assert_eq!(plan.references.len(), 1);
            let warnings = findings.into_error().warnings().to_vec();
            assert_eq!(warnings.is_empty(), is_loaded, "{warnings:?}");
        }
    }
}
