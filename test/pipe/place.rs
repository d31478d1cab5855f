//! Shared parts of all tests: an engine, a registry, a busybox, and the async runtime.

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

/// The shared parts. Each ends with the process, through a lifeline.
pub struct Place {
    pub builder: Arc<dyn Builder>,
    second: OnceCell<Arc<dyn Builder>>,
    internet: Internet,
    hub: OnceCell<TokenRegistry>,
    packages: OnceCell<Registry>,
    daemons: [OnceCell<Daemon>; 3],
    own_image: OnceCell<()>,
    /// Whether the engine uses the internet of the tests. An engine that the tests did not start does not.
    has_internet: bool,
    pub registry: Registry,
    pub busybox: Busybox,
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Skipped tests are reported once.
static SKIP_REPORT: Once = Once::new();

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
            packages: OnceCell::new(),
            daemons: [const { OnceCell::const_new() }; 3],
            own_image: OnceCell::new(),
            builder: Arc::new(engine),
            second: OnceCell::new(),
            registry,
            busybox: busybox.unwrap(),
        }
    })
});

/// The options of our own engines, which use the internet of the tests.
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
    /// The internet of the tests. `None` if the tests did not start the engine, which then uses the real internet. CI always
    /// has our own engine.
    pub fn internet(&self) -> Option<&Internet> {
        let has_internet = self.has_internet;
        assert!(
            has_internet || std::env::var_os("CI").is_none(),
            "no engine of our own"
        );
        if !has_internet {
            // The output of `eprintln!` is hidden if a test passes.
            SKIP_REPORT.call_once(|| {
                let text = "skipped: tests with real names of registries, because the engine is not our own\n";
                let _not_shown = std::io::stderr().write_all(text.as_bytes());
            });
        }
        has_internet.then_some(&self.internet)
    }

    /// Starts a Depot for one test, in front of the shared engine.
    pub async fn depot(&self, scenario: Scenario) -> LocalDepot {
        LocalDepot::start(self.builder.clone(), scenario)
            .await
            .unwrap()
    }

    /// Like [`Self::depot`], but with another engine for ARM64: Depot has separate machines, and concurrent exports on one
    /// engine can conflict.
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

    /// The shared daemon of a release.
    pub async fn daemon(&self, release: Release) -> &Daemon {
        let start = async || Daemon::start(release, &state_folder()).await.unwrap();
        let at = Release::ALL.iter().position(|&known| known == release);
        self.daemons[at.unwrap()].get_or_init(start).await
    }

    /// Makes sure that the daemon with Docker 26 and the classic store has the pipe's own image.
    pub async fn own_image(&self) {
        let build = async || {
            let daemon = self.daemon(Release::Docker26).await;
            let run = own_image::build(self, daemon).await;
            run.expect(0, &["built and loaded"]);
        };
        self.own_image.get_or_init(build).await;
    }

    /// The registry with tokens that replaces Docker Hub.
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

    /// The registry that replaces Bitbucket Packages, at `crg.apkg.io`.
    pub async fn packages(&self, internet: &Internet) -> &Registry {
        let start = async || {
            let registry = Registry::start(&state_folder()).await.unwrap();
            internet.route("crg.apkg.io", &registry.host());
            registry
        };
        self.packages.get_or_init(start).await
    }

    /// A context with busybox's commands, whose Dockerfile ends with these lines.
    pub fn busybox_context(&self, lines: &str) -> Context {
        Context::on_busybox(&self.busybox, lines).unwrap()
    }

    /// A reference in the shared registry. Each test uses another name.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}:test", self.registry.host())
    }
}

/// A way to lose a machine.
pub type Lose = fn(&Machine);

/// A minimal context: one file, and a Dockerfile that copies it.
pub fn small_context() -> Context {
    let context = Context::new("FROM scratch\nCOPY file /file\n").unwrap();
    context.file("file", "content\n").unwrap();
    context
}
