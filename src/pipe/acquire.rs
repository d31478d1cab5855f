//! Acquires a machine, connects to it, and connects again after the connection was lost.

use std::time::Duration;

use super::Result;
use super::failure::Failure;
use super::on_machine::{MAX_RECONNECTS, Part};
use super::request;
use crate::buildkit::{CONNECT_LIMIT, ConnectError, Connection};
use crate::cancel::Reason;
use crate::depot::Steps;

/// The pause before a lost machine is requested again, so that Depot can also notice the loss.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// How long connecting to it may take. Depot returns a machine only once it exists.
const RECONNECT_LIMIT: Duration = Duration::from_secs(20);

impl Part<'_> {
    /// Requests the machine again after it was `lost`, and connects to the one that Depot returns. `attempts` counts these
    /// requests and must be less than [`MAX_RECONNECTS`].
    pub(super) async fn connect_again(
        &self,
        steps: &Steps,
        lost: &Failure,
        attempts: &mut usize,
    ) -> Result<Connection> {
        let mut why = lost.one_line();
        self.work.contexts.renew_key();
        loop {
            *attempts += 1;
            let masked = self.work.masker.mask(why);
            tracing::warn!(
                "lost the {} machine; connecting again ({attempts} of {MAX_RECONNECTS}): {masked}",
                self.target.machine
            );
            let waited = self
                .cancel
                .unless_fired(tokio::time::sleep(RECONNECT_PAUSE))
                .await;
            waited.map_err(Failure::Canceled)?;
            match self.connect(steps, RECONNECT_LIMIT).await {
                // Depot may not have noticed the loss yet, and may return another machine next time.
                Err(failure @ Failure::Connect(ConnectError::Unreachable { .. }))
                    if *attempts < MAX_RECONNECTS =>
                {
                    why = failure.one_line();
                }
                ended => return ended,
            }
        }
    }

    /// Acquires the machine and prepares the registries at the same time. The first failure stops the other.
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
        // The session key needs a walk through the context, which runs while the machine starts.
        let naming = self.cancel.unless_fired(self.work.contexts.key());
        match tokio::join!(connecting, preparing, naming) {
            (Ok(connection), Ok(()), _) => Ok(connection),
            (Ok(_) | Err(Failure::Canceled(Reason::Sibling)), Err(cause), _) | (Err(cause), ..) => {
                Err(cause)
            }
        }
    }

    /// Acquires a machine and connects to it. Each is shown as a step of the build.
    async fn connect(&self, steps: &Steps, within: Duration) -> Result<Connection> {
        let (platform, masker) = (self.target.machine, self.work.masker);
        let step = steps.begin(&format!("[depot] launching {platform} machine"));
        let acquiring = self.work.build.machine(platform);
        let machine = match self.cancel.unless_fired(acquiring).await {
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
