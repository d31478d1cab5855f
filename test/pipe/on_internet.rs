//! What tests of registries with real names have in common. The names lead to real registries on this machine; see the
//! stand-in's `internet`.

use std::path::Path;

use depot_ground::engine::state_folder;
use depot_ground::internet::Internet;
use depot_ground::registry::Registry;
use local_depot::LocalDepot;

use super::program::{Program, Run};

/// A registry with user and password, which `host` leads to from now on.
pub async fn registry(internet: &Internet, host: &str) -> Registry {
    let registry = Registry::start(&state_folder()).await.unwrap();
    internet.route(host, &registry.host());
    registry
}

/// The program, on the internet, with the least there is to build.
pub fn program(depot: &LocalDepot, internet: &Internet, directory: &Path) -> Program {
    Program::of(depot, directory)
        .on(internet)
        .set("PUSH", "true")
}

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

/// No password of any of these is in the log.
pub fn silent(run: &Run, registries: &[&Registry]) {
    for registry in registries {
        run.without(registry.password());
    }
}
