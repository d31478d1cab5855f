//! Every method of Depot's API with every kind of failure, once and permanently: which calls are retried, how the run ends, and
//! whether the build is finished.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use local_depot::{BuildState, Code, Fault, Method, Scenario};

use super::place::{Place, small_context, with_place};
use super::program::Program;

/// The methods that every build needs.
const METHODS: [Method; 5] = [
    Method::CreateBuild,
    Method::GetBuildKitConnection,
    Method::ReportBuildHealth,
    Method::ReportStatusStream,
    Method::FinishBuild,
];

/// Concurrent runs. Most of them wait.
const AT_ONCE: usize = 24;

/// Transient failures.
fn transient() -> Vec<Fault> {
    let codes = [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::ResourceExhausted,
        Code::Aborted,
    ];
    let codes = codes.map(|code| Fault::error(code, "in a moment"));
    let pages = [429, 502, 503, 504].map(|status| Fault::Html { status });
    let broken = [
        Fault::ResetBeforeReading,
        Fault::ResetAfterReading,
        Fault::LoseAnswer,
        Fault::Hang,
    ];
    codes.into_iter().chain(pages).chain(broken).collect()
}

/// Failures that are not retried.
fn final_failures() -> Vec<Fault> {
    let codes = [
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::NotFound,
        Code::Internal,
        Code::Unimplemented,
    ];
    let codes = codes.map(|code| Fault::error(code, "for good"));
    let pages = [200, 401, 404, 500].map(|status| Fault::Html { status });
    codes.into_iter().chain(pages).collect()
}

/// Whether the failure is a refusal, as opposed to a failed connection or server.
fn is_refusal(fault: &Fault) -> bool {
    match fault {
        Fault::Error { code, .. } => matches!(
            code,
            Code::Unauthenticated
                | Code::PermissionDenied
                | Code::NotFound
                | Code::ResourceExhausted
        ),
        Fault::Html { status } => *status == 401,
        _ => false,
    }
}

/// Whether the pipe retries a call. Health reports are sent periodically anyway; no result depends on the status stream.
fn is_retried(method: Method) -> bool {
    !matches!(
        method,
        Method::ReportBuildHealth | Method::ReportStatusStream
    )
}

/// One run.
#[derive(Clone, Debug)]
struct Case {
    method: Method,
    fault: Fault,
    /// Only the first call fails.
    is_once: bool,
}

/// The expected result of a run.
struct Expected {
    code: i32,
    log: &'static str,
    attempts: usize,
    state: Option<BuildState>,
}

impl Case {
    fn is_final(&self) -> bool {
        final_failures().contains(&self.fault)
    }

    fn expected(&self) -> Expected {
        let refused = if is_refusal(&self.fault) { 3 } else { 4 };
        let failed = BuildState::Failed(String::new());
        let attempts = match (self.is_final(), self.is_once) {
            (true, _) => 1,
            (false, true) => 2,
            // If the calls hang, fewer fit into the limit.
            (false, false) => 3,
        };
        if !is_retried(self.method) {
            return Expected {
                code: 0,
                log: "built",
                attempts: 1,
                state: Some(BuildState::Succeeded),
            };
        }
        if self.is_once && !self.is_final() {
            return Expected {
                code: 0,
                log: "; trying again in ",
                attempts,
                state: Some(BuildState::Succeeded),
            };
        }
        let log = if self.is_final() {
            ""
        } else {
            "; trying again in "
        };
        match self.method {
            Method::CreateBuild => Expected {
                code: refused,
                log,
                attempts,
                state: None,
            },
            Method::FinishBuild => Expected {
                code: 0,
                log: "the end of the build could not be reported to Depot",
                attempts,
                state: Some(BuildState::Created),
            },
            _ => Expected {
                code: refused,
                log,
                attempts,
                state: Some(failed),
            },
        }
    }

    async fn run(self, place: &Place) {
        let scenario = if self.is_once {
            Scenario::default().first(1, self.method, self.fault.clone())
        } else {
            Scenario::default().always(self.method, self.fault.clone())
        };
        let depot = place.depot(scenario).await;
        let context = small_context();
        let run = Program::of(&depot, context.path()).run().await;
        let expected = self.expected();
        let record = depot.record();
        let calls = record.calls_of(self.method).count();
        let state = record.last_build().map(|build| match &build.state {
            BuildState::Failed(_) => BuildState::Failed(String::new()),
            state => state.clone(),
        });
        let details = format!("{self:?}, {calls} calls, {state:?}:\n{}", run.log);
        assert_eq!(run.code, expected.code, "{details}");
        assert!(run.log.contains(expected.log), "{details}");
        if self.is_final() && self.method != Method::ReportBuildHealth {
            assert_eq!(calls, 1, "{details}");
        }
        assert!(calls >= expected.attempts, "{details}");
        // A build whose id was lost with the response cannot be finished.
        if !(self.method == Method::CreateBuild && self.fault == Fault::LoseAnswer) {
            assert_eq!(state, expected.state, "{details}");
        }
        if let Err(error) = depot.check() {
            panic!("{error}: {details}");
        }
    }
}

fn run_all(cases: Vec<Case>) {
    with_place(async |place| {
        let runs = stream::iter(cases).map(|case| case.run(place));
        runs.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    });
}

fn cases(faults: &[Fault], is_once: bool) -> Vec<Case> {
    let of = |method| {
        let faults = faults.iter().cloned();
        faults.map(move |fault| Case {
            method,
            fault,
            is_once,
        })
    };
    METHODS.into_iter().flat_map(of).collect()
}

#[test]
fn transient_failures_are_retried_in_every_method() {
    run_all(cases(&transient(), true));
}

#[test]
fn final_failures_are_not_retried_in_any_method() {
    run_all(cases(&final_failures(), false));
}

#[test]
fn persistent_failures_end_the_run_in_time() {
    let lasting = [
        Fault::error(Code::Unavailable, "not in a moment"),
        Fault::error(Code::ResourceExhausted, "the account's limit"),
        Fault::Html { status: 502 },
        Fault::ResetBeforeReading,
        Fault::ResetAfterReading,
        Fault::Hang,
    ];
    let mut cases = cases(&lasting, false);
    cases.push(Case {
        method: Method::FinishBuild,
        fault: Fault::LoseAnswer,
        is_once: true,
    });
    run_all(cases);
}

#[test]
fn an_outage_of_the_api_does_not_end_a_build() {
    with_place(async |place| {
        let outage = async |label: &str, step_seconds: u32| {
            let depot = place.depot(Scenario::default()).await;
            let line = format!("RUN echo waiting {label}; sleep {step_seconds}; echo over > /over");
            let context = place.busybox_context(&line);
            let mut running = Program::of(&depot, context.path())
                .set("NO_CACHE", "true")
                .start();
            running.until(&format!(" waiting {label}")).await;
            depot.close_api().await.unwrap();
            tokio::time::sleep(Duration::from_secs(20)).await;
            let reports = || depot.record().calls_of(Method::ReportBuildHealth).count();
            let before = reports();
            depot.open_api().unwrap();
            let run = running.end().await;
            run.expect(0, &["built"]);
            let record = depot.record();
            assert_eq!(record.last_build().unwrap().state, BuildState::Succeeded);
            // Health reports of a running build continue.
            if step_seconds > 20 {
                assert!(reports() > before, "{before} reports");
            }
        };
        // The API returns before the step ends, and while the end is reported.
        tokio::join!(outage("in a step", 35), outage("at the end", 5));
    });
}

#[test]
fn a_permanent_outage_at_the_end_does_not_fail_the_run() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let image = place.image("gone-for-good");
        let context = place.busybox_context("RUN echo waiting for good; sleep 3; echo > /over");
        let mut running = Program::of(&depot, context.path())
            .push(&image, &place.registry)
            .set("NO_CACHE", "true")
            .start();
        running.until(" waiting for good").await;
        depot.close_api().await.unwrap();
        let run = running.end().await;
        run.expect(
            0,
            &[
                "built and pushed",
                "the end of the build could not be reported to Depot",
                "Connection refused",
            ],
        );
        let manifest = place.registry.manifest("gone-for-good", "test").await;
        manifest.unwrap();
    });
}
