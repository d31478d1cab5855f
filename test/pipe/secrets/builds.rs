//! Builds that succeed, fail, and are stopped.

use depot_ground::daemon::{DoorPlan, Release};
use depot_ground::traffic::HttpDoor;
use local_depot::{MachinePlan, Scenario};

use super::forms::lines_with_parts;
use super::scene::{Scene, piece};
use crate::loading::noise;
use crate::place::with_place;
use crate::program::Program;

/// Secrets, and where each run with a machine must show them. This proves that the traffic was recorded.
const TOKENS: [(&str, &str); 3] = [
    ("DEPOT_TOKEN", "api"),
    ("the build's token", "api"),
    ("a machine's key", "api"),
];

#[test]
fn a_build_that_is_pushed_saved_and_loaded_reveals_no_secret() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let mut scene = Scene::start(place, internet).await;
        scene.change(
            "DOCKERHUB_TOKEN",
            place.docker_hub(internet).await.owner().password(),
        );
        let plan = DoorPlan {
            traffic: Some(scene.traffic.clone()),
            ..DoorPlan::default()
        };
        let daemon = place.daemon(Release::Docker26).await;
        let door = daemon.door(plan).await.unwrap();
        let depot = place.depot(scene.scenario()).await;
        let hosts = [&scene.tokens, &scene.listed, &scene.configured].map(HttpDoor::host);
        let names = hosts.map(|host| format!("{host}/app:1")).join(" ");
        let run = scene
            .program(&depot)
            .await
            .set(
                "DOCKERHUB_USERNAME",
                place.docker_hub(internet).await.owner().username(),
            )
            .set("IMAGE", format!("{names} acme/secrets:1"))
            .set("PUSH", "true")
            .set("SAVE", "true")
            .set("IID_FILE", "image-id")
            .set("LOAD", "true")
            .set("DOCKER_HOST", door.docker_host())
            .run()
            .await;
        run.expect(0, &["built, pushed, saved and loaded"]);
        let inspected = format!("{:?}", daemon.image("acme/secrets:1").await.unwrap());
        let others = vec![piece("inspected", "", inspected.into_bytes())];
        let seen = [
            ("DOCKERHUB_TOKEN", "hub"),
            ("HTTPS_PROXY", "proxy"),
            ("REGISTRY_PASSWORD", "tokens"),
            ("a registry's token", "builder"),
            ("a registry's token", "tokens"),
            ("REGISTRIES", "listed"),
            ("REGISTRIES", "builder"),
            ("DOCKER_CONFIG", "configured"),
            ("DOCKER_CONFIG, in the address of a proxy", "builder"),
            ("the login of Depot's registry", "kept"),
            ("BUILD_CONTEXTS", "builder"),
            ("BUILD_ARGS", "builder"),
        ];
        scene.check_with(&run, others, &[&TOKENS[..], &seen].concat());
        depot.check().unwrap();
    });
}

#[test]
fn a_failed_step_that_prints_secrets_reveals_none() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let mut scene = Scene::start(place, internet).await;
        // A secret in a build argument, where it should not be.
        let word = scene.secret("REGISTRY_PASSWORD").to_owned();
        scene.steps(
            place,
            "ARG SECRET\nRUN --mount=type=ssh,required=true test -S \"$SSH_AUTH_SOCK\" && echo \"$SECRET\"; echo \"$SECRET\" >&2; echo \"me:$SECRET\" | base64 -w 0; env | grep -i proxy; exit 3",
        );
        let depot = place.depot(scene.scenario()).await;
        let program = scene.program(&depot).await;
        let run = program
            .set("BUILD_ARGS", format!("SECRET={word}"))
            .run()
            .await;
        run.expect(1, &["exit code: 3", "***"]);
        scene.allow_in_builder("REGISTRY_PASSWORD");
        scene.allow_in_builder("DOCKER_CONFIG, in the address of a proxy");
        scene.check(&run, &TOKENS);
    });
}

/// Steps that mount every secret: by the ids of the scene, and the header that is derived from the token.
const MOUNTS: &str = "RUN --mount=type=secret,id=token --mount=type=secret,id=key \
     --mount=type=secret,id=GIT_AUTH_TOKEN --mount=type=secret,id=GIT_AUTH_HEADER.bitbucket.org";

#[test]
fn the_secrets_of_a_step_are_not_in_the_image_its_history_or_its_provenance() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let mut scene = Scene::start(place, internet).await;
        scene.steps(
            place,
            &format!("{MOUNTS} cat /run/secrets/* | wc -c > /size\nCOPY . /context\n"),
        );
        let depot = place.depot(scene.scenario()).await;
        let names = [&scene.tokens, &scene.listed].map(|door| format!("{}/app:1", door.host()));
        let program = scene.program(&depot).await;
        let run = program
            .set("IMAGE", names.join(" "))
            .set("PUSH", "true")
            .run()
            .await;
        run.expect(0, &["built and pushed"]);
        let seen = ["SECRETS", "SECRET_FILES", "GIT_AUTH_TOKEN"].map(|name| (name, "builder"));
        scene.check_with(&run, Vec::new(), &[&TOKENS[..], &seen].concat());
        depot.check().unwrap();
    });
}

#[test]
fn a_step_that_prints_its_secrets_reveals_none_outside_of_the_builder() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let mut scene = Scene::start(place, internet).await;
        scene.steps(
            place,
            &format!(
                "{MOUNTS} cd /run/secrets; cat *; cat * >&2; base64 -w 0 *; base64 *; xxd token; sed -n 2p key; \\\n\
                 \x20 echo \"failed with $(cat token)\" >&2; exit 3"
            ),
        );
        let depot = place.depot(scene.scenario()).await;
        let run = scene.program(&depot).await.run().await;
        run.expect(1, &["exit code: 3", "***"]);
        for name in ["SECRETS", "SECRET_FILES", "GIT_AUTH_TOKEN"] {
            scene.allow_in_builder(name);
        }
        scene.check(&run, &TOKENS);
        let record = depot.record();
        let build = format!("{:?}", record.last_build().unwrap());
        assert!(build.contains("exit code: 3"), "{build}");
        for name in ["SECRETS", "SECRET_FILES", "GIT_AUTH_TOKEN"] {
            assert!(!build.contains(scene.secret(name)), "{name}: {build}");
        }
    });
}

#[test]
fn a_signal_and_a_timeout_reveal_no_secret() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let mut scene = Scene::start(place, internet).await;
        scene.steps(
            place,
            "ARG WORD\nRUN echo waiting for the signal; sleep 600",
        );
        let depot = place.depot(scene.scenario()).await;
        let mut running = scene.program(&depot).await.start();
        running.until(" waiting for the signal").await;
        let arguments = running.arguments();
        running.signal("TERM").await;
        let run = running.end().await;
        run.expect(143, &[]);
        scene.check_with(&run, vec![piece("arguments", "", arguments)], &TOKENS);

        // Builds of one Depot share the planted token.
        let depot = place.depot(scene.scenario()).await;
        let run = scene.program(&depot).await.set("TIMEOUT", "2s").run().await;
        run.expect(124, &[]);
        scene.check(&run, &TOKENS);
    });
}

#[test]
fn a_builder_that_disconnects_reveals_no_secret() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let mut scene = Scene::start(place, internet).await;
        // Larger than the number of bytes until a cut, for any number of connections.
        scene.file("file", noise("secrets", 2 << 20));
        let plan = MachinePlan::default().recorded(&scene.traffic);
        let plan = plan.cut_after_bytes(1 << 20);
        let depot = place.depot(scene.scenario().machines(plan)).await;
        let run = scene.program(&depot).await.run().await;
        run.expect(4, &[]);
        scene.check(&run, &TOKENS);
    });
}

#[test]
fn a_secret_build_argument_is_masked_in_names_of_steps_and_causes_a_warning() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context(
            "ARG NPM_TOKEN\nARG DB_PASSWORD\nARG AUTH\nRUN echo login ${NPM_TOKEN} && echo $DB_PASSWORD ${AUTH}\n\
             RUN echo \"${DB_PASSWORD}\" is wrong; exit 3",
        );
        let run = Program::of(&depot, context.path())
            .set(
                "BUILD_ARGS",
                "NPM_TOKEN=npm-planted+one\nDB_PASSWORD\nAUTH=true\nDEBUG_LEVEL=1",
            )
            .set("DB_PASSWORD", "db-planted/two")
            .run()
            .await;
        run.expect(
            1,
            &[
                "BUILD_ARGS: `NPM_TOKEN`, `DB_PASSWORD` look like secrets",
                "RUN echo login ***",
                "true",
            ],
        )
        .without("planted");
        let record = depot.record();
        let build = format!("{:?}", record.last_build().unwrap());
        assert!(!build.contains("planted"), "{build}");
    });
}

#[test]
fn a_step_that_prints_secrets_in_lines_reveals_none() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let mut scene = Scene::start(place, internet).await;
        let word = scene.secret("REGISTRY_PASSWORD").to_owned();
        scene.steps(
            place,
            "ARG WRONG\n\
             RUN printf 'some words before it, and me:%s' \"$WRONG\" > /s; base64 /s; base64 /s | sed 's/$/\\r/'; \
                 hexdump -C /s; od -t x1 /s; od -x /s; xxd /s; xxd -p /s; exit 3",
        );
        let depot = place.depot(scene.scenario()).await;
        let program = scene.program(&depot).await;
        let run = program
            .set("BUILD_ARGS", format!("WRONG={word}"))
            .run()
            .await;
        run.expect(1, &["exit code: 3", "***"]);
        scene.allow_in_builder("REGISTRY_PASSWORD");
        scene.check(&run, &TOKENS);
        let shown = lines_with_parts(word.as_bytes(), &run.log);
        assert_eq!(shown, Vec::<String>::new(), "{}", run.log);
    });
}
