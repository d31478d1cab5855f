//! `serve`: a local Depot to try things on by hand, or from another program.

use std::io::{Read as _, Write as _, stderr, stdin, stdout};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{Arguments, CommandError, World};

/// Runs until Ctrl-C, SIGTERM or the end of the input, whichever comes first.
pub(crate) async fn serve(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(CommandError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CommandError::Signal)?;
    let ended = input_ended();
    let serving = async {
        let world = World::start(arguments).await?;
        announce(&world).map_err(CommandError::Print)?;
        Ok::<_, CommandError>(world)
    };
    let asked_to_end = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = ended => {}
        }
    };
    tokio::pin!(asked_to_end);
    let world = tokio::select! {
        world = serving => world?,
        () = &mut asked_to_end => return Ok(ExitCode::SUCCESS), // what was started so far is dropped, and ends
    };
    asked_to_end.await;
    world.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// A thread of its own, since a read of the input cannot be called off: it dies with the process.
fn input_ended() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        while stdin().read(&mut bytes).is_ok_and(|length| length > 0) {}
        let _nobody_waits = sender.send(());
    });
    receiver
}

/// To standard output just what a shell can `eval`, secrets included: they are good for this one run only.
fn announce(world: &World) -> std::io::Result<()> {
    writeln!(stderr(), "builder: {}", world.engine.info())?;
    let mut out = stdout().lock();
    for (name, value, _) in world.variables() {
        writeln!(out, "export {name}='{value}'")?;
    }
    out.flush()?;
    writeln!(stderr(), "ready; ends with Ctrl-C or with its input")
}
