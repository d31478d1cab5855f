//! Why and when a run stops before its end.
//!
//! Stopping is an argument that travels down: whoever holds a [`Cancel`] can await it or fire it.
//! The first reason stays; later ones are only its echo.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Who stopped the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A signal with this number, as Bitbucket sends it when somebody stops the pipeline.
    Signal(u8),
    /// Depot, in its answer to a health report: somebody stopped the build on its page.
    Depot,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(2) => formatter.write_str("canceled by SIGINT"),
            Self::Signal(15) => formatter.write_str("canceled by SIGTERM"),
            Self::Signal(number) => write!(formatter, "canceled by signal {number}"),
            Self::Depot => formatter.write_str("canceled by Depot"),
        }
    }
}

/// A stop that can be awaited and fired from anywhere. Clones are the same stop.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    token: CancellationToken,
    reason: Arc<OnceLock<Reason>>,
}

impl Cancel {
    /// A stop that nobody has fired.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Fires it. Only the first call counts.
    pub fn fire(&self, reason: Reason) {
        // An error means that another reason was first.
        let _already = self.reason.set(reason);
        self.token.cancel();
    }

    /// Waits until somebody fires it. Cancel safe.
    pub async fn fired(&self) -> Reason {
        self.token.cancelled().await;
        // The reason is set before the token; the default is never seen.
        self.reason.get().copied().unwrap_or(Reason::Depot)
    }

    /// The reason, once it has been fired.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.reason.get().copied()
    }

    /// Runs `work` until it ends or this is fired, whichever comes first; then `work` is dropped.
    ///
    /// # Errors
    /// The reason, when it was fired first. A stop wins over work that ends in the same moment.
    pub async fn unless_fired<Work: Future>(&self, work: Work) -> Result<Work::Output, Reason> {
        tokio::select! {
            biased;
            reason = self.fired() => Err(reason),
            output = work => Ok(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays() {
        let cancel = Cancel::new();
        assert_eq!(cancel.unless_fired(async { 7 }).await, Ok(7));
        cancel.fire(Reason::Signal(15));
        cancel.fire(Reason::Depot);
        assert_eq!(cancel.fired().await, Reason::Signal(15));
        assert_eq!(
            cancel.unless_fired(async { 7 }).await,
            Err(Reason::Signal(15))
        );
    }
}
