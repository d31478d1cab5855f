//! Images that are copied instead of built, between real registries. Faults are in `promote_faults.rs`.

use std::collections::BTreeSet;

use depot_ground::daemon::Release;
use depot_ground::engine::state_folder;
use depot_ground::internet::{Internet, Planned, RegistryFault};
use depot_ground::registry::tokens::{TokenPlan, TokenRegistry};
use depot_ground::registry::{Login, Registry};
use depot_ground::skopeo::Skopeo;
use http::Method;
use local_depot::{Method as CallOf, PullInfo, Scenario};

use super::loading::{layers, noise};
use super::on_internet::{assert_only_user, list, registry, saving_at, silent};
use super::place::{Place, small_context, with_place};
use super::program::{Program, Run};

/// The memory limit of a copy, in KiB. The debug build itself uses 30 MiB.
const MEMORY_LIMIT_KIB: u64 = 100 << 10;

/// The program outside of a clone, with nothing but the logins.
pub fn promote(internet: &Internet, source: &str, logins: &[(&str, &Registry)]) -> Program {
    let nowhere = std::env::temp_dir();
    Program::in_directory(&nowhere)
        .on(internet)
        .set("SOURCE_IMAGE", source)
        .set("REGISTRIES", list(logins))
}

/// Builds an image with attestations for two platforms, under `name` at this host. Returns its digest.
pub async fn build(place: &Place, internet: &Internet, name: &str, registry: &Registry) -> String {
    let depot = place.depot_of_two(Scenario::default()).await;
    let context = layers(&[
        ("one", noise(name, 300_000)),
        ("two", noise("two", 100_000)),
    ]);
    let run = Program::of(&depot, context.path())
        .on(internet)
        .set("IMAGE", name)
        .set("PUSH", "true")
        .set("PLATFORMS", "linux/amd64,linux/arm64")
        .set("PROVENANCE", "max")
        .set(
            "REGISTRIES",
            list(&[(name.split('/').next().unwrap(), registry)]),
        )
        .run()
        .await;
    run.expect(0, &["built and pushed"]);
    let (_, rest) = name.split_once('/').unwrap();
    let (repository, tag) = rest.split_once(':').unwrap();
    registry.manifest(repository, tag).await.unwrap().digest
}

/// The methods and paths of requests to a host that contain a text, without repetitions.
fn requests(internet: &Internet, host: &str, method: &Method, part: &str) -> BTreeSet<String> {
    let seen = internet.seen(host).into_iter();
    let seen = seen.filter(|seen| seen.method == *method && seen.path.contains(part));
    seen.map(|seen| seen.path).collect()
}

/// Reads the image back with skopeo, and compares the digest.
async fn assert_same(registry: &Registry, repository: &str, tag: &str, digest: &str) {
    let manifest = registry.manifest(repository, tag).await.unwrap();
    assert_eq!(manifest.digest, digest);
    let skopeo = Skopeo::fetch(&state_folder()).await.unwrap();
    let reference = format!("{}/{repository}:{tag}", registry.host());
    let index = skopeo
        .read_back(&reference, registry.login())
        .await
        .unwrap();
    let entries = index["manifests"].as_array().unwrap().len();
    assert_eq!(entries, 4, "two platforms and two attestations: {index}");
}

#[test]
fn an_image_is_copied_unchanged_with_all_platforms_and_attestations() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let (near, far) = ("near.promote.example.com", "far.promote.example.com");
        let (source, target) = (
            registry(internet, near).await,
            registry(internet, far).await,
        );
        let digest = build(place, internet, &format!("{near}/app:1"), &source).await;
        let logins = [(near, &source), (far, &target)];
        let clone = small_context();
        let run = async |source: &str| {
            let run = promote(internet, source, &logins)
                .set(
                    "IMAGE",
                    format!("{far}/prod:1.0 {far}/prod:latest {far}/other:1 {near}/prod:1"),
                )
                .set("BITBUCKET_CLONE_DIR", clone.path())
                .set("OUTPUT_FILE", clone.path().join("out.env"))
                .set("METADATA_FILE", clone.path().join("out.json"))
                .set("IID_FILE", clone.path().join("out.id"))
                .set("SUMMARY_FILE", clone.path().join("summary.json"))
                .run()
                .await;
            silent(&run, &[logins[0].1, logins[1].1]);
            run
        };
        let by_digest = format!("{near}/app@{digest}");
        let first = run(&by_digest).await;
        let copied = format!("\n  {far}/prod:1.0@{digest}\n");
        first.expect(
            0,
            &[
                "copied one image as 4 references",
                &copied,
                "mounted, ",
                "[copy] ",
                "[source] reading ",
            ],
        );
        for (registry, repository, tag) in [
            (&target, "prod", "1.0"),
            (&target, "prod", "latest"),
            (&target, "other", "1"),
            (&source, "prod", "1"),
        ] {
            assert_same(registry, repository, tag, &digest).await;
        }
        let file = |name: &str| std::fs::read_to_string(clone.path().join(name)).unwrap();
        let values = file("out.env");
        assert!(
            values.contains(&format!("DEPOT_BUILD_IMAGE_DIGEST='{far}/prod@{digest}'")),
            "{values}"
        );
        assert!(
            values.contains("DEPOT_BUILD_DIGEST_LINUX_ARM64="),
            "{values}"
        );
        assert!(!values.contains("DEPOT_BUILD_ID="), "{values}");
        assert_eq!(file("out.id"), digest);
        let metadata: serde_json::Value = serde_json::from_str(&file("out.json")).unwrap();
        assert_eq!(metadata["containerimage.digest"], digest.as_str());
        let summary: serde_json::Value = serde_json::from_str(&file("summary.json")).unwrap();
        assert_eq!(summary["origin"], "copied");
        assert_eq!(summary["build"], serde_json::Value::Null);
        let image = &summary["images"][0];
        assert_eq!(image["names"].as_array().unwrap().len(), 4, "{summary}");
        assert_eq!(image["names"][0]["digest"], digest.as_str());
        assert_eq!(image["platforms"][1]["platform"], "linux/arm64");
        // Nothing is sent to a registry that has the image, and nothing was sent within one registry.
        assert_eq!(
            requests(internet, near, &Method::PUT, "/prod/blobs/"),
            BTreeSet::new()
        );
        let uploads = requests(internet, far, &Method::PUT, "/blobs/uploads/");
        assert!(
            uploads.iter().all(|path| path.contains("/prod/")),
            "{uploads:?}"
        );
        let second = run(&format!("{near}/app:1")).await;
        second.expect(
            0,
            &[
                "0 blobs copied (0B), 0 mounted, 0 already exist",
                "copied one image",
            ],
        );
        assert_eq!(
            requests(internet, far, &Method::PUT, "/blobs/uploads/"),
            uploads
        );
    });
}

#[test]
fn a_large_layer_is_copied_with_little_memory() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let (near, far) = ("near.large.example.com", "far.large.example.com");
        let (source, target) = (
            registry(internet, near).await,
            registry(internet, far).await,
        );
        let depot = place.depot(Scenario::default()).await;
        let context = place.busybox_context("RUN head -c 400000000 /dev/zero > /large");
        let logins = [(near, &source), (far, &target)];
        let built = Program::of(&depot, context.path())
            .on(internet)
            .set("IMAGE", format!("{near}/app:1"))
            .set("PUSH", "true")
            .set("COMPRESSION", "uncompressed")
            .set("REGISTRIES", list(&logins))
            .run()
            .await;
        built.expect(0, &["built and pushed"]);
        let mut running = promote(internet, &format!("{near}/app:1"), &logins)
            .set("IMAGE", format!("{far}/app:1"))
            .start();
        running.until("blobs copied (4").await;
        let peak_kib = running.peak_kib();
        let run = running.end().await;
        run.expect(0, &["copied far.large.example.com/app:1@"]);
        assert!(peak_kib > 0 && peak_kib < MEMORY_LIMIT_KIB, "{peak_kib}");
        let digest = source.manifest("app", "1").await.unwrap().digest;
        assert_eq!(target.manifest("app", "1").await.unwrap().digest, digest);
    });
}

#[test]
fn a_registry_with_tokens_mounts_blobs_of_a_repository_that_the_login_can_read() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let tokens = TokenRegistry::start(&state_folder(), TokenPlan::default())
            .await
            .unwrap();
        let near = "near.tokens.example.com";
        let source = registry(internet, near).await;
        let digest = build(place, internet, &format!("{near}/app:1"), &source).await;
        let host = tokens.host();
        let owner = tokens.owner();
        let copy = async |from: &str, to: &str| {
            promote(internet, from, &[(near, &source)])
                .set("NO_PROXY", "127.0.0.1,localhost")
                .set("REGISTRY", host)
                .set("REGISTRY_USERNAME", owner.username())
                .set("REGISTRY_PASSWORD", owner.password())
                .set("IMAGE", to)
                .run()
                .await
        };
        let run = copy(&format!("{near}/app:1"), &format!("{host}/team/app:1")).await;
        run.expect(0, &[" 0 mounted, 0 already exist"])
            .without(owner.password());
        let run = copy(&format!("{host}/team/app:1"), &format!("{host}/prod/app:1")).await;
        run.expect(0, &["0 blobs copied (0B), "])
            .without(" 0 mounted");
        assert_eq!(
            tokens.manifest("prod/app", "1").await.unwrap().digest,
            digest
        );
    });
}

#[test]
fn repositories_of_one_registry_have_logins_of_their_own() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let tokens = TokenRegistry::start(&state_folder(), TokenPlan::default()).await;
        let tokens = tokens.unwrap();
        let (host, owner, reader) = (tokens.host(), tokens.owner(), tokens.reader());
        let entry = |prefix: &str, login: &Login| {
            let (username, password) = (login.username(), login.password());
            format!(
                "- {{registry: {host}/{prefix}, username: {username}, password: '{password}'}}\n"
            )
        };
        let right = entry("team", reader) + &entry("team/prod", owner);
        let wrong = entry("team", owner) + &entry("team/prod", reader);
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let build = async |logins: &str| {
            Program::of(&depot, context.path())
                .set("IMAGE", format!("{host}/team/prod/app:1"))
                .set("PUSH", "true")
                .set("REGISTRIES", logins)
                .run()
                .await
        };
        build(&wrong).await.expect(5, &["hint: "]);
        build(&right).await.expect(0, &["built and pushed"]);
        let copy = async |logins: &str| {
            promote(internet, &format!("{host}/team/prod/app:1"), &[])
                .set("NO_PROXY", "127.0.0.1,localhost")
                .set("IMAGE", format!("{host}/team/prod/copy:1"))
                .set("REGISTRIES", logins)
                .run()
                .await
        };
        copy(&wrong).await.expect(5, &["failed to copy", "hint: "]);
        let run = copy(&right).await;
        run.expect(0, &["copied "]).without(owner.password());
    });
}

#[test]
fn an_image_is_loaded_from_its_registry_without_the_layers_that_the_daemon_has() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let near = "near.loads.example.com";
        let source = registry(internet, near).await;
        build(place, internet, &format!("{near}/app:1"), &source).await;
        for release in Release::ALL {
            let daemon = place.daemon(release).await;
            let name = format!("acme/promoted-{release:?}:1").to_lowercase();
            let load = async || -> Run {
                promote(internet, &format!("{near}/app:1"), &[(near, &source)])
                    .load(&name, &daemon.docker_host())
                    .set("NO_PROXY", "127.0.0.1,localhost")
                    .set("PUSH", "false")
                    .run()
                    .await
            };
            load().await.expect(
                0,
                &[
                    "of 2 layers already exist",
                    "loaded docker.io/acme/promoted",
                ],
            );
            assert!(daemon.image(&name).await.unwrap().is_some());
            load()
                .await
                .expect(0, &["2 of 2 layers already exist, sending 0"]);
        }
    });
}

#[test]
fn a_build_whose_names_exist_is_skipped() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let near = "near.skips.example.com";
        let source = registry(internet, near).await;
        let depot = place.depot(Scenario::default()).await;
        let context = small_context();
        let run = async |names: &str| {
            Program::of(&depot, context.path())
                .on(internet)
                .set("IMAGE", names)
                .set("PUSH", "true")
                .set("SKIP_IF_EXISTS", "true")
                .set("OUTPUT_FILE", "out.env")
                .set("SUMMARY_FILE", "summary.json")
                .set("REGISTRIES", list(&[(near, &source)]))
                .run()
                .await
        };
        let builds = || depot.record().calls_of(CallOf::CreateBuild).count();
        let (one, two) = (
            format!("{near}/app:1"),
            format!("{near}/app:1 {near}/app:2"),
        );
        run(&one)
            .await
            .expect(0, &["does not exist yet", "built and pushed"]);
        let digest = source.manifest("app", "1").await.unwrap().digest;
        let skipped = run(&one).await;
        skipped.expect(
            0,
            &["nothing is built", &format!("found {near}/app:1@{digest}")],
        );
        assert_eq!(builds(), 1);
        let values = std::fs::read_to_string(context.path().join("out.env")).unwrap();
        assert!(
            values.contains(&format!("DEPOT_BUILD_DIGEST='{digest}'")),
            "{values}"
        );
        let summary = std::fs::read(context.path().join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
        assert_eq!(summary["origin"], "existing");
        assert_eq!(summary["images"][0]["names"][0]["digest"], digest.as_str());
        run(&two)
            .await
            .expect(0, &["`near.skips.example.com/app:2` does not exist yet"]);
        run(&two)
            .await
            .expect(0, &["nothing is built", "found one image as 2 references"]);
        assert_eq!(builds(), 2);
        // Another image under one of the names.
        context.file("file", "other\n").unwrap();
        run(&format!("{near}/app:3"))
            .await
            .expect(0, &["built and pushed"]);
        run(&format!("{one} {near}/app:3"))
            .await
            .expect(0, &["are different images", "built and pushed"]);
        let refusal = RegistryFault::Answer(403, Vec::new());
        for method in [Method::HEAD, Method::GET] {
            internet.plan(Planned {
                host: near.to_owned(),
                method,
                path_part: "/app/manifests/1",
                times: 1,
                fault: refusal.clone(),
            });
        }
        run(&one).await.expect(
            0,
            &[
                "cannot look up `near.skips.example.com/app:1`",
                "built and pushed",
            ],
        );
    });
}

#[test]
fn a_saved_build_is_copied_with_the_login_from_depot() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let far = "far.saved-promote.example.com";
        let depots = registry(internet, "registry.promote.depot.dev").await;
        let target = registry(internet, far).await;
        let scenario = saving_at("registry.promote.depot.dev", &depots).pull(PullInfo {
            reference: "registry.promote.depot.dev/{project_id}:{build_id}".into(),
            username: depots.username().to_owned(),
            password: depots.password().to_owned(),
        });
        let depot = place.depot(scenario).await;
        let context = small_context();
        let built = Program::of(&depot, context.path())
            .on(internet)
            .set("SAVE", "true")
            .run()
            .await;
        built.expect(0, &["built and saved"]);
        let id = depot.record().last_build().unwrap().id.clone();
        let copy = async |id: &str| {
            Program::of(&depot, context.path())
                .on(internet)
                .set("SOURCE_IMAGE", format!("depot:{id}"))
                .set("IMAGE", format!("{far}/app:1"))
                .set("REGISTRIES", list(&[(far, &target)]))
                .run()
                .await
        };
        let run = copy(&id).await;
        run.expect(
            0,
            &[
                "finding the image of build",
                "copied far.saved-promote.example.com/app:1@",
            ],
        );
        silent(&run, &[&depots, &target]);
        let digest = depots
            .manifest(depot.project_id(), &id)
            .await
            .unwrap()
            .digest;
        assert_eq!(target.manifest("app", "1").await.unwrap().digest, digest);
        assert_only_user(internet, "registry.promote.depot.dev", depots.username());
        copy("unknown")
            .await
            .expect(3, &["hint: check the id in SOURCE_IMAGE"]);
        assert_eq!(depot.record().calls_of(CallOf::CreateBuild).count(), 1);
    });
}

#[test]
fn wrong_images_and_variables_are_reported() {
    with_place(async |place| {
        let Some(internet) = place.internet() else {
            return;
        };
        let near = "near.wrong.example.com";
        let source = registry(internet, near).await;
        let logins = [(near, &source)];
        let run = promote(internet, &format!("{near}/missing:1"), &logins)
            .set("IMAGE", format!("{near}/app:1"))
            .run()
            .await;
        run.expect(
            5,
            &[
                "cannot read the image `near.wrong.example.com/missing:1`",
                "hint: check SOURCE_IMAGE",
            ],
        );
        let run = promote(internet, &format!("{near}/missing:1"), &logins)
            .set("IMAGE", format!("{near}/app:1"))
            .set(
                "REGISTRIES",
                list(&[(near, &source)]).replace(source.password(), "hunter2-wrong"),
            )
            .run()
            .await;
        run.expect(5, &["HTTP 401", "hint: check", "REGISTRIES"])
            .without("hunter2-wrong");
        let run = promote(internet, "acme/app:1", &logins)
            .set("CONTEXT", "app")
            .set("BUILD_ARGS", "A=1")
            .set("SAVE", "true")
            .run()
            .await;
        run.expect(
            2,
            &[
                "IMAGE: not set, so SOURCE_IMAGE has no destination",
                "CONTEXT: set, but SOURCE_IMAGE is set too",
                "BUILD_ARGS: set, but",
                "SAVE: set, but",
            ],
        );
    });
}
