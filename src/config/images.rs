//! What becomes of the image: its names, and whether it is pushed, loaded, saved.

use super::{
    branch::{branch, branch_hint, may_be_branch},
    fault::Fault,
    findings::{Findings, begins_with_host, may_hold_login},
    plan::{Destinations, SavePlan},
    read_boolean,
    values::words,
    variables::ImageVariables,
    warning::Warning,
};
use crate::registry::reference::{Reference, ReferenceError};

const VARIABLE: &str = "IMAGE";
const UNSET_HINT: &str = "a variable in IMAGE has no value in this pipeline; BITBUCKET_TAG, for one, is there in builds of a tag only";

/// Reads every reference, and reports each invalid one.
pub(super) fn read(variables: &ImageVariables, findings: &mut Findings) -> Destinations {
    let push = read_boolean("PUSH", variables.push.as_deref(), findings);
    let load = read_boolean("LOAD", variables.load.as_deref(), findings);
    let mut references: Vec<Reference> = Vec::new();
    let mut is_given = false;
    let texts: Vec<&str> = variables
        .image
        .iter()
        .flat_map(|value| words(value))
        .collect();
    let has_login = texts.iter().any(|text| holds_login(text));
    for text in texts {
        is_given = true;
        match reference(text, has_login, findings) {
            // The same name twice says nothing new.
            Ok(reference) if references.contains(&reference) => {}
            Ok(reference) => references.push(reference),
            Err(fault) => findings.fault(fault),
        }
    }
    if push && !is_given {
        let advice = "write the name to push the image under, such as `acme/app:1.0`";
        findings.fault(Fault::new(VARIABLE, "not set, though PUSH is true", advice));
    }
    let save = save(variables, findings);
    if is_given && variables.push.is_none() && !load {
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
        let fault = Fault::new(
            "SAVE_TAGS",
            format!("{} is not a tag", findings.shown(tag)),
            "write the tag alone, of letters, digits, `_`, `.` and `-`, such as `1.0`",
        );
        findings.fault(if may_be_branch(tag) {
            fault.with_hint(branch_hint())
        } else {
            fault
        });
    }
    if variables.save_tags.is_some() && variables.save.is_none() {
        let problem = "set, though SAVE is not";
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

/// `has_login`: whether one of the names holds a login. A space in its password makes a name of each part.
fn reference(text: &str, has_login: bool, findings: &Findings) -> Result<Reference, Fault> {
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
        Err(_) if holds_login(text) && branch(text).is_some_and(may_be_both) => {
            let problem = format!("{shown} holds a login, or a tag with an `@`");
            let advice = "if it is a login, write the name without it, and set REGISTRY, REGISTRY_USERNAME and REGISTRY_PASSWORD; \
                          if it is a tag, write one of letters, digits, `_`, `.` and `-`";
            return Err(Fault::new(VARIABLE, problem, advice).with_hint(branch_hint()));
        }
        Err(_) if holds_login(text) => {
            return Err(Fault::new(
                VARIABLE,
                format!("{shown} holds a login"),
                "write it without, and set REGISTRY, REGISTRY_USERNAME and REGISTRY_PASSWORD",
            ));
        }
        Err(_) if has_login => {
            let problem =
                "one of its names is not valid, and is not shown since another one holds a login";
            let advice = "write names without a login, such as `acme/app:1.0`";
            return Err(Fault::new(VARIABLE, problem, advice));
        }
        Err(_) if let Some(tag) = branch(text).filter(|_| !may_hold_login(text)) => {
            let problem = format!(
                "{shown} has a tag `{}` that is not valid",
                findings.masked(tag)
            );
            let advice = "write a tag of letters, digits, `_`, `.` and `-`";
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

/// Whether a tag may be the name of a branch, such as `fix/user@example.com`, or the rest of a login.
fn may_be_both(tag: &str) -> bool {
    tag.rsplit_once('@')
        .is_some_and(|(before, _)| before.contains('/'))
}

/// `user:password@host/…`, as it stands in addresses and never in references.
fn holds_login(text: &str) -> bool {
    let rest = text.rsplit_once('@').map_or("", |(_, rest)| rest);
    may_hold_login(text) && (rest.is_empty() || rest.contains('/') || begins_with_host(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

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
                "IMAGE: `acme/app:` has an empty tag after `:`; write a tag after the `:`",
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
                "IMAGE: `acme/app@sha256:0000000000000000000000000000000000000000000000000000000000000000` has a digest, which the name of a new image cannot have; write `acme/app`",
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
    fn a_branch_in_place_of_a_tag_is_explained() {
        let digest = format!("acme/app:feature/x@sha256:{}", "0".repeat(64));
        for (image, problem) in [
            (
                "acme/app:feature/x",
                "`acme/app:feature/x` has a tag `feature/x` that is not valid",
            ),
            ("app:feature/x", "`app:feature/x` has a tag `feature/x`"),
            (
                "localhost:5000/app:feature/x",
                "`localhost:5000/app:feature/x` has a tag `feature/x`",
            ),
            (
                "r.example/acme/app:2024/x",
                "`r.example/acme/app:2024/x` has a tag `2024/x`",
            ),
            (
                "acme/app:fix/login@v2",
                "`acme/app:fix/login@v2` has a tag `fix/login@v2`",
            ),
            (
                "app:fix/login@v2",
                "`app:fix/login@v2` has a tag `fix/login@v2`",
            ),
            (
                "acme/app:deps/@types/node-20",
                "`acme/app:deps/@types/node-20` has a tag `deps/@types/node-20`",
            ),
            ("acme/app:fix-#12", "`acme/app:fix-#12` has a tag `fix-#12`"),
            ("acme/app:größer", "`acme/app:größer` has a tag `größer`"),
            (&digest, "has a tag `feature/x` that"),
        ] {
            let (error, hint) = explained(Some(image), None);
            assert!(
                error.starts_with("IMAGE: ") && error.contains(problem),
                "{error}"
            );
            assert!(
                !error.contains("login;") && hint.as_deref() == Some(&branch_hint()),
                "{error} {hint:?}"
            );
        }
        for tag in ["feature/x", "fix/login@v2", "a#1"] {
            let (error, hint) = explained(None, Some(tag));
            assert!(
                error.starts_with(&format!("SAVE_TAGS: `{tag}` is not a tag")),
                "{error}"
            );
            assert_eq!(hint, Some(branch_hint()), "{tag}");
        }
        for image in [
            "app:1:2",
            "app:$TAG",
            "acme/App:V1",
            "r.example:x",
            "app:-x",
        ] {
            let (error, hint) = explained(Some(image), None);
            assert_ne!(hint, Some(branch_hint()), "{image}: {error}");
        }
    }

    fn explained(image: Option<&str>, tag: Option<&str>) -> (String, Option<String>) {
        let mut findings = Findings::default();
        let variables = ImageVariables {
            image: image.map(Into::into),
            push: image.map(|_| "true".into()),
            save: tag.map(|_| "true".into()),
            save_tags: tag.map(Into::into),
            ..ImageVariables::default()
        };
        read(&variables, &mut findings);
        let error = findings.into_error();
        (error.to_string(), error.hint().map(str::to_owned))
    }

    #[test]
    fn half_a_password_is_never_shown() {
        for image in [
            "me:pa/ss@example.com/app",
            "me:pa/ss@example.com",
            "me:p@ss@example.com/app",
            "me:pass@registry/app",
            "me:1/ss@registry:5000/app",
            "https://me:pass@registry/app",
            "https://ss@registry/app",
            "me:pa/ss ss@example.com/app",
            "me:pa/ss@ ss@example.com/app",
        ] {
            let (_, error, _) = plan(Some(image), Some("true"));
            assert!(error.contains(" holds a login"), "{error}");
            assert!(!error.contains("ss@") && !error.contains("pa/"), "{error}");
        }
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
            "SAVE_TAGS: `a:b` is not a tag; write the tag alone, of letters, digits, `_`, `.` and `-`, such as `1.0`\n\
             SAVE_TAGS: `-x` is not a tag; write the tag alone, of letters, digits, `_`, `.` and `-`, such as `1.0`\n\
             SAVE_TAGS: set, though SAVE is not; write `SAVE: 'true'` too, or neither"
        );
    }

    #[test]
    fn a_push_needs_a_name_and_a_name_wants_a_push() {
        let fault = "IMAGE: not set, though PUSH is true; write the name to push the image under, such as `acme/app:1.0`";
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
            assert_eq!(read(&variables, &mut findings).load, is_loaded);
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

    #[test]
    fn a_name_that_may_hold_a_login_or_a_branch_has_advice_for_both() {
        for image in [
            "robot:pa/ss@myregistry/app",
            "acme/app:fix/user@example.com",
        ] {
            let (_, error, _) = plan(Some(image), Some("true"));
            assert!(error.contains('@') && !error.contains("pa/ss"), "{error}");
            assert!(
                error.contains("holds a login, or a tag with an `@`; "),
                "{error}"
            );
            assert!(error.contains("REGISTRY_PASSWORD"), "{error}");
            assert!(
                error.contains("if it is a tag, write one of letters, digits"),
                "{error}"
            );
        }
        // A branch has no `:`.
        for image in ["me:word@example.com/app", "me:word/x@myregistry/app:1"] {
            let (_, error, _) = plan(Some(image), Some("true"));
            assert!(
                error.contains("` holds a login; write it without") && !error.contains("word"),
                "{error}"
            );
        }
    }
}
