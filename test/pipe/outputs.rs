//! The outputs of a run for the rest of the pipeline.

use std::collections::BTreeMap;
use std::path::Path;

use depot_ground::daemon::Release;
use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::internet::{Planned, RegistryFault};
use depot_ground::registry::Registry;
use local_depot::{BuildState, CreateBuildAnswer, LocalDepot, MachinePlan, Method, Scenario};
use serde_json::Value;

use super::on_internet::{self, list, registry};
use super::place::{Place, small_context, with_place};
use super::program::Program;

/// The lines of an output file, as a shell reads them.
fn sourced(file: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(file).unwrap();
    let line = |line: &str| {
        let (name, value) = line.split_once('=').unwrap();
        let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
        Some((name.to_owned(), value.to_owned()))
    };
    text.lines().map(|text| line(text).unwrap()).collect()
}

/// The digests of the platforms in an index of the shared registry.
async fn platforms(place: &Place, repository: &str) -> BTreeMap<String, String> {
    let index = place.registry.manifest(repository, "test").await.unwrap();
    let index = index.json().unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    let images = entries.filter(|entry| entry["platform"]["os"] == "linux");
    let entry = |entry: &Value| {
        let platform = &entry["platform"];
        let variant = platform["variant"]
            .as_str()
            .map(|variant| format!("_{variant}"));
        let name = format!(
            "LINUX_{}{}",
            platform["architecture"].as_str().unwrap(),
            variant.unwrap_or_default()
        );
        let digest = entry["digest"].as_str().unwrap().to_owned();
        (
            format!("DEPOT_BUILD_DIGEST_{}", name.to_uppercase()),
            digest,
        )
    };
    images.map(entry).collect()
}

/// The program with every output.
fn with_outputs(depot: &LocalDepot, context: &Context) -> Program {
    let file = |name: &str| context.path().join(name);
    Program::of(depot, context.path())
        .set("BITBUCKET_CLONE_DIR", context.path())
        .set("BITBUCKET_PIPE_STORAGE_DIR", file("a/own"))
        .set("BITBUCKET_PIPE_SHARED_STORAGE_DIR", file("a"))
        .set("BITBUCKET_PIPELINES_VARIABLES_PATH", file("variables"))
        .set("OUTPUT_FILE", "out/image.env")
        .set(
            "OUTPUT_VARIABLES",
            "DEPOT_BUILD_DIGEST, DEPOT_BUILD_DIGEST_LINUX_AMD64",
        )
        .set("METADATA_FILE", "out/metadata.json")
        .set("IID_FILE", "out/iid")
}

/// The expected variables of an image with two names, except those of its platforms.
fn expected(
    depot: &LocalDepot,
    image: &str,
    second: &str,
    digest: &str,
) -> BTreeMap<String, String> {
    let record = depot.record();
    let build = record.last_build().unwrap();
    let repository = image.replace(":test", "");
    [
        ("DEPOT_BUILD_IMAGE", image.to_owned()),
        ("DEPOT_BUILD_IMAGES", format!("{image} {second}")),
        ("DEPOT_BUILD_DIGEST", digest.to_owned()),
        ("DEPOT_BUILD_IMAGE_DIGEST", format!("{repository}@{digest}")),
        (
            "DEPOT_BUILD_IMAGE_DIGESTS",
            format!("{image}@{digest} {second}@{digest}"),
        ),
        ("DEPOT_BUILD_ID", build.id.clone()),
        ("DEPOT_BUILD_URL", build.url.clone()),
        ("DEPOT_BUILD_PROJECT_ID", depot.project_id().to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[test]
fn names_digests_and_the_build_are_written_to_the_outputs() {
    with_place(async |place| {
        for (index, (list, is_fork)) in [
            ("linux/amd64", false),
            ("linux/amd64", true),
            ("linux/amd64,linux/386", false),
            ("linux/amd64,linux/arm64", false),
            ("linux/arm/v7,linux/amd64", true),
        ]
        .into_iter()
        .enumerate()
        {
            let repository = format!("outputs-{index}");
            let machine = MachinePlan {
                is_fork,
                ..MachinePlan::default()
            };
            let depot = place
                .depot_of_two(Scenario::default().machines(machine))
                .await;
            let context = small_context();
            context.file("variables", "OTHER=kept\n").unwrap();
            let image = place.image(&repository);
            let second = image.replace(":test", ":second");
            let run = with_outputs(&depot, &context)
                .push(&format!("{image} {second}"), &place.registry)
                .set("PLATFORMS", list)
                .run()
                .await;
            run.expect(0, &[]).without("WARNING");
            let file = |name: &str| context.path().join(name);
            let read = |name: &str| std::fs::read_to_string(file(name)).unwrap();

            let manifest = place.registry.manifest(&repository, "test").await;
            let digest = manifest.unwrap().digest;
            let mut vars = expected(&depot, &image, &second, &digest);
            vars.extend(platforms(place, &repository).await);
            assert_eq!(sourced(&file("out/image.env")), vars, "{list} {}", run.log);
            for stored in ["a/own/depot-build.env", "a/depot-build.env"] {
                assert_eq!(read(stored), read("out/image.env"));
            }
            let variables = read("variables");
            // Only these: a step fails if it sets variables that it does not declare.
            let amd64 = &vars["DEPOT_BUILD_DIGEST_LINUX_AMD64"];
            let lines =
                format!("DEPOT_BUILD_DIGEST={digest}\nDEPOT_BUILD_DIGEST_LINUX_AMD64={amd64}\n");
            assert_eq!(variables, format!("OTHER=kept\n{lines}"));

            assert_eq!(read("out/iid"), digest);
            let metadata: Value = serde_json::from_str(&read("out/metadata.json")).unwrap();
            assert_eq!(metadata["containerimage.digest"], digest);
            assert_eq!(metadata["depot.digests"][&image], digest);
            assert_eq!(metadata["depot.digests"][&second], digest);
            let build = &metadata["depot.build"];
            assert_eq!(build["buildID"], vars["DEPOT_BUILD_ID"]);
            assert_eq!(build["projectID"], depot.project_id());
            if !list.contains("arm") {
                assert_eq!(metadata["containerimage.descriptor"]["digest"], digest);
            }
        }
    });
}

#[test]
fn names_that_are_pushed_separately_have_one_digest() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let (known, own) = ("known.digests.example.com", "own.digests.example.com");
        let first = registry(internet, known).await;
        let second = Registry::start(&state_folder()).await.unwrap();
        internet.route_untrusted(own, &second.host());
        for (tag, platforms) in [("1", "linux/amd64"), ("2", "linux/amd64,linux/arm64")] {
            let depot = place.depot_of_two(Scenario::default()).await;
            let context = small_context();
            let names = format!("{own}/app:{tag} {known}/app:{tag} {own}/app:{tag}-too");
            let run = on_internet::program(&depot, internet, context.path())
                .set("IMAGE", &names)
                .set("PLATFORMS", platforms)
                .set("REGISTRIES", list(&[(known, &first), (own, &second)]))
                .set("REGISTRY_INSECURE", own)
                .set("OUTPUT_FILE", "image.env")
                .run()
                .await;
            run.expect(0, &["one image as 3 references in "]);
            let digest = second.manifest("app", tag).await.unwrap().digest;
            let too = second.manifest("app", &format!("{tag}-too")).await.unwrap();
            assert_eq!(too.digest, digest);
            let index = first.manifest("app", tag).await.unwrap();
            assert_eq!(index.digest, digest, "{}", run.log);
            let outputs = sourced(&context.path().join("image.env"));
            assert_eq!(outputs["DEPOT_BUILD_DIGEST"], digest);
            // Everything that the index refers to exists, attestations included.
            for entry in index.json().unwrap()["manifests"].as_array().unwrap() {
                let digest = entry["digest"].as_str().unwrap();
                for registry in [&first, &second] {
                    let manifest = registry.manifest("app", digest).await.unwrap();
                    let manifest = manifest.json().unwrap();
                    let layers = manifest["layers"].as_array().unwrap().iter();
                    for blob in layers.chain([&manifest["config"]]) {
                        let digest = blob["digest"].as_str().unwrap();
                        registry.blob("app", digest).await.unwrap();
                    }
                }
            }
        }
    });
}

#[test]
fn names_with_different_digests_are_listed_separately() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let (oci, old) = ("oci.digests.example.com", "old.digests.example.com");
        let first = registry(internet, oci).await;
        let second = registry(internet, old).await;
        for (tag, platforms) in [("1", "linux/amd64"), ("2", "linux/amd64,linux/arm64")] {
            internet.plan(Planned {
                host: old.to_owned(),
                method: http::Method::PUT,
                path_part: "/manifests/",
                times: 1000,
                fault: RegistryFault::RefuseOci(415),
            });
            let depot = place.depot_of_two(Scenario::default()).await;
            let context = small_context();
            let (one, other) = (format!("{old}/app:{tag}"), format!("{oci}/app:{tag}"));
            let run = on_internet::program(&depot, internet, context.path())
                .set("IMAGE", format!("{one} {other}"))
                .set("PLATFORMS", platforms)
                .set("REGISTRIES", list(&[(oci, &first), (old, &second)]))
                .set("OUTPUT_FILE", "image.env")
                .set("METADATA_FILE", "metadata.json")
                .set("IID_FILE", "iid")
                .run()
                .await;
            let of_one = second.manifest("app", tag).await.unwrap().digest;
            let of_other = first.manifest("app", tag).await.unwrap().digest;
            assert_ne!(of_one, of_other);
            let (one_full, other_full) = (format!("{one}@{of_one}"), format!("{other}@{of_other}"));
            run.expect(
                0,
                &["as 2 references with 2 digests in ", &one_full, &other_full],
            );

            let outputs = sourced(&context.path().join("image.env"));
            assert_eq!(outputs["DEPOT_BUILD_IMAGE"], one);
            assert_eq!(outputs["DEPOT_BUILD_DIGEST"], of_one);
            let digests = format!("{one_full} {other_full}");
            assert_eq!(outputs["DEPOT_BUILD_IMAGE_DIGESTS"], digests);
            let read = |name: &str| std::fs::read_to_string(context.path().join(name)).unwrap();
            assert_eq!(read("iid"), of_one);
            let metadata: Value = serde_json::from_str(&read("metadata.json")).unwrap();
            assert_eq!(metadata["depot.digests"][&one], of_one);
            assert_eq!(metadata["depot.digests"][&other], of_other);
        }
    });
}

#[test]
fn an_image_that_is_only_loaded_has_an_id() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .load("acme/outputs:1", &daemon.docker_host())
            .set("OUTPUT_FILE", "image.env")
            .set("IID_FILE", "iid")
            .run()
            .await;
        run.expect(0, &[]);
        let id = daemon.image("acme/outputs:1").await.unwrap().unwrap().id;
        let outputs = sourced(&context.path().join("image.env"));
        assert_eq!(outputs["DEPOT_BUILD_IMAGE_ID"], id);
        assert_eq!(outputs["DEPOT_BUILD_IMAGE"], "docker.io/acme/outputs:1");
        assert!(!outputs.contains_key("DEPOT_BUILD_DIGEST"), "{outputs:?}");
        assert_eq!(
            std::fs::read_to_string(context.path().join("iid")).unwrap(),
            id
        );
    });
}

#[test]
fn a_file_that_cannot_be_written_fails_the_run_before_or_after() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let program =
            || Program::of(&depot, context.path()).set("BITBUCKET_CLONE_DIR", context.path());
        let run = program().set("OUTPUT_FILE", "/etc/image.env").run().await;
        run.expect(
            2,
            &["OUTPUT_FILE: `/etc/image.env` is outside of the clone directory"],
        );
        let run = program().set("IID_FILE", "iid").run().await;
        run.expect(2, &["IID_FILE: set, but the image is neither pushed"]);
        let long = "x".repeat(256);
        let run = program().set("OUTPUT_FILE", &long).run().await;
        run.expect(2, &["OUTPUT_FILE", "contains a name of 256 bytes"]);
        assert_eq!(depot.record().calls_of(Method::CreateBuild).count(), 0);

        // The longest name.
        let longest = "x".repeat(255);
        let run = program().set("OUTPUT_FILE", &longest).run().await;
        run.expect(0, &[]);
        let written = std::fs::read_to_string(context.path().join(&longest)).unwrap();
        assert!(written.contains("DEPOT_BUILD_ID"), "{written}");

        // The path is taken between the check and the end of the build.
        let context = place.busybox_context("RUN echo the place is taken now; sleep 1");
        let mut running = Program::of(&depot, context.path())
            .set("OUTPUT_FILE", "image.env")
            .start();
        running.until("the place is taken now").await;
        std::fs::create_dir_all(context.path().join("image.env/x")).unwrap();
        let run = running.end().await;
        run.expect(
            1,
            &["ERROR: OUTPUT_FILE: `", "image.env` cannot be written"],
        );
        let state = depot.record().last_build().unwrap().state.clone();
        assert!(matches!(state, BuildState::Failed(_)), "{state:?}");
        // No temporary file remains.
        let left = std::fs::read_dir(context.path())
            .unwrap()
            .map(|entry| entry.unwrap());
        assert!(
            left.into_iter()
                .all(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        );
    });
}

#[test]
fn an_invalid_page_address_is_not_written_to_outputs() {
    with_place(async |place| {
        let answer = CreateBuildAnswer {
            build_url: "https://depot.test/x\nDEPOT_BUILD_IMAGE='evil'".to_owned(),
            ..CreateBuildAnswer::default()
        };
        let depot = place.depot(Scenario::default().answer(answer)).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set("OUTPUT_FILE", "image.env")
            .run()
            .await;
        run.expect(
            0,
            &["WARNING: Depot returned an invalid address of the build's page"],
        )
        .without("evil");
        let outputs = sourced(&context.path().join("image.env"));
        assert!(!outputs.contains_key("DEPOT_BUILD_URL"), "{outputs:?}");
        assert!(outputs.contains_key("DEPOT_BUILD_ID"), "{outputs:?}");
    });
}

#[test]
fn an_invalid_build_token_fails_the_run_and_finishes_the_build() {
    with_place(async |place| {
        let scenario = Scenario::default().tokens("the-users-token", "the\r\nbuilds: token");
        let depot = place.depot(scenario).await;
        let context = small_context();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(4, &["the response to CreateBuild has no valid build token"]);
        assert_eq!(depot.record().calls_of(Method::FinishBuild).count(), 1);
    });
}
