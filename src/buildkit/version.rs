//! The version of BuildKit that a builder reports. It is only logged: requests are the same for all versions.

use bollard_buildkit_proto::moby::buildkit::v1::ListWorkersResponse;

use crate::text::cut::printable;

/// The longest part of a version in the log, in characters.
const SHOWN_CHARACTERS: usize = 100;

/// Package, version and revision for the log. A builder has one worker, or several of one version.
pub(super) fn described(workers: &ListWorkersResponse) -> String {
    let mut versions = workers.record.iter();
    let version = versions.find_map(|worker| {
        let version = worker.buildkit_version.as_ref();
        // Docker Engine returns empty texts.
        version.filter(|version| !version.version.is_empty())
    });
    let Some(version) = version else {
        return "the builder reports no version of BuildKit".into();
    };
    let parts = [&version.package, &version.version, &version.revision];
    let parts = parts.map(|part| printable(part, SHOWN_CHARACTERS));
    format!("the builder runs {}", parts.join(" ").trim())
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::moby::buildkit::v1::types::{BuildkitVersion, WorkerRecord};

    use super::*;

    fn of(versions: &[Option<[&str; 3]>]) -> String {
        let record = versions.iter().map(|version| WorkerRecord {
            buildkit_version: version.map(|[package, version, revision]| BuildkitVersion {
                package: package.into(),
                version: version.into(),
                revision: revision.into(),
            }),
            ..WorkerRecord::default()
        });
        described(&ListWorkersResponse {
            record: record.collect(),
        })
    }

    #[test]
    fn the_version_of_the_first_worker_that_has_one_is_shown_on_one_short_line() {
        let version = Some(["github.com/moby/buildkit", "v0.11.6", "0a1b2c"]);
        let shown = "the builder runs github.com/moby/buildkit v0.11.6 0a1b2c";
        assert_eq!(of(&[None, version, version]), shown);
        let none = "the builder reports no version of BuildKit";
        for versions in [&[][..], &[None], &[Some(["", "", ""])]] {
            assert_eq!(of(versions), none);
        }
        let long = "x ".repeat(10_000);
        let hostile = of(&[Some(["a\nb\u{1b}[31m", &long, ""])]);
        assert!(
            hostile.starts_with("the builder runs a b [31m x x "),
            "{hostile}"
        );
        assert!(hostile.len() < 300 && !hostile.contains(char::is_control));
    }
}
