//! Copies between registries that fail temporarily and permanently.

use std::time::Duration;

use depot_ground::internet::{Internet, Planned, RegistryFault};
use http::Method;

use super::on_internet::{registry, silent};
use super::place::with_place;
use super::promote::{build, promote};

fn plan(
    internet: &Internet,
    host: &str,
    method: Method,
    path_part: &'static str,
    times: usize,
    fault: RegistryFault,
) {
    internet.plan(Planned {
        host: host.to_owned(),
        method,
        path_part,
        times,
        fault,
    });
}

/// Host, method, part of the path, fault, and a text of the log.
type TemporaryFault<'a> = (&'a str, Method, &'static str, RegistryFault, &'static str);

fn temporary_faults<'a>(near: &'a str, far: &'a str) -> [TemporaryFault<'a>; 11] {
    let unavailable = || RegistryFault::Answer(503, Vec::new());
    [
        (
            near,
            Method::GET,
            "/app/blobs/",
            RegistryFault::CutAnswerAfter(100),
            "was interrupted",
        ),
        (
            near,
            Method::GET,
            "/app/blobs/",
            unavailable(),
            "trying again in",
        ),
        (
            near,
            Method::GET,
            "/app/manifests/",
            RegistryFault::CutAnswerAfter(10),
            "trying again in",
        ),
        (
            far,
            Method::PUT,
            "/blobs/uploads/",
            RegistryFault::CutAfter(20_000),
            "trying again in",
        ),
        (
            far,
            Method::PUT,
            "/blobs/uploads/",
            unavailable(),
            "trying again in",
        ),
        (
            far,
            Method::PUT,
            "/blobs/uploads/",
            RegistryFault::LoseAnswer,
            "trying again in",
        ),
        (
            far,
            Method::POST,
            "/blobs/uploads/",
            unavailable(),
            "trying again in",
        ),
        (
            far,
            Method::POST,
            "/blobs/uploads/",
            RegistryFault::LoseAnswer,
            "trying again in",
        ),
        (
            far,
            Method::HEAD,
            "/blobs/",
            unavailable(),
            "trying again in",
        ),
        (
            far,
            Method::PUT,
            "/manifests/sha256:",
            unavailable(),
            "trying again in",
        ),
        (
            far,
            Method::PUT,
            "/manifests/1",
            RegistryFault::LoseAnswer,
            "trying again in",
        ),
    ]
}

#[test]
fn an_image_is_copied_although_both_registries_fail_temporarily() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let (near, far) = ("near.faults.example.com", "far.faults.example.com");
        let source = registry(internet, near).await;
        let target = registry(internet, far).await;
        let digest = build(place, internet, &format!("{near}/app:1"), &source).await;
        let faults = temporary_faults(near, far);
        for (number, (host, method, path_part, fault, message)) in faults.into_iter().enumerate() {
            plan(internet, host, method, path_part, 1, fault);
            let repository = format!("app-{number}");
            let run = promote(
                internet,
                &format!("{near}/app:1"),
                &[(near, &source), (far, &target)],
            )
            .set("IMAGE", format!("{far}/{repository}:1"))
            .run()
            .await;
            run.expect(0, &[message, "copied far.faults.example.com/app-"]);
            silent(&run, &[&source, &target]);
            assert_eq!(internet.unmet(host), 0, "{path_part}");
            assert_eq!(
                target.manifest(&repository, "1").await.unwrap().digest,
                digest
            );
        }
    });
}

#[test]
fn no_name_is_pushed_if_a_registry_fails_permanently() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let (near, far) = ("near.down.example.com", "far.down.example.com");
        let source = registry(internet, near).await;
        let target = registry(internet, far).await;
        build(place, internet, &format!("{near}/app:1"), &source).await;
        for (host, method, path_part, status, message) in [
            (
                far,
                Method::PUT,
                "/blobs/uploads/",
                507,
                "failed to copy the image `near.down.example.com/app:1` to `far.down.example.com/app`",
            ),
            (
                near,
                Method::GET,
                "/app/blobs/",
                404,
                "failed to copy the image `near.down.example.com/app:1`: ",
            ),
            (
                near,
                Method::GET,
                "/app/manifests/sha256:",
                404,
                "cannot read the image",
            ),
        ] {
            let refusal = RegistryFault::Answer(status, Vec::new());
            plan(internet, host, method, path_part, 1000, refusal);
            let run = promote(
                internet,
                &format!("{near}/app:1"),
                &[(near, &source), (far, &target)],
            )
            .set("IMAGE", format!("{far}/app:1 {near}/other:1"))
            .run()
            .await;
            run.expect(5, &[message, &format!("HTTP {status}")]);
            internet.forget(host);
            assert_eq!(target.tags("app").await.unwrap(), Vec::<String>::new());
            assert_eq!(source.tags("other").await.unwrap(), Vec::<String>::new());
        }
    });
}

#[test]
fn a_signal_stops_a_copy() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let (near, far) = ("near.signal.example.com", "far.signal.example.com");
        let source = registry(internet, near).await;
        let target = registry(internet, far).await;
        build(place, internet, &format!("{near}/app:1"), &source).await;
        let slow = RegistryFault::Delay(Duration::from_secs(30));
        plan(internet, far, Method::PUT, "/blobs/uploads/", 1, slow);
        let mut running = promote(
            internet,
            &format!("{near}/app:1"),
            &[(near, &source), (far, &target)],
        )
        .set("IMAGE", format!("{far}/app:1"))
        .start();
        running.until("[copy]").await;
        running.signal("TERM").await;
        let run = running.end().await;
        run.expect(143, &["canceled by SIGTERM"]);
        assert_eq!(target.tags("app").await.unwrap(), Vec::<String>::new());
    });
}
