//! The placeholders of a tag, and the pipelines in which each has a value.

use crate::config::near_miss::distance;

/// A placeholder, such as `{branch}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placeholder {
    Branch,
    Tag,
    Pr,
    Sha,
    Commit,
    Build,
    Date,
    Semver,
    Major,
    Minor,
    Latest,
}

/// All placeholders, in the order of the documentation.
pub(super) const ALL: [Placeholder; 11] = [
    Placeholder::Branch,
    Placeholder::Tag,
    Placeholder::Pr,
    Placeholder::Sha,
    Placeholder::Commit,
    Placeholder::Build,
    Placeholder::Date,
    Placeholder::Semver,
    Placeholder::Major,
    Placeholder::Minor,
    Placeholder::Latest,
];

/// The names of the same values in other tools, in lower case.
const SYNONYMS: [(&str, Placeholder); 19] = [
    ("ref", Placeholder::Branch),
    ("ref_name", Placeholder::Branch),
    ("branch_name", Placeholder::Branch),
    ("git_tag", Placeholder::Tag),
    ("pr_id", Placeholder::Pr),
    ("pull_request", Placeholder::Pr),
    ("number", Placeholder::Build),
    ("build_number", Placeholder::Build),
    ("build_id", Placeholder::Build),
    ("short_sha", Placeholder::Sha),
    ("sha_short", Placeholder::Sha),
    ("revision", Placeholder::Commit),
    ("long_sha", Placeholder::Commit),
    ("version", Placeholder::Semver),
    ("raw", Placeholder::Tag),
    ("major.minor.patch", Placeholder::Semver),
    ("major.minor", Placeholder::Minor),
    ("today", Placeholder::Date),
    ("yyyymmdd", Placeholder::Date),
];

impl Placeholder {
    /// The name between the braces.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Branch => "branch",
            Self::Tag => "tag",
            Self::Pr => "pr",
            Self::Sha => "sha",
            Self::Commit => "commit",
            Self::Build => "build",
            Self::Date => "date",
            Self::Semver => "semver",
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Latest => "latest",
        }
    }

    /// The pipelines in which it has a value.
    pub(super) fn requirement(self) -> &'static str {
        match self {
            Self::Branch => "the pipeline of a branch or of a pull request",
            Self::Tag => "the pipeline of a tag",
            Self::Pr => "the pipeline of a pull request",
            Self::Sha | Self::Commit => "a pipeline with BITBUCKET_COMMIT",
            Self::Build => "a pipeline with BITBUCKET_BUILD_NUMBER",
            Self::Date => "a date before the year 10000",
            Self::Semver => "the pipeline of a tag with a version, such as `v1.2.3`",
            Self::Major | Self::Minor | Self::Latest => {
                "the pipeline of a tag with a version that is not a pre-release, such as `v1.2.3`"
            }
        }
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|known| known.name() == name)
    }

    /// The placeholder that a wrong name probably means: the same value in another tool or in Bitbucket, else the one with the most
    /// similar name, if half of its letters are the same.
    pub(super) fn nearest(name: &str) -> Option<Self> {
        let lower_case = name.trim().to_lowercase().replace(['-', ' '], "_");
        let name = lower_case
            .trim_start_matches('$')
            .trim_start_matches("bitbucket_");
        if name.is_empty() || name.len() > LONGEST_MISSPELLED_BYTES {
            return None;
        }
        let mut synonyms = SYNONYMS.into_iter();
        if let Some((_, meant)) = synonyms.find(|(synonym, _)| *synonym == name) {
            return Some(meant);
        }
        let distances =
            ALL.map(|known| (distance(name.as_bytes(), known.name().as_bytes()), known));
        let (distance, nearest) = distances
            .into_iter()
            .min_by_key(|&(distance, _)| distance)?;
        (distance * 2 <= nearest.name().len().max(2)).then_some(nearest)
    }
}

/// Longer names are not compared.
const LONGEST_MISSPELLED_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_means_the_nearest_placeholder() {
        for (name, meant) in [
            ("brnch", "branch"),
            ("brahcn", "branch"),
            ("BRANCH", "branch"),
            ("Tag", "tag"),
            ("tags", "tag"),
            ("tga", "tag"),
            ("prr", "pr"),
            ("shaa", "sha"),
            ("SHA1", "sha"),
            ("comit", "commit"),
            ("bulid", "build"),
            ("dat", "date"),
            ("semvar", "semver"),
            ("sem-ver", "semver"),
            ("lates", "latest"),
            ("version", "semver"),
            ("major.minor", "minor"),
            ("$BITBUCKET_BRANCH", "branch"),
            ("BITBUCKET_TAG", "tag"),
            ("BITBUCKET_PR_ID", "pr"),
            ("BITBUCKET_COMMIT", "commit"),
            ("BITBUCKET_BUILD_NUMBER", "build"),
            ("build-number", "build"),
        ] {
            let nearest = Placeholder::nearest(name).map(Placeholder::name);
            assert_eq!(nearest, Some(meant), "{name}");
        }
        for name in ["", "x", "environment", "owner", "workspace", "ä"] {
            assert_eq!(Placeholder::nearest(name), None, "{name}");
        }
        assert_eq!(Placeholder::nearest(&"branch".repeat(1000)), None);
    }
}
