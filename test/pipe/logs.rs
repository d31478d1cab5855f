//! Whole logs, as a user sees them: everything that the program prints, and its exit code in the last line.
//!
//! Each log is a file in `snapshots/`. `redaction.rs` lists what is replaced in it. CONTRIBUTING.md describes how to
//! review and accept a change.

mod redaction;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use depot_ground::daemon::Release;
use depot_ground::fixtures::Context;
use depot_ground::internet::Internet;
use depot_ground::registry::Registry;
use local_depot::{Architecture, Code, Fault, LocalDepot, Method, Scenario};

use super::on_internet::{list, registry, saving_at};
use super::place::{Place, small_context, with_place};
use super::program::{Program, Run};

/// Compares the log with the snapshot of this name.
#[track_caller]
fn assert_log(name: &str, depot: &LocalDepot, context: &Context, run: &Run) {
    let mut names = vec![
        (context.path().display().to_string(), "[context]"),
        (depot.project_id().to_owned(), "[project]"),
    ];
    let builds = depot.record().builds;
    names.extend(builds.into_iter().map(|build| (build.id, "[build]")));
    let log = redaction::redact(&run.log, &names);
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::assert_snapshot!(name, format!("{log}exit code: {}", run.code));
    });
}

/// A context whose image no other test builds.
fn unique_context() -> Context {
    let context = small_context();
    let unique = context.path().display().to_string();
    context.file("file", unique).unwrap();
    context
}

/// The program without the builder's cache, so that the log does not depend on other tests.
fn program(depot: &LocalDepot, context: &Context) -> Program {
    Program::of(depot, context.path()).set("NO_CACHE", "true")
}

/// Pushes to registries with real names.
fn push(
    program: Program,
    internet: &Internet,
    image: &str,
    logins: &[(&str, &Registry)],
) -> Program {
    program
        .on(internet)
        .set("IMAGE", image)
        .set("PUSH", "true")
        .set("REGISTRIES", list(logins))
}

/// A context with this step, after a base that no other test builds: a builder merges equal steps of concurrent builds.
fn context_with_step(place: &Place, step: &str) -> Context {
    let context = unique_context();
    let busybox = fs::read(place.busybox.path()).unwrap();
    context.file("bin/busybox", busybox).unwrap();
    let busybox = context.path().join("bin/busybox");
    fs::set_permissions(busybox, Permissions::from_mode(0o755)).unwrap();
    let dockerfile =
        format!("FROM scratch\nCOPY . /\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\nRUN {step}\n");
    context.file("Dockerfile", dockerfile).unwrap();
    context
}

/// A step that prints `compiling` and then takes a long time.
const LONG_STEP: &str = "echo compiling; /bin/busybox sleep 600";

#[test]
fn a_build_without_output() {
    with_place(async |place| {
        // Another engine than the tests' own has another BuildKit, which prints other lines.
        let Some(_) = place.internet() else {
            return;
        };
        let depot = place.depot(Scenario::default()).await;
        let context = unique_context();
        let run = program(&depot, &context).run().await;
        assert_log("build", &depot, &context, &run);
    });
}

#[test]
fn a_push_under_two_tags() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "tags.logs.example.com";
        let own = registry(internet, host).await;
        let depot = place.depot(Scenario::default()).await;
        let context = unique_context();
        let image = format!("{host}/acme/app:1.0 {host}/acme/app:latest");
        let program = push(program(&depot, &context), internet, &image, &[(host, &own)]);
        assert_log("push_two_tags", &depot, &context, &program.run().await);
    });
}

#[test]
fn a_push_for_two_platforms() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "platforms.logs.example.com";
        let own = registry(internet, host).await;
        let depot = place.depot_of_two(Scenario::default()).await;
        let context = unique_context();
        let image = format!("{host}/acme/app:1.0");
        let program = push(program(&depot, &context), internet, &image, &[(host, &own)])
            .set("PLATFORMS", "linux/amd64,linux/arm64");
        assert_log("push_two_platforms", &depot, &context, &program.run().await);
    });
}

#[test]
fn a_load() {
    with_place(async |place| {
        let Some(_) = place.internet() else {
            return;
        };
        let daemon = place.daemon(Release::Docker26).await;
        let depot = place.depot(Scenario::default()).await;
        let context = unique_context();
        let program = program(&depot, &context).load("acme/log-of-load:1", &daemon.docker_host());
        assert_log("load", &depot, &context, &program.run().await);
    });
}

#[test]
fn a_push_and_a_load() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "both.logs.example.com";
        let own = registry(internet, host).await;
        let daemon = place.daemon(Release::Docker26).await;
        let depot = place.depot(Scenario::default()).await;
        let context = unique_context();
        let image = format!("{host}/acme/app:1.0");
        let program = program(&depot, &context).load(&image, &daemon.docker_host());
        let program = push(program, internet, &image, &[(host, &own)]);
        assert_log("push_and_load", &depot, &context, &program.run().await);
    });
}

#[test]
fn an_image_saved_at_depot() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "save.logs.example.com";
        let depots = registry(internet, host).await;
        let depot = place.depot(saving_at(host, &depots)).await;
        let context = unique_context();
        let program = program(&depot, &context).on(internet).set("SAVE", "true");
        assert_log("save", &depot, &context, &program.run().await);
    });
}

#[test]
fn a_failed_step() {
    with_place(async |place| {
        let Some(_) = place.internet() else {
            return;
        };
        let depot = place.depot(Scenario::default()).await;
        let step = "echo compiling && echo 'error: no such module' && exit 7";
        let context = context_with_step(place, step);
        let run = program(&depot, &context).run().await;
        assert_log("failed_step", &depot, &context, &run);
    });
}

#[test]
fn a_missing_file_in_copy() {
    with_place(async |place| {
        let Some(_) = place.internet() else {
            return;
        };
        let depot = place.depot(Scenario::default()).await;
        let context = Context::new("FROM scratch\nCOPY app /app\n").unwrap();
        let run = program(&depot, &context).run().await;
        assert_log("missing_file", &depot, &context, &run);
    });
}

#[test]
fn a_missing_directory_in_copy() {
    with_place(async |place| {
        let Some(_) = place.internet() else {
            return;
        };
        let depot = place.depot(Scenario::default()).await;
        let context = Context::new("FROM scratch\nCOPY dist/app /app\n").unwrap();
        let run = program(&depot, &context).run().await;
        assert_log("missing_directory", &depot, &context, &run);
    });
}

#[test]
fn a_refused_token() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let program = program(&depot, &context).set("DEPOT_TOKEN", "a-wrong-token");
        assert_log("refused_token", &depot, &context, &program.run().await);
    });
}

#[test]
fn bad_variables() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = program(&depot, &context)
            .unset("DEPOT_TOKEN")
            .set("IMAGE", "registry.example.com/App:1")
            .set("PUSH", "maybe")
            .set("CONTEXT", "nowhere")
            .set("PLATFORMS", "plan9/pdp11")
            .set("REGISTRY_PASSWORD", "a-password-alone")
            .set("DOCKER_FILE", "Dockerfile.prod")
            .run()
            .await;
        assert_log("bad_variables", &depot, &context, &run);
    });
}

#[test]
fn no_docker_daemon() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let socket = format!("unix://{}/docker.sock", context.path().display());
        let program = program(&depot, &context).load("acme/app:1", &socket);
        assert_log("no_docker_daemon", &depot, &context, &program.run().await);
    });
}

#[test]
fn a_cancel_by_a_signal() {
    with_place(async |place| {
        let Some(_) = place.internet() else {
            return;
        };
        let depot = place.depot(Scenario::default()).await;
        let context = context_with_step(place, LONG_STEP);
        let mut running = program(&depot, &context).start();
        running.until(" compiling\n").await;
        running.signal("TERM").await;
        let run = running.end().await;
        assert_log("canceled_by_signal", &depot, &context, &run);
    });
}

#[test]
fn a_timeout() {
    with_place(async |place| {
        let Some(_) = place.internet() else {
            return;
        };
        let depot = place.depot(Scenario::default()).await;
        let context = context_with_step(place, LONG_STEP);
        // Long enough for a busy machine to reach the step.
        let run = program(&depot, &context).set("TIMEOUT", "12s").run().await;
        assert_log("timeout", &depot, &context, &run);
    });
}

#[test]
fn a_retry_after_a_lost_machine() {
    with_place(async |place| {
        let Some(_) = place.internet() else {
            return;
        };
        let depot = place.depot(Scenario::default()).await;
        let context = context_with_step(place, "echo compiling; /bin/busybox sleep 3");
        let mut running = program(&depot, &context).start();
        running.until(" compiling\n").await;
        depot.machine(Architecture::Amd64).cut();
        let run = running.end().await;
        assert_log("lost_machine", &depot, &context, &run);
    });
}

#[test]
fn a_retry_of_a_call_to_depot() {
    with_place(async |place| {
        let Some(_) = place.internet() else {
            return;
        };
        let busy = Fault::error(Code::Unavailable, "under maintenance");
        let scenario = Scenario::default().first(1, Method::CreateBuild, busy);
        let depot = place.depot(scenario).await;
        let context = unique_context();
        let run = program(&depot, &context).run().await;
        assert_log("retried_call", &depot, &context, &run);
    });
}

#[test]
fn a_refused_push() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "refused.logs.example.com";
        let _refusing = registry(internet, host).await;
        let other = registry(internet, "other.logs.example.com").await;
        let depot = place.depot(Scenario::default()).await;
        let context = unique_context();
        let image = format!("{host}/acme/app:1.0");
        // The login of another registry.
        let logins = [(host, &other)];
        let program = push(program(&depot, &context), internet, &image, &logins);
        assert_log("refused_push", &depot, &context, &program.run().await);
    });
}

#[test]
fn every_snapshot_has_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("test/pipe/snapshots");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".snap") else {
            continue;
        };
        let is_used = include_str!("logs.rs").contains(&format!("assert_log(\"{name}\""));
        assert!(is_used, "no test has the snapshot {name}: remove the file");
    }
}
