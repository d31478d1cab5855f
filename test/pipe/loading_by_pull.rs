//! Loading by a pull from Depot's registry, if Depot requests it.

use depot_ground::daemon::Release;
use local_depot::{CreateBuildAnswer, HostCredential, LocalDepot, Method, PullInfo, Scenario};

use super::loading::{layers, noise};
use super::place::{Place, with_place};
use super::program::Program;

/// A Depot that requests loading from its registry.
pub async fn by_registry(
    place: &Place,
    repository: &str,
    push: &str,
    password: &str,
) -> LocalDepot {
    let registry = &place.registry;
    let reference = format!("{}/{repository}:{{build_id}}", registry.host());
    let credential = HostCredential {
        host: registry.host(),
        username: registry.username().into(),
        password: push.into(),
    };
    let scenario = Scenario::default()
        .answer(CreateBuildAnswer {
            additional_tags: vec![reference.clone()],
            additional_credentials: vec![credential],
            load_using_registry: true,
            ..CreateBuildAnswer::default()
        })
        .pull(PullInfo {
            reference,
            username: registry.username().into(),
            password: password.into(),
        });
    place.depot_of_two(scenario).await
}

#[test]
fn the_daemon_pulls_if_depot_requests_it_and_falls_back_to_the_builder() {
    with_place(async |place| {
        let context = layers(&[("file", noise("pulled", 5 << 20))]);
        let right = place.registry.password();
        for release in Release::ALL {
            let daemon = place.daemon(release).await;
            for (password, platforms, expected) in [
                (right, "linux/amd64", "pulling "),
                (right, "linux/arm64,linux/amd64", "for linux/amd64"),
                (
                    "wrong-password",
                    "linux/amd64",
                    "; reading the image from the builder",
                ),
            ] {
                let depot = by_registry(place, "load-by-pull", right, password).await;
                let run = Program::of(&depot, context.path())
                    .load("acme/pulled:1", &daemon.docker_host())
                    .set("PLATFORMS", platforms)
                    .run()
                    .await;
                run.expect(0, &["built and loaded docker.io/acme/pulled:1", expected]);
                run.without("wrong-password").without(right);
                if password == right {
                    run.without("reading the image from the builder");
                }
                let image = daemon.image("acme/pulled:1").await.unwrap().unwrap();
                assert_eq!(image.architecture, "amd64");
                // The name of the pull is removed.
                let names = image.repo_tags.unwrap();
                assert_eq!(names, ["acme/pulled:1"], "{release:?} {}", run.log);
                assert_eq!(depot.record().calls_of(Method::GetPullInfo).count(), 1);
                daemon.remove("acme/pulled:1").await.unwrap();
            }
        }
    });
}

#[test]
fn small_loads_are_read_from_the_builder() {
    with_place(async |place| {
        let right = place.registry.password();
        for release in Release::ALL {
            let daemon = place.daemon(release).await;
            let large = ("large", noise("lacked", 5 << 20));
            let small = ("small", noise(&format!("{release:?}"), 1000));
            let below = layers(std::slice::from_ref(&large));
            let whole = layers(&[large, small]);
            for (context, expected) in [
                (&below, "pulling "),
                (&whole, "1 of 2 layers already exist, sending 1"),
            ] {
                let depot = by_registry(place, "load-little", right, right).await;
                let run = Program::of(&depot, context.path())
                    .load("acme/little:1", &daemon.docker_host())
                    .run()
                    .await;
                run.expect(0, &["built and loaded docker.io/acme/little:1", expected]);
                let image = daemon.image("acme/little:1").await.unwrap().unwrap();
                assert_eq!(image.repo_tags.unwrap(), ["acme/little:1"]);
                run.expect(0, &[&format!("loaded {}", image.id)]);
            }
            daemon.remove("acme/little:1").await.unwrap();
        }
    });
}

#[test]
fn a_failed_push_to_depots_registry_does_not_fail_the_load() {
    with_place(async |place| {
        let daemon = place.daemon(Release::Docker26).await;
        let context = layers(&[("file", noise("not kept", 1000))]);
        let right = place.registry.password();
        for push in [false, true] {
            let depot = by_registry(place, "not-kept", "wrong-password", right).await;
            let image = place.image("load-not-kept");
            let program = Program::of(&depot, context.path());
            let program = if push {
                // The same registry under another host name.
                program
                    .push(&image.replace("127.0.0.1", "localhost"), &place.registry)
                    .set(
                        "REGISTRY",
                        place.registry.host().replace("127.0.0.1", "localhost"),
                    )
            } else {
                program.set("IMAGE", &image)
            };
            let run = program
                .set("LOAD", "true")
                .set("DOCKER_HOST", daemon.docker_host())
                .run()
                .await;
            run.expect(
                0,
                &[
                    "the daemon cannot pull the image from Depot's registry",
                    "loaded",
                ],
            );
            run.without("not-kept@");
        }
    });
}
