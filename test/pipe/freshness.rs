//! The parts of a build that do not come from the cache, and the time of the image.

use std::fs;

use depot_ground::fixtures::{BUSYBOX_BASE, Context};
use local_depot::Scenario;
use serde_json::Value;
use uuid::Uuid;

use super::place::{small_context, with_place};
use super::steps::{config, program, run, run_on_unusual, unusual_engine};

#[test]
fn only_the_named_stages_run_again() {
    with_place(async |place| {
        let stage = |name: &str| format!("RUN echo \"{name}-$((40 + 2))\"; date > /{name}\n");
        let context = place.busybox_context(&format!(
            "ARG MARK={}\n{}FROM scratch AS busybox\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n\
             RUN /bin/busybox --install -s /bin\n\
             FROM busybox AS First\n{}FROM busybox AS second\n{}FROM scratch\nCOPY --from=first /first /\nCOPY --from=second /second /",
            Uuid::new_v4(),
            stage("base"),
            stage("first"),
            stage("second"),
        ));
        let all = run(place, &context, &[]).await;
        all.expect(0, &["first-42", "second-42"]);
        let again = run(place, &context, &[]).await;
        again
            .expect(0, &[])
            .without("first-42")
            .without("second-42");
        let first = run(place, &context, &[("NO_CACHE_FILTER", "first")]).await;
        first.expect(0, &["first-42"]).without("second-42");
        let both = run(place, &context, &[("NO_CACHE_FILTER", "second, first")]).await;
        both.expect(0, &["first-42", "second-42"]);
    });
}

#[test]
fn a_base_image_is_read_from_its_registry_even_if_the_builder_has_it() {
    with_place(async |place| {
        let engine = unusual_engine().await;
        // No registry listens there.
        let name = "127.0.0.1:1/base:1";
        let base = small_context();
        let host = engine.docker_host().unwrap();
        let loaded = [("IMAGE", name), ("LOAD", "true"), ("DOCKER_HOST", &*host)];
        run_on_unusual(&base, &loaded)
            .await
            .expect(0, &["built and loaded"]);
        let context = Context::new(&format!("FROM {name}\nCOPY Dockerfile /\n")).unwrap();
        run_on_unusual(&context, &[("PULL", "false")])
            .await
            .expect(0, &["built"]);
        run_on_unusual(&context, &[("PULL", "true")])
            .await
            .expect(5, &["127.0.0.1:1/base:1", "connection refused"]);
        // A base image that has moved.
        let base_name = place.image("moved-base");
        let registry = &place.registry;
        for content in ["one", "two"] {
            base.file("file", content).unwrap();
            let depot = place.depot(Scenario::default()).await;
            let pushing = program(&depot, &base, &[]).push(&base_name, registry);
            pushing.run().await.expect(0, &["built and pushed"]);
            let context = Context::new(&format!(
                "FROM {base_name} AS base\n{BUSYBOX_BASE}COPY --from=base /file /copy\nRUN echo \"base $(cat /copy)\"\n"
            ))
            .unwrap();
            fs::copy(place.busybox.path(), context.path().join("busybox")).unwrap();
            let depot = place.depot(Scenario::default()).await;
            let building = program(&depot, &context, &[("PULL", "true")])
                .push(&place.image("of-moved-base"), registry)
                .run()
                .await;
            building.expect(0, &[&format!("base {content}")]);
        }
    });
}

#[test]
fn the_epoch_is_the_time_of_the_image() {
    with_place(async |place| {
        let context =
            place.busybox_context("ARG SOURCE_DATE_EPOCH\nRUN echo \"epoch $SOURCE_DATE_EPOCH\"");
        let image = place.image("of-epoch");
        for (build_args, epoch, time) in [
            ("A=b", "1700000000", "2023-11-14T22:13:20Z"),
            (
                "SOURCE_DATE_EPOCH=1000000000",
                "1000000000",
                "2001-09-09T01:46:40Z",
            ),
        ] {
            let depot = place.depot(Scenario::default()).await;
            let variables = [
                ("SOURCE_DATE_EPOCH", "1700000000"),
                ("BUILD_ARGS", build_args),
                ("NO_CACHE", "true"),
            ];
            let run = program(&depot, &context, &variables).push(&image, &place.registry);
            run.run().await.expect(0, &[&format!("epoch {epoch}")]);
            let config: Value = serde_json::from_str(&config(place, "of-epoch").await).unwrap();
            assert_eq!(config["created"], time);
            let last = config["history"].as_array().unwrap().last().unwrap();
            assert_eq!(last["created"], time);
        }
    });
}
