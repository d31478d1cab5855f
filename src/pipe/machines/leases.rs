//! The leases of a run at a machine, deleted at the end.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use super::Link;
use crate::cancel::Cancel;
use crate::depot::fork;

/// The limit for deleting all leases. A lease expires after an hour anyway.
const DELETE_LIMIT: Duration = Duration::from_secs(2);

/// The limit after a stop, when finishing the build has only the rest of a second.
const STOPPED_LIMIT: Duration = Duration::from_millis(150);

/// The leases of one machine.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<Option<BuilderLeases>>);

#[derive(Debug)]
struct BuilderLeases {
    /// The latest connection: earlier ones broke.
    link: Link,
    ids: Vec<String>,
}

impl Leases {
    /// Adds a lease, to be deleted at the end.
    pub(super) fn keep(&self, link: &Link, id: &str) {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let leases = leases.get_or_insert_with(|| BuilderLeases {
            link: link.clone(),
            ids: Vec::new(),
        });
        leases.ids.push(id.to_owned());
        if leases.link.generation < link.generation {
            leases.link = link.clone();
        }
    }

    /// Deletes all leases. Best effort: a failure does not change the result of the run.
    pub(super) async fn delete(&self, cancel: &Cancel) {
        let leases = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(BuilderLeases { link, ids }) = leases else {
            return;
        };
        let deleting = ids.iter().map(async |id| {
            if let Err(status) = fork::delete_lease(&link.connection, id).await {
                tracing::debug!(
                    "cannot delete the lease `{id}` of the builder: {}",
                    status.message()
                );
            }
        });
        let limit = match cancel.reason() {
            Some(_) => STOPPED_LIMIT,
            None => DELETE_LIMIT,
        };
        let _too_slow = cancel.within(limit, join_all(deleting)).await;
    }
}
