//! Several registries at once, by the names that people use: each with its own login, and what fails is told by name.
//!
//! All hosts lead to real registries on this machine; see the stand-in's `internet`.

use std::time::Duration;

use depot_standin::engine::state_folder;
use depot_standin::fixtures::Context;
use depot_standin::internet::{Internet, Planned, RegistryFault};
use depot_standin::registry::{Login, Registry};
use depot_standin::{
    BuildState, CreateBuildAnswer, HostCredential, MachinePlan, Scenario, StandIn,
};
use http::Method;

use super::place::{Place, small_context, with_place};
use super::program::{Program, Run};

/// A registry with user and password, which `host` leads to from now on.
async fn registry(internet: &Internet, host: &str) -> Registry {
    let registry = Registry::start(&state_folder()).await.unwrap();
    internet.route(host, &registry.host());
    registry
}

/// The program, on the internet, with the least there is to build.
fn program(depot: &StandIn, internet: &Internet, directory: &std::path::Path) -> Program {
    Program::of(depot, directory)
        .on(internet)
        .set("PUSH", "true")
}

fn list(logins: &[(&str, &Registry)]) -> String {
    let entries = logins.iter().map(|(host, registry)| {
        let password = registry.password();
        format!(
            "- registry: {host}\n  username: {}\n  password: '{password}'\n",
            registry.username()
        )
    });
    entries.collect()
}

/// No password of any of these is in the log.
fn silent(run: &Run, registries: &[&Registry]) {
    for registry in registries {
        run.without(registry.password());
    }
}

#[test]
fn one_build_is_pushed_to_registries_of_three_kinds() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let hub = place.docker_hub(internet).await;
        // Whatever a password holds, it arrives.
        let odd = Login::of("robot", "p$A ${B} \"c\" 'd', e:\nsecond line\\");
        let one = Registry::start_for(&state_folder(), odd).await.unwrap();
        internet.route("one.example.com", &one.host());
        let other = registry(internet, "other.example.com").await;
        for platforms in ["linux/amd64", "linux/amd64,linux/arm64"] {
            let depot = place.depot_of_two(Scenario::default()).await;
            let context = small_context();
            let run = program(&depot, internet, context.path())
                .set("IMAGE", "acme/app:1 one.example.com/acme/app:1 one.example.com/app:2 other.example.com/x:1")
                .set("PLATFORMS", platforms)
                .set("DOCKERHUB_USERNAME", hub.owner().username())
                .set("DOCKERHUB_TOKEN", hub.owner().password())
                .set("REGISTRY", "one.example.com")
                .set("REGISTRY_USERNAME", one.username())
                .set("REGISTRY_PASSWORD", one.password())
                .set("REGISTRIES", list(&[("other.example.com", &other)]))
                .run()
                .await;
            run.expect(
                0,
                &[
                    "built and pushed one image as 4 references",
                    "docker.io/acme/app:1@sha256:",
                ],
            );
            silent(&run, &[&one, &other]);
            run.without(hub.owner().password())
                .without("was not needed");
            let digest = hub.manifest("acme/app", "1").await.unwrap().digest;
            for (registry, repository, tag) in [
                (&one, "acme/app", "1"),
                (&one, "app", "2"),
                (&other, "x", "1"),
            ] {
                assert_eq!(
                    registry.manifest(repository, tag).await.unwrap().digest,
                    digest
                );
            }
            depot.check().unwrap();
        }
        // Each got its own user alone, from the builder as from the pipe; Docker Hub got tokens.
        for (host, user) in [
            ("one.example.com", one.username()),
            ("other.example.com", other.username()),
        ] {
            let users = internet.seen(host).into_iter().filter_map(|seen| seen.user);
            assert!(users.clone().count() > 0);
            assert!(users.into_iter().all(|seen| seen == user), "{host}");
        }
        let hubs = internet.seen("registry-1.docker.io");
        assert!(
            hubs.iter()
                .all(|seen| seen.scheme.is_empty() || seen.scheme == "Bearer"),
            "{hubs:#?}"
        );
    });
}

#[test]
fn a_registry_that_refuses_is_named_with_what_was_pushed() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let good = registry(internet, "good.example.com").await;
        let bad = registry(internet, "bad.example.com").await;
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let logins = list(&[("good.example.com", &good), ("bad.example.com", &good)]);
        let run = program(&depot, internet, context.path())
            .set("IMAGE", "bad.example.com/app:1 good.example.com/app:1")
            .set("REGISTRIES", logins)
            .run()
            .await;
        run.expect(
            5,
            &[
                "failed to push",
                "pushed: good.example.com/app:1; not pushed: bad.example.com/app:1",
                "hint: look at entry 2 of REGISTRIES",
            ],
        );
        silent(&run, &[&good, &bad]);
        assert_eq!(good.tags("app").await.unwrap(), ["1"]);
        let record = depot.record();
        let BuildState::Failed(error) = &record.last_build().unwrap().state else {
            panic!("{record:#?}");
        };
        assert!(error.contains("bad.example.com"), "{error}");
    });
}

/// A build for one platform or two, which fails at first and then does not, or fails for good.
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
fn the_last_manifest_is_put_again_where_a_registry_is_out_of_order() {
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
        // For good.
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
        assert_eq!(registry.tags("app").await.unwrap(), ["1"]);
    });
}

#[test]
fn a_registry_that_takes_no_oci_manifests_gets_dockers() {
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
            run.expect(0, &["does not take OCI manifests", "built and pushed"]);
            let manifest = registry.manifest("app", "1").await.unwrap();
            assert_eq!(manifest.media_type, media_type);
        }
    });
}

#[test]
fn a_certificate_that_nobody_knows_is_taken_where_that_is_asked_for() {
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
                    "hint: where `own.example.com` is your own",
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
fn a_host_that_is_none_is_told() {
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
    });
}

#[test]
fn a_docker_configuration_lets_in_and_a_login_that_is_not_needed_is_told() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let registry = &place.registry;
        let auth = base64(&format!("{}:{}", registry.username(), registry.password()));
        let config = serde_json::json!({ "auths": { registry.host(): { "auth": auth } } });
        std::fs::create_dir(context.path().join("docker")).unwrap();
        context
            .file("docker/config.json", config.to_string())
            .unwrap();
        let run = Program::of(&depot, context.path())
            .set("IMAGE", place.image("by-config"))
            .set("PUSH", "true")
            .set("DOCKER_CONFIG", "docker")
            .set("REGISTRY", "typo.example.com")
            .set("REGISTRY_USERNAME", "me")
            .set("REGISTRY_PASSWORD", "hunter2-hunter2")
            .run()
            .await;
        run.expect(
            0,
            &[
                "built and pushed",
                "the login for `typo.example.com` (REGISTRY_PASSWORD) was not needed",
            ],
        )
        .without("hunter2-hunter2");
    });
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn depot_keeps_an_image_beside_the_users_own_registry() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let kept = registry(internet, "registry.depot.dev").await;
        let own = registry(internet, "own-registry.example.com").await;
        let scenario = || {
            Scenario::default().answer(CreateBuildAnswer {
                additional_tags: vec!["registry.depot.dev/{project_id}:{build_id}".into()],
                additional_credentials: vec![HostCredential {
                    host: "registry.depot.dev".into(),
                    username: kept.username().into(),
                    password: kept.password().into(),
                }],
                ..CreateBuildAnswer::default()
            })
        };
        for (push, platforms) in [
            ("true", "linux/amd64,linux/arm64"),
            ("false", "linux/amd64"),
        ] {
            let depot = place.depot_of_two(scenario()).await;
            let context = small_context();
            let run = Program::of(&depot, context.path())
                .on(internet)
                .set("IMAGE", "own-registry.example.com/app:1")
                .set("PUSH", push)
                .set("PLATFORMS", platforms)
                .set("SAVE", "true")
                .set("SAVE_TAGS", "nightly")
                .set("REGISTRY", "own-registry.example.com")
                .set("REGISTRY_USERNAME", own.username())
                .set("REGISTRY_PASSWORD", own.password())
                .run()
                .await;
            let record = depot.record();
            let build = record.last_build().unwrap();
            let (project, tag) = (depot.project_id(), build.id.as_str());
            let reference = format!("registry.depot.dev/{project}:{tag}");
            let done = if push == "true" {
                "built, pushed and saved"
            } else {
                "built and saved"
            };
            run.expect(
                0,
                &[
                    done,
                    &format!("docker pull {reference}"),
                    "docker login registry.depot.dev --username x-token --password-stdin",
                ],
            );
            silent(&run, &[&kept, &own]);
            let saved = kept.manifest(project, tag).await.unwrap();
            assert!(
                run.log.contains(&format!("{reference}@{}", saved.digest)),
                "{}",
                run.log
            );
            let [options] = &build.options[..] else {
                panic!("{build:#?}");
            };
            assert!(options.save);
            assert_eq!(options.save_tags, ["nightly"]);
        }
        assert_eq!(own.tags("app").await.unwrap(), ["1"]);
        // Nobody came to either with the other's user.
        let users = internet
            .seen("registry.depot.dev")
            .into_iter()
            .filter_map(|seen| seen.user);
        assert!(users.into_iter().all(|user| user == kept.username()));
    });
}

#[test]
fn amazons_registries_are_entered_by_keys_and_by_the_steps_identity() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let moto = depot_standin::aws::Moto::start(&state_folder())
            .await
            .unwrap();
        let account = depot_standin::aws::ACCOUNT;
        let login = || Login::of("AWS", &format!("{account}-auth-token"));
        let hosts = ["eu-central-1", "us-west-2"]
            .map(|region| format!("{account}.dkr.ecr.{region}.amazonaws.com"));
        let mut registries = Vec::new();
        for host in &hosts {
            let registry = Registry::start_for(&state_folder(), login()).await.unwrap();
            internet.route(host, &registry.host());
            registries.push(registry);
        }
        let identity = "header.hunter2-identity.signature";
        for by_role in [false, true] {
            let depot = place.depot_of_two(Scenario::default()).await;
            let context = small_context();
            let program = program(&depot, internet, context.path())
                .set(
                    "IMAGE",
                    format!("{}/team/app:1 {}/team/app:1", hosts[0], hosts[1]),
                )
                .set(
                    "PLATFORMS",
                    if by_role {
                        "linux/amd64,linux/arm64"
                    } else {
                        "linux/amd64"
                    },
                )
                .set("AWS_ENDPOINT_URL", moto.endpoint())
                .set("ECR_CREATE_REPOSITORY", "true");
            let program = if by_role {
                program
                    .set(
                        "AWS_OIDC_ROLE_ARN",
                        format!("arn:aws:iam::{account}:role/pipelines"),
                    )
                    .set("BITBUCKET_STEP_OIDC_TOKEN", identity)
            } else {
                program
                    .set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
                    .set("AWS_SECRET_ACCESS_KEY", "hunter2/secret+access+key")
            };
            let run = program.run().await;
            run.expect(0, &["built and pushed one image as 2 references"])
                .without("hunter2")
                .without(&format!("{account}-auth-token"));
            if !by_role {
                run.expect(0, &["made the repository `team/app`"]);
            }
            for registry in &registries {
                assert_eq!(registry.tags("team/app").await.unwrap(), ["1"]);
            }
        }
        for region in ["eu-central-1", "us-west-2"] {
            assert_eq!(moto.repositories(region).await.unwrap(), ["team/app"]);
        }
        // A base image from there, for whom nothing is pushed.
        let depot = place.depot(Scenario::default()).await;
        let context =
            Context::new(&format!("FROM {}/team/app:1\nCOPY file /again\n", hosts[0])).unwrap();
        context.file("file", "content\n").unwrap();
        let run = program(&depot, internet, context.path())
            .set("PUSH", "false")
            .set("AWS_ENDPOINT_URL", moto.endpoint())
            .set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .set("AWS_SECRET_ACCESS_KEY", "hunter2/secret+access+key")
            .run()
            .await;
        run.expect(0, &["FROM 123456789012.dkr.ecr", "COPY file /again"])
            .without("hunter2");
        // Keys that Amazon does not know end the build at once, though there is no machine yet.
        moto.check_signatures().await.unwrap();
        let slow = MachinePlan::default().pending(10_000, Duration::from_millis(100));
        let depot = place.depot(Scenario::default().machines(slow)).await;
        let context = small_context();
        let run = program(&depot, internet, context.path())
            .set("IMAGE", format!("{}/team/app:2", hosts[0]))
            .set("AWS_ENDPOINT_URL", moto.endpoint())
            .set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .set("AWS_SECRET_ACCESS_KEY", "hunter2/secret+access+key")
            .run()
            .await;
        run.expect(
            5,
            &[
                "Amazon refused GetAuthorizationToken",
                "hint: look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ],
        )
        .without("COPY file")
        .without("hunter2");
        moto.stop().await.unwrap();
    });
}

#[test]
fn a_role_without_the_steps_identity_is_told_before_anything_is_started() {
    with_place(async |place| {
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = Program::of(&depot, context.path())
            .set(
                "AWS_OIDC_ROLE_ARN",
                "arn:aws:iam::123456789012:role/pipelines",
            )
            .run()
            .await;
        run.expect(2, &["AWS_OIDC_ROLE_ARN", "`oidc: true`", "hint: "]);
        assert!(depot.record().calls.is_empty());
    });
}
