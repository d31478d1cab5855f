//! The version in the name of a Git tag, by the rules of Semantic Versioning 2.0.0.

/// A version, as parts of the text. Numbers can have any length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version<'a> {
    /// The whole version, without the text before it.
    pub(crate) text: &'a str,
    pub(crate) major: &'a str,
    pub(crate) minor: &'a str,
    /// Whether it is a pre-release, such as `1.0.0-rc.1`.
    pub(crate) is_pre_release: bool,
}

/// Characters between the name of a part of the repository and its version, as in `app-1.2.3`, `libs/app/v1.2.3` and `@acme/app@1.2.3`.
const SEPARATORS: [char; 4] = ['-', '_', '/', '@'];

impl<'a> Version<'a> {
    /// The version in a tag: the whole tag, or the longest end of it that follows a separator, in both cases with or without a `v`.
    pub(crate) fn of_tag(tag: &'a str) -> Option<Self> {
        let after_separators = tag
            .match_indices(SEPARATORS)
            .map(|(at, separator)| at + separator.len());
        let starts = std::iter::once(0).chain(after_separators);
        starts
            .filter_map(|start| tag.get(start..))
            .map(|text| text.strip_prefix(['v', 'V']).unwrap_or(text))
            // Only a digit starts a version; this also limits the work.
            .filter(|text| text.starts_with(|first: char| first.is_ascii_digit()))
            .take(MAX_STARTS)
            .find_map(Self::parse)
    }

    /// Parses a text that is only a version.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (rest, build) = match text.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (text, None),
        };
        let (core, pre_release) = match rest.split_once('-') {
            Some((core, pre_release)) => (core, Some(pre_release)),
            None => (rest, None),
        };
        let mut numbers = core.split('.');
        let (major, minor, patch) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let is_core = numbers.next().is_none() && [major, minor, patch].into_iter().all(is_number);
        let is_identifier = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let is_pre_release_part = |part: &str| {
            let is_numeric = part.bytes().all(|byte| byte.is_ascii_digit());
            is_identifier(part) && (!is_numeric || is_number(part))
        };
        let has_valid_ends = pre_release.is_none_or(|all| all.split('.').all(is_pre_release_part))
            && build.is_none_or(|all| all.split('.').all(is_identifier));
        (is_core && has_valid_ends).then_some(Self {
            text,
            major,
            minor,
            is_pre_release: pre_release.is_some(),
        })
    }

    /// Major and minor, such as `1.2`.
    pub(crate) fn major_and_minor(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }
}

/// The limit of places in a tag that are tried.
const MAX_STARTS: usize = 100;

/// A number without leading zeros.
fn is_number(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(tag: &str) -> Option<(&str, String, bool)> {
        let version = Version::of_tag(tag)?;
        Some((
            version.text,
            version.major_and_minor(),
            version.is_pre_release,
        ))
    }

    #[test]
    fn the_version_of_a_tag_is_found() {
        for (tag, text, minor, is_pre_release) in [
            ("1.2.3", "1.2.3", "1.2", false),
            ("v1.2.3", "1.2.3", "1.2", false),
            ("V0.0.0", "0.0.0", "0.0", false),
            ("app-1.2.3", "1.2.3", "1.2", false),
            ("app-v1.2.3", "1.2.3", "1.2", false),
            ("app_1.2.3", "1.2.3", "1.2", false),
            ("libs/app/v10.20.30", "10.20.30", "10.20", false),
            ("@acme/app@1.2.3", "1.2.3", "1.2", false),
            ("release-2024-1.2.3", "1.2.3", "1.2", false),
            ("app-2-1.2.3-rc.1", "1.2.3-rc.1", "1.2", true),
            ("1.0.0-alpha", "1.0.0-alpha", "1.0", true),
            ("1.0.0-x-y-z.--", "1.0.0-x-y-z.--", "1.0", true),
            ("1.0.0-0.3.7", "1.0.0-0.3.7", "1.0", true),
            ("1.0.0-0a", "1.0.0-0a", "1.0", true),
            ("1.2.3+5", "1.2.3+5", "1.2", false),
            ("v1.0.0+001.a-b", "1.0.0+001.a-b", "1.0", false),
            ("1.0.0-beta+exp.sha", "1.0.0-beta+exp.sha", "1.0", true),
            (
                "99999999999999999999999.999999999999999999.99999999999999999",
                "99999999999999999999999.999999999999999999.99999999999999999",
                "99999999999999999999999.999999999999999999",
                false,
            ),
        ] {
            assert_eq!(
                version(tag),
                Some((text, minor.to_owned(), is_pre_release)),
                "{tag}"
            );
        }
    }

    #[test]
    fn other_tags_have_no_version() {
        for tag in [
            "",
            "v",
            "nightly",
            "1",
            "1.2",
            "v1.2",
            "1.2.3.4",
            "01.2.3",
            "1.02.3",
            "1.2.03",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3-a..b",
            "1.2.3+",
            "1.2.3+a+b",
            "1.2.3-ä",
            "1.2.x",
            "vv1.2.3",
            "app1.2.3",
            "app.1.2.3",
            "1.2.3 ",
            "２.0.0",
        ] {
            assert_eq!(version(tag), None, "{tag}");
        }
    }

    proptest! {
        #[test]
        fn a_version_with_any_name_before_it_is_found(
            name in "([a-z]{1,6}[-/_@])?v?",
            numbers in [0_u32.., 0_u32.., 0_u32..],
            pre_release in "(-[a-z][a-z0-9-]{0,5}(\\.[1-9]{1,3})?)?",
            build in "(\\+[0-9a-z-]{1,5})?",
        ) {
            let [major, minor, patch] = numbers;
            let text = format!("{major}.{minor}.{patch}{pre_release}{build}");
            let tag = format!("{name}{text}");
            let version = Version::of_tag(&tag).unwrap();
            prop_assert_eq!(version.text, &text);
            prop_assert_eq!(version.is_pre_release, !pre_release.is_empty());
            prop_assert_eq!(version.major_and_minor(), format!("{major}.{minor}"));
        }

        #[test]
        fn a_version_is_an_end_of_the_tag(tag in "[v0-2.+a@/-]{0,20}") {
            if let Some(version) = Version::of_tag(&tag) {
                prop_assert!(tag.ends_with(version.text));
                prop_assert_eq!(Version::parse(version.text), Some(version));
            }
        }
    }
}
