//! Shared parts of tests with real names of registries. The names resolve to real registries on this machine; see
//! `depot_ground::internet`.

use std::collections::BTreeSet;
use std::path::Path;

use depot_ground::engine::state_folder;
use depot_ground::internet::Internet;
use depot_ground::registry::Registry;
use local_depot::{CreateBuildAnswer, HostCredential, LocalDepot, Scenario};

use super::program::{Program, Run};

/// Starts a registry with user and password, and routes `host` to it.
pub async fn registry(internet: &Internet, host: &str) -> Registry {
    let registry = Registry::start(&state_folder()).await.unwrap();
    internet.route(host, &registry.host());
    registry
}

/// The program on the internet of the tests, with a push.
pub fn program(depot: &LocalDepot, internet: &Internet, directory: &Path) -> Program {
    Program::of(depot, directory)
        .on(internet)
        .set("PUSH", "true")
}

/// A Depot that saves images in this registry, which `host` leads to.
pub fn saving_at(host: &str, registry: &Registry) -> Scenario {
    Scenario::default().answer(CreateBuildAnswer {
        additional_tags: vec![format!("{host}/{{project_id}}:{{build_id}}")],
        additional_credentials: vec![HostCredential {
            host: host.to_owned(),
            username: registry.username().to_owned(),
            password: registry.password().to_owned(),
        }],
        ..CreateBuildAnswer::default()
    })
}

/// Fails the test if a registry got requests with another user, or no request with a user.
pub fn assert_only_user(internet: &Internet, host: &str, user: &str) {
    let seen = internet.seen(host).into_iter();
    let users: BTreeSet<String> = seen.filter_map(|seen| seen.user).collect();
    assert_eq!(users, BTreeSet::from([user.to_owned()]), "{host}");
}

/// The value of `REGISTRIES` with these logins.
pub fn list(logins: &[(&str, &Registry)]) -> String {
    let entries = logins.iter().map(|(host, registry)| {
        let password = registry.password();
        format!(
            "- registry: {host}\n  username: {}\n  password: '{password}'\n",
            registry.username()
        )
    });
    entries.collect()
}

/// Fails the test if the log contains a password of these registries.
pub fn silent(run: &Run, registries: &[&Registry]) {
    for registry in registries {
        run.without(registry.password());
    }
}
