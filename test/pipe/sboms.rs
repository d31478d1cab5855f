//! SBOMs: attached to images, and written to files.

use std::path::Path;

use depot_ground::daemon::Release;
use depot_ground::internet::{Planned, RegistryFault};
use http::Method;
use local_depot::{MachinePlan, Scenario};
use serde_json::Value;

use super::attestations::{predicates, read};
use super::on_internet::{list, program, registry};
use super::place::{Place, small_context, with_place};
use super::program::Program;

const BOTH: &str = "linux/amd64, linux/arm64";
pub const SPDX: &str = "https://spdx.dev/Document";

/// A scanner that lists the files of the image, and of each build stage that is scanned too (BuildKit's
/// `docs/attestations/sbom-protocol.md`).
const LISTS_FILES: &str = r#"set -e
for source in "$BUILDKIT_SCAN_SOURCE" ${BUILDKIT_SCAN_SOURCE_EXTRAS:+"$BUILDKIT_SCAN_SOURCE_EXTRAS"/*}; do
  name=$(busybox basename "$source")
  files=$(cd "$source" && busybox find . -type f | busybox sort | busybox sed 's/.*/{"fileName":"&"}/' | busybox paste -sd, -)
  busybox printf '{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","predicate":{"spdxVersion":"SPDX-2.3","name":"<%s> & more","files":[%s]}}' "$name" "$files" > "$BUILDKIT_SCAN_DESTINATION/$name.spdx.json"
done
"#;

/// Pushes a scanner that lists the files of an image, with this script instead if it is not empty.
pub async fn scanner(place: &Place, name: &str, script: &str) -> String {
    let depot = place.depot(Scenario::default()).await;
    let context =
        place.busybox_context("COPY scan /scan\nENTRYPOINT [\"/bin/busybox\", \"sh\", \"/scan\"]");
    let script = if script.is_empty() {
        LISTS_FILES
    } else {
        script
    };
    context.file("scan", script).unwrap();
    let image = place.image(name);
    let run = Program::of(&depot, context.path())
        .push(&image, &place.registry)
        .set("PROVENANCE", "false")
        .run()
        .await;
    run.expect(0, &["built and pushed"]);
    image
}

fn spdx(folder: &Path, name: &str) -> Value {
    let bytes = std::fs::read(folder.join(format!("{name}.spdx.json"))).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn sboms_are_attached_and_written_to_files() {
    with_place(async |place| {
        let scanner = scanner(place, "scanner", "").await;
        for (index, (is_fork, platforms)) in [
            (false, "linux/amd64"),
            (true, "linux/amd64"),
            (false, "linux/amd64,linux/386"),
            (false, "linux/amd64,linux/arm64"),
            (true, "linux/arm64,linux/amd64,linux/arm/v7"),
        ]
        .into_iter()
        .enumerate()
        {
            let machine = MachinePlan {
                is_fork,
                ..MachinePlan::default()
            };
            let depot = place
                .depot_of_two(Scenario::default().machines(machine))
                .await;
            let context = small_context();
            let repository = format!("sboms-{index}");
            let run = Program::of(&depot, context.path())
                .push(&place.image(&repository), &place.registry)
                .set("PLATFORMS", platforms)
                .set("SBOM", format!("generator={scanner}"))
                .set("SBOM_DIR", "out/sboms")
                .run()
                .await;
            run.expect(
                0,
                &["built and pushed", "SBOM for linux/amd64: `out/sboms/"],
            )
            .without("WARNING");
            let folder = context.path().join("out/sboms");
            let mut expected: Vec<_> = match platforms {
                "linux/amd64" => vec!["sbom.spdx.json".to_owned()],
                several => several
                    .split(',')
                    .map(|one| format!("{}.spdx.json", one.replace('/', "_")))
                    .collect(),
            };
            expected.sort();
            assert_eq!(names(&folder), expected);
            let pushed = read(place, &repository, "test").await;
            let attached = predicates(place, &repository, &pushed, SPDX).await;
            assert_eq!(attached.len(), expected.len(), "{pushed:#}");
            for name in expected {
                let document = spdx(&folder, name.strip_suffix(".spdx.json").unwrap());
                assert_eq!(document["files"][0]["fileName"], "./file", "{document:#}");
                assert_eq!(document["name"], "<sbom> & more");
                assert!(attached.contains(&document), "{document:#}");
            }
            depot.check().unwrap();
        }
    });
}

#[test]
fn each_target_of_a_definition_has_files_of_its_own() {
    with_place(async |place| {
        let scanner = scanner(place, "scanner-of-targets", "").await;
        let depot = place.depot_of_two(Scenario::default()).await;
        let context = small_context();
        let repository = place.image("sboms-targets");
        let definition = format!(
            "group \"default\" {{ targets = [\"one\", \"two\"] }}\n\
             target \"one\" {{ tags = [\"{repository}-one\"] }}\n\
             target \"two\" {{\n  tags = [\"{repository}-two\"]\n  platforms = [\"linux/amd64\", \"linux/arm64\"]\n}}\n"
        );
        context.file("docker-bake.hcl", definition).unwrap();
        let run = Program::of(&depot, context.path())
            .set("BAKE_FILES", "docker-bake.hcl")
            .set("REGISTRY", place.registry.host())
            .set("REGISTRY_USERNAME", place.registry.username())
            .set("REGISTRY_PASSWORD", place.registry.password())
            .set("PUSH", "true")
            .set("SBOM", format!("generator={scanner}"))
            .set("SBOM_DIR", "out")
            .run()
            .await;
        run.expect(0, &["SBOM for linux/arm64: `out/"]);
        let folder = context.path().join("out");
        assert_eq!(
            names(&folder),
            [
                "one.spdx.json",
                "two_linux_amd64.spdx.json",
                "two_linux_arm64.spdx.json"
            ]
        );
        let document = spdx(&folder, "two_linux_arm64");
        assert_eq!(document["files"][0]["fileName"], "./file", "{document:#}");
        depot.check().unwrap();
    });
}

#[test]
fn an_sbom_needs_neither_a_push_nor_a_registry_that_accepts_it() {
    with_place(async |place| {
        let scanner = scanner(place, "scanner-alone", "").await;
        let daemon = place.daemon(Release::Docker26).await;
        for is_loaded in [false, true] {
            let depot = place.depot_of_two(Scenario::default()).await;
            let context = small_context();
            let mut program = Program::of(&depot, context.path())
                .set("SBOM", format!("generator={scanner}"))
                .set("SBOM_DIR", ".")
                .set("PLATFORMS", BOTH)
                .set("REGISTRY", place.registry.host())
                .set("REGISTRY_USERNAME", place.registry.username())
                .set("REGISTRY_PASSWORD", place.registry.password());
            if is_loaded {
                program = program.load("acme/sbom:1", &daemon.docker_host());
            }
            let run = program.run().await;
            run.expect(0, &["SBOM for linux/arm64: `linux_arm64.spdx.json`"]);
            let files = names(context.path());
            assert_eq!(
                files,
                [
                    "Dockerfile",
                    "file",
                    "linux_amd64.spdx.json",
                    "linux_arm64.spdx.json"
                ]
            );
        }
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "old.sboms.example.com";
        let old = registry(internet, host).await;
        internet.plan(Planned {
            host: host.to_owned(),
            method: Method::PUT,
            path_part: "/manifests/",
            times: 1000,
            fault: RegistryFault::RefuseOci(415),
        });
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = program(&depot, internet, context.path())
            .set("IMAGE", format!("{host}/app:1"))
            .set(
                "REGISTRIES",
                list(&[(host, &old), (&place.registry.host(), &place.registry)]),
            )
            .set("SBOM", format!("generator={scanner}"))
            .set("SBOM_DIR", "out")
            .set("ANNOTATIONS", "index,manifest:a=b")
            .run()
            .await;
        run.expect(
            0,
            &[
                "pushing Docker manifests without attestations and annotations",
                "SBOM for linux/amd64",
            ],
        );
        let pushed = old.manifest("app", "1").await.unwrap();
        assert!(pushed.json().unwrap()["annotations"].is_null());
        assert!(spdx(&context.path().join("out"), "sbom")["files"].is_array());
    });
}

#[test]
fn a_scanner_that_fails_or_finds_nothing_is_reported() {
    with_place(async |place| {
        for (name, script, texts) in [
            (
                "scanner-empty",
                "exit 0\n",
                [
                    "the SBOM cannot be read from the builder",
                    "the builder created no SBOM",
                    "hint: the scanner must write an SPDX file",
                ],
            ),
            (
                "scanner-broken",
                "echo out of order; exit 3\n",
                ["failed to build", "out of order", "exit code: 3"],
            ),
        ] {
            let scanner = scanner(place, name, script).await;
            let depot = place.depot(Scenario::default()).await;
            let context = small_context();
            let run = Program::of(&depot, context.path())
                .push(&place.image(&format!("{name}-image")), &place.registry)
                .set("SBOM", format!("generator={scanner}"))
                .set("SBOM_DIR", "out")
                .run()
                .await;
            run.expect(1, &texts);
            assert!(!context.path().join("out").exists());
        }
    });
}

#[test]
fn the_file_has_the_sbom_of_the_image_and_not_that_of_a_build_stage() {
    with_place(async |place| {
        let scanner = scanner(place, "scanner-stages", "").await;
        for is_fork in [false, true] {
            let machine = MachinePlan {
                is_fork,
                ..MachinePlan::default()
            };
            let depot = place.depot(Scenario::default().machines(machine)).await;
            let context = small_context();
            let dockerfile = "FROM scratch AS base\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nCOPY file /of-base\nFROM scratch\nCOPY --from=base /of-base /of-image\n";
            context.file("Dockerfile", dockerfile).unwrap();
            let image = format!("sbom-stages-{is_fork}");
            let run = Program::of(&depot, context.path())
                .push(&place.image(&image), &place.registry)
                .set("SBOM", format!("generator={scanner}"))
                .set("SBOM_DIR", "out")
                .run()
                .await;
            run.expect(0, &["built and pushed"]);
            let index = read(place, &image, "test").await;
            assert_eq!(
                predicates(place, &image, &index, SPDX).await.len(),
                2,
                "{index:#}"
            );
            let document = spdx(&context.path().join("out"), "sbom");
            assert_eq!(
                document["files"][0]["fileName"], "./of-image",
                "{document:#}"
            );
        }
    });
}
