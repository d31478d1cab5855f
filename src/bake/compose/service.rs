//! A service with a `build` section, as a target of bake.

use std::collections::BTreeMap;

use crate::Place;

/// A service with a `build` section. All such services form the group `default`, in the order of the files.
///
/// Lists of caches, outputs, secrets, SSH keys and attestations hold the text form that `flags` parses.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// The name of the target: the name of the service with `_` for each `.`.
    pub(crate) name: String,
    /// The service in its file, for errors.
    pub(crate) place: Place,
    pub(crate) context: Option<String>,
    /// `additional_contexts` and `contexts` of `x-bake`; `service:NAME` became `target:NAME`.
    pub(crate) contexts: BTreeMap<String, String>,
    pub(crate) dockerfile: Option<String>,
    pub(crate) dockerfile_inline: Option<String>,
    pub(crate) target: Option<String>,
    /// Arguments without a value got the one of `environment`, of `env_file` or of the environment, or are absent.
    pub(crate) args: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// `tags`, else `image`; then the tags of `x-bake`.
    pub(crate) tags: Vec<String>,
    pub(crate) platforms: Vec<String>,
    pub(crate) no_cache_filter: Vec<String>,
    /// The network mode, which may be empty.
    pub(crate) network: String,
    pub(crate) cache_from: Vec<String>,
    pub(crate) cache_to: Vec<String>,
    pub(crate) secrets: Vec<String>,
    /// Sorted by their text; sort again after the merge with `extra.ssh`.
    pub(crate) ssh: Vec<String>,
    /// Canonical: `type=sbom,…` and `type=provenance,…`.
    pub(crate) attest: Vec<String>,
    /// From `x-depot`.
    pub(crate) project_id: Option<String>,
    /// From `x-bake`.
    pub(crate) pull: Option<bool>,
    /// From `x-bake`.
    pub(crate) no_cache: Option<bool>,
    /// Lists of `x-bake` that merge with those above as the lists of two targets do.
    pub(crate) extra: Extra,
}

/// The lists of `x-bake` that merge by their content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    pub(crate) cache_from: Vec<String>,
    pub(crate) cache_to: Vec<String>,
    pub(crate) secrets: Vec<String>,
    pub(crate) ssh: Vec<String>,
    pub(crate) outputs: Vec<String>,
}
