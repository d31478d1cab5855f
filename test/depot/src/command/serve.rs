//! `serve`: a local Depot for experiments or another program.

use std::io::{Read as _, Write as _, stderr, stdin, stdout};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{Arguments, CommandError, World};

/// Runs until Ctrl-C, SIGTERM or the end of the input.
pub(crate) async fn serve(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(CommandError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CommandError::Signal)?;
    let ended = input_ended();
    let serving = async {
        let world = World::start(arguments).await?;
        announce(&world).map_err(CommandError::Print)?;
        Ok::<_, CommandError>(world)
    };
    let end = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = ended => {}
        }
    };
    tokio::pin!(end);
    let world = tokio::select! {
        world = serving => world?,
        () = &mut end => return Ok(ExitCode::SUCCESS), // everything that was started is dropped, and stops
    };
    end.await;
    world.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the input in a separate thread, since the read cannot be cancelled. The thread ends with the process.
fn input_ended() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        while stdin().read(&mut bytes).is_ok_and(|length| length > 0) {}
        let _receiver_dropped = sender.send(());
    });
    receiver
}

/// Prints shell lines to standard output, for `eval`. They contain secrets, which are valid for this run only.
fn announce(world: &World) -> std::io::Result<()> {
    writeln!(stderr(), "builder: {}", world.engine.info())?;
    let mut out = stdout().lock();
    for (name, value, _) in world.variables() {
        writeln!(out, "export {name}='{value}'")?;
    }
    out.flush()?;
    writeln!(
        stderr(),
        "ready; stops on Ctrl-C or at the end of its input"
    )
}
