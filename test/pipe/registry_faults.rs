//! Registries with temporary and permanent failures, with one platform and with two.

use std::time::Duration;

use depot_ground::engine::state_folder;
use depot_ground::internet::{Internet, Planned, RegistryFault};
use depot_ground::registry::Registry;
use http::Method;
use local_depot::{Architecture, BuildState, Scenario};

use super::loading::image_id;
use super::on_internet::{list, program, registry, silent};
use super::place::{Place, small_context, with_place};
use super::program::Run;

/// A build whose registry fails temporarily or permanently.
async fn with_fault(
    place: &Place,
    internet: &Internet,
    host: &str,
    registry: &Registry,
    platforms: &str,
) -> Run {
    let depot = place.depot_of_two(Scenario::default()).await;
    let context = small_context();
    let run = program(&depot, internet, context.path())
        .set("IMAGE", format!("{host}/app:1"))
        .set("PLATFORMS", platforms)
        .set("REGISTRY", host)
        .set("REGISTRY_USERNAME", registry.username())
        .set("REGISTRY_PASSWORD", registry.password())
        .run()
        .await;
    silent(&run, &[registry]);
    depot.check().unwrap();
    run
}

fn fault(
    host: &str,
    method: Method,
    path_part: &'static str,
    times: usize,
    fault: RegistryFault,
) -> Planned {
    Planned {
        host: host.to_owned(),
        method,
        path_part,
        times,
        fault,
    }
}

#[test]
fn the_last_manifest_is_put_again_after_a_temporary_failure() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "busy.example.com";
        let registry = registry(internet, host).await;
        let later = vec![("retry-after", "1".to_owned())];
        for answer in [
            RegistryFault::Answer(429, later),
            RegistryFault::Answer(500, Vec::new()),
        ] {
            internet.plan(fault(host, Method::PUT, "/app/manifests/1", 1, answer));
            let run = with_fault(place, internet, host, &registry, "linux/amd64,linux/arm64").await;
            run.expect(0, &["trying again in", "built and pushed"]);
            assert_eq!(internet.unmet(host), 0);
            assert_eq!(registry.tags("app").await.unwrap(), ["1"]);
        }
        // Permanently.
        let gone = RegistryFault::Answer(500, Vec::new());
        internet.plan(fault(host, Method::PUT, "/app/manifests/1", 4, gone));
        let run = with_fault(place, internet, host, &registry, "linux/amd64,linux/arm64").await;
        run.expect(5, &["failed to push `busy.example.com/app:1`", "HTTP 500"]);
    });
}

#[test]
fn a_blob_that_is_cut_is_pushed_again() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "cut.example.com";
        let registry = registry(internet, host).await;
        let cut = RegistryFault::CutAfter(1);
        internet.plan(fault(host, Method::PUT, "/blobs/uploads/", 1, cut));
        let run = with_fault(place, internet, host, &registry, "linux/amd64").await;
        run.expect(0, &["built and pushed"]);
        assert_eq!(internet.unmet(host), 0);
        assert_eq!(registry.tags("app").await.unwrap(), ["1"]);
    });
}

/// Waits until the planned failures of a registry have occurred.
async fn until_met(internet: &Internet, host: &str) {
    let is_met = async {
        while internet.unmet(host) > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let limit = Duration::from_mins(1);
    tokio::time::timeout(limit, is_met).await.unwrap();
}

#[test]
fn a_signal_stops_a_push_and_finished_pushes_are_reported() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let (near, far) = ("near.stopped.example.com", "far.stopped.example.com");
        let first = registry(internet, near).await;
        let second = registry(internet, far).await;
        let delay = Duration::from_secs(8);
        // The builder pushes an image for one platform; the pipe puts the index for two.
        for platforms in ["linux/amd64", "linux/amd64,linux/arm64"] {
            let slow = RegistryFault::Delay(delay);
            internet.plan(fault(far, Method::PUT, "/app/manifests/1", 1, slow));
            let depot = place.depot_of_two(Scenario::default()).await;
            let context = small_context();
            let running = program(&depot, internet, context.path())
                .set("IMAGE", format!("{near}/app:1 {far}/app:1"))
                .set("PLATFORMS", platforms)
                .set("REGISTRIES", list(&[(near, &first), (far, &second)]))
                .start();
            until_met(internet, far).await;
            // The status of the first push has arrived.
            tokio::time::sleep(Duration::from_secs(1)).await;
            running.signal("TERM").await;
            let run = running.end().await;
            let pushed = format!("already pushed: {near}/app:1\n");
            run.expect(143, &["canceled by SIGTERM", &pushed]);
            silent(&run, &[&first, &second]);
            let record = depot.record();
            assert_eq!(record.last_build().unwrap().state, BuildState::Canceled);
            // The push does not continue.
            tokio::time::sleep(delay).await;
            assert_eq!(second.tags("app").await.unwrap(), Vec::<String>::new());
        }
    });
}

#[test]
fn a_machine_that_is_lost_between_two_names_leaves_one_image_under_both() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let (near, far) = ("near.lost.example.com", "far.lost.example.com");
        let first = registry(internet, near).await;
        let second = registry(internet, far).await;
        let slow = RegistryFault::Delay(Duration::from_secs(20));
        internet.plan(fault(far, Method::PUT, "/manifests/1", 1, slow));
        let depot = place.depot(Scenario::default()).await;
        // Each build creates a different image.
        let context = place.busybox_context("RUN head -c 1000 /dev/urandom > /random");
        let running = program(&depot, internet, context.path())
            .set("IMAGE", format!("{near}/app:1 {far}/app:1"))
            .set("REGISTRIES", list(&[(near, &first), (far, &second)]))
            .set("NO_CACHE", "true")
            .start();
        until_met(internet, far).await;
        let pushed = image_id(&first, "app", "1").await;
        // The status of the push has arrived.
        tokio::time::sleep(Duration::from_secs(1)).await;
        depot.machine(Architecture::Amd64).cut();
        let run = running.end().await;
        run.expect(0, &["connecting again (1 of 2)", "as 2 references"]);
        // The attestation is that of the second build.
        assert_eq!(image_id(&first, "app", "1").await, pushed);
        assert_eq!(image_id(&second, "app", "1").await, pushed);
        let digest = first.manifest("app", "1").await.unwrap().digest;
        assert_eq!(second.manifest("app", "1").await.unwrap().digest, digest);
    });
}

#[test]
fn a_push_of_the_builder_is_retried_once_and_then_reported() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "down.example.com";
        let registry = registry(internet, host).await;
        // BuildKit itself retries 429 and 5xx, partly without a message.
        let down = RegistryFault::Answer(409, Vec::new());
        internet.plan(fault(host, Method::PUT, "/app/manifests/1", 1, down));
        let run = with_fault(place, internet, host, &registry, "linux/amd64").await;
        run.expect(0, &["retrying once", "409", "built and pushed"]);
        assert_eq!(internet.unmet(host), 0);
        assert_eq!(registry.tags("app").await.unwrap(), ["1"]);

        let down = RegistryFault::Answer(409, Vec::new());
        internet.plan(fault(host, Method::PUT, "/app/manifests/1", 2, down));
        let run = with_fault(place, internet, host, &registry, "linux/amd64").await;
        run.expect(5, &["retrying once", "failed to push", host, "409"]);
        assert_eq!(internet.unmet(host), 0);
    });
}

/// The response of Amazon's registries to a push under an immutable tag.
const IMMUTABLE: &str = r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists in the 'app' repository and cannot be overwritten because the tag is immutable."}]}"#;

#[test]
fn a_tag_that_was_put_and_cannot_be_put_again_is_a_success() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        // The pipe puts the index of two platforms; the builder pushes the image of one.
        for (host, platforms) in [
            ("two.immutable.example.com", "linux/amd64,linux/arm64"),
            ("one.immutable.example.com", "linux/amd64"),
        ] {
            let registry = registry(internet, host).await;
            let plan = |method, times, answer| {
                internet.plan(fault(host, method, "/app/manifests/1", times, answer));
            };
            plan(Method::PUT, 1, RegistryFault::LoseAnswer);
            plan(Method::PUT, 1000, RegistryFault::Refuse(400, IMMUTABLE));
            // Otherwise the builder detects that the tag exists.
            plan(Method::HEAD, 1000, RegistryFault::Answer(404, Vec::new()));
            let run = with_fault(place, internet, host, &registry, platforms).await;
            let digest = registry.manifest("app", "1").await.unwrap().digest;
            run.expect(0, &[&format!("{host}/app:1@{digest}")]);
            if platforms == "linux/amd64" {
                run.expect(
                    0,
                    &["already has this image, although the push was rejected"],
                );
            }
        }
    });
}

#[test]
fn a_tag_that_holds_another_image_and_cannot_be_moved_gets_a_hint() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        for (host, platforms) in [
            ("two.taken.example.com", "linux/amd64,linux/arm64"),
            ("one.taken.example.com", "linux/amd64"),
        ] {
            let registry = registry(internet, host).await;
            let run = with_fault(place, internet, host, &registry, "linux/arm64").await;
            run.expect(0, &[]);
            let refusal = RegistryFault::Refuse(400, IMMUTABLE);
            internet.plan(fault(host, Method::PUT, "/app/manifests/1", 1000, refusal));
            let run = with_fault(place, internet, host, &registry, platforms).await;
            let hint = format!(
                "hint: the tag already refers to another image, and `{host}` may not allow moving it: use a tag that is new"
            );
            run.expect(5, &[&hint, "$BITBUCKET_COMMIT"]);
        }
    });
}

#[test]
fn no_login_follows_a_redirection_to_another_host() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let (host, other) = ("sends-on.example.com", "sent-to.example.com");
        let registry = registry(internet, host).await;
        // The same images under another name that requires a login. No login is configured.
        internet.route(other, &registry.host());
        let place_of = format!("https://{other}/v2/app/manifests/1");
        let onwards = RegistryFault::Answer(307, vec![("location", place_of)]);
        internet.plan(fault(
            host,
            Method::GET,
            "/app/manifests/sha256:",
            1000,
            onwards,
        ));
        let run = with_fault(place, internet, host, &registry, "linux/amd64,linux/arm64").await;
        run.expect(5, &["cannot be read back"]);
        let seen = internet.seen(other);
        assert!(!seen.is_empty());
        assert!(seen.iter().all(|seen| seen.scheme.is_empty()), "{seen:#?}");
        assert_eq!(registry.tags("app").await.unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_registry_that_rejects_oci_manifests_gets_docker_manifests() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "old.example.com";
        let registry = registry(internet, host).await;
        for (platforms, media_type) in [
            (
                "linux/amd64",
                "application/vnd.docker.distribution.manifest.v2+json",
            ),
            (
                "linux/amd64,linux/arm64",
                "application/vnd.docker.distribution.manifest.list.v2+json",
            ),
        ] {
            let refusal = RegistryFault::RefuseOci(415);
            internet.plan(fault(host, Method::PUT, "/manifests/", 1000, refusal));
            let run = with_fault(place, internet, host, &registry, platforms).await;
            run.expect(0, &["does not accept OCI manifests", "built and pushed"]);
            let manifest = registry.manifest("app", "1").await.unwrap();
            assert_eq!(manifest.media_type, media_type);
        }
    });
}

#[test]
fn a_registry_that_rejects_oci_manifests_gets_layers_in_gzip() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "old-gzip.example.com";
        let registry = registry(internet, host).await;
        let refusal = RegistryFault::RefuseOci(415);
        internet.plan(fault(host, Method::PUT, "/manifests/", 1000, refusal));
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = program(&depot, internet, context.path())
            .set("IMAGE", format!("{host}/app:1"))
            .set("REGISTRIES", list(&[(host, &registry)]))
            .set("COMPRESSION", "zstd")
            .set("COMPRESSION_LEVEL", "19")
            .run()
            .await;
        let expected = "Docker manifests hold no layers in zstd: they are compressed with gzip for old-gzip.example.com/app:1";
        run.expect(
            0,
            &[
                "does not accept OCI manifests",
                expected,
                "built and pushed",
            ],
        );
        let manifest = registry.manifest("app", "1").await.unwrap().json().unwrap();
        let layer = &manifest["layers"][0]["mediaType"];
        assert_eq!(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip");
    });
}

#[test]
fn an_unknown_certificate_is_accepted_for_an_insecure_registry() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let host = "own.example.com";
        let registry = Registry::start(&state_folder()).await.unwrap();
        internet.route_untrusted(host, &registry.host());
        for platforms in ["linux/amd64", "linux/amd64,linux/arm64"] {
            let run = with_fault(place, internet, host, &registry, platforms).await;
            run.expect(
                5,
                &[
                    "hint: if `own.example.com` is your own",
                    "REGISTRY_INSECURE",
                ],
            );
            let depot = place.depot_of_two(Scenario::default()).await;
            let context = small_context();
            let run = program(&depot, internet, context.path())
                .set("IMAGE", format!("{host}/app:{}", platforms.len()))
                .set("PLATFORMS", platforms)
                .set("REGISTRY", host)
                .set("REGISTRY_USERNAME", registry.username())
                .set("REGISTRY_PASSWORD", registry.password())
                .set("REGISTRY_INSECURE", host)
                .run()
                .await;
            run.expect(0, &["built and pushed"]);
        }
        assert_eq!(registry.tags("app").await.unwrap(), ["11", "23"]);
    });
}

#[test]
fn an_invalid_host_is_reported() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = program(&depot, internet, context.path())
            .set("IMAGE", "nowhere.example.com/app:1")
            .run()
            .await;
        run.expect(5, &["nowhere.example.com"]);
        assert!(
            internet
                .nowhere()
                .contains(&"nowhere.example.com".to_owned())
        );
    });
}
