//! What all tests share: an engine, a registry, a busybox, and the runtime that they live on.

use std::io::Write;
use std::sync::{Arc, LazyLock, Once};

use depot_ground::daemon::{Daemon, Release};
use depot_ground::engine::{Engine, EngineOptions, state_folder};
use depot_ground::fixtures::{Busybox, Context};
use depot_ground::internet::{Internet, variables};
use depot_ground::registry::Registry;
use depot_ground::registry::tokens::{Realm, TokenPlan, TokenRegistry};
use local_depot::{Builder, LocalDepot, Machine, Scenario};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use super::own_image;

/// The shared parts. They end with the process: each hangs on a lifeline of its own.
pub struct Place {
    pub builder: Arc<dyn Builder>,
    second: OnceCell<Arc<dyn Builder>>,
    internet: Internet,
    hub: OnceCell<TokenRegistry>,
    daemons: [OnceCell<Daemon>; 3],
    own_image: OnceCell<()>,
    /// An engine that somebody else started knows nothing of our internet.
    has_internet: bool,
    pub registry: Registry,
    pub busybox: Busybox,
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// What is left out is told once.
static TOLD: Once = Once::new();

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    RUNTIME.block_on(async {
        let internet = Internet::start().await.unwrap();
        let options = options(&internet);
        let engine = Engine::start(&options).await.unwrap_or_else(|error| {
            panic!("no engine: {error:?} {}", error.hint().unwrap_or_default())
        });
        let registry = Registry::start_beside(&engine, &state_folder())
            .await
            .unwrap_or_else(|error| {
                panic!(
                    "no registry: {error:?} {}",
                    error.hint().unwrap_or_default()
                )
            });
        let busybox = Busybox::fetch_beside(&engine, &state_folder()).await;
        Place {
            has_internet: engine.is_own(),
            internet,
            hub: OnceCell::new(),
            daemons: [const { OnceCell::const_new() }; 3],
            own_image: OnceCell::new(),
            builder: Arc::new(engine),
            second: OnceCell::new(),
            registry,
            busybox: busybox.unwrap(),
        }
    })
});

/// Engines of our own go to the internet through ours.
fn options(internet: &Internet) -> EngineOptions {
    let environment = variables(&internet.proxy(), &internet.authority());
    EngineOptions {
        environment: environment.into(),
        ..EngineOptions::of_this_machine()
    }
}

/// Runs a test on the shared runtime, with the shared parts.
pub fn with_place<Test: AsyncFnOnce(&'static Place)>(test: Test) {
    let place = &*PLACE;
    RUNTIME.block_on(test(place));
}

impl Place {
    /// The internet that engines and the pipe are led to; `None` where the engine is somebody else's, which goes to the
    /// internet by itself. CI has one of ours.
    pub fn internet(&self) -> Option<&Internet> {
        let has_internet = self.has_internet;
        assert!(
            has_internet || std::env::var_os("CI").is_none(),
            "no engine of our own"
        );
        if !has_internet {
            // Not through `eprintln!`: what a passing test prints with that is not shown.
            TOLD.call_once(|| {
                let told = "left out: registries by their real names, since the machine's own engine builds\n";
                let _not_shown = std::io::stderr().write_all(told.as_bytes());
            });
        }
        has_internet.then_some(&self.internet)
    }

    /// A Depot of the test's own, in front of the shared engine.
    pub async fn depot(&self, scenario: Scenario) -> LocalDepot {
        LocalDepot::start(self.builder.clone(), scenario)
            .await
            .unwrap()
    }

    /// The same, with another engine for ARM64: Depot has separate machines, and two exports at once on one engine can
    /// get in each other's way.
    pub async fn depot_of_two(&self, scenario: Scenario) -> LocalDepot {
        let start = async || {
            let engine = Engine::start(&options(&self.internet)).await;
            let engine: Arc<dyn Builder> = Arc::new(engine.unwrap());
            engine
        };
        let second = self.second.get_or_init(start).await;
        LocalDepot::start_on(self.builder.clone(), second.clone(), scenario)
            .await
            .unwrap()
    }

    /// A daemon to load into, which other tests load into as well.
    pub async fn daemon(&self, release: Release) -> &Daemon {
        let start = async || Daemon::start(release, &state_folder()).await.unwrap();
        let at = Release::ALL.iter().position(|&known| known == release);
        self.daemons[at.unwrap()].get_or_init(start).await
    }

    /// Sees that the daemon with Docker 26 and the classic store has the pipe's own image.
    pub async fn own_image(&self) {
        let build = async || {
            let daemon = self.daemon(Release::Docker26).await;
            let run = own_image::build(self, daemon).await;
            run.expect(0, &["built and loaded"]);
        };
        self.own_image.get_or_init(build).await;
    }

    /// A registry with tokens, in the place of Docker Hub.
    pub async fn docker_hub(&self, internet: &Internet) -> &TokenRegistry {
        let start = async || {
            let realm = Realm::At("https://auth.docker.io/token");
            let plan = TokenPlan::default().realm(realm);
            let hub = TokenRegistry::start(&state_folder(), plan).await.unwrap();
            for host in ["registry-1.docker.io", "auth.docker.io"] {
                internet.route(host, hub.host());
            }
            hub
        };
        self.hub.get_or_init(start).await
    }

    /// A context whose Dockerfile has busybox's commands and these lines.
    pub fn busybox_context(&self, lines: &str) -> Context {
        Context::on_busybox(&self.busybox, lines).unwrap()
    }

    /// A reference in the shared registry that no other test has.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}:test", self.registry.host())
    }
}

/// A way to lose a machine.
pub type Lose = fn(&Machine);

/// A context with one file and a Dockerfile that copies it: the least there is to build.
pub fn small_context() -> Context {
    let context = Context::new("FROM scratch\nCOPY file /file\n").unwrap();
    context.file("file", "content\n").unwrap();
    context
}
