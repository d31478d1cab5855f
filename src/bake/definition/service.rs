//! Services of compose files as targets.

use std::collections::BTreeMap;

use crate::Error;
use crate::compose::Service;
use crate::flags::{Attestation, Cache, Export, Secret, Ssh};
use crate::ordered::IntoOrdered;
use crate::target::{Extra, Target, merge_list};

/// The target of a service.
pub(super) fn target(service: &Service) -> Result<Target, Error> {
    let build = || -> Result<Target, Error> {
        let mut target = Target {
            name: service.name.clone(),
            context: service.context.clone(),
            contexts: Some(service.contexts.clone()),
            dockerfile: service.dockerfile.clone(),
            dockerfile_inline: service.dockerfile_inline.clone(),
            target: service.target.clone(),
            args: Some(values(&service.args)),
            labels: Some(values(&service.labels)),
            tags: list(&service.tags),
            platforms: list(&service.platforms),
            no_cache_filter: list(&service.no_cache_filter),
            network: Some(service.network.clone()),
            cache_from: caches(&service.cache_from)?,
            cache_to: caches(&service.cache_to)?,
            secrets: parsed(&service.secrets, Secret::parse)?,
            ssh: parsed(&service.ssh, |text| Ok(Ssh::parse(text)))?,
            attest: parsed(&service.attest, Attestation::parse)?,
            project_id: service.project_id.clone().unwrap_or_default(),
            pull: service.pull,
            no_cache: service.no_cache,
            extra: Extra {
                service: Some(service.image.clone()),
                ..Extra::default()
            },
            ..Target::default()
        };
        let extra = &service.extra;
        merge_list(&mut target.cache_from, caches(&extra.cache_from)?.as_ref());
        merge_list(&mut target.cache_to, caches(&extra.cache_to)?.as_ref());
        merge_list(
            &mut target.secrets,
            parsed(&extra.secrets, Secret::parse)?.as_ref(),
        );
        merge_list(
            &mut target.ssh,
            parsed(&extra.ssh, |text| Ok(Ssh::parse(text)))?.as_ref(),
        );
        merge_list(
            &mut target.outputs,
            parsed(&extra.outputs, Export::parse)?.as_ref(),
        );
        if let Some(ssh) = &mut target.ssh {
            ssh.sort_by(|left, right| (&left.id, &left.paths).cmp(&(&right.id, &right.paths)));
        }
        Ok(target)
    };
    build().map_err(|error| error.or_at(|| service.place.clone()))
}

fn list(texts: &[String]) -> Option<Vec<String>> {
    (!texts.is_empty()).then(|| texts.to_vec())
}

fn values(values: &BTreeMap<String, String>) -> BTreeMap<String, Option<String>> {
    let values = values
        .iter()
        .map(|(name, value)| (name.clone(), Some(value.clone())));
    values.into_ordered()
}

fn caches(texts: &[String]) -> Result<Option<Vec<Cache>>, Error> {
    if texts.is_empty() {
        return Ok(None);
    }
    Cache::parse_all(texts).map(Some)
}

fn parsed<T>(
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, Error>,
) -> Result<Option<Vec<T>>, Error> {
    if texts.is_empty() {
        return Ok(None);
    }
    let texts = texts.iter().filter(|text| !text.is_empty());
    texts
        .map(|text| parse(text))
        .collect::<Result<_, _>>()
        .map(Some)
}
