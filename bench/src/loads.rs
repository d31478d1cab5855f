//! Loading an image of 600 MB into the step's daemon, beside each way in which the released CLI does it.

use std::path::Path;

use depot_ground::daemon::{Daemon, Release};
use depot_ground::engine::state_folder;
use depot_ground::fixtures::{Busybox, Context};
use local_depot::released_cli::{HELPER, helper_context};
use local_depot::{CreateBuildAnswer, HostCredential, MachinePlan, PullInfo, Scenario};

use crate::cases::say;
use crate::context::half_noise;
use crate::subjects::{Failure, Place, Wish};
use crate::table::Case;

/// Layers of the image, beside the small one, and what each holds.
const LAYERS: usize = 6;
const LAYER_BYTES: usize = 100_000_000;

/// The names in the daemon: of the image, and of what keeps its large layers there.
const IMAGE: &str = "bench/load:1";
const BELOW: &str = "bench/below:1";

/// What the daemon has before each run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// All layers but the small one.
    AllButOne,
    /// Nothing of the image.
    Nothing,
}

/// Runs the cases, each against the CLI's fast load, its whole archive, and its pull from the registry.
pub(crate) async fn cases(
    place: &Place<'_>,
    busybox: &Busybox,
    runs: usize,
) -> Result<Vec<Case>, Failure> {
    let daemon = Daemon::start(Release::Docker26, &state_folder()).await?;
    let docker_host = daemon.docker_host();
    // The CLI's helper runs in a container of the daemon, and reaches the machine at its bridge.
    let fork = MachinePlan::default().fork().at(daemon.gateway().await?);
    let upstream = MachinePlan::default();
    let registry = place.registry;
    let reference = format!("{}/bench/kept:{{build_id}}", registry.host());
    let kept = CreateBuildAnswer {
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
    let fast = place.depot(Scenario::default().machines(fork)).await?;
    let whole = place.depot(Scenario::default().machines(upstream)).await?;
    let by_registry = place
        .depot(Scenario::default().answer(kept).pull(pull))
        .await?;

    let image = image(true)?;
    let below = self::image(false)?;
    let helper = helper_context(&place.cli, busybox)?;
    let layers = place.with(&fast, &docker_host);
    for (context, name) in [(helper.path(), HELPER), (below.path(), BELOW)] {
        layers.ours(&wish(context, name)).await?;
    }
    let mut cases = Vec::new();
    let pulled = "where Depot has the daemon pull";
    let mixed = "our layers, the CLI's pull from the registry";
    for (before, name) in [
        (Before::AllButOne, "load, one small layer missing"),
        (Before::Nothing, "load into an empty daemon"),
    ] {
        // The last is what no Depot asks for: one that has the CLI pull has us pull as well.
        for (mine, theirs, way) in [
            (&fast, &fast, "the CLI's fast load"),
            (&whole, &whole, "the CLI's whole archive"),
            (&by_registry, &by_registry, pulled),
            (&fast, &by_registry, mixed),
        ] {
            let name = format!("{name}; {way}");
            say(&format!("{name} …"));
            let ours = place.with(mine, &docker_host);
            let theirs = place.with(theirs, &docker_host);
            let mut case = Case {
                name,
                ours: Vec::new(),
                theirs: Vec::new(),
            };
            // The first run warms what is to be warm, and counts for nothing.
            for run in 0..=runs {
                prepare(&daemon, before, &layers, below.path()).await?;
                let mine = ours.ours(&wish(image.path(), IMAGE)).await?;
                prepare(&daemon, before, &layers, below.path()).await?;
                let other = theirs.theirs(&wish(image.path(), IMAGE)).await?;
                if daemon.image(IMAGE).await?.is_none() {
                    return Err("the CLI has loaded nothing".into());
                }
                if run > 0 {
                    case.ours.push(mine);
                    case.theirs.push(other);
                }
            }
            cases.push(case);
        }
    }
    for depot in [fast, whole, by_registry] {
        depot.stop().await;
    }
    daemon.stop().await?;
    Ok(cases)
}

fn wish<'a>(context: &'a Path, name: &'a str) -> Wish<'a> {
    Wish {
        context,
        push: None,
        load: Some(name),
        platforms: None,
        identity: "bench/load",
    }
}

/// Leaves the daemon with what it is to have. The CLI's helper is always there, so that its fast load really runs.
async fn prepare(
    daemon: &Daemon,
    before: Before,
    ours: &Place<'_>,
    below: &Path,
) -> Result<(), Failure> {
    daemon.remove(IMAGE).await?;
    match before {
        Before::Nothing => daemon.empty_but(HELPER).await?,
        Before::AllButOne if daemon.image(BELOW).await?.is_none() => {
            ours.ours(&wish(below, BELOW)).await?;
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
