//! A Depot API that refuses calls, fails, or is another server.

use local_depot::{BuildState, Code, Fault, LocalDepot, Method, NoBuilder, Scenario};
use std::sync::Arc;

use super::place::{small_context, with_place};
use super::program::Program;

#[test]
fn a_wrong_token_is_refused_with_a_hint() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set("DEPOT_TOKEN", "an-unknown-token")
            .run()
            .await;
        run.expect(3, &["unauthenticated", "hint: ", "DEPOT_TOKEN"])
            .without("an-unknown-token");
        assert!(depot.record().builds.is_empty());
    });
}

#[test]
fn an_unknown_project_is_refused_with_a_hint() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set("DEPOT_PROJECT_ID", "nobodysone")
            .run()
            .await;
        let hint = "hint: Depot has no project `nobodysone` (from DEPOT_PROJECT_ID)";
        run.expect(3, &["not_found", hint]);

        context
            .file("depot.json", r#"{"id":"nobodystwo"}"#)
            .unwrap();
        let run = Program::of(&depot, context.path())
            .unset("DEPOT_PROJECT_ID")
            .run()
            .await;
        let file = context.path().join("depot.json");
        let hint = format!(
            "hint: Depot has no project `nobodystwo` (from `{}`)",
            file.display()
        );
        run.expect(3, &["not_found", &hint]);
    });
}

#[test]
fn a_transient_failure_is_retried_and_logged() {
    with_place(async |place| {
        let unavailable = || Fault::error(Code::Unavailable, "come back later");
        let scenario = Scenario::default()
            .first(1, Method::CreateBuild, unavailable())
            .first(1, Method::CreateBuild, Fault::ResetBeforeReading)
            .first(
                1,
                Method::GetBuildKitConnection,
                Fault::Html { status: 502 },
            )
            .first(1, Method::FinishBuild, unavailable())
            .first(1, Method::FinishBuild, Fault::LoseAnswer);
        let depot = place.depot(scenario).await;
        let context = small_context();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(0, &["come back later", "trying again in"]);
        let record = depot.record();
        assert_eq!(record.last_build().unwrap().state, BuildState::Succeeded);
        depot.check().unwrap();
    });
}

#[test]
fn the_exit_code_distinguishes_refusals_from_server_errors() {
    with_place(async |place| {
        let cases = [
            (Code::PermissionDenied, 3),
            (Code::FailedPrecondition, 3),
            (Code::Internal, 4),
        ];
        for (refusal, exit) in cases {
            let fault = Fault::error(refusal, "because");
            let depot = place
                .depot(Scenario::default().always(Method::CreateBuild, fault))
                .await;
            let context = small_context();
            let run = Program::of(&depot, context.path()).run().await;
            run.expect(exit, &["because"]);
        }
    });
}

#[test]
fn an_html_page_is_not_accepted_as_a_response_of_depot() {
    with_place(async |place| {
        for status in [200, 401, 404] {
            let depot = place
                .depot(Scenario::default().always(Method::CreateBuild, Fault::Html { status }))
                .await;
            let context = small_context();
            let run = Program::of(&depot, context.path()).run().await;
            let code = if status == 401 { 3 } else { 4 };
            run.expect(code, &["is not from Depot's API", "hint: "]);
        }
    });
}

#[test]
fn failed_health_reports_do_not_end_a_build() {
    with_place(async |place| {
        let broken = Fault::error(Code::Internal, "no");
        let scenario = Scenario::default()
            .always(Method::ReportBuildHealth, broken.clone())
            .always(Method::ReportStatusStream, broken);
        let depot = place.depot(scenario).await;
        let context = small_context();
        let run = Program::of(&depot, context.path()).run().await;
        run.expect(0, &[]);
    });
}

#[test]
fn a_refused_connection_is_reported_with_the_address() {
    with_place(async |_| {
        let depot = LocalDepot::start(Arc::new(NoBuilder), Scenario::default())
            .await
            .unwrap();
        let address = depot.api_url().to_owned();
        let context = small_context();
        let program = Program::of(&depot, context.path());
        depot.stop().await;
        let mut running = program.start();
        running.until("trying again in").await;
        running.signal("TERM").await;
        let run = running.end().await;
        run.expect(143, &[&address, "Connection refused"]);
    });
}
