//! Labels, annotations and provenance of images, for one machine and for two.

use depot_ground::fixtures::Context;
use local_depot::Scenario;
use serde_json::{Value, json};

use super::place::{Place, small_context, with_place};
use super::program::Program;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BOTH: &str = "linux/amd64, linux/arm64";
const PROVENANCE: &str = "https://slsa.dev/provenance/";

/// Bitbucket's variables of a step that builds a tag.
const PIPELINE: [(&str, &str); 3] = [
    (
        "BITBUCKET_GIT_HTTP_ORIGIN",
        "https://x-token-auth:hunter22@bitbucket.org/acme/app",
    ),
    (
        "BITBUCKET_COMMIT",
        "0123456789abcdef0123456789abcdef01234567",
    ),
    ("BITBUCKET_TAG", "v1.2.3"),
];

/// A document in the shared registry.
pub async fn read(place: &Place, repository: &str, reference: &str) -> Value {
    let manifest = place.registry.manifest(repository, reference).await;
    manifest.unwrap().json().unwrap()
}

async fn blob(place: &Place, repository: &str, descriptor: &Value) -> Value {
    let digest = descriptor["digest"].as_str().unwrap();
    let bytes = place.registry.blob(repository, digest).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The entries of the images of an index, with their manifests and configs.
pub async fn images(place: &Place, repository: &str, index: &Value) -> Vec<(Value, Value, Value)> {
    let mut images = Vec::new();
    for entry in index["manifests"].as_array().unwrap() {
        if entry["platform"]["os"] == "linux" {
            let digest = entry["digest"].as_str().unwrap();
            let manifest = read(place, repository, digest).await;
            let config = blob(place, repository, &manifest["config"]).await;
            images.push((entry.clone(), manifest, config));
        }
    }
    images
}

/// The predicates of this type among the attestations of an index.
pub async fn predicates(place: &Place, repository: &str, index: &Value, kind: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for entry in index["manifests"].as_array().unwrap() {
        if entry["platform"]["os"] != "unknown" {
            continue;
        }
        let manifest = read(place, repository, entry["digest"].as_str().unwrap()).await;
        for layer in manifest["layers"].as_array().unwrap() {
            let named = layer["annotations"]["in-toto.io/predicate-type"].as_str();
            if named.unwrap().starts_with(kind) {
                found.push(blob(place, repository, layer).await["predicate"].clone());
            }
        }
    }
    found
}

#[test]
fn two_machines_annotate_an_image_as_one_machine_does() {
    with_place(async |place| {
        let mut seen = Vec::new();
        for (repository, machine) in [
            ("annotated-one", "linux/amd64"),
            ("annotated-two", "dynamic"),
        ] {
            for provenance in ["min", "false"] {
                let depot = place.depot_of_two(Scenario::default()).await;
                let context = small_context();
                let mut run = Program::of(&depot, context.path())
                    .push(&place.image(repository), &place.registry)
                    .set("PLATFORMS", BOTH)
                    .set("BUILD_PLATFORM", machine)
                    .set("PROVENANCE", provenance)
                    .set("OCI_LABELS", "true")
                    .set("LABELS", "team=core\nempty\norg.opencontainers.image.url=https://acme.example")
                    .set(
                        "ANNOTATIONS",
                        "plain=a, b = c\nmanifest[linux/arm64]:plain=of arm\nindex,manifest-descriptor:x=both\n\
                         manifest-descriptor[linux/amd64]:x=entry of amd\nindex:org.opencontainers.image.version=mine",
                    );
                for (name, value) in PIPELINE {
                    run = run.set(name, value);
                }
                let run = run.run().await;
                run.expect(0, &["built and pushed"]).without("hunter22");
                assert_eq!(
                    run.log.contains("merging"),
                    machine == "dynamic",
                    "{}",
                    run.log
                );
                let index = read(place, repository, "test").await;
                assert_eq!(index["mediaType"], INDEX);
                let mut facts = vec![index["annotations"].clone()];
                for (entry, manifest, config) in images(place, repository, &index).await {
                    facts.push(json!({
                        "platform": entry["platform"],
                        "entry": entry["annotations"],
                        "type": entry["mediaType"],
                        "manifest": manifest["annotations"],
                        "labels": config["config"]["Labels"],
                    }));
                }
                seen.push(Value::from(facts));
            }
        }
        let first = &seen[0];
        for other in &seen[1..] {
            assert_eq!(first, other, "{first:#}\n{other:#}");
        }
        let source = "https://bitbucket.org/acme/app";
        let commit = PIPELINE[1].1;
        assert_eq!(
            first[0],
            json!({
                "x": "both",
                "org.opencontainers.image.source": source,
                "org.opencontainers.image.url": "https://acme.example",
                "org.opencontainers.image.revision": commit,
                "org.opencontainers.image.version": "mine",
                "org.opencontainers.image.ref.name": "v1.2.3",
            })
        );
        let common = json!({
            "org.opencontainers.image.source": source,
            "org.opencontainers.image.url": "https://acme.example",
            "org.opencontainers.image.revision": commit,
            "org.opencontainers.image.version": "v1.2.3",
            "org.opencontainers.image.ref.name": "v1.2.3",
        });
        let with = |pairs: &[(&str, &str)]| {
            let mut all = common.clone();
            for (name, value) in pairs {
                all[*name] = (*value).into();
            }
            all
        };
        assert_eq!(first[1]["entry"], json!({ "x": "entry of amd" }));
        assert_eq!(first[2]["entry"], json!({ "x": "both" }));
        assert_eq!(first[1]["manifest"], with(&[("plain", "a, b = c")]));
        assert_eq!(first[2]["manifest"], with(&[("plain", "of arm")]));
        assert_eq!(first[1]["labels"], with(&[("team", "core"), ("empty", "")]));
    });
}

#[test]
fn an_image_for_one_platform_has_the_annotations_of_that_platform() {
    with_place(async |place| {
        let context = small_context();
        for provenance in ["min", "false"] {
            let depot = place.depot(Scenario::default()).await;
            let run = Program::of(&depot, context.path())
                .push(&place.image("annotated-single"), &place.registry)
                .set("PLATFORMS", "linux/amd64")
                .set("PROVENANCE", provenance)
                .set("ANNOTATIONS", "a: general\nmanifest[linux/amd64]:a: own")
                .run()
                .await;
            run.expect(0, &["built and pushed"]);
            let top = read(place, "annotated-single", "test").await;
            let manifest = match provenance {
                "min" => images(place, "annotated-single", &top).await[0].1.clone(),
                _ => top,
            };
            assert_eq!(
                manifest["annotations"],
                json!({ "a": "own" }),
                "{provenance}"
            );
        }
    });
}

#[test]
fn provenance_decides_whether_the_image_is_an_index() {
    with_place(async |place| {
        let context = small_context();
        let push = async |repository: &str, provenance: &str| {
            let depot = place.depot(Scenario::default()).await;
            let mut program = Program::of(&depot, context.path())
                .push(&place.image(repository), &place.registry)
                .set("BUILD_ARGS", "PLAIN=1")
                .set("PROVENANCE", provenance);
            for (name, value) in PIPELINE {
                program = program.set(name, value);
            }
            program.run().await.expect(0, &["built and pushed"]);
            place.registry.manifest(repository, "test").await.unwrap()
        };
        // AWS Lambda accepts only a single manifest.
        let plain = push("provenance-false", "false").await;
        assert!(
            plain.media_type.ends_with("manifest.v2+json")
                || plain.media_type.ends_with("manifest.v1+json"),
            "{}",
            plain.media_type
        );
        assert!(plain.json().unwrap()["layers"].is_array());

        for (mode, has_arguments) in [
            ("min", false),
            ("max", true),
            ("mode=max,builder-id=https://acme.example/ci", true),
        ] {
            let index = push("provenance-mode", mode).await.json().unwrap();
            let provenance = predicates(place, "provenance-mode", &index, PROVENANCE).await;
            assert_eq!(provenance.len(), 1, "{mode} {index:#}");
            let text = provenance[0].to_string();
            assert_eq!(text.contains("PLAIN"), has_arguments, "{mode} {text}");
            assert_eq!(
                text.contains("acme.example/ci"),
                mode.contains("builder-id"),
                "{text}"
            );
            // Also the repository, without its login, and the commit.
            assert!(
                text.contains("https://bitbucket.org/acme/app"),
                "{mode} {text}"
            );
            assert!(
                text.contains(PIPELINE[1].1) && !text.contains("hunter22"),
                "{mode} {text}"
            );
        }
    });
}

#[test]
fn the_commit_in_the_provenance_changes_neither_the_image_nor_the_cache() {
    with_place(async |place| {
        let context = place.busybox_context("RUN echo once > /once");
        let mut manifests = Vec::new();
        for commit in [
            "1111111111111111111111111111111111111111",
            "2222222222222222222222222222222222222222",
        ] {
            let depot = place.depot(Scenario::default()).await;
            let run = Program::of(&depot, context.path())
                .push(&place.image("commits"), &place.registry)
                .set("BITBUCKET_COMMIT", commit)
                .run()
                .await;
            run.expect(0, &["built and pushed"]);
            let index = read(place, "commits", "test").await;
            let (entry, _, _) = images(place, "commits", &index).await.remove(0);
            manifests.push(entry["digest"].clone());
            if manifests.len() == 2 {
                run.expect(0, &["CACHED"]);
            }
        }
        assert_eq!(manifests[0], manifests[1]);
    });
}

#[test]
fn wrong_metadata_is_reported_before_the_build_is_created() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context: Context = small_context();
        let run = Program::of(&depot, context.path())
            .push(&place.image("never"), &place.registry)
            .set("LABELS", "=x")
            .set("ANNOTATIONS", "index:a=b\nmanifest[linux/386]:a=b")
            .set("OCI_LABELS", "perhaps")
            .set("PROVENANCE", "false")
            .set("SBOM", "no")
            .set("SBOM_DIR", "file")
            .run()
            .await;
        run.expect(
            2,
            &[
                "LABELS: entry 1 has no name",
                "ANNOTATIONS: entry 2 is for linux/386",
                "OCI_LABELS: `perhaps`",
                "SBOM_DIR: `",
            ],
        );
        assert!(depot.record().builds.is_empty());

        let run = Program::of(&depot, context.path())
            .push(&place.image("never"), &place.registry)
            .set("ANNOTATIONS", "index:a=b")
            .set("PROVENANCE", "false")
            .run()
            .await;
        run.expect(2, &["ANNOTATIONS: `index` requires an image index"]);
        assert!(depot.record().builds.is_empty());
    });
}
