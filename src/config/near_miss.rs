//! Finds misspelled names of variables in the environment.
//!
//! A pipe gets the variables under its `variables:` and few others, so a name that is close to a known one is nearly always
//! a mistake. The names that other tools use for the same variable are also recognised, if they have no other meaning here.

use std::collections::BTreeSet;

use super::table::{DAEMON_VARIABLES, all_variables};
use super::warning::Warning;
use crate::ordered::IntoOrdered;

/// From this length on, one mistake is recognised, besides the case of letters.
const ONE_SLIP_FROM_CHARACTERS: usize = 4;

/// From this length on, two mistakes are recognised. Shorter names would match unrelated ones.
const TWO_SLIPS_FROM_CHARACTERS: usize = 9;

/// Names of the same variables in other tools and pipes.
const SYNONYMS: &[(&str, &str)] = &[
    ("DEPOT_API_TOKEN", "DEPOT_TOKEN"),
    ("TOKEN", "DEPOT_TOKEN"),
    ("DEPOT_PROJECT", "DEPOT_PROJECT_ID"),
    ("PROJECT", "DEPOT_PROJECT_ID"),
    ("PROJECT_ID", "DEPOT_PROJECT_ID"),
    ("DEPOT_URL", "DEPOT_API_URL"),
    ("TAG", "TAGS"),
    ("IMAGE_NAME", "IMAGE"),
    ("IMAGE_TAG", "TAGS"),
    ("IMAGE_TAGS", "TAGS"),
    ("PUSH_IMAGE", "PUSH"),
    ("BUILD_CONTEXT", "BUILD_CONTEXTS"),
    ("NAMED_CONTEXTS", "BUILD_CONTEXTS"),
    ("CONTEXT_PATH", "CONTEXT"),
    ("DOCKERFILE_PATH", "DOCKERFILE"),
    ("DOCKER_FILE", "DOCKERFILE"),
    ("FILE", "DOCKERFILE"),
    ("BUILD_TARGET", "TARGET"),
    ("TARGET_STAGE", "TARGET"),
    ("BUILD_ARGUMENTS", "BUILD_ARGS"),
    ("TARGET_PLATFORM", "PLATFORMS"),
    ("DOCKER_REGISTRY", "REGISTRY"),
    ("REGISTRY_URL", "REGISTRY"),
    ("REGISTRY_USER", "REGISTRY_USERNAME"),
    ("DOCKER_USERNAME", "DOCKERHUB_USERNAME"),
    ("DOCKER_HUB_USER", "DOCKERHUB_USERNAME"),
    ("DOCKER_PASSWORD", "DOCKERHUB_TOKEN"),
    ("DOCKERHUB_PASSWORD", "DOCKERHUB_TOKEN"),
    ("AWS_ROLE_ARN", "AWS_OIDC_ROLE_ARN"),
    ("CREATE_REPOSITORY", "ECR_CREATE_REPOSITORY"),
    ("SAVE_TAG", "SAVE_TAGS"),
    ("REGISTRY_TOKEN", "REGISTRY_PASSWORD"),
    ("SSH_KEY", "SSH"),
    ("SSH_KEYS", "SSH"),
    ("SSH_PRIVATE_KEY", "SSH"),
    ("BUILD_SSH", "SSH"),
    ("BUILD_SECRET", "SECRETS"),
    ("BUILD_SECRETS", "SECRETS"),
    ("DOCKER_SECRETS", "SECRETS"),
    ("SECRET_ENV", "SECRETS"),
    ("SECRET_ENVS", "SECRETS"),
    ("GITHUB_TOKEN", "GIT_AUTH_TOKEN"),
    ("GIT_TOKEN", "GIT_AUTH_TOKEN"),
    ("ATTEST", "PROVENANCE"),
    ("ATTESTS", "PROVENANCE"),
    ("ATTESTATIONS", "PROVENANCE"),
    ("PROVENANCE_MODE", "PROVENANCE"),
    ("SBOM_GENERATOR", "SBOM"),
    ("SBOM_DIRECTORY", "SBOM_DIR"),
    ("SBOM_PATH", "SBOM_DIR"),
    ("OUTPUT_DIR", "OUTPUTS"),
    ("OUTPUT_PATH", "OUTPUTS"),
    ("EXPORT", "OUTPUTS"),
    ("CACHE_IMPORT", "CACHE_FROM"),
    ("CACHE_EXPORT", "CACHE_TO"),
    ("IMAGE_LABELS", "LABELS"),
    ("DOCKER_LABELS", "LABELS"),
    ("OCI_ANNOTATIONS", "OCI_LABELS"),
    ("COMPRESSION_TYPE", "COMPRESSION"),
    ("FORCE_COMPRESSION", "COMPRESSION"),
    ("NO_CACHE_STAGES", "NO_CACHE_FILTER"),
    ("ALWAYS_PULL", "PULL"),
    ("NETWORK_MODE", "NETWORK"),
    ("BUILD_NETWORK", "NETWORK"),
    ("EXTRA_HOST", "ADD_HOSTS"),
    ("EXTRA_HOSTS", "ADD_HOSTS"),
    ("SHM", "SHM_SIZE"),
    ("ULIMIT_OPTIONS", "ULIMITS"),
    ("CGROUP", "CGROUP_PARENT"),
    ("ENTITLEMENT", "ALLOW"),
    ("ENTITLEMENTS", "ALLOW"),
    ("EPOCH", "SOURCE_DATE_EPOCH"),
];

/// Warns of every name that is probably a mistake.
///
/// Names in `used` are skipped: build arguments can take their values from any variable.
pub(super) fn warnings<'a>(names: impl Iterator<Item = &'a str>, used: &[String]) -> Vec<Warning> {
    let unknown = names.filter(|name| !is_ordinary(name) && !used.iter().any(|used| used == name));
    // The variables of an array are reported once.
    let names: BTreeSet<&str> = unknown.map(without_array_suffix).into_ordered();
    let misses = names
        .into_iter()
        .filter_map(|name| Some((name, meant(name)?)));
    misses
        .map(|(name, meant)| Warning::NearMiss {
            name: name.to_owned(),
            meant,
        })
        .collect()
}

/// Names that Bitbucket and Docker set in every pipe.
fn is_ordinary(name: &str) -> bool {
    name.starts_with("BITBUCKET_")
        || matches!(name, "CI" | "PATH" | "HOME" | "HOSTNAME" | "PWD" | "TERM")
        || DAEMON_VARIABLES.contains(&name)
}

fn without_array_suffix(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((base, "COUNT")) => base,
        Some((base, index))
            if !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            base
        }
        _ => name,
    }
}

fn meant(name: &str) -> Option<&'static str> {
    if all_variables().any(|variable| variable.name == name) {
        return None;
    }
    let plain = plain(name);
    let synonym = SYNONYMS
        .iter()
        .find(|(synonym, _)| self::plain(synonym) == plain)
        .map(|&(_, meant)| meant);
    synonym.or_else(|| nearest(name, all_variables().map(|variable| variable.name)))
}

/// The name of which `text` is probably a misspelling.
pub(super) fn nearest(
    text: &str,
    names: impl IntoIterator<Item = &'static str>,
) -> Option<&'static str> {
    let text = plain(text);
    let close = names
        .into_iter()
        .filter_map(|known| Some((slips(&text, &plain(known))?, known)));
    let nearest = close.min_by_key(|&(slips, _)| slips);
    nearest.map(|(_, known)| known)
}

/// Whether `name` is probably a misspelling of `known`.
pub(super) fn is_slip(name: &str, known: &str) -> bool {
    slips(&plain(name), &plain(known)).is_some()
}

/// The name in upper case, without `_` and `-`.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|character| !matches!(character, '_' | '-'))
        .map(|character| character.to_ascii_uppercase())
        .collect()
}

/// The number of letters that were omitted, added, changed or swapped with the next; `None` if they are too many for the
/// length.
fn slips(name: &str, known: &str) -> Option<usize> {
    let allowed = match known.len() {
        TWO_SLIPS_FROM_CHARACTERS.. => 2,
        ONE_SLIP_FROM_CHARACTERS.. => 1,
        _ => 0,
    };
    if name.len().abs_diff(known.len()) > allowed {
        return None; // this also limits the work of `distance`, because names can have any length
    }
    let distance = distance(name.as_bytes(), known.as_bytes());
    (distance <= allowed).then_some(distance)
}

/// The optimal string alignment distance, row by row.
pub(super) fn distance(name: &[u8], known: &[u8]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=known.len()).collect();
    let mut name_before = None;
    for (row, &name_byte) in name.iter().enumerate() {
        let mut current = vec![row + 1];
        let mut known_before = None;
        for (column, &known_byte) in known.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let changed = at(&last, column) + usize::from(name_byte != known_byte);
            let mut best = changed
                .min(at(&last, column + 1) + 1)
                .min(at(&current, column) + 1);
            if name_before == Some(known_byte) && known_before == Some(name_byte) {
                best = best.min(at(&before_last, column - 1) + 1);
            }
            current.push(best);
            known_before = Some(known_byte);
        }
        name_before = Some(name_byte);
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meant_by(name: &str) -> Option<&'static str> {
        match warnings([name].into_iter(), &[]).as_slice() {
            [] => None,
            [Warning::NearMiss { meant, .. }] => Some(meant),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn misspellings_and_names_of_other_tools_are_recognised() {
        for (name, meant) in [
            ("PLATFORM", "PLATFORMS"),
            ("TAG", "TAGS"),
            ("tags", "TAGS"),
            ("TAG_0", "TAGS"),
            ("IMAGE_TAGS", "TAGS"),
            ("IMAGES", "IMAGE"),
            ("IMAGES_COUNT", "IMAGE"),
            ("IMGAE", "IMAGE"),
            ("image", "IMAGE"),
            ("DOCKER_FILE", "DOCKERFILE"),
            ("Dockerfile", "DOCKERFILE"),
            ("BUILD_ARG", "BUILD_ARGS"),
            ("BUILDARGS", "BUILD_ARGS"),
            ("BUILD-ARGS", "BUILD_ARGS"),
            ("DEPOT_PROJECT", "DEPOT_PROJECT_ID"),
            ("DEPOT_PROJECTID", "DEPOT_PROJECT_ID"),
            ("DEPOT_TOKN", "DEPOT_TOKEN"),
            ("DEPOT_TOEKN", "DEPOT_TOKEN"),
            ("DEPO_TOKENS", "DEPOT_TOKEN"),
            ("depot_token", "DEPOT_TOKEN"),
            ("REGISTRY_USER", "REGISTRY_USERNAME"),
            ("REGISTRY_USER_NAME", "REGISTRY_USERNAME"),
            ("REGISTRY_PASSWD", "REGISTRY_PASSWORD"),
            ("DOCKER_PASSWORD", "DOCKERHUB_TOKEN"),
            ("NOCACHE", "NO_CACHE"),
            ("CONTEX", "CONTEXT"),
            ("PSUH", "PUSH"),
            ("DEBG", "DEBUG"),
            ("ssh", "SSH"),
            ("NO_CACHE_FILTERS", "NO_CACHE_FILTER"),
            ("ADD_HOST", "ADD_HOSTS"),
            ("EXTRA_HOSTS_0", "ADD_HOSTS"),
            ("ULIMIT", "ULIMITS"),
            ("SHMSIZE", "SHM_SIZE"),
            ("ENTITLEMENTS", "ALLOW"),
            ("CGROUPPARENT", "CGROUP_PARENT"),
            ("SOURCE_DATE_EPOC", "SOURCE_DATE_EPOCH"),
        ] {
            assert_eq!(meant_by(name), Some(meant), "{name}");
        }
    }

    #[test]
    fn ordinary_names_cause_no_warning() {
        for name in [
            "PATH",
            "HOME",
            "CI",
            "HOSTNAME",
            "PWD",
            "OLDPWD",
            "TERM",
            "LANG",
            "SHLVL",
            "USER",
            "SHELL",
            "DOCKER_HOST",
            "TZ",
            "BITBUCKET_TAG",
            "BITBUCKET_BRANCH",
            "PIPELINES_JWT_TOKEN",
            "HTTP_PROXY",
            "https_proxy",
            "NO_PROXY",
            "SSL_CERT_FILE",
            "NODE_ENV",
            "VERSION",
            "RUST_LOG",
            "RUST_BACKTRACE",
            "COLUMNS",
            "SSL",
            "SSO",
            "AWS_REGION",
            "_",
            "",
            "0",
            "_0",
            "ÄÖ",
        ] {
            assert_eq!(meant_by(name), None, "{name}");
        }
        for variable in all_variables() {
            assert_eq!(meant_by(variable.name), None);
        }
        for part in ["IMAGE_COUNT", "IMAGE_0", "BUILD_ARGS_17"] {
            assert_eq!(meant_by(part), None, "{part}");
        }
    }

    #[test]
    fn an_array_causes_one_warning_and_used_names_none() {
        let names = ["IMAGE_TAGS_COUNT", "IMAGE_TAGS_0", "IMAGE_TAGS_1", "TAG"];
        let found = warnings(names.into_iter(), &["TAG".to_owned()]);
        assert_eq!(
            found,
            [Warning::NearMiss {
                name: "IMAGE_TAGS".into(),
                meant: "TAGS"
            }]
        );
    }

    #[test]
    fn every_synonym_has_a_known_name_and_is_not_one() {
        for &(synonym, meant) in SYNONYMS {
            assert!(
                all_variables().any(|variable| variable.name == meant),
                "{meant}"
            );
            assert_eq!(meant_by(synonym), Some(meant));
        }
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_zero_for_equals(one in "[A-D]{0,7}", other in "[A-D]{0,7}") {
            let there = distance(one.as_bytes(), other.as_bytes());
            prop_assert_eq!(there, distance(other.as_bytes(), one.as_bytes()));
            prop_assert_eq!(there == 0, one == other);
            prop_assert!(there <= one.len().max(other.len()));
        }

        #[test]
        fn a_swap_of_neighbours_is_one_slip(text in "[A-Z]{2,12}", place in any::<prop::sample::Index>()) {
            let mut swapped = text.clone().into_bytes();
            let place = place.index(text.len() - 1);
            swapped.swap(place, place + 1);
            prop_assert!(distance(text.as_bytes(), &swapped) <= 1);
        }
    }
}
