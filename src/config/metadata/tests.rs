//! Labels and annotations of an image, with a plan for two platforms or for one.

use super::*;
use crate::config::fault::ConfigError;
use crate::config::plan::Plan;

/// Reads a configuration with a Dockerfile. The second value contains faults, or warnings, one on each line.
fn read_plan(variables: &[(&str, &str)]) -> (Option<Plan>, String) {
    let folder = tempfile::tempdir().unwrap();
    let clone = folder.path().canonicalize().unwrap();
    std::fs::write(clone.join("Dockerfile"), "FROM scratch\n").unwrap();
    std::fs::write(clone.join("file"), "x").unwrap();
    std::fs::create_dir_all(clone.join("taken/sbom.spdx.json")).unwrap();
    let always = [
        ("DEPOT_TOKEN", "depot-token-hunter2"),
        ("DEPOT_PROJECT_ID", "abc123"),
    ];
    let all = always.iter().chain(variables);
    let all = all.map(|(name, value)| ((*name).into(), (*value).into()));
    let read: Result<_, ConfigError> = crate::config::read(all, &clone);
    let text = |text: String| text.replace(&clone.display().to_string(), "CLONE");
    match read {
        Ok((plan, warnings)) => {
            let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
            (Some(plan), text(warnings.join("\n")))
        }
        Err(error) => (None, text(error.to_string())),
    }
}

fn metadata_of(variables: &[(&str, &str)]) -> (MetadataPlan, String) {
    let (plan, text) = read_plan(variables);
    let plan = plan.unwrap_or_else(|| panic!("{variables:?}: {text}"));
    (plan.images[0].metadata.clone(), text)
}

fn labels_of(plan: &MetadataPlan) -> Vec<String> {
    let labels = plan.labels.iter();
    labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn annotations_of(plan: &MetadataPlan) -> Vec<String> {
    let one = |one: &Annotation| {
        let platform = one.platform.as_ref();
        let platform = platform.map(|platform| format!("[{platform}]"));
        let (level, platform) = (one.level, platform.unwrap_or_default());
        format!("{level}{platform}:{}={}", one.name, one.value)
    };
    plan.annotations.iter().map(one).collect()
}

#[test]
fn labels_are_lines_a_list_or_a_mapping() {
    for (value, expected) in [
        (
            "a=1\norg.x/y=b, c=d\nempty=\nbare",
            vec!["a=1", "org.x/y=b, c=d", "empty=", "bare="],
        ),
        (
            "org.x/y: a=b\nbare:\nnumber: 1.10",
            vec!["org.x/y=a=b", "bare=", "number=1.10"],
        ),
        ("{a: b}", vec!["a=b"]),
    ] {
        let (plan, text) = metadata_of(&[("LABELS", value)]);
        assert_eq!(
            (labels_of(&plan), &*text),
            (expected.iter().map(ToString::to_string).collect(), "")
        );
    }
    let array = [
        ("LABELS_COUNT", "2"),
        ("LABELS_0", "a=several\nlines"),
        ("LABELS_1", "b"),
    ];
    assert_eq!(
        labels_of(&metadata_of(&array).0),
        ["a=several\nlines", "b="]
    );
    let (plan, text) = metadata_of(&[("LABELS", "a=1\nb=2\na=3")]);
    assert_eq!(labels_of(&plan), ["a=3", "b=2"]);
    assert_eq!(
        text,
        "LABELS sets `a` more than once; the last value is used"
    );
}

#[test]
fn annotations_belong_to_places_and_platforms() {
    let (plan, text) = metadata_of(&[
        ("PLATFORMS", "linux/amd64,linux/arm64"),
        (
            "ANNOTATIONS",
            "a=1\nindex,manifest[arm64]:b=2, 3\nmanifest-descriptor:c=4\na=5",
        ),
    ]);
    let expected = [
        "manifest:a=5",
        "index:b=2, 3",
        "manifest-descriptor:c=4",
        "manifest[linux/arm64]:b=2, 3",
    ];
    assert_eq!(annotations_of(&plan), expected);
    assert_eq!(
        text,
        "ANNOTATIONS sets `a` more than once; the last value is used"
    );
    // Provenance makes the image for one platform an index.
    let (plan, _) = metadata_of(&[("ANNOTATIONS", "index:a: b")]);
    assert_eq!(annotations_of(&plan), ["index:a=b"]);
}

const PIPELINE: [(&str, &str); 4] = [
    (
        "BITBUCKET_GIT_HTTP_ORIGIN",
        "https://me:hunter22@bitbucket.org/acme/app",
    ),
    ("BITBUCKET_COMMIT", "0123456789abcdef"),
    ("BITBUCKET_TAG", "v1.2"),
    ("OCI_LABELS", "true"),
];

#[test]
fn labels_of_the_pipeline_are_labels_and_annotations() {
    let (plan, text) = metadata_of(&PIPELINE);
    assert_eq!(text, "");
    let expected = [
        "org.opencontainers.image.source=https://bitbucket.org/acme/app",
        "org.opencontainers.image.url=https://bitbucket.org/acme/app",
        "org.opencontainers.image.revision=0123456789abcdef",
        "org.opencontainers.image.version=v1.2",
        "org.opencontainers.image.ref.name=v1.2",
    ];
    assert_eq!(labels_of(&plan), expected);
    let both = expected
        .iter()
        .flat_map(|one| [format!("manifest:{one}"), format!("index:{one}")]);
    assert_eq!(annotations_of(&plan), both.collect::<Vec<_>>());
    assert!(
        plan.provenance
            .unwrap()
            .source
            .unwrap()
            .ends_with("//bitbucket.org/acme/app")
    );

    // A single manifest has no index, and a branch is not a version.
    let branch = [
        ("BITBUCKET_BRANCH", "main"),
        ("OCI_LABELS", "1"),
        ("PROVENANCE", "false"),
    ];
    let (plan, _) = metadata_of(&branch);
    assert_eq!(labels_of(&plan), ["org.opencontainers.image.ref.name=main"]);
    assert_eq!(
        annotations_of(&plan),
        ["manifest:org.opencontainers.image.ref.name=main"]
    );

    let (plan, text) = metadata_of(&[("OCI_LABELS", "true")]);
    assert!(
        text.starts_with("OCI_LABELS is set, but Bitbucket's"),
        "{text}"
    );
    assert!(plan.labels.is_empty());
    // Off by default.
    let (plan, _) = metadata_of(&PIPELINE[..3]);
    assert!(plan.labels.is_empty() && plan.annotations.iter().next().is_none());
}

#[test]
fn explicit_labels_and_annotations_take_precedence() {
    let own = [
        (
            "LABELS",
            "org.opencontainers.image.version=mine\norg.opencontainers.image.url=",
        ),
        (
            "ANNOTATIONS",
            "index:org.opencontainers.image.revision=of the index",
        ),
    ];
    let (plan, _) = metadata_of(&[&PIPELINE[..], &own].concat());
    let labels = labels_of(&plan);
    assert!(labels.contains(&"org.opencontainers.image.version=mine".to_owned()));
    assert!(labels.contains(&"org.opencontainers.image.url=".to_owned()));
    assert_eq!(labels.len(), 5);
    let annotations = annotations_of(&plan);
    for expected in [
        "manifest:org.opencontainers.image.version=mine",
        "index:org.opencontainers.image.version=mine",
        "manifest:org.opencontainers.image.revision=0123456789abcdef",
        "index:org.opencontainers.image.revision=of the index",
    ] {
        assert!(
            annotations.iter().any(|one| one == expected),
            "{annotations:#?}"
        );
    }
    assert_eq!(annotations.len(), 10);
}

#[test]
fn a_directory_for_sboms_implies_an_sbom_and_is_not_sent_to_the_builder() {
    let (plan, text) = read_plan(&[
        ("SBOM_DIR", "out/sboms"),
        ("PLATFORMS", "linux/amd64 linux/arm/v7"),
    ]);
    let plan = plan.unwrap();
    assert_eq!(text, "");
    assert!(plan.images[0].metadata.sbom.is_some());
    let folder = plan.clone.join("out/sboms");
    for name in ["linux_amd64.spdx.json", "linux_arm_v7.spdx.json"] {
        assert!(
            plan.withheld.contains(&folder.join(name)),
            "{:?}",
            plan.withheld
        );
    }
    // Not the directory itself, which can be that of the context.
    assert!(!plan.withheld.contains(&folder));
    let (plan, _) = read_plan(&[("SBOM_DIR", "."), ("SBOM", "generator=acme/scan")]);
    let plan = plan.unwrap();
    assert_eq!(
        plan.images[0].metadata.sbom.as_ref().unwrap().generator,
        "acme/scan"
    );
    assert!(plan.withheld.contains(&plan.clone.join("sbom.spdx.json")));
    assert!(metadata_of(&[]).0.sbom.is_none());
}

const TWO: (&str, &str) = ("PLATFORMS", "linux/amd64,linux/arm64");

/// Variables, and the start of the only message.
const WRONG: &[(&[(&str, &str)], &str)] = &[
    (
        &[("LABELS", "=b")],
        "LABELS: entry 1 has no name, or white space or quotes in its name; write",
    ),
    (
        &[("LABELS", "a=b\n- c=d")],
        "LABELS: entry 2 has no name, or white space",
    ),
    (&[("LABELS", "\"a\"=b")], "LABELS: entry 1 has no name"),
    (
        &[("LABELS", "--label a=hunter22")],
        "LABELS: entry 1 has no name",
    ),
    (
        &[("LABELS", "a: [b]")],
        "LABELS: not a YAML mapping of names to plain values",
    ),
    (
        &[("ANNOTATIONS", "a")],
        "ANNOTATIONS: entry 1 has no `=`; write `NAME=VALUE`",
    ),
    (
        &[("ANNOTATIONS", "a b=hunter22")],
        "ANNOTATIONS: entry 1 has no name",
    ),
    (
        &[("ANNOTATIONS", "a=b\nindx:a=b")],
        "ANNOTATIONS: entry 2 has the unknown type `indx`; write",
    ),
    (
        &[("ANNOTATIONS", "hunter22:a=b")],
        "ANNOTATIONS: entry 1 has an unknown type before the `:`",
    ),
    (
        &[("ANNOTATIONS", "index[linux/amd64]:a=b")],
        "ANNOTATIONS: entry 1 has a platform for `index`",
    ),
    (
        &[("ANNOTATIONS", "index-descriptor:a=b")],
        "ANNOTATIONS: entry 1 has the type `index-descriptor`, which no registry stores",
    ),
    (
        &[("ANNOTATIONS", "manifest[linux/mips]:a=b")],
        "ANNOTATIONS: entry 1 has a text in brackets that is not a platform",
    ),
    (
        &[TWO, ("ANNOTATIONS", "manifest[linux/386]:a=b")],
        "ANNOTATIONS: entry 1 is for linux/386, but the image is not built for it; add `linux/386` to PLATFORMS",
    ),
    (
        &[("ANNOTATIONS", "index:a=b"), ("PROVENANCE", "false")],
        "ANNOTATIONS: `index` requires an image index, but without provenance and SBOM",
    ),
    (
        &[
            ("ANNOTATIONS", "manifest-descriptor:a=b"),
            ("PROVENANCE", "false"),
        ],
        "ANNOTATIONS: `manifest-descriptor` requires",
    ),
    (
        &[("OCI_LABELS", "maybe")],
        "OCI_LABELS: `maybe` is neither true nor false",
    ),
    (
        &[("PROVENANCE", "maximum")],
        "PROVENANCE: `maximum` has no `=`",
    ),
    (&[("SBOM", "syft")], "SBOM: `syft` has no `=`"),
    (
        &[("SBOM", "false"), ("SBOM_DIR", "out")],
        "SBOM_DIR: set, but SBOM is false; set `SBOM: 'true'`",
    ),
    (
        &[("SBOM_DIR", "file")],
        "SBOM_DIR: `CLONE/file` is not a directory; write the path of a directory",
    ),
    (
        &[("SBOM_DIR", "file/x")],
        "SBOM_DIR: `CLONE/file/x` has a parent that is a file",
    ),
    (&[("SBOM_DIR", "../x")], "SBOM_DIR: `"),
    (
        &[("SBOM_DIR", "/etc")],
        "SBOM_DIR: `/etc` is outside of the clone directory",
    ),
    (
        &[("SBOM_DIR", "taken")],
        "SBOM_DIR: `CLONE/taken/sbom.spdx.json` is a directory",
    ),
    (
        &[("SBOM_DIR", "out"), ("OUTPUT_FILE", "out/sbom.spdx.json")],
        "SBOM_DIR: `CLONE/out/sbom.spdx.json` is the file of another variable",
    ),
];

#[test]
fn every_wrong_value_is_reported_with_its_variable() {
    for (variables, problem) in WRONG {
        let (plan, error) = read_plan(variables);
        assert!(plan.is_none(), "{variables:?}");
        assert!(error.starts_with(problem), "{variables:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(!error.contains("hunter22"), "{error}");
    }
    // All at once.
    let (_, error) = read_plan(&[
        ("LABELS", "=a\n=b"),
        ("ANNOTATIONS", "x:a=b"),
        ("OCI_LABELS", "x"),
        ("PROVENANCE", "mode=x,y=z"),
        ("SBOM", "x"),
        ("SBOM_DIR", "file"),
    ]);
    assert_eq!(error.lines().count(), 8, "{error}");
    // Several platforms, or a build argument of BuildKit's, result in an index without attestations too.
    for variable in [TWO, ("BUILD_ARGS", "BUILDKIT_MULTI_PLATFORM=1")] {
        let (plan, error) = read_plan(&[
            variable,
            ("ANNOTATIONS", "index:a=b"),
            ("PROVENANCE", "false"),
        ]);
        assert!(plan.is_some(), "{error}");
    }
}

#[test]
fn annotations_and_attestations_need_a_form_of_the_image_that_holds_them() {
    let docker = ("OUTPUTS", "type=docker,dest=image.tar");
    for requested in [
        ("PROVENANCE", "min"),
        ("SBOM", "true"),
        ("ANNOTATIONS", "a=b"),
    ] {
        let (plan, text) = read_plan(&[docker, requested]);
        let expected = format!(
            "{}: set, but `type=docker` in OUTPUTS holds neither annotations nor attestations; write `type=oci`",
            requested.0
        );
        assert!(plan.is_none() && text.contains(&expected), "{text}");
    }
    for variables in [
        &[docker][..],
        &[docker, ("PROVENANCE", "false"), ("SBOM", "false")],
        &[docker, ("SBOM_DIR", "sbom")],
        &[docker, ("OCI_LABELS", "true"), ("BITBUCKET_TAG", "1")],
        &[docker, ("SBOM", "true"), ("SAVE", "true")],
        &[
            docker,
            ("SBOM", "true"),
            ("IMAGE", "acme/app:1"),
            ("PUSH", "true"),
        ],
        &[
            ("OUTPUTS", "type=docker,dest=a\ntype=oci,dest=b"),
            ("PROVENANCE", "max"),
        ],
    ] {
        let (plan, text) = read_plan(variables);
        assert!(plan.is_some(), "{variables:?}: {text}");
    }
}

#[test]
fn an_index_annotation_needs_an_index_in_an_archive() {
    let oci = ("OUTPUTS", "type=oci,dest=image.tar");
    let annotation = ("ANNOTATIONS", "index:a=b");
    let (plan, text) = read_plan(&[oci, annotation]);
    let expected = "ANNOTATIONS: `index` requires an image index, but `type=oci` in OUTPUTS gets a single manifest";
    assert!(plan.is_none() && text.contains(expected), "{text}");
    for other in [
        ("PROVENANCE", "min"),
        ("SBOM", "true"),
        ("PLATFORMS", "linux/amd64,linux/386"),
        ("BUILD_ARGS", "BUILDKIT_MULTI_PLATFORM=1"),
    ] {
        let (plan, text) = read_plan(&[oci, annotation, other]);
        assert!(plan.is_some(), "{other:?}: {text}");
    }
    // Derived ones are omitted.
    let (plan, text) = read_plan(&[oci, ("OCI_LABELS", "true"), ("BITBUCKET_TAG", "1")]);
    assert!(plan.is_some(), "{text}");
    let index = ("BUILD_ARGS", "BUILDKIT_MULTI_PLATFORM=1");
    let (plan, text) = read_plan(&[("OUTPUTS", "type=docker,dest=image.tar"), index]);
    let expected = "OUTPUTS: `type=docker` holds a single image";
    assert!(plan.is_none() && text.contains(expected), "{text}");
}

#[test]
fn the_labels_of_the_pipeline_are_not_those_of_another_repository() {
    let context = ("CONTEXT", "https://git.test/acme/lib.git#main");
    let (plan, text) = read_plan(&[
        context,
        ("OCI_LABELS", "true"),
        ("BITBUCKET_COMMIT", "0123"),
    ]);
    let plan = plan.unwrap();
    let metadata = &plan.images[0].metadata;
    assert!(metadata.labels.is_empty(), "{:?}", metadata.labels);
    assert_eq!(metadata.provenance.as_ref().unwrap().revision, None);
    assert!(
        text.contains("OCI_LABELS has no effect: CONTEXT is another repository"),
        "{text}"
    );
}
