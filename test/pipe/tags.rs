//! Tags in pipelines of branches, tags and pull requests, and in manual ones, with the variables as Bitbucket passes them.

use std::collections::BTreeMap;

use local_depot::{LocalDepot, Scenario};

use super::pipeline::{Call, environment};
use super::place::{Place, small_context, with_place};
use super::program::{Program, Run};

const COMMIT: (&str, &str) = (
    "BITBUCKET_COMMIT",
    "470faf1f29a3d1d4e2b3a7d9f2b1c8e5a6d7c8b9",
);
const NUMBER: (&str, &str) = ("BITBUCKET_BUILD_NUMBER", "42");
const BRANCH: (&str, &str) = ("BITBUCKET_BRANCH", "feature/ABC-1_x");
const LONG_BRANCH: (&str, &str) = (
    "BITBUCKET_BRANCH",
    "feature/a-branch-whose-name-is-longer-than-a-tag-can-be-a-branch-whose-name-is-longer-than-a-tag-can-be-and-so-it-is-cut-\
     at-the-end",
);

/// The tag of that branch: cut, with a hash of the name.
const LONG_TAG: &str = "feature-a-branch-whose-name-is-longer-than-a-tag-can-be-a-branch-whose-name-is-longer-than-a-tag-can-be-and-so-it-is-cu-1dc06ad6";

/// Runs a call of the pipe in a pipeline with these variables.
async fn run(place: &Place, depot: &LocalDepot, call: &str, pipeline: &[(&str, &str)]) -> Run {
    let registry = &place.registry;
    let mut variables: BTreeMap<&str, String> = pipeline
        .iter()
        .map(|&(name, value)| (name, value.to_owned()))
        .collect();
    variables.insert("DEPOT_TOKEN", depot.token().to_owned());
    variables.insert("DEPOT_PROJECT_ID", depot.project_id().to_owned());
    variables.insert("REGISTRY", registry.host());
    variables.insert("REGISTRY_USERNAME", registry.username().to_owned());
    variables.insert("REGISTRY_PASSWORD", registry.password().to_owned());
    let call = format!("pipe: org/depot-build:1.0.0\nvariables:\n{call}");
    let call: Call = serde_yaml::from_str(&call).unwrap();
    let context = small_context();
    let program = Program::of(depot, context.path());
    let environment = environment(&call, &variables).into_iter();
    let program = environment.fold(program, |program, (name, value)| program.set(&name, value));
    program.set("DEPOT_API_URL", depot.api_url()).run().await
}

/// Fails the test unless the repository has exactly these tags, all with one digest.
async fn assert_tags(place: &Place, repository: &str, expected: &[&str]) {
    let mut tags = place.registry.tags(repository).await.unwrap();
    tags.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(tags, expected);
    let mut digests = Vec::new();
    for tag in tags {
        let manifest = place.registry.manifest(repository, &tag).await.unwrap();
        digests.push(manifest.digest);
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "{repository}");
}

#[test]
fn each_pipeline_pushes_its_tags_with_one_digest() {
    with_place(async |place| {
        for (name, pipeline, platforms, expected, omitted) in [
            (
                "tags-of-branch",
                &[COMMIT, NUMBER, BRANCH][..],
                "linux/amd64",
                &["feature-ABC-1_x", "470faf1", "b42"][..],
                &[
                    "`{tag}`",
                    "`pr-{pr}`",
                    "`{semver}`",
                    "`{minor}`",
                    "`{latest}`",
                ][..],
            ),
            (
                "tags-of-release",
                &[COMMIT, NUMBER, ("BITBUCKET_TAG", "v1.2.3+5")],
                "linux/amd64, linux/arm64",
                &["v1.2.3-5", "470faf1", "b42", "1.2.3-5", "1.2", "latest"],
                &["`{branch}`", "`pr-{pr}`"],
            ),
            (
                "tags-of-pre-release",
                &[COMMIT, NUMBER, ("BITBUCKET_TAG", "api-2.0.0-rc.1")],
                "linux/amd64",
                &["api-2.0.0-rc.1", "470faf1", "b42", "2.0.0-rc.1"],
                &["`{branch}`", "`{minor}`", "`{latest}`"],
            ),
            (
                "tags-of-pull-request",
                &[COMMIT, NUMBER, BRANCH, ("BITBUCKET_PR_ID", "7")],
                "linux/amd64",
                &["feature-ABC-1_x", "470faf1", "b42", "pr-7"],
                &["`{tag}`", "`{semver}`"],
            ),
            // A manual pipeline of a commit.
            (
                "tags-of-manual",
                &[COMMIT, NUMBER],
                "linux/amd64",
                &["470faf1", "b42"],
                &["`{branch}`", "`{tag}`", "`pr-{pr}`"],
            ),
            (
                "tags-of-long-branch",
                &[COMMIT, NUMBER, LONG_BRANCH],
                "linux/amd64",
                &[LONG_TAG, "470faf1", "b42"],
                &[],
            ),
        ] {
            let depot = place.depot_of_two(Scenario::default()).await;
            let host = place.registry.host();
            let call = format!(
                "  IMAGE: {host}/{name}\n  PLATFORMS: {platforms}\n  PUSH: 'true'\n  TAGS:\n    - '{{branch}}'\n    - '{{tag}}'\n    \
                 - pr-{{pr}}\n    - '{{sha}}, b{{build}}'\n    - '{{semver}} {{minor}} {{latest}} {{sha}}'\n"
            );
            let run = run(place, &depot, &call, pipeline).await;
            run.expect(0, &["INFO: names of the image: "])
                .without("WARNING");
            // The names are known before the build is created.
            let names = run.log.find("names of the image: ").unwrap();
            assert!(
                names < run.log.find("INFO: build: ").unwrap(),
                "{}",
                run.log
            );
            for entry in omitted {
                let line =
                    format!("INFO: TAGS: {entry} is omitted, because it needs the pipeline of ");
                assert_eq!(run.log.matches(&line).count(), 1, "{line} in {}", run.log);
            }
            assert_tags(place, name, expected).await;
        }
    });
}

#[test]
fn an_image_with_a_tag_keeps_it() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let host = place.registry.host();
        let call = format!(
            "  IMAGE:\n    - {host}/tags-mixed\n    - {host}/tags-own:1.0\n  TAGS: '{{branch}}, {{sha}}'\n  PUSH: 'true'\n"
        );
        let run = run(place, &depot, &call, &[COMMIT, BRANCH]).await;
        run.expect(0, &["one image as 3 references"]);
        assert_tags(place, "tags-mixed", &["feature-ABC-1_x", "470faf1"]).await;
        assert_tags(place, "tags-own", &["1.0"]).await;
    });
}

#[test]
fn a_branch_in_place_of_a_tag_has_the_lines_to_paste() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let host = place.registry.host();
        for (number, branch) in ["feature/x", "feature/x@v2", "fix/me@example.com/y"]
            .into_iter()
            .enumerate()
        {
            let pipeline = [COMMIT, ("BITBUCKET_BRANCH", branch)];
            let name = format!("tags-pasted-{number}");
            let call = format!("  IMAGE: {host}/{name}:$BITBUCKET_BRANCH\n  PUSH: 'true'\n");
            let failed = run(place, &depot, &call, &pipeline).await;
            let problem = format!("has an invalid tag `{branch}`");
            failed.expect(2, &[&problem, "hint: a branch name can contain `/`"]);
            failed.without("login");
            assert!(depot.record().calls.is_empty());
            // The lines of the hint are indented as under `variables:`.
            let lines = failed
                .log
                .lines()
                .skip_while(|line| !line.starts_with("  IMAGE: "));
            let lines: Vec<&str> = lines.take_while(|line| line.starts_with("  ")).collect();
            let pasted = format!("{}\n  PUSH: 'true'\n", lines.join("\n"));
            let depot = place.depot(Scenario::default()).await;
            run(place, &depot, &pasted, &pipeline).await.expect(0, &[]);
            let tag = branch.replace(['/', '@'], "-");
            assert_tags(place, &name, &[&tag]).await;
        }
        let call = "  SAVE: 'true'\n  SAVE_TAGS: $BITBUCKET_BRANCH\n";
        let failed = run(place, &depot, call, &[COMMIT, BRANCH]).await;
        failed.expect(
            2,
            &[
                "SAVE_TAGS: `feature/ABC-1_x` is not a valid tag",
                "\n  SAVE_TAGS: '{branch}'\n",
            ],
        );
    });
}

#[test]
fn wrong_tags_are_reported_before_the_build() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        for (call, expected) in [
            ("  IMAGE: acme/app\n  TAGS: '{brnch}'\n", "write `{branch}`"),
            (
                "  IMAGE: acme/app:1\n  TAGS: '{branch}'\n",
                "TAGS: set, but every name in IMAGE has a tag of its own",
            ),
            ("  TAGS: '{branch}'\n", "TAGS: set, but IMAGE is not set"),
            (
                "  IMAGE: acme/app\n  TAGS: '{tag}, pr-{pr}'\n",
                "TAGS: no entry has a value in this pipeline: `{tag}` needs the pipeline of a tag, `pr-{pr}` needs the pipeline of a pull \
                 request; add an entry for this pipeline, such as `{branch}`",
            ),
            (
                "  IMAGE: acme/app\n  TAGS: $BITBUCKET_TAG\n",
                "TAGS: refers only to variables that are not set in this pipeline",
            ),
        ] {
            let failed = run(place, &depot, call, &[COMMIT, BRANCH]).await;
            failed.expect(2, &[expected]);
        }
        assert!(depot.record().calls.is_empty());
    });
}
