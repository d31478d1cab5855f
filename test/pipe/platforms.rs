//! Two architectures: each is built on its own machine, and the result is one image or none.
//!
//! Two engines act as Depot's two machines. Both run on the same processor, so builds for ARM64 only copy files.

use std::time::Duration;

use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::skopeo::Skopeo;
use local_depot::{Architecture, BuildState, Code, Fault, MachinePlan, Method, Scenario};
use serde_json::Value;

use super::place::{Place, small_context, with_place};
use super::program::Program;

const BOTH: &str = "linux/amd64, linux/arm64";

/// The entries of an index, as `architecture/variant`, without provenance.
fn platforms(index: &Value) -> Vec<String> {
    let entries = index["manifests"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|entry| &entry["platform"])
        .filter(|platform| platform["os"] != "unknown")
        .map(|platform| match text(&platform["variant"]) {
            variant if variant.is_empty() => text(&platform["architecture"]),
            variant => format!("{}/{variant}", text(&platform["architecture"])),
        })
        .collect()
}

/// A context whose build takes long on AMD64, with these lines for ARM64.
fn slow_on_amd64(place: &Place, on_arm64: &str) -> Context {
    let context = place.busybox_context("");
    let dockerfile = format!(
        "FROM scratch AS amd64\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"120\"]\n\
         FROM scratch AS arm64\n{on_arm64}\n\
         FROM $TARGETARCH\n"
    );
    std::fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
    context
}

/// Reads back every manifest and blob of an image with skopeo, and returns its index.
async fn read_back(place: &Place, repository: &str, tag: &str) -> Value {
    let index = place.registry.manifest(repository, tag).await.unwrap();
    let index = index.json().unwrap();
    match Skopeo::fetch(&state_folder()).await {
        Ok(skopeo) => {
            let reference = format!("{}/{repository}:{tag}", place.registry.host());
            let read = skopeo.read_back(&reference, place.registry.login()).await;
            assert_eq!(read.unwrap(), index);
        }
        // Without Debian's packages. CI has them.
        Err(error) => assert!(std::env::var_os("CI").is_none(), "no skopeo: {error:?}"),
    }
    index
}

/// Fails the test unless each of two images in the index has its own provenance.
fn assert_provenance(index: &Value) {
    let entries = index["manifests"].as_array().unwrap();
    let subject = |entry: &Value| entry["annotations"]["vnd.docker.reference.digest"].clone();
    assert_eq!(entries.len(), 4, "{index:#}");
    let images = entries
        .iter()
        .filter(|entry| entry["platform"]["os"] == "linux");
    for image in images {
        let attestations = entries
            .iter()
            .filter(|entry| subject(entry) == image["digest"]);
        assert_eq!(attestations.count(), 1, "{index:#}");
    }
}

#[test]
fn two_machines_build_concurrently_and_push_one_image_under_every_name() {
    with_place(async |place| {
        let depot = place.depot_of_two(Scenario::default()).await;
        let context = small_context();
        // Unique, because a builder can show a step with the name of a concurrent build.
        context.file("file", "of two machines\n").unwrap();
        let host = place.registry.host();
        let names =
            ["two/app:1", "two/app:latest", "two/other:1"].map(|name| format!("{host}/{name}"));
        let run = Program::of(&depot, context.path())
            .push(&names.join("\n"), &place.registry)
            .set("PLATFORMS", BOTH)
            .run()
            .await;
        run.expect(
            0,
            &[
                "[depot] launching amd64 machine",
                "[depot] launching arm64 machine",
                "[linux/amd64 1/1] COPY file /file",
                "[linux/arm64 1/1] COPY file /file",
                "[linux/arm64 internal]",
                "[depot] merging linux/amd64 and linux/arm64",
                "built and pushed one image as 3 references",
            ],
        )
        .without("[linux/amd64 linux/amd64");

        let digest = place
            .registry
            .manifest("two/app", "1")
            .await
            .unwrap()
            .digest;
        for (repository, tag) in [("two/app", "1"), ("two/app", "latest"), ("two/other", "1")] {
            let manifest = place.registry.manifest(repository, tag).await.unwrap();
            assert_eq!(manifest.digest, digest, "{repository}:{tag}");
            assert_eq!(
                manifest.media_type,
                "application/vnd.oci.image.index.v1+json"
            );
            let index = read_back(place, repository, tag).await;
            assert_eq!(platforms(&index), ["amd64", "arm64"]);
            assert_provenance(&index);
            let shown = format!("{host}/{repository}:{tag}@{digest}");
            assert!(run.log.contains(&shown), "{}", run.log);
        }
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Succeeded);
        assert_eq!(record.calls_of(Method::CreateBuild).count(), 1);
        depot.check().unwrap();
    });
}

#[test]
fn platforms_that_share_a_machine_are_built_in_one_solve() {
    with_place(async |place| {
        let depot = place.depot_of_two(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .push(&place.image("shared"), &place.registry)
            .set("PLATFORMS", "arm64 linux/arm/v7")
            .run()
            .await;
        run.expect(0, &["launching arm64 machine", "1/1] COPY file /file"])
            .without("amd64 machine")
            .without("merging");
        let index = read_back(place, "shared", "test").await;
        assert_eq!(platforms(&index), ["arm64", "arm/v7"]);

        let run = Program::of(&depot, context.path())
            .push(&place.image("three"), &place.registry)
            .set("PLATFORMS", "linux/arm/v7 linux/386 linux/arm64")
            .run()
            .await;
        run.expect(0, &["merging linux/arm/v7, linux/arm64 and linux/386"]);
        let index = read_back(place, "three", "test").await;
        assert_eq!(platforms(&index), ["arm/v7", "arm64", "386"]);
    });
}

#[test]
fn build_platform_builds_all_platforms_on_one_machine() {
    with_place(async |place| {
        let depot = place.depot_of_two(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .push(&place.image("forced"), &place.registry)
            .set("PLATFORMS", BOTH)
            .set("BUILD_PLATFORM", "linux/amd64")
            .run()
            .await;
        run.expect(0, &["launching amd64 machine"])
            .without("arm64 machine")
            .without("merging");
        let index = read_back(place, "forced", "test").await;
        assert_eq!(platforms(&index), ["amd64", "arm64"]);
    });
}

#[test]
fn a_platform_that_fails_is_named_and_stops_the_other() {
    with_place(async |place| {
        let depot = place.depot_of_two(Scenario::default()).await;
        let context = slow_on_amd64(place, "COPY nothing /");
        let begun = std::time::Instant::now();
        let run = Program::of(&depot, context.path())
            .push(&place.image("half"), &place.registry)
            .set("PLATFORMS", BOTH)
            .run()
            .await;
        run.expect(1, &["failed to build for linux/arm64", "nothing", "hint: "]);
        assert!(begun.elapsed() < Duration::from_mins(1), "{}", run.log);
        assert_eq!(
            place.registry.tags("half").await.unwrap(),
            Vec::<String>::new()
        );
        let record = depot.record();
        let BuildState::Failed(error) = &record.last_build().unwrap().state else {
            panic!("{record:#?}");
        };
        assert!(error.contains("linux/arm64"), "{error}");
        depot.check().unwrap();
    });
}

#[test]
fn a_machine_that_cannot_be_acquired_stops_the_other() {
    with_place(async |place| {
        let refused = MachinePlan::default();
        let scenario = Scenario::default()
            .machine(
                Architecture::Arm64,
                refused.pending(1000, Duration::from_millis(100)),
            )
            .machine(Architecture::Amd64, MachinePlan::default());
        let scenario = scenario.always(
            Method::GetBuildKitConnection,
            Fault::error(Code::PermissionDenied, "no machines for you"),
        );
        let depot = place.depot_of_two(scenario).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .push(&place.image("no-machine"), &place.registry)
            .set("PLATFORMS", BOTH)
            .run()
            .await;
        run.expect(3, &["no machines for you"]);
        let record = depot.record();
        assert!(matches!(
            record.last_build().unwrap().state,
            BuildState::Failed(_)
        ));
    });
}

#[test]
fn a_signal_stops_both_machines() {
    with_place(async |place| {
        let depot = place.depot_of_two(Scenario::default()).await;
        let context = slow_on_amd64(place, "COPY busybox /");
        let mut running = Program::of(&depot, context.path())
            .set("PLATFORMS", "linux/amd64, linux/arm64")
            .start();
        running.until("2/2] RUN").await;
        running.signal("TERM").await;
        let run = running.end().await;
        run.expect(143, &["canceled by SIGTERM"]);
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);
    });
}
