//! Registries that require another login, or none.

use local_depot::{BuildState, Scenario};

use super::place::{small_context, with_place};
use super::program::Program;

#[test]
fn a_wrong_password_names_the_registry_and_is_not_shown() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .push(&place.image("wrong-password"), &place.registry)
            .set("REGISTRY_PASSWORD", "hunter2-is-wrong")
            .run()
            .await;
        run.expect(5, &[&place.registry.host(), "hint: ", "REGISTRY_PASSWORD"])
            .without("hunter2-is-wrong");
        let record = depot.record();
        let BuildState::Failed(error) = &record.last_build().unwrap().state else {
            panic!("{record:#?}");
        };
        assert!(!error.contains("hunter2-is-wrong"), "{error}");
    });
}

#[test]
fn a_password_goes_to_its_own_host_only() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        // The registry requires a password, but the password belongs to another host.
        let run = Program::of(&depot, context.path())
            .push(&place.image("other-host"), &place.registry)
            .set("REGISTRY", "registry.example.com")
            .run()
            .await;
        run.expect(5, &[&place.registry.host(), "hint: "]);
    });
}

#[test]
fn a_login_without_a_host_is_sent_nowhere() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let program = || {
            Program::of(&depot, context.path())
                .set("REGISTRY", "$REGISTRY")
                .set("REGISTRY_USERNAME", "robot")
                .set("REGISTRY_PASSWORD", "password of a company")
        };
        let run = program()
            .set("IMAGE", "acme/app")
            .set("PUSH", "true")
            .run()
            .await;
        run.expect(
            2,
            &[
                "REGISTRY: not set, though",
                "`docker.io`",
                "DOCKERHUB_TOKEN",
            ],
        )
        .without("password of a company");
        assert!(depot.record().last_build().is_none());

        let run = program().run().await;
        run.expect(
            0,
            &[
                "REGISTRY_USERNAME and REGISTRY_PASSWORD are not used",
                "built",
            ],
        );
    });
}
