//! What builders keep for our sake, and let go of when we say so.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;

use crate::buildkit::Connection;
use crate::cancel::Cancel;
use crate::depot::messages::BuilderPlatform;

/// How long a builder may take to let go. It does so by itself after an hour.
const LIMIT: Duration = Duration::from_secs(2);

/// The same after a stop: what is left of a second then belongs to the end of the build.
const STOPPED_LIMIT: Duration = Duration::from_millis(150);

/// The leases of a run, by the machine that keeps them.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<BuilderPlatform, Kept>>);

#[derive(Debug)]
struct Kept {
    /// The last one: those before it broke.
    connection: Connection,
    ids: Vec<String>,
}

impl Leases {
    /// Notes a lease, to be deleted at the end.
    pub(super) fn keep(&self, machine: BuilderPlatform, connection: &Connection, id: &str) {
        // A poisoned lock cannot be: nothing panics while it is held.
        if let Ok(mut leases) = self.0.lock() {
            let connection = connection.clone();
            let before = leases.remove(&machine);
            let mut ids = before.map(|kept| kept.ids).unwrap_or_default();
            ids.push(id.to_owned());
            leases.insert(machine, Kept { connection, ids });
        }
    }

    /// Deletes all leases, on whatever way out. That a builder does not answer changes nothing of what was done.
    pub(super) async fn delete(&self, cancel: &Cancel) {
        let leases = self.0.lock().map(|mut leases| std::mem::take(&mut *leases));
        let leases = leases.unwrap_or_default();
        let leases = leases.values().flat_map(|kept| {
            let ids = kept.ids.iter();
            ids.map(|id| (&kept.connection, id))
        });
        let deleting = leases.map(async |(connection, id)| {
            if let Err(status) = connection.delete_lease(id).await {
                tracing::debug!(
                    "the lease `{id}` stays at the builder: {}",
                    status.message()
                );
            }
        });
        let limit = match cancel.reason() {
            Some(_) => STOPPED_LIMIT,
            None => LIMIT,
        };
        let _too_slow = cancel.within(limit, join_all(deleting)).await;
    }
}
