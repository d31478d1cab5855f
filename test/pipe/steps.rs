//! The environment of `RUN` steps: network, host names, limits, privileges and proxies.

use std::fs;
use std::sync::Arc;

use depot_ground::daemon::Release;
use depot_ground::engine::{Engine, EngineChoice, EngineOptions, Grants, state_folder};
use depot_ground::fixtures::Context;
use depot_ground::skopeo::Skopeo;
use depot_ground::traffic::Traffic;
use local_depot::{Builder, LocalDepot, MachinePlan, Scenario, solve_requests};
use serde_json::json;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::place::{Place, small_context, with_place};
use super::program::{Program, Run};

/// Runs a build with these variables.
pub async fn run(place: &Place, context: &Context, variables: &[(&str, &str)]) -> Run {
    let depot = place.depot(Scenario::default()).await;
    let run = program(&depot, context, variables).run().await;
    depot.check().unwrap();
    run
}

pub fn program(depot: &LocalDepot, context: &Context, variables: &[(&str, &str)]) -> Program {
    let program = Program::of(depot, context.path());
    let variables = variables.iter();
    variables.fold(program, |program, (name, value)| program.set(name, value))
}

/// An engine that grants `security.insecure` but not `network.host`.
pub async fn unusual_engine() -> Arc<Engine> {
    static ENGINE: OnceCell<Arc<Engine>> = OnceCell::const_new();
    let start = async || {
        let options = EngineOptions {
            choice: EngineChoice::Own,
            grants: Grants {
                network_host: false,
                security_insecure: true,
            },
            ..EngineOptions::of_this_machine()
        };
        Arc::new(Engine::start(&options).await.unwrap())
    };
    ENGINE.get_or_init(start).await.clone()
}

/// Runs a build on that engine.
pub async fn run_on_unusual(context: &Context, variables: &[(&str, &str)]) -> Run {
    let engine: Arc<dyn Builder> = unusual_engine().await;
    let depot = LocalDepot::start(engine, Scenario::default()).await;
    let depot = depot.unwrap();
    program(&depot, context, variables).run().await
}

#[test]
fn steps_have_the_host_names_limits_and_shared_memory_of_the_variables() {
    with_place(async |place| {
        let lines = format!(
            "ARG MARK={}\n\
             RUN cat /etc/hosts; echo \"limits $(ulimit -Sn):$(ulimit -Hn) $(ulimit -Sc)\"; df -k /dev/shm | tail -n 1",
            Uuid::new_v4()
        );
        let context = place.busybox_context(&lines);
        let variables = [
            ("ADD_HOSTS_COUNT", "2"),
            ("ADD_HOSTS_0", "DB.example.com:10.0.0.5"),
            ("ADD_HOSTS_1", "six=[2001:db8::7]"),
            ("ULIMITS", "nofile=1000:2000, core=0"),
            ("SHM_SIZE", "12m"),
        ];
        let run = run(place, &context, &variables).await;
        run.expect(
            0,
            &[
                "10.0.0.5\tdb.example.com",
                "2001:db8::7\tsix",
                "limits 1000:2000 0",
                " 12288 ",
            ],
        );
    });
}

#[test]
fn steps_have_the_network_of_the_variable() {
    with_place(async |place| {
        let context = place.busybox_context(
            "RUN echo \"network: $(ls /sys/class/net | tr '\\n' ' ')$(readlink /proc/self/ns/net)\"",
        );
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let own = own.to_str().unwrap();
        run(place, &context, &[("NETWORK", "none")])
            .await
            .expect(0, &["network: lo net:["])
            .without(own);
        run(place, &context, &[("NETWORK", "default")])
            .await
            .expect(0, &["eth0"])
            .without(own);
        // Another engine may run in another network than the tests.
        if place.internet().is_some() {
            run(place, &context, &[("NETWORK", "host")])
                .await
                .expect(0, &[own]);
        }
    });
}

#[test]
fn a_step_gets_the_network_of_the_builder_only_if_it_is_allowed() {
    with_place(async |place| {
        let context = place.busybox_context(&format!(
            "ARG MARK={}\nRUN --network=host echo \"ran-$((1 + 1))\"",
            Uuid::new_v4()
        ));
        run(place, &context, &[]).await.expect(
            1,
            &[
                "network.host is not allowed",
                "hint: a step with `RUN --network=host` requires a privilege: add `network.host` to ALLOW",
            ],
        );
        run(place, &context, &[("ALLOW", "network.host")])
            .await
            .expect(0, &["ran-2"]);
    });
}

#[test]
fn the_archive_of_an_image_is_exported_with_the_same_privileges() {
    with_place(async |place| {
        // Docker 20.10 cannot read layers in zstd, so the builder exports an archive, in a request of its own.
        let Ok(skopeo) = Skopeo::fetch(&state_folder()).await else {
            assert!(std::env::var_os("CI").is_none(), "no skopeo");
            return;
        };
        let (base, zstd) = (place.image("allowed-base"), place.image("allowed-zstd"));
        let registry = &place.registry;
        let context = place.busybox_context("RUN --network=host date > /date");
        let depot = place.depot(Scenario::default()).await;
        let pushing = program(&depot, &context, &[("ALLOW", "network.host")]).push(&base, registry);
        pushing.run().await.expect(0, &["built and pushed"]);
        let compressed = skopeo.compress_with_zstd(&base, &zstd, registry.login());
        compressed.await.unwrap();
        let context = Context::new(&format!(
            "FROM {zstd}\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\nRUN --network=host echo \"ran-$((1 + 1))\"\n"
        ))
        .unwrap();
        let daemon = place.daemon(Release::Docker20).await;
        let traffic = Traffic::default();
        let plan = MachinePlan::default().recorded(&traffic);
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let variables = [
            ("ALLOW", "network.host"),
            ("NO_CACHE", "true"),
            ("REGISTRY", &*registry.host()),
            ("REGISTRY_USERNAME", registry.username()),
            ("REGISTRY_PASSWORD", registry.password()),
        ];
        let loading =
            program(&depot, &context, &variables).load("allowed:test", &daemon.docker_host());
        loading
            .run()
            .await
            .expect(0, &["ran-2", "exporting the image from the builder"]);
        let requests = solve_requests(&traffic);
        let exporters: Vec<&str> = requests.iter().map(|request| &*request.exporter).collect();
        assert_eq!(exporters, ["image", "docker"]);
        assert_eq!(requests[1].entitlements, ["network.host"]);
    });
}

#[test]
fn a_privilege_that_the_builder_does_not_grant_causes_a_hint() {
    with_place(async |place| {
        let context = small_context();
        let refused = "is not allowed by build daemon configuration";
        run_on_unusual(&context, &[("NETWORK", "host")])
            .await
            .expect(
                1,
                &[
                    refused,
                    "hint: the builder does not grant its network to steps: remove `NETWORK: host`",
                ],
            );
        run_on_unusual(&context, &[("ALLOW", "network.host")])
            .await
            .expect(1, &[refused, "hint: the builder does not grant `network.host` to steps: remove it from ALLOW"]);
        run_on_unusual(&context, &[("ALLOW", "security.insecure")])
            .await
            .expect(0, &["built"]);
        // Docker Engine does not grant it by default.
        if place.internet().is_some() {
            run(place, &context, &[("ALLOW", "security.insecure")])
                .await
                .expect(
                    1,
                    &[
                        refused,
                        "hint: the builder does not grant `security.insecure` to steps",
                    ],
                );
        }
    });
}

/// The config of an image in the shared registry, as text.
pub async fn config(place: &Place, repository: &str) -> String {
    let index = place.registry.manifest(repository, "test").await.unwrap();
    let index = index.json().unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest = place.registry.manifest(repository, digest).await.unwrap();
    let manifest = manifest.json().unwrap();
    let digest = manifest["config"]["digest"].as_str().unwrap();
    let blob = place.registry.blob(repository, digest).await.unwrap();
    String::from_utf8(blob.to_vec()).unwrap()
}

#[test]
fn steps_have_the_proxies_of_a_docker_configuration_and_no_log_shows_their_password() {
    with_place(async |place| {
        let context = place.busybox_context(
            "RUN env | grep -i _proxy | sort; echo \"length ${#HTTP_PROXY}\"; echo \"$HTTP_PROXY\" | base64",
        );
        let address = "http://robot:p%40ss-of-proxy@proxy.example.com:3128";
        let file = json!({ "proxies": { "default": { "httpProxy": address, "noProxy": "localhost,.example.com" } } });
        context
            .file("docker/config.json", file.to_string())
            .unwrap();
        let image = place.image("of-proxies");
        let depot = place.depot(Scenario::default()).await;
        let run = program(
            &depot,
            &context,
            &[
                ("DOCKER_CONFIG", "docker"),
                ("BUILD_ARGS", "no_proxy=mine"),
                ("DEBUG", "true"),
                ("NO_CACHE", "true"),
            ],
        )
        .push(&image, &place.registry)
        .run()
        .await;
        run.expect(
            0,
            &[
                "HTTP_PROXY=http://robot:***@proxy.example.com:3128",
                "http_proxy=http://robot:***@proxy.example.com:3128",
                "no_proxy=mine",
                &format!("length {}", address.len()),
                // Docker Engine does not report it.
                "DEBUG: the builder r",
            ],
        )
        .without("p%40ss-of-proxy")
        .without("p@ss-of-proxy")
        .without(".example.com,")
        .without("localhost,.example.com");
        let config = config(place, "of-proxies").await;
        assert!(
            !config.contains("ss-of-proxy") && !config.contains("proxy.example.com"),
            "{config}"
        );
    });
}

#[test]
fn every_builder_gets_the_same_request() {
    with_place(async |place| {
        let traffic = Traffic::default();
        let plan = MachinePlan::default().recorded(&traffic);
        let depot = place.depot_of_two(Scenario::default().machines(plan)).await;
        let context = Context::new(
            "FROM scratch AS base\nCOPY --from=named file /\nFROM base\nCOPY Dockerfile /\n",
        )
        .unwrap();
        context.file("named/file", "content").unwrap();
        let variables = [
            ("PLATFORMS", "linux/amd64, linux/arm64"),
            ("NO_CACHE_FILTER", "base"),
            ("PULL", "true"),
            ("SOURCE_DATE_EPOCH", "1700000000"),
            ("NETWORK", "host"),
            ("ADD_HOSTS", "db:10.0.0.5"),
            ("SHM_SIZE", "64m"),
            ("ULIMITS", "nofile=1000"),
            ("CGROUP_PARENT", "/builds"),
            ("BUILD_CONTEXTS", "named=named"),
        ];
        program(&depot, &context, &variables)
            .run()
            .await
            .expect(0, &["built"]);
        let requests = solve_requests(&traffic);
        assert_eq!(requests.len(), 2);
        for request in &requests {
            assert_eq!(request.entitlements, ["network.host"]);
            for (name, value) in [
                ("no-cache", "base"),
                ("image-resolve-mode", "pull"),
                ("build-arg:SOURCE_DATE_EPOCH", "1700000000"),
                ("force-network-mode", "host"),
                ("add-hosts", "db=10.0.0.5"),
                ("shm-size", "67108864"),
                ("ulimit", "nofile=1000:1000"),
                ("cgroup-parent", "/builds"),
                ("frontend.caps", "moby.buildkit.frontend.contexts+forward"),
            ] {
                let sent = request.attributes.get(name).map(String::as_str);
                assert_eq!(sent, Some(value), "{name}");
            }
        }
        // Without variables, no attribute is sent.
        let traffic = Traffic::default();
        let plan = MachinePlan::default().recorded(&traffic);
        let depot = place.depot(Scenario::default().machines(plan)).await;
        let program = Program::of(&depot, context.path()).set("TARGET", "base");
        let program = program.set("BUILD_CONTEXTS", "named=named");
        program.run().await.expect(0, &["built"]);
        let [request] = &solve_requests(&traffic)[..] else {
            panic!("not one request");
        };
        assert_eq!(request.entitlements, [""; 0]);
        let sent: Vec<&str> = request.attributes.keys().map(String::as_str).collect();
        assert_eq!(
            sent,
            [
                "attest:provenance",
                "build-arg:DEPOT_TARGET",
                "context:named",
                "filename",
                "frontend.caps",
                "target"
            ]
        );
    });
}
