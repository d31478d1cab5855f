//! The groups of cases. Each can run alone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use depot_ground::fixtures::{Busybox, Context};
use local_depot::{Line, MachinePlan};

use crate::cases::{Identity, Input, Job, Turns};
use crate::context::{self, Size};
use crate::ground::Ground;
use crate::loads;
use crate::subjects::Failure;
use crate::table::Section;

/// A group of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// The builder is on the same machine.
    Near,
    /// The line to the builder has a delay.
    Far,
    /// The line to the builder has a low rate.
    Slow,
    /// Many images are built from a definition.
    Bake,
    /// An image is loaded into a daemon.
    Loads,
    /// The sizes of the programs and the times until their first output. No cases.
    Start,
}

/// The delay of one direction, half of a round trip.
const FAR: Duration = Duration::from_millis(20);

/// The low rate of one direction.
const SLOW_BITS_PER_SECOND: u64 = 100_000_000;

/// The context of most cases.
const LARGE: Size = Size {
    files: 20_000,
    bytes: 500_000_000,
};

/// The context for the low rate, where the large one would take 40 s in each run.
const SMALL: Size = Size {
    files: 2_000,
    bytes: 50_000_000,
};

/// Twenty targets whose steps differ, with one context.
const TWENTY_TARGETS: &str = r#"
target "default" {
  name   = "target-${item}"
  matrix = { item = [for number in range(20) : "${number}"] }
  args   = { ITEM = item }
}
"#;

const COLD: &str = "cold";
const SET_COLD: &str = "times set by a program, cold";
const SET_UNCHANGED: &str = "times set by a program, unchanged, the CLI with its home kept";
const UNCHANGED: &str = "unchanged, the CLI with its home kept";
/// The CLI has no such times, and sends all files.
const CLONED: &str = "unchanged, each run in a new clone, `CONTEXT_TIMES: content`";
const ONE_CHANGED: &str = "one file changed, the CLI with its home kept";

impl Group {
    /// All groups, in the order in which they run.
    pub(crate) const ALL: [Self; 6] = [
        Self::Near,
        Self::Far,
        Self::Slow,
        Self::Bake,
        Self::Loads,
        Self::Start,
    ];

    /// The name on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Far => "far",
            Self::Slow => "slow",
            Self::Bake => "bake",
            Self::Loads => "loads",
            Self::Start => "start",
        }
    }

    /// The heading of its table.
    fn title(self) -> &'static str {
        match self {
            Self::Near => "Builder on the same machine",
            Self::Far => "Builder 20 ms away, in each direction",
            Self::Slow => "Line of 100 Mbit/s",
            Self::Bake => "Many images from a definition",
            Self::Loads => "Load into the step's daemon",
            Self::Start => "",
        }
    }

    /// Runs its cases, with `runs` runs of each program in each case.
    pub(crate) async fn measure(self, ground: &Ground, runs: usize) -> Result<Section, Failure> {
        let plan = MachinePlan::default();
        let plan = match self {
            // A Docker Engine has a flow-control window of 1 MB for each stream, which limits a sender to 25 MB/s with this
            // delay. The window of buildkitd grows with the delay, and the fork's window is large enough.
            Self::Far => plan.fork().line(Line {
                delay: FAR,
                bits_per_second: None,
            }),
            Self::Slow => plan.line(Line {
                delay: Duration::ZERO,
                bits_per_second: Some(SLOW_BITS_PER_SECOND),
            }),
            Self::Near | Self::Bake | Self::Loads | Self::Start => plan,
        };
        let depot = ground.depot(plan).await?;
        let place = ground.place(&depot);
        let mut turns = Turns::new(self.word(), &place, runs);
        match self {
            Self::Near => near(&mut turns, ground).await?,
            Self::Far => {
                let small = small(&ground.busybox)?;
                let job = Job::build(small.path());
                turns.case("cached build", job, Identity::Kept).await?;
                let context = many_files(&ground.busybox, LARGE)?;
                cold_and_kept(&mut turns, context.path(), LARGE).await?;
            }
            Self::Slow => {
                let context = many_files(&ground.busybox, SMALL)?;
                cold_and_kept(&mut turns, context.path(), SMALL).await?;
                cloned(&mut turns, context.path(), SMALL).await?;
            }
            Self::Bake => bake(&mut turns, ground).await?,
            Self::Loads => turns.cases = loads::cases(&place, &ground.busybox, runs).await?,
            Self::Start => {}
        }
        let cases = turns.cases;
        depot.stop().await;
        Ok(Section {
            title: self.title(),
            cases,
        })
    }
}

/// The cases of [`Group::Near`].
async fn near(turns: &mut Turns<'_>, ground: &Ground) -> Result<(), Failure> {
    cached(turns, ground).await?;
    let context = many_files(&ground.busybox, LARGE)?;
    let job = Job::build(context.path());
    turns.case(&of(LARGE, COLD), job, Identity::New).await?;
    let name = of(LARGE, "unchanged, each run in a new container");
    turns.case(&name, job, Identity::KeptByPipe).await?;
    cloned(turns, context.path(), LARGE).await?;
    kept(turns, context.path(), LARGE).await?;
    context::set_times(context.path())?;
    let job = Job::build(context.path());
    turns.case(&of(LARGE, SET_COLD), job, Identity::New).await?;
    let name = of(LARGE, SET_UNCHANGED);
    turns.case(&name, job, Identity::Kept).await
}

/// A case without any cache, and the cases of [`kept`].
async fn cold_and_kept(turns: &mut Turns<'_>, context: &Path, size: Size) -> Result<(), Failure> {
    let job = Job::build(context);
    turns.case(&of(size, COLD), job, Identity::New).await?;
    kept(turns, context, size).await
}

/// The cases in which the builder has everything in its cache.
async fn cached(turns: &mut Turns<'_>, ground: &Ground) -> Result<(), Failure> {
    let small = small(&ground.busybox)?;
    // Without `RUN`, an image can be built for any platform on any processor.
    let copied = Context::new("FROM scratch\nCOPY file /file\n")?;
    copied.file("file", "content\n")?;
    let registry = turns.place.registry.host();
    let pushed = format!("{registry}/bench:cached");
    let both = format!("{registry}/bench:both");
    let job = Job::build(small.path());
    turns.case("cached build", job, Identity::Kept).await?;
    let job = Job::push(small.path(), &pushed);
    turns.case("cached push", job, Identity::Kept).await?;
    let job = Job {
        platforms: Some("linux/amd64,linux/arm64"),
        ..Job::push(copied.path(), &both)
    };
    let name = "cached push, two platforms";
    turns.case(name, job, Identity::Kept).await
}

/// The cases of [`Group::Bake`]: twenty targets with one context, and definitions that are printed.
async fn bake(turns: &mut Turns<'_>, ground: &Ground) -> Result<(), Failure> {
    // The CLI sends the files once for each target: the large context would fill the disk of the builder.
    let context = many_files(&ground.busybox, SMALL)?;
    let dockerfile = fs::read_to_string(context.path().join("Dockerfile"))?;
    let dockerfile = format!("{dockerfile}ARG ITEM\nRUN echo $ITEM > /item\n");
    context.file("Dockerfile", dockerfile)?;
    context.file("docker-bake.hcl", TWENTY_TARGETS)?;
    let job = Job::of_definition(context.path(), Input::Definition);
    let of_targets = |what| format!("twenty targets, {}", of(SMALL, what));
    turns.case(&of_targets(COLD), job, Identity::New).await?;
    let name = of_targets("unchanged, each run in a new container");
    turns.case(&name, job, Identity::KeptByPipe).await?;
    turns
        .case(&of_targets(UNCHANGED), job, Identity::Kept)
        .await?;
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test/bake/corpus");
    let folder = corpus.join("068-laradock");
    let job = Job::of_definition(&folder, Input::Printed);
    let name = "print a compose file of 82 kB";
    turns.case(name, job, Identity::Kept).await
}

/// The cases in which the builder has the files of the last run of the same program.
async fn kept(turns: &mut Turns<'_>, context: &Path, size: Size) -> Result<(), Failure> {
    let job = Job::build(context);
    let name = of(size, UNCHANGED);
    turns.case(&name, job, Identity::Kept).await?;
    let job = Job {
        changes: true,
        ..job
    };
    let name = of(size, ONE_CHANGED);
    turns.case(&name, job, Identity::Kept).await
}

/// A case in which the files have new times, and the same content.
async fn cloned(turns: &mut Turns<'_>, context: &Path, size: Size) -> Result<(), Failure> {
    let job = Job {
        is_cloned: true,
        ..Job::build(context)
    };
    let name = of(size, CLONED);
    turns.case(&name, job, Identity::KeptByPipe).await
}

/// The name of a case.
fn of(size: Size, what: &str) -> String {
    let Size { files, bytes } = size;
    let (thousands, megabytes) = (files / 1000, bytes / 1_000_000);
    format!("{thousands},000 files, {megabytes} MB: {what}")
}

fn small(busybox: &Busybox) -> Result<Context, Failure> {
    Ok(Context::on_busybox(busybox, "RUN echo built > /built")?)
}

fn many_files(busybox: &Busybox, size: Size) -> Result<Context, Failure> {
    let context = Context::on_busybox(
        busybox,
        // The whole context is sent and nothing of it is copied, so that only its transfer is measured.
        "RUN --mount=type=bind,target=/context test -e /context/files",
    )?;
    context::write(context.path(), size)?;
    Ok(context)
}
