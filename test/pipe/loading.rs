//! Loading into the step's Docker daemon, with real daemons of each kind. Failures are in `loading_faults.rs`.

use std::time::Duration;

use depot_ground::daemon::{Certificates, Daemon, DoorPlan, Release};
use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::registry::Registry;
use depot_ground::skopeo::Skopeo;
use local_depot::{Architecture, MachinePlan, Method, Record, Scenario};

use super::place::{small_context, with_place};
use super::program::Program;

/// The releases with the classic store, as in Bitbucket.
pub const CLASSIC: [Release; 2] = [Release::Docker20, Release::Docker26];

/// Incompressible bytes, different for every name.
pub fn noise(name: &str, length: usize) -> Vec<u8> {
    let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A context whose image has one layer per file, in this order.
pub fn layers(files: &[(&str, Vec<u8>)]) -> Context {
    let mut dockerfile = "FROM scratch\n".to_owned();
    for (name, _) in files {
        dockerfile.push_str(&["COPY ", name, " /", name, "\n"].concat());
    }
    let context = Context::new(&dockerfile).unwrap();
    for (name, content) in files {
        context.file(name, content).unwrap();
    }
    context
}

/// The config digest of the image in the registry, which is its id in a daemon.
pub async fn image_id(registry: &Registry, repository: &str, tag: &str) -> String {
    let index = registry.manifest(repository, tag).await;
    let index = index.unwrap().json().unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest = registry.manifest(repository, digest).await;
    let manifest = manifest.unwrap().json().unwrap();
    manifest["config"]["digest"].as_str().unwrap().to_owned()
}

/// The number of bytes that the amd64 machine has sent.
pub fn sent(record: &Record) -> u64 {
    let connections = record.connections_to(Architecture::Amd64);
    connections.map(|connection| connection.sent.get()).sum()
}

#[test]
fn an_image_is_loaded_into_every_kind_of_daemon() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        for release in Release::ALL {
            let daemon = place.daemon(release).await;
            // With an empty layer.
            let context = place.busybox_context("RUN echo loaded > /message\nRUN true\n");
            let run = Program::of(&depot, context.path())
                .load("acme/loaded:1 acme/loaded:2", &daemon.docker_host())
                .run()
                .await;
            let expected = "built and loaded one image as 2 references";
            run.expect(0, &[expected, "\n  docker.io/acme/loaded:1\n"]);
            for name in ["acme/loaded:1", "acme/loaded:2"] {
                let image = daemon.image(name).await.unwrap().unwrap();
                run.expect(0, &[&format!("loaded {}", image.id)]);
            }
            let printed = daemon.run("acme/loaded:1", &["/bin/cat", "/message"]).await;
            assert!(printed.unwrap().contains("loaded"));
            let record = depot.record();
            assert!(record.last_build().unwrap().options[0].load);
        }
    });
}

#[test]
fn only_missing_layers_are_sent() {
    with_place(async |place| {
        const MISSING: usize = 100_000;
        for release in Release::ALL {
            let daemon = place.daemon(release).await;
            let label = format!("delta-{release:?}").to_lowercase();
            let large = ("large", noise(&label, 8 << 20));
            let (two, three) = (("two", noise("2", MISSING)), ("three", noise("3", MISSING)));
            let contexts = [
                layers(&[large.clone(), two.clone()]),
                layers(&[large, two, three]),
            ];
            let mut logs = Vec::new();
            // A name of its own for each image: a containerd store may remove the snapshots of an image that loses its name,
            // when another test removes images, and then all layers are sent.
            for (tag, context, limit) in [
                (1, &contexts[0], 9 << 20),
                (2, &contexts[1], MISSING as u64 + (256 << 10)),
                (2, &contexts[1], 256 << 10),
            ] {
                let image = format!("acme/{label}:{tag}");
                let depot = place.depot(Scenario::default()).await;
                let run = Program::of(&depot, context.path())
                    .load(&image, &daemon.docker_host())
                    .run()
                    .await;
                run.expect(0, &["built and loaded"]);
                let sent = sent(&depot.record());
                assert!(sent < limit, "{} {sent} bytes", run.log);
                let loaded = daemon.image(&image).await.unwrap().unwrap();
                run.expect(0, &[&format!("loaded {}", loaded.id)]);
                logs.push(run.log);
            }
            for (log, expected) in logs.iter().zip([
                "0 of 2 layers already exist, sending 2 (8.4MB)",
                "2 of 3 layers already exist, sending 1 (100.2kB)",
                "3 of 3 layers already exist, sending 0 (0B)",
            ]) {
                assert!(log.contains(expected), "{log}");
            }
        }
    });
}

#[test]
fn layers_are_unpacked_while_upper_layers_are_sent() {
    with_place(async |place| {
        for release in CLASSIC {
            // A daemon of its own, because its images are counted.
            let daemon = Daemon::start(release, &state_folder()).await.unwrap();
            let door = daemon.door(DoorPlan::default()).await.unwrap();
            let label = format!("stages-{release:?}").to_lowercase();
            let image = format!("acme/{label}:1");
            let files = [
                ("large", noise(&label, 9 << 20)),
                ("small", noise("small", 1000)),
                ("other", noise("other", 20 << 20)),
                ("third", noise("third", 8 << 20)),
                ("top", noise("top", 1000)),
            ];
            let context = layers(&files);
            let depot = place.depot(Scenario::default()).await;
            let run = Program::of(&depot, context.path())
                .load(&image, &door.docker_host())
                .run()
                .await;
            run.expect(
                0,
                &["0 of 5 layers already exist, sending 5", "built and loaded"],
            );
            assert_eq!(door.loads(), 4);
            let loaded = daemon.image(&image).await.unwrap().unwrap();
            run.expect(0, &[&format!("loaded {}", loaded.id)]);
            assert_eq!(loaded.root_fs.layers.len(), 5);
            let found = daemon.files(&image).await.unwrap();
            for (name, _) in &files {
                assert!(found.iter().any(|path| path == name), "{found:?}");
            }
            assert_eq!(daemon.images().await.unwrap(), 1, "{}", run.log);
        }
    });
}

#[test]
fn layers_of_a_base_image_that_the_daemon_pulled_are_not_sent() {
    with_place(async |place| {
        let registry = &place.registry;
        let depot = place.depot(Scenario::default()).await;
        let base = place.image("load-base");
        let context = layers(&[("base", noise("base", 4 << 20))]);
        let run = Program::of(&depot, context.path()).push(&base, registry);
        run.run().await.expect(0, &[]);
        for release in Release::ALL {
            let daemon = place.daemon(release).await;
            let (username, password) = (registry.username(), registry.password());
            daemon.pull(&base, username, password).await.unwrap();
            let context = Context::new(&format!("FROM {base}\nCOPY file /file\n")).unwrap();
            context.file("file", "content\n").unwrap();
            let depot = place.depot(Scenario::default()).await;
            let run = Program::of(&depot, context.path())
                .load("acme/on-base:1", &daemon.docker_host())
                .set("REGISTRY", registry.host())
                .set("REGISTRY_USERNAME", username)
                .set("REGISTRY_PASSWORD", password)
                .run()
                .await;
            run.expect(0, &["1 of 2 layers already exist, sending 1"]);
            assert!(sent(&depot.record()) < 256 << 10, "{}", run.log);
        }
    });
}

#[test]
fn an_image_is_pushed_and_loaded_from_one_build() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN echo both > /message");
        let image = place.image("pushed-and-loaded");
        let run = Program::of(&depot, context.path())
            .push(&image, &place.registry)
            .load(&image, &daemon.docker_host())
            .run()
            .await;
        run.expect(0, &["built, pushed and loaded", &image]);
        assert_eq!(
            run.log.matches("exporting to image").count(),
            1,
            "{}",
            run.log
        );

        // Registry and daemon have the same image.
        let loaded = daemon.image(&image).await.unwrap().unwrap();
        assert_eq!(
            image_id(&place.registry, "pushed-and-loaded", "test").await,
            loaded.id
        );
        let record = depot.record();
        let options = &record.last_build().unwrap().options[0];
        assert!(options.push && options.load, "{options:?}");
    });
}

#[test]
fn an_image_without_a_name_gets_a_default_name() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set("LOAD", "true")
            .set("DOCKER_HOST", daemon.docker_host())
            .run()
            .await;
        let name = format!("depot-build:{}", depot.record().last_build().unwrap().id);
        run.expect(0, &[&format!("built and loaded docker.io/library/{name}")]);
        assert!(daemon.image(&name).await.unwrap().is_some());
    });
}

#[test]
fn of_several_platforms_the_daemons_platform_is_loaded() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let context = small_context();
        for (platforms, loaded, push) in [
            ("linux/arm64,linux/amd64", "linux/amd64", false),
            ("linux/arm64,linux/amd64", "linux/amd64", true),
            ("linux/386,linux/arm64,linux/arm/v7", "linux/386", false),
            // On one machine.
            ("linux/386,linux/amd64", "linux/amd64", false),
        ] {
            let depot = place.depot_of_two(Scenario::default()).await;
            let image = place.image("load-one-of-many");
            let program = Program::of(&depot, context.path());
            let program = if push {
                program.push(&image, &place.registry)
            } else {
                program
            };
            let run = program
                .load(&image, &daemon.docker_host())
                .set("PLATFORMS", platforms)
                .run()
                .await;
            run.expect(0, &[&format!("into Docker 26.1.5+dfsg1 for {loaded}")]);
            run.without("emulator");
            let found = daemon.image(&image).await.unwrap().unwrap();
            assert_eq!(format!("linux/{}", found.architecture), loaded);
            daemon.remove(&image).await.unwrap();
        }
    });
}

#[test]
fn a_foreign_platform_is_loaded_only_if_it_is_the_only_one() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let depot = place.depot_of_two(Scenario::default()).await;
        let context = small_context();
        let program =
            || Program::of(&depot, context.path()).load("acme/foreign:1", &daemon.docker_host());
        let run = program().set("PLATFORMS", "linux/arm64,linux/arm/v7").run();
        run.await.expect(
            2,
            &[
                "the Docker daemon runs images for linux/amd64, but the image is built only for linux/arm64, linux/arm/v7",
                "hint: add `linux/amd64` to PLATFORMS, or remove LOAD",
            ],
        );
        assert_eq!(depot.record().calls_of(Method::CreateBuild).count(), 0);
        let run = program().set("PLATFORMS", "linux/arm64").run().await;
        run.expect(
            0,
            &[
                "it needs an emulator to run the image for linux/arm64",
                "built and loaded",
            ],
        );
        let found = daemon.image("acme/foreign:1").await.unwrap().unwrap();
        assert_eq!(found.architecture, "arm64");
    });
}

#[test]
fn a_daemon_with_tls_requires_the_right_certificates() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let certificates = Certificates::new().unwrap();
        let plan = DoorPlan {
            tls: Some(certificates.clone()),
            ..DoorPlan::default()
        };
        let door = daemon.door(plan).await.unwrap();
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let write = |folder: &str, certificates: &Certificates| {
            for (name, pem) in [
                ("ca.pem", &certificates.authority),
                ("cert.pem", &certificates.certificate),
                ("key.pem", &certificates.key),
            ] {
                context.file(&format!("{folder}/{name}"), pem).unwrap();
            }
        };
        write("right", &certificates);
        write("wrong", &Certificates::new().unwrap());
        let run = |folder: &str| {
            Program::of(&depot, context.path())
                .load("acme/tls:1", &door.docker_host())
                .set("DOCKER_TLS_VERIFY", "1")
                .set("DOCKER_CERT_PATH", folder)
                .run()
        };
        run("right").await.expect(0, &["built and loaded"]);
        let builds = depot.record().builds.len();
        run("wrong").await.expect(
            7,
            &[
                "cannot connect to the Docker daemon at tcp://127.0.0.1:",
                "invalid peer certificate",
            ],
        );
        assert_eq!(depot.record().builds.len(), builds);
    });
}

#[test]
fn layers_that_an_old_daemon_cannot_read_are_recompressed() {
    with_place(async |place| {
        let registry = &place.registry;
        let depot = place.depot(Scenario::default()).await;
        let (base, zstd) = (place.image("gzip-base"), place.image("zstd-base"));
        // One layer, which no other test's image has.
        let context = Context::new(
            "FROM scratch AS base\nCOPY busybox /bin/cat\nCOPY message /message\nFROM scratch\nCOPY --from=base / /\n",
        );
        let context = context.unwrap();
        std::fs::copy(place.busybox.path(), context.path().join("busybox")).unwrap();
        context.file("message", "zstd\n").unwrap();
        let run = Program::of(&depot, context.path()).push(&base, registry);
        run.run().await.expect(0, &[]);
        let skopeo = Skopeo::fetch(&state_folder()).await.unwrap();
        let compressed = skopeo.compress_with_zstd(&base, &zstd, registry.login());
        compressed.await.unwrap();
        for (release, expected) in [
            (
                Release::Docker20,
                "Docker 20.10.24+dfsg1 cannot read layers compressed with zstd; exporting the image from the builder",
            ),
            (Release::Docker26, "0 of 2 layers already exist"),
            (Release::Docker26Containerd, "0 of 2 layers already exist"),
        ] {
            let daemon = place.daemon(release).await;
            let context = Context::new(&format!("FROM {zstd}\nCOPY file /file\n")).unwrap();
            context.file("file", "on zstd\n").unwrap();
            let run = Program::of(&depot, context.path())
                .load("acme/zstd:1", &daemon.docker_host())
                .set("REGISTRY", registry.host())
                .set("REGISTRY_USERNAME", registry.username())
                .set("REGISTRY_PASSWORD", registry.password())
                .run()
                .await;
            run.expect(0, &["built and loaded", expected]);
            let printed = daemon.run("acme/zstd:1", &["/bin/cat", "/message"]).await;
            assert!(printed.unwrap().contains("zstd"), "{release:?}");
        }
    });
}

#[test]
fn an_image_can_have_as_many_layers_as_a_daemon_supports() {
    with_place(async |place| {
        let names: Vec<String> = (0..120).map(|layer| layer.to_string()).collect();
        let files: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), noise(name, 2000)))
            .collect();
        let context = layers(&files);
        for release in Release::ALL {
            let depot = place.depot(Scenario::default()).await;
            let daemon = place.daemon(release).await;
            let run = Program::of(&depot, context.path())
                .load("acme/many:1", &daemon.docker_host())
                .run()
                .await;
            run.expect(0, &["0 of 120 layers already exist", "built and loaded"]);
            let image = daemon.image("acme/many:1").await.unwrap().unwrap();
            assert_eq!(image.root_fs.layers.len(), 120);
        }
    });
}

#[test]
fn an_image_without_layers_is_loaded() {
    with_place(async |place| {
        let context = Context::new("FROM scratch\nLABEL only=this\n").unwrap();
        for release in Release::ALL {
            let depot = place.depot(Scenario::default()).await;
            let daemon = place.daemon(release).await;
            let run = Program::of(&depot, context.path())
                .load("acme/nothing:1", &daemon.docker_host())
                .run()
                .await;
            run.expect(
                0,
                &["0 of 0 layers already exist, sending 0", "built and loaded"],
            );
        }
    });
}

#[test]
fn large_layers_are_loaded_into_a_slow_daemon() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        // About 20 MB/s, so each layer after the first has to wait.
        let plan = DoorPlan {
            pause: Some(Duration::from_millis(3)),
            ..DoorPlan::default()
        };
        let door = daemon.door(plan).await.unwrap();
        let context = layers(&["a", "b", "c", "d"].map(|name| (name, noise(name, 20 << 20))));
        // The second machine's window is smaller than the unread data.
        for machines in [MachinePlan::default(), MachinePlan::default().fork()] {
            let depot = place.depot(Scenario::default().machines(machines)).await;
            let run = Program::of(&depot, context.path())
                .load("acme/large:1", &door.docker_host())
                .run()
                .await;
            run.expect(
                0,
                &[
                    "0 of 4 layers already exist, sending 4 (83.9MB)",
                    "built and loaded",
                ],
            );
            daemon.remove("acme/large:1").await.unwrap();
        }
    });
}

#[test]
#[ignore = "takes minutes and some 10 GB of memory; run by hand, with `--ignored`"]
fn a_layer_may_have_3_gb() {
    use std::io::Write;

    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let context = Context::new("FROM scratch\nCOPY big /big\n").unwrap();
        let mut big = std::fs::File::create(context.path().join("big")).unwrap();
        // A sixteenth is noise; the rest compresses well.
        let (noise, zeros) = (noise("3 GB", 1 << 20), vec![0; 15 << 20]);
        for _ in 0..192 {
            big.write_all(&noise).unwrap();
            big.write_all(&zeros).unwrap();
        }
        let depot = place.depot(Scenario::default()).await;
        let run = Program::of(&depot, context.path())
            .load("acme/big:1", &daemon.docker_host())
            .run()
            .await;
        run.expect(
            0,
            &[
                "0 of 1 layers already exist, sending 1 (",
                "built and loaded",
            ],
        );
    });
}
