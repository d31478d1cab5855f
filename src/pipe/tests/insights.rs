//! Reports on the commit, through a strict proxy.

use serde_json::Value;

use super::*;
use crate::bitbucket::insights::Insights;
use crate::bitbucket::insights::fake::FakeProxy;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn reporting(mut plan: Plan, address: String) -> Plan {
    let insights = Insights::new("acme/app", COMMIT).unwrap();
    plan.insights = Some(insights.through(address));
    plan
}

/// The value of a fact.
fn fact<'a>(report: &'a Value, title: &str) -> &'a Value {
    let facts = report["data"].as_array().unwrap().iter();
    let mut facts = facts.filter(|fact| fact["title"] == title);
    &facts
        .next()
        .unwrap_or_else(|| panic!("no {title} in {report}"))["value"]
}

#[tokio::test]
async fn a_report_has_the_image_and_the_warnings_of_its_dockerfile() {
    let ground = Ground::start().await;
    let depot = ground.depot(Scenario::default()).await;
    let context = Context::new("FROM scratch AS reported\nCOPY . \\\n\n  /\n").unwrap();
    context.file("file", "content\n").unwrap();
    let both = "linux/amd64,linux/arm64";
    let plan = ground.plan(&depot, &context, &["reported"], both);
    let proxy = FakeProxy::start([]).await;
    let mut plan = reporting(plan, proxy.address());
    for _ in 0..2 {
        let ended = run_plan(&plan, &depot, &Cancel::new()).await;
        assert_eq!(ended.exit, Exit::Success, "{}", ended.log);
        let (report, annotations) = proxy.only();
        assert_eq!(report["result"], "PASSED");
        assert_eq!(report["title"], "Image of Dockerfile (reported)");
        let host = ground.registry.host();
        let name = format!("{host}/many/reported:1");
        assert_eq!(fact(&report, "Images"), &name);
        let digest = fact(&report, "Digest").as_str().unwrap().to_owned();
        assert!(
            report["details"]
                .as_str()
                .unwrap()
                .contains(&format!("{name}@{digest}"))
        );
        assert!(ended.log.contains(&digest), "{}", ended.log);
        assert!(fact(&report, "Duration").is_u64());
        assert!(
            fact(&report, "Cached steps")
                .as_str()
                .unwrap()
                .ends_with(" of 2")
        );
        assert!(
            fact(&report, "Depot")["href"]
                .as_str()
                .unwrap()
                .starts_with("https://depot.test/")
        );
        // Even old frontends warn of an empty line in an instruction. Both machines report it.
        assert_eq!(annotations.len(), 1, "{annotations:?}");
        let warning = &annotations[0];
        assert_eq!(warning["path"], "Dockerfile");
        assert_eq!(warning["line"], 4, "{warning}");
        assert_eq!(warning["severity"], "LOW");
        assert!(
            warning["summary"]
                .as_str()
                .unwrap()
                .contains("Empty continuation line"),
            "{warning}"
        );
    }
    // Another target has a report of its own.
    plan.images[0].build.target = None;
    run_plan(&plan, &depot, &Cancel::new()).await;
    assert_eq!(proxy.state().reports.len(), 2);
}

#[tokio::test]
async fn a_report_of_a_failed_step_has_its_line_and_its_output_without_secrets() {
    let ground = Ground::start().await;
    let depot = ground.depot(Scenario::default()).await;
    let base = BUSYBOX_BASE.replacen("FROM scratch", "FROM scratch AS failing", 1);
    let token = depot.token();
    let lines = format!("RUN echo compiling && echo token {token} && exit 7\n");
    let context = Context::new(&format!("{base}{lines}")).unwrap();
    std::fs::copy(ground.busybox.path(), context.path().join("busybox")).unwrap();
    let plan = ground.plan(&depot, &context, &["failing"], "linux/amd64");
    let proxy = FakeProxy::start([]).await;
    let plan = reporting(plan, proxy.address());
    let ended = run_plan(&plan, &depot, &Cancel::new()).await;
    assert_eq!(ended.exit, Exit::BuildFailed, "{}", ended.log);
    let (report, annotations) = proxy.only();
    assert_eq!(report["result"], "FAILED");
    let details = report["details"].as_str().unwrap();
    assert!(details.contains("exit code: 7"), "{details}");
    let failed = &annotations[0];
    assert_eq!(
        (&failed["severity"], &failed["path"]),
        (&"HIGH".into(), &"Dockerfile".into())
    );
    let dockerfile = std::fs::read_to_string(context.path().join("Dockerfile")).unwrap();
    let line = dockerfile
        .lines()
        .position(|line| line.starts_with("RUN echo compiling"));
    assert_eq!(failed["line"], line.unwrap() + 1);
    let output = failed["details"].as_str().unwrap();
    assert!(
        output.contains("compiling") && output.contains("token "),
        "{output}"
    );
    let sent = format!("{report} {annotations:?}");
    assert!(!sent.contains(token), "{sent}");
}

#[tokio::test]
async fn a_report_that_is_not_published_changes_nothing() {
    let ground = Ground::start().await;
    let depot = ground.depot(Scenario::default()).await;
    let context = Context::new("FROM scratch AS unreported\nCOPY . /\n").unwrap();
    let plan = ground.plan(&depot, &context, &["unreported"], "linux/amd64");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let plan = reporting(plan, address);
    let ended = run_plan(&plan, &depot, &Cancel::new()).await;
    assert_eq!(ended.exit, Exit::Success, "{}", ended.log);
    assert!(
        ended
            .log
            .contains("DEBUG: no report was published: DELETE of the report failed"),
        "{}",
        ended.log
    );
    assert!(
        ended
            .log
            .trim_end()
            .lines()
            .next_back()
            .unwrap()
            .starts_with("INFO: build: ")
    );
}
