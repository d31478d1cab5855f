//! `CONTEXT_TIMES`: the modification times of the files that a builder gets.

use super::build::ContextPlan;
use super::fault::Fault;
use super::findings::Findings;
use super::paths::{DockerfilePlan, DockerfileSource};
use super::warning::Warning;
use crate::io::bounded_file;

/// The modification times of the files that a builder gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ContextTimes {
    /// Those of the clone, which are new in every step.
    #[default]
    Clone,
    /// Times derived from content and path, which are the same in every clone.
    Content,
}

const VARIABLE: &str = "CONTEXT_TIMES";

/// The limit for a Dockerfile that is searched for cache mounts.
const DOCKERFILE_LIMIT_BYTES: u64 = 1 << 20;

/// Reads the variable. Warns of cache mounts, whose tools compare times.
pub(super) fn read(
    value: Option<&str>,
    context: Option<&ContextPlan>,
    findings: &mut Findings,
) -> ContextTimes {
    match value.map(str::trim) {
        None | Some("clone") => ContextTimes::Clone,
        Some("content") => {
            if let Some(ContextPlan::Directory(_, dockerfile)) = context
                && has_cache_mount(&text(dockerfile))
            {
                findings.warn(Warning::TimesWithCacheMount);
            }
            ContextTimes::Content
        }
        Some(other) => {
            let problem = format!("{} is neither `clone` nor `content`", findings.shown(other));
            findings.fault(Fault::new(VARIABLE, problem, "write `clone` or `content`"));
            ContextTimes::Clone
        }
    }
}

fn text(dockerfile: &DockerfilePlan) -> String {
    match &dockerfile.source {
        // The read of the build reports a file that cannot be read.
        DockerfileSource::File(path) => {
            let text = bounded_file::read(path, DOCKERFILE_LIMIT_BYTES).unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        }
        DockerfileSource::Inline(text) => text.to_string(),
    }
}

/// Whether a step mounts a cache: `RUN --mount=type=cache,…`.
fn has_cache_mount(dockerfile: &str) -> bool {
    let lines = dockerfile.lines().map(str::trim_start);
    let mut words = lines
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace);
    words.any(|word| {
        let options = word.strip_prefix("--mount=").unwrap_or_default();
        let mut options = options.split(',');
        options.any(|option| {
            option
                .split_once('=')
                .is_some_and(|(name, kind)| name.eq_ignore_ascii_case("type") && kind == "cache")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_mounts_are_found_in_any_step() {
        for (dockerfile, expected) in [
            ("FROM a\nRUN --mount=type=cache,target=/x make\n", true),
            (
                "FROM a\nRUN --network=none \\\n  --mount=target=/x,type=cache make\n",
                true,
            ),
            ("FROM a\n# RUN --mount=type=cache,target=/x make\n", false),
            ("FROM a\nRUN --mount=type=bind,target=/x make\n", false),
            ("FROM a\nRUN echo type=cache\n", false),
        ] {
            assert_eq!(has_cache_mount(dockerfile), expected, "{dockerfile}");
        }
    }
}
