//! Lists of tags in each kind of pipeline, and their faults.

use proptest::prelude::*;

use super::*;
use crate::config::findings::Findings;
use crate::registry::reference::Reference;

/// Every placeholder.
const EVERYTHING: &str =
    "{branch} {tag} {pr} {sha} {commit} {build} {date} {semver} {major} {minor} {latest}";

const COMMIT: &str = "470faf1f29a3d1d4e2b3a7d9f2b1c8e5a6d7c8b9";

fn values(branch: Option<&str>, tag: Option<&str>, pull_request: Option<&str>) -> Values {
    Values {
        branch: branch.map(Into::into),
        tag: tag.map(Into::into),
        pull_request: pull_request.map(Into::into),
        commit: Some(COMMIT.into()),
        build_number: Some("42".into()),
        date: Some("20261127".into()),
    }
}

fn tags_of(list: &str, values: &Values) -> Vec<String> {
    let (tags, error) = read_values(list, values);
    assert_eq!(error.to_string(), "");
    tags.names
}

#[test]
fn each_kind_of_pipeline_has_its_tags() {
    let always = ["470faf1", COMMIT, "42", "20261127"];
    let expect = |values: Values, before: &[&str], after: &[&str]| {
        let expected = [before, &always, after].concat();
        assert_eq!(tags_of(EVERYTHING, &values), expected);
        let (tags, _) = read_values(EVERYTHING, &values);
        assert_eq!(tags.names.len() + tags.omitted.len(), ALL.len());
    };
    expect(values(Some("feature/x"), None, None), &["feature-x"], &[]);
    expect(
        values(Some("feature/x"), None, Some("7")),
        &["feature-x", "7"],
        &[],
    );
    expect(values(None, None, None), &[], &[]);
    expect(values(None, Some("nightly"), None), &["nightly"], &[]);
    expect(
        values(None, Some("v1.2.3"), None),
        &["v1.2.3"],
        &["1.2.3", "1", "1.2", "latest"],
    );
    expect(
        values(None, Some("api-2.0.0-rc.1+5"), None),
        &["api-2.0.0-rc.1-5"],
        &["2.0.0-rc.1-5"],
    );
    expect(
        values(None, Some("libs/api/v0.4.0+b"), None),
        &["libs-api-v0.4.0-b"],
        &["0.4.0-b", "0", "0.4", "latest"],
    );
}

#[test]
fn equal_tags_are_used_once() {
    let values = values(Some("latest"), None, None);
    assert_eq!(
        tags_of("latest {branch} {sha} {sha} sha-{sha}", &values),
        ["latest", "470faf1", "sha-470faf1"]
    );
}

#[test]
fn an_omitted_entry_has_one_line_with_the_pipeline_that_it_needs() {
    let (tags, _) = read_values(EVERYTHING, &values(Some("main"), None, None));
    let version = "the pipeline of a tag with a version";
    assert_eq!(
        tags.omitted,
        [
            "TAGS: `{tag}` is omitted, because it needs the pipeline of a tag".to_owned(),
            "TAGS: `{pr}` is omitted, because it needs the pipeline of a pull request".to_owned(),
            format!("TAGS: `{{semver}}` is omitted, because it needs {version}, such as `v1.2.3`"),
            format!(
                "TAGS: `{{major}}` is omitted, because it needs {version} that is not a pre-release, such as `v1.2.3`"
            ),
            format!(
                "TAGS: `{{minor}}` is omitted, because it needs {version} that is not a pre-release, such as `v1.2.3`"
            ),
            format!(
                "TAGS: `{{latest}}` is omitted, because it needs {version} that is not a pre-release, such as `v1.2.3`"
            ),
        ]
    );
}

#[test]
fn a_list_of_which_nothing_remains_is_a_fault() {
    for (values, example) in [
        (values(Some("main"), None, None), "`{branch}`"),
        (values(None, Some("x"), None), "`{tag}`"),
        (values(None, None, None), "`{sha}`"),
        (Values::default(), "`{date}`"),
    ] {
        let (_, error) = read_values("{pr} {semver}-x", &values);
        let expected = format!(
            "TAGS: no entry has a value in this pipeline: `{{pr}}` needs the pipeline of a pull request, `{{semver}}-x` needs the \
             pipeline of a tag with a version, such as `v1.2.3`; add an entry for this pipeline, such as {example}, or run the step \
             only in those pipelines"
        );
        assert_eq!(error.to_string(), expected);
    }
    let many: Vec<String> = (0..20).map(|number| format!("{{pr}}-{number}")).collect();
    let (_, error) = read_values(&many.join(" "), &Values::default());
    assert!(error.to_string().contains(", 12 others; "), "{error}");
}

#[test]
fn wrong_entries_are_reported_with_a_correction() {
    let list = "write one of `{branch}`, `{tag}`, `{pr}`, `{sha}`, `{commit}`, `{build}`, `{date}`, `{semver}`, `{major}`, `{minor}`, \
                `{latest}`";
    for (entry, message) in [
        (
            "{brnch}",
            "`{brnch}` has the unknown placeholder `{brnch}` at character 1; write `{branch}`",
        ),
        (
            "v-{Tag}",
            "`v-{Tag}` has the unknown placeholder `{Tag}` at character 3; write `{tag}`",
        ),
        (
            "{version}",
            "`{version}` has the unknown placeholder `{version}` at character 1; write `{semver}`",
        ),
        (
            "{BITBUCKET_BUILD_NUMBER}",
            "`{BITBUCKET_BUILD_NUMBER}` has the unknown placeholder `{BITBUCKET_BUILD_NUMBER}` at character 1; write `{build}`",
        ),
        (
            "{owner}",
            &format!("`{{owner}}` has the unknown placeholder `{{owner}}` at character 1; {list}"),
        ),
        (
            "{}",
            &format!("`{{}}` has the unknown placeholder `{{}}` at character 1; {list}"),
        ),
        (
            "x${branch}",
            "`x${branch}` has `$` at character 2, which is not allowed there in a tag; write letters",
        ),
        (
            "{{branch}}",
            "`{{branch}}` has two braces on each side of `{{branch}}` at character 1; write `{branch}`",
        ),
        (
            "{branch",
            "`{branch` has a `{` without a `}` at character 1; write a placeholder without spaces",
        ),
        ("{", "`{` has a `{` without a `}` at character 1; "),
        (
            "branch}",
            "`branch}` has a `}` without a `{` at character 7; write a placeholder such as `{branch}`",
        ),
        (
            "-{sha}",
            "`-{sha}` has `-` at character 1, which is not allowed there in a tag; ",
        ),
        ("ä/{sha}", "`ä/{sha}` has `ä` at character 1"),
        ("v/{sha}", "`v/{sha}` has `/` at character 2"),
        (
            "a:b",
            "`a:b` is not a valid tag; write a tag of letters, digits, `_`, `.` and `-`, such as `1.0`",
        ),
        ("-x", "`-x` is not a valid tag; "),
        ("feature/x", "`feature/x` is not a valid tag; "),
        (
            "type=sha",
            "`type=sha` is not a valid tag; write placeholders, such as `{branch}`, `{pr}` or `{semver}`",
        ),
        (
            &"x".repeat(513),
            &format!(
                "`{}…` is longer than 512 bytes; write a shorter entry",
                "x".repeat(300)
            ),
        ),
    ] {
        let (_, error) = read_values(entry, &values(Some("main"), None, None));
        let shown = error.to_string();
        assert!(shown.starts_with(&format!("TAGS: {message}")), "{shown}");
        assert_eq!(shown.lines().count(), 1, "{shown}");
    }
    // All at once.
    let (_, error) = read_values("{x} a/b {sha} {tga}", &Values::default());
    assert_eq!(error.faults().len(), 3);
}

#[test]
fn the_name_of_a_branch_has_the_placeholder_as_a_hint() {
    for (entry, hint) in [
        ("feature/x", "TAGS: '{branch}'"),
        ("v-feature/x", "TAGS: 'v-{branch}'"),
        ("other/branch", "TAGS: '{branch}'"),
    ] {
        let (_, error) = read_values(entry, &values(Some("feature/x"), None, None));
        assert!(error.hint().unwrap().ends_with(hint), "{error:?}");
    }
    // Its name has braces.
    for branch in ["fix/{sha}", "fix/{x", "fix/{name}"] {
        let (_, error) = read_values(branch, &values(Some(branch), None, None));
        assert!(
            error.hint().unwrap().ends_with("TAGS: '{branch}'"),
            "{error:?}"
        );
    }
    let (_, error) = read_values("a:b", &values(Some("main"), None, None));
    assert_eq!(error.hint(), None);
}

#[test]
fn a_part_of_a_secret_is_not_shown() {
    let mut findings = Findings::default();
    findings.keep_secret("hunter{two}hunter");
    read(
        "TAGS",
        "hunter{two}hunter",
        &Values::default(),
        &mut findings,
    );
    let shown = findings.into_error().to_string();
    assert!(!shown.contains("two"), "{shown}");
}

#[test]
fn long_branches_have_different_tags() {
    let long = "feature/".to_owned() + &"x".repeat(200);
    let tags = ["a", "b"].map(|end| {
        let branch = long.clone() + end;
        tags_of(
            "{branch} {branch}-{sha}",
            &values(Some(&branch), None, None),
        )
    });
    assert_ne!(tags[0], tags[1]);
    assert!(
        tags.iter().flatten().all(|tag| tag.len() == 128),
        "{tags:?}"
    );
}

proptest! {
    #[test]
    fn every_tag_is_valid_and_unique(
        list in "([a-z0-9._-]{0,3}(\\{(branch|tag|pr|sha|commit|build|date|semver|major|minor|latest)\\})?[ ,]){1,6}",
        branch in "\\PC{0,200}",
        tag in "\\PC{0,20}|v?[0-9]\\.[0-9]\\.[0-9](-[a-z])?(\\+[a-z])?",
        pull_request in "[0-9]{0,5}",
    ) {
        let (tags, _) = read_values(&list, &values(Some(&branch), Some(&tag), Some(&pull_request)));
        for (index, tag) in tags.names.iter().enumerate() {
            let reference = Reference::parse(&format!("a:{tag}")).unwrap();
            prop_assert_eq!(reference.tag(), tag);
            prop_assert!(!tags.names[..index].contains(tag));
        }
    }
}
