//! The pipe and the CLI send the same request for the network, host names, limits and privileges of steps.

use std::collections::BTreeMap;

use depot_ground::fixtures::Context;
use depot_ground::traffic::Traffic;
use local_depot::{MachinePlan, Scenario, SolveRequest, solve_requests};
use tokio::process::Command;

use crate::cli::Trial;
use crate::ground::ground;

/// The attributes of the frontend that the variables set.
const ATTRIBUTES: [&str; 7] = [
    "add-hosts",
    "force-network-mode",
    "frontend.caps",
    "image-resolve-mode",
    "no-cache",
    "shm-size",
    "ulimit",
];

const DOCKERFILE: &str = "FROM scratch AS base\nCOPY --from=named Dockerfile /\nFROM base AS last\nCOPY Dockerfile /copy\n";

/// The compared part of the only request of a recording.
fn request(traffic: &Traffic) -> (BTreeMap<String, String>, Vec<String>) {
    let requests = solve_requests(traffic);
    let [request] = &requests[..] else {
        panic!("not one request: {requests:?}");
    };
    let SolveRequest {
        mut attributes,
        entitlements,
        ..
    } = request.clone();
    attributes.retain(|name, _| ATTRIBUTES.contains(&name.as_str()));
    (attributes, entitlements)
}

#[tokio::test]
async fn the_request_for_the_environment_of_steps_is_the_same() {
    let Some(ground) = ground().await else { return };
    let context = Context::new(DOCKERFILE).unwrap();
    let named = format!("named={}", context.path().display());
    for (arguments, variables, count) in [
        (
            &[
                "--build-context",
                &*named,
                "--no-cache-filter",
                "base,last",
                "--pull",
                "--add-host",
                "db.example.com:10.0.0.5",
                "--add-host",
                "six:2001:db8::7",
                "--network",
                "host",
                "--shm-size",
                "1.5g",
                "--ulimit",
                "nofile=1000:2000",
            ][..],
            &[
                ("BUILD_CONTEXTS", "named=."),
                ("NO_CACHE_FILTER", "base, last"),
                ("PULL", "true"),
                ("ADD_HOSTS", "db.example.com:10.0.0.5\nsix=[2001:db8::7]"),
                ("NETWORK", "host"),
                ("SHM_SIZE", "1.5g"),
                ("ULIMITS", "nofile=1000:2000"),
            ][..],
            ATTRIBUTES.len(),
        ),
        (
            &[
                "--build-context",
                &named,
                "--network",
                "none",
                "--allow",
                "network.host",
                "--ulimit",
                "core=0",
            ],
            &[
                ("BUILD_CONTEXTS", "named=."),
                ("NETWORK", "none"),
                ("ALLOW", "network.host"),
                ("ULIMITS", "core=0"),
            ],
            3,
        ),
        (
            &["--build-context", &named, "--network", "default"],
            &[("BUILD_CONTEXTS", "named=."), ("NETWORK", "default")],
            1,
        ),
    ] {
        let recorded = || {
            let traffic = Traffic::default();
            let plan = MachinePlan::default().recorded(&traffic);
            (traffic, Scenario::default().machines(plan))
        };
        let (theirs, scenario) = recorded();
        let trial = Trial::start(ground, scenario).await;
        trial.build(&context, arguments).await.exits(0);

        let (ours, scenario) = recorded();
        let trial = Trial::start(ground, scenario).await;
        let ran = Command::new(env!("CARGO_BIN_EXE_depot-build"))
            .env_clear()
            .env("DEPOT_API_URL", trial.stand_in.api_url())
            .env("DEPOT_TOKEN", &trial.token)
            .env("DEPOT_PROJECT_ID", &trial.project)
            .envs(variables.iter().copied())
            .current_dir(context.path())
            .output();
        let ran = ran.await.unwrap();
        let log = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{log}");

        let (ours, theirs) = (request(&ours), request(&theirs));
        assert_eq!(ours, theirs);
        assert_eq!(ours.0.len(), count, "{ours:?}");
    }
}

#[tokio::test]
async fn values_that_the_cli_rejects_are_rejected() {
    let Some(ground) = ground().await else { return };
    let context = Context::new(DOCKERFILE).unwrap();
    let trial = Trial::start(ground, Scenario::default()).await;
    for (flag, variable, value) in [
        ("--add-host", "ADD_HOSTS", "db"),
        ("--add-host", "ADD_HOSTS", "db:10.0.0.256"),
        ("--add-host", "ADD_HOSTS", ":10.0.0.1"),
        ("--add-host", "ADD_HOSTS", "db:host-gateway"),
        ("--shm-size", "SHM_SIZE", "64mm"),
        ("--shm-size", "SHM_SIZE", "-1"),
        ("--shm-size", "SHM_SIZE", "1.2.3g"),
        ("--ulimit", "ULIMITS", "nofile"),
        ("--ulimit", "ULIMITS", "files=1"),
        ("--ulimit", "ULIMITS", "nofile=2:1"),
        ("--ulimit", "ULIMITS", "nofile=-1:1"),
        ("--ulimit", "ULIMITS", "nofile=1:2:3"),
        ("--ulimit", "ULIMITS", "nofile=many"),
        ("--network", "NETWORK", "bridge"),
        ("--allow", "ALLOW", "device"),
        ("--allow", "ALLOW", "everything"),
    ] {
        let theirs = trial.build(&context, &[flag, value]).await;
        assert_ne!(theirs.code, Some(0), "{flag} {value}: {theirs:#?}");
        let ran = Command::new(env!("CARGO_BIN_EXE_depot-build"))
            .env_clear()
            .env("DEPOT_TOKEN", &trial.token)
            .env("DEPOT_PROJECT_ID", &trial.project)
            .env(variable, value)
            .current_dir(context.path())
            .output();
        let ran = ran.await.unwrap();
        let log = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{variable} {value}: {log}");
        assert!(log.contains(&format!("{variable}: `{value}`")), "{log}");
    }
}
