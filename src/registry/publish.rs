//! Puts one manifest under many names.

use std::collections::HashMap;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Semaphore;

use super::client::{Client, ClientError, Manifest};
use super::credentials::canonical_host;
use super::reference::Reference;

/// Names at once.
const AT_ONCE: usize = 8;

/// Names at once in one registry: some count what comes from one place.
const AT_ONCE_AT_HOST: usize = 4;

/// Puts `manifest` under every name, whatever becomes of the others; the answers are in the order of the names.
///
/// `on_put` hears of each name as soon as it has it: the future may be dropped at any time, and then some have.
pub async fn publish(
    client: &Client,
    manifest: &Manifest,
    names: &[Reference],
    on_put: impl Fn(&Reference),
) -> Vec<(Reference, Result<(), ClientError>)> {
    let mut hosts: HashMap<String, Semaphore> = HashMap::new();
    for name in names {
        hosts
            .entry(canonical_host(name.host()))
            .or_insert_with(|| Semaphore::new(AT_ONCE_AT_HOST));
    }
    let (hosts, on_put) = (&hosts, &on_put);
    stream::iter(names)
        .map(|name| async move {
            // It is never closed: an error cannot be, and would only mean one call more at once.
            let _permit = match hosts.get(&canonical_host(name.host())) {
                Some(permits) => permits.acquire().await.ok(),
                None => None,
            };
            let put = client.put_manifest(name.host(), name.repository(), name.tag(), manifest);
            let put = put.await;
            if put.is_ok() {
                on_put(name);
            }
            (name.clone(), put)
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}
