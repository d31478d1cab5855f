//! Images that are copied, builds that are skipped, and values that are wrong.

use std::ffi::OsString;

use super::*;
use crate::config::table::Fallback;
use crate::config::{ConfigError, read};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn read_all(variables: &[(&str, &str)]) -> Result<Plan, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    read(variables, folder.path()).map(|(plan, _)| plan)
}

fn promotion(variables: &[(&str, &str)]) -> PromotionPlan {
    read_all(variables).unwrap().promotion.unwrap()
}

fn names(plan: &PromotionPlan) -> Vec<String> {
    let references = plan.destinations.references.iter();
    references.map(ToString::to_string).collect()
}

#[test]
fn an_image_is_copied_without_a_token_a_project_and_a_dockerfile() {
    let source = format!("acme/app@{DIGEST}");
    let plan = promotion(&[
        ("SOURCE_IMAGE", &source),
        ("IMAGE", "acme/app:1.0 x.example/app"),
    ]);
    let PromotionSource::Image(reference) = &plan.source else {
        panic!("{plan:?}");
    };
    assert_eq!(reference.to_string(), format!("docker.io/{source}"));
    assert!(plan.destinations.push && !plan.destinations.load);
    assert_eq!(
        names(&plan),
        ["docker.io/acme/app:1.0", "x.example/app:latest"]
    );
}

#[test]
fn a_saved_build_needs_the_token() {
    let plan = promotion(&[
        ("SOURCE_IMAGE", "depot:0a1b-C_2"),
        ("IMAGE", "acme/app"),
        ("DEPOT_TOKEN", "token"),
    ]);
    assert!(matches!(&plan.source, PromotionSource::Build(build) if build.id == "0a1b-C_2"));
    let error = read_all(&[("SOURCE_IMAGE", "depot:x"), ("IMAGE", "acme/app")]).unwrap_err();
    assert!(
        error.to_string().starts_with("DEPOT_TOKEN: not set"),
        "{error}"
    );
}

#[test]
fn an_image_can_be_loaded_without_a_push() {
    let load = ("LOAD", "true");
    let plan = promotion(&[("SOURCE_IMAGE", "acme/app:1"), load]);
    assert!(!plan.destinations.push && plan.destinations.load);
    assert_eq!(names(&plan), ["docker.io/acme/app:1"]);
    let tagged = format!("x.example:5000/app:1@{DIGEST}");
    assert_eq!(
        names(&promotion(&[("SOURCE_IMAGE", &tagged), load])),
        ["x.example:5000/app:1"]
    );
    let build = [("SOURCE_IMAGE", "depot:b1"), load, ("DEPOT_TOKEN", "t")];
    assert_eq!(
        names(&promotion(&build)),
        ["docker.io/library/depot-build:b1"]
    );
    let named = [("SOURCE_IMAGE", "acme/app:1"), load, ("IMAGE", "b")];
    let both = promotion(&named);
    assert!(both.destinations.push && both.destinations.load);
    let only = promotion(&[named[0], named[1], named[2], ("PUSH", "false")]);
    assert!(!only.destinations.push && only.destinations.load);
}

#[test]
fn wrong_values_are_reported() {
    let image = ("IMAGE", "acme/app:1");
    let source = ("SOURCE_IMAGE", "acme/app:2");
    let by_digest = format!("acme/app@{DIGEST}");
    let sha512 = format!("acme/app@sha512:{}", "0".repeat(128));
    let long = format!("depot:{}", "a".repeat(129));
    let token = ("DEPOT_TOKEN", "t");
    for (variables, fault) in [
        (
            vec![source],
            "IMAGE: not set, so SOURCE_IMAGE has no destination; ",
        ),
        (
            vec![source, image, ("PUSH", "false")],
            "PUSH: `false`, but SOURCE_IMAGE is neither",
        ),
        (vec![source, ("IMAGE", &by_digest)], "IMAGE: "),
        (
            vec![("SOURCE_IMAGE", &by_digest), ("LOAD", "true")],
            "IMAGE: not set, and SOURCE_IMAGE has no tag",
        ),
        (
            vec![("SOURCE_IMAGE", "acme/app:1 acme/app:2"), image],
            "SOURCE_IMAGE: `acme/app:1 acme/app:2` is more than one name; ",
        ),
        (
            vec![("SOURCE_IMAGE", "Acme/app"), image],
            "SOURCE_IMAGE: refers to the registry `Acme`",
        ),
        (
            vec![("SOURCE_IMAGE", "https://x.example/app"), image],
            "SOURCE_IMAGE: `https://x.example/app` ",
        ),
        (
            vec![("SOURCE_IMAGE", "acme/app:"), image],
            "SOURCE_IMAGE: `acme/app:` ",
        ),
        (
            vec![("SOURCE_IMAGE", "acme/app@sha256:12"), image],
            "SOURCE_IMAGE: `acme/app@sha256:12` ",
        ),
        (vec![("SOURCE_IMAGE", &sha512), image], "SOURCE_IMAGE: "),
        (
            vec![("SOURCE_IMAGE", "me:hunter2/x@x.example/app"), image],
            "SOURCE_IMAGE: `***@x.example/app` contains a login; ",
        ),
        (
            vec![("SOURCE_IMAGE", "depot:"), image, token],
            "SOURCE_IMAGE: `depot:` has no valid build id; ",
        ),
        (
            vec![("SOURCE_IMAGE", "depot:a/b"), image, token],
            "SOURCE_IMAGE: `depot:a/b` has no valid build id",
        ),
        (
            vec![("SOURCE_IMAGE", &long), image, token],
            "SOURCE_IMAGE: ",
        ),
    ] {
        let error = read_all(&variables).unwrap_err().to_string();
        assert!(error.starts_with(fault), "{variables:?}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn every_variable_of_a_build_is_refused_at_once() {
    let mut variables = vec![("SOURCE_IMAGE", "acme/app"), ("IMAGE", "acme/app:1")];
    // Values that are valid in a build, except for files that do not exist.
    variables.extend(OF_BUILDS.iter().map(|name| (*name, "true")));
    let error = read_all(&variables).unwrap_err().to_string();
    for name in OF_BUILDS {
        let line = format!("{name}: set, but SOURCE_IMAGE is set too, so nothing is built; ");
        assert!(error.contains(&line), "{error}");
    }
}

#[test]
fn the_defaults_of_pipe_yml_are_not_refused() {
    let mut variables = vec![("SOURCE_IMAGE", "acme/app"), ("IMAGE", "acme/app:1")];
    for variable in all_variables() {
        if let Fallback::Value(value) = variable.fallback {
            variables.push((variable.name, value));
        }
    }
    assert!(read_all(&variables).unwrap().promotion.is_some());
    let no = [
        ("SOURCE_IMAGE", "a"),
        ("IMAGE", "b"),
        ("NO_CACHE", "no"),
        ("SAVE", "0"),
    ];
    assert!(read_all(&no).is_ok());
}

#[test]
fn a_build_that_can_be_skipped_only_pushes() {
    let build = |others: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        let always = [
            ("DEPOT_TOKEN", "t"),
            ("DEPOT_PROJECT_ID", "p"),
            ("IMAGE", "acme/app:1"),
        ];
        let variables = always.iter().chain(others);
        let variables =
            variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let read = read(variables, folder.path());
        read.map(|(plan, _)| plan.skip_if_exists)
            .map_err(|error| error.to_string())
    };
    let (skip, push) = (("SKIP_IF_EXISTS", "yes"), ("PUSH", "true"));
    assert_eq!(build(&[skip, push]), Ok(true));
    assert_eq!(build(&[("SKIP_IF_EXISTS", "no"), push]), Ok(false));
    let unclear = build(&[("SKIP_IF_EXISTS", "maybe"), push]).unwrap_err();
    assert!(
        unclear.contains("`maybe` is neither true nor false"),
        "{unclear}"
    );
    let no_push = build(&[skip]).unwrap_err();
    assert!(
        no_push.starts_with("SKIP_IF_EXISTS: `true`, but the image is not pushed"),
        "{no_push}"
    );
    for (name, value) in [
        ("LOAD", "true"),
        ("SAVE", "true"),
        ("OUTPUTS", "type=tar,dest=out.tar"),
        ("SBOM_DIR", "sboms"),
        ("CACHE_TO", "acme/cache:1"),
    ] {
        let error = build(&[skip, push, (name, value)]).unwrap_err();
        let fault = format!("SKIP_IF_EXISTS: `true`, but {name} is set, and a skipped");
        assert!(error.contains(&fault), "{error}");
    }
}

#[test]
fn every_variable_of_a_build_is_listed() {
    use crate::config::table::Topic;
    let of_builds = [
        Topic::Source,
        Topic::Bake,
        Topic::Secrets,
        Topic::Cache,
        Topic::Steps,
        Topic::Metadata,
    ];
    for variable in all_variables().filter(|variable| of_builds.contains(&variable.topic)) {
        let is_of_repository = variable.fallback == Fallback::SameName;
        let is_refused = OF_BUILDS.contains(&variable.name);
        assert!(is_refused != is_of_repository, "{}", variable.name);
    }
    for name in OF_BUILDS {
        assert!(
            all_variables().any(|variable| variable.name == *name),
            "{name}"
        );
    }
}
