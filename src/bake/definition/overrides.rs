//! Overrides of attributes, `PATTERN.KEY[.NAME][+]=VALUE`, and the flags that stand for some.

use std::collections::BTreeMap;

use crate::flags::{Attestation, Cache, Export, Secret, Ssh, attestation_text, boolean};
use crate::target::{Target, merge_attestations, merge_list};
use crate::{Error, Flags, Part, Request};

use super::config::Config;
use super::pattern::Pattern;

/// The overrides by target and key, such as `args.VERSION`.
#[derive(Default)]
pub(crate) struct Overrides(BTreeMap<String, BTreeMap<String, Override>>);

/// The value of a key. A list that is set several times has all the values.
#[derive(Clone, Default)]
pub(crate) struct Override {
    value: String,
    values: Vec<String>,
    append: bool,
}

impl Overrides {
    /// The overrides of a target in the order in which they apply: `push` changes the outputs, so it comes after `output`.
    pub(crate) fn of(&self, target: &str) -> impl Iterator<Item = (&str, &Override)> {
        let overrides = self.0.get(target).into_iter().flatten();
        overrides.map(|(key, value)| (key.as_str(), value))
    }
}

/// The keys whose values are lists.
const LISTS: [&str; 9] = [
    "output",
    "cache-to",
    "cache-from",
    "tags",
    "platform",
    "secrets",
    "ssh",
    "attest",
    "no-cache-filter",
];

/// All keys.
const KEYS: &str = "args.NAME, attest, cache-from, cache-to, context, contexts.NAME, dockerfile, labels.NAME, network, no-cache, \
                    no-cache-filter, output, platform, pull, push, secrets, shm-size, ssh, tags, target";

/// Reads the overrides and flags of a request.
pub(crate) fn parse(config: &Config, request: &Request<'_>) -> Result<Overrides, Error> {
    let mut overrides = Overrides::default();
    for text in request.overrides.iter().chain(&of_flags(&request.flags)) {
        overrides.add(text, config, request)?;
    }
    Ok(overrides)
}

/// The overrides that flags stand for.
fn of_flags(flags: &Flags) -> Vec<String> {
    let mut overrides = Vec::new();
    if flags.push {
        overrides.push("*.push=true".to_owned());
    }
    if let Some(no_cache) = flags.no_cache {
        overrides.push(format!("*.no-cache={no_cache}"));
    }
    if let Some(pull) = flags.pull {
        overrides.push(format!("*.pull={pull}"));
    }
    for (kind, value) in [("sbom", &flags.sbom), ("provenance", &flags.provenance)] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            overrides.push(format!("*.attest={}", attestation_text(kind, value)));
        }
    }
    overrides
}

impl Overrides {
    fn add(&mut self, text: &str, config: &Config, request: &Request<'_>) -> Result<(), Error> {
        let invalid =
            |problem: &str| Error::of(Part::Overrides, format!("override `{text}`: {problem}"));
        let (left, value) = match text.split_once('=') {
            Some((left, value)) => (left, Some(value)),
            None => (text, None),
        };
        let path = left.strip_suffix('+').unwrap_or(left);
        let append = path.len() < left.len();
        let Some((pattern, key)) = path.split_once('.') else {
            return Err(invalid("expected `TARGET.KEY=VALUE`"));
        };
        let (field, name) = match key.split_once('.') {
            Some((field, name)) => (field, Some(name)),
            None => (key, None),
        };
        if value.is_none() && field != "args" {
            return Err(invalid("expected `TARGET.KEY=VALUE`"));
        }
        for target in matching(config, pattern).map_err(|problem| invalid(&problem))? {
            let overrides = self.0.entry(target).or_default();
            if LISTS.contains(&field) {
                let entry = overrides.entry(key.to_owned()).or_default();
                if let Some(value) = value {
                    entry.append = append;
                    entry.values.push(value.to_owned());
                }
                continue;
            }
            if matches!(field, "args" | "contexts") && name.is_none() {
                return Err(invalid(&format!("expected `TARGET.{field}.NAME=VALUE`")));
            }
            let value = match value {
                Some(value) => value.to_owned(),
                None => match (request.variable)(name.unwrap_or_default()) {
                    Some(value) => value,
                    None => continue,
                },
            };
            overrides.entry(key.to_owned()).or_default().value = value;
        }
        Ok(())
    }
}

/// The targets that a pattern matches; a target of exactly this name goes first.
fn matching(config: &Config, pattern: &str) -> Result<Vec<String>, String> {
    if config.target(pattern).is_some() {
        return Ok(vec![pattern.to_owned()]);
    }
    let parsed = Pattern::parse(pattern).ok_or_else(|| format!("`{pattern}` is not a pattern"))?;
    let names = config.targets.iter().map(|target| target.name.as_str());
    let names: Vec<String> = names
        .filter(|name| parsed.matches(name))
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err(format!("no target matches `{pattern}`"));
    }
    Ok(names)
}

impl Override {
    /// Changes a target.
    pub(crate) fn apply(&self, key: &str, target: &mut Target) -> Result<(), Error> {
        let (field, name) = match key.split_once('.') {
            Some((field, name)) => (field, Some(name)),
            None => (key, None),
        };
        let named = || {
            name.ok_or_else(|| {
                Error::of(
                    Part::Overrides,
                    format!("override `{key}`: expected `TARGET.{field}.NAME=VALUE`"),
                )
            })
        };
        let flag = || {
            boolean(&self.value).ok_or_else(|| {
                Error::of(
                    Part::Overrides,
                    format!(
                        "override `{key}`: `{}` is neither true nor false",
                        self.value
                    ),
                )
            })
        };
        let wrong = |error: Error| Error::of(Part::Overrides, format!("override `{key}`: {error}"));
        match field {
            "context" => target.context = Some(self.value.clone()),
            "dockerfile" => target.dockerfile = Some(self.value.clone()),
            "target" => target.target = Some(self.value.clone()),
            "shm-size" => target.shm_size = Some(self.value.clone()),
            "network" => target.network = Some(self.value.clone()),
            "no-cache" => target.no_cache = Some(flag()?),
            "pull" => target.pull = Some(flag()?),
            "push" => set_push(&mut target.outputs, flag()?),
            "args" => {
                let args = target.args.get_or_insert_default();
                args.insert(named()?.to_owned(), Some(self.value.clone()));
            }
            "labels" => {
                let labels = target.labels.get_or_insert_default();
                labels.insert(named()?.to_owned(), Some(self.value.clone()));
            }
            "contexts" => {
                let contexts = target.contexts.get_or_insert_default();
                contexts.insert(named()?.to_owned(), self.value.clone());
            }
            "tags" => self.texts(&mut target.tags),
            "platform" => self.texts(&mut target.platforms),
            "no-cache-filter" => self.texts(&mut target.no_cache_filter),
            "cache-from" => self.entries(
                &mut target.cache_from,
                Cache::parse_all(&self.values).map_err(wrong)?,
            ),
            "cache-to" => self.entries(
                &mut target.cache_to,
                Cache::parse_all(&self.values).map_err(wrong)?,
            ),
            "secrets" => self.entries(
                &mut target.secrets,
                self.parsed(Secret::parse).map_err(wrong)?,
            ),
            "ssh" => self.entries(
                &mut target.ssh,
                self.parsed(|text| Ok(Ssh::parse(text))).map_err(wrong)?,
            ),
            "output" => self.entries(
                &mut target.outputs,
                self.parsed(Export::parse).map_err(wrong)?,
            ),
            "attest" => {
                let attestations = self.parsed(Attestation::parse).map_err(wrong)?;
                merge_attestations(&mut target.attest, Some(&attestations));
            }
            _ => {
                return Err(Error::of(
                    Part::Overrides,
                    format!("override `{key}`: unknown key `{field}`; the keys are {KEYS}"),
                ));
            }
        }
        Ok(())
    }

    fn parsed<T>(&self, parse: impl Fn(&str) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let values = self.values.iter().filter(|value| !value.is_empty());
        values.map(|value| parse(value)).collect()
    }

    fn texts(&self, list: &mut Option<Vec<String>>) {
        if self.append {
            list.get_or_insert_default().extend_from_slice(&self.values);
        } else {
            *list = Some(self.values.clone());
        }
    }

    fn entries<T: Clone + PartialEq>(&self, list: &mut Option<Vec<T>>, entries: Vec<T>) {
        if self.append {
            merge_list(list, Some(&entries));
        } else {
            *list = Some(entries);
        }
    }
}

/// Sets `push` on the outputs that can be pushed. A target without outputs gets one that pushes, whatever the value: so does the CLI.
fn set_push(outputs: &mut Option<Vec<Export>>, push: bool) {
    let outputs = outputs.get_or_insert_default();
    if outputs.is_empty() {
        outputs.push(Export {
            kind: "image".into(),
            destination: String::new(),
            attributes: BTreeMap::from([("push".into(), "true".into())]),
        });
        return;
    }
    for output in outputs {
        if matches!(output.kind.as_str(), "image" | "registry") {
            output.attributes.insert("push".into(), push.to_string());
        }
    }
}
