//! `ANNOTATIONS`, in the form of buildx: `[TYPE[PLATFORM],TYPE…:]NAME=VALUE`.

use crate::config::build::BuildPlan;
use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::pairs;
use crate::config::warning::Warning;
use crate::platform::Platform;
use crate::registry::annotations::{Annotation, Annotations, Level};

const VARIABLE: &str = "ANNOTATIONS";

const ADVICE: &str = "write `NAME=VALUE`, or `TYPE:NAME=VALUE` with the types `manifest`, `index` and `manifest-descriptor`, separated by commas; \
     `manifest[linux/amd64]` is for one platform only";

/// The longest type in a message.
const SHOWN_TYPE_CHARACTERS: usize = 24;

/// Reads every annotation, and reports each fault.
pub(super) fn read(value: &str, build: Option<&BuildPlan>, findings: &mut Findings) -> Annotations {
    let mut annotations = Annotations::default();
    let entries = pairs::freely_named(value).unwrap_or_else(|_| {
        let problem = "not a YAML mapping of names to plain values";
        findings.fault(Fault::new(VARIABLE, problem, ADVICE));
        Vec::new()
    });
    for (index, (place, value)) in entries.into_iter().enumerate() {
        let label = format!("entry {}", index + 1);
        let Some(value) = value else {
            let problem = format!("{label} has no `=`");
            findings.fault(Fault::new(VARIABLE, problem, ADVICE));
            continue;
        };
        let parsed = parse(&place, &value).and_then(|parsed| {
            let mut platforms = parsed.iter().filter_map(|one| one.platform.as_ref());
            let all = build.map(BuildPlan::built_platforms);
            match all.and_then(|all| platforms.find(|one| !all.contains(one))) {
                Some(platform) => Err(AnnotationFault::NotBuilt(platform.clone())),
                None => Ok(parsed),
            }
        });
        match parsed {
            Ok(parsed) => {
                for annotation in parsed {
                    let name = annotation.name.clone();
                    if annotations.set(annotation) {
                        findings.warn(Warning::RepeatedName {
                            variable: VARIABLE,
                            name: findings.shown(&name),
                        });
                    }
                }
            }
            Err(fault) => {
                let (problem, advice) = fault.texts();
                findings.fault(Fault::new(VARIABLE, format!("{label} {problem}"), advice));
            }
        }
    }
    annotations
}

/// Why an entry is not an annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AnnotationFault {
    /// The name is empty, or contains white space or quotes.
    Name,
    /// Unknown, with the type if it can be shown.
    Type(Option<String>),
    /// A platform of the index, which has none.
    PlatformOfIndex,
    /// Annotations of the descriptor of the index, which no registry stores.
    IndexDescriptor,
    /// The text in brackets is not a platform.
    Platform,
    /// The image is not built for it.
    NotBuilt(Platform),
}

impl AnnotationFault {
    /// The problem, which follows the entry, and the advice.
    fn texts(self) -> (String, String) {
        match self {
            Self::Name => (
                "has no name, or white space or quotes in its name".into(),
                ADVICE.into(),
            ),
            Self::Type(Some(kind)) => (format!("has the unknown type `{kind}`"), ADVICE.into()),
            Self::Type(None) => (
                "has an unknown type before the `:`".into(),
                format!("{ADVICE}; a name that contains a `:` requires a type"),
            ),
            Self::PlatformOfIndex => (
                "has a platform for `index`, which is the same for all platforms".into(),
                "write `index` without a platform".into(),
            ),
            Self::IndexDescriptor => (
                "has the type `index-descriptor`, which no registry stores".into(),
                "write `index` for the index itself".into(),
            ),
            Self::Platform => (
                "has a text in brackets that is not a platform that Depot builds for".into(),
                "write a platform such as `manifest[linux/amd64]`".into(),
            ),
            Self::NotBuilt(platform) => (
                format!("is for {platform}, but the image is not built for it"),
                format!("add `{platform}` to PLATFORMS, or remove the annotation"),
            ),
        }
    }
}

/// The annotations of one entry, one for each type. `place` is the part before the `=`.
fn parse(place: &str, value: &str) -> Result<Vec<Annotation>, AnnotationFault> {
    let place = place.trim();
    let (types, name) = match place.split_once(':') {
        Some((types, name)) => (Some(types), name),
        None => (None, place),
    };
    if !is_name(name) {
        return Err(AnnotationFault::Name);
    }
    let Some(types) = types else {
        return Ok(vec![annotation(Level::Manifest, None, name, value)]);
    };
    let types = types.split(',').map(|text| {
        let (level, platform) = level(text)?;
        Ok(annotation(level, platform, name, value))
    });
    types.collect()
}

fn annotation(level: Level, platform: Option<Platform>, name: &str, value: &str) -> Annotation {
    Annotation {
        level,
        platform,
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// BuildKit ignores names with white space. Quotes are slips of the YAML.
pub(super) fn is_name(text: &str) -> bool {
    let is_wrong = |character: char| {
        character.is_whitespace() || character.is_control() || matches!(character, '"' | '\'')
    };
    !text.is_empty() && !text.starts_with(['[', '{']) && !text.contains(is_wrong)
}

/// `TYPE` or `TYPE[PLATFORM]`.
fn level(text: &str) -> Result<(Level, Option<Platform>), AnnotationFault> {
    let (kind, platform) = match text.split_once('[') {
        Some((kind, rest)) => {
            let platform = rest.strip_suffix(']').ok_or(AnnotationFault::Platform)?;
            (kind, Some(platform))
        }
        None => (text, None),
    };
    let level = match kind {
        "manifest" => Level::Manifest,
        "manifest-descriptor" => Level::ManifestDescriptor,
        "index" if platform.is_some() => return Err(AnnotationFault::PlatformOfIndex),
        "index" => Level::Index,
        "index-descriptor" => return Err(AnnotationFault::IndexDescriptor),
        other => {
            let is_shown = (1..=SHOWN_TYPE_CHARACTERS).contains(&other.len())
                && other
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            return Err(AnnotationFault::Type(is_shown.then(|| other.to_owned())));
        }
    };
    let platform = platform.map(Platform::parse).transpose();
    Ok((level, platform.map_err(|_| AnnotationFault::Platform)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(annotations: &[Annotation]) -> Vec<String> {
        let one = |one: &Annotation| {
            let platform = one.platform.as_ref();
            let platform = platform.map(|platform| format!("[{platform}]"));
            let (level, platform) = (one.level, platform.unwrap_or_default());
            format!("{level}{platform}:{}={}", one.name, one.value)
        };
        annotations.iter().map(one).collect()
    }

    #[test]
    fn an_entry_has_types_platforms_a_name_and_a_value() {
        for (place, expected) in [
            ("org.x", vec!["manifest:org.x=v"]),
            ("manifest:org.x", vec!["manifest:org.x=v"]),
            ("index:a:b", vec!["index:a:b=v"]),
            (
                "index,manifest[arm64],manifest-descriptor[linux/arm/v7]:org.x",
                vec![
                    "index:org.x=v",
                    "manifest[linux/arm64]:org.x=v",
                    "manifest-descriptor[linux/arm/v7]:org.x=v",
                ],
            ),
        ] {
            assert_eq!(shown(&parse(place, "v").unwrap()), expected, "{place}");
        }
    }

    #[test]
    fn a_wrong_entry_is_an_error() {
        for (place, fault) in [
            ("", AnnotationFault::Name),
            ("a b", AnnotationFault::Name),
            ("index:", AnnotationFault::Name),
            ("\"a", AnnotationFault::Name),
            ("indx:a", AnnotationFault::Type(Some("indx".into()))),
            ("Index:a", AnnotationFault::Type(None)),
            (":a", AnnotationFault::Type(None)),
            ("[linux/amd64]:a", AnnotationFault::Type(None)),
            ("index, manifest:a", AnnotationFault::Type(None)),
            ("index,:a", AnnotationFault::Type(None)),
            ("index[linux/amd64]:a", AnnotationFault::PlatformOfIndex),
            ("index-descriptor:a", AnnotationFault::IndexDescriptor),
            ("manifest[]:a", AnnotationFault::Platform),
            ("manifest[linux/amd64:a", AnnotationFault::Platform),
            ("manifest[windows/amd64]:a", AnnotationFault::Platform),
        ] {
            assert_eq!(parse(place, "v"), Err(fault), "{place}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_parsed_entry_has_its_value(
            place in "(index|manifest|-descriptor|\\[|\\]|linux/|amd64|[:,a ]){0,8}",
            value in ".{0,12}",
        ) {
            if let Ok(parsed) = parse(&place, &value) {
                prop_assert!(!parsed.is_empty());
                for one in parsed {
                    prop_assert_eq!(&one.value, &value);
                    prop_assert!(is_name(&one.name));
                }
            }
        }
    }
}
