//! The image that is copied: its place, and the logins for it.

use std::collections::HashMap;

use secrecy::ExposeSecret;

use super::Promotion;
use crate::config::plan::{PromotionSource, SavedBuild};
use crate::depot::{Api, Saved};
use crate::pipe::Result;
use crate::pipe::delivered::{Finished, PlatformImage};
use crate::pipe::failure::{Failure, SourceFailure};
use crate::pipe::load::exported::{is_platform, parse};
use crate::pipe::registries::Registries;
use crate::platform::Platform;
use crate::registry::copy::tree::{ReadError, Tree};
use crate::registry::reference::Reference;

/// The image to copy.
pub(super) struct Source {
    pub(super) reference: Reference,
    /// Its name in messages.
    pub(super) shown: String,
}

impl Source {
    /// The image cannot be read.
    pub(super) fn failure(&self, error: ReadError) -> Failure {
        Failure::Source(Box::new(SourceFailure {
            image: self.shown.clone(),
            source: error,
        }))
    }
}

/// Finds the image, and prepares access to the registries.
pub(super) async fn find(promotion: &Promotion<'_>) -> Result<(Source, Registries)> {
    let (plan, masker) = (promotion.plan, promotion.masker);
    match &promotion.image.source {
        PromotionSource::Image(reference) => {
            let registries = Registries::new(plan, &Saved::default(), masker)?;
            let source = Source {
                reference: reference.clone(),
                shown: reference.to_string(),
            };
            Ok((source, registries))
        }
        PromotionSource::Build(build) => {
            let (reference, saved) = at_depot(promotion, build).await?;
            let registries = Registries::new(plan, &saved, masker)?;
            let source = Source {
                shown: reference.to_string(),
                reference,
            };
            Ok((source, registries))
        }
    }
}

/// Queries Depot for the place of a saved image, and for the login for it.
async fn at_depot(promotion: &Promotion<'_>, build: &SavedBuild) -> Result<(Reference, Saved)> {
    let plan = promotion.plan;
    let tls = crate::http::roots::client_config(&plan.authorities).map_err(Failure::Tls)?;
    let api = Api::new(build.api_url.clone(), tls, &plan.proxies).map_err(Failure::Client)?;
    let title = format!("[depot] finding the image of build {}", build.id);
    promotion
        .step(&title, async |_| {
            let found = api.saved_image(&build.id, &build.token).await;
            let found = found.map_err(|source| Failure::SavedBuild {
                id: build.id.clone(),
                source,
            })?;
            promotion.masker.add(found.password.expose_secret());
            let reference = Reference::parse(&found.reference);
            let reference = reference.map_err(|source| Failure::SavedReference {
                reference: found.reference,
                source,
            })?;
            let login = (reference.host().to_owned(), found.username, found.password);
            let saved = Saved {
                references: Vec::new(),
                credentials: vec![login],
            };
            Ok((reference, saved))
        })
        .await
}

/// The facts of the image for the outputs. The names and the image in the daemon are missing.
pub(super) async fn finished(
    promotion: &Promotion<'_>,
    source: &Source,
    registries: &Registries,
    tree: &Tree,
) -> Finished {
    let root = tree.root();
    let names = promotion.image.destinations.pushed().iter();
    let names: Vec<String> = names.map(ToString::to_string).collect();
    let mut response = HashMap::from([("containerimage.digest".to_owned(), root.digest.clone())]);
    if !names.is_empty() {
        response.insert("image.name".into(), names.join(","));
    }
    let needs_platforms = promotion.plan.outputs.need_platforms();
    let platforms = async {
        if needs_platforms {
            platforms(source, registries, tree).await
        } else {
            Vec::new()
        }
    };
    let platforms = promotion.cancel.unless_fired(platforms).await;
    Finished {
        platforms: platforms.unwrap_or_default(),
        response,
        ..Finished::default()
    }
}

/// The manifest of each platform; empty if a single manifest has no config with a platform.
pub(super) async fn platforms(
    source: &Source,
    registries: &Registries,
    tree: &Tree,
) -> Vec<PlatformImage> {
    let root = tree.root();
    let Ok(document) = parse(&root.digest, &root.bytes) else {
        return Vec::new();
    };
    if !document.is_manifest() {
        let images = document.images().into_iter();
        return images.map(PlatformImage::from).collect();
    }
    let platform = async {
        let config = document.config_digest()?;
        let reference = &source.reference;
        let (host, repository) = (reference.host(), reference.repository());
        let config = registries
            .client
            .blob(host, repository, config)
            .await
            .ok()?;
        serde_json::from_slice::<Platform>(&config).ok()
    };
    let platform = platform.await.filter(is_platform);
    let digest = root.digest.clone();
    platform
        .into_iter()
        .map(|platform| PlatformImage {
            platform,
            digest: digest.clone(),
            bytes: None,
        })
        .collect()
}
