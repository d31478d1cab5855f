use super::fake::{FakeProxy, Fault};
use super::*;
use crate::http::roots::{Authorities, client_config};

fn insights(proxy: &FakeProxy) -> Insights {
    let insights = Insights::new("acme/app", "0123456789abcdef0123456789abcdef01234567");
    insights.unwrap().through(proxy.address())
}

fn annotation(number: usize) -> Annotation {
    Annotation {
        place: Some(("Dockerfile".into(), 0)),
        severity: Severity::Low,
        summary: format!("warning {number}"),
        details: String::new(),
        link: None,
    }
}

fn report(annotations: Vec<Annotation>) -> Report {
    Report {
        id: "depot-build-1".into(),
        title: "Image".into(),
        details: "built".into(),
        has_passed: true,
        link: Some("https://depot.dev/x".into()),
        facts: vec![
            ("Duration", Fact::Duration(1200)),
            ("Build", Fact::Link("open", "https://depot.dev/x".into())),
        ],
        annotations,
    }
}

async fn publish(proxy: &FakeProxy, report: &Report) -> Result<(), InsightsError> {
    let tls = client_config(&Authorities::default()).unwrap();
    insights(proxy).publish(tls, report).await
}

const PATH: &str = "acme/app/commit/0123456789abcdef0123456789abcdef01234567/reports/depot-build-1";

#[tokio::test]
async fn a_report_replaces_the_earlier_one_with_its_annotations() {
    let proxy = FakeProxy::start([]).await;
    publish(&proxy, &report(vec![annotation(1), annotation(2)]))
        .await
        .unwrap();
    publish(&proxy, &report(vec![annotation(3)])).await.unwrap();
    let (stored, annotations) = proxy.only();
    assert_eq!(stored["result"], "PASSED");
    assert_eq!(annotations.len(), 1);
    assert_eq!(annotations[0]["summary"], "warning 3");
    assert_eq!(annotations[0]["line"], 1);
    publish(&proxy, &report(Vec::new())).await.unwrap();
    assert!(proxy.only().1.is_empty());
    let calls = [
        "DELETE", "PUT", "POST", "DELETE", "PUT", "POST", "DELETE", "PUT",
    ];
    let calls = calls.map(|method| match method {
        "POST" => format!("POST {PATH}/annotations"),
        method => format!("{method} {PATH}"),
    });
    assert_eq!(proxy.state().calls, calls);
}

#[tokio::test]
async fn long_texts_and_lists_are_cut_to_the_limits() {
    let proxy = FakeProxy::start([]).await;
    let long = "ä".repeat(5000);
    let mut annotations: Vec<_> = (0..150).map(annotation).collect();
    annotations[0] = Annotation {
        place: None,
        severity: Severity::High,
        summary: long.clone(),
        details: long.clone(),
        link: Some("javascript:x".into()),
    };
    annotations[1].summary = " ".into();
    let mut large = report(annotations);
    large.title.clone_from(&long);
    large.details.clone_from(&long);
    large.facts = (0..20)
        .map(|_| ("Names", Fact::Text(long.clone())))
        .collect();
    publish(&proxy, &large).await.unwrap();
    let (report, annotations) = proxy.only();
    assert_eq!(annotations.len(), 100);
    assert_eq!(report["data"].as_array().unwrap().len(), 10);
    assert!(report["title"].as_str().unwrap().ends_with("ä…"));
    assert_eq!(annotations[0]["link"], Value::Null);
}

#[tokio::test]
async fn one_transient_failure_of_each_call_is_repeated() {
    for fault in [Fault::Status(503), Fault::Status(429), Fault::Cut] {
        let proxy = FakeProxy::start([fault]).await;
        publish(&proxy, &report(vec![annotation(1)])).await.unwrap();
        assert_eq!(proxy.only().1.len(), 1, "{fault:?}");
    }
    let proxy = FakeProxy::start([500, 500, 502, 502].map(Fault::Status)).await;
    let error = publish(&proxy, &report(Vec::new())).await.unwrap_err();
    assert!(
        error.to_string().contains("PUT of the report with 502"),
        "{error}"
    );
}

#[tokio::test]
async fn a_rejected_report_is_not_repeated() {
    // A report that cannot be deleted is replaced.
    let proxy = FakeProxy::start([403, 401].map(Fault::Status)).await;
    let error = publish(&proxy, &report(vec![annotation(1)]))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            InsightsError::Rejected {
                status: StatusCode::UNAUTHORIZED,
                ..
            }
        ),
        "{error}"
    );
    let proxy = FakeProxy::start([Fault::Status(403)]).await;
    publish(&proxy, &report(Vec::new())).await.unwrap();
    assert_eq!(proxy.only().0["title"], "Image");
}

#[tokio::test]
async fn a_proxy_that_does_not_respond_ends_the_report_within_the_limit() {
    let proxy = FakeProxy::start([Fault::Hang, Fault::Hang]).await;
    let error = publish(&proxy, &report(Vec::new())).await.unwrap_err();
    assert!(matches!(error, InsightsError::TimedOut), "{error}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let tls = client_config(&Authorities::default()).unwrap();
    let insights = insights(&proxy).through(address);
    let error = insights
        .publish(tls, &report(Vec::new()))
        .await
        .unwrap_err();
    assert!(matches!(error, InsightsError::Call { .. }), "{error}");
}

#[test]
fn only_a_commit_of_a_repository_has_reports() {
    assert!(Insights::new("acme/app", "0123456789ab").is_some());
    for (repository, commit) in [
        ("app", "0123456789ab"),
        ("acme/", "0123456789ab"),
        ("acme/..", "0123456789ab"),
        ("acme/app", "main"),
        ("acme/app", ""),
        ("acme/app", "0123456789ab/../x"),
    ] {
        assert_eq!(
            Insights::new(repository, commit),
            None,
            "{repository} {commit}"
        );
    }
    let odd = Insights::new("ac me/a/p?", "0123456789ab").unwrap();
    let url = odd.url("i#d");
    assert!(
        url.ends_with("/ac%20me/a%2Fp%3F/commit/0123456789ab/reports/i%23d"),
        "{url}"
    );
}
