//! Registries that need no secret of their own: Bitbucket Packages and Depot's registries.

use std::collections::BTreeSet;

use depot_ground::engine::state_folder;
use depot_ground::fixtures::Context;
use depot_ground::internet::{Internet, Planned, RegistryFault};
use depot_ground::registry::{Login, Registry};
use http::Method;
use local_depot::{LocalDepot, Scenario};

use super::on_internet::{assert_only_user, program, registry, silent};
use super::place::{Place, small_context, with_place};
use super::program::{Program, Run};

const PACKAGES: &str = "crg.apkg.io";

/// Bitbucket Packages, and the program with the login that Bitbucket sets.
fn with_packages(program: Program, registry: &Registry) -> Program {
    program
        .set("BITBUCKET_PACKAGES_USERNAME", registry.username())
        .set("BITBUCKET_PACKAGES_TOKEN", registry.password())
}

/// A registry at these hosts with the login of Depot's registries.
async fn depots(depot: &LocalDepot, internet: &Internet, hosts: &[&str]) -> Registry {
    let login = Login::of("x-token", depot.token());
    let registry = Registry::start_for(&state_folder(), login).await.unwrap();
    for host in hosts {
        internet.route(host, &registry.host());
    }
    registry
}

#[test]
fn bitbucket_packages_needs_no_secret() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let packages = place.packages(internet).await;
        an_image_is_pushed_with_the_login_of_the_step(place, internet, packages).await;
        other_builds_do_not_mention_it(place, internet, packages).await;
        a_login_of_the_user_replaces_that_of_bitbucket(place, internet, packages).await;
        let hint = "hint: `crg.apkg.io` has no such package in this workspace, and does not create it on a push: create it";
        let run = unknown(place, internet, PACKAGES, packages).await;
        run.expect(5, &["404", hint]);
    });
}

async fn an_image_is_pushed_with_the_login_of_the_step(
    place: &Place,
    internet: &Internet,
    packages: &Registry,
) {
    let context = small_context();
    for platforms in ["linux/amd64", "linux/amd64,linux/arm64"] {
        let depot = place.depot_of_two(Scenario::default()).await;
        let program = program(&depot, internet, context.path());
        let run = with_packages(program, packages)
            .set("IMAGE", "crg.apkg.io/acme/packaged")
            .set("TAGS", "{branch}")
            .set("BITBUCKET_BRANCH", "feature/x")
            .set("PLATFORMS", platforms)
            .run()
            .await;
        run.expect(0, &["crg.apkg.io/acme/packaged:feature-x@sha256:"]);
        silent(&run, &[packages]);
    }
    assert_eq!(packages.tags("acme/packaged").await.unwrap(), ["feature-x"]);
    assert_only_user(internet, PACKAGES, packages.username());
}

async fn other_builds_do_not_mention_it(place: &Place, internet: &Internet, packages: &Registry) {
    let context = small_context();
    // Half of the login is no fault in these.
    let depot = place.depot(Scenario::default()).await;
    let other = with_packages(Program::of(&depot, context.path()), packages);
    let run = other.run().await;
    run.expect(0, &[]).without("PACKAGES").without(PACKAGES);
    let half = Program::of(&depot, context.path()).set("BITBUCKET_PACKAGES_USERNAME", "me");
    half.run().await.expect(0, &[]).without("PACKAGES");
    let half = program(&depot, internet, context.path())
        .set("IMAGE", "crg.apkg.io/acme/packaged:1")
        .set("BITBUCKET_PACKAGES_USERNAME", "me");
    half.run().await.expect(
        2,
        &["BITBUCKET_PACKAGES_TOKEN: not set, but BITBUCKET_PACKAGES_USERNAME is set"],
    );
}

async fn a_login_of_the_user_replaces_that_of_bitbucket(
    place: &Place,
    internet: &Internet,
    packages: &Registry,
) {
    let depot = place.depot(Scenario::default()).await;
    let context = small_context();
    let run = program(&depot, internet, context.path())
        .set("IMAGE", "crg.apkg.io/acme/own:1")
        .set("BITBUCKET_PACKAGES_USERNAME", "of-bitbucket")
        .set("BITBUCKET_PACKAGES_TOKEN", "wrong-token-of-bitbucket")
        .set("REGISTRY", PACKAGES)
        .set("REGISTRY_USERNAME", packages.username())
        .set("REGISTRY_PASSWORD", packages.password())
        .run()
        .await;
    run.expect(0, &[]).without("WARNING");
    assert_eq!(packages.tags("acme/own").await.unwrap(), ["1"]);
}

/// A push to a registry that has no such repository.
async fn unknown(place: &Place, internet: &Internet, host: &str, registry: &Registry) -> Run {
    let json = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"'missing' does not exist in this workspace"}]}"#;
    internet.plan(Planned {
        host: host.to_owned(),
        method: Method::POST,
        path_part: "/missing/",
        times: 100,
        fault: RegistryFault::Refuse(404, json),
    });
    let depot = place.depot(Scenario::default()).await;
    let context = small_context();
    let image = format!("{host}/acme/missing:1");
    let logins = format!(
        "- {{registry: {host}, username: '{}', password: '{}'}}",
        registry.username(),
        registry.password()
    );
    program(&depot, internet, context.path())
        .set("IMAGE", image)
        .set("REGISTRIES", logins)
        .run()
        .await
}

#[test]
fn a_missing_repository_gets_a_hint() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "unknown-names.example.com";
        let registry = registry(internet, host).await;
        let hint = "hint: `unknown-names.example.com` has no such repository, or does not show it to this login";
        let run = unknown(place, internet, host, &registry).await;
        run.expect(5, &["404", hint]);
    });
}

#[test]
fn depots_registries_get_the_token_of_the_run() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let depot = place.depot(Scenario::default()).await;
        let hosts = ["acme12345.registry.depot.dev", "a.b.registry.depot.dev"];
        let registry = depots(&depot, internet, &hosts).await;
        let context = small_context();
        for host in hosts {
            let run = program(&depot, internet, context.path())
                .set("IMAGE", format!("{host}/project:base"))
                .run()
                .await;
            run.expect(0, &["pushed"])
                .without(depot.token())
                .without("WARNING");
            // Another build has it as its base image.
            let lines = format!("FROM {host}/project:base\nCOPY file /other\n");
            let based = Context::new(&lines).unwrap();
            based.file("file", "content\n").unwrap();
            let run = Program::of(&depot, based.path())
                .on(internet)
                .set("NO_CACHE", "true")
                .set("PULL", "true")
                .run()
                .await;
            run.expect(0, &["built"]).without(depot.token());
            assert_only_user(internet, host, "x-token");
        }
        registry.manifest("project", "base").await.unwrap();
    });
}

#[test]
fn no_other_registry_gets_the_token_of_depot() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let hosts = [
            "depot.dev",
            "evilregistry.depot.dev",
            "registry.depot.dev.example.com",
        ];
        for host in hosts {
            // It would accept the token.
            let depot = place.depot(Scenario::default()).await;
            let _registry = depots(&depot, internet, &[host]).await;
            let context = small_context();
            let run = program(&depot, internet, context.path())
                .set("IMAGE", format!("{host}/project:1"))
                .run()
                .await;
            run.expect(5, &["hint: set REGISTRY: "])
                .without(depot.token());
            let seen = internet.seen(host).into_iter();
            let users: BTreeSet<String> = seen.filter_map(|seen| seen.user).collect();
            assert!(users.is_empty(), "{host}: {users:?}");
        }
    });
}

#[test]
fn a_rejected_token_of_depots_registry_has_a_hint() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "other12345.registry.depot.dev";
        let _registry = registry(internet, host).await;
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = program(&depot, internet, context.path())
            .set("IMAGE", format!("{host}/project:1"))
            .run()
            .await;
        run.expect(
            5,
            &["hint: check DEPOT_TOKEN: it must belong to the project or the organization"],
        );
    });
}
