//! Machines that start late, cannot prove their identity, or are lost.

use std::time::{Duration, Instant};

use local_depot::{
    Architecture, BuildState, Compressor, Line, Machine, MachinePlan, Method, Port, Record,
    Scenario, Security,
};

use super::loading::{layers, noise};
use super::place::{Lose, Place, small_context, with_place};
use super::program::Program;

#[test]
fn a_machine_that_starts_late_is_awaited() {
    with_place(async |place| {
        let plan = MachinePlan::default()
            .pending(3, Duration::from_millis(60))
            .resets_first(2);
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let context = small_context();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(0, &[]);
        let record = depot.record();
        assert_eq!(record.calls_of(Method::GetBuildKitConnection).count(), 4);
        depot.check().unwrap();
    });
}

#[test]
fn a_machine_that_is_not_registered_at_its_gateway_yet_is_awaited() {
    with_place(async |place| {
        // `unrecognized_name` and `internal_error`.
        for alert in [112, 80] {
            let plan = MachinePlan::default().alerts_first(3, alert);
            let depot = place.depot(Scenario::default().machines(plan)).await;
            let context = small_context();
            let run = Program::of(&depot, context.path()).run().await;
            run.expect(0, &["built"]);
            depot.check().unwrap();
        }
    });
}

#[test]
fn a_machine_that_rejects_the_client_certificate_is_not_awaited() {
    with_place(async |place| {
        // `certificate_unknown`.
        let plan = MachinePlan::default().alerts_first(u32::MAX, 46);
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let context = small_context();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(
            4,
            &["rejected the client certificate", "CertificateUnknown"],
        );
        let record = depot.record();
        let BuildState::Failed(_) = record.last_build().unwrap().state else {
            panic!("{record:#?}");
        };
    });
}

#[test]
fn a_machine_that_does_not_listen_yet_is_awaited() {
    with_place(async |place| {
        let plan = MachinePlan::default().port(Port::Late(Duration::from_secs(3)));
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set("DEBUG", "true")
            .run()
            .await;
        run.expect(0, &["is not ready yet: Connection refused", "built"]);
        depot.check().unwrap();
    });
}

#[test]
fn the_machine_of_the_platform_is_requested() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set("PLATFORMS", "linux/arm64")
            .run()
            .await;
        run.expect(0, &["launching arm64 machine"]);
        let record = depot.record();
        assert_eq!(record.connections_to(Architecture::Arm64).count(), 1);
        assert_eq!(record.connections_to(Architecture::Amd64).count(), 0);
    });
}

#[test]
fn a_machine_may_present_a_certificate_of_its_ca_or_the_ca_certificate_itself() {
    with_place(async |place| {
        for security in [
            Security::Trusted,
            Security::AuthorityItself,
            Security::PlainText,
        ] {
            let plan = MachinePlan::default().security(security);
            let depot = place.depot(Scenario::default().machines(plan)).await;
            let context = small_context();
            let run = Program::of(&depot, context.path()).run().await;
            run.expect(0, &[]);
        }
    });
}

#[test]
fn a_machine_without_a_valid_certificate_gets_nothing() {
    with_place(async |place| {
        for security in [
            Security::WrongAuthority,
            Security::WrongName,
            Security::Expired,
        ] {
            let plan = MachinePlan::default().security(security);
            let depot = place.depot(Scenario::default().machines(plan)).await;
            let context = small_context();
            let run = Program::of(&depot, context.path()).run().await;
            run.expect(4, &["cannot verify that the builder", "machine.depot.test"]);
            let record = depot.record();
            let BuildState::Failed(_) = record.last_build().unwrap().state else {
                panic!("{record:#?}");
            };
        }
    });
}

#[test]
fn a_machine_that_dies_in_a_step_ends_the_build_with_an_error() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN echo waiting to die; sleep 600");
        let mut running = Program::of(&depot, context.path()).start();
        running.until(" waiting to die").await;
        depot.machine(Architecture::Amd64).die();
        let run = running.end().await;
        run.expect(
            4,
            &[
                "machine; connecting again (1 of 2)",
                "machine; connecting again (2 of 2): the builder at ",
                "could not be reached within 20 s",
            ],
        );
        let record = depot.record();
        let BuildState::Failed(_) = record.last_build().unwrap().state else {
            panic!("{record:#?}");
        };
    });
}

#[test]
fn a_machine_that_is_cut_off_while_it_receives_the_context_ends_the_build_with_an_error() {
    with_place(async |place| {
        let plan = MachinePlan::default().cut_after_bytes(1 << 20);
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let context = small_context();
        // Not compressible, and larger than the amount before the cut.
        let noise: Vec<u8> = (0_u32..2 << 20)
            .map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[1])
            .collect();
        context.file("file", noise).unwrap();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(4, &["ERROR"]);
    });
}

#[test]
fn a_machine_that_requires_compression_gets_it() {
    with_place(async |place| {
        let plan = MachinePlan::default().compressor(Compressor::Gzip);
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let context = small_context();
        let plain_bytes = 4 << 20;
        context.file("file", vec![b'a'; plain_bytes]).unwrap();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(0, &[]);
        let record = depot.record();
        let sent = record.connections[0].received.get();
        assert!(sent < plain_bytes as u64 / 2, "{sent} bytes were sent");
    });
}

#[test]
fn a_machine_that_is_cut_off_in_a_step_is_connected_again() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let image = place.image("cut-off");
        let context =
            place.busybox_context("RUN echo waiting for the cut; sleep 2; echo over > /over");
        let mut running = Program::of(&depot, context.path())
            .push(&image, &place.registry)
            .start();
        running.until(" waiting for the cut").await;
        depot.machine(Architecture::Amd64).cut();
        let run = running.end().await;
        run.expect(
            0,
            &[
                "lost the amd64 machine; connecting again (1 of 2)",
                "built and pushed",
            ],
        );
        place.registry.manifest("cut-off", "test").await.unwrap();
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Succeeded);
    });
}

#[test]
fn an_inconsistent_builder_state_repeats_the_build() {
    with_place(async |place| {
        for (times, code) in [(2, 0), (3, 1)] {
            let plan = MachinePlan::default().confused_first(times);
            let depot = place.depot(Scenario::default().machines(plan)).await;
            let context = small_context();
            let run = Program::of(&depot, context.path()).run().await;
            run.expect(code, &["inconsistent graph state"]);
            let warning = "the builder's state is inconsistent; repeating the build";
            assert_eq!(run.log.matches(warning).count(), 2, "{}", run.log);
        }
    });
}

#[test]
fn a_machine_that_goes_silent_in_a_step_is_detected() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context =
            place.busybox_context("RUN echo waiting for silence; sleep 15; echo over > /over");
        let mut running = Program::of(&depot, context.path())
            .set("NO_CACHE", "true")
            .start();
        running.until(" waiting for silence").await;
        let silent = Instant::now();
        depot.machine(Architecture::Amd64).freeze();
        running.until("machine; connecting again").await;
        let missed = silent.elapsed();
        let run = running.end().await;
        run.expect(0, &["(1 of 2): ", "built"]);
        // A busy machine is slower than an idle machine.
        assert!(missed < Duration::from_secs(40), "{missed:?}: {}", run.log);
    });
}

/// A machine that needs three seconds to receive 32 MiB.
pub fn slow() -> MachinePlan {
    MachinePlan::default().line(Line {
        delay: Duration::ZERO,
        bits_per_second: Some(100_000_000),
    })
}

#[test]
fn a_machine_that_is_lost_while_it_receives_the_context_is_connected_again() {
    let lose: [(&str, Lose); 2] = [("cut", Machine::cut), ("silent", Machine::freeze)];
    with_place(async |place| {
        for (label, lose) in lose {
            lost_with_the_context(place, label, lose).await;
        }
    });
}

async fn lost_with_the_context(place: &Place, label: &str, lose: Lose) {
    let depot = place.depot(Scenario::default().machines(slow())).await;
    let context = layers(&[("large", noise(label, 32 << 20))]);
    let running = Program::of(&depot, context.path()).start();
    let begun = |record: &Record| {
        let mut connections = record.connections.iter();
        connections.any(|connection| connection.received.get() > 8 << 20)
    };
    let limit = Duration::from_secs(30);
    depot
        .wait_for("some of the context", limit, begun)
        .await
        .unwrap();
    lose(depot.machine(Architecture::Amd64));
    let run = running.end().await;
    run.expect(0, &["connecting again (1 of 2)", "built"]);
}
