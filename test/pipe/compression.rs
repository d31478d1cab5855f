//! COMPRESSION: layers in registries and in the step's daemon.

use std::collections::BTreeSet;

use depot_ground::daemon::Release;
use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::registry::Registry;
use depot_ground::skopeo::Skopeo;
use local_depot::Scenario;

use super::loading::noise;
use super::loading_by_pull::by_registry;
use super::place::{Place, with_place};
use super::program::Program;

/// Each compression with the end of the media type of its layers. eStargz is a form of gzip.
const COMPRESSIONS: [(&str, &str); 4] = [
    ("gzip", "gzip"),
    ("zstd", "zstd"),
    ("estargz", "gzip"),
    ("uncompressed", "tar"),
];

/// The ends of the media types of all layers of the image, and their number.
async fn layer_types(
    registry: &Registry,
    repository: &str,
    tag: &str,
) -> (BTreeSet<String>, usize) {
    let index = registry.manifest(repository, tag).await.unwrap();
    let index = index.json().unwrap();
    let (mut types, mut count) = (BTreeSet::new(), 0);
    for entry in index["manifests"].as_array().unwrap() {
        if entry["platform"]["os"] == "unknown" {
            continue;
        }
        let digest = entry["digest"].as_str().unwrap();
        let manifest = registry.manifest(repository, digest).await.unwrap();
        let manifest = manifest.json().unwrap();
        for layer in manifest["layers"].as_array().unwrap() {
            let media_type = layer["mediaType"].as_str().unwrap();
            types.insert(media_type.rsplit(['.', '+']).next().unwrap().to_owned());
            count += 1;
        }
    }
    (types, count)
}

/// A base image with layers in gzip, and a context with another layer, all of which no other test has.
async fn on_base(place: &Place, label: &str) -> Context {
    let base = place.image(&format!("{label}-base"));
    let context = Context::new(
        "FROM scratch AS base\nCOPY busybox /bin/cat\nCOPY message /message\nFROM scratch\nCOPY --from=base / /\n",
    );
    let context = context.unwrap();
    std::fs::copy(place.busybox.path(), context.path().join("busybox")).unwrap();
    context.file("message", label).unwrap();
    let depot = place.depot(Scenario::default()).await;
    let run = Program::of(&depot, context.path()).push(&base, &place.registry);
    run.run().await.expect(0, &[]);
    let context = Context::new(&format!("FROM {base}\nCOPY file /file\n")).unwrap();
    context.file("file", label).unwrap();
    context
}

/// A context without a base image, whose layers no other image has.
fn unique(place: &Place, label: &str) -> Context {
    let context = Context::new("FROM scratch\nCOPY message large* /\nCOPY busybox /bin/cat\n");
    let context = context.unwrap();
    std::fs::copy(place.busybox.path(), context.path().join("busybox")).unwrap();
    context.file("message", label).unwrap();
    context
}

#[test]
fn all_layers_get_the_compression_also_those_of_the_base_image() {
    with_place(async |place| {
        let registry = &place.registry;
        let context = on_base(place, "compressed").await;
        for (compression, expected) in COMPRESSIONS {
            let depot = place.depot(Scenario::default()).await;
            let name = format!("compressed-{compression}");
            let program = Program::of(&depot, context.path())
                .push(&place.image(&name), registry)
                .set("COMPRESSION", compression);
            let program = match compression {
                "uncompressed" => program,
                _ => program.set("COMPRESSION_LEVEL", "3"),
            };
            program.run().await.expect(0, &["built and pushed"]);
            let (types, count) = layer_types(registry, &name, "test").await;
            assert_eq!(
                types,
                BTreeSet::from([expected.to_owned()]),
                "{compression}"
            );
            assert_eq!(count, 2);
            let skopeo = Skopeo::fetch(&state_folder()).await.unwrap();
            skopeo
                .read_back(&place.image(&name), registry.login())
                .await
                .unwrap();
        }
    });
}

#[test]
fn the_parts_of_two_machines_have_the_same_compression() {
    with_place(async |place| {
        let registry = &place.registry;
        let context = unique(place, "compressed-parts");
        let depot = place.depot_of_two(Scenario::default()).await;
        let run = Program::of(&depot, context.path())
            .push(&place.image("compressed-parts"), registry)
            .set("PLATFORMS", "linux/amd64, linux/arm64")
            .set("COMPRESSION", "zstd")
            .run()
            .await;
        run.expect(0, &["built and pushed"]);
        let (types, count) = layer_types(registry, "compressed-parts", "test").await;
        assert_eq!(types, BTreeSet::from(["zstd".to_owned()]));
        assert_eq!(count, 4);
    });
}

#[test]
fn an_image_of_every_compression_is_loaded_into_every_daemon() {
    with_place(async |place| {
        let registry = &place.registry;
        for release in Release::ALL {
            let daemon = place.daemon(release).await;
            for ((compression, expected), push) in COMPRESSIONS
                .into_iter()
                .flat_map(|case| [(case, true), (case, false)])
            {
                let label = format!("compressed-{release:?}-{compression}-{push}").to_lowercase();
                let context = unique(place, &label);
                let depot = place.depot(Scenario::default()).await;
                let image = place.image(&label);
                let run = Program::of(&depot, context.path())
                    .push(&image, registry)
                    .load(&image, &daemon.docker_host())
                    .set("PUSH", push.to_string())
                    .set("COMPRESSION", compression)
                    .run()
                    .await;
                run.expect(0, &["loaded sha256:"]);
                let printed = daemon.run(&image, &["/bin/cat", "/message"]).await;
                let printed = printed.unwrap();
                assert!(printed.contains(&label), "{printed}\n{}", run.log);
                if push {
                    let (types, _) = layer_types(registry, &label, "test").await;
                    assert_eq!(types, BTreeSet::from([expected.to_owned()]), "{}", run.log);
                }
                let reads_it = release != Release::Docker20 || compression != "zstd";
                assert_eq!(
                    run.log.contains("exporting the image from the builder"),
                    !reads_it
                );
            }
        }
    });
}

#[test]
fn an_image_of_every_compression_is_loaded_by_a_pull_if_the_daemon_reads_it() {
    with_place(async |place| {
        let right = place.registry.password();
        for release in Release::ALL {
            let daemon = place.daemon(release).await;
            for (compression, _) in COMPRESSIONS {
                let label = format!("pulled-{release:?}-{compression}").to_lowercase();
                let context = unique(place, &label);
                context.file("large", noise(&label, 5 << 20)).unwrap();
                let depot = by_registry(place, "compressed-pull", right, right).await;
                let image = format!("acme/{label}:1");
                let run = Program::of(&depot, context.path())
                    .load(&image, &daemon.docker_host())
                    .set("COMPRESSION", compression)
                    .run()
                    .await;
                run.expect(0, &["built and loaded"]);
                // A pull of layers that the daemon cannot read would fail only after the download.
                let reads_it = release != Release::Docker20 || compression != "zstd";
                assert_eq!(run.log.contains("pulling "), reads_it, "{}", run.log);
                let printed = daemon.run(&image, &["/bin/cat", "/message"]).await;
                assert!(printed.unwrap().contains(&label), "{}", run.log);
            }
        }
    });
}
