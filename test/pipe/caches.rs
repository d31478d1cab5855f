//! `CACHE_FROM` and `CACHE_TO`: caches outside of the builders, in real registries.
//!
//! The second engine is the cold builder: it builds for AMD64 too, and has none of the steps of the first one.

use std::collections::BTreeSet;

use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::internet::{Planned, RegistryFault};
use depot_ground::registry::Registry;
use http::Method;
use local_depot::{BuildState, LocalDepot, Scenario};
use serde_json::Value;

use super::loading::image_id;
use super::on_internet::{list, registry};
use super::place::{Place, with_place};
use super::program::{Program, Run};

/// The media type of the configuration of a cache.
const CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

/// Two stages of which the image has only the last one. No other test has these steps.
fn two_stages(place: &Place, label: &str) -> Context {
    let context = place.busybox_context("");
    let dockerfile = format!(
        "FROM scratch AS tools\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"touch\", \"/{label}\"]\n\
         FROM tools AS compiled\nRUN [\"/bin/busybox\", \"cp\", \"/bin/busybox\", \"/compiled-{label}\"]\n\
         FROM scratch\nCOPY --from=compiled /compiled-{label} /result\n"
    );
    std::fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
    context
}

/// The program with the login of the registry, on the builder of `machine`, for AMD64.
fn on(place: &Place, depot: &LocalDepot, context: &Context, machine: &str) -> Program {
    Program::of(depot, context.path())
        .set("REGISTRY", place.registry.host())
        .set("REGISTRY_USERNAME", place.registry.username())
        .set("REGISTRY_PASSWORD", place.registry.password())
        .set("PLATFORMS", "linux/amd64")
        .set("BUILD_PLATFORM", machine)
}

/// The number of commands that came from a cache.
fn cached(run: &Run) -> usize {
    let commands = run.log.lines().filter(|line| line.contains("] RUN ["));
    let numbers: BTreeSet<_> = commands.filter_map(|line| line.split(' ').next()).collect();
    let is_cached = |number: &&&str| run.log.contains(&format!("\n{number} CACHED\n"));
    numbers.iter().filter(is_cached).count()
}

/// Changes the last step, so that a cache without the other stages has no result for it.
fn change_last_step(context: &Context) {
    let path = context.path().join("Dockerfile");
    let dockerfile = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, dockerfile.replace(" /result", " /other")).unwrap();
}

/// The media type of the configuration in a cache's manifest, and the media types of its blobs.
async fn cache_types(registry: &Registry, repository: &str, tag: &str) -> (Value, Vec<String>) {
    let manifest = registry
        .manifest(repository, tag)
        .await
        .unwrap()
        .json()
        .unwrap();
    let blobs = manifest["manifests"]
        .as_array()
        .or(manifest["layers"].as_array());
    let types = blobs
        .unwrap()
        .iter()
        .map(|blob| blob["mediaType"].as_str().unwrap().to_owned());
    (manifest["mediaType"].clone(), types.collect())
}

#[test]
fn a_cold_builder_takes_the_steps_from_a_cache_in_a_registry() {
    with_place(async |place| {
        for (mode, expected) in [("max", 2), ("min", 0)] {
            let label = format!("cache-{mode}");
            let context = two_stages(place, &label);
            let reference = place.image(&label);
            let depot = place.depot_of_two(Scenario::default()).await;
            let run = on(place, &depot, &context, "linux/amd64")
                .set(
                    "CACHE_TO",
                    format!("type=registry,ref={reference},mode={mode}"),
                )
                .run()
                .await;
            run.expect(0, &["exporting cache to registry"])
                .without("was not needed");
            assert_eq!(cached(&run), 0, "{}", run.log);
            let (_, types) = cache_types(&place.registry, &label, "test").await;
            assert!(types.iter().any(|kind| kind == CACHE_CONFIG), "{types:?}");
            change_last_step(&context);
            let run = on(place, &depot, &context, "linux/arm64")
                .set("CACHE_FROM", &reference)
                .run()
                .await;
            run.expect(0, &["importing cache manifest from "])
                .without("was not needed");
            run.without(place.registry.password());
            assert_eq!(cached(&run), expected, "{}", run.log);
        }
    });
}

#[test]
fn each_of_two_builders_has_a_cache_of_its_own() {
    with_place(async |place| {
        let context =
            Context::new("FROM scratch\nCOPY file /own-cache\nCOPY Dockerfile /\n").unwrap();
        context.file("file", "of two builders\n").unwrap();
        let reference = place.image("own-cache");
        let depot = place.depot_of_two(Scenario::default()).await;
        let both = |program: Program| {
            program
                .unset("BUILD_PLATFORM")
                .set("PLATFORMS", "linux/amd64, linux/arm64")
        };
        let program = both(on(place, &depot, &context, "")).set(
            "CACHE_TO",
            format!("type=registry,ref={reference},mode=max"),
        );
        let run = program.run().await;
        run.expect(
            0,
            &[
                &format!("the cache of linux/amd64 is exported to {reference}-linux-amd64"),
                &format!("the cache of linux/arm64 is exported to {reference}-linux-arm64"),
            ],
        );
        let tags = place.registry.tags("own-cache").await.unwrap();
        assert_eq!(tags, ["test-linux-amd64", "test-linux-arm64"]);
        // Both read their own. The plain tag does not exist, and is not reported as missing.
        let run = both(on(place, &depot, &context, ""))
            .set("CACHE_FROM", &reference)
            .run()
            .await;
        run.expect(
            0,
            &[
                &format!("importing cache manifest from {reference}-linux-amd64"),
                &format!("importing cache manifest from {reference}-linux-arm64"),
            ],
        );
        run.without("ERROR").without(&format!("{reference}\n"));
        // A build with one builder reads that of its platform.
        let run = on(place, &depot, &context, "linux/amd64")
            .set("CACHE_FROM", &reference)
            .run()
            .await;
        run.expect(
            0,
            &[&format!(
                "importing cache manifest from {reference}-linux-amd64"
            )],
        );
    });
}

#[test]
fn a_cache_in_the_image_itself_is_read_from_its_name() {
    with_place(async |place| {
        for (name, variable, value) in [
            ("inline", "CACHE_TO", "type=inline"),
            ("inline-argument", "BUILD_ARGS", "BUILDKIT_INLINE_CACHE=1"),
        ] {
            let context = two_stages(place, name);
            let image = place.image(name);
            let depot = place.depot_of_two(Scenario::default()).await;
            let run = on(place, &depot, &context, "linux/amd64")
                .push(&image, &place.registry)
                .set(variable, value)
                .run()
                .await;
            run.expect(0, &["built and pushed"]);
            let run = on(place, &depot, &context, "linux/arm64")
                .set("CACHE_FROM", format!("type=registry,ref={image}"))
                .run()
                .await;
            run.expect(0, &["importing cache manifest from "]);
            assert_eq!(cached(&run), 2, "{}", run.log);
            let run = on(place, &depot, &context, "linux/arm64")
                .set(variable, value)
                .run()
                .await;
            run.expect(0, &["has no effect: the cache would be in the image, which is neither pushed nor saved"]);
        }
    });
}

#[test]
fn a_cache_is_exported_once_for_all_rounds_of_a_push() {
    with_place(async |place| {
        let other = Registry::start(&state_folder()).await.unwrap();
        let context = two_stages(place, "rounds");
        let depot = place.depot(Scenario::default()).await;
        let (image, cache) = (place.image("cache-rounds"), place.image("cache-of-rounds"));
        let registries = list(&[
            (&place.registry.host(), &place.registry),
            (&other.host(), &other),
        ]);
        let run = Program::of(&depot, context.path())
            .set("IMAGE", format!("{image} {}/rounds:1", other.host()))
            .set("PUSH", "true")
            .set("REGISTRIES", registries)
            .set("REGISTRY_INSECURE", other.host())
            .set(
                "CACHE_TO",
                format!("type=registry,ref={cache},image-manifest=true\ntype=inline"),
            )
            .run()
            .await;
        run.expect(0, &["built and pushed"]);
        let exports = run.log.lines();
        let exports = exports.filter(|line| line.ends_with(" exporting cache to registry"));
        let steps: BTreeSet<_> = exports.filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(steps.len(), 1, "{}", run.log);
        // The inline cache is part of the configuration, which is the same in both rounds.
        let first = image_id(&place.registry, "cache-rounds", "test").await;
        assert_eq!(first, image_id(&other, "rounds", "1").await);
        let config = place.registry.blob("cache-rounds", &first).await.unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert!(config["moby.buildkit.cache.v0"].is_string(), "{config:#}");
    });
}

#[test]
fn a_cache_that_cannot_be_exported_fails_the_build_unless_its_errors_are_ignored() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "cache.example.com";
        let registry = registry(internet, host).await;
        let context = two_stages(place, "failing-cache");
        let depot = place.depot(Scenario::default()).await;
        let image = place.image("failing-cache");
        let program = |cache: String| {
            Program::of(&depot, context.path())
                .push(&image, &place.registry)
                .on(internet)
                .set("CACHE_TO", cache)
        };
        let run = |cache: String| program(cache).run();
        // No login for that registry.
        let cache = format!("type=registry,ref={host}/app:cache");
        let failed = run(cache.clone()).await;
        failed.expect(
            5,
            &[
                "failed to export the cache to `cache.example.com/app:cache`",
                "hint: add an entry for `cache.example.com` in REGISTRIES",
                "with `ignore-error=true` in its entry of CACHE_TO",
            ],
        );
        let record = depot.record();
        assert!(matches!(
            record.last_build().unwrap().state,
            BuildState::Failed(_)
        ));
        let ignored = run(format!("{cache},ignore-error=true")).await;
        ignored.expect(0, &["built and pushed"]);
        // As Amazon ECR does.
        let logins = list(&[(host, &registry)]);
        internet.plan(Planned {
            host: host.to_owned(),
            method: Method::PUT,
            path_part: "/manifests/cache",
            times: 100,
            fault: RegistryFault::Answer(400, Vec::new()),
        });
        let rejected = program(cache).set("REGISTRIES", logins).run().await;
        let expected = "add `image-manifest=true,oci-mediatypes=true` to its entry of CACHE_TO";
        rejected.expect(5, &["failed to export the cache to", expected]);
        // The image was pushed before.
        rejected.expect(5, &["already pushed: "]);
        // The builder of the tests has no such exporter.
        let unknown =
            run("type=s3,bucket=b,region=r,access_key_id=A,secret_access_key=hunter22".to_owned())
                .await;
        unknown.expect(
            5,
            &[
                "failed to export the cache to `s3://b/`",
                "write `type=registry,ref=REFERENCE` in CACHE_TO",
            ],
        );
        unknown.without("hunter22");
    });
}

#[test]
fn a_missing_cache_does_not_fail_the_build() {
    with_place(async |place| {
        let context = two_stages(place, "missing-cache");
        let depot = place.depot(Scenario::default()).await;
        let run = on(place, &depot, &context, "linux/amd64")
            .set("CACHE_FROM", place.image("missing-cache"))
            .run()
            .await;
        let expected = format!(
            "the cache `{}` does not exist yet",
            place.image("missing-cache")
        );
        run.expect(0, &["built", &expected]).without("ERROR");
    });
}
