//! Daemons that pull with Depot's login, fail, and repeat their requests.

use depot_ground::daemon::{DoorPlan, Release};
use depot_ground::traffic::{HttpDoor, Instead};

use super::refusals::{refusal, repeated};
use super::scene::Scene;
use crate::loading::noise;
use crate::place::with_place;

/// A daemon that cannot pull, and repeats the request in its error.
const NO_PULL: Instead = Instead {
    applies_to: |head| head.uri.path().ends_with("/images/create"),
    answer: |head, body| refusal(500, &repeated(head, body)),
};

#[test]
fn a_daemon_that_pulls_gets_depots_login_and_no_other() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let daemon = place.daemon(Release::Docker26).await;
        for instead in [None, Some(NO_PULL)] {
            let mut scene = Scene::start(place, internet).await;
            // Large enough for a pull.
            let label = if instead.is_none() {
                "pulled"
            } else {
                "not pulled"
            };
            scene.file("file", noise(label, 5 << 20));
            let plan = DoorPlan {
                traffic: instead.is_none().then(|| scene.traffic.clone()),
                ..DoorPlan::default()
            };
            let door = daemon.door(plan).await.unwrap();
            let behind = door.docker_host().replace("tcp://", "");
            let repeating = HttpDoor::open(&scene.traffic, "daemon", instead)
                .await
                .unwrap();
            let repeating = repeating.to(&behind);
            let host = match instead {
                None => door.docker_host(),
                Some(_) => format!("tcp://{}", repeating.host()),
            };
            let mut scenario = scene.scenario();
            scenario.answer.load_using_registry = true;
            let depot = place.depot(scenario).await;
            let program = scene.program(&depot).await;
            let run = program.load("acme/pulled-secretly:1", &host).run().await;
            let told = match instead {
                None => "pulling ",
                Some(_) => "; reading the image from the builder",
            };
            run.expect(0, &["built and loaded", told]);
            scene.allow_answers("daemon");
            let login = "the login of Depot's registry";
            scene.check(&run, &[(login, "kept"), (login, "api"), (login, "daemon")]);
        }
    });
}

#[test]
fn a_daemon_that_fails_gets_no_secret() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let mut scene = Scene::start(place, internet).await;
        scene.file("file", "what this daemon does not have yet\n");
        let daemon = place.daemon(Release::Docker26).await;
        let plan = DoorPlan {
            traffic: Some(scene.traffic.clone()),
            load_answer: Some(
                "{\"errorDetail\":{\"message\":\"no room\"},\"error\":\"no room\"}\n",
            ),
            ..DoorPlan::default()
        };
        let door = daemon.door(plan).await.unwrap();
        let depot = place.depot(scene.scenario()).await;
        let program = scene.program(&depot).await;
        let run = program
            .load("acme/no-room:1", &door.docker_host())
            .run()
            .await;
        run.expect(7, &["no room"]);
        scene.check(
            &run,
            &[("a machine's key", "api"), ("BUILD_ARGS", "builder")],
        );
    });
}
