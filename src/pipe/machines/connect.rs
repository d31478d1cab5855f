//! Acquires a machine, connects to it, and connects again after the connection was lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::Result;
use super::super::failure::Failure;
use super::super::request;
use super::{Link, MAX_RECONNECTS, Machine, State};
use crate::buildkit::{CONNECT_LIMIT, ConnectError, Connection, Verification};
use crate::cancel::{Cancel, Reason};

/// The pause before a lost machine is requested again, so that Depot can also notice the loss.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// How long connecting to it may take. Depot returns a machine only once it exists.
const RECONNECT_LIMIT: Duration = Duration::from_secs(20);

impl Machine<'_> {
    /// The connection. The first caller acquires the machine and connects to it; the others wait for that.
    ///
    /// # Errors
    /// The failure of the first caller. The others get [`Reason::Sibling`], because that failure stops them.
    pub(in super::super) async fn link(&self, cancel: &Cancel) -> Result<Link> {
        let mut state = self.locked(cancel).await?;
        if let Some(link) = &state.link {
            return Ok(link.clone());
        }
        let connected = self
            .connect(cancel, CONNECT_LIMIT, Verification::ByFirstCall)
            .await;
        Self::keep(&mut state, connected)
    }

    /// The connection after `lost` was lost with `failure`. The first caller requests the machine again; the others get the same
    /// connection. `None` if the machine was already requested [`MAX_RECONNECTS`] times.
    ///
    /// # Errors
    /// The failure of the new request.
    pub(in super::super) async fn link_after(
        &self,
        lost: &Link,
        failure: &Failure,
        cancel: &Cancel,
    ) -> Result<Option<Link>> {
        let mut state = self.locked(cancel).await?;
        if let Some(link) = &state.link
            && link.generation != lost.generation
        {
            return Ok(Some(link.clone()));
        }
        if !lost.connection.has_responded() {
            // It was not ready yet, or rejects the connection with the first call. A verified connection shows which.
            tracing::debug!(
                "the {} machine did not respond to its first call: {}",
                self.platform,
                self.context.masker.mask(failure.cause_line())
            );
            let connected = self
                .connect(cancel, CONNECT_LIMIT, Verification::AtOnce)
                .await;
            return Self::keep(&mut state, connected).map(Some);
        }
        if self.reconnects.load(Ordering::Relaxed) >= MAX_RECONNECTS {
            return Ok(None);
        }
        self.sessions.renew_keys();
        let connected = self.connect_again(failure.cause_line(), cancel).await;
        Self::keep(&mut state, connected).map(Some)
    }

    /// Waits for the lock of the state, which another caller may hold while it connects.
    async fn locked(&self, cancel: &Cancel) -> Result<tokio::sync::MutexGuard<'_, State>> {
        let locked = cancel.unless_fired(self.state.lock()).await;
        let state = locked.map_err(Failure::Canceled)?;
        if state.has_failed {
            return Err(Failure::Canceled(Reason::Sibling));
        }
        Ok(state)
    }

    fn keep(state: &mut State, connected: Result<Connection>) -> Result<Link> {
        let connection = connected.inspect_err(|_| state.has_failed = true)?;
        let generation = state.link.as_ref().map_or(0, |link| link.generation + 1);
        let link = Link {
            connection,
            generation,
        };
        state.link = Some(link.clone());
        Ok(link)
    }

    async fn connect_again(&self, mut why: String, cancel: &Cancel) -> Result<Connection> {
        loop {
            let attempt = self.reconnects.fetch_add(1, Ordering::Relaxed) + 1;
            let masked = self.context.masker.mask(why);
            tracing::warn!(
                "lost the {} machine; connecting again ({attempt} of {MAX_RECONNECTS}): {masked}",
                self.platform
            );
            let waited = cancel.unless_fired(tokio::time::sleep(RECONNECT_PAUSE));
            waited.await.map_err(Failure::Canceled)?;
            match self
                .connect(cancel, RECONNECT_LIMIT, Verification::AtOnce)
                .await
            {
                // Depot may not have noticed the loss yet, and may return another machine next time.
                Err(failure @ Failure::Connect(ConnectError::Unreachable { .. }))
                    if attempt < MAX_RECONNECTS =>
                {
                    why = failure.one_line();
                }
                ended => return ended,
            }
        }
    }

    /// Acquires a machine and connects to it. Both are shown as steps of the build.
    async fn connect(
        &self,
        cancel: &Cancel,
        within: Duration,
        verification: Verification,
    ) -> Result<Connection> {
        let platform = self.platform;
        let super::Context {
            plan,
            build,
            steps,
            masker,
            ..
        } = &self.context;
        let step = steps.begin(&format!("[depot] launching {platform} machine"));
        let machine = match cancel.unless_fired(build.machine(platform)).await {
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
        let address = request::address(plan, machine);
        let opening = Connection::open(&address, within, verification);
        match cancel.unless_fired(opening).await {
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
