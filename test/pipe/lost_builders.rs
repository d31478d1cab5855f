//! Builders that disconnect, or lose the built image, during a load.

use std::sync::Arc;
use std::time::Duration;

use depot_ground::daemon::{DoorPlan, Hold, Release};
use depot_ground::engine::{Engine, EngineOptions};
use local_depot::{Architecture, BuildState, Machine, MachinePlan, Scenario};

use super::loading::{CLASSIC, image_id, layers, noise};
use super::place::{Lose, Place, with_place};
use super::program::Program;

/// More than the buffers of both sockets.
const LARGE: usize = 32 << 20;

/// Slow enough that a large layer takes a while.
fn slow() -> DoorPlan {
    DoorPlan {
        pause: Some(Duration::from_millis(2)),
        ..DoorPlan::default()
    }
}

#[test]
fn a_builder_that_disconnects_during_a_layer_fails_the_run() {
    with_place(async |place| {
        let context = layers(&[("large", noise("builder", LARGE))]);
        let mut repeated = None;
        for release in CLASSIC {
            let daemon = place.daemon(release).await;
            // The first build fills the cache, and the context is already sent.
            let depot = match repeated.take() {
                None => {
                    let depot = place.depot(Scenario::default()).await;
                    Program::of(&depot, context.path())
                        .run()
                        .await
                        .expect(0, &[]);
                    let plan = MachinePlan::default().cut_after_bytes(8 << 20);
                    place.depot(Scenario::default().machines(plan)).await
                }
                Some(depot) => depot,
            };
            let run = Program::of(&depot, context.path())
                .load("acme/builder:1", &daemon.docker_host())
                .run()
                .await;
            run.expect(
                4,
                &[
                    "connecting again (1 of 2)",
                    "connecting again (2 of 2)",
                    "failed to load the image",
                    "from the builder was interrupted",
                ],
            );
            assert_eq!(daemon.image("acme/builder:1").await.unwrap(), None);
            let state = depot.record().last_build().unwrap().state.clone();
            assert!(matches!(state, BuildState::Failed(_)), "{state:?}");
            repeated = Some(depot);
        }
    });
}

#[test]
fn a_builder_that_has_lost_the_layers_exports_the_image() {
    with_place(async |place| {
        // An engine of its own, because its builds are removed.
        let engine = Engine::start(&EngineOptions::of_this_machine())
            .await
            .unwrap();
        let engine = Arc::new(engine);
        for release in Release::ALL {
            let daemon = place.daemon(release).await;
            let depot = local_depot::LocalDepot::start(engine.clone(), Scenario::default())
                .await
                .unwrap();
            let hold = Hold::at("/images/load");
            let plan = DoorPlan {
                hold: Some(hold.clone()),
                ..DoorPlan::default()
            };
            let door = daemon.door(plan).await.unwrap();
            let label = format!("lost-{release:?}").to_lowercase();
            let image = format!("acme/{label}:1");
            let context = layers(&[("one", noise(&label, LARGE)), ("two", noise("two", 1000))]);
            let running = Program::of(&depot, context.path())
                .load(&image, &door.docker_host())
                .start();
            hold.reached().await;
            engine.forget_image(&image).await.unwrap();
            engine.forget_builds().await.unwrap();
            hold.let_go();
            let run = running.end().await;
            run.expect(
                0,
                &["; exporting the image from the builder", "built and loaded"],
            );
            let found = daemon.image(&image).await.unwrap().unwrap();
            assert_eq!(found.root_fs.layers.len(), 2);
        }
    });
}

#[test]
fn a_builder_that_is_lost_once_during_a_layer_is_replaced() {
    let lose: [Lose; 2] = [Machine::cut, Machine::freeze];
    with_place(async |place| {
        for lose in lose {
            lost_once(place, lose).await;
        }
    });
}

async fn lost_once(place: &Place, lose: Lose) {
    let daemon = place.daemon(Release::Docker26).await;
    let fork = Scenario::default().machines(MachinePlan::default().fork());
    let depot = place.depot(fork).await;
    let door = daemon.door(slow()).await.unwrap();
    let context = layers(&[("large", noise("once", LARGE))]);
    let mut running = Program::of(&depot, context.path())
        .load("acme/once:1", &door.docker_host())
        .start();
    running.until("sending 1 (33").await;
    lose(depot.machine(Architecture::Amd64));
    let run = running.end().await;
    run.expect(0, &["connecting again (1 of 2)", "built and loaded"]);
    assert!(daemon.image("acme/once:1").await.unwrap().is_some());
    daemon.remove("acme/once:1").await.unwrap();
    // The leases of both solves are deleted over the remaining connection.
    let record = depot.record();
    assert_eq!(record.leases, Vec::<String>::new());
    assert_eq!(record.deleted_leases.len(), 2);
}

#[test]
fn the_image_loaded_after_a_disconnect_is_the_pushed_one() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let depot = place.depot(Scenario::default()).await;
        let door = daemon.door(slow()).await.unwrap();
        let image = place.image("same-after-cut");
        // Each build creates a different image.
        let context = place.busybox_context("RUN head -c 33554432 /dev/urandom > /random");
        let mut running = Program::of(&depot, context.path())
            .push(&image, &place.registry)
            .load(&image, &door.docker_host())
            .set("NO_CACHE", "true")
            .start();
        running.until("layers already exist, sending").await;
        depot.machine(Architecture::Amd64).cut();
        let run = running.end().await;
        run.expect(
            0,
            &["connecting again (1 of 2)", "built, pushed and loaded"],
        );
        let loaded = daemon.image(&image).await.unwrap().unwrap();
        assert_eq!(
            image_id(&place.registry, "same-after-cut", "test").await,
            loaded.id
        );
    });
}

#[test]
fn an_image_that_was_pushed_before_its_builder_was_lost_is_reported() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let depot = place.depot(Scenario::default()).await;
        let door = daemon.door(slow()).await.unwrap();
        let image = place.image("pushed-and-gone");
        let context = layers(&[("large", noise("gone for good", LARGE))]);
        let mut running = Program::of(&depot, context.path())
            .push(&image, &place.registry)
            .load(&image, &door.docker_host())
            .start();
        running.until("sending 1 (33").await;
        depot.machine(Architecture::Amd64).die();
        let run = running.end().await;
        run.expect(
            4,
            &[
                "connecting again (1 of 2)",
                "connecting again (2 of 2)",
                "the image could not be exported again: the builder at ",
                &format!("ERROR: pushed: {image}; not loaded: {image}"),
            ],
        );
        let state = depot.record().last_build().unwrap().state.clone();
        assert!(matches!(state, BuildState::Failed(_)), "{state:?}");
        assert_eq!(daemon.image(&image).await.unwrap(), None);
    });
}
