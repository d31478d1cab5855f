//! Caches outside of the builder: `CACHE_FROM` and `CACHE_TO`.
//!
//! An entry has the form of buildx's `--cache-from` and `--cache-to`: `type=registry,ref=REFERENCE` and further attributes, or
//! references alone, separated by commas. Values of secret attributes are in no message.

mod attributes;
mod entry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;

use super::build::BuildPlan;
use super::csv;
use super::fault::Fault;
use super::findings::Findings;
use super::images::Destinations;
use super::values::entries;
use super::warning::Warning;
use crate::platform::Architecture;
use crate::registry::reference::{Reference, TAG_MAX_CHARACTERS};

pub(crate) use attributes::CacheType;

/// The variables of the caches.
#[derive(Default, Deserialize)]
pub(super) struct CacheVariables {
    pub(super) cache_from: Option<String>,
    pub(super) cache_to: Option<String>,
}

/// The caches of one build.
#[derive(Debug, Clone, Default)]
pub(crate) struct CachesPlan {
    /// The caches that the build reads.
    pub(crate) imports: Vec<CachePlan>,
    /// The caches that it writes.
    pub(crate) exports: Vec<CachePlan>,
    /// Whether the pushed image holds the cache of its own steps.
    pub(crate) inline: bool,
    /// The secrets in the attributes.
    pub(super) secrets: Vec<SecretString>,
}

/// One cache outside of the builder. `Debug` omits the values of its attributes, which can be secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CachePlan {
    /// Its type. [`CacheType::Inline`] only while the variables are read.
    pub(crate) kind: CacheType,
    /// All attributes except the type, valid and as `BuildKit` reads them.
    pub(crate) attributes: BTreeMap<String, String>,
    /// The reference, for [`CacheType::Registry`].
    pub(crate) reference: Option<Reference>,
}

impl fmt::Debug for CachePlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.attributes.keys().collect();
        write!(formatter, "{} {names:?}", self.kind.name())
    }
}

/// The place of the cache, for messages: its reference, or its bucket or container.
impl fmt::Display for CachePlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |name: &str| self.attributes.get(name).map_or("", String::as_str);
        match (&self.reference, self.kind) {
            (Some(reference), _) => write!(formatter, "{reference}"),
            (None, CacheType::Azblob) => {
                let container = self.attributes.get("container");
                let container = container.map_or("buildkit-cache", String::as_str);
                write!(formatter, "{}/{container}", named("account_url"))?;
                self.fmt_name(formatter)
            }
            (None, _) => {
                write!(formatter, "s3://{}/{}", named("bucket"), named("prefix"))?;
                self.fmt_name(formatter)
            }
        }
    }
}

/// The name of a manifest in `BuildKit`'s S3 and Azure caches, unless another one is set.
const DEFAULT_NAME: &str = "buildkit";

/// The longest suffix for one builder of several: `-linux-amd64`.
const SUFFIX_CHARACTERS: usize = 12;

impl CachePlan {
    /// The same cache in a place of its own, for one builder of several: the suffix is appended to the tag, or to each name.
    /// `None` if the cache is an image with a digest, or its tag is too long.
    #[must_use]
    pub(crate) fn suffixed(&self, suffix: &str) -> Option<Self> {
        let mut cache = self.clone();
        if let Some(reference) = &self.reference {
            let reference = reference.with_tag_suffix(suffix)?;
            cache.attributes.insert("ref".into(), reference.to_string());
            cache.reference = Some(reference);
            return Some(cache);
        }
        let names = self
            .attributes
            .get("name")
            .map_or(DEFAULT_NAME, String::as_str);
        let names: Vec<_> = names
            .split(';')
            .map(|name| format!("{name}-{suffix}"))
            .collect();
        cache.attributes.insert("name".into(), names.join(";"));
        Some(cache)
    }

    /// Whether it is in S3, and its entry has no keys.
    #[must_use]
    pub(crate) fn lacks_keys(&self) -> bool {
        self.kind == CacheType::S3 && !self.attributes.contains_key("secret_access_key")
    }

    /// Whether a failed export fails the build.
    #[must_use]
    pub(crate) fn must_succeed(&self) -> bool {
        self.attributes.get("ignore-error").map(String::as_str) != Some("true")
    }

    fn fmt_name(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attributes.get("name") {
            Some(name) => write!(formatter, " ({name})"),
            None => Ok(()),
        }
    }

    /// The values of its secret attributes.
    fn secrets(&self) -> impl Iterator<Item = SecretString> {
        let names = attributes::secret_names().into_iter();
        let values = names.filter_map(|name| self.attributes.get(name));
        values.map(|value| SecretString::from(value.as_str()))
    }
}

/// The variable of a list of caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Import,
    Export,
}

impl Direction {
    pub(super) const fn variable(self) -> &'static str {
        match self {
            Self::Import => "CACHE_FROM",
            Self::Export => "CACHE_TO",
        }
    }
}

/// Masks secret attributes in messages and in the log. Called before the first message, so invalid entries are searched too.
pub(super) fn keep_secrets(variables: &CacheVariables, findings: &mut Findings) {
    let secret_names = attributes::secret_names();
    let values = [&variables.cache_from, &variables.cache_to];
    for entry in values
        .into_iter()
        .flatten()
        .flat_map(|value| entries(value))
    {
        for (name, value) in csv::fields(entry).unwrap_or_default() {
            if secret_names.contains(name.as_str()) {
                findings.keep_secret(&value);
            }
        }
        // Also in an entry with a slip, up to the next comma or quote.
        let lower_case = entry.to_ascii_lowercase();
        for &name in &secret_names {
            for (start, _) in lower_case.match_indices(name) {
                let rest = entry.get(start + name.len()..).unwrap_or_default();
                let value = rest.trim_start_matches([' ', '=', ':', '"']);
                let end = value.find([',', '"', '\n']).unwrap_or(value.len());
                findings.keep_secret(value.get(..end).unwrap_or_default());
            }
        }
    }
}

/// Reads all caches, and reports each fault. `build` is `None` if it has a fault of its own.
pub(super) fn read(
    variables: &CacheVariables,
    build: Option<&BuildPlan>,
    destinations: &Destinations,
    findings: &mut Findings,
) -> CachesPlan {
    let imports = list(variables.cache_from.as_deref(), Direction::Import, findings);
    let mut exports = list(variables.cache_to.as_deref(), Direction::Export, findings);
    let has_several_builders = build.is_some_and(has_several_builders);
    let is_listed = exports.iter().any(|cache| cache.kind == CacheType::Inline);
    exports.retain(|cache| cache.kind != CacheType::Inline);
    report_overwritten(&exports, has_several_builders, findings);
    report_replaced_images(&exports, destinations, has_several_builders, findings);
    let is_argument = build.is_some_and(has_inline_argument);
    let is_pushed = destinations.push || destinations.save.is_some();
    if (is_listed || is_argument) && !is_pushed {
        let setting = if is_listed {
            "`type=inline` in CACHE_TO"
        } else {
            "BUILDKIT_INLINE_CACHE in BUILD_ARGS"
        };
        findings.warn(Warning::NoEffect {
            setting,
            reason: "the cache would be in the image, which is neither pushed nor saved",
        });
    }
    let caches = imports.iter().chain(&exports);
    let secrets = caches.flat_map(CachePlan::secrets).collect();
    CachesPlan {
        secrets,
        imports,
        exports,
        inline: (is_listed || is_argument) && is_pushed,
    }
}

/// Reads both variables of an image that is pushed, for `src/fuzzing` and tests. The second value has all faults.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_texts(cache_from: Option<&str>, cache_to: Option<&str>) -> (CachesPlan, String) {
    let variables = CacheVariables {
        cache_from: cache_from.map(Into::into),
        cache_to: cache_to.map(Into::into),
    };
    let pushed = Destinations {
        push: true,
        ..Destinations::default()
    };
    let mut findings = Findings::default();
    keep_secrets(&variables, &mut findings);
    let plan = read(&variables, None, &pushed, &mut findings);
    (plan, findings.into_error().to_string())
}

impl CachesPlan {
    /// The references of the exported caches in registries.
    pub(crate) fn exported_references(&self) -> impl Iterator<Item = &Reference> {
        self.exports
            .iter()
            .filter_map(|cache| cache.reference.as_ref())
    }

    /// The references of the exported caches in registries whose failure fails the run.
    pub(crate) fn required_references(&self) -> impl Iterator<Item = &Reference> {
        let required = self.exports.iter().filter(|cache| cache.must_succeed());
        required.filter_map(|cache| cache.reference.as_ref())
    }

    /// The references of all caches in registries.
    pub(crate) fn references(&self) -> impl Iterator<Item = &Reference> {
        let caches = self.imports.iter().chain(&self.exports);
        caches.filter_map(|cache| cache.reference.as_ref())
    }
}

/// Each cache once: `BuildKit` rejects an export that occurs twice.
fn list(value: Option<&str>, direction: Direction, findings: &mut Findings) -> Vec<CachePlan> {
    let mut caches: Vec<CachePlan> = Vec::new();
    let texts = value.into_iter().flat_map(entries).enumerate();
    for (index, text) in texts {
        for cache in entry::read(text, index + 1, direction, findings) {
            if !caches.contains(&cache) {
                caches.push(cache);
            }
        }
    }
    caches
}

/// Reports exports to one place, of which the last would replace the others, and tags that the suffix does not fit in.
fn report_overwritten(exports: &[CachePlan], has_several_builders: bool, findings: &mut Findings) {
    let variable = Direction::Export.variable();
    for (index, cache) in exports.iter().enumerate() {
        let shown = findings.masked(&cache.to_string());
        let mut earlier = exports.iter().take(index);
        if earlier.any(|earlier| earlier.to_string() == cache.to_string()) {
            let problem =
                format!("two entries write to `{shown}`, and the second would replace the first");
            let advice = "write each place once, or use two tags or names";
            findings.fault(Fault::new(variable, problem, advice));
        }
        let Some(reference) = &cache.reference else {
            continue;
        };
        if has_several_builders && reference.tag().len() + SUFFIX_CHARACTERS > TAG_MAX_CHARACTERS {
            let problem =
                format!("the tag of `{shown}` is too long to append the platform of each builder");
            let advice = format!(
                "write a tag of at most {} characters",
                TAG_MAX_CHARACTERS - SUFFIX_CHARACTERS
            );
            findings.fault(Fault::new(variable, problem, advice));
        }
    }
}

/// Reports a cache in the place of the pushed image: its export follows the push.
fn report_replaced_images(
    exports: &[CachePlan],
    destinations: &Destinations,
    has_several_builders: bool,
    findings: &mut Findings,
) {
    let builders = [Architecture::Amd64, Architecture::Arm64];
    let places = exports.iter().flat_map(|cache| {
        let suffixed = |builder| cache.suffixed(&format!("linux-{builder}"));
        if has_several_builders {
            builders.into_iter().filter_map(suffixed).collect()
        } else {
            vec![cache.clone()]
        }
    });
    for reference in places.filter_map(|cache| cache.reference) {
        if destinations.pushed().contains(&reference) {
            let shown = findings.masked(&reference.to_string());
            let problem = format!("the cache in `{shown}` would replace the image of that name");
            let advice = "write another tag, such as `buildcache`, or `type=inline`";
            findings.fault(Fault::new(Direction::Export.variable(), problem, advice));
        }
    }
}

/// Whether the platforms are built on more than one builder.
fn has_several_builders(build: &BuildPlan) -> bool {
    let mut builders: Vec<Architecture> = build
        .platforms
        .iter()
        .map(crate::platform::Platform::builder)
        .collect();
    builders.dedup();
    build.machine.is_none() && builders.len() > 1
}

/// Whether `BUILD_ARGS` requests an inline cache, as for `docker build`. The values are those of Go's `ParseBool`.
fn has_inline_argument(build: &BuildPlan) -> bool {
    const TRUE: [&str; 6] = ["1", "t", "T", "true", "TRUE", "True"];
    let mut arguments = build.build_args.iter();
    arguments.any(|(name, value)| name == "BUILDKIT_INLINE_CACHE" && TRUE.contains(&value))
}
