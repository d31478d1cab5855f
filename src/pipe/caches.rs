//! The caches outside of the builder of one share, ready for its solves.
//!
//! Builders of one image would overwrite each other's cache, because each exports a cache of its own platforms to one place. So
//! with several builders, a suffix names the builder. An import reads both places: the cache may be that of a build with one
//! builder, and a build with one builder may use the cache of one with several.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use secrecy::ExposeSecret;

use super::Result;
use super::export::Export;
use super::failure::Failure;
use super::registries::Registries;
use super::round::Form;
use super::run::Run;
use super::target::Target;
use crate::buildkit::{ExternalCache, Solve};
use crate::config::plan::{CachePlan, CachesPlan, ImagePlan};
use crate::registry::credentials::canonical_host;

/// How long a registry may take to answer whether it has a cache.
const PROBE_LIMIT: Duration = Duration::from_secs(20);

/// The caches of one share.
#[derive(Debug, Default)]
pub(super) struct ShareCaches {
    imports: Vec<ExternalCache>,
    exports: Vec<ExternalCache>,
    /// The places of `exports`, for messages.
    places: Vec<String>,
    is_inline: bool,
}

impl ShareCaches {
    /// Prepares the caches of the part of an image that is for `target`: their places, and the keys of those in S3.
    ///
    /// # Errors
    /// [`Failure::CacheKeys`] if AWS issues no keys.
    pub(super) async fn prepare(
        run: &Run<'_>,
        plan: &ImagePlan,
        form: Form,
        target: &Target,
    ) -> Result<Self> {
        let CachesPlan {
            imports,
            exports,
            inline,
            ..
        } = &plan.caches;
        let suffix = format!("linux-{}", target.machine);
        let has_several_builders = form == Form::Part;
        let looking = imports.iter();
        let looking =
            looking.map(|cache| places(&run.registries, cache, &suffix, has_several_builders));
        let imports: Vec<_> = join_all(looking).await.into_iter().flatten().collect();
        let exports = exports.iter().map(|cache| {
            // The config makes sure that the suffix fits.
            let suffixed = has_several_builders
                .then(|| cache.suffixed(&suffix))
                .flatten();
            suffixed.unwrap_or_else(|| cache.clone())
        });
        let exports: Vec<_> = exports.collect();
        let places: Vec<_> = exports.iter().map(ToString::to_string).collect();
        if has_several_builders && !places.is_empty() {
            tracing::info!("the cache of {target} is exported to {}", places.join(", "));
        }
        let insecure = &run.plan.registries.insecure;
        let request = async |cache: &CachePlan| request(&run.registries, cache, insecure).await;
        let (imports, exports) = tokio::try_join!(
            try_join_all(imports.iter().map(request)),
            try_join_all(exports.iter().map(request))
        )?;
        Ok(Self {
            imports,
            exports,
            places,
            is_inline: *inline,
        })
    }

    /// Adds the caches to a solve. `with_exports`: they are not exported yet.
    pub(super) fn add_to(&self, solve: &mut Solve, export: Export<'_>, with_exports: bool) {
        solve.cache_imports.clone_from(&self.imports);
        if with_exports {
            solve.cache_exports.clone_from(&self.exports);
        }
        // An image has the same inline cache in every round, so that its configuration is the same.
        if self.is_inline && !matches!(export, Export::Cache) {
            solve.cache_exports.push(inline());
        }
    }

    /// The places of the exports; empty without any.
    pub(super) fn places(&self) -> &[String] {
        &self.places
    }
}

/// The cache that is part of an image.
pub(super) fn inline() -> ExternalCache {
    ExternalCache {
        kind: "inline".into(),
        attributes: HashMap::new(),
    }
}

/// The places to read a cache from, in the order in which they are tried.
///
/// `BuildKit` reports a missing cache as an error of a step, but the first build of a branch has none. So a place that its
/// registry does not have is omitted.
async fn places(
    registries: &Registries,
    cache: &CachePlan,
    suffix: &str,
    has_several_builders: bool,
) -> Vec<CachePlan> {
    let Some(suffixed) = cache.suffixed(suffix) else {
        return vec![cache.clone()];
    };
    if cache.reference.is_none() {
        let suffixed = has_several_builders.then_some(suffixed);
        return suffixed.into_iter().chain([cache.clone()]).collect();
    }
    let (has_suffixed, has_plain) =
        tokio::join!(exists(registries, &suffixed), exists(registries, cache));
    let mut places = Vec::new();
    // Without an answer, the builder tries the places that this build exports to or that the user wrote.
    if has_suffixed.unwrap_or(has_several_builders) {
        places.push(suffixed);
    }
    if has_plain.unwrap_or(true) {
        places.push(cache.clone());
    }
    if !has_several_builders {
        places.reverse();
    }
    if places.is_empty() {
        tracing::info!("the cache `{cache}` does not exist yet");
    }
    places
}

/// Whether the registry has a cache; `None` if it does not answer that.
async fn exists(registries: &Registries, cache: &CachePlan) -> Option<bool> {
    let reference = cache.reference.as_ref()?;
    let (host, repository) = (reference.host(), reference.repository());
    let reading = registries
        .client
        .manifest(host, repository, reference.tag());
    match tokio::time::timeout(PROBE_LIMIT, reading).await.ok()? {
        Ok(_) => Some(true),
        Err(error) if error.status() == Some(404) => Some(false),
        Err(error) => {
            let why = crate::text::cause::one_line(&error);
            tracing::debug!("cannot check whether the cache `{reference}` exists: {why}");
            None
        }
    }
}

/// The cache as the builder gets it.
async fn request(
    registries: &Registries,
    cache: &CachePlan,
    insecure: &[String],
) -> Result<ExternalCache> {
    let attributes = cache.attributes.iter();
    let mut attributes: HashMap<String, String> = attributes
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(reference) = &cache.reference
        && insecure.contains(&canonical_host(reference.host()))
    {
        // BuildKit 0.11 ignores it; later versions read it.
        attributes
            .entry("registry.insecure".into())
            .or_insert_with(|| "true".into());
    }
    if cache.lacks_keys() {
        let region = cache.attributes.get("region").map_or("", String::as_str);
        let keys = registries.cache_keys(region).await;
        let keys = keys.map_err(|source| Failure::CacheKeys {
            place: cache.to_string(),
            source: Box::new(source),
        })?;
        if let Some(keys) = keys {
            attributes.insert("access_key_id".into(), keys.id);
            attributes.insert(
                "secret_access_key".into(),
                keys.secret.expose_secret().into(),
            );
            attributes.extend(
                keys.session
                    .map(|session| ("session_token".into(), session.expose_secret().to_owned())),
            );
        }
    }
    Ok(ExternalCache {
        kind: cache.kind.name().into(),
        attributes,
    })
}
