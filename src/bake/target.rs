//! A target and a group, and how targets merge.

use std::collections::{BTreeMap, BTreeSet};

use crate::flags::{Attestation, Cache, Export, Secret, Ssh};

/// Names of targets and groups under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The name.
    pub name: String,
    /// A text for readers.
    pub description: String,
    /// The members; `None` if the definition says `null`.
    pub targets: Option<Vec<String>>,
}

/// An image to build.
///
/// In lists and maps, `None` and an empty one are not the same: an empty one replaces an inherited list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The name.
    pub name: String,
    /// A text for readers.
    pub description: String,
    /// The names of the targets that this one extends; empty after [`crate::read`].
    pub inherits: Option<Vec<String>>,
    /// Provenance and SBOM.
    pub attest: Option<Vec<Attestation>>,
    /// The directory or the address of the files to build from.
    pub context: Option<String>,
    /// Further contexts by name. A value `target:NAME` is the result of another target.
    pub contexts: Option<BTreeMap<String, String>>,
    /// The path of the Dockerfile in the context.
    pub dockerfile: Option<String>,
    /// The content of the Dockerfile; wins over `dockerfile`.
    pub dockerfile_inline: Option<String>,
    /// Build arguments. `None` as a value means no argument.
    pub args: Option<BTreeMap<String, Option<String>>>,
    /// Labels of the image. `None` as a value means no label.
    pub labels: Option<BTreeMap<String, Option<String>>>,
    /// Names of the image.
    pub tags: Option<Vec<String>>,
    /// Caches to import.
    pub cache_from: Option<Vec<Cache>>,
    /// Caches to export.
    pub cache_to: Option<Vec<Cache>>,
    /// The stage of the Dockerfile.
    pub target: Option<String>,
    /// Secrets for `RUN --mount=type=secret`.
    pub secrets: Option<Vec<Secret>>,
    /// Agents and keys for `RUN --mount=type=ssh`.
    pub ssh: Option<Vec<Ssh>>,
    /// The platforms, such as `linux/arm64`.
    pub platforms: Option<Vec<String>>,
    /// The outputs.
    pub outputs: Option<Vec<Export>>,
    /// Whether base images are looked up again.
    pub pull: Option<bool>,
    /// Whether every step runs again.
    pub no_cache: Option<bool>,
    /// The network of `RUN`.
    pub network: Option<String>,
    /// Stages of which every step runs again.
    pub no_cache_filter: Option<Vec<String>>,
    /// The size of `/dev/shm`, such as `1g`.
    pub shm_size: Option<String>,
    /// The Depot project; empty for the default one.
    pub project_id: String,
    /// The attributes that the CLI does not have.
    pub extra: Extra,
    /// Whether the target is built only because another one links to it.
    pub linked: bool,
}

/// Attributes that buildx has and the depot CLI ignores. `--print` does not show them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// Annotations, such as `index:org.opencontainers.image.title=x`.
    pub annotations: Option<Vec<String>>,
    /// Limits of `RUN`, such as `nofile=1024:2048`.
    pub ulimits: Option<Vec<String>>,
    /// Lines of `/etc/hosts`: address by name.
    pub extra_hosts: Option<BTreeMap<String, Option<String>>>,
    /// Privileges of `RUN`, such as `network.host`.
    pub entitlements: Option<Vec<String>>,
    /// The service of a compose file that the target is.
    pub service: Option<ComposeService>,
}

/// A service of a compose file, whose image has a default name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComposeService {
    /// The name of the service.
    pub name: String,
    /// `COMPOSE_PROJECT_NAME`, else `name` of the file.
    pub project: Option<String>,
}

impl ComposeService {
    /// The name of the image if neither `image` nor `tags` has one, as in `docker compose build`. `directory`: the name of the
    /// directory of the first file.
    #[must_use]
    pub fn image(&self, directory: &str) -> String {
        let project = self.project.as_deref().unwrap_or(directory);
        let is_kept = |character: &char| {
            character.is_ascii_lowercase()
                || character.is_ascii_digit()
                || "_-".contains(*character)
        };
        let project: String = project.to_lowercase().chars().filter(is_kept).collect();
        format!("{}-{}", project.trim_start_matches(['_', '-']), self.name)
    }
}

impl Target {
    /// Takes over all that `other` sets.
    pub(crate) fn merge(&mut self, other: &Self) {
        if !other.description.is_empty() {
            self.description.clone_from(&other.description);
        }
        if !other.project_id.is_empty() {
            self.project_id.clone_from(&other.project_id);
        }
        replace(&mut self.context, other.context.as_ref());
        replace(&mut self.dockerfile, other.dockerfile.as_ref());
        replace(
            &mut self.dockerfile_inline,
            other.dockerfile_inline.as_ref(),
        );
        replace(&mut self.target, other.target.as_ref());
        replace(&mut self.pull, other.pull.as_ref());
        replace(&mut self.no_cache, other.no_cache.as_ref());
        replace(&mut self.network, other.network.as_ref());
        replace(&mut self.shm_size, other.shm_size.as_ref());
        replace(&mut self.tags, other.tags.as_ref());
        replace(&mut self.platforms, other.platforms.as_ref());
        replace(&mut self.cache_to, other.cache_to.as_ref());
        replace(&mut self.outputs, other.outputs.as_ref());
        merge_values(&mut self.args, other.args.as_ref());
        merge_values(&mut self.labels, other.labels.as_ref());
        for (name, value) in other.contexts.iter().flatten() {
            let contexts = self.contexts.get_or_insert_default();
            contexts.insert(name.clone(), value.clone());
        }
        merge_attestations(&mut self.attest, other.attest.as_ref());
        merge_list(&mut self.secrets, other.secrets.as_ref());
        merge_list(&mut self.ssh, other.ssh.as_ref());
        merge_list(&mut self.cache_from, other.cache_from.as_ref());
        append(&mut self.no_cache_filter, other.no_cache_filter.as_ref());
        append(&mut self.inherits, other.inherits.as_ref());
        self.extra.merge(&other.extra);
    }

    /// Removes duplicates and empty entries.
    pub(crate) fn normalize(&mut self) {
        for list in [
            &mut self.tags,
            &mut self.platforms,
            &mut self.no_cache_filter,
            &mut self.extra.annotations,
            &mut self.extra.ulimits,
            &mut self.extra.entitlements,
        ] {
            let mut seen = BTreeSet::new();
            for list in list.iter_mut() {
                list.retain(|entry| !entry.is_empty() && seen.insert(entry.clone()));
            }
        }
        self.attest = normal_attestations(self.attest.take());
        self.secrets = normal(self.secrets.take());
        self.ssh = normal(self.ssh.take());
        self.cache_from = normal(self.cache_from.take());
        self.cache_to = normal(self.cache_to.take());
        self.outputs = normal(self.outputs.take());
        if let Some(contexts) = &mut self.contexts {
            contexts.retain(|_, value| !value.is_empty());
            if contexts.is_empty() {
                self.contexts = None;
            }
        }
    }
}

impl Extra {
    fn merge(&mut self, other: &Self) {
        append(&mut self.annotations, other.annotations.as_ref());
        append(&mut self.entitlements, other.entitlements.as_ref());
        replace(&mut self.ulimits, other.ulimits.as_ref());
        merge_values(&mut self.extra_hosts, other.extra_hosts.as_ref());
        replace(&mut self.service, other.service.as_ref());
    }
}

fn replace<T: Clone>(value: &mut Option<T>, other: Option<&T>) {
    if other.is_some() {
        *value = other.cloned();
    }
}

fn append<T: Clone>(list: &mut Option<Vec<T>>, other: Option<&Vec<T>>) {
    if let Some(other) = other {
        list.get_or_insert_default().extend_from_slice(other);
    }
}

fn merge_values(
    values: &mut Option<BTreeMap<String, Option<String>>>,
    other: Option<&BTreeMap<String, Option<String>>>,
) {
    for (name, value) in other.into_iter().flatten() {
        if value.is_some() {
            let values = values.get_or_insert_default();
            values.insert(name.clone(), value.clone());
        }
    }
}

/// Appends a list and removes duplicates.
pub(crate) fn merge_list<T: Clone + PartialEq>(list: &mut Option<Vec<T>>, other: Option<&Vec<T>>) {
    if other.is_some() {
        append(list, other);
        *list = normal(list.take());
    }
}

/// Appends attestations; of each kind the last one wins.
pub(crate) fn merge_attestations(
    list: &mut Option<Vec<Attestation>>,
    other: Option<&Vec<Attestation>>,
) {
    if other.is_some() {
        append(list, other);
        *list = normal_attestations(list.take());
    }
}

/// Removes duplicates in the order of the CLI: the first of equal entries stays, and the last entry takes the place of the other.
fn normal<T: PartialEq>(list: Option<Vec<T>>) -> Option<Vec<T>> {
    let mut list = list.filter(|list| !list.is_empty())?;
    for index in (0..list.len().saturating_sub(1)).rev() {
        let duplicate = list.get(index).and_then(|entry| {
            let others = list.iter().skip(index + 1);
            others.clone().position(|other| other == entry)
        });
        if let Some(duplicate) = duplicate {
            list.swap_remove(index + 1 + duplicate);
        }
    }
    Some(list)
}

/// Keeps the place of the first attestation of a kind and the content of the last one.
fn normal_attestations(list: Option<Vec<Attestation>>) -> Option<Vec<Attestation>> {
    let list = list.filter(|list| !list.is_empty())?;
    let mut kept: Vec<Attestation> = Vec::with_capacity(list.len());
    for attestation in list {
        match kept.iter_mut().find(|other| other.kind == attestation.kind) {
            Some(place) => *place = attestation,
            None => kept.push(attestation),
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(reference: &str) -> Cache {
        Cache {
            kind: "registry".into(),
            attributes: BTreeMap::from([("ref".into(), reference.into())]),
        }
    }

    fn references(caches: Option<Vec<Cache>>) -> String {
        let caches = caches.into_iter().flatten();
        caches
            .map(|cache| cache.attributes["ref"].clone())
            .collect()
    }

    #[test]
    fn duplicates_are_removed_in_the_order_of_the_cli() {
        for (list, expected) in [
            ("", ""),
            ("a", "a"),
            ("aa", "a"),
            ("aab", "ab"),
            ("abcab", "abc"),
            ("abac", "abc"),
            ("cabbc", "cab"),
        ] {
            let caches = list
                .chars()
                .map(|reference| cache(&reference.to_string()))
                .collect();
            assert_eq!(references(normal(Some(caches))), expected, "{list}");
        }
    }

    #[test]
    fn lists_are_replaced_or_extended() {
        let mut target = Target {
            tags: Some(vec!["a".into()]),
            cache_from: Some(vec![cache("a")]),
            no_cache_filter: Some(vec!["a".into()]),
            ..Target::default()
        };
        target.merge(&Target {
            tags: Some(Vec::new()),
            cache_from: Some(vec![cache("b"), cache("a")]),
            no_cache_filter: Some(vec!["a".into(), "b".into()]),
            ..Target::default()
        });
        target.normalize();
        assert_eq!(target.tags, Some(Vec::new()));
        assert_eq!(references(target.cache_from), "ab");
        assert_eq!(target.no_cache_filter, Some(vec!["a".into(), "b".into()]));
    }
}
