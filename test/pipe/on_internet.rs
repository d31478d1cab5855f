//! Shared parts of tests with real names of registries. The names resolve to real registries on this machine; see
//! `depot_ground::internet`.

use std::path::Path;

use depot_ground::engine::state_folder;
use depot_ground::internet::Internet;
use depot_ground::registry::Registry;
use local_depot::LocalDepot;

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
