//! Refusals of Depot.

use depot_ground::fixtures::Context;
use local_depot::{Code, Fault, Method, Outcome, Scenario, TokenKind};

use crate::cli::{Ran, Trial};
use crate::ground::ground;

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let Some(ground) = ground().await else { return };
    let mut trial = Trial::start(ground, Scenario::default()).await;
    trial.token = "wrong".to_owned();

    let ran = trial.build(&nothing_special(), &[]).await;

    ran.exits(1).prints("unauthenticated: unauthorized");
    let call = ran.record.calls.first().unwrap();
    assert_eq!(
        (call.method, &call.token),
        (Method::CreateBuild, &TokenKind::Unknown)
    );
    assert_eq!(call.outcome, Some(Outcome::Refused(Code::Unauthenticated)));
    assert_not_built(&ran, &trial);
}

#[tokio::test]
async fn an_unknown_project_is_reported_with_the_existing_projects() {
    let Some(ground) = ground().await else { return };
    let mut trial = Trial::start(ground, Scenario::default()).await;
    trial.project = "unknown".to_owned();

    let ran = trial.build(&nothing_special(), &[]).await;

    ran.exits(1)
        .prints("Available Projects")
        .prints(trial.stand_in.project_id());
    ran.prints("missing project ID; please run `depot init` or `depot build --project <id>`");
    let methods: Vec<_> = ran.record.calls.iter().map(|call| call.method).collect();
    assert_eq!(methods, [Method::CreateBuild, Method::ListProjects]);
    assert_not_built(&ran, &trial);
}

/// The CLI does not retry, unlike the pipe.
#[tokio::test]
async fn an_unavailable_depot_ends_the_build_at_once() {
    let Some(ground) = ground().await else { return };
    let scenario = Scenario::default().first(
        1,
        Method::CreateBuild,
        Fault::error(Code::Unavailable, "come back later"),
    );
    let trial = Trial::start(ground, scenario).await;

    let ran = trial.build(&nothing_special(), &[]).await;

    ran.exits(1).prints("unavailable: come back later");
    assert_eq!(ran.record.calls.len(), 1, "{ran:#?}");
    assert_not_built(&ran, &trial);
}

/// A context that is never built.
fn nothing_special() -> Context {
    Context::new("FROM scratch\nCOPY Dockerfile /\n").unwrap()
}

#[track_caller]
fn assert_not_built(ran: &Ran, trial: &Trial) {
    assert!(
        ran.record.builds.is_empty() && ran.record.connections.is_empty(),
        "{ran:#?}"
    );
    trial.stand_in.check().unwrap();
}
