//! Failures of loads: an incomplete load is never reported as success, and the build is finished.

use std::time::Duration;

use depot_ground::daemon::{Daemon, DoorPlan, Hold, Release};
use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::skopeo::Skopeo;
use local_depot::{BuildState, MachinePlan, Method, Scenario};

use super::loading::{CLASSIC, layers, noise};
use super::place::{small_context, with_place};
use super::program::Program;

/// More than the buffers of both sockets.
const LARGE: usize = 32 << 20;

#[test]
fn without_a_daemon_nothing_is_started() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let closed = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        for (host, expected) in [
            (
                "unix:///nowhere/docker.sock".to_owned(),
                "No such file or directory",
            ),
            (format!("tcp://{closed}"), "Connection refused"),
            // Something else listens there.
            (
                depot.api_url().replace("http://", "tcp://"),
                "the Docker daemon did not return its version",
            ),
        ] {
            let run = Program::of(&depot, context.path())
                .load("acme/none:1", &host)
                .run()
                .await;
            run.expect(7, &[expected]);
            if expected.contains("version") {
                continue;
            }
            run.expect(
                7,
                &[
                    &format!("cannot connect to the Docker daemon at {host}"),
                    "hint: LOAD needs the step's Docker daemon; add to the step, next to `script:`\n  services:\n    - docker\n",
                ],
            );
        }
        assert_eq!(depot.record().calls_of(Method::CreateBuild).count(), 0);
    });
}

#[test]
fn a_load_waits_for_a_daemon_that_is_starting() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        // A port without a listener.
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let host = format!("tcp://127.0.0.1:{port}");
        let running = Program::of(&depot, context.path())
            .load("acme/starting:1", &host)
            .start();
        tokio::time::sleep(Duration::from_millis(700)).await;
        let door = daemon.door_at(port, DoorPlan::default()).await.unwrap();
        running.end().await.expect(0, &["built and loaded"]);
        drop(door);
    });
}

#[test]
fn a_lost_connection_to_the_daemon_fails_the_run() {
    with_place(async |place| {
        for release in Release::ALL {
            let daemon = place.daemon(release).await;
            let depot = place.depot(Scenario::default()).await;
            let plan = DoorPlan {
                cut_after: Some(5 << 20),
                ..DoorPlan::default()
            };
            let door = daemon.door(plan).await.unwrap();
            let context = layers(&[("large", noise("cut", LARGE))]);
            let run = Program::of(&depot, context.path())
                .load("acme/cut:1", &door.docker_host())
                .run()
                .await;
            run.expect(
                7,
                &[
                    "failed to load the image into Docker ",
                    "the connection to the Docker daemon broke",
                    "hint: the daemon may have run out of memory",
                ],
            );
            let state = depot.record().last_build().unwrap().state.clone();
            assert!(matches!(state, BuildState::Failed(_)), "{state:?}");
            assert_eq!(daemon.image("acme/cut:1").await.unwrap(), None);
        }
    });
}

#[test]
fn a_daemon_whose_blobs_cannot_be_queried_gets_all_layers() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26Containerd).await;
        for (number, answer, expected) in [
            (
                1,
                "HTTP/1.1 403 Forbidden\r\nContent-Length: 52\r\n\r\nauthorization denied by plugin opa: access is denied",
                "it returned 403 Forbidden",
            ),
            (
                2,
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                "it returned 404 Not Found",
            ),
            // The connection is closed.
            (3, "", "connection closed before message completed"),
        ] {
            let depot = place.depot(Scenario::default()).await;
            let plan = DoorPlan {
                refusal: Some(("POST /grpc", answer)),
                ..DoorPlan::default()
            };
            let door = daemon.door(plan).await.unwrap();
            let label = format!("unlisted-{number}");
            let image = format!("acme/{label}:1");
            let context = layers(&[("file", noise(&label, 1000))]);
            let run = Program::of(&depot, context.path())
                .load(&image, &door.docker_host())
                .set("DEBUG", "true")
                .run()
                .await;
            let expected = format!("cannot query the blobs of the Docker daemon: {expected}");
            run.expect(0, &[&expected, "sending 1", "built and loaded"]);
            assert!(daemon.image(&image).await.unwrap().is_some());
        }
    });
}

#[test]
fn a_daemon_whose_blobs_cannot_be_queried_does_not_get_the_layers_of_its_images() {
    with_place(async |place| {
        let registry = &place.registry;
        let (base, zstd) = (place.image("unlisted-base"), place.image("unlisted-zstd"));
        let depot = place.depot(Scenario::default()).await;
        let context = layers(&[("base", noise("unlisted base", 4 << 20))]);
        let run = Program::of(&depot, context.path()).push(&base, registry);
        run.run().await.expect(0, &[]);
        let skopeo = Skopeo::fetch(&state_folder()).await.unwrap();
        let compressed = skopeo.compress_with_zstd(&base, &zstd, registry.login());
        compressed.await.unwrap();

        for (pulled, image, expected) in [
            (&base, "acme/unlisted:1", "built and loaded"),
            // The same layers in other blobs: the daemon must get them.
            (&zstd, "acme/unlisted:2", "; sending all layers"),
        ] {
            // A daemon of its own, because other tests load the same layers.
            let daemon = Daemon::start(Release::Docker26Containerd, &state_folder())
                .await
                .unwrap();
            let (username, password) = (registry.username(), registry.password());
            daemon.pull(pulled, username, password).await.unwrap();
            let plan = DoorPlan {
                refusal: Some((
                    "POST /grpc",
                    "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
                )),
                ..DoorPlan::default()
            };
            let door = daemon.door(plan).await.unwrap();
            let context = Context::new(&format!("FROM {base}\nCOPY file /file\n")).unwrap();
            context.file("file", format!("for {image}\n")).unwrap();
            let run = Program::of(&depot, context.path())
                .load(image, &door.docker_host())
                .set("REGISTRY", registry.host())
                .set("REGISTRY_USERNAME", username)
                .set("REGISTRY_PASSWORD", password)
                .run()
                .await;
            run.expect(
                0,
                &[
                    "1 of 2 layers already exist, sending 1",
                    "built and loaded",
                    expected,
                ],
            );
            let is_sent = door.passed() > 4 << 20;
            assert_eq!(is_sent, expected != "built and loaded", "{}", run.log);
            let files = daemon.files(image).await.unwrap();
            assert!(files.iter().any(|file| file == "base"), "{files:?}");
        }
    });
}

#[test]
fn a_daemon_that_stops_during_a_load_fails_the_run() {
    with_place(async |place| {
        let daemon = Daemon::start(Release::Docker20, &state_folder())
            .await
            .unwrap();
        let depot = place.depot(Scenario::default()).await;
        let hold = Hold::at("/images/load");
        let plan = DoorPlan {
            hold: Some(hold.clone()),
            ..DoorPlan::default()
        };
        let door = daemon.door(plan).await.unwrap();
        let context = layers(&[("large", noise("ends", LARGE))]);
        let running = Program::of(&depot, context.path())
            .load("acme/ends:1", &door.docker_host())
            .start();
        hold.reached().await;
        daemon.stop().await.unwrap();
        hold.let_go();
        let run = running.end().await;
        run.expect(7, &["the connection to the Docker daemon broke"]);
    });
}

#[test]
fn a_full_disk_of_the_daemon_is_reported() {
    with_place(async |place| {
        for release in Release::ALL {
            let disk = Some(24 << 20);
            let daemon = Daemon::start_on_disk(release, &state_folder(), disk)
                .await
                .unwrap();
            let depot = place.depot(Scenario::default()).await;
            // One layer fits, and is removed again.
            let context = layers(&[
                ("small", noise("little disk", 9 << 20)),
                ("large", noise("disk", LARGE)),
            ]);
            let run = Program::of(&depot, context.path())
                .load("acme/disk:1", &daemon.docker_host())
                .run()
                .await;
            run.expect(
                7,
                &["no space left on device", "hint: the daemon's disk is full"],
            );
            assert_eq!(daemon.images().await.unwrap(), 0);
            daemon.stop().await.unwrap();
        }
    });
}

#[test]
fn a_layer_that_is_removed_before_the_load_is_sent() {
    with_place(async |place| {
        for release in Release::ALL {
            let daemon = place.daemon(release).await;
            let label = format!("gone-{release:?}").to_lowercase();
            let first = ("first", noise(&label, 500_000));
            let second = ("second", noise("second", 1000));
            let depot = place.depot(Scenario::default()).await;
            let below = layers(std::slice::from_ref(&first));
            let (old, new) = (format!("acme/{label}:1"), format!("acme/{label}:2"));
            let run = Program::of(&depot, below.path()).load(&old, &daemon.docker_host());
            run.run().await.expect(0, &[]);

            let hold = Hold::at("/images/load");
            let plan = DoorPlan {
                hold: Some(hold.clone()),
                ..DoorPlan::default()
            };
            let door = daemon.door(plan).await.unwrap();
            let context = layers(&[first, second]);
            let running = Program::of(&depot, context.path())
                .load(&new, &door.docker_host())
                .start();
            hold.reached().await;
            daemon.remove(&old).await.unwrap();
            hold.let_go();
            let run = running.end().await;
            run.expect(
                0,
                &[
                    "1 of 2 layers already exist, sending 1",
                    "; sending all layers",
                    "0 of 2 layers already exist, sending 2",
                    "built and loaded",
                ],
            );
            let image = daemon.image(&new).await.unwrap().unwrap();
            assert_eq!(image.root_fs.layers.len(), 2);
        }
    });
}

#[test]
fn a_layer_that_is_removed_during_the_load_is_sent_again() {
    with_place(async |place| {
        for release in CLASSIC {
            // A daemon of its own, because its images are counted.
            let daemon = Daemon::start(release, &state_folder()).await.unwrap();
            let label = format!("stage-{release:?}").to_lowercase();
            let depot = place.depot(Scenario::default()).await;
            let plan = DoorPlan {
                pause: Some(Duration::from_millis(10)),
                ..DoorPlan::default()
            };
            let door = daemon.door(plan).await.unwrap();
            let context = layers(&[
                ("first", noise(&label, 9 << 20)),
                ("second", noise("second", 9 << 20)),
            ]);
            let image = format!("acme/{label}:1");
            let running = Program::of(&depot, context.path())
                .load(&image, &door.docker_host())
                .start();
            let ids = nameless(&daemon).await;
            for id in ids {
                daemon.remove(&id).await.unwrap();
            }
            let run = running.end().await;
            run.expect(
                0,
                &[
                    "0 of 2 layers already exist, sending 2",
                    "; sending all layers",
                    "built and loaded",
                ],
            );
            assert_eq!(door.loads(), 3);
            let loaded = daemon.image(&image).await.unwrap().unwrap();
            assert_eq!(loaded.root_fs.layers.len(), 2);
            assert_eq!(daemon.images().await.unwrap(), 1);
        }
    });
}

/// Waits until a daemon has images without a name.
async fn nameless(daemon: &Daemon) -> Vec<String> {
    for _ in 0..1000 {
        let ids = daemon.nameless().await.unwrap();
        if !ids.is_empty() {
            return ids;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no image without a name has come");
}

#[test]
fn a_signal_between_the_archives_of_a_load_leaves_nothing_in_the_daemon() {
    with_place(async |place| {
        for release in CLASSIC {
            // A daemon of its own, because its images are counted.
            let daemon = Daemon::start(release, &state_folder()).await.unwrap();
            let depot = place.depot(Scenario::default()).await;
            let plan = DoorPlan {
                pause: Some(Duration::from_millis(20)),
                ..DoorPlan::default()
            };
            let door = daemon.door(plan).await.unwrap();
            let context = layers(&[
                ("first", noise(&format!("{release:?}"), 9 << 20)),
                ("second", noise("second", LARGE)),
            ]);
            let running = Program::of(&depot, context.path())
                .load("acme/between:1", &door.docker_host())
                .start();
            assert_eq!(nameless(&daemon).await.len(), 1);
            running.signal("TERM").await;
            running.end().await.expect(143, &["canceled by SIGTERM"]);
            assert_eq!(daemon.images().await.unwrap(), 0);
        }
    });
}

#[test]
fn concurrent_loads_of_images_with_shared_layers_succeed() {
    with_place(async |place| {
        for release in Release::ALL {
            let daemon = place.daemon(release).await;
            let label = format!("shared-{release:?}").to_lowercase();
            let shared = ("shared", noise(&label, 8 << 20));
            let contexts =
                ["one", "two"].map(|own| layers(&[shared.clone(), ("own", noise(own, 1 << 20))]));
            let depot = place.depot(Scenario::default()).await;
            let load = async |own: usize| {
                let image = format!("acme/{label}:{own}");
                let program = Program::of(&depot, contexts[own].path());
                let run = program.load(&image, &daemon.docker_host()).run().await;
                run.expect(0, &["built and loaded"]);
                daemon.image(&image).await.unwrap().unwrap()
            };
            let (one, two) = tokio::join!(load(0), load(1));
            assert_eq!(one.root_fs.layers[0], two.root_fs.layers[0]);
            assert_ne!(one.id, two.id);
        }
    });
}

#[test]
fn a_signal_stops_a_load() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let depot = place.depot(Scenario::default()).await;
        let plan = DoorPlan {
            pause: Some(Duration::from_millis(50)),
            ..DoorPlan::default()
        };
        let door = daemon.door(plan).await.unwrap();
        let context = layers(&[("large", noise("signal", LARGE))]);
        let mut running = Program::of(&depot, context.path())
            .load("acme/signal:1", &door.docker_host())
            .start();
        running.until("sending 1 (33").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        running.signal("TERM").await;
        let run = running.end().await;
        run.expect(143, &["canceled by SIGTERM"]);
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);
        assert_eq!(daemon.image("acme/signal:1").await.unwrap(), None);
    });
}

#[test]
fn an_image_that_was_pushed_but_not_loaded_is_reported_as_such() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let depot = place.depot(Scenario::default()).await;
        let plan = DoorPlan {
            cut_after: Some(1 << 20),
            ..DoorPlan::default()
        };
        let door = daemon.door(plan).await.unwrap();
        let image = place.image("pushed-not-loaded");
        let context = layers(&[("large", noise("pushed", LARGE))]);
        let run = Program::of(&depot, context.path())
            .push(&image, &place.registry)
            .load(&image, &door.docker_host())
            .run()
            .await;
        run.expect(
            7,
            &[&format!("ERROR: pushed: {image}; not loaded: {image}")],
        );
    });
}

#[test]
fn the_leases_of_a_load_are_deleted_on_success_failure_and_cancellation() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let slow = DoorPlan {
            pause: Some(Duration::from_millis(50)),
            ..DoorPlan::default()
        };
        let cut = DoorPlan {
            cut_after: Some(1 << 20),
            ..DoorPlan::default()
        };
        for (plan, code) in [(DoorPlan::default(), 0), (cut, 7), (slow, 143)] {
            let fork = Scenario::default().machines(MachinePlan::default().fork());
            let depot = place.depot(fork).await;
            let door = daemon.door(plan).await.unwrap();
            let context = layers(&[("large", noise(&code.to_string(), LARGE))]);
            let mut running = Program::of(&depot, context.path())
                .load(&format!("acme/leased:{code}"), &door.docker_host())
                .start();
            if code == 143 {
                running.until("sending 1 (33").await;
                running.signal("TERM").await;
            }
            running.end().await.expect(code, &[]);
            let record = depot.record();
            assert_eq!(record.leases, Vec::<String>::new());
            assert_eq!(record.deleted_leases.len(), 1);
        }
    });
}

#[test]
fn an_error_late_in_the_response_fails_the_load() {
    with_place(async |place| {
        for release in [Release::Docker26, Release::Docker26Containerd] {
            let daemon = place.daemon(release).await;
            for (answer, expected) in [
                (
                    "{\"status\":\"Loading layer\"}\n{\"errorDetail\":{\"message\":\"it went wrong\"},\"error\":\"it went wrong\"}\n",
                    "rejected the image: it went wrong",
                ),
                (
                    "{\"stream\":\"Error unpacking image x: content digest sha256:0: not found\\n\"}\n{\"stream\":\"Loaded image: x\"}\n",
                    "rejected the image: Error unpacking image x",
                ),
                (
                    "{\"stream\":\"Loaded image: x\\n\"}\n",
                    "refers to nothing instead of sha256:",
                ),
                ("", "refers to nothing instead of sha256:"),
                (
                    "not what a daemon says\n",
                    "ERROR: failed to load the image into Docker 26.1.5",
                ),
            ] {
                let plan = DoorPlan {
                    load_answer: Some(answer),
                    ..DoorPlan::default()
                };
                let door = daemon.door(plan).await.unwrap();
                let depot = place.depot(Scenario::default()).await;
                let context = layers(&[("file", noise("answered", 200_000))]);
                let run = Program::of(&depot, context.path())
                    .load("acme/answered:1", &door.docker_host())
                    .run()
                    .await;
                run.expect(7, &[expected]);
                let state = depot.record().last_build().unwrap().state.clone();
                assert!(matches!(state, BuildState::Failed(_)), "{state:?}");
            }
        }
    });
}
