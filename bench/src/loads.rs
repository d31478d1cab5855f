//! Loads of a 600 MB image into the step's daemon, compared with each way in which the released CLI loads.

use std::path::Path;

use depot_ground::daemon::{Daemon, Release};
use depot_ground::engine::state_folder;
use depot_ground::fixtures::{Busybox, Context};
use local_depot::released_cli::{HELPER, helper_context};
use local_depot::{CreateBuildAnswer, HostCredential, LocalDepot, MachinePlan, PullInfo, Scenario};

use crate::cases::{Input, report};
use crate::context::half_noise;
use crate::subjects::{Failure, Place, Work};
use crate::table::Case;

/// The large layers of the image, in addition to the small one, and the size of each.
const LAYERS: usize = 6;
const LAYER_BYTES: usize = 100_000_000;

/// The names in the daemon: of the image, and of an image that keeps its large layers in the daemon.
const IMAGE: &str = "bench/load:1";
const BELOW: &str = "bench/below:1";

/// The content of the daemon before each run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// All layers except the small one.
    AllButOne,
    /// No layer of the image.
    Nothing,
}

/// The local Depots of the cases.
struct Depots {
    /// Its machines are Depot's fork of BuildKit, for the CLI's fast load.
    fast: LocalDepot,
    /// Its machines are upstream's BuildKit: the CLI loads a whole archive.
    whole: LocalDepot,
    /// It requests that images are saved in a registry and pulled.
    by_registry: LocalDepot,
}

impl Depots {
    async fn start(place: &Place<'_>, daemon: &Daemon) -> Result<Self, Failure> {
        // The CLI's helper runs in a container of the daemon, and connects to the machine at the daemon's bridge.
        let fork = MachinePlan::default().fork().at(daemon.gateway().await?);
        let registry = place.registry;
        let reference = format!("{}/bench/kept:{{build_id}}", registry.host());
        let saved = CreateBuildAnswer {
            additional_tags: vec![reference.clone()],
            additional_credentials: vec![HostCredential {
                host: registry.host(),
                username: registry.username().into(),
                password: registry.password().into(),
            }],
            load_using_registry: true,
            ..CreateBuildAnswer::default()
        };
        let pull = PullInfo {
            reference,
            username: registry.username().into(),
            password: registry.password().into(),
        };
        let by_registry = Scenario::default().answer(saved).pull(pull);
        Ok(Self {
            fast: place.depot(Scenario::default().machines(fork)).await?,
            whole: place.depot(Scenario::default()).await?,
            by_registry: place.depot(by_registry).await?,
        })
    }

    /// The ways to load, each with the local Depots of the pipe and of the CLI.
    fn ways(&self) -> [(&LocalDepot, &LocalDepot, &'static str); 4] {
        let (fast, whole, by_registry) = (&self.fast, &self.whole, &self.by_registry);
        [
            (fast, fast, "the CLI's fast load"),
            (whole, whole, "the CLI's whole archive"),
            (by_registry, by_registry, "both pull from the registry"),
            // No Depot causes this one: if it requests a pull from the CLI, it requests one from the pipe too.
            (
                fast,
                by_registry,
                "the pipe's layers, the CLI's pull from the registry",
            ),
        ]
    }

    async fn stop(self) {
        for depot in [self.fast, self.whole, self.by_registry] {
            depot.stop().await;
        }
    }
}

/// Runs the cases, each against the CLI's fast load, its whole archive, and its pull from the registry.
pub(crate) async fn cases(
    place: &Place<'_>,
    busybox: &Busybox,
    runs: usize,
) -> Result<Vec<Case>, Failure> {
    let daemon = Daemon::start(Release::Docker26, &state_folder()).await?;
    let docker_host = daemon.docker_host();
    let depots = Depots::start(place, &daemon).await?;
    let image = image(true)?;
    let below = self::image(false)?;
    let helper = helper_context(&place.cli, busybox)?;
    let loader = place.with(&depots.fast, &docker_host);
    for (context, name) in [(helper.path(), HELPER), (below.path(), BELOW)] {
        loader.run_pipe(&load(context, name)).await?;
    }
    let mut cases = Vec::new();
    for (before, name) in [
        (Before::AllButOne, "load, one small layer missing"),
        (Before::Nothing, "load into an empty daemon"),
    ] {
        for (pipe, cli, way) in depots.ways() {
            let mut case = Case {
                name: format!("{name}; {way}"),
                pipe: Vec::new(),
                cli: Vec::new(),
            };
            report(&format!("{} …", case.name));
            let (pipe, cli) = (
                place.with(pipe, &docker_host),
                place.with(cli, &docker_host),
            );
            // The first run fills the caches and is discarded.
            for run in 0..=runs {
                prepare(&daemon, before, &loader, below.path()).await?;
                let of_pipe = pipe.run_pipe(&load(image.path(), IMAGE)).await?;
                prepare(&daemon, before, &loader, below.path()).await?;
                let of_cli = cli.run_cli(&load(image.path(), IMAGE)).await?;
                if daemon.image(IMAGE).await?.is_none() {
                    return Err("the CLI did not load the image".into());
                }
                if run > 0 {
                    case.pipe.push(of_pipe);
                    case.cli.push(of_cli);
                }
            }
            cases.push(case);
        }
    }
    depots.stop().await;
    daemon.stop().await?;
    Ok(cases)
}

/// A build whose image is loaded as `name`.
fn load<'a>(context: &'a Path, name: &'a str) -> Work<'a> {
    Work {
        context,
        push: None,
        load: Some(name),
        platforms: None,
        input: Input::Dockerfile,
        has_times_of_content: false,
        identity: "bench/load",
    }
}

/// Prepares the content of the daemon. The CLI's helper is always kept, because the fast load requires it.
async fn prepare(
    daemon: &Daemon,
    before: Before,
    loader: &Place<'_>,
    below: &Path,
) -> Result<(), Failure> {
    daemon.remove(IMAGE).await?;
    match before {
        Before::Nothing => daemon.empty_but(HELPER).await?,
        Before::AllButOne if daemon.image(BELOW).await?.is_none() => {
            loader.run_pipe(&load(below, BELOW)).await?;
        }
        Before::AllButOne => {}
    }
    Ok(())
}

/// The image's context, with or without its small layer.
fn image(has_small: bool) -> Result<Context, Failure> {
    let mut dockerfile = "FROM scratch\n".to_owned();
    for layer in 0..LAYERS {
        dockerfile
            .push_str(&["COPY ", &layer.to_string(), " /", &layer.to_string(), "\n"].concat());
    }
    if has_small {
        dockerfile.push_str("COPY small /small\n");
    }
    let context = Context::new(&dockerfile)?;
    for layer in 0..LAYERS {
        context.file(&layer.to_string(), half_noise(layer, LAYER_BYTES))?;
    }
    context.file("small", half_noise(LAYERS, 10_000))?;
    Ok(context)
}
