//! Machines that start late, have unusual certificates, or are canceled.

use std::time::Duration;

use depot_ground::fixtures::Context;
use local_depot::{
    BuildState, Compressor, ConnectionState, MachinePlan, Method, Scenario, Security,
};

use crate::cli::{HERE, Trial};
use crate::ground::ground;

#[tokio::test]
async fn a_pending_machine_is_requested_again() {
    let Some(ground) = ground().await else { return };
    let wait = Duration::from_millis(200);
    let trial = Trial::start(
        ground,
        Scenario::default().machines(MachinePlan::default().pending(3, wait)),
    )
    .await;

    let ran = trial
        .build(
            &Context::new("FROM scratch\nCOPY Dockerfile /\n").unwrap(),
            &[],
        )
        .await;

    ran.exits(0).finishes(&BuildState::Succeeded);
    let polls: Vec<_> = ran
        .record
        .calls_of(Method::GetBuildKitConnection)
        .map(|call| call.at)
        .collect();
    assert_eq!(polls.len(), 4, "{ran:#?}");
    let pauses: Vec<_> = polls
        .iter()
        .zip(polls.iter().skip(1))
        .map(|(poll, next)| next.saturating_sub(*poll))
        .collect();
    assert!(pauses.iter().all(|pause| *pause >= wait), "{pauses:?}");
    trial.stand_in.check().unwrap();
}

#[tokio::test]
async fn a_build_that_the_server_cancels_is_finished_as_canceled() {
    let Some(ground) = ground().await else { return };
    // The CLI sends the first report before it has a connection, and would ignore a cancel then.
    let trial = Trial::start(ground, Scenario::default().cancel_at_health_report(2)).await;
    let context = Context::on_busybox(&ground.busybox, "RUN sleep 100").unwrap();

    let ran = trial.build(&context, &[]).await;

    ran.exits(1).finishes(&BuildState::Canceled);
    // It closes its connection to the machine. Its message depends on the call that fails first.
    let told = [
        "build canceled",
        "Canceled: grpc: the client connection is closing",
    ];
    assert!(
        told.iter().any(|told| ran.stderr.contains(told)),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.build().health, [HERE; 2]);
    trial.stand_in.check().unwrap();
}

#[tokio::test]
async fn a_machine_with_the_certificate_of_its_authority_is_trusted() {
    let Some(ground) = ground().await else { return };
    let plan = MachinePlan::default().security(Security::AuthorityItself);
    let trial = Trial::start(ground, Scenario::default().machines(plan)).await;

    let ran = trial
        .build(
            &Context::new("FROM scratch\nCOPY Dockerfile /\n").unwrap(),
            &[],
        )
        .await;

    ran.exits(0).finishes(&BuildState::Succeeded);
    trial.stand_in.check().unwrap();
}

#[tokio::test]
async fn messages_may_be_compressed() {
    let Some(ground) = ground().await else { return };
    let plan = MachinePlan::default().compressor(Compressor::Gzip);
    let trial = Trial::start(ground, Scenario::default().machines(plan)).await;
    let context = Context::new("FROM scratch\nCOPY zeros /\n").unwrap();
    context.file("zeros", vec![0; 4 << 20]).unwrap();

    let ran = trial.build(&context, &["--no-cache"]).await;

    ran.exits(0).finishes(&BuildState::Succeeded);
    let sent: u64 = ran
        .record
        .connections
        .iter()
        .map(|connection| connection.received.get())
        .sum();
    assert!(sent < 1 << 20, "4 MiB of zeros took {sent} bytes");
    trial.stand_in.check().unwrap();
}

#[tokio::test]
async fn a_connection_to_a_starting_machine_is_retried() {
    let Some(ground) = ground().await else { return };
    let plan = MachinePlan::default().resets_first(2);
    let trial = Trial::start(ground, Scenario::default().machines(plan)).await;

    let ran = trial
        .build(
            &Context::new("FROM scratch\nCOPY Dockerfile /\n").unwrap(),
            &[],
        )
        .await;

    ran.exits(0).finishes(&BuildState::Succeeded);
    let states: Vec<_> = ran
        .record
        .connections
        .iter()
        .map(|connection| &connection.state)
        .collect();
    assert!(
        states.starts_with(&[&ConnectionState::Cut; 2]) && states.len() > 2,
        "{states:?}"
    );
    trial.stand_in.check().unwrap();
}
