//! `demo`: one real build, from variables to an image that was read back.

use std::ffi::OsString;
use std::io::{Write as _, stderr};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};

use depot_ground::engine::state_folder;
use depot_ground::fixtures::{Busybox, Context};
use local_depot::BuildState;

use super::read_back::{Image, read_back};
use super::{Arguments, CommandError, World, pipe};

const REPOSITORY: &str = "demo/hello";
const TAG: &str = "latest";
const STEPS: &str =
    "COPY greeting /greeting\nRUN cat /greeting && date > /built-at\nCMD [\"cat\", \"/greeting\"]";

/// Builds the pipe, runs it on a local Depot, and looks at what it pushed. Ends with the pipe's own exit code.
pub(crate) async fn demo(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    say("building the pipe")?;
    let program = pipe::build().await?;
    say("starting a builder, a registry and a local Depot")?;
    let world = World::start(arguments).await?;
    say(&format!("builder: {}", world.engine.info()))?;
    let busybox = Busybox::fetch_beside(&world.engine, &state_folder()).await?;
    let context = Context::on_busybox(&busybox, STEPS).map_err(CommandError::Context)?;
    context
        .file("greeting", "hello from a local Depot\n")
        .map_err(CommandError::Context)?;

    let mut variables = world.variables().to_vec();
    variables.push((
        "IMAGE",
        format!("{}/{REPOSITORY}:{TAG}", world.registry.host()),
        false,
    ));
    variables.push(("CONTEXT", context.path().display().to_string(), false));
    variables.push(("PUSH", "true".to_owned(), false));
    say("running the pipe with")?;
    for (name, value, secret) in &variables {
        say(&format!("  {name}={}", if *secret { "***" } else { value }))?;
    }
    let given = variables
        .iter()
        .map(|(name, value, _)| (*name, OsString::from(value)));
    let ended = pipe::run(&program, context.path(), given).await?;
    let code = exit_code(ended);
    say(&format!("the pipe ended with exit code {code}"))?;
    if code == 0 {
        let image = read_back(&world.registry, REPOSITORY, TAG).await?;
        tell(&world, &image)?;
    }
    world.stop().await?;
    Ok(ExitCode::from(code))
}

/// What came of it. A build that the pipe did not finish as a success is its failure, whatever its exit code.
fn tell(world: &World, image: &Image) -> Result<(), CommandError> {
    say("read back, every digest and size checked:")?;
    say(&format!(
        "  {}/{REPOSITORY}:{TAG}@{}",
        world.registry.host(),
        image.digest
    ))?;
    say(&format!("  {}", image.media_type))?;
    for part in &image.parts {
        say(&format!("  {part}"))?;
    }
    let record = world.depot.record();
    let states: Vec<_> = record.builds.iter().map(|build| &build.state).collect();
    if states != [&BuildState::Succeeded] {
        return Err(CommandError::Unfinished(format!("{states:?}")));
    }
    world
        .depot
        .check()
        .map_err(|error| CommandError::Unfinished(error.to_string()))?;
    let sent: u64 = record
        .connections
        .iter()
        .map(|connection| connection.received.get())
        .sum();
    let received: u64 = record
        .connections
        .iter()
        .map(|connection| connection.sent.get())
        .sum();
    say(&format!(
        "Depot saw {} calls and one build that succeeded",
        record.calls.len()
    ))?;
    say(&format!(
        "the builder was sent {sent} bytes and sent {received}"
    ))
}

/// As a shell tells it: 128 and the signal's number, where a signal ended it.
fn exit_code(ended: ExitStatus) -> u8 {
    let code = ended
        .code()
        .or_else(|| ended.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn say(line: &str) -> Result<(), CommandError> {
    writeln!(stderr(), "demo: {line}").map_err(CommandError::Print)
}
