//! Several registries in one run, by their real names. Each has its own login, and failures name the registry.

use depot_ground::engine::state_folder;
use depot_ground::registry::{Login, Registry};
use local_depot::{BuildState, Scenario};

use super::on_internet::{assert_only_user, list, program, registry, silent};
use super::place::{small_context, with_place};
use super::program::Program;

#[test]
fn one_build_is_pushed_to_registries_of_three_kinds() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let hub = place.docker_hub(internet).await;
        // Every character of a password is sent.
        let odd = Login::of("robot", "p$A ${B} \"c\" 'd', e:\nsecond line\\");
        let one = Registry::start_for(&state_folder(), odd).await.unwrap();
        internet.route("one.example.com", &one.host());
        let other = registry(internet, "other.example.com").await;
        for platforms in ["linux/amd64", "linux/amd64,linux/arm64"] {
            let depot = place.depot_of_two(Scenario::default()).await;
            let context = small_context();
            let run = program(&depot, internet, context.path())
                .set("IMAGE", "acme/app:1 one.example.com/acme/app:1 one.example.com/app:2 other.example.com/x:1")
                .set("PLATFORMS", platforms)
                .set("DOCKERHUB_USERNAME", hub.owner().username())
                .set("DOCKERHUB_TOKEN", hub.owner().password())
                .set("REGISTRY", "one.example.com")
                .set("REGISTRY_USERNAME", one.username())
                .set("REGISTRY_PASSWORD", one.password())
                .set("REGISTRIES", list(&[("other.example.com", &other)]))
                .run()
                .await;
            run.expect(
                0,
                &[
                    "built and pushed one image as 4 references",
                    "docker.io/acme/app:1@sha256:",
                ],
            );
            silent(&run, &[&one, &other]);
            run.without(hub.owner().password())
                .without("was not needed");
            let digest = hub.manifest("acme/app", "1").await.unwrap().digest;
            for (registry, repository, tag) in [
                (&one, "acme/app", "1"),
                (&one, "app", "2"),
                (&other, "x", "1"),
            ] {
                assert_eq!(
                    registry.manifest(repository, tag).await.unwrap().digest,
                    digest
                );
            }
            depot.check().unwrap();
        }
        // Each registry got only its own user, from the builder and from the pipe. Docker Hub got tokens.
        assert_only_user(internet, "one.example.com", one.username());
        assert_only_user(internet, "other.example.com", other.username());
        let hubs = internet.seen("registry-1.docker.io");
        assert!(
            hubs.iter()
                .all(|seen| seen.scheme.is_empty() || seen.scheme == "Bearer"),
            "{hubs:#?}"
        );
    });
}

#[test]
fn a_registry_that_refuses_is_named_with_what_was_pushed() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let good = registry(internet, "good.example.com").await;
        let bad = registry(internet, "bad.example.com").await;
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let logins = list(&[("good.example.com", &good), ("bad.example.com", &good)]);
        let run = program(&depot, internet, context.path())
            .set("IMAGE", "bad.example.com/app:1 good.example.com/app:1")
            .set("REGISTRIES", logins)
            .run()
            .await;
        run.expect(
            5,
            &[
                "failed to push",
                "pushed: good.example.com/app:1; not pushed: bad.example.com/app:1",
                "hint: check entry 2 of REGISTRIES",
            ],
        );
        silent(&run, &[&good, &bad]);
        assert_eq!(good.tags("app").await.unwrap(), ["1"]);
        let record = depot.record();
        let BuildState::Failed(error) = &record.last_build().unwrap().state else {
            panic!("{record:#?}");
        };
        assert!(error.contains("bad.example.com"), "{error}");
    });
}

#[test]
fn a_login_of_a_docker_configuration_is_used_and_an_unused_login_is_reported() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let registry = &place.registry;
        let auth = base64(&format!("{}:{}", registry.username(), registry.password()));
        let config = serde_json::json!({ "auths": { registry.host(): { "auth": auth } } });
        std::fs::create_dir(context.path().join("docker")).unwrap();
        context
            .file("docker/config.json", config.to_string())
            .unwrap();
        let run = Program::of(&depot, context.path())
            .set("IMAGE", place.image("by-config"))
            .set("PUSH", "true")
            .set("DOCKER_CONFIG", "docker")
            .set("REGISTRY", "typo.example.com")
            .set("REGISTRY_USERNAME", "me")
            .set("REGISTRY_PASSWORD", "hunter2-hunter2")
            .run()
            .await;
        run.expect(
            0,
            &[
                "built and pushed",
                "the login for `typo.example.com` (REGISTRY_PASSWORD) was not needed",
            ],
        )
        .without("hunter2-hunter2");
    });
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}
