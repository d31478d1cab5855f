//! Hints after rejected logins, for each kind of registry, as source and as target of a copy and in a build.

use std::ffi::OsString;

use http::StatusCode;
use tempfile::TempDir;

use super::*;
use crate::config;
use crate::pipe::failure::{CopyFailure, Failure, SourceFailure};
use crate::registry::client::error::rejected_by;
use crate::registry::copy::image::ImageCopyError;
use crate::registry::copy::tree::ReadError;

const AMAZON: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

/// The plan of a copy with these further variables.
fn plan(variables: &[(&str, &str)]) -> Plan {
    let copy = [
        ("SOURCE_IMAGE", "source.example/app:1"),
        ("IMAGE", "target.example/app:1"),
    ];
    let variables = copy.iter().chain(variables);
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let folder = TempDir::new().unwrap();
    config::read(variables, folder.path()).unwrap().0
}

fn rejected(host: &str, repository: &str, status: u16) -> ClientError {
    let status = StatusCode::from_u16(status).unwrap();
    rejected_by(host, repository, (status, bytes::Bytes::new()), None)
}

/// The hint if the source rejects the login.
fn of_source(host: &str, plan: &Plan) -> String {
    let failure = Failure::Source(Box::new(SourceFailure {
        image: format!("{host}/acme/app:1"),
        source: ReadError::Client(rejected(host, "acme/app", 401)),
    }));
    super::super::hint(&failure, plan, &[]).unwrap()
}

/// The hints if a blob cannot be read, and if the target rejects the login.
fn of_copy(host: &str, repository: &str, plan: &Plan) -> [String; 2] {
    [ImageCopyError::Source, ImageCopyError::Target].map(|side| {
        let failure = Failure::Copy(Box::new(CopyFailure {
            image: "source.example/app:1".into(),
            source: side(rejected(host, repository, 403)),
        }));
        super::super::hint(&failure, plan, &[]).unwrap()
    })
}

#[test]
fn the_variables_of_each_registry_are_named() {
    let none = plan(&[]);
    let with = |variables: &[(&str, &str)]| plan(variables);
    let token = with(&[("DEPOT_TOKEN", "secret")]);
    let packages = with(&[
        ("BITBUCKET_PACKAGES_USERNAME", "x"),
        ("BITBUCKET_PACKAGES_TOKEN", "secret"),
    ]);
    let hub = with(&[("DOCKERHUB_USERNAME", "x"), ("DOCKERHUB_TOKEN", "secret")]);
    let pair = with(&[
        ("REGISTRY", "quay.example"),
        ("REGISTRY_USERNAME", "x"),
        ("REGISTRY_PASSWORD", "secret"),
    ]);
    let list = with(&[(
        "REGISTRIES",
        "- {registry: other.example, username: x, password: secret}\n\
         - {registry: quay.example, username: x, password: secret}",
    )]);
    for (host, plan, starts) in [
        ("registry.depot.dev", &none, "set DEPOT_TOKEN, which"),
        ("registry.depot.dev", &token, "check DEPOT_TOKEN: "),
        ("abc.registry.depot.dev", &token, "check DEPOT_TOKEN: "),
        (
            "crg.apkg.io",
            &none,
            "Bitbucket sets BITBUCKET_PACKAGES_USERNAME and BITBUCKET_PACKAGES_TOKEN in",
        ),
        (
            "crg.apkg.io",
            &packages,
            "the login in BITBUCKET_PACKAGES_USERNAME and BITBUCKET_PACKAGES_TOKEN applies",
        ),
        (
            "docker.io",
            &none,
            "set DOCKERHUB_USERNAME and DOCKERHUB_TOKEN as",
        ),
        (
            "registry-1.docker.io",
            &pair,
            "set DOCKERHUB_USERNAME and DOCKERHUB_TOKEN as",
        ),
        (
            "docker.io",
            &hub,
            "check DOCKERHUB_USERNAME and DOCKERHUB_TOKEN: the login must belong to `docker.io`",
        ),
        (
            AMAZON,
            &none,
            "the identity in AWS_OIDC_ROLE_ARN or AWS_ACCESS_KEY_ID must",
        ),
        (
            "public.ecr.aws",
            &none,
            "the identity in AWS_OIDC_ROLE_ARN or AWS_ACCESS_KEY_ID must",
        ),
        (
            "quay.example",
            &none,
            "set REGISTRY: quay.example, REGISTRY_USERNAME and REGISTRY_PASSWORD, or add an entry for `quay.example` in REGISTRIES",
        ),
        (
            "quay.example",
            &pair,
            "check REGISTRY_USERNAME and REGISTRY_PASSWORD: the login must belong to `quay.example`",
        ),
        ("QUAY.example", &pair, "check REGISTRY_USERNAME and "),
        // The pair is for another registry.
        ("ghcr.io", &pair, "add an entry for `ghcr.io` in REGISTRIES"),
        ("quay.example", &list, "check entry 2 of REGISTRIES: "),
    ] {
        let [pull, push] = of_copy(host, "acme/app", plan);
        for hint in [&of_source(host, plan), &pull, &push] {
            assert!(hint.starts_with(starts), "{host}: {hint}");
            assert!(!hint.contains("secret`"), "{hint}");
        }
        let in_build = Place::in_build(&format!("{host}/acme/app:1"));
        let hint = login_hint(&in_build, plan);
        assert!(hint.starts_with(starts), "{host}: {hint}");
    }
}

#[test]
fn the_permission_is_that_of_the_side() {
    let pair = plan(&[
        ("REGISTRY", "quay.example"),
        ("REGISTRY_USERNAME", "x"),
        ("REGISTRY_PASSWORD", "secret"),
    ]);
    let [pull, push] = of_copy("quay.example", "acme/app", &pair);
    assert!(pull.ends_with("have permission to pull there"), "{pull}");
    assert!(push.ends_with("have permission to push there"), "{push}");
    let [pull, push] = of_copy(AMAZON, "acme/app", &pair);
    assert!(pull.contains("allowed to pull from"), "{pull}");
    assert!(!pull.contains("ECR_CREATE_REPOSITORY"), "{pull}");
    assert!(push.contains("ECR_CREATE_REPOSITORY: 'true'"), "{push}");
}

#[test]
fn the_login_is_that_of_the_repository() {
    let parts = plan(&[(
        "REGISTRIES",
        "- {registry: quay.example/dev, username: x, password: secret}\n\
         - {registry: quay.example/prod, username: x, password: secret}",
    )]);
    for (repository, starts) in [
        ("dev/app", "check entry 1 of REGISTRIES: "),
        ("prod/app", "check entry 2 of REGISTRIES: "),
        (
            "other/app",
            "no entry of REGISTRIES for `quay.example` covers the repository `other/app`: add one",
        ),
    ] {
        for hint in of_copy("quay.example", repository, &parts) {
            assert!(hint.starts_with(starts), "{repository}: {hint}");
        }
        let in_build = Place::in_build(&format!("quay.example/{repository}:1"));
        assert!(login_hint(&in_build, &parts).starts_with(starts));
    }
}

#[test]
fn a_missing_source_is_no_question_of_logins() {
    let plan = plan(&[]);
    for (host, expected) in [
        (
            "quay.example",
            "check SOURCE_IMAGE: `quay.example` has no such image",
        ),
        (
            "registry.depot.dev",
            "check SOURCE_IMAGE: `registry.depot.dev` has no such image; Depot deletes saved images after some days",
        ),
    ] {
        let failure = Failure::Source(Box::new(SourceFailure {
            image: format!("{host}/acme/app:1"),
            source: ReadError::Client(rejected(host, "acme/app", 404)),
        }));
        let hint = super::super::hint(&failure, &plan, &[]).unwrap();
        assert_eq!(hint, expected);
    }
}
