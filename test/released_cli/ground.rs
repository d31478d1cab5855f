//! What all tests here stand on: the CLI, one engine, one registry, one busybox.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use depot_ground::engine::{Engine, EngineOptions, state_folder};
use depot_ground::fixtures::Busybox;
use depot_ground::registry::Registry;
use tokio::sync::OnceCell;

use local_depot::released_cli::{Installed, install};

/// Shared by all tests. Engine and registry end with this process, whichever way it ends.
pub(crate) struct Ground {
    pub(crate) cli: PathBuf,
    pub(crate) engine: Arc<Engine>,
    pub(crate) registry: Registry,
    pub(crate) busybox: Busybox,
    second: OnceCell<Option<Arc<Engine>>>,
}

impl Ground {
    /// Another engine, started for the first who asks. `None` where the machine's own Docker Engine is used, which there is
    /// once.
    pub(crate) async fn second_engine(&self) -> Option<Arc<Engine>> {
        let start = async || {
            let engine = Engine::start(&EngineOptions::of_this_machine())
                .await
                .unwrap();
            if engine.docker_host() == self.engine.docker_host() {
                tell("for two platforms, which takes two engines of our own");
                return None;
            }
            Some(Arc::new(engine))
        };
        self.second.get_or_init(start).await.clone()
    }
}

/// The ground, or `None` where the CLI cannot be had: then the test is left out, and has said so.
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
            tell(&why);
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

/// Says it once, and not through `eprintln!`: what a passing test prints with that is not shown.
fn tell(why: &str) {
    let told = format!("left out: the released depot CLI does not judge the stand-in, {why}\n");
    std::io::stderr().write_all(told.as_bytes()).unwrap();
}
