//! Looks up the names of a build before it is created: `SKIP_IF_EXISTS`.
//!
//! A build is skipped only if every name of every image exists, and all names of an image refer to the same one. After any failed
//! lookup the build runs: some registries reject requests for repositories that do not exist.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;

use super::Result;
use super::delivered::{Delivered, Finished, PlatformImage};
use super::failure::Failure;
use super::load::exported::{Document, parse};
use super::registries::Registries;
use crate::cancel::Cancel;
use crate::config::Plan;
use crate::depot::Saved;
use crate::registry::client::Client;
use crate::registry::reference::Reference;
use crate::report::mask::Masker;
use crate::text::cause::one_line;

/// The images of the plan, if all their names exist. `None` if the plan must be built.
pub(super) async fn existing(
    plan: &Plan,
    masker: &Masker,
    cancel: &Cancel,
) -> Result<Option<Vec<Finished>>> {
    if !plan.skip_if_exists {
        return Ok(None);
    }
    let registries = Registries::new(plan, &Saved::default(), masker)?;
    let client = &registries.client;
    let looking = async {
        let mut images = Vec::new();
        for destinations in plan.destinations() {
            let names = destinations.pushed();
            let digest = digest_of(client, names).await?;
            images.push(finished(plan, client, names, digest).await);
        }
        Some(images)
    };
    let found = cancel.unless_fired(looking).await;
    let found = found.map_err(Failure::Canceled)?;
    if found.is_some() {
        tracing::info!("all names already exist and refer to the same image, so nothing is built");
    }
    Ok(found)
}

/// The digest of all names; `None` if a name does not exist or has another one. There is at least one name.
async fn digest_of(client: &Arc<Client>, names: &[Reference]) -> Option<String> {
    let lookups = names.iter().map(async |name| {
        let digest = client.digest_of_tag(name.host(), name.repository(), name.tag());
        (name, digest.await)
    });
    let mut first: Option<(&Reference, String)> = None;
    for (name, lookup) in join_all(lookups).await {
        let digest = match lookup {
            Ok(Some(digest)) => digest,
            Ok(None) => {
                tracing::info!("`{name}` does not exist yet, so the image is built");
                return None;
            }
            Err(error) => {
                let why = one_line(&error);
                tracing::warn!("cannot look up `{name}`, so the image is built: {why}");
                return None;
            }
        };
        match &first {
            None => first = Some((name, digest)),
            Some((_, known)) if *known == digest => {}
            Some((other, _)) => {
                tracing::info!(
                    "`{other}` and `{name}` are different images, so the image is built"
                );
                return None;
            }
        }
    }
    first.map(|(_, digest)| digest)
}

/// An image that exists.
async fn finished(
    plan: &Plan,
    client: &Arc<Client>,
    names: &[Reference],
    digest: String,
) -> Finished {
    let listed: Vec<String> = names.iter().map(ToString::to_string).collect();
    let response = HashMap::from([
        ("containerimage.digest".to_owned(), digest.clone()),
        ("image.name".to_owned(), listed.join(",")),
    ]);
    let platforms = match names.first() {
        Some(name) if plan.outputs.need_platforms() => platforms(client, name, &digest).await,
        _ => Vec::new(),
    };
    let delivered = Delivered {
        names: names.to_vec(),
        digest: Some(digest),
    };
    Finished {
        delivered: vec![delivered],
        platforms,
        response,
        ..Finished::default()
    }
}

/// The manifest of each platform of an index; empty if it cannot be read.
async fn platforms(client: &Client, name: &Reference, digest: &str) -> Vec<PlatformImage> {
    let index = client.manifest(name.host(), name.repository(), digest);
    let Ok(index) = index.await else {
        return Vec::new();
    };
    let images = parse(digest, &index.bytes).map(Document::images);
    let images = images.unwrap_or_default().into_iter();
    images.map(PlatformImage::from).collect()
}
