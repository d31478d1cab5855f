//! `demo`: one real build, from variables to an image that is read back from a registry.

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

/// Builds the pipe, runs it on a local Depot, and verifies the pushed image. Returns the pipe's exit code.
pub(crate) async fn demo(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    print("building the pipe")?;
    let program = pipe::build().await?;
    print("starting a builder, a registry and a local Depot")?;
    let world = World::start(arguments).await?;
    print(&format!("builder: {}", world.engine.info()))?;
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
    print("running the pipe with:")?;
    for (name, value, secret) in &variables {
        print(&format!("  {name}={}", if *secret { "***" } else { value }))?;
    }
    let environment = variables
        .iter()
        .map(|(name, value, _)| (*name, OsString::from(value)));
    let status = pipe::run(&program, context.path(), environment).await?;
    let code = exit_code(status);
    print(&format!("the pipe exited with code {code}"))?;
    if code == 0 {
        let image = read_back(&world.registry, REPOSITORY, TAG).await?;
        report(&world, &image)?;
    }
    world.stop().await?;
    Ok(ExitCode::from(code))
}

/// Prints the result. A build that Depot does not record as succeeded is an error, whatever the pipe's exit code.
fn report(world: &World, image: &Image) -> Result<(), CommandError> {
    print("the image was read back, every digest and size is correct:")?;
    print(&format!(
        "  {}/{REPOSITORY}:{TAG}@{}",
        world.registry.host(),
        image.digest
    ))?;
    print(&format!("  {}", image.media_type))?;
    for part in &image.parts {
        print(&format!("  {part}"))?;
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
    print(&format!(
        "the local Depot received {} calls and recorded one successful build",
        record.calls.len()
    ))?;
    print(&format!(
        "the builder received {sent} bytes and sent {received}"
    ))
}

/// The exit code as a shell reports it: 128 plus the signal's number if a signal ended the program.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn print(line: &str) -> Result<(), CommandError> {
    writeln!(stderr(), "demo: {line}").map_err(CommandError::Print)
}
