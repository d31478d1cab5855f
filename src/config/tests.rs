//! Whole environments in, whole plans and errors out.

mod secrets;
mod steps;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::plan::{ContextPlan, ImagePlan, ProjectSource};
use super::table::all_variables;
use super::{ConfigError, Plan, Warning, read};
use crate::platform::Architecture;

/// A clone with only a Dockerfile.
struct Clone(tempfile::TempDir);

impl Clone {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("app")).unwrap();
        fs::write(directory.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        Self(directory)
    }

    fn path(&self) -> PathBuf {
        fs::canonicalize(self.0.path()).unwrap()
    }

    fn read(&self, variables: &[(&str, &str)]) -> Result<(Plan, Vec<Warning>), ConfigError> {
        let path = self.path();
        let clone_dir = ("BITBUCKET_CLONE_DIR", path.to_str().unwrap());
        let all = variables.iter().chain([&clone_dir]);
        read(
            all.map(|(name, value)| (OsString::from(name), OsString::from(value))),
            &path,
        )
    }
}

/// The context and the Dockerfile.
fn paths(image: &ImagePlan) -> (&Path, &Path) {
    match &image.build.context {
        ContextPlan::Directory(context, dockerfile) => (&context.path, dockerfile.file().unwrap()),
        ContextPlan::Git(_) => panic!("not a directory"),
    }
}

const TOKEN: (&str, &str) = ("DEPOT_TOKEN", "depot-token-hunter2");
const PROJECT: (&str, &str) = ("DEPOT_PROJECT_ID", "abc123");

#[test]
fn token_and_project_are_enough() {
    let clone = Clone::new();
    let (plan, warnings) = clone.read(&[TOKEN, PROJECT]).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(
        plan.depot.as_ref().unwrap().token.expose_secret(),
        "depot-token-hunter2"
    );
    let depot = plan.depot.as_ref().unwrap();
    assert_eq!(
        (depot.project_id.as_str(), depot.project_source.clone()),
        ("abc123", ProjectSource::Variable)
    );
    assert_eq!(
        plan.depot.as_ref().unwrap().api_url.as_str(),
        "https://api.depot.dev/"
    );
    assert_eq!(
        paths(&plan.images[0]),
        (&*clone.path(), &*clone.path().join("Dockerfile"))
    );
    assert_eq!(
        (
            plan.images[0].build.target.as_deref(),
            plan.images[0].build.platforms.len(),
            plan.images[0].build.no_cache
        ),
        (None, 0, false)
    );
    assert!(
        plan.images[0].build.build_args.iter().next().is_none()
            && plan.images[0].destinations.references.is_empty()
    );
    assert!(!plan.images[0].destinations.push && !plan.debug);
    assert!(plan.registries.credentials.for_host("docker.io").is_none());
    assert_eq!(plan.clone, clone.path());
}

/// Every variable with a different value.
const ALL: [(&str, &str); 23] = [
    TOKEN,
    ("DEPOT_API_URL", "http://127.0.0.1:4000"),
    ("IMAGE_COUNT", "2"),
    ("IMAGE_0", "registry.example.com/acme/app:1"),
    ("IMAGE_1", "registry.example.com/acme/app:latest"),
    ("CONTEXT", "app"),
    ("DOCKERFILE", "Dockerfile"),
    ("TARGET", " final "),
    ("BUILD_ARGS", "VERSION=1.10\nTAG\nVERSION=1.11-hunter4"),
    ("TAG", "v1"),
    ("PLATFORMS", "arm64/v8, linux/arm64, linux/386"),
    ("BUILD_PLATFORM", "linux/amd64"),
    ("PUSH", "Yes"),
    ("REGISTRY", "registry.example.com"),
    ("REGISTRY_USERNAME", "robot"),
    ("REGISTRY_PASSWORD", "password-hunter3"),
    ("NO_CACHE", "ON"),
    ("DEBUG", "1"),
    ("BITBUCKET_COMMIT", "0123456789ab"),
    ("BITBUCKET_TAG", ""),
    ("BITBUCKET_BRANCH", "main"),
    ("BITBUCKET_WORKSPACE", "acme"),
    ("BITBUCKET_REPO_SLUG", "app"),
];

#[test]
fn every_variable_is_part_of_the_plan() {
    let clone = Clone::new();
    fs::write(clone.path().join("app/depot.yml"), "id: from-file\n").unwrap();
    let (plan, warnings) = clone.read(&ALL).unwrap();
    assert_eq!(
        warnings,
        [Warning::RepeatedBuildArgument {
            argument: "`VERSION`".into()
        }]
    );
    assert_eq!(
        plan.depot.as_ref().unwrap().api_url.as_str(),
        "http://127.0.0.1:4000/"
    );
    let file = clone.path().join("app/depot.yml");
    let depot = plan.depot.as_ref().unwrap();
    assert_eq!(
        (depot.project_id.as_str(), depot.project_source.clone()),
        ("from-file", ProjectSource::File(file))
    );
    assert_eq!(
        paths(&plan.images[0]),
        (
            &*clone.path().join("app"),
            &*clone.path().join("Dockerfile")
        )
    );
    assert_eq!(plan.images[0].build.target.as_deref(), Some("final"));
    assert_eq!(
        plan.images[0].build.build_args.iter().collect::<Vec<_>>(),
        [("VERSION", "1.11-hunter4"), ("TAG", "v1")]
    );
    let platforms: Vec<String> = plan.images[0]
        .build
        .platforms
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(platforms, ["linux/arm64", "linux/386"]);
    assert_eq!(plan.images[0].build.machine, Some(Architecture::Amd64));
    assert!(plan.images[0].build.no_cache && plan.images[0].destinations.push && plan.debug);
    let references: Vec<String> = plan.images[0]
        .destinations
        .references
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        references,
        [
            "registry.example.com/acme/app:1",
            "registry.example.com/acme/app:latest"
        ]
    );
    let credential = plan
        .registries
        .credentials
        .for_host("registry.example.com")
        .unwrap();
    assert_eq!(
        (credential.username(), credential.password().expose_secret()),
        ("robot", "password-hunter3")
    );
    assert_eq!(plan.pipeline.repository().as_deref(), Some("acme/app"));
}

#[test]
fn all_faults_are_reported_at_once_each_on_a_line() {
    let clone = Clone::new();
    let error = clone
        .read(&[
            ("DEPOT_TOKEN", "${DEPOT_TOKEN}"),
            ("DEPOT_TOKN", "typed"),
            ("DEPOT_API_URL", "depot"),
            ("IMAGE", "acme/App app:1:2"),
            ("PUSH", "maybe"),
            ("CONTEXT", "missing"),
            ("DOCKERFILE", "app"),
            ("TARGET", "two stages"),
            ("BUILD_ARGS", "{A: [s3cret]"),
            ("PLATFORMS", "linux/amd64,linux/arm64,windows"),
            ("BUILD_PLATFORM", "arm/v7"),
            ("REGISTRY", "https://registry.example.com/acme"),
            ("REGISTRY_USERNAME", "me"),
            ("NO_CACHE", "2"),
            ("DEBUG", "please"),
        ])
        .unwrap_err();
    let root = clone.path().display().to_string();
    let shown = error.to_string().replace(&root, "CLONE");
    assert_eq!(
        shown.lines().collect::<Vec<_>>(),
        [
            "DEPOT_TOKEN: not set; set it to a token of your Depot project",
            "DEPOT_PROJECT_ID: not set, and no `depot.json`, `depot.yml` or `depot.yaml` exists in \
             `CLONE/missing` or above; set it to the project's id, or commit the `depot.json` that `depot init` writes",
            "DEPOT_API_URL: `depot` is not an address; write an address such as `https://api.depot.dev`",
            "PUSH: `maybe` is neither true nor false; write `true` or `false`",
            "IMAGE: `acme/App` has upper-case letters in its repository name; write `acme/app`",
            "IMAGE: `app:1:2` has two tags, `1` and `2`; write one reference for each tag, such as \
             `acme/app:1.0 acme/app:latest`",
            "CONTEXT: `CLONE/missing` does not exist; write a directory of the clone",
            "DOCKERFILE: `CLONE/app` is a directory; write the path of a Dockerfile, relative to the working directory \
             or to the context",
            "TARGET: `two stages` contains white space, which is not allowed in a stage name; write the name of one stage",
            "BUILD_ARGS: not a YAML mapping of names to plain values, near line 1, column 5; write `NAME: value` \
             lines, or `NAME=VALUE` lines",
            "PLATFORMS: `windows` is not a platform that Depot builds for; write `linux/amd64` or `linux/arm64`, or a \
             variant such as `linux/arm/v7`",
            "BUILD_PLATFORM: `arm/v7` is not an architecture of Depot's builders; write `linux/amd64`, `linux/arm64`, or `dynamic` for a builder of each platform's own architecture",
            "NO_CACHE: `2` is neither true nor false; write `true` or `false`",
            "REGISTRY_PASSWORD: not set, but REGISTRY_USERNAME is set; set both, or neither",
            "DEBUG: `please` is neither true nor false; write `true` or `false`",
        ]
    );
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("DEPOT_TOKEN"))
    );
    assert!(error.warnings().contains(&Warning::NearMiss {
        name: "DEPOT_TOKN".into(),
        meant: "DEPOT_TOKEN"
    }));
}

#[test]
fn a_repository_as_the_context_needs_no_files_of_the_clone() {
    let clone = Clone::new();
    fs::remove_file(clone.path().join("Dockerfile")).unwrap();
    fs::write(clone.path().join("depot.json"), r#"{"id": "of-clone"}"#).unwrap();
    let address = "https://me:pass-word-1@example.com/x.git#main:app";
    let (plan, warnings) = clone
        .read(&[TOKEN, ("CONTEXT", address), ("DOCKERFILE", "ci/Dockerfile")])
        .unwrap();
    assert_eq!(warnings, []);
    assert_eq!(plan.depot.as_ref().unwrap().project_id, "of-clone");
    let ContextPlan::Git(context) = &plan.images[0].build.context else {
        panic!("not a repository: {plan:?}");
    };
    assert_eq!(context.address.expose_secret(), address);
    assert_eq!(context.dockerfile, "ci/Dockerfile");
    let mut secrets = plan.secrets().map(ExposeSecret::expose_secret);
    assert!(secrets.any(|secret| secret == "pass-word-1"));
    assert!(!format!("{plan:?}").contains("pass-word-1"));
    // A directory of that name takes precedence.
    fs::create_dir_all(clone.path().join("github.com/x")).unwrap();
    fs::write(
        clone.path().join("github.com/x/Dockerfile"),
        "FROM scratch\n",
    )
    .unwrap();
    let (plan, _) = clone.read(&[TOKEN, ("CONTEXT", "github.com/x")]).unwrap();
    assert_eq!(paths(&plan.images[0]).0, clone.path().join("github.com/x"));
}

#[test]
fn a_context_outside_of_the_clone_is_rejected_with_a_hint() {
    let clone = Clone::new();
    let error = clone
        .read(&[
            TOKEN,
            PROJECT,
            ("CONTEXT", "/"),
            ("DOCKERFILE", "Dockerfile"),
        ])
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("CONTEXT: `/` is outside of the clone directory `"),
        "{error}"
    );
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("clone directory"))
    );
}

#[test]
fn a_variable_that_a_build_argument_reads_is_not_a_near_miss() {
    let clone = Clone::new();
    let (_, warnings) = clone
        .read(&[
            TOKEN,
            PROJECT,
            ("BUILD_ARGS", "TAG"),
            ("TAG", "1"),
            ("PLATFORM", ""),
        ])
        .unwrap();
    assert_eq!(warnings, []);
    let (_, warnings) = clone
        .read(&[
            TOKEN,
            PROJECT,
            ("BUILD_ARGS", "A=b"),
            ("TAG", "1"),
            ("PLATFORM", "x"),
        ])
        .unwrap();
    let miss = |name: &str, meant| Warning::NearMiss {
        name: name.into(),
        meant,
    };
    assert_eq!(
        warnings,
        [miss("PLATFORM", "PLATFORMS"), miss("TAG", "TAGS")]
    );
}

#[test]
fn warnings_read_as_sentences() {
    let path = |path: &str| PathBuf::from(path);
    for (warning, text) in [
        (
            Warning::NearMiss {
                name: "TAG".into(),
                meant: "IMAGE",
            },
            "TAG is not a variable of this pipe; did you mean IMAGE?",
        ),
        (
            Warning::TwoProjects {
                used: path("/a/depot.json"),
                used_id: "one".into(),
                ignored: path("/depot.json"),
                ignored_id: "two".into(),
            },
            "two Depot projects: `one` in `/a/depot.json` is used, `two` in `/depot.json` is not; set DEPOT_PROJECT_ID to choose one",
        ),
        (
            Warning::NamedButNotPushed { saved: false },
            "IMAGE is set without PUSH: the image is built, but not kept; set `PUSH: 'true'` to push it",
        ),
    ] {
        assert_eq!(warning.to_string(), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_values_panic_and_an_error_has_a_fault_for_each_line(
        values in prop::collection::vec((0..all_variables().count(), "[^\0]{0,20}"), 0..10),
    ) {
        let variables = values.into_iter().filter_map(|(index, value)| {
            Some((OsString::from(all_variables().nth(index)?.name), OsString::from(value)))
        });
        if let Err(error) = read(variables, Path::new("/nowhere")) {
            prop_assert!(!error.faults().is_empty());
            prop_assert_eq!(error.to_string().lines().count(), error.faults().len());
        }
    }
}

#[test]
fn the_date_in_a_tag_is_that_of_the_passed_time() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    let variables = [
        ("DEPOT_TOKEN", "token"),
        ("DEPOT_PROJECT_ID", "abcdefghij"),
        ("IMAGE", "acme/app"),
        ("TAGS", "{date}"),
        ("PUSH", "true"),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    let now = humantime::parse_rfc3339("2026-11-27T23:59:59Z").unwrap();
    let (plan, warnings) = super::read_at(variables, folder.path(), now).unwrap();
    assert_eq!(warnings, []);
    let destinations = &plan.images[0].destinations;
    assert_eq!(
        destinations.references[0].to_string(),
        "docker.io/acme/app:20261127"
    );
}

#[test]
fn tags_that_refer_only_to_unset_variables_are_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    let fault = |tags: &[(&str, &str)]| {
        let common = [
            ("DEPOT_TOKEN", "token"),
            ("DEPOT_PROJECT_ID", "abcdefghij"),
            ("IMAGE", "acme/app"),
            ("PUSH", "true"),
        ];
        let variables = common.iter().chain(tags);
        let variables = variables.map(|&(name, value)| (name.into(), value.into()));
        read(variables, folder.path()).map_err(|error| {
            assert_eq!(error.warnings(), []);
            error.to_string()
        })
    };
    let expected = "TAGS: refers only to variables that are not set in this pipeline; write placeholders such as `{tag}`, or \
                    remove TAGS to use the tag `latest`";
    for tags in [
        &[("TAGS", "$BITBUCKET_TAG")][..],
        &[("TAGS", "$BITBUCKET_TAG, ${OTHER}")],
        &[("TAGS_COUNT", "1"), ("TAGS_0", "$BITBUCKET_TAG")],
        &[
            ("TAGS_COUNT", "2"),
            ("TAGS_0", ""),
            ("TAGS_1", "$BITBUCKET_TAG"),
        ],
    ] {
        assert_eq!(fault(tags).unwrap_err(), expected);
    }
    for tags in [&[("TAGS", "")][..], &[("TAGS", "$BITBUCKET_TAG 1.0")]] {
        assert!(fault(tags).is_ok());
    }
}
