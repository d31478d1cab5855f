//! The cases, and what they run on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use depot_standin::engine::{Engine, EngineOptions, state_folder};
use depot_standin::fixtures::{Busybox, Context};
use depot_standin::registry::Registry;
use depot_standin::released_cli::{self, Installed};
use depot_standin::{Scenario, StandIn};

use crate::context;
use crate::subjects::{Failure, Place, Wish};
use crate::table::{Case, markdown};
use crate::{loads, start};

/// Runs all cases and returns the report.
pub(crate) async fn run(runs: usize, group: Group) -> Result<String, Failure> {
    let Installed::Cli(cli) = tokio::task::spawn_blocking(released_cli::install).await?? else {
        return Err("the released CLI comes from npm, which this machine lacks".into());
    };
    let pipe = build_pipe()?;
    let engine = Arc::new(Engine::start(&EngineOptions::of_this_machine()).await?);
    let registry = Registry::start_beside(&engine, &state_folder()).await?;
    let busybox = Busybox::fetch_beside(&engine, &state_folder()).await?;
    // Depot's machines are two, and so are these.
    let second = Arc::new(Engine::start(&EngineOptions::of_this_machine()).await?);
    let depot = StandIn::start_on(engine.clone(), second, Scenario::default()).await?;
    let homes = tempfile::tempdir()?;
    let place = Place {
        engine: engine.clone(),
        depot: &depot,
        registry: &registry,
        docker_host: "unix:///nowhere/docker.sock",
        pipe,
        cli,
        homes: homes.path(),
    };

    let small = Context::on_busybox(&busybox, "RUN echo built > /built")?;
    let large = Context::on_busybox(
        &busybox,
        // All of the context is needed and none of it is copied: what is measured is its way here.
        "RUN --mount=type=bind,target=/context test -e /context/files",
    )?;
    context::write(large.path())?;
    // Nothing runs in it: it is built for any platform on any processor.
    let copied = Context::new("FROM scratch\nCOPY file /file\n")?;
    copied.file("file", "content\n")?;
    let pushed = format!("{}/bench:cached", registry.host());
    let both = format!("{}/bench:both", registry.host());

    if group == Group::Loads {
        let cases = loads::cases(&place, &busybox, runs).await?;
        return Ok(markdown(&cases));
    }
    let mut cases = vec![
        case(
            "cached build",
            &place,
            runs,
            Job::build(small.path()),
            Identity::Kept,
        )
        .await?,
        case(
            "cached push",
            &place,
            runs,
            Job::push(small.path(), &pushed),
            Identity::Kept,
        )
        .await?,
        case(
            "cached push, two platforms",
            &place,
            runs,
            Job {
                platforms: Some("linux/amd64,linux/arm64"),
                ..Job::push(copied.path(), &both)
            },
            Identity::Kept,
        )
        .await?,
        case(
            "20,000 files, 500 MB: cold",
            &place,
            runs,
            Job::build(large.path()),
            Identity::New,
        )
        .await?,
        case(
            "the same, unchanged, each run in a new container",
            &place,
            runs,
            Job::build(large.path()),
            Identity::KeptByOurs,
        )
        .await?,
        case(
            "the same, unchanged, the CLI with its home kept",
            &place,
            runs,
            Job::build(large.path()),
            Identity::Kept,
        )
        .await?,
    ];
    cases.extend(loads::cases(&place, &busybox, runs).await?);
    let start = start::report(&place.pipe, &place.cli)?;
    depot.stop().await;
    Ok(format!(
        "{}\nMedians of {runs} runs each, in turn. {}",
        markdown(&cases),
        start,
    ))
}

/// Which cases.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// All of them.
    All,
    /// Those that load.
    Loads,
}

/// What both programs are to do.
#[derive(Clone, Copy)]
struct Job<'a> {
    context: &'a Path,
    push: Option<&'a str>,
    platforms: Option<&'a str>,
}

impl<'a> Job<'a> {
    fn build(context: &'a Path) -> Self {
        Self {
            context,
            push: None,
            platforms: None,
        }
    }

    fn push(context: &'a Path, reference: &'a str) -> Self {
        Self {
            push: Some(reference),
            ..Self::build(context)
        }
    }
}

/// What a builder may know from earlier runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Identity {
    /// Nothing: each run is a repository, or a home, of its own.
    New,
    /// Whatever the same repository, or the same home, left.
    Kept,
    /// As in CI: the same repository, and for the CLI a new home, since every container has one.
    KeptByOurs,
}

impl Place<'_> {
    /// Where the builder is to know nothing, it forgets what the last run left: half a gigabyte each.
    async fn between(&self, identity: Identity) -> Result<(), Failure> {
        if identity == Identity::New {
            self.engine.forget_builds().await?;
        }
        Ok(())
    }
}

async fn case(
    name: &'static str,
    place: &Place<'_>,
    runs: usize,
    job: Job<'_>,
    identity: Identity,
) -> Result<Case, Failure> {
    say(&format!("{name} …"));
    let label = name.replace(|character: char| !character.is_ascii_alphanumeric(), "-");
    let mut case = Case {
        name: name.to_owned(),
        ours: Vec::new(),
        theirs: Vec::new(),
    };
    place.engine.forget_builds().await?;
    // The first run warms what is to be warm, and counts for nothing.
    for run in 0..=runs {
        let new = format!("bench/{label}-{run}");
        let kept = format!("bench/{label}");
        let (ours, theirs) = match identity {
            Identity::New => (&new, &new),
            Identity::Kept => (&kept, &kept),
            Identity::KeptByOurs => (&kept, &new),
        };
        let wish = |identity| Wish {
            context: job.context,
            push: job.push,
            load: None,
            platforms: job.platforms,
            identity,
        };
        // Each goes first as often as the other: what one leaves to be cleaned up must not always
        // weigh on the same.
        let (mine, other);
        if run % 2 == 0 {
            mine = place.ours(&wish(ours)).await?;
            place.between(identity).await?;
            other = place.theirs(&wish(theirs)).await?;
        } else {
            other = place.theirs(&wish(theirs)).await?;
            place.between(identity).await?;
            mine = place.ours(&wish(ours)).await?;
        }
        place.between(identity).await?;
        if run > 0 {
            case.ours.push(mine);
            case.theirs.push(other);
        }
    }
    Ok(case)
}

/// The large cases take minutes: people see which it is.
pub(crate) fn say(text: &str) {
    #[expect(clippy::print_stderr, reason = "where progress belongs")]
    {
        eprintln!("{text}");
    }
}

/// The pipe as it is released: one static program.
fn build_pipe() -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let built = Command::new(cargo)
        .args(["build", "--release", "--package", "depot-build"])
        // A target has to be named, or the flag would be meant for procedural macros as well.
        .args(["--target", &target, "--message-format=json"])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !built.status.success() {
        return Err("the pipe could not be built".into());
    }
    // Wherever cargo was told to put it.
    String::from_utf8_lossy(&built.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| {
            message
                .pointer("/target/name")
                .is_some_and(|name| name == "depot-build")
        })
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .ok_or_else(|| "cargo named no executable".into())
}
