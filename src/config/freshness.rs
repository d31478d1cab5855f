//! `NO_CACHE_FILTER` and `PULL`: the parts of a build that do not reuse earlier results.

use serde::Deserialize;

use super::fault::Fault;
use super::findings::Findings;
use super::read_boolean;
use super::values::{boolean, words};

/// The variables of the cache of builders, except `NO_CACHE`.
#[derive(Default, Deserialize)]
pub(super) struct FreshnessVariables {
    pub(super) no_cache_filter: Option<String>,
    pub(super) pull: Option<String>,
}

/// The parts of a build that do not reuse earlier results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// The stages of the Dockerfile whose steps run without the cache, each once.
    pub(crate) stages: Vec<String>,
    /// Whether base images are always read from their registries.
    pub(crate) pull: bool,
}

const VARIABLE: &str = "NO_CACHE_FILTER";

/// Reads both variables, and reports all faults. `no_cache` is the value of `NO_CACHE`.
pub(super) fn read(
    variables: &FreshnessVariables,
    no_cache: Option<&str>,
    findings: &mut Findings,
) -> Freshness {
    let stages = variables.no_cache_filter.as_deref();
    let stages = stages.map(|value| stages_of(value, findings));
    let stages = stages.unwrap_or_default();
    if !stages.is_empty() && no_cache.and_then(boolean) == Some(true) {
        let problem = "set together with NO_CACHE, which runs the steps of all stages again";
        findings.fault(Fault::new(VARIABLE, problem, "remove one of the two"));
    }
    Freshness {
        stages,
        pull: read_boolean("PULL", variables.pull.as_deref(), findings),
    }
}

fn stages_of(value: &str, findings: &mut Findings) -> Vec<String> {
    let mut stages: Vec<String> = Vec::new();
    for word in words(value) {
        if !is_stage(word) {
            let problem = format!("{} is not the name of a stage", findings.shown(word));
            // BuildKit ignores numbers of stages and unknown names.
            let advice = "write names of the Dockerfile's `FROM … AS NAME`; a stage without a name cannot be selected";
            findings.fault(Fault::new(VARIABLE, problem, advice));
        } else if !stages.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            stages.push(word.to_owned());
        }
    }
    stages
}

/// Whether a `FROM` accepts this name (`parseBuildStageName` of BuildKit's `frontend/dockerfile/instructions/parse.go`). Case is
/// ignored.
fn is_stage(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.starts_with(|character: char| character.is_ascii_alphabetic())
        && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(
        stages: Option<&str>,
        pull: Option<&str>,
        no_cache: Option<&str>,
    ) -> (Freshness, String) {
        let variables = FreshnessVariables {
            no_cache_filter: stages.map(str::to_owned),
            pull: pull.map(str::to_owned),
        };
        let mut findings = Findings::default();
        let freshness = read(&variables, no_cache, &mut findings);
        (freshness, findings.into_error().to_string())
    }

    #[test]
    fn stages_are_read_each_once() {
        for value in ["base, test", "base\ntest Base", "\0base\0test"] {
            let (freshness, faults) = outcome(Some(value), Some("yes"), Some("false"));
            assert_eq!(faults, "");
            assert_eq!(freshness.stages, ["base", "test"], "{value}");
            assert!(freshness.pull);
        }
        assert_eq!(outcome(None, None, Some("true")), <_>::default());
    }

    #[test]
    fn a_wrong_value_is_reported_with_the_variable_and_the_correction() {
        let stage = |value: &'static str| (Some(value), None, None);
        for ((stages, pull, no_cache), message) in [
            (
                stage("0"),
                "NO_CACHE_FILTER: `0` is not the name of a stage; write names of",
            ),
            (
                stage("a/b"),
                "NO_CACHE_FILTER: `a/b` is not the name of a stage",
            ),
            (stage("-x"), "NO_CACHE_FILTER: `-x` is not"),
            (stage("\"base\""), "NO_CACHE_FILTER: `\"base\"` is not"),
            (stage("größe"), "NO_CACHE_FILTER: `größe` is not"),
            (stage("*"), "NO_CACHE_FILTER: `*` is not"),
            (
                (Some("base"), None, Some("Yes")),
                "NO_CACHE_FILTER: set together with NO_CACHE, which runs the steps of all stages again; remove one",
            ),
            (
                (None, Some("always"), None),
                "PULL: `always` is neither true nor false",
            ),
            (
                (None, Some("missing"), None),
                "PULL: `missing` is neither true nor false",
            ),
        ] {
            let (_, faults) = outcome(stages, pull, no_cache);
            assert!(faults.starts_with(message), "{faults}");
            assert_eq!(faults.lines().count(), 1, "{faults}");
        }
    }
}
