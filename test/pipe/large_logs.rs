//! Steps with very large output: it is printed with little memory, and delays nothing else.

use std::sync::Arc;
use std::time::Duration;

use depot_ground::engine::{Engine, EngineOptions};
use depot_ground::fixtures::Context;
use local_depot::{BuildState, LocalDepot, Method, Scenario};
use tokio::sync::OnceCell;

use super::place::with_place;
use super::program::Program;

/// The line that a step prints repeatedly, without its line end.
const LINE: &str = "this line is printed more often than it will ever be read";

/// The memory limit of a run, in KiB. The debug build itself uses 30 MiB.
const MEMORY_LIMIT_KIB: u64 = 80 << 10;

/// A Depot whose builder passes on all output of a step. By default, builders stop at 2 MiB and at 200 KiB/s.
async fn depot() -> LocalDepot {
    static ENGINE: OnceCell<Arc<Engine>> = OnceCell::const_new();
    let start = async || {
        let unlimited = ["BUILDKIT_STEP_LOG_MAX_SIZE", "BUILDKIT_STEP_LOG_MAX_SPEED"];
        let unlimited = unlimited.map(|name| (name, "-1".to_owned()));
        let options = EngineOptions {
            environment: unlimited.into(),
            ..EngineOptions::of_this_machine()
        };
        Arc::new(Engine::start(&options).await.unwrap())
    };
    let engine = ENGINE.get_or_init(start).await.clone();
    LocalDepot::start(engine, Scenario::default())
        .await
        .unwrap()
}

fn program(depot: &LocalDepot, context: &Context) -> Program {
    Program::of(depot, context.path()).set("NO_CACHE", "true")
}

/// Runs a step that prints this many lines, and checks that each of them is passed on.
fn pass_on(lines: usize) {
    with_place(async |place| {
        let depot = depot().await;
        let bytes = lines * (LINE.len() + 1);
        let context = place.busybox_context(&format!("RUN yes '{LINE}' | head -c {bytes}"));
        let mut seen = 0;
        let is_one = |line: &[u8]| line.starts_with(b"#") && line.ends_with(LINE.as_bytes());
        let count = |line: &[u8]| seen += usize::from(is_one(line));
        let ended = program(&depot, &context).start().pass(count).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(seen, lines);
        assert!(ended.peak_kib < MEMORY_LIMIT_KIB, "{ended:?}");
    });
}

#[test]
fn many_lines_are_passed_on_with_little_memory() {
    pass_on(1_500_000);
}

#[test]
#[ignore = "takes minutes; run by hand, with `--ignored`"]
fn a_gigabyte_of_lines_is_passed_on_with_little_memory() {
    pass_on(16_000_000);
}

#[test]
fn one_line_of_50_mb_is_passed_on_with_little_memory() {
    with_place(async |place| {
        let depot = depot().await;
        let context =
            place.busybox_context("RUN head -c 50000000 /dev/zero | tr '\\0' '~'; echo; echo over");
        let mut seen = 0;
        let mut longest = 0;
        let count = |line: &[u8]| {
            seen += line.split(|&byte| byte == b'~').count() - 1;
            longest = longest.max(line.len());
        };
        let ended = program(&depot, &context).start().pass(count).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        // The name of the step contains one. It is printed with its output and among the slowest steps.
        assert_eq!(seen, 50_000_000 + 2);
        assert!(longest < 80 << 10, "{longest}");
        assert!(ended.peak_kib < MEMORY_LIMIT_KIB, "{ended:?}");
    });
}

#[test]
fn a_log_that_is_not_read_for_a_while_does_not_delay_health_reports() {
    with_place(async |place| {
        let depot = depot().await;
        let lines = 400_000;
        let bytes = lines * (LINE.len() + 1);
        let context =
            place.busybox_context(&format!("RUN yes '{LINE}' | head -c {bytes}; sleep 20"));
        let mut running = program(&depot, &context).start();
        running.until(LINE).await;
        let reports = || depot.record().calls_of(Method::ReportBuildHealth).count();
        let before = reports();
        tokio::time::sleep(Duration::from_secs(17)).await;
        // Every five seconds.
        assert!(reports() >= before + 2, "{before} and {}", reports());
        let state = depot.record().last_build().unwrap().state.clone();
        assert_eq!(state, BuildState::Created);
        // The first line was already read.
        let mut seen = 0;
        let ended = running
            .pass(|line| seen += usize::from(line.ends_with(LINE.as_bytes())))
            .await;
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(seen + 2 >= lines, "{seen}");
        assert!(ended.peak_kib < MEMORY_LIMIT_KIB, "{ended:?}");
    });
}
