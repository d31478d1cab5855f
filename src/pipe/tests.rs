//! Several images in one run, on the local Depot with real builders. No variable offers that yet, so the plans are made here.

mod insights;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use depot_ground::engine::{Engine, EngineOptions, state_folder};
use depot_ground::fixtures::{BUSYBOX_BASE, Busybox, Context};
use depot_ground::registry::Registry;
use local_depot::{
    Architecture, BuildState, Builder, Line, LocalDepot, MachinePlan, Method, Record, Scenario,
};

use super::run;
use crate::cancel::Cancel;
use crate::config::plan::{ContextPlan, DockerfilePlan, DockerfileSource, ImagePlan};
use crate::config::{self, Plan};
use crate::exit::Exit;
use crate::registry::reference::Reference;
use crate::report::log::subscriber;
use crate::report::output::{Output, OutputOptions};
use crate::ssh::{Agent, Agents};

/// Builders for both architectures, a registry, and busybox.
struct Ground {
    builders: [Arc<dyn Builder>; 2],
    registry: Registry,
    busybox: Busybox,
}

impl Ground {
    async fn start() -> Self {
        let start = async || {
            Engine::start(&EngineOptions::of_this_machine())
                .await
                .unwrap()
        };
        let (first, second) = (start().await, start().await);
        let registry = Registry::start_beside(&first, &state_folder()).await;
        let busybox = Busybox::fetch_beside(&first, &state_folder()).await;
        Self {
            registry: registry.unwrap(),
            busybox: busybox.unwrap(),
            builders: [Arc::new(first), Arc::new(second)],
        }
    }

    async fn depot(&self, scenario: Scenario) -> LocalDepot {
        let [first, second] = self.builders.clone();
        LocalDepot::start_on(first, second, scenario).await.unwrap()
    }

    /// A plan with these images, pushed to the registry. The names are those of stages.
    fn plan(&self, depot: &LocalDepot, context: &Context, names: &[&str], platforms: &str) -> Plan {
        let host = self.registry.host();
        let image = format!("{host}/many/app:1");
        let variables = [
            ("DEPOT_API_URL", depot.api_url()),
            ("DEPOT_TOKEN", depot.token()),
            ("DEPOT_PROJECT_ID", depot.project_id()),
            ("IMAGE", &*image),
            ("PUSH", "true"),
            ("REGISTRY", &*host),
            ("REGISTRY_USERNAME", self.registry.username()),
            ("REGISTRY_PASSWORD", self.registry.password()),
            ("PLATFORMS", platforms),
        ];
        let variables =
            variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let (mut plan, _warnings) = config::read(variables, context.path()).unwrap();
        let only = plan.images.pop().unwrap();
        plan.images = names
            .iter()
            .map(|&name| {
                let mut image = only.clone();
                name.clone_into(&mut image.name);
                image.build.target = Some(name.to_owned());
                let reference = format!("{host}/many/{name}:1");
                image.destinations.references = vec![Reference::parse(&reference).unwrap()];
                image
            })
            .collect();
        plan
    }
}

/// The result of a run.
struct Ended {
    exit: Exit,
    log: String,
    record: Record,
    took: Duration,
}

async fn run_plan(plan: &Plan, depot: &LocalDepot, cancel: &Cancel) -> Ended {
    let (output, log) = Output::captured(OutputOptions::default());
    let _subscriber = tracing::subscriber::set_default(subscriber(output.clone(), true));
    let begun = Instant::now();
    let exit = run(plan, &output, cancel).await;
    let ended = Ended {
        exit,
        log: log.text(),
        record: depot.record(),
        took: begun.elapsed(),
    };
    depot.check().unwrap();
    ended
}

/// The machines that a record's calls of `GetBuildKitConnection` are for.
fn acquisitions(record: &Record) -> usize {
    record.calls_of(Method::GetBuildKitConnection).count()
}

/// Uses another Dockerfile of the same clone.
fn with_dockerfile(image: &mut ImagePlan, context: &Context, name: &str) {
    let ContextPlan::Directory(_, dockerfile) = &mut image.build.context else {
        panic!("the context is not a directory");
    };
    *dockerfile = DockerfilePlan {
        name: name.rsplit('/').next().unwrap().to_owned(),
        source: DockerfileSource::File(context.path().canonicalize().unwrap().join(name)),
        ignore_file: None,
    };
}

#[tokio::test]
async fn three_images_share_a_build_its_machines_and_their_context() {
    let ground = Ground::start().await;
    let depot = ground.depot(Scenario::default()).await;
    let stages = "FROM scratch AS api\nCOPY . /api\nFROM scratch AS web\nCOPY . /web\n";
    let context = Context::new(stages).unwrap();
    context.file("file", "of three images\n").unwrap();
    let other = "FROM scratch AS job\nCOPY . /job\n";
    context.file("job/Dockerfile", other).unwrap();
    let both = "linux/amd64,linux/arm64";
    let mut plan = ground.plan(&depot, &context, &["api", "web", "job"], both);
    with_dockerfile(&mut plan.images[2], &context, "job/Dockerfile");

    let ended = run_plan(&plan, &depot, &Cancel::new()).await;
    assert_eq!(ended.exit, Exit::Success, "{}", ended.log);
    let record = &ended.record;
    assert_eq!(record.calls_of(Method::CreateBuild).count(), 1);
    assert_eq!(record.calls_of(Method::FinishBuild).count(), 1);
    assert_eq!(acquisitions(record), 2, "{}", ended.log);
    assert_eq!(record.connections.len(), 2);
    let build = record.last_build().unwrap();
    assert_eq!(build.state, BuildState::Succeeded);
    assert_eq!(build.options.len(), 3);
    // A machine reports its health at the start and then every five seconds.
    let most = 1 + ended.took.as_secs() / 5;
    for machine in [Architecture::Amd64, Architecture::Arm64] {
        let reports = build.health.iter().filter(|&&of| of == machine).count();
        assert!((1..=most).contains(&(reports as u64)), "{:?}", build.health);
    }
    for name in ["api", "web", "job"] {
        let index = ground.registry.manifest(&format!("many/{name}"), "1").await;
        let index = index.unwrap().json().unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), 4, "{index}");
        assert!(
            ended.log.contains(&format!("many/{name}:1@sha256:")),
            "{}",
            ended.log
        );
    }
    // On each machine: one context for all. The Dockerfiles and the ignore patterns are part of the requests.
    let requests = ended.log.matches("the builder requests").count();
    assert_eq!(requests, 2, "{}", ended.log);
}

#[tokio::test]
async fn a_lost_machine_is_acquired_once_for_all_images() {
    let ground = Ground::start().await;
    let slow = MachinePlan::default().line(Line {
        bits_per_second: Some(100_000_000),
        ..Line::default()
    });
    let depot = ground.depot(Scenario::default().machines(slow)).await;
    let stages = "FROM scratch AS api\nCOPY . /api\nFROM scratch AS web\nCOPY . /web\n\
                  FROM scratch AS job\nCOPY . /job\n";
    let context = Context::new(stages).unwrap();
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    })
    .take(16 << 20)
    .collect();
    context.file("noise", noise).unwrap();
    let plan = ground.plan(&depot, &context, &["api", "web", "job"], "linux/amd64");

    let cancel = Cancel::new();
    let running = run_plan(&plan, &depot, &cancel);
    let losing = async {
        let begun = |record: &Record| {
            let mut connections = record.connections.iter();
            connections.any(|connection| connection.received.get() > 4 << 20)
        };
        let limit = Duration::from_mins(1);
        depot
            .wait_for("some of the context", limit, begun)
            .await
            .unwrap();
        depot.machine(Architecture::Amd64).cut();
    };
    let (ended, ()) = tokio::join!(running, losing);
    assert_eq!(ended.exit, Exit::Success, "{}", ended.log);
    assert_eq!(
        ended.log.matches("connecting again").count(),
        1,
        "{}",
        ended.log
    );
    assert!(
        ended.log.contains("connecting again (1 of 2)"),
        "{}",
        ended.log
    );
    assert_eq!(acquisitions(&ended.record), 2);
    assert_eq!(ended.record.connections.len(), 2);
    assert_eq!(ended.record.calls_of(Method::CreateBuild).count(), 1);
    for name in ["api", "web", "job"] {
        let pushed = ground.registry.tags(&format!("many/{name}")).await;
        assert_eq!(pushed.unwrap(), ["1"]);
    }
}

#[tokio::test]
async fn an_image_that_fails_stops_the_others_and_is_named() {
    let ground = Ground::start().await;
    let depot = ground.depot(Scenario::default()).await;
    let sleep = "RUN [\"/bin/busybox\", \"sleep\", \"120\"]\n";
    let context = Context::on_busybox(&ground.busybox, "").unwrap();
    let base = "FROM scratch AS base\nCOPY busybox /bin/busybox\n";
    let stages = format!(
        "{base}FROM base AS api\n{sleep}FROM base AS web\nRUN [\"/bin/busybox\", \"false\"]\n\
         FROM base AS job\nENV JOB=1\n{sleep}"
    );
    context.file("Dockerfile", stages).unwrap();
    let plan = ground.plan(&depot, &context, &["api", "web", "job"], "linux/amd64");

    let ended = run_plan(&plan, &depot, &Cancel::new()).await;
    assert_eq!(ended.exit, Exit::BuildFailed, "{}", ended.log);
    let failure = "ERROR: image `web`: failed to build: process \"/bin/busybox false\"";
    assert!(ended.log.contains(failure), "{}", ended.log);
    assert_eq!(
        ended.log.matches("ERROR: image").count(),
        1,
        "{}",
        ended.log
    );
    let build = ended.record.last_build().unwrap();
    let BuildState::Failed(error) = &build.state else {
        panic!("{build:?}");
    };
    assert!(error.starts_with("image `web`: failed to build"), "{error}");
    for name in ["api", "web", "job"] {
        let pushed = ground.registry.tags(&format!("many/{name}")).await;
        assert!(pushed.is_err() || pushed.unwrap().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn names_of_finished_images_are_reported_when_another_image_fails() {
    let ground = Ground::start().await;
    let depot = ground.depot(Scenario::default()).await;
    let context = Context::on_busybox(&ground.busybox, "").unwrap();
    let stages = "FROM scratch AS quick\nCOPY busybox /bin/busybox\n\
                  FROM quick AS slow\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"sleep 5; exit 1\"]\n";
    context.file("Dockerfile", stages).unwrap();
    let plan = ground.plan(&depot, &context, &["quick", "slow"], "linux/amd64");

    let ended = run_plan(&plan, &depot, &Cancel::new()).await;
    assert_eq!(ended.exit, Exit::BuildFailed, "{}", ended.log);
    let pushed = format!("already pushed: {}/many/quick:1", ground.registry.host());
    assert!(ended.log.contains(&pushed), "{}", ended.log);
    assert!(ended.log.contains("ERROR: image `slow`: failed to build"));
    assert_eq!(ground.registry.tags("many/quick").await.unwrap(), ["1"]);
}

#[tokio::test]
async fn each_image_gets_its_own_secrets() {
    let ground = Ground::start().await;
    let depot = ground.depot(Scenario::default()).await;
    let context = Context::on_busybox(&ground.busybox, "").unwrap();
    let stage = |name: &str| {
        let base = BUSYBOX_BASE.replacen("FROM scratch", &format!("FROM scratch AS {name}"), 1);
        format!(
            "{base}RUN --mount=type=secret,id=token,required=true echo \"{name}: $(rev /run/secrets/token)\"\n"
        )
    };
    context
        .file("Dockerfile", stage("api") + &stage("web"))
        .unwrap();
    let mut plan = ground.plan(&depot, &context, &["api", "web"], "linux/amd64");
    for (image, value) in plan
        .images
        .iter_mut()
        .zip(["token=ipa-fo-terces", "token=bew-fo-terces"])
    {
        image.build.secrets = config::secrets::outcome(value).0;
    }

    let ended = run_plan(&plan, &depot, &Cancel::new()).await;
    assert_eq!(ended.exit, Exit::Success, "{}", ended.log);
    for line in ["api: secret-of-api", "web: secret-of-web"] {
        assert!(ended.log.contains(line), "{}", ended.log);
    }
}

#[tokio::test]
async fn each_image_gets_its_own_ssh_agents() {
    let ground = Ground::start().await;
    let depot = ground.depot(Scenario::default()).await;
    let context = Context::on_busybox(&ground.busybox, "").unwrap();
    let stage = |name: &str| {
        let base = BUSYBOX_BASE.replacen("FROM scratch", &format!("FROM scratch AS {name}"), 1);
        format!(
            "{base}RUN --mount=type=ssh,id=key test -S $SSH_AUTH_SOCK; echo \"{name}: code $?\"\n"
        )
    };
    let dockerfile = stage("api") + &stage("web");
    context.file("Dockerfile", dockerfile).unwrap();
    let mut plan = ground.plan(&depot, &context, &["api", "web"], "linux/amd64");
    let agent = ("key".to_owned(), Agent::Keys(Vec::new()));
    plan.images[1].build.ssh = Agents::new([agent]);

    let ended = run_plan(&plan, &depot, &Cancel::new()).await;
    assert_eq!(ended.exit, Exit::Success, "{}", ended.log);
    for line in ["api: code 1", "web: code 0"] {
        assert!(ended.log.contains(line), "{}", ended.log);
    }
}
