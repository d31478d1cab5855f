//! A machine's way to us: asked for, connected to, and asked for again when it went away.

use std::time::Duration;

use super::Result;
use super::failure::Failure;
use super::on_machine::{AGAIN, Part};
use super::request;
use crate::buildkit::{CONNECT_LIMIT, ConnectError, Connection};
use crate::cancel::Reason;
use crate::depot::Steps;

/// How long Depot gets to notice as well before a machine that went away is asked for again.
const AGAIN_PAUSE: Duration = Duration::from_secs(1);

/// How long it may take then until it listens. Depot names it only when it is there.
const AGAIN_CONNECT_LIMIT: Duration = Duration::from_secs(20);

impl Part<'_> {
    /// Asks for the machine again after it was `lost`, and connects to whatever Depot names then. `time` counts how often that was
    /// done, which is less than [`AGAIN`].
    pub(super) async fn connect_again(
        &self,
        steps: &Steps,
        lost: &Failure,
        time: &mut usize,
    ) -> Result<Connection> {
        let mut why = lost.one_line();
        self.work.contexts.renew_key();
        loop {
            *time += 1;
            let masked = self.work.masker.mask(why);
            tracing::warn!(
                "the {} machine went away and is asked for again ({time} of {AGAIN}): {masked}",
                self.target.machine
            );
            let waited = self
                .cancel
                .unless_fired(tokio::time::sleep(AGAIN_PAUSE))
                .await;
            waited.map_err(Failure::Canceled)?;
            match self.connect(steps, AGAIN_CONNECT_LIMIT).await {
                // Depot may not have noticed yet, and name another one the next time.
                Err(failure @ Failure::Connect(ConnectError::Unreachable { .. }))
                    if *time < AGAIN =>
                {
                    why = failure.one_line();
                }
                ended => return ended,
            }
        }
    }

    /// Acquires the machine and has the registries asked meanwhile. Whichever fails first ends the other's waiting.
    pub(super) async fn ready(&self, steps: &Steps) -> Result<Connection> {
        let stop_if_failed = |is_failed: bool| {
            if is_failed {
                self.cancel.fire(Reason::Sibling);
            }
        };
        let connecting = async {
            let connection = self.connect(steps, CONNECT_LIMIT).await;
            stop_if_failed(connection.is_err());
            connection
        };
        let preparing = async {
            let prepared = self.work.prepare(&self.cancel).await;
            stop_if_failed(prepared.is_err());
            prepared
        };
        // The key of the session takes a walk through the context, for which there is time now.
        let naming = self.cancel.unless_fired(self.work.contexts.key());
        match tokio::join!(connecting, preparing, naming) {
            (Ok(connection), Ok(()), _) => Ok(connection),
            (Ok(_) | Err(Failure::Canceled(Reason::Sibling)), Err(cause), _) | (Err(cause), ..) => {
                Err(cause)
            }
        }
    }

    /// Acquires a machine and connects to it, each as a step that people see.
    async fn connect(&self, steps: &Steps, within: Duration) -> Result<Connection> {
        let (platform, masker) = (self.target.machine, self.work.masker);
        let step = steps.begin(&format!("[depot] launching {platform} machine"));
        let asking = self.work.build.machine(platform);
        let machine = match self.cancel.unless_fired(asking).await {
            Ok(Ok(machine)) => machine,
            Ok(Err(error)) => {
                step.failed(masker.mask(error.to_string()));
                return Err(Failure::Machine(error));
            }
            Err(reason) => {
                step.canceled();
                return Err(Failure::Canceled(reason));
            }
        };
        step.done();

        let step = steps.begin(&format!("[depot] connecting to {platform} machine"));
        let address = request::address(self.work.plan, machine);
        let opening = Connection::open(&address, within);
        match self.cancel.unless_fired(opening).await {
            Ok(Ok(connection)) => {
                step.done();
                Ok(connection)
            }
            Ok(Err(error)) => {
                step.failed(masker.mask(error.to_string()));
                Err(Failure::Connect(error))
            }
            Err(reason) => {
                step.canceled();
                Err(Failure::Canceled(reason))
            }
        }
    }
}
