//! Stops by a signal in each phase, and by Depot.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use depot_ground::fixtures::{BUSYBOX_BASE, Context};
use local_depot::{
    Architecture, BuildState, Fault, LocalDepot, MachinePlan, Method, Port, Scenario,
};

use super::loading::{layers, noise};
use super::machines::slow;
use super::place::{Place, small_context, with_place};
use super::program::{Program, Running};

/// The target is one second; a busy machine is slower than an idle machine.
const STOP_LIMIT: Duration = Duration::from_secs(3);

async fn stop(running: Running, signal: &str, code: i32) -> String {
    let signaled = Instant::now();
    running.signal(signal).await;
    let run = running.end().await;
    run.expect(code, &[]);
    assert!(
        signaled.elapsed() < STOP_LIMIT,
        "took {:?}",
        signaled.elapsed()
    );
    run.log
}

/// The same by SIGTERM, without a reader of the log.
async fn stop_unread(running: Running, code: i32) {
    let signaled = Instant::now();
    running.signal("TERM").await;
    assert_eq!(running.end_unread().await, code);
    assert!(
        signaled.elapsed() < STOP_LIMIT,
        "took {:?}",
        signaled.elapsed()
    );
}

/// Whether a process on this machine, including those of build steps, runs this command.
fn runs(command: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.flatten().any(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        // A zero byte follows each argument.
        String::from_utf8_lossy(&line)
            .replace('\0', " ")
            .contains(command)
    })
}

async fn until_it_runs(command: &str, is_to_run: bool) {
    for _ in 0..400 {
        if runs(command) == is_to_run {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("`{command}` runs: {}", !is_to_run);
}

/// The names in a directory.
fn files(directory: &Path) -> BTreeSet<OsString> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn a_signal_in_a_step_stops_it_and_cancels_the_build_at_depot() {
    with_place(async |place| {
        for (signal, code) in [("TERM", 143), ("INT", 130)] {
            let depot = place.depot(Scenario::default()).await;
            // A command that no other test runs.
            let command = format!("sleep 6{code}.25");
            let context = place.busybox_context(&format!("RUN echo waiting {signal}; {command}"));
            let before = files(context.path());
            let mut running = Program::of(&depot, context.path())
                .set("OUTPUT_FILE", "outputs.env")
                .set("METADATA_FILE", "metadata.json")
                .start();
            running.until(&format!(" waiting {signal}")).await;
            until_it_runs(&command, true).await;
            let log = stop(running, signal, code).await;
            assert!(log.contains(&format!("canceled by SIG{signal}")), "{log}");
            let record = depot.record();
            assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);
            // No step and no file remains.
            until_it_runs(&command, false).await;
            assert_eq!(files(context.path()), before);
        }
    });
}

#[test]
fn a_signal_before_a_machine_is_acquired_finishes_the_build() {
    with_place(async |place| {
        let never = MachinePlan::default().pending(u32::MAX, Duration::from_secs(1));
        let depot = place.depot(Scenario::default().machines(never)).await;
        let context = small_context();
        let mut running = Program::of(&depot, context.path()).start();
        running.until("launching").await;
        stop(running, "TERM", 143).await;
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);
    });
}

#[test]
fn a_signal_while_connecting_finishes_the_build() {
    with_place(async |place| {
        for port in [Port::Closed, Port::Silent] {
            let plan = MachinePlan::default().port(port);
            let depot = place.depot(Scenario::default().machines(plan)).await;
            let context = small_context();
            let mut running = Program::of(&depot, context.path()).start();
            running.until("connecting").await;
            stop(running, "TERM", 143).await;
            let record = depot.record();
            assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);
        }
    });
}

#[test]
fn a_signal_while_the_build_is_being_created_leaves_no_build_behind() {
    with_place(async |place| {
        let slow = Fault::Delay(Duration::from_millis(200));
        let depot = place
            .depot(Scenario::default().first(1, Method::CreateBuild, slow))
            .await;
        let context = small_context();
        let running = Program::of(&depot, context.path()).start();
        depot
            .wait_for("CreateBuild", Duration::from_secs(20), |record| {
                record.calls_of(Method::CreateBuild).count() == 1
            })
            .await
            .unwrap();
        stop(running, "TERM", 143).await;
        let record = depot.record();
        let [build] = &record.builds[..] else {
            panic!("{record:#?}");
        };
        assert_eq!(build.state, BuildState::Canceled);
    });
}

#[test]
fn a_second_signal_stops_immediately_although_depot_does_not_respond() {
    with_place(async |place| {
        for (first, second, code) in [
            ("TERM", "TERM", 143),
            ("INT", "INT", 130),
            ("INT", "TERM", 143),
        ] {
            let depot = place
                .depot(Scenario::default().always(Method::FinishBuild, Fault::Hang))
                .await;
            let message = format!("waiting for {first} and {second}");
            let context = place.busybox_context(&format!("RUN echo {message}; sleep 600"));
            let mut running = Program::of(&depot, context.path()).start();
            running.until(&format!(" {message}")).await;
            running.signal(first).await;
            running.until("second signal").await;
            depot
                .wait_for("FinishBuild", Duration::from_secs(20), |record| {
                    record.calls_of(Method::FinishBuild).count() == 1
                })
                .await
                .unwrap();
            let log = stop(running, second, code).await;
            assert!(log.contains("stopped immediately"), "{log}");
        }
    });
}

#[test]
fn a_signal_while_the_context_is_sent_stops_the_transfer() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default().machines(slow())).await;
        let context = layers(&[("large", noise("stopped", 96 << 20))]);
        let running = Program::of(&depot, context.path()).start();
        depot
            .wait_for("some of the context", Duration::from_secs(30), |record| {
                let mut connections = record.connections.iter();
                connections.any(|connection| connection.received.get() > 8 << 20)
            })
            .await
            .unwrap();
        let log = stop(running, "TERM", 143).await;
        assert!(log.contains("canceled by SIGTERM"), "{log}");
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);
    });
}

#[test]
fn a_signal_is_handled_while_depot_does_not_respond_to_finish_build() {
    with_place(async |place| {
        let depot = place
            .depot(Scenario::default().always(Method::FinishBuild, Fault::Hang))
            .await;
        let context = small_context();
        let running = Program::of(&depot, context.path()).start();
        depot
            .wait_for("FinishBuild", Duration::from_secs(20), |record| {
                record.calls_of(Method::FinishBuild).count() == 1
            })
            .await
            .unwrap();
        let log = stop(running, "TERM", 143).await;
        assert!(log.contains("may show it as running"), "{log}");
    });
}

/// A context whose steps print more than the capacity of the log's queue and its pipe.
///
/// The builder drops output of a step beyond 200 KiB/s, so several steps run in parallel at a lower rate. They end after
/// `rounds` of a tenth of a second.
fn much_output(place: &Place, rounds: u32) -> Context {
    let mut lines = String::new();
    for step in 0..6 {
        let line = "this line is printed more often than it is read";
        let print = format!(
            "for i in $(seq {rounds}); do yes {line} {step} | head -n 250; usleep 100000; done; echo {step} > /done"
        );
        writeln!(lines, "FROM base AS step{step}\nRUN {print}").unwrap();
    }
    lines.push_str("FROM scratch\n");
    for step in 0..6 {
        writeln!(lines, "COPY --from=step{step} /done /{step}").unwrap();
    }
    let context = place.busybox_context("");
    let base = BUSYBOX_BASE.replacen("FROM scratch", "FROM scratch AS base", 1);
    context
        .file("Dockerfile", format!("{base}{lines}"))
        .unwrap();
    context
}

/// Waits until the builders have sent more than the capacity of the log's queue and its pipe.
async fn until_the_log_is_full(depot: &LocalDepot) {
    depot
        .wait_for("the log", Duration::from_mins(1), |record| {
            let mut connections = record.connections.iter();
            connections.any(|connection| connection.sent.get() > 1600 << 10)
        })
        .await
        .unwrap();
}

#[test]
fn an_unread_log_does_not_delay_the_cancel_at_depot() {
    with_place(async |place| {
        let never = MachinePlan::default().pending(u32::MAX, Duration::from_secs(1));
        let pending = Scenario::default().machine(Architecture::Arm64, never);
        for (scenario, platforms) in [
            (Scenario::default(), "linux/amd64"),
            (pending, "linux/amd64,linux/arm64"),
        ] {
            let depot = place.depot(scenario).await;
            let context = much_output(place, 60);
            let running = Program::of(&depot, context.path())
                .set("PLATFORMS", platforms)
                .set("NO_CACHE", "true")
                .start();
            until_the_log_is_full(&depot).await;
            running.signal("TERM").await;
            depot
                .wait_for("the end of the build", STOP_LIMIT, |record| {
                    let build = record.last_build();
                    build.is_some_and(|build| build.state != BuildState::Created)
                })
                .await
                .unwrap();
            running.end().await.expect(143, &[]);
            let record = depot.record();
            assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);
        }
    });
}

#[test]
fn an_unread_log_does_not_delay_the_end_of_the_build_at_depot() {
    with_place(async |place| {
        // A little output waits only in the pipe; a lot of output also waits for room in the queue before it.
        for rounds in [6, 16] {
            let depot = place.depot(Scenario::default()).await;
            let context = much_output(place, rounds);
            let running = Program::of(&depot, context.path())
                .set("NO_CACHE", "true")
                .start();
            depot
                .wait_for("the end of the build", Duration::from_mins(2), |record| {
                    let build = record.last_build();
                    build.is_some_and(|build| build.state == BuildState::Succeeded)
                })
                .await
                .unwrap();
            // The last lines are dropped after a signal.
            stop_unread(running, 143).await;
        }
    });
}

#[test]
fn a_signal_ends_a_program_whose_errors_about_variables_are_not_read() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        // More than the capacity of a pipe.
        let odd: Vec<_> = (0..2000).map(|number| format!("odd?{number}")).collect();
        let mut running = Program::of(&depot, context.path())
            .set("OUTPUT_VARIABLES", odd.join(" "))
            .start();
        running.until("odd?1`").await;
        stop_unread(running, 2).await;
    });
}

#[test]
fn a_build_that_is_created_after_timeout_is_finished() {
    with_place(async |place| {
        let slow = Fault::Delay(Duration::from_secs(4));
        let depot = place
            .depot(Scenario::default().first(1, Method::CreateBuild, slow))
            .await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set("TIMEOUT", "1s")
            .run()
            .await;
        run.expect(124, &["canceled because TIMEOUT was reached"]);
        let record = depot.record();
        let [build] = &record.builds[..] else {
            panic!("{record:#?}");
        };
        assert_eq!(build.state, BuildState::Canceled);
    });
}

#[test]
fn no_build_is_created_after_timeout() {
    with_place(async |place| {
        // TIMEOUT is reached in one of the pauses between the attempts.
        let busy = Fault::Html { status: 503 };
        let depot = place
            .depot(Scenario::default().first(2, Method::CreateBuild, busy))
            .await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set("TIMEOUT", "1s")
            .run()
            .await;
        run.expect(124, &["canceled because TIMEOUT was reached"]);
        let record = depot.record();
        assert!(record.builds.is_empty(), "{record:#?}");
    });
}

#[test]
fn a_cancel_by_depot_ends_the_build() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN echo waiting for depot; sleep 600");
        let mut running = Program::of(&depot, context.path()).start();
        running.until(" waiting for depot").await;
        depot.cancel_builds();
        let run = running.end().await;
        run.expect(6, &["canceled by Depot"]);
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);
    });
}

#[test]
fn a_cancel_by_depot_before_a_machine_is_acquired_is_not_lost() {
    with_place(async |place| {
        let never = MachinePlan::default().pending(u32::MAX, Duration::from_secs(1));
        let scenario = Scenario::default()
            .machines(never)
            .cancel_at_health_report(1);
        let depot = place.depot(scenario).await;
        let context = small_context();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(6, &["canceled by Depot"]);
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);
    });
}

#[test]
fn a_run_that_reaches_timeout_is_canceled() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN echo too long; sleep 600");
        let signaled = Instant::now();
        let run = Program::of(&depot, context.path())
            .set("TIMEOUT", "2s")
            .run()
            .await;
        run.expect(124, &["canceled because TIMEOUT was reached"]);
        assert!(signaled.elapsed() < Duration::from_secs(2) + STOP_LIMIT);
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);

        // Also before a machine is available.
        let never = MachinePlan::default().pending(u32::MAX, Duration::from_secs(1));
        let depot = place.depot(Scenario::default().machines(never)).await;
        let run = Program::of(&depot, context.path())
            .set("TIMEOUT", "1")
            .run()
            .await;
        run.expect(124, &[]);
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);
    });
}
