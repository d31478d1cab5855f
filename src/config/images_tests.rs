//! Names of images, and what is done with the image.

use super::*;

fn plan(image: Option<&str>, push: Option<&str>) -> (Vec<String>, String, Vec<Warning>) {
    let mut findings = Findings::default();
    let variables = ImageVariables {
        image: image.map(Into::into),
        push: push.map(Into::into),
        ..ImageVariables::default()
    };
    let plan = read(&variables, &Values::default(), &mut findings);
    let error = findings.into_error();
    (
        plan.references.iter().map(ToString::to_string).collect(),
        error.to_string(),
        error.warnings().to_vec(),
    )
}

#[test]
fn names_are_separated_by_commas_and_white_space_and_used_once() {
    let (references, error, warnings) = plan(
        Some(" acme/app:1, acme/app:2\nacme/app:1 \0docker.io/acme/app:2"),
        Some("yes"),
    );
    assert_eq!(references, ["docker.io/acme/app:1", "docker.io/acme/app:2"]);
    assert_eq!((error.as_str(), warnings.as_slice()), ("", [].as_slice()));
}

#[test]
fn an_invalid_name_is_reported_with_a_correction() {
    let digest = format!("acme/app@sha256:{}", "0".repeat(64));
    for (image, fault) in [
        (
            "acme/App:V1",
            "IMAGE: `acme/App:V1` has upper-case letters in its repository name; write `acme/app:V1`",
        ),
        (
            "Acme/app",
            "IMAGE: `Acme/app` refers to the registry `Acme`, because its first part has upper-case letters; write `acme/app`",
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
            "IMAGE: `app:$TAG` has an invalid tag `$TAG`; write a tag of letters",
        ),
        (
            "https://example.com/app",
            "IMAGE: `https://example.com/app` begins with a scheme; write it without `https://`",
        ),
        (
            "me:word@example.com/app",
            "IMAGE: `***@example.com/app` contains a login; write the name without it",
        ),
        (
            "https://me:word@example.com/app",
            "IMAGE: `***@example.com/app` contains a login; write the name without it",
        ),
        (
            &digest,
            "IMAGE: `acme/app@sha256:0000000000000000000000000000000000000000000000000000000000000000` has a digest, which is not allowed in the name of a new image; write `acme/app`",
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
            "`acme/app:feature/x` has an invalid tag `feature/x`",
        ),
        (
            "app:feature/x",
            "`app:feature/x` has an invalid tag `feature/x`",
        ),
        (
            "acme/App:feature/ABC-1",
            "`acme/App:feature/ABC-1` has upper-case letters in its repository name, and an invalid tag `feature/ABC-1`",
        ),
        (
            "localhost:5000/app:feature/x",
            "`localhost:5000/app:feature/x` has an invalid tag `feature/x`",
        ),
        (
            "r.example/acme/app:2024/x",
            "`r.example/acme/app:2024/x` has an invalid tag `2024/x`",
        ),
        (
            "acme/app:fix/login@v2",
            "`acme/app:fix/login@v2` has an invalid tag `fix/login@v2`",
        ),
        (
            "app:fix/login@v2",
            "`app:fix/login@v2` has an invalid tag `fix/login@v2`",
        ),
        (
            "acme/app:deps/@types/node-20",
            "`acme/app:deps/@types/node-20` has an invalid tag `deps/@types/node-20`",
        ),
        (
            "acme/app:fix-#12",
            "`acme/app:fix-#12` has an invalid tag `fix-#12`",
        ),
        (
            "acme/app:größer",
            "`acme/app:größer` has an invalid tag `größer`",
        ),
        (&digest, "has an invalid tag `feature/x`"),
    ] {
        let (error, hint) = explained(Some(image), None);
        assert!(
            error.starts_with("IMAGE: ") && error.contains(problem),
            "{error}"
        );
        let name = image
            .split_at(
                image
                    .rfind("app:")
                    .unwrap_or_else(|| image.find("App:").unwrap())
                    + 3,
            )
            .0;
        let lines = format!("\n  IMAGE: {}\n  TAGS: '{{branch}}'", name.to_lowercase());
        assert!(
            !error.contains("login;") && hint.as_deref().unwrap().ends_with(&lines),
            "{error} {hint:?}"
        );
    }
    for tag in ["feature/x", "fix/login@v2", "a#1"] {
        let (error, hint) = explained(None, Some(tag));
        assert!(
            error.starts_with(&format!("SAVE_TAGS: `{tag}` is not a valid tag")),
            "{error}"
        );
        assert!(
            hint.unwrap().ends_with("\n  SAVE_TAGS: '{branch}'"),
            "{tag}"
        );
    }
    for image in [
        "app:1:2",
        "app:$TAG",
        "acme/App:V1",
        "r.example:x",
        "app:-x",
    ] {
        let (error, hint) = explained(Some(image), None);
        assert!(
            !hint.unwrap_or_default().contains("{branch}"),
            "{image}: {error}"
        );
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
    read(&variables, &Values::default(), &mut findings);
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
        assert!(error.contains(" contains a login"), "{error}");
        assert!(!error.contains("ss@") && !error.contains("pa/"), "{error}");
    }
}

#[test]
fn an_unset_variable_in_a_name_is_reported_with_a_hint() {
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
            &Values::default(),
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
        let plan = read(&variables, &Values::default(), &mut findings);
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
        "SAVE_TAGS: `a:b` is not a valid tag; write a tag of letters, digits, `_`, `.` and `-`, such as `1.0`\n\
         SAVE_TAGS: `-x` is not a valid tag; write a tag of letters, digits, `_`, `.` and `-`, such as `1.0`\n\
         SAVE_TAGS: set, but SAVE is not set; set `SAVE: 'true'`, or remove SAVE_TAGS"
    );
}

#[test]
fn a_push_needs_a_name_and_a_name_without_a_push_causes_a_warning() {
    let fault = "IMAGE: not set, but PUSH is true; write the name to push the image under, such as `acme/app:1.0`";
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
        assert_eq!(
            read(&variables, &Values::default(), &mut findings).load,
            is_loaded
        );
        let variables = ImageVariables {
            image: Some("app".into()),
            ..variables
        };
        let plan = read(&variables, &Values::default(), &mut findings);
        assert_eq!(plan.references.len(), 1);
        let warnings = findings.into_error().warnings().to_vec();
        assert_eq!(warnings.is_empty(), is_loaded, "{warnings:?}");
    }
}

#[test]
fn a_name_that_can_contain_a_login_or_a_branch_has_advice_for_both() {
    for image in [
        "robot:pa/ss@myregistry/app",
        "acme/app:fix/user@example.com",
    ] {
        let (_, error, _) = plan(Some(image), Some("true"));
        assert!(error.contains('@') && !error.contains("pa/ss"), "{error}");
        assert!(
            error.contains("contains a login, or a tag with an `@`; "),
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
            error.contains("` contains a login; write the name without it")
                && !error.contains("word"),
            "{error}"
        );
    }
}

/// The values of a pipeline with this branch.
fn on_branch(branch: &str) -> Values {
    Values {
        branch: Some(branch.into()),
        commit: Some("0123456789abcdef".into()),
        ..Values::default()
    }
}

/// The names, the fault, and the notes of these values of IMAGE and TAGS.
fn tagged(image: &str, tags: &str, values: &Values) -> (Vec<String>, String, Vec<String>) {
    let mut findings = Findings::default();
    let variables = ImageVariables {
        image: (!image.is_empty()).then(|| image.into()),
        tags: Some(tags.into()),
        push: Some("false".into()),
        ..ImageVariables::default()
    };
    let plan = read(&variables, values, &mut findings);
    let names = plan.references.iter().map(ToString::to_string).collect();
    (names, findings.into_error().to_string(), plan.notes)
}

#[test]
fn every_name_without_a_tag_gets_all_tags() {
    let values = on_branch("feature/ABC-1_x");
    let (names, error, notes) = tagged(
        "acme/app, ghcr.io/acme/app, localhost:5000/app acme/app:1.0, acme/app:latest",
        "{branch}, {sha} {tag} \0latest, {sha}",
        &values,
    );
    assert_eq!(error, "");
    assert_eq!(
        names,
        [
            "docker.io/acme/app:feature-ABC-1_x",
            "docker.io/acme/app:0123456",
            "docker.io/acme/app:latest",
            "ghcr.io/acme/app:feature-ABC-1_x",
            "ghcr.io/acme/app:0123456",
            "ghcr.io/acme/app:latest",
            "localhost:5000/app:feature-ABC-1_x",
            "localhost:5000/app:0123456",
            "localhost:5000/app:latest",
            "docker.io/acme/app:1.0",
        ]
    );
    assert_eq!(
        notes,
        [
            "TAGS: `{tag}` is omitted, because it needs the pipeline of a tag".to_owned(),
            format!("names of the image: {}", names.join(", ")),
        ]
    );
}

#[test]
fn tags_need_a_name_without_a_tag() {
    let values = on_branch("main");
    for (image, problem) in [
        (
            "",
            "TAGS: set, but IMAGE is not set; write the name without a tag in IMAGE",
        ),
        (
            "acme/app:1, r.example:5000/app:2",
            "TAGS: set, but every name in IMAGE has a tag of its own; remove ",
        ),
        ("acme/app:a b:c:d", "IMAGE: `b:c:d` has two tags"),
    ] {
        let (_, error, _) = tagged(image, "{branch}", &values);
        assert!(
            error.starts_with(problem) && error.lines().count() == 1,
            "{error}"
        );
    }
    let many: Vec<String> = (0..501).map(|number| format!("t{number}")).collect();
    let (_, error, _) = tagged("a b", &many.join(" "), &values);
    assert_eq!(
        error,
        "TAGS: has 501 tags for 2 names in IMAGE, which are more than 1000 names in total; write fewer tags"
    );
}

#[test]
fn saved_tags_are_templates_too() {
    let mut findings = Findings::default();
    let variables = ImageVariables {
        save: Some("true".into()),
        save_tags: Some("{branch}-{sha}, {pr}".into()),
        ..ImageVariables::default()
    };
    let plan = read(&variables, &on_branch("fix/a b"), &mut findings);
    assert_eq!(plan.save.unwrap().tags, ["fix-a-b-0123456"]);
    assert_eq!(
        plan.notes,
        [
            "SAVE_TAGS: `{pr}` is omitted, because it needs the pipeline of a pull request",
            "tags in Depot's registry: fix-a-b-0123456"
        ]
    );
    let variables = ImageVariables {
        save_tags: Some("{pr}".into()),
        ..variables
    };
    read(&variables, &on_branch("main"), &mut findings);
    assert_eq!(
        findings.into_error().to_string(),
        "SAVE_TAGS: no entry has a value in this pipeline: `{pr}` needs the pipeline of a pull request; add an entry for this \
         pipeline, such as `{branch}`, or run the step only in those pipelines"
    );
}

#[test]
fn the_branch_of_the_pipeline_in_a_name_is_never_a_login() {
    for branch in [
        "feature/x@v2",
        "x@v2",
        "fix/user@example.com",
        "renovate/foo@2.x",
        "feature/x@v2/y",
        "deps/@types/node",
        "a:b@c.example/d",
    ] {
        for (image, template) in [
            (format!("name:{branch}"), "{branch}"),
            (format!("acme/app:v-{branch}.1"), "v-{branch}.1"),
            (format!("r.example:5000/acme/app:{branch}"), "{branch}"),
        ] {
            let mut findings = Findings::default();
            let variables = ImageVariables {
                image: Some(image.clone()),
                push: Some("true".into()),
                ..ImageVariables::default()
            };
            read(&variables, &on_branch(branch), &mut findings);
            let error = findings.into_error();
            let shown = error.to_string();
            assert!(
                shown.contains(&format!("IMAGE: `{image}` has an invalid tag `")),
                "{shown}"
            );
            assert!(!shown.contains("login"), "{shown}");
            let lines = format!("  TAGS: '{template}'");
            let hint = error.hint().unwrap();
            assert!(hint.ends_with(&lines), "{image} {hint}");
        }
    }
    // The same text in the pipeline of another branch can be a login.
    let (_, error, _) = plan(Some("name:fix/user@example.com"), Some("true"));
    assert!(
        error.contains("contains a login, or a tag with an `@`"),
        "{error}"
    );
    let (_, error, _) = plan(Some("name:feature/x@v2"), Some("true"));
    assert!(
        error.contains("has an invalid tag `feature/x@v2`"),
        "{error}"
    );
}

#[test]
fn placeholders_in_a_name_are_explained() {
    for (image, lines) in [
        ("acme/app:{sha}", "\n  IMAGE: acme/app\n  TAGS: '{sha}'"),
        (
            "Acme/App:v{minor}",
            "\n  IMAGE: acme/app\n  TAGS: 'v{minor}'",
        ),
        ("acme/app:{shaa}", "\n  IMAGE: acme/app\n  TAGS: '{branch}'"),
    ] {
        let (error, hint) = explained(Some(image), None);
        assert!(error.contains("an invalid tag `"), "{error}");
        assert!(hint.as_deref().unwrap().ends_with(lines), "{hint:?}");
    }
}
