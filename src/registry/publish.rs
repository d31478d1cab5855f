//! Pushes one manifest under many names.

use std::collections::HashMap;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Semaphore;

use super::client::{Client, ClientError};
use super::credentials::canonical_host;
use super::manifest::Manifest;
use super::reference::Reference;

/// The number of concurrent pushes.
const MAX_PUSHES: usize = 8;

/// The number of concurrent pushes to one registry: some limit the requests of a client.
const MAX_PUSHES_PER_HOST: usize = 4;

/// Pushes `manifest` under every name, also if some of them fail. The results are in the order of the names.
///
/// `on_put` is called after each successful push. The future may be dropped at any time; then some names are pushed.
pub(crate) async fn publish(
    client: &Client,
    manifest: &Manifest,
    names: &[Reference],
    on_put: impl Fn(&Reference),
) -> Vec<(Reference, Result<(), ClientError>)> {
    let mut hosts: HashMap<String, Semaphore> = HashMap::new();
    for name in names {
        hosts
            .entry(canonical_host(name.host()))
            .or_insert_with(|| Semaphore::new(MAX_PUSHES_PER_HOST));
    }
    let (hosts, on_put) = (&hosts, &on_put);
    stream::iter(names)
        .map(|name| async move {
            // The semaphore is never closed. An error would only mean one more concurrent push.
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
        .buffered(MAX_PUSHES)
        .collect()
        .await
}
