//! Shared parts of all tests: the CLI, an engine, a registry, a busybox.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use depot_ground::engine::{Engine, EngineOptions, state_folder};
use depot_ground::fixtures::Busybox;
use depot_ground::registry::Registry;
use tokio::sync::OnceCell;

use local_depot::released_cli::{Installed, install};

/// The shared parts. Engine and registry end with this process, however it ends.
pub(crate) struct Ground {
    pub(crate) cli: PathBuf,
    pub(crate) engine: Arc<Engine>,
    pub(crate) registry: Registry,
    pub(crate) busybox: Busybox,
    second: OnceCell<Option<Arc<Engine>>>,
}

impl Ground {
    /// Another engine, which is started on first use. `None` if the only Docker Engine of the machine is used.
    pub(crate) async fn second_engine(&self) -> Option<Arc<Engine>> {
        let start = async || {
            let engine = Engine::start(&EngineOptions::of_this_machine())
                .await
                .unwrap();
            if engine.docker_host() == self.engine.docker_host() {
                report_skip("because two platforms require two engines of our own");
                return None;
            }
            Some(Arc::new(engine))
        };
        self.second.get_or_init(start).await.clone()
    }
}

/// The shared parts. `None` if the CLI is not available: then the test is skipped with a message.
pub(crate) async fn ground() -> Option<&'static Ground> {
    static GROUND: OnceCell<Result<Ground, String>> = OnceCell::const_new();
    match GROUND.get_or_init(prepare).await {
        Ok(ground) => Some(ground),
        Err(why) => {
            let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            assert!(!in_ci, "the released depot CLI is needed in CI, but {why}");
            None
        }
    }
}

async fn prepare() -> Result<Ground, String> {
    let cli = match tokio::task::spawn_blocking(install).await.unwrap().unwrap() {
        Installed::Cli(cli) => cli,
        Installed::Unavailable(why) => {
            report_skip(&why);
            return Err(why);
        }
    };
    let engine = Engine::start(&EngineOptions::of_this_machine())
        .await
        .unwrap();
    let registry = Registry::start_beside(&engine, &state_folder())
        .await
        .unwrap();
    let busybox = Busybox::fetch_beside(&engine, &state_folder())
        .await
        .unwrap();
    Ok(Ground {
        cli,
        engine: Arc::new(engine),
        registry,
        busybox,
        second: OnceCell::new(),
    })
}

/// Reports once that the tests are skipped. The output of `eprintln!` is hidden if a test passes.
fn report_skip(why: &str) {
    let text = format!("skipped: tests of the local Depot with the released depot CLI, {why}\n");
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}
