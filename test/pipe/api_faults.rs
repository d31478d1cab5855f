//! Every method of Depot's API, with every way to go wrong, once and for good: what is tried again, how the run ends, and whether
//! the build is finished.

use std::time::Duration;

use depot_standin::{BuildState, Code, Fault, Method, Scenario};
use futures_util::{StreamExt, stream};

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

/// Runs at the same time. Most of them wait.
const AT_ONCE: usize = 24;

/// What may be over in a moment.
fn passing() -> Vec<Fault> {
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

/// What is final at once.
fn final_ones() -> Vec<Fault> {
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

/// Whether somebody said no, as opposed to something being broken.
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

/// Whether the pipe repeats a call. The others are repeated anyway, or nobody waits for them.
fn is_repeated(method: Method) -> bool {
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
    /// The first call meets it, and no other.
    is_once: bool,
}

/// What a run comes to.
struct Expected {
    code: i32,
    told: &'static str,
    tries: usize,
    state: Option<BuildState>,
}

impl Case {
    fn is_final(&self) -> bool {
        final_ones().contains(&self.fault)
    }

    fn expected(&self) -> Expected {
        let refused = if is_refusal(&self.fault) { 3 } else { 4 };
        let failed = BuildState::Failed(String::new());
        let tries = match (self.is_final(), self.is_once) {
            (true, _) => 1,
            (false, true) => 2,
            // Hanging, fewer fit into the time.
            (false, false) => 3,
        };
        if !is_repeated(self.method) {
            return Expected {
                code: 0,
                told: "built",
                tries: 1,
                state: Some(BuildState::Succeeded),
            };
        }
        if self.is_once && !self.is_final() {
            return Expected {
                code: 0,
                told: "; trying again in ",
                tries,
                state: Some(BuildState::Succeeded),
            };
        }
        let told = if self.is_final() {
            ""
        } else {
            "; trying again in "
        };
        match self.method {
            Method::CreateBuild => Expected {
                code: refused,
                told,
                tries,
                state: None,
            },
            Method::FinishBuild => Expected {
                code: 0,
                told: "Depot could not be told that the build has ended",
                tries,
                state: Some(BuildState::Created),
            },
            _ => Expected {
                code: refused,
                told,
                tries,
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
        let told = format!("{self:?}, {calls} calls, {state:?}:\n{}", run.log);
        assert_eq!(run.code, expected.code, "{told}");
        assert!(run.log.contains(expected.told), "{told}");
        if self.is_final() && self.method != Method::ReportBuildHealth {
            assert_eq!(calls, 1, "{told}");
        }
        assert!(calls >= expected.tries, "{told}");
        // A build that was made, and whose id got lost with the answer, cannot be finished.
        if !(self.method == Method::CreateBuild && self.fault == Fault::LoseAnswer) {
            assert_eq!(state, expected.state, "{told}");
        }
        if let Err(error) = depot.check() {
            panic!("{error}: {told}");
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
fn what_passes_is_waited_out_in_every_method() {
    run_all(cases(&passing(), true));
}

#[test]
fn what_is_final_is_not_tried_again_in_any_method() {
    run_all(cases(&final_ones(), false));
}

#[test]
fn what_does_not_pass_ends_the_run_in_time() {
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
fn an_api_that_is_gone_for_a_while_does_not_end_a_build() {
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
            // A build that goes on is heard of again.
            if step_seconds > 20 {
                assert!(reports() > before, "{before} reports");
            }
        };
        // Back before the step ends, and while its end is told.
        tokio::join!(outage("in a step", 35), outage("at the end", 5));
    });
}

#[test]
fn an_api_that_is_gone_for_good_at_the_end_takes_nothing_back() {
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
                "Depot could not be told that the build has ended",
                "Connection refused",
            ],
        );
        let manifest = place.registry.manifest("gone-for-good", "test").await;
        manifest.unwrap();
    });
}
