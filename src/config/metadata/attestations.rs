//! `PROVENANCE` and `SBOM`: the attestations that are attached to an image.
//!
//! The parameters are those of buildx (`--provenance`, `--sbom`) and of BuildKit's `attest:` attributes
//! (`frontend/attestations`, `solver/llbsolver/proc` in BuildKit).

use super::parameters::Reader;
use crate::config::findings::Findings;
use crate::config::near_miss::is_slip;
use crate::config::values::boolean;
use crate::registry::reference::{Reference, ReferenceError};

/// The scanner that BuildKit uses if no other is set.
const DEFAULT_GENERATOR: &str = "docker/buildkit-syft-scanner:stable-1";

/// The provenance of every image, unless the variable is set. The same as in the released CLI.
const DEFAULT_PROVENANCE: &str = "mode=min,inline-only=true";

const PROVENANCE_ADVICE: &str = "write `false`, `min`, `max`, or parameters such as `mode=max,builder-id=https://example.com/builder`";

const SBOM_ADVICE: &str = "write `true`, `false`, or `generator=IMAGE`, such as `generator=docker/buildkit-syft-scanner:stable-1`";

/// A record of how the image was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProvenancePlan {
    /// The value of BuildKit's attribute.
    pub(crate) parameters: String,
    /// The address of the repository.
    pub(crate) source: Option<String>,
    /// The commit.
    pub(crate) revision: Option<String>,
}

impl ProvenancePlan {
    /// Whether only registries get it, and not archives and directories.
    pub(crate) fn is_inline_only(&self) -> bool {
        let mut fields = self.parameters.split(',');
        fields.any(|field| field == "inline-only=true")
    }
}

/// A list of the software in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SbomPlan {
    /// The value of BuildKit's attribute. Empty for the default scanner.
    pub(crate) parameters: String,
    /// The image of the scanner, which the builder pulls.
    pub(crate) generator: String,
}

impl SbomPlan {
    /// An SBOM of BuildKit's own scanner.
    pub(super) fn of_default_generator() -> Self {
        Self {
            parameters: String::new(),
            generator: DEFAULT_GENERATOR.to_owned(),
        }
    }
}

/// Reads `PROVENANCE`. `None` if the image gets none.
pub(super) fn provenance(value: Option<&str>, findings: &mut Findings) -> Option<ProvenancePlan> {
    let plan = |parameters: String| ProvenancePlan {
        parameters,
        source: None,
        revision: None,
    };
    let Some(value) = value.map(str::trim) else {
        return Some(plan(DEFAULT_PROVENANCE.to_owned()));
    };
    match value {
        "min" => return Some(plan("mode=min".to_owned())),
        "max" => return Some(plan("mode=max".to_owned())),
        _ => {}
    }
    match boolean(value) {
        // BuildKit's mode if none is set, as in the released CLI.
        Some(true) => return Some(plan("mode=max".to_owned())),
        Some(false) => return None,
        None => {}
    }
    let mut reader = Reader::new("PROVENANCE", "provenance", PROVENANCE_ADVICE, findings);
    let parameters = reader.parameters(value, |reader, key, value| match key {
        "mode" if matches!(value, "min" | "max") => Some(value.to_owned()),
        "mode" => reader.report(value, "is not a mode", "write `mode=min` or `mode=max`"),
        "reproducible" | "inline-only" => reader.boolean(key, value),
        "version" if matches!(value, "v0.2" | "v1") => Some(value.to_owned()),
        "version" => reader.report(
            value,
            "is not a version of SLSA provenance",
            "write `version=v1` or `version=v0.2`",
        ),
        "builder-id" | "filename" if value.is_empty() => {
            let problem = format!("`{key}` has no value");
            reader.fault(problem, &format!("write a value after `{key}=`"))
        }
        "builder-id" | "filename" => Some(value.to_owned()),
        _ => reader.report(
            key,
            "is not a parameter of provenance",
            "write `mode`, `builder-id`, `reproducible`, `inline-only`, `version` or `filename` before the `=`",
        ),
    })?;
    Some(plan(parameters.line()))
}

/// Reads `SBOM`. `None` if the image gets none.
pub(super) fn sbom(value: Option<&str>, findings: &mut Findings) -> Option<SbomPlan> {
    let value = value?.trim();
    match boolean(value) {
        Some(true) => return Some(SbomPlan::of_default_generator()),
        Some(false) => return None,
        None => {}
    }
    let mut reader = Reader::new("SBOM", "sbom", SBOM_ADVICE, findings);
    let parameters = reader.parameters(value, |reader, key, value| match key {
        "generator" if value.is_empty() => reader.fault(
            "`generator` has no value".to_owned(),
            "write the name of an image after `generator=`",
        ),
        "generator" => match Reference::parse(value) {
            Ok(_) => Some(value.to_owned()),
            Err(ReferenceError::UpperCase { .. }) => reader.report(
                value,
                "has upper-case letters in its repository name",
                "write `generator=IMAGE` in lower case",
            ),
            // Other errors quote a part of the text, which can contain a login.
            Err(_) => reader.report(
                value,
                "is not the name of an image",
                "write `generator=IMAGE`",
            ),
        },
        // A later BuildKit passes other parameters to the scanner (`BUILDKIT_SCAN_…`).
        other if is_parameter(other) && !is_slip(other, "generator") => Some(value.to_owned()),
        other => reader.report(other, "is not a parameter of an SBOM", SBOM_ADVICE),
    })?;
    let generator = parameters.value("generator").unwrap_or(DEFAULT_GENERATOR);
    Some(SbomPlan {
        generator: generator.to_owned(),
        parameters: parameters.line(),
    })
}

/// Whether this can be the name of a parameter of a scanner, which becomes a part of a variable's name.
fn is_parameter(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !text.is_empty() && text.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parameters_of(value: Option<&str>) -> (Option<String>, String) {
        let mut findings = Findings::default();
        let plan = provenance(value, &mut findings);
        let error = findings.into_error().to_string();
        (plan.map(|plan| plan.parameters), error)
    }

    fn scanner_of(value: &str) -> (Option<(String, String)>, String) {
        let mut findings = Findings::default();
        let plan = sbom(Some(value), &mut findings);
        let error = findings.into_error().to_string();
        (plan.map(|plan| (plan.parameters, plan.generator)), error)
    }

    #[test]
    fn provenance_is_a_word_or_parameters() {
        for (value, expected) in [
            (None, Some("mode=min,inline-only=true")),
            (Some("min"), Some("mode=min")),
            (Some(" max\n"), Some("mode=max")),
            (Some("true"), Some("mode=max")),
            (Some("false"), None),
            (Some("No"), None),
            (Some("mode=max"), Some("mode=max")),
            (Some("type=provenance,mode=min"), Some("mode=min")),
            (Some("mode=max,disabled=true"), None),
            (Some("disabled=false,mode=max"), Some("mode=max")),
            (
                Some("mode=max,builder-id=https://x.example/1, reproducible=1"),
                Some("mode=max,builder-id=https://x.example/1,reproducible=true"),
            ),
            (
                Some("\"builder-id=a,b\",version=v0.2,inline-only=false,filename=p.json"),
                Some("\"builder-id=a,b\",version=v0.2,inline-only=false,filename=p.json"),
            ),
        ] {
            let (parameters, error) = parameters_of(value);
            assert_eq!(
                (parameters.as_deref(), &*error),
                (expected, ""),
                "{value:?}"
            );
        }
    }

    #[test]
    fn an_sbom_is_a_boolean_or_parameters() {
        let default = ("", DEFAULT_GENERATOR);
        for (value, expected) in [
            ("true", Some(default)),
            ("false", None),
            (
                "generator=acme/scan:1",
                Some(("generator=acme/scan:1", "acme/scan:1")),
            ),
            (
                "type=sbom,generator=acme/scan:1,LEVEL=high",
                Some(("generator=acme/scan:1,LEVEL=high", "acme/scan:1")),
            ),
            ("type=sbom", Some(default)),
            ("generator=acme/scan:1,disabled=true", None),
        ] {
            let (scanner, error) = scanner_of(value);
            let expected = expected.map(|(one, other)| (one.to_owned(), other.to_owned()));
            assert_eq!((scanner, &*error), (expected, ""), "{value:?}");
        }
    }

    #[test]
    fn every_wrong_parameter_is_reported() {
        for (value, problem) in [
            (
                "maximum",
                "PROVENANCE: `maximum` has no `=`; write `false`, `min`, `max`",
            ),
            (
                "mode=full",
                "PROVENANCE: `full` is not a mode; write `mode=min`",
            ),
            (
                "Mode=max",
                "PROVENANCE: `Mode` is not a parameter of provenance; write `mode`",
            ),
            ("mode=max,mode=min", "PROVENANCE: `mode` is set twice"),
            ("mode=max,", "PROVENANCE: `` has no `=`"),
            (
                "reproducible=maybe",
                "PROVENANCE: `maybe` is neither true nor false; write `reproducible=true`",
            ),
            (
                "version=v2",
                "PROVENANCE: `v2` is not a version of SLSA provenance",
            ),
            ("builder-id=", "PROVENANCE: `builder-id` has no value"),
            (
                "type=sbom",
                "PROVENANCE: `sbom` is another type; write `type=provenance`",
            ),
            (
                "disabled=x",
                "PROVENANCE: `x` is neither true nor false; write `disabled=true`",
            ),
            (
                "mode=\"max\"",
                "PROVENANCE: `mode=\"max\"` is not valid: field 1 contains a `\"",
            ),
            (
                "\"mode=max",
                "PROVENANCE: `\"mode=max` is not valid: field 1 has no closing quote",
            ),
        ] {
            let (parameters, error) = parameters_of(Some(value));
            assert_eq!(parameters, None, "{value}");
            assert!(error.starts_with(problem), "{value}: {error}");
        }
        for (value, problem) in [
            (
                "syft",
                "SBOM: `syft` has no `=`; write `true`, `false`, or `generator=IMAGE`",
            ),
            ("generator=", "SBOM: `generator` has no value"),
            (
                "generator=Acme/Scan",
                "SBOM: `Acme/Scan` has upper-case letters",
            ),
            (
                "generator=https://me:word@x.example/scan",
                "SBOM: `***@x.example/scan` is not the name of an image",
            ),
            (
                "generater=acme/scan",
                "SBOM: `generater` is not a parameter of an SBOM",
            ),
            ("a b=c", "SBOM: `a b` is not a parameter"),
            ("type=provenance", "SBOM: `provenance` is another type"),
        ] {
            let (scanner, error) = scanner_of(value);
            assert_eq!(scanner, None, "{value}");
            assert!(error.starts_with(problem), "{value}: {error}");
        }
        let (_, error) = parameters_of(Some("mode=x,reproducible=y"));
        assert_eq!(error.lines().count(), 2, "{error}");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_accepted_parameters_are_read_again_unchanged(text in "((mode|type|disabled|generator|x)=|min|max|true|provenance|[a-z\",=]){0,8}") {
            if let (Some(parameters), _) = parameters_of(Some(&text))
                && !parameters.is_empty()
            {
                let (again, error) = parameters_of(Some(&parameters));
                prop_assert_eq!((again, error), (Some(parameters), String::new()));
            }
            let _either = scanner_of(&text);
        }
    }
}
