//! The leases of a run at its builders, deleted at the end.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;

use crate::buildkit::Connection;
use crate::cancel::Cancel;
use crate::depot::messages::BuilderPlatform;

/// The limit for deleting all leases. A lease expires after an hour anyway.
const DELETE_LIMIT: Duration = Duration::from_secs(2);

/// The limit after a stop, when finishing the build has only the rest of a second.
const STOPPED_LIMIT: Duration = Duration::from_millis(150);

/// The leases of a run, by machine.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<BuilderPlatform, BuilderLeases>>);

#[derive(Debug)]
struct BuilderLeases {
    /// The latest connection: earlier ones broke.
    connection: Connection,
    ids: Vec<String>,
}

impl Leases {
    /// Adds a lease, to be deleted at the end.
    pub(super) fn keep(&self, machine: BuilderPlatform, connection: &Connection, id: &str) {
        // The lock is never poisoned: nothing panics while it is held.
        if let Ok(mut leases) = self.0.lock() {
            let connection = connection.clone();
            let before = leases.remove(&machine);
            let mut ids = before.map(|leases| leases.ids).unwrap_or_default();
            ids.push(id.to_owned());
            leases.insert(machine, BuilderLeases { connection, ids });
        }
    }

    /// Deletes all leases. Best effort: a failure does not change the result of the run.
    pub(super) async fn delete(&self, cancel: &Cancel) {
        let leases = self.0.lock().map(|mut leases| std::mem::take(&mut *leases));
        let leases = leases.unwrap_or_default();
        let leases = leases.values().flat_map(|leases| {
            let ids = leases.ids.iter();
            ids.map(|id| (&leases.connection, id))
        });
        let deleting = leases.map(async |(connection, id)| {
            if let Err(status) = connection.delete_lease(id).await {
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
